//! One spelling for equal documents: what is stored beside decisions, and hashed.

use everloop_core::Hash;
use serde::Serialize;
use serde_json::Value;

/// JSON with sorted keys, without spaces. Defaults are written out, so that the text says what held at the time even
/// when a later release has other defaults.
pub(crate) fn to_json<T: Serialize>(document: &T) -> String {
    let value = serde_json::to_value(document).expect("our documents have text keys and finite numbers only");
    let mut text = String::new();
    write(&value, &mut text);
    text
}

/// The hash of the canonical text.
pub(crate) fn hash<T: Serialize>(document: &T) -> Hash {
    Hash::of(to_json(document).as_bytes())
}

/// Sorts keys itself: whether `serde_json` keeps them sorted depends on a feature that any crate may turn on.
fn write(value: &Value, text: &mut String) {
    match value {
        Value::Array(items) => {
            text.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write(item, text);
            }
            text.push(']');
        }
        Value::Object(map) => {
            let mut entries: Vec<(&String, &Value)> = map.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            text.push('{');
            for (index, (key, item)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                text.push_str(&Value::from(key.as_str()).to_string());
                text.push(':');
                write(item, text);
            }
            text.push('}');
        }
        plain => text.push_str(&plain.to_string()),
    }
}
