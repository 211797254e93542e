//! `params:` — the project's hyper-parameters, and what of them a stage reads.

use crate::decode::{Cx, Decode};
use crate::node::{Kind, Node};
use crate::paths::FilePath;
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{deserialize_by_decode, free};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Where the project keeps its parameters. Without the section they are in `params.yaml`, as in DVC.
#[derive(Debug, Clone, PartialEq)]
pub enum Params {
    /// In the project file itself.
    Inline(Map<String, Value>),
    /// In a file: YAML, JSON, TOML or Python.
    File(FilePath),
}

/// The file that holds the parameters when the project does not say.
pub const DEFAULT_FILE: &str = "params.yaml";

impl Params {
    /// The value under a dotted key: `train.depth`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        match self {
            Self::Inline(map) => lookup(map, key),
            Self::File(_) => None,
        }
    }

    /// Every dotted key of inline parameters, those of sections included.
    #[must_use]
    pub fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        if let Self::Inline(map) = self {
            collect_keys("", map, &mut keys);
        }
        keys
    }
}

fn lookup<'v>(map: &'v Map<String, Value>, key: &str) -> Option<&'v Value> {
    if let Some(value) = map.get(key) {
        return Some(value);
    }
    // The longest prefix wins, so that a key with a dot in its own name is still reached.
    key.rmatch_indices('.').find_map(|(dot, _)| {
        let inner = map.get(&key[..dot])?.as_object()?;
        lookup(inner, &key[dot + 1..])
    })
}

fn collect_keys(prefix: &str, map: &Map<String, Value>, keys: &mut Vec<String>) {
    for (name, value) in map {
        let key = format!("{prefix}{name}");
        if let Value::Object(inner) = value {
            collect_keys(&format!("{key}."), inner, keys);
        }
        keys.push(key);
    }
}

impl Decode for Params {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::Text(_) => FilePath::decode(node, cx).map(Self::File),
            Kind::Map(_) => match free(node, cx)? {
                Value::Object(map) => Some(Self::Inline(map)),
                _ => None,
            },
            _ => {
                cx.wrong_type(
                    node,
                    "a mapping of parameters, or the path of a file that holds them",
                );
                None
            }
        }
    }
}

impl Serialize for Params {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Inline(map) => map.serialize(serializer),
            Self::File(path) => path.serialize(serializer),
        }
    }
}

impl JsonSchema for Params {
    fn schema_name() -> Cow<'static, str> {
        "Params".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "Parameters in place, or the path of the file that holds them.",
            "anyOf": [{"type": "object"}, generator.subschema_for::<FilePath>()],
        })
    }
}

/// Parameters that a stage reads: its cache key holds their values, so that a change of one runs it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParamDep {
    /// One key (`train.depth`, or a whole section) of the project's own parameters.
    Key(String),
    /// Keys of another file.
    File {
        /// The file.
        file: FilePath,
        /// The keys; none means the whole file.
        keys: Vec<String>,
    },
}

impl Decode for ParamDep {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::Text(_) => param_key(node, cx).map(Self::Key),
            Kind::Map(entries) if entries.len() == 1 => {
                let (name, keys) = &entries[0];
                let file = parse_file(name, cx);
                let keys = match keys.kind {
                    Kind::Null => Some(Vec::new()),
                    _ => cx.within(crate::decode::key(&name.text), |cx| some_keys(keys, cx)),
                };
                Some(Self::File {
                    file: file?,
                    keys: keys?,
                })
            }
            _ => {
                cx.wrong_type(
                    node,
                    "the name of a parameter, or one file with the names of its parameters",
                );
                None
            }
        }
    }
}

fn parse_file(name: &crate::node::Key, cx: &mut Cx) -> Option<FilePath> {
    let as_node = Node {
        at: name.at,
        kind: Kind::Text(name.text.clone()),
    };
    FilePath::decode(&as_node, cx)
}

fn some_keys(node: &Node, cx: &mut Cx) -> Option<Vec<String>> {
    let keys: Vec<ParamKey> = crate::decode::list(node, cx)?;
    if keys.is_empty() {
        cx.push(
            Problem::new(ProblemKind::BadValue, node.at, "no parameter named")
                .found("an empty list")
                .expected("names of parameters")
                .hint("leave the value out to depend on the whole file"),
        );
        return None;
    }
    Some(keys.into_iter().map(|key| key.0).collect())
}

struct ParamKey(String);

impl Decode for ParamKey {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        param_key(node, cx).map(Self)
    }
}

fn param_key(node: &Node, cx: &mut Cx) -> Option<String> {
    let text = String::decode(node, cx)?;
    if text.is_empty() || text.split('.').any(str::is_empty) || text.chars().any(char::is_control) {
        cx.push(
            Problem::new(ProblemKind::BadValue, node.at, "not the name of a parameter")
                .found(quoted(&text))
                .expected("a dotted name such as train.depth"),
        );
        return None;
    }
    Some(text)
}

impl Serialize for ParamDep {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Key(key) => key.serialize(serializer),
            Self::File { file, keys } => {
                let mut map = serializer.serialize_map(Some(1))?;
                if keys.is_empty() {
                    map.serialize_entry(file, &())?;
                } else {
                    map.serialize_entry(file, keys)?;
                }
                map.end()
            }
        }
    }
}

impl JsonSchema for ParamDep {
    fn schema_name() -> Cow<'static, str> {
        "ParamDep".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A parameter by its dotted name, or a file with the names of its parameters (none: the whole file).",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "minProperties": 1,
                    "maxProperties": 1,
                    "additionalProperties": {"type": ["array", "null"], "items": {"type": "string"}, "minItems": 1},
                },
            ],
        })
    }
}

deserialize_by_decode!(Params, ParamDep);
