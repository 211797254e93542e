//! Checks of data: a dataset version, or a window of traffic.

use super::CheckKind;
use crate::decode::{Cx, Decode, Fields};
use crate::node::{Kind, Node};
use crate::scalars::{Choice, decode_choice, filled, whole};
use crate::units::{Share, Span};
use everloop_core::ColumnName;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Bounds on a number of rows; at least one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RowCount {
    /// At least so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<u64>,
    /// At most so many.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<u64>,
}

impl Decode for RowCount {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const MOST: u64 = 1 << 53;
        let before = cx.count();
        let mut fields = Fields::open(node, "row_count", cx)?;
        let min = fields.read("min", cx, |node, cx| whole(node, 0, MOST, cx));
        let max = fields.read("max", cx, |node, cx| whole(node, 0, MOST, cx));
        fields.finish(cx);
        let ordered = min.zip(max).is_none_or(|(min, max)| min <= max);
        check_bounds(node, min.is_some() || max.is_some(), ordered, before, cx)?;
        Some(Self { min, max })
    }
}

/// Reports bounds that are missing or crossed, unless something else was already wrong with them.
pub(super) fn check_bounds(node: &Node, some: bool, ordered: bool, before: usize, cx: &mut Cx) -> Option<()> {
    if cx.count() > before {
        return None;
    }
    if !some {
        cx.bad_value(node, "no bound", "min, max or both");
        return None;
    }
    if !ordered {
        cx.bad_value(node, "min is above max", "a min that is at most max");
        return None;
    }
    Some(())
}

/// The columns of a table.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SchemaCheck {
    /// The columns that must be there, with their types; or a list of their names.
    #[schemars(schema_with = "columns_schema")]
    pub columns: BTreeMap<ColumnName, ColumnKind>,
    /// Whether there may be no others.
    #[serde(default)]
    pub exact: bool,
}

fn columns_schema(generator: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "anyOf": [
            {"type": "object", "additionalProperties": generator.subschema_for::<ColumnKind>(), "minProperties": 1},
            {"type": "array", "items": {"type": "string"}, "minItems": 1},
        ],
    })
}

/// What a column holds, whatever its width.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ColumnKind {
    /// Whatever it is.
    Any,
    /// Whole numbers of any width.
    Int,
    /// Real numbers of any width.
    Float,
    /// Whole or real numbers.
    Number,
    /// True or false.
    Bool,
    /// Texts, dictionary-encoded or not.
    Text,
    /// Moments.
    Timestamp,
    /// Days.
    Date,
}

impl Choice for ColumnKind {
    const WHAT: &'static str = "column type";
    const ALL: &'static [Self] = &[
        Self::Any,
        Self::Int,
        Self::Float,
        Self::Number,
        Self::Bool,
        Self::Text,
        Self::Timestamp,
        Self::Date,
    ];
}

decode_choice!(ColumnKind, SqlExpect);

impl Decode for SchemaCheck {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "schema", cx)?;
        let columns = fields.require("columns", "columns with their types", cx, columns);
        let exact = fields.or("exact", false, cx);
        fields.finish(cx);
        Some(Self {
            columns: columns?,
            exact,
        })
    }
}

fn columns(node: &Node, cx: &mut Cx) -> Option<BTreeMap<ColumnName, ColumnKind>> {
    let columns: BTreeMap<ColumnName, ColumnKind> = match &node.kind {
        Kind::List(_) => {
            let names: Vec<ColumnName> = crate::decode::list(node, cx)?;
            names.into_iter().map(|name| (name, ColumnKind::Any)).collect()
        }
        Kind::Map(_) => crate::decode::map(
            node,
            "column types",
            cx,
            |name| ColumnName::new(name),
            ColumnKind::decode,
        )?,
        _ => {
            cx.wrong_type(node, "a mapping from columns to types, or a list of columns");
            return None;
        }
    };
    if columns.is_empty() {
        cx.bad_value(node, "no column", "at least one column");
        return None;
    }
    Some(columns)
}

/// A column that has values.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct NotNull {
    /// The column.
    pub column: ColumnName,
    /// The share of rows that must have a value. (In a file also as `max_share`, the share that may be missing.)
    pub mostly: Share,
}

pub(super) fn all() -> Share {
    Share::ALL
}

