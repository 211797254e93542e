//! A document as a tree in which each node knows its place: what YAML gives us, before it means anything.

use crate::problem::{Mark, quoted};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;
use std::fmt;

/// One node and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    pub at: Mark,
    pub kind: Kind,
}

/// What a node is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    Null,
    Bool(bool),
    Int(i128),
    Float(f64),
    Text(String),
    List(Vec<Node>),
    /// In the order of the file; a key given twice stands twice.
    Map(Vec<(Key, Node)>),
}

/// A key and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Key {
    pub at: Mark,
    pub text: String,
}

/// A step from a node to one beneath it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

impl Node {
    /// What stands here, in words, for the `found` of a problem.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(value) => format!("{value}"),
            Kind::Int(value) => format!("the number {value}"),
            Kind::Float(value) => format!("the number {value}"),
            Kind::Text(text) => format!("the text {}", quoted(text)),
            Kind::List(items) if items.is_empty() => "an empty list".to_owned(),
            Kind::List(items) if items.len() == 1 => "a list of 1 item".to_owned(),
            Kind::List(items) => format!("a list of {} items", items.len()),
            Kind::Map(entries) => match entries.first() {
                None => "an empty mapping".to_owned(),
                Some((key, _)) if entries.len() == 1 => {
                    format!("a mapping with the key {}", quoted(&key.text))
                }
                Some((key, _)) => {
                    format!(
                        "a mapping with {} keys, the first {}",
                        entries.len(),
                        quoted(&key.text)
                    )
                }
            },
        }
    }

    /// The value under `key`, when this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.entry(key).map(|(_, value)| value)
    }

    fn entry(&self, key: &str) -> Option<(&Key, &Node)> {
        let Kind::Map(entries) = &self.kind else {
            return None;
        };
        entries
            .iter()
            .find(|(found, _)| found.text == key)
            .map(|(key, value)| (key, value))
    }

    /// The place of the node that `steps` lead to, or of the last one on the way that is there. The place of a
    /// mapping's entry is that of its key when `steps` end there and the value is itself a mapping or list, so that
    /// a complaint about `stages.train` points at `train:`.
    pub fn locate(&self, steps: &[Step]) -> Mark {
        let mut node = self;
        let mut at = self.at;
        for step in steps {
            let next = match (step, &node.kind) {
                (Step::Key(name), Kind::Map(_)) => node.entry(name).map(|(key, value)| match value.kind {
                    Kind::Map(_) | Kind::List(_) => (key.at, value),
                    _ => (value.at, value),
                }),
                // A list of names stands for a mapping from them, as in `from: [flights]`.
                (Step::Key(name), Kind::List(items)) => {
                    let named = |item: &&Node| matches!(&item.kind, Kind::Text(text) if text == name);
                    items.iter().find(named).map(|item| (item.at, item))
                }
                (Step::Index(index), Kind::List(items)) => items.get(*index).map(|item| (item.at, item)),
                (Step::Key(_) | Step::Index(_), _) => None,
            };
            let Some((place, value)) = next else {
                return at;
            };
            (at, node) = (place, value);
        }
        at
    }
}

impl From<serde_json::Value> for Node {
    fn from(value: serde_json::Value) -> Self {
        use serde_json::Value;
        let kind = match value {
            Value::Null => Kind::Null,
            Value::Bool(value) => Kind::Bool(value),
            Value::Number(number) => match number.as_i128() {
                Some(value) => Kind::Int(value),
                None => Kind::Float(number.as_f64().unwrap_or(f64::NAN)),
            },
            Value::String(text) => Kind::Text(text),
            Value::Array(items) => Kind::List(items.into_iter().map(Node::from).collect()),
            Value::Object(entries) => Kind::Map(
                entries
                    .into_iter()
                    .map(|(text, value)| {
                        let at = Mark::default();
                        (Key { at, text }, Node::from(value))
                    })
                    .collect(),
            ),
        };
        Self {
            at: Mark::default(),
            kind,
        }
    }
}

fn mark(location: serde_saphyr::Location) -> Mark {
    Mark {
        line: u32::try_from(location.line()).unwrap_or(u32::MAX),
        column: u32::try_from(location.column()).unwrap_or(u32::MAX),
    }
}

/// Only for YAML: the places come from `serde-saphyr`. JSON comes in through [`From<serde_json::Value>`].
impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<Kind>::deserialize(deserializer)?;
        Ok(Self {
            // Where the value is written: of an alias that is the anchor's side, where it can be mended.
            at: mark(spanned.defined),
            kind: spanned.value,
        })
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl<'de> Visitor<'de> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Kind, E> {
        Ok(Kind::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Kind, E> {
        Ok(Kind::Int(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Kind, E> {
        Ok(Kind::Int(value.into()))
    }

    fn visit_i128<E>(self, value: i128) -> Result<Kind, E> {
        Ok(Kind::Int(value))
    }

    fn visit_u128<E>(self, value: u128) -> Result<Kind, E> {
        Ok(i128::try_from(value).map_or(Kind::Float(value as f64), Kind::Int))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Kind, E> {
        Ok(Kind::Float(value))
    }

    fn visit_str<E>(self, text: &str) -> Result<Kind, E> {
        Ok(Kind::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Kind, E> {
        Ok(Kind::Text(text))
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_none<E>(self) -> Result<Kind, E> {
        Ok(Kind::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Kind, D::Error> {
        Kind::deserialize(deserializer)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = access.next_element()? {
            items.push(item);
        }
        Ok(Kind::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Kind, A::Error> {
        let mut entries = Vec::new();
        while let Some((key, value)) = access.next_entry::<Spanned<String>, Node>()? {
            let key = Key {
                at: mark(key.defined),
                text: key.value,
            };
            entries.push((key, value));
        }
        Ok(Kind::Map(entries))
    }
}
