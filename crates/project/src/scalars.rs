//! Readers of single values: names from a set, numbers within bounds, texts; and `Deserialize` by the same readers.

use crate::decode::{Cx, Decode, bad_name, list, map};
use crate::hints::did_you_mean;
use crate::node::{Kind, Node};
use crate::problem::{Problem, ProblemKind, quoted};
use everloop_core::InvalidName;
use serde_json::Value;

/// A name from a fixed set.
pub(crate) trait Choice: Copy + serde::Serialize + 'static {
    const WHAT: &'static str;
    const ALL: &'static [Self];

    /// The name as it is written: what serde writes.
    fn name(self) -> String {
        match serde_json::to_value(self) {
            Ok(Value::String(name)) => name,
            _ => unreachable!("a choice is a unit variant, which serialises as its name"),
        }
    }
}

pub(crate) fn choice<T: Choice>(node: &Node, cx: &mut Cx) -> Option<T> {
    let names: Vec<String> = T::ALL.iter().map(|one| one.name()).collect();
    let expected = names
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let Kind::Text(text) = &node.kind else {
        cx.wrong_type(node, &format!("one of {expected}"));
        return None;
    };
    if let Some(index) = names.iter().position(|name| name == text) {
        return Some(T::ALL[index]);
    }
    cx.push(
        Problem::new(ProblemKind::BadValue, node.at, format!("unknown {}", T::WHAT))
            .found(quoted(text))
            .expected(format!("one of {expected}"))
            .maybe_hint(did_you_mean(text, names.iter().map(String::as_str))),
    );
    None
}

/// A number within bounds.
pub(crate) fn number(node: &Node, expected: &str, cx: &mut Cx, fits: impl Fn(f64) -> bool) -> Option<f64> {
    let value = match node.kind {
        Kind::Int(value) => value as f64,
        Kind::Float(value) => value,
        _ => {
            cx.wrong_type(node, expected);
            return None;
        }
    };
    if value.is_finite() && fits(value) {
        return Some(value);
    }
    cx.bad_value(node, "number out of range", expected);
    None
}

/// A whole number within bounds, both included.
pub(crate) fn whole(node: &Node, min: u64, max: u64, cx: &mut Cx) -> Option<u64> {
    let expected = format!("a whole number from {min} to {max}");
    let Kind::Int(value) = node.kind else {
        cx.wrong_type(node, &expected);
        return None;
    };
    match u64::try_from(value) {
        Ok(value) if (min..=max).contains(&value) => Some(value),
        _ => {
            cx.bad_value(node, "number out of range", &expected);
            None
        }
    }
}

/// A number of things as `u32`; `max` fits by type.
pub(crate) fn count(node: &Node, min: u32, max: u32, cx: &mut Cx) -> Option<u32> {
    whole(node, min.into(), max.into(), cx).and_then(|value| u32::try_from(value).ok())
}

/// Any value, kept as it is.
pub(crate) fn free(node: &Node, cx: &mut Cx) -> Option<Value> {
    Some(match &node.kind {
        Kind::Null => Value::Null,
        Kind::Bool(value) => Value::Bool(*value),
        Kind::Int(value) => match serde_json::Number::from_i128(*value) {
            Some(number) => Value::Number(number),
            None => {
                cx.bad_value(node, "number out of range", "a whole number of at most 64 bits");
                return None;
            }
        },
        Kind::Float(value) => match serde_json::Number::from_f64(*value) {
            Some(number) => Value::Number(number),
            None => {
                cx.bad_value(node, "not a finite number", "a finite number");
                return None;
            }
        },
        Kind::Text(text) => Value::String(text.clone()),
        Kind::List(_) => Value::Array(list(node, cx)?),
        Kind::Map(_) => {
            let read = map(
                node,
                "values",
                cx,
                |name| Ok::<_, InvalidName>(name.to_owned()),
                free,
            )?;
            Value::Object(read.into_iter().collect())
        }
    })
}

/// A text that is not empty.
pub(crate) fn filled(node: &Node, cx: &mut Cx) -> Option<String> {
    let text = String::decode(node, cx)?;
    if text.trim().is_empty() {
        cx.bad_value(node, "empty text", "a text that is not empty");
        return None;
    }
    Some(text)
}

impl Decode for String {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::Text(text) => Some(text.clone()),
            _ => {
                cx.wrong_type(node, "a text");
                None
            }
        }
    }
}

impl Decode for bool {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::Bool(value) => Some(*value),
            Kind::Text(text) if matches!(text.to_lowercase().as_str(), "yes" | "no" | "on" | "off") => {
                let meant = matches!(text.to_lowercase().as_str(), "yes" | "on");
                cx.push(
                    Problem::new(ProblemKind::WrongType, node.at, "wrong type")
                        .found(node.describe())
                        .expected("true or false")
                        .hint(format!("write {meant}")),
                );
                None
            }
            _ => {
                cx.wrong_type(node, "true or false");
                None
            }
        }
    }
}

impl Decode for Value {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        free(node, cx)
    }
}

macro_rules! decode_names {
    ($($name:ident),*) => {$(
        impl Decode for everloop_core::$name {
            fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
                let text = String::decode(node, cx)?;
                Self::new(text).map_err(|error| cx.push(bad_name(node.at, &error))).ok()
            }
        }
    )*};
}

decode_names!(
    ProjectName,
    DatasetName,
    StageName,
    ModelName,
    AliasName,
    EndpointName,
    ColumnName
);

/// Reads a value that came through serde (stored JSON), by the same reader that reads files.
pub(crate) fn deserialize<'de, T: Decode, D: serde::Deserializer<'de>>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = <Value as serde::Deserialize>::deserialize(deserializer)?;
    let mut cx = Cx::default();
    let read = T::decode(&Node::from(value), &mut cx);
    cx.finish("document", read).map_err(serde::de::Error::custom)
}

/// `Deserialize` for types that have a reader: one grammar for files and for stored documents.
macro_rules! deserialize_by_decode {
    ($($name:ty),* $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::scalars::deserialize(deserializer)
            }
        }
    )*};
}

/// [`Decode`] and `Deserialize` for a [`Choice`].
macro_rules! decode_choice {
    ($($name:ty),* $(,)?) => {$(
        impl crate::decode::Decode for $name {
            fn decode(node: &crate::node::Node, cx: &mut crate::decode::Cx) -> Option<Self> {
                crate::scalars::choice(node, cx)
            }
        }
        crate::scalars::deserialize_by_decode!($name);
    )*};
}

pub(crate) use {decode_choice, deserialize_by_decode};
