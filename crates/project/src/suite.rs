//! Check suites: what must hold of data, and of a model.
//!
//! A suite is a list of checks. Each is a mapping with one key that says what is checked, and beside it `severity`
//! and `name`. Suites stand in files of their own (`checks/flights.yaml`) or in place in the project file.

mod data;
mod model;
mod values;

pub use data::{ColumnKind, Freshness, NotNull, RowCount, SchemaCheck, SqlCheck, SqlExpect, Unique};
pub use model::{BetterThan, Fairness, Slices};
pub(crate) use model::{min_samples, one_bound};
pub use values::{Edge, InSet, MeanBounds, QuantileBounds, RangeCheck, RegexCheck, Scalar};

use crate::bounds::{LatencyBound, MetricBound};
use crate::decode::{Cx, Decode, Fields};
use crate::hints::near;
use crate::node::{Kind, Node, Step};
use crate::problem::{Invalid, Problem, ProblemKind, Problems, quoted};
use crate::scalars::{Choice, decode_choice, deserialize_by_decode, filled};
use schemars::JsonSchema;
use serde::Serialize;

/// A named list of checks.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    /// What the suite is called in reports; by default its file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// What it is for, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The checks.
    #[schemars(length(min = 1))]
    pub checks: Vec<Check>,
}

/// One check.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// What is checked.
    #[serde(flatten)]
    pub kind: CheckKind,
    /// What a failure means: `error` stops what waits for the suite, `warn` is only reported.
    #[serde(default = "default_severity")]
    pub severity: Severity,
    /// What the check is called in reports; by default a sentence made from its figures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

fn default_severity() -> Severity {
    Severity::Error
}

/// What a failed check means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// It is reported.
    Warn,
    /// It stops what waits for the suite.
    Error,
}

impl Choice for Severity {
    const WHAT: &'static str = "severity";
    const ALL: &'static [Self] = &[Self::Error, Self::Warn];
}

decode_choice!(Severity);
deserialize_by_decode!(Suite, Check);

/// What is checked. The first eleven are about data, the others about a model.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckKind {
    /// The number of rows lies within bounds.
    RowCount(RowCount),
    /// The columns and their types are as expected.
    Schema(SchemaCheck),
    /// A column has values.
    NotNull(NotNull),
    /// No two rows agree in all these columns.
    Unique(Unique),
    /// The values of a column lie within bounds; missing values are not counted.
    Range(RangeCheck),
    /// The values of a column come from a set; missing values are not counted.
    InSet(InSet),
    /// The texts of a column match a regular expression; missing values are not counted.
    Regex(RegexCheck),
    /// The newest row is recent.
    Freshness(Freshness),
    /// The mean of a column lies within bounds.
    Mean(MeanBounds),
    /// A quantile of a column lies within bounds.
    Quantile(QuantileBounds),
    /// A query over the table `data` says that all is well.
    Sql(SqlCheck),
    /// A metric keeps a bound: `metric: auc >= 0.68`.
    Metric(MetricBound),
    /// A metric keeps a bound on each slice of the rows.
    Slices(Slices),
    /// Predictions are fast enough: `latency: p99 <= 5ms`.
    Latency(LatencyBound),
    /// Groups of people are treated alike.
    Fairness(Fairness),
    /// A metric is better than that of another version on the same rows.
    #[serde(untagged)]
    BetterThan(BetterThan),
}

/// What a suite is held against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A dataset version or a window of traffic.
    Data,
    /// A model version, with rows whose labels are known.
    Model,
    /// Either.
    Any,
}

const DATA: [&str; 11] = [
    "row_count",
    "schema",
    "not_null",
    "unique",
    "range",
    "in_set",
    "regex",
    "freshness",
    "mean",
    "quantile",
    "sql",
];
const MODEL: [&str; 5] = ["metric", "better_than", "slices", "latency", "fairness"];

