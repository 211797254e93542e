//! `datasets:` — the tables and folders that a project keeps versions of.

use crate::decode::{Cx, Decode, Fields};
use crate::node::{Kind, Node};
use crate::paths::{DataPath, FilePath};
use crate::problem::{Problem, ProblemKind};
use crate::scalars::{Choice, decode_choice, deserialize_by_decode, filled};
use crate::suite::{Check, Scope, inline_checks};
use everloop_core::ColumnName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// A dataset: files that are one table (or a folder of anything), kept in immutable versions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Dataset {
    /// The files: one or several paths or globs, beneath the project's folder or in an object store.
    #[schemars(with = "OneOrMany<DataPath>")]
    pub path: Vec<DataPath>,
    /// The column that says when each row happened; windows and freshness go by it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub time: Option<ColumnName>,
    /// The columns that name a row: labels that come later are joined by them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany<String>")]
    pub key: Vec<ColumnName>,
    /// How the files are written; by default their endings say it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub format: Option<Format>,
    /// Whether new or changed files make a new version by themselves.
    #[serde(default)]
    pub watch: bool,
    /// Checks that each new version must pass: a suite file, or a list of checks right here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checks: Option<SuiteRef>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// How the files of a table are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Format {
    /// Apache Parquet.
    Parquet,
    /// Comma-separated values with a header line.
    Csv,
    /// One JSON object a line.
    Jsonl,
    /// Apache Arrow IPC files.
    Arrow,
}

impl Choice for Format {
    const WHAT: &'static str = "format";
    const ALL: &'static [Self] = &[Self::Parquet, Self::Csv, Self::Jsonl, Self::Arrow];
}

decode_choice!(Format);
deserialize_by_decode!(Dataset, SuiteRef);

impl Format {
    /// The format that a file's ending names.
    #[must_use]
    pub fn of_extension(extension: &str) -> Option<Self> {
        match extension {
            "parquet" | "pq" => Some(Self::Parquet),
            "csv" => Some(Self::Csv),
            "jsonl" | "ndjson" => Some(Self::Jsonl),
            "arrow" | "ipc" | "feather" => Some(Self::Arrow),
            _ => None,
        }
    }
}

impl Decode for Dataset {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "a dataset", cx)?;
        let path = fields.require("path", "a file, folder or glob", cx, paths);
        let dataset = Self {
            path: Vec::new(),
            time: fields.optional("time", cx),
            key: fields.one_or_many("key", cx),
            format: fields.optional("format", cx),
            watch: fields.or("watch", false, cx),
            checks: fields.read("checks", cx, |node, cx| SuiteRef::read(node, Scope::Data, cx)),
            description: fields.read("description", cx, filled),
        };
        fields.finish(cx);
        Some(Self {
            path: path?,
            ..dataset
        })
    }
}

fn paths(node: &Node, cx: &mut Cx) -> Option<Vec<DataPath>> {
    let paths = crate::decode::one_or_many(node, cx)?;
    if paths.is_empty() {
        cx.bad_value(node, "no path", "at least one file, folder or glob");
        return None;
    }
    Some(paths)
}

/// Checks by reference or in place.
#[derive(Debug, Clone, PartialEq)]
pub enum SuiteRef {
    /// A suite in a file of its own.
    File(FilePath),
    /// The checks themselves.
    Inline(Vec<Check>),
}

impl SuiteRef {
    /// Reads a suite whose checks must be of `scope`.
    pub(crate) fn read(node: &Node, scope: Scope, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::List(_) => inline_checks(node, scope, cx).map(Self::Inline),
            Kind::Text(_) => FilePath::decode(node, cx).map(Self::File),
            _ => {
                cx.push(
                    Problem::new(ProblemKind::WrongType, node.at, "wrong type")
                        .found(node.describe())
                        .expected("the path of a suite file, or a list of checks"),
                );
                None
            }
        }
    }

    /// The suite file, when it is one.
    #[must_use]
    pub fn file(&self) -> Option<&FilePath> {
        match self {
            Self::File(path) => Some(path),
            Self::Inline(_) => None,
        }
    }
}

impl Decode for SuiteRef {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        Self::read(node, Scope::Any, cx)
    }
}

impl Serialize for SuiteRef {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::File(path) => path.serialize(serializer),
            Self::Inline(checks) => checks.serialize(serializer),
        }
    }
}

impl JsonSchema for SuiteRef {
    fn schema_name() -> Cow<'static, str> {
        "SuiteRef".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "The path of a suite file, or a list of checks.",
            "anyOf": [generator.subschema_for::<FilePath>(), generator.subschema_for::<Vec<Check>>()],
        })
    }
}

/// One value or a list of them, for schemas only.
pub(crate) struct OneOrMany<T>(std::marker::PhantomData<T>);

impl<T: JsonSchema> JsonSchema for OneOrMany<T> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        format!("OneOrMany{}", T::schema_name()).into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "anyOf": [generator.subschema_for::<T>(), generator.subschema_for::<Vec<T>>()],
        })
    }
}
