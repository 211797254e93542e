//! Who is told, and of what.

use everloop_core::Hash;
use everloop_ledger::Event;
use everloop_project::{EventPattern, Webhook};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use url::Url;

use crate::dialect::{Dialect, STANDARD};
use crate::signature::key_of;

/// The kind of event that a trigger with `do: notify` makes. It goes to every webhook, whatever events it lists.
pub const NOTIFY: &str = "trigger.notify";
/// Events about webhooks are never sent to webhooks: a dead receiver must not make work for itself.
const OURS: &str = "webhook.";

/// Someone who is told.
#[derive(Debug, Clone)]
pub struct Hook {
    /// Names it: the same for the same address.
    pub id: String,
    /// Where messages go.
    pub url: Url,
    /// What it is told of.
    pub events: Vec<EventPattern>,
    /// What messages are signed with.
    pub key: Key,
    /// How messages look and are signed.
    pub dialect: Dialect,
}

/// What messages are signed with.
#[derive(Clone, PartialEq, Eq)]
pub enum Key {
    /// Nothing: the project file names no secret.
    None,
    /// The project file names this variable, and it is not set: nothing is sent unsigned that should be signed.
    Missing(String),
    /// This key.
    Secret(Vec<u8>),
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Missing(variable) => write!(f, "missing {variable}"),
            Self::Secret(_) => f.write_str("***"),
        }
    }
}

impl Hook {
    /// Whether it is told of `event`.
    #[must_use]
    pub fn wants(&self, event: &Event) -> bool {
        if event.kind == NOTIFY {
            return true;
        }
        if event.kind.starts_with(OURS) {
            return false;
        }
        let topic = topic_of(event);
        self.events.iter().any(|pattern| pattern.matches(&topic))
    }

    /// The address without what may be secret in it.
    #[must_use]
    pub fn target(&self) -> String {
        self.url.origin().ascii_serialization()
    }
}

/// What an event is called in patterns and messages: its kind, and of a decision also what was decided about, such as
/// `decision.promotion`.
#[must_use]
pub fn topic_of(event: &Event) -> Cow<'_, str> {
    match event.payload.get("kind").and_then(Value::as_str) {
        Some(about) if event.kind == "decision" => Cow::Owned(format!("decision.{about}")),
        _ => Cow::Borrowed(&event.kind),
    }
}

/// The hooks that a project's `notify` lists. `variable` reads the variables that hold their secrets.
#[must_use]
pub fn hooks_of(notify: &[Webhook], variable: &dyn Fn(&str) -> Option<String>) -> Vec<Hook> {
    let mut seen: BTreeMap<&str, u32> = BTreeMap::new();
    let mut hooks = Vec::new();
    for webhook in notify {
        // The project file's grammar is stricter than this one, so nothing is left out.
        let Ok(url) = Url::parse(webhook.webhook.as_str()) else {
            continue;
        };
        let count = seen.entry(webhook.webhook.as_str()).or_default();
        *count += 1;
        let mut id = Hash::of(webhook.webhook.as_str().as_bytes()).to_hex()[..12].to_owned();
        if *count > 1 {
            id = format!("{id}-{count}");
        }
        let key = match &webhook.secret_env {
            None => Key::None,
            Some(name) => match variable(name.as_str()).filter(|secret| !secret.is_empty()) {
                Some(secret) => Key::Secret(key_of(&secret)),
                None => Key::Missing(name.to_string()),
            },
        };
        hooks.push(Hook {
            id,
            url,
            events: webhook.events.clone(),
            key,
            dialect: STANDARD,
        });
    }
    hooks
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_core::{Actor, ProjectName, Timestamp};
    use everloop_ledger::Seq;
    use serde_json::json;

    fn event(kind: &str, payload: Value) -> Event {
        Event {
            seq: Seq(1),
            at: Timestamp(0),
            actor: Actor::system("x"),
            project: ProjectName::new("p").unwrap(),
            kind: kind.to_owned(),
            subject: "s".to_owned(),
            payload,
            prev_hash: Hash::of(b""),
            hash: Hash::of(b""),
        }
    }

    fn hooks(notify: Value) -> Vec<Hook> {
        let notify: Vec<Webhook> = serde_json::from_value(notify).unwrap();
        hooks_of(&notify, &|name| (name == "SECRET").then(|| "s3cret".to_owned()))
    }

    #[test]
    fn patterns_choose_events() {
        let told =
            &hooks(json!([{ "webhook": "https://a.example/x", "events": ["alert.opened", "decision.*"] }]))
                [0];
        assert!(told.wants(&event("alert.opened", json!({}))));
        assert!(told.wants(&event("decision", json!({ "kind": "promotion" }))));
        assert!(!told.wants(&event("alert.resolved", json!({}))));
        let one = &hooks(json!([{ "webhook": "https://a.example/x", "events": ["decision.rollback"] }]))[0];
        assert!(one.wants(&event("decision", json!({ "kind": "rollback" }))));
        assert!(!one.wants(&event("decision", json!({ "kind": "promotion" }))));
    }

    #[test]
    fn a_notifying_trigger_reaches_all_and_our_own_events_none() {
        let all = &hooks(json!([{ "webhook": "https://a.example/x", "events": ["*"] }]))[0];
        assert!(!all.wants(&event("webhook.dead", json!({}))));
        let few = &hooks(json!([{ "webhook": "https://a.example/x", "events": ["alert.opened"] }]))[0];
        assert!(few.wants(&event(NOTIFY, json!({}))));
    }

    #[test]
    fn secrets_come_from_variables_and_are_never_shown() {
        let hooks = hooks(json!([
            { "webhook": "https://a.example/x", "secret_env": "SECRET" },
            { "webhook": "https://a.example/x", "secret_env": "OTHER" },
            { "webhook": "https://b.example/token/abc" },
        ]));
        assert_eq!(hooks[0].key, Key::Secret(b"s3cret".to_vec()));
        assert_eq!(hooks[1].key, Key::Missing("OTHER".to_owned()));
        assert_eq!(hooks[1].id, format!("{}-2", hooks[0].id));
        assert_eq!(hooks[2].key, Key::None);
        assert_eq!(hooks[2].target(), "https://b.example");
        assert!(!format!("{:?}", hooks[0].key).contains("s3cret"));
    }
}