impl CheckKind {
    /// The key that says what is checked: `row_count`, `metric`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::RowCount(_) => "row_count",
            Self::Schema(_) => "schema",
            Self::NotNull(_) => "not_null",
            Self::Unique(_) => "unique",
            Self::Range(_) => "range",
            Self::InSet(_) => "in_set",
            Self::Regex(_) => "regex",
            Self::Freshness(_) => "freshness",
            Self::Mean(_) => "mean",
            Self::Quantile(_) => "quantile",
            Self::Sql(_) => "sql",
            Self::Metric(_) => "metric",
            Self::Slices(_) => "slices",
            Self::Latency(_) => "latency",
            Self::Fairness(_) => "fairness",
            Self::BetterThan(_) => "better_than",
        }
    }

    /// Whether it is about data or about a model.
    #[must_use]
    pub fn scope(&self) -> Scope {
        if DATA.contains(&self.key()) {
            Scope::Data
        } else {
            Scope::Model
        }
    }
}

impl Scope {
    fn keys(self) -> Vec<&'static str> {
        match self {
            Self::Data => DATA.to_vec(),
            Self::Model => MODEL.to_vec(),
            Self::Any => DATA.into_iter().chain(MODEL).collect(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Model => "a model",
            Self::Any => "data or a model",
        }
    }
}

impl Suite {
    /// Reads a suite file; `file` is what problems call it.
    ///
    /// # Errors
    /// With everything that is wrong with the file, checks that don't fit `scope` included.
    pub fn parse(file: &str, bytes: &[u8], scope: Scope) -> Result<Self, Invalid> {
        let mut problems = Problems::default();
        match crate::yaml::read(bytes) {
            Err(problem) => {
                problems.push(*problem);
                problems.into_result(file, None)
            }
            Ok(node) => {
                let mut cx = Cx::default();
                let suite = Self::read(&node, scope, &mut cx);
                cx.finish(file, suite)
            }
        }
    }

    fn read(node: &Node, scope: Scope, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "a suite", cx)?;
        let name = fields.read("name", cx, filled);
        let description = fields.read("description", cx, filled);
        let checks = fields.require("checks", "a list of checks", cx, |node, cx| {
            inline_checks(node, scope, cx)
        });
        fields.finish(cx);
        Some(Self {
            name,
            description,
            checks: checks?,
        })
    }
}

impl Decode for Suite {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        Self::read(node, Scope::Any, cx)
    }
}

impl Decode for Check {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        match read_check(node, Scope::Any, cx)?.as_slice() {
            [one] => Some(one.clone()),
            _ => {
                cx.bad_value(node, "several columns", "a check of one column");
                None
            }
        }
    }
}

/// Reads a list of checks. A check over several columns becomes one check for each.
pub(crate) fn inline_checks(node: &Node, scope: Scope, cx: &mut Cx) -> Option<Vec<Check>> {
    let Kind::List(items) = &node.kind else {
        cx.wrong_type(node, "a list of checks");
        return None;
    };
    if items.is_empty() {
        cx.bad_value(node, "no check", "at least one check");
        return None;
    }
    let before = cx.count();
    let mut checks = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        checks.extend(
            cx.within(Step::Index(index), |cx| read_check(item, scope, cx))
                .unwrap_or_default(),
        );
        if cx.is_full() {
            return None;
        }
    }
    (cx.count() == before).then_some(checks)
}

fn read_check(node: &Node, scope: Scope, cx: &mut Cx) -> Option<Vec<Check>> {
    let mut fields = Fields::open(node, "a check", cx)?;
    let severity = fields.or("severity", Severity::Error, cx);
    let name = fields.read("name", cx, filled);
    let key = which(node, scope, cx)?;
    let kinds = read_kind(key, &mut fields, node, cx);
    fields.finish(cx);
    let kinds = kinds?;
    let several = kinds.len() > 1;
    let named = |kind: &CheckKind| match (&name, several, kind.column()) {
        (Some(name), true, Some(column)) => Some(format!("{name} ({column})")),
        _ => name.clone(),
    };
    Some(
        kinds
            .into_iter()
            .map(|kind| Check {
                name: named(&kind),
                kind,
                severity,
            })
            .collect(),
    )
}

