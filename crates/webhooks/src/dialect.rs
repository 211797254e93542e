//! How a message looks and is signed.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use everloop_core::Timestamp;
use everloop_ledger::Event;
use serde_json::{Value, json};

use crate::signature::sign;

/// What is to be told.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// What happened, as hooks ask for it.
    pub topic: &'a str,
    /// The ledger's row.
    pub event: &'a Event,
}

/// A message that is written and about to leave.
#[derive(Debug, Clone, Copy)]
pub struct Envelope<'a> {
    /// What receivers tell repeated messages by.
    pub id: &'a str,
    /// When it leaves, in wall time.
    pub sent_at: Timestamp,
    /// Its bytes.
    pub body: &'a [u8],
    /// What it is signed with, if it is.
    pub key: Option<&'a [u8]>,
}

/// How messages of a hook look and are signed.
#[derive(Debug, Clone, Copy)]
pub struct Dialect {
    /// Its name.
    pub name: &'static str,
    /// The message as JSON.
    pub body: fn(&Message<'_>) -> Value,
    /// The headers that go with it, its signature among them.
    pub headers: fn(&Envelope<'_>) -> Vec<(&'static str, String)>,
}

/// The dialect of [Standard Webhooks](https://www.standardwebhooks.com): `type`, `timestamp` and `data` in the body;
/// `webhook-id`, `webhook-timestamp` (seconds) and `webhook-signature` (`v1,` and the base64 of the HMAC-SHA256 of
/// `id.timestamp.body`) in the headers.
pub const STANDARD: Dialect = Dialect {
    name: "standard",
    body: standard_body,
    headers: standard_headers,
};

fn standard_body(message: &Message<'_>) -> Value {
    let event = message.event;
    json!({
        "type": message.topic,
        "timestamp": event.at.to_rfc3339(),
        "project": event.project,
        "sequence": event.seq,
        "subject": event.subject,
        "actor": event.actor.to_string(),
        "data": event.payload,
    })
}

fn standard_headers(envelope: &Envelope<'_>) -> Vec<(&'static str, String)> {
    let timestamp = envelope.sent_at.millis().div_euclid(1_000).to_string();
    let mut headers = vec![("webhook-id", envelope.id.to_owned())];
    if let Some(key) = envelope.key {
        let dot = &b"."[..];
        let parts = [
            envelope.id.as_bytes(),
            dot,
            timestamp.as_bytes(),
            dot,
            envelope.body,
        ];
        headers.push((
            "webhook-signature",
            format!("v1,{}", BASE64.encode(sign(key, &parts))),
        ));
    }
    headers.push(("webhook-timestamp", timestamp));
    headers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signature::key_of;

    /// The example of the Standard Webhooks specification's own libraries.
    #[test]
    fn signatures_are_those_of_the_specification() {
        let key = key_of("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let envelope = Envelope {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek",
            sent_at: Timestamp(1_614_265_330_000),
            body: br#"{"test": 2432232314}"#,
            key: Some(&key),
        };
        let headers = standard_headers(&envelope);
        let signature = headers.iter().find(|(name, _)| *name == "webhook-signature");
        assert_eq!(
            signature.map(|(_, value)| value.as_str()),
            Some("v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=")
        );
        assert!(headers.contains(&("webhook-timestamp", "1614265330".to_owned())));
    }

    #[test]
    fn without_a_key_nothing_is_signed() {
        let envelope = Envelope {
            id: "msg_1",
            sent_at: Timestamp(0),
            body: b"{}",
            key: None,
        };
        assert!(
            standard_headers(&envelope)
                .iter()
                .all(|(name, _)| *name != "webhook-signature")
        );
    }
}