impl JsonSchema for NotNull {
    fn schema_name() -> Cow<'static, str> {
        "NotNull".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let share = generator.subschema_for::<Share>();
        json_schema!({
            "type": "object",
            "properties": {
                "column": {
                    "description": "The column; a list makes one check for each.",
                    "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
                },
                "mostly": {"description": "The share of rows that must have a value.", "allOf": [share]},
                "max_share": {"description": "The share of rows that may have none.", "allOf": [share]},
            },
            "required": ["column"],
            "additionalProperties": false,
            "not": {"required": ["mostly", "max_share"]},
        })
    }
}

pub(super) fn not_null(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let mut fields = Fields::open(node, "not_null", cx)?;
    let columns = some_columns(&mut fields, cx);
    let mostly: Option<Share> = fields.optional("mostly", cx);
    let max_share: Option<Share> = fields.optional("max_share", cx);
    fields.finish(cx);
    if mostly.is_some() && max_share.is_some() {
        cx.bad_value(node, "mostly and max_share say the same", "one of the two");
        return None;
    }
    let mostly = mostly.or(max_share.map(Share::complement)).unwrap_or(Share::ALL);
    let kinds = columns?
        .into_iter()
        .map(|column| CheckKind::NotNull(NotNull { column, mostly }));
    Some(kinds.collect())
}

/// `column: a` or `column: [a, b]`.
pub(super) fn some_columns(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Vec<ColumnName>> {
    fields.require(
        "column",
        "the name of a column, or a list of them",
        cx,
        |node, cx| {
            let columns = crate::decode::one_or_many(node, cx)?;
            if columns.is_empty() {
                cx.bad_value(node, "no column", "at least one column");
                return None;
            }
            Some(columns)
        },
    )
}

/// Columns that together name a row.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Unique {
    /// The columns.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub columns: Vec<ColumnName>,
}

impl Decode for Unique {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "unique", cx)?;
        let columns = fields.require("columns", "a list of columns", cx, |node, cx| {
            let columns: Vec<ColumnName> = crate::decode::list(node, cx)?;
            if columns.is_empty() {
                cx.bad_value(node, "no column", "at least one column");
                return None;
            }
            Some(columns)
        });
        fields.finish(cx);
        Some(Self { columns: columns? })
    }
}

/// The newest row is recent.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Freshness {
    /// The column of moments; by default the dataset's `time`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub column: Option<ColumnName>,
    /// How old the newest row may be.
    pub max_age: Span,
}

impl Decode for Freshness {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "freshness", cx)?;
        let column = fields.optional("column", cx);
        let max_age = fields.required("max_age", "a span of time such as 2d", cx);
        fields.finish(cx);
        Some(Self {
            column,
            max_age: max_age?,
        })
    }
}

/// A query over the table `data`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SqlCheck {
    /// The query; it calls the checked rows `data`.
    pub query: String,
    /// What its answer must be.
    pub expect: SqlExpect,
}

/// What the answer of a query must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum SqlExpect {
    /// No row at all: the query looks for bad ones.
    NoRows,
    /// One row with one value, which is true.
    IsTrue,
}

impl Choice for SqlExpect {
    const WHAT: &'static str = "expectation";
    const ALL: &'static [Self] = &[Self::NoRows, Self::IsTrue];
}

impl Decode for SqlCheck {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        if let Kind::Text(_) = node.kind {
            let query = filled(node, cx)?;
            let expect = SqlExpect::NoRows;
            return Some(Self { query, expect });
        }
        let mut fields = Fields::open(node, "sql", cx)?;
        let query = fields.require("query", "a query over the table \"data\"", cx, filled);
        let expect = fields.or("expect", SqlExpect::NoRows, cx);
        fields.finish(cx);
        Some(Self {
            query: query?,
            expect,
        })
    }
}

impl JsonSchema for SqlCheck {
    fn schema_name() -> Cow<'static, str> {
        "SqlCheck".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A query over the table \"data\" that finds bad rows, or a query and what its answer must be.",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {
                    "type": "object",
                    "properties": {
                        "query": {"type": "string", "minLength": 1, "description": "The query; it calls the checked rows \"data\"."},
                        "expect": generator.subschema_for::<SqlExpect>(),
                    },
                    "required": ["query"],
                    "additionalProperties": false,
                },
            ],
        })
    }
}
