//! Checks of the values of one column: ranges, sets, patterns, means, quantiles.

use super::CheckKind;
use super::data::{all, check_bounds, some_columns};
use crate::datasets::OneOrMany;
use crate::decode::{Cx, Decode, Fields};
use crate::limits;
use crate::node::{Kind, Node};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{filled, number};
use crate::units::Share;
use everloop_core::{ColumnName, Timestamp};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use std::borrow::Cow;

/// One end of a range: a number, or a moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Edge {
    /// A number.
    Number(f64),
    /// A moment, for columns of dates and times. Written in RFC 3339, or as a day: `2013-01-01`.
    Time(Timestamp),
}

impl Decode for Edge {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const EXPECTED: &str = "a number, a day such as 2013-01-01, or a moment such as 2013-01-01T00:00:00Z";
        let Kind::Text(text) = &node.kind else {
            return number(node, EXPECTED, cx, |_| true).map(Self::Number);
        };
        let moment = Timestamp::parse_rfc3339(text)
            .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}T00:00:00Z")));
        match moment {
            Ok(moment) => Some(Self::Time(moment)),
            Err(_) => {
                cx.bad_value(node, "not a bound", EXPECTED);
                None
            }
        }
    }
}

impl Serialize for Edge {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Number(value) => value.serialize(serializer),
            Self::Time(at) => serializer.collect_str(at),
        }
    }
}

impl JsonSchema for Edge {
    fn schema_name() -> Cow<'static, str> {
        "Edge".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A number, a day such as 2013-01-01, or a moment such as 2013-01-01T00:00:00Z.",
            "type": ["number", "string"],
            "pattern": r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].*)?$",
        })
    }
}

/// Values within bounds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RangeCheck {
    /// The column; a list makes one check for each.
    #[schemars(with = "OneOrMany<String>")]
    pub column: ColumnName,
    /// The least it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<Edge>,
    /// The most it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<Edge>,
    /// The share of values that must lie within.
    #[serde(default = "all")]
    pub mostly: Share,
}

pub(super) fn range(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let before = cx.count();
    let mut fields = Fields::open(node, "range", cx)?;
    let columns = some_columns(&mut fields, cx);
    let min: Option<Edge> = fields.optional("min", cx);
    let max: Option<Edge> = fields.optional("max", cx);
    let mostly = fields.or("mostly", Share::ALL, cx);
    fields.finish(cx);
    let ordered = match (min, max) {
        (Some(Edge::Number(min)), Some(Edge::Number(max))) => min <= max,
        (Some(Edge::Time(min)), Some(Edge::Time(max))) => min <= max,
        (Some(_), Some(_)) => {
            cx.bad_value(node, "min and max differ in kind", "two numbers or two moments");
            return None;
        }
        _ => true,
    };
    check_bounds(node, min.is_some() || max.is_some(), ordered, before, cx)?;
    let check = |column| {
        CheckKind::Range(RangeCheck {
            column,
            min,
            max,
            mostly,
        })
    };
    Some(columns?.into_iter().map(check).collect())
}

/// One value of a set.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Scalar {
    /// True or false.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// A real number.
    Float(f64),
    /// A text.
    Text(String),
}

impl Decode for Scalar {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match &node.kind {
            Kind::Bool(value) => Some(Self::Bool(*value)),
            Kind::Text(text) => Some(Self::Text(text.clone())),
            Kind::Float(value) if value.is_finite() => Some(Self::Float(*value)),
            Kind::Int(value) => match i64::try_from(*value) {
                Ok(value) => Some(Self::Int(value)),
                Err(_) => {
                    cx.bad_value(node, "number out of range", "a whole number of at most 64 bits");
                    None
                }
            },
            _ => {
                cx.wrong_type(node, "a text, a number, true or false");
                None
            }
        }
    }
}

/// Values from a set.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct InSet {
    /// The column; a list makes one check for each.
    #[schemars(with = "OneOrMany<String>")]
    pub column: ColumnName,
    /// The values it may take.
    #[schemars(length(min = 1))]
    pub values: Vec<Scalar>,
    /// The share of values that must be among them.
    #[serde(default = "all")]
    pub mostly: Share,
}

pub(super) fn in_set(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let mut fields = Fields::open(node, "in_set", cx)?;
    let columns = some_columns(&mut fields, cx);
    let values = fields.require("values", "a list of values", cx, |node, cx| {
        let values: Vec<Scalar> = crate::decode::list(node, cx)?;
        if values.is_empty() {
            cx.bad_value(node, "no value", "at least one value");
            return None;
        }
        Some(values)
    });
    let mostly = fields.or("mostly", Share::ALL, cx);
    fields.finish(cx);
    let (columns, values) = (columns?, values?);
    let check = |column| {
        CheckKind::InSet(InSet {
            column,
            values: values.clone(),
            mostly,
        })
    };
    Some(columns.into_iter().map(check).collect())
}

