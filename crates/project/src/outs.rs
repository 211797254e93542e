//! What a stage writes: `outs`, `metrics` and `plots`, with the flags that dvc.yaml gives them.

use crate::decode::{Cx, Decode, Fields, key};
use crate::node::{Kind, Node};
use crate::paths::FilePath;
use crate::scalars::{deserialize_by_decode, filled};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// A file or folder that a stage writes. Written as a path, or as one path with flags.
#[derive(Debug, Clone, PartialEq)]
pub struct Out {
    /// Where, relative to the stage's `wdir`.
    pub path: FilePath,
    /// How it is kept.
    pub flags: OutFlags,
}

/// How an out is kept; the defaults are those of DVC.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct OutFlags {
    /// Whether its bytes are kept in the object store (otherwise only its hash is recorded).
    #[serde(skip_serializing_if = "is_true")]
    pub cache: bool,
    /// Whether it stays in place while the stage runs, instead of being removed first.
    #[serde(skip_serializing_if = "is_false")]
    pub persist: bool,
    /// Whether it is sent to the remote store.
    #[serde(skip_serializing_if = "is_true")]
    pub push: bool,
    /// The remote it is sent to, when not the default one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remote: Option<String>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// What kind of thing it is, such as model or dataset.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Words to find it by.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub labels: Vec<String>,
    /// Anything else worth keeping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

impl Default for OutFlags {
    fn default() -> Self {
        Self {
            cache: true,
            persist: false,
            push: true,
            remote: None,
            desc: None,
            kind: None,
            labels: Vec::new(),
            meta: None,
        }
    }
}

fn is_true(value: &bool) -> bool {
    *value
}

fn is_false(value: &bool) -> bool {
    !*value
}

impl OutFlags {
    fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Self {
        Self {
            cache: fields.or("cache", true, cx),
            persist: fields.or("persist", false, cx),
            push: fields.or("push", true, cx),
            remote: fields.read("remote", cx, filled),
            desc: fields.read("desc", cx, filled),
            kind: fields.read("type", cx, filled),
            labels: fields.read("labels", cx, crate::decode::list).unwrap_or_default(),
            meta: fields.optional("meta", cx),
        }
    }
}

/// A plot file: an out, and how its columns are drawn.
#[derive(Debug, Clone, PartialEq)]
pub struct Plot {
    /// The file.
    pub out: Out,
    /// How it is drawn.
    pub axes: Axes,
}

/// How the columns of a plot file are drawn.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Axes {
    /// The column on the horizontal axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// The column on the vertical axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// The words along the horizontal axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub x_label: Option<String>,
    /// The words along the vertical axis.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub y_label: Option<String>,
    /// The words above.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// The template it is drawn with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub template: Option<String>,
    /// Whether the first line names the columns.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub header: Option<bool>,
}

impl Axes {
    fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Self {
        Self {
            x: fields.read("x", cx, filled),
            y: fields.read("y", cx, filled),
            x_label: fields.read("x_label", cx, filled),
            y_label: fields.read("y_label", cx, filled),
            title: fields.read("title", cx, filled),
            template: fields.read("template", cx, filled),
            header: fields.optional("header", cx),
        }
    }
}

/// Reads `path` or `{path: {flags}}`; `rest` takes the keys of its own out of the flags.
fn with_flags<T: Default>(
    node: &Node,
    what: &'static str,
    cx: &mut Cx,
    rest: impl FnOnce(&mut Fields<'_>, &mut Cx) -> T,
) -> Option<(Out, T)> {
    match &node.kind {
        Kind::Text(_) => {
            let path = FilePath::decode(node, cx)?;
            let flags = OutFlags::default();
            Some((Out { path, flags }, T::default()))
        }
        Kind::Map(entries) if entries.len() == 1 => {
            let (name, value) = &entries[0];
            let as_node = Node {
                at: name.at,
                kind: Kind::Text(name.text.clone()),
            };
            let path = FilePath::decode(&as_node, cx);
            let (flags, more) = match value.kind {
                Kind::Null => (OutFlags::default(), T::default()),
                _ => cx.within(key(&name.text), |cx| {
                    let mut fields = Fields::open(value, what, cx)?;
                    let flags = OutFlags::take(&mut fields, cx);
                    let more = rest(&mut fields, cx);
                    fields.finish(cx);
                    Some((flags, more))
                })?,
            };
            Some((Out { path: path?, flags }, more))
        }
        _ => {
            cx.wrong_type(
                node,
                "a path, or one path with its flags such as \"metrics.json: {cache: false}\"",
            );
            None
        }
    }
}

impl Decode for Out {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        with_flags(node, "an out", cx, |_, _| ()).map(|(out, ())| out)
    }
}

impl Decode for Plot {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        with_flags(node, "a plot", cx, Axes::take).map(|(out, axes)| Self { out, axes })
    }
}

deserialize_by_decode!(Out, Plot);

impl Serialize for Out {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.flags == OutFlags::default() {
            return self.path.serialize(serializer);
        }
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.path, &self.flags)?;
        map.end()
    }
}

#[derive(Serialize)]
struct PlotFlags<'a> {
    #[serde(flatten)]
    flags: &'a OutFlags,
    #[serde(flatten)]
    axes: &'a Axes,
}

impl Serialize for Plot {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.axes == Axes::default() {
            return self.out.serialize(serializer);
        }
        let flags = PlotFlags {
            flags: &self.out.flags,
            axes: &self.axes,
        };
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(&self.out.path, &flags)?;
        map.end()
    }
}

fn one_path_with(flags: Schema, description: &str) -> Schema {
    json_schema!({
        "description": description,
        "anyOf": [
            {"type": "string", "minLength": 1},
            {
                "type": "object",
                "minProperties": 1,
                "maxProperties": 1,
                "additionalProperties": {"anyOf": [flags, {"type": "null"}]},
            },
        ],
    })
}

impl JsonSchema for Out {
    fn schema_name() -> Cow<'static, str> {
        "Out".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_path_with(
            generator.subschema_for::<OutFlags>(),
            "A path, or one path with its flags.",
        )
    }
}

/// The flags of a plot, for schemas only.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
#[allow(dead_code, reason = "read by the schema generator only")]
struct PlotSchema {
    #[schemars(flatten)]
    flags: OutFlags,
    #[schemars(flatten)]
    axes: Axes,
}

impl JsonSchema for Plot {
    fn schema_name() -> Cow<'static, str> {
        "Plot".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        one_path_with(
            generator.subschema_for::<PlotSchema>(),
            "A plot file, or one plot file with its flags and axes.",
        )
    }
}
