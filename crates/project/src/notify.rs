//! `notify:` — who is told.

use crate::decode::{Cx, Decode, Fields};
use crate::node::Node;
use crate::scalars::deserialize_by_decode;
use crate::text::{Text, Wrong, text_type};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// A web address that is sent a signed message when something happens.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Webhook {
    /// The address.
    pub webhook: WebAddress,
    /// The kinds of event it is sent: `alert.opened`, `decision.*`, or `*` for all.
    #[serde(default = "default_events")]
    #[schemars(length(min = 1))]
    pub events: Vec<EventPattern>,
    /// The environment variable of the server that holds the secret messages are signed with. The secret itself never
    /// stands in the file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub secret_env: Option<Variable>,
}

fn default_events() -> Vec<EventPattern> {
    vec![
        EventPattern("alert.*".to_owned()),
        EventPattern("decision.*".to_owned()),
    ]
}

deserialize_by_decode!(Webhook);

impl Decode for Webhook {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "a webhook", cx)?;
        let webhook = fields.required("webhook", "the address messages are sent to", cx);
        let events = fields.read("events", cx, |node, cx| {
            let events: Vec<EventPattern> = crate::decode::one_or_many(node, cx)?;
            if events.is_empty() {
                cx.bad_value(node, "no event", "at least one kind of event, or \"*\"");
                return None;
            }
            Some(events)
        });
        let secret_env = fields.optional("secret_env", cx);
        fields.refuse(
            "secret",
            "secrets don't belong in the project file",
            "put it into an environment variable of the server and name that in \"secret_env\"",
            cx,
        );
        fields.finish(cx);
        Some(Self {
            webhook: webhook?,
            events: events.unwrap_or_else(default_events),
            secret_env,
        })
    }
}

/// An `http` or `https` address without user name, password or fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WebAddress(String);

impl WebAddress {
    /// The address as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WebAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for WebAddress {
    const WHAT: &'static str = "web address";
    const EXPECTED: &'static str = "a web address such as https://hooks.example.org/everloop";
    const PATTERN: &'static str = r"^https?://[^\s/@#\\]+([/?][^\s#\\]*)?$";
    const LONGEST: usize = 2_048;

    fn parse(text: &str) -> Result<Self, Wrong> {
        let rest = text
            .strip_prefix("https://")
            .or_else(|| text.strip_prefix("http://"))
            .ok_or_else(|| Wrong::because("it does not start with https:// or http://"))?;
        let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if host.is_empty() {
            return Err(Wrong::because("it has no host"));
        }
        if host.contains('@') {
            return Err(Wrong::because("it holds a user name or password")
                .hint("sign messages by \"secret_env\" instead"));
        }
        if text.contains(['#', '\\']) || text.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return Err(Wrong::because("it holds a character that does not belong there"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A kind of ledger event, or several by a final `*`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct EventPattern(String);

impl EventPattern {
    /// Whether the kind of an event fits.
    #[must_use]
    pub fn matches(&self, kind: &str) -> bool {
        match self.0.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == self.0,
        }
    }
}

impl fmt::Display for EventPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for EventPattern {
    const WHAT: &'static str = "kind of event";
    const EXPECTED: &'static str = "a kind of event such as alert.opened, decision.* or *";
    const PATTERN: &'static str = r"^\s*(\*|[a-z_]+(\.[a-z_]+)*(\.\*)?)\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let stem = text.strip_suffix(".*").unwrap_or(text);
        let word = |part: &str| !part.is_empty() && part.chars().all(|c| c.is_ascii_lowercase() || c == '_');
        if text == "*" || stem.split('.').all(word) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::default())
    }
}

/// The name of an environment variable.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Variable(String);

impl Variable {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Variable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for Variable {
    const WHAT: &'static str = "environment variable";
    const EXPECTED: &'static str = "the name of an environment variable, such as EVERLOOP_WEBHOOK_SECRET";
    const PATTERN: &'static str = r"^\s*[A-Za-z_][A-Za-z0-9_]*\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if crate::run::is_variable(text) {
            return Ok(Self(text.to_owned()));
        }
        Err(Wrong::because(
            "it holds something else than letters, digits and \"_\"",
        ))
    }
}

text_type!(WebAddress, EventPattern, Variable);