/// The one key that says what is checked.
fn which(node: &Node, scope: Scope, cx: &mut Cx) -> Option<&'static str> {
    let Kind::Map(entries) = &node.kind else {
        return None;
    };
    let all = Scope::Any.keys();
    let is_side = |text: &str| matches!(text, "severity" | "name");
    let mut present: Vec<&'static str> = all
        .iter()
        .copied()
        .filter(|key| node.get(key).is_some())
        .collect();
    if present.contains(&"better_than") {
        // Beside it `metric` is only its argument.
        present.retain(|key| *key != "metric");
    }
    let allowed = scope.keys();
    let expected = format!("one of \"{}\"", allowed.join("\", \""));
    match present.as_slice() {
        [one] if allowed.contains(one) => return Some(one),
        [one] => {
            let at = node.locate(&[crate::decode::key(one)]);
            cx.push(
                Problem::new(
                    ProblemKind::BadValue,
                    at,
                    format!("not a check of {}", scope.word()),
                )
                .found(quoted(one))
                .expected(expected),
            );
        }
        [] => {
            let stranger = entries.iter().find(|(key, _)| !is_side(&key.text));
            let (at, found) = stranger.map_or((node.at, "nothing".to_owned()), |(key, _)| {
                (key.at, quoted(&key.text))
            });
            let near = stranger.and_then(|(key, _)| near(&key.text, allowed.iter().copied()));
            cx.push(
                Problem::new(ProblemKind::UnknownKey, at, "unknown check")
                    .found(found)
                    .expected(expected)
                    .maybe_hint(near.map(|near| format!("did you mean \"{near}\"?"))),
            );
        }
        several => cx.push(
            Problem::new(ProblemKind::BadValue, node.at, "several checks in one")
                .found(several.join(" and "))
                .expected("one check in each item of the list")
                .hint("begin each with a \"-\" of its own"),
        ),
    }
    None
}

fn read_kind(key: &'static str, fields: &mut Fields<'_>, node: &Node, cx: &mut Cx) -> Option<Vec<CheckKind>> {
    let one = |kind: CheckKind| vec![kind];
    match key {
        "row_count" => fields.optional(key, cx).map(CheckKind::RowCount).map(one),
        "schema" => fields.optional(key, cx).map(CheckKind::Schema).map(one),
        "not_null" => fields.read(key, cx, data::not_null),
        "unique" => fields.optional(key, cx).map(CheckKind::Unique).map(one),
        "range" => fields.read(key, cx, values::range),
        "in_set" => fields.read(key, cx, values::in_set),
        "regex" => fields.read(key, cx, values::regex),
        "freshness" => fields.optional(key, cx).map(CheckKind::Freshness).map(one),
        "mean" => fields.read(key, cx, values::mean),
        "quantile" => fields.read(key, cx, values::quantile),
        "sql" => fields.optional(key, cx).map(CheckKind::Sql).map(one),
        "metric" => fields.optional(key, cx).map(CheckKind::Metric).map(one),
        "better_than" => BetterThan::take(fields, cx).map(CheckKind::BetterThan).map(one),
        "slices" => fields.optional(key, cx).map(CheckKind::Slices).map(one),
        "latency" => fields.optional(key, cx).map(CheckKind::Latency).map(one),
        _ => fields.optional(key, cx).map(CheckKind::Fairness).map(one),
    }
    .or_else(|| {
        if node.get(key).is_some_and(|value| value.kind == Kind::Null) {
            cx.bad_value(node, "a check without figures", "what must hold");
        }
        None
    })
}

impl CheckKind {
    /// The one column it looks at, when there is one.
    #[must_use]
    pub fn column(&self) -> Option<&everloop_core::ColumnName> {
        match self {
            Self::NotNull(check) => Some(&check.column),
            Self::Range(check) => Some(&check.column),
            Self::InSet(check) => Some(&check.column),
            Self::Regex(check) => Some(&check.column),
            Self::Mean(check) => Some(&check.column),
            Self::Quantile(check) => Some(&check.column),
            Self::Freshness(check) => check.column.as_ref(),
            Self::RowCount(_)
            | Self::Schema(_)
            | Self::Unique(_)
            | Self::Sql(_)
            | Self::Metric(_)
            | Self::Slices(_)
            | Self::Latency(_)
            | Self::Fairness(_)
            | Self::BetterThan(_) => None,
        }
    }
}