/// Texts that match.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegexCheck {
    /// The column; a list makes one check for each.
    #[schemars(with = "OneOrMany<String>")]
    pub column: ColumnName,
    /// The regular expression, of Rust's `regex` crate (linear time; no look-around). It may match anywhere in the
    /// text; anchor it with `^` and `$`.
    #[schemars(length(min = 1, max = 1000))]
    pub pattern: String,
    /// The share of texts that must match.
    #[serde(default = "all")]
    pub mostly: Share,
}

pub(super) fn regex(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let mut fields = Fields::open(node, "regex", cx)?;
    let columns = some_columns(&mut fields, cx);
    let pattern = fields.require("pattern", "a regular expression", cx, pattern);
    let mostly = fields.or("mostly", Share::ALL, cx);
    fields.finish(cx);
    let (columns, pattern) = (columns?, pattern?);
    let check = |column| {
        CheckKind::Regex(RegexCheck {
            column,
            pattern: pattern.clone(),
            mostly,
        })
    };
    Some(columns.into_iter().map(check).collect())
}

fn pattern(node: &Node, cx: &mut Cx) -> Option<String> {
    let text = filled(node, cx)?;
    let reason = if text.len() > limits::REGEX {
        format!("it is longer than {} bytes", limits::REGEX)
    } else {
        let built = regex::RegexBuilder::new(&text)
            .size_limit(limits::REGEX_COMPILED)
            .nest_limit(50)
            .build();
        match built {
            Ok(_) => return Some(text),
            // The library draws a picture over several lines; its last line says what is wrong.
            Err(error) => error
                .to_string()
                .lines()
                .last()
                .unwrap_or_default()
                .trim()
                .to_owned(),
        }
    };
    let reason = reason.trim_start_matches("error: ");
    cx.push(
        Problem::new(ProblemKind::BadValue, node.at, "not a valid regular expression")
            .found(format!("{} ({reason})", quoted(&text)))
            .expected("a regular expression such as ^[A-Z]{3}$"),
    );
    None
}

/// Bounds on a mean; at least one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MeanBounds {
    /// The column; a list makes one check for each.
    #[schemars(with = "OneOrMany<String>")]
    pub column: ColumnName,
    /// The least the mean may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most the mean may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

/// Bounds on a quantile; at least one.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct QuantileBounds {
    /// The column; a list makes one check for each.
    #[schemars(with = "OneOrMany<String>")]
    pub column: ColumnName,
    /// Which quantile: 0.5 is the median.
    #[schemars(range(min = 0, max = 1))]
    pub q: f64,
    /// The least it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
}

fn number_bounds(fields: &mut Fields<'_>, cx: &mut Cx) -> (Option<f64>, Option<f64>) {
    let any = |node: &Node, cx: &mut Cx| number(node, "a number", cx, |_| true);
    (fields.read("min", cx, any), fields.read("max", cx, any))
}

pub(super) fn mean(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let before = cx.count();
    let mut fields = Fields::open(node, "mean", cx)?;
    let columns = some_columns(&mut fields, cx);
    let (min, max) = number_bounds(&mut fields, cx);
    fields.finish(cx);
    let ordered = min.zip(max).is_none_or(|(min, max)| min <= max);
    check_bounds(node, min.is_some() || max.is_some(), ordered, before, cx)?;
    let check = |column| CheckKind::Mean(MeanBounds { column, min, max });
    Some(columns?.into_iter().map(check).collect())
}

pub(super) fn quantile(node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let before = cx.count();
    let mut fields = Fields::open(node, "quantile", cx)?;
    let columns = some_columns(&mut fields, cx);
    let q = fields.require("q", "a number between 0 and 1", cx, |node, cx| {
        number(node, "a number between 0 and 1", cx, |q| (0.0..=1.0).contains(&q))
    });
    let (min, max) = number_bounds(&mut fields, cx);
    fields.finish(cx);
    let ordered = min.zip(max).is_none_or(|(min, max)| min <= max);
    check_bounds(node, min.is_some() || max.is_some(), ordered, before, cx)?;
    let q = q?;
    let check = |column| CheckKind::Quantile(QuantileBounds { column, q, min, max });
    Some(columns?.into_iter().map(check).collect())
}
