//! `model:` — the registered model that the project keeps good, and the gates before it is released.

use crate::bounds::{LatencyBound, MetricBound};
use crate::datasets::SuiteRef;
use crate::decode::{Cx, Decode, Fields, list};
use crate::hints::near;
use crate::metric::Task;
use crate::node::{Kind, Node};
use crate::paths::{FilePath, Source};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{Choice, decode_choice, deserialize_by_decode, filled};
use crate::suite::{BetterThan, Scope};
use everloop_core::{ColumnName, ModelName};
use schemars::JsonSchema;
use serde::Serialize;

/// The registered model: where its versions come from, and what a version must pass before it serves.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Model {
    /// Its name in the registry.
    #[schemars(with = "String")]
    pub name: ModelName,
    /// The out of a stage that becomes a new version: a file, or an MLflow model folder.
    pub from: FilePath,
    /// What it predicts.
    pub task: Task,
    /// Rows with known labels on which gates judge it and compare it: a dataset or a file. By default those of the
    /// stage that evaluates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub test: Option<Source>,
    /// The column of those rows that holds the truth. By default that of the stage that trains or evaluates it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub target: Option<ColumnName>,
    /// What a version must pass, in order; the first that fails ends it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gates: Vec<Gate>,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
}

/// One thing that a version must pass before it is released.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Gate {
    /// A metric keeps a bound: `metric: auc >= 0.68`.
    Metric(MetricBound),
    /// A suite of model checks: a file, or a list of checks.
    Checks(SuiteRef),
    /// Predictions are fast enough: `latency: p99 <= 5ms`.
    Latency(LatencyBound),
    /// A person says yes.
    Approval(Approval),
    /// A metric is better than that of another version on the same rows.
    #[serde(untagged)]
    BetterThan(BetterThan),
}

/// A person says yes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// The role that the person must have.
    #[serde(default = "default_role")]
    pub role: String,
    /// When a person is asked.
    #[serde(default = "default_when")]
    pub when: ApprovalWhen,
}

fn default_role() -> String {
    "approver".to_owned()
}

fn default_when() -> ApprovalWhen {
    ApprovalWhen::Always
}

/// When a person is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ApprovalWhen {
    /// For every version.
    Always,
    /// Only where an endpoint answers for the model: before the version that serves is replaced.
    Production,
}

impl Choice for ApprovalWhen {
    const WHAT: &'static str = "occasion";
    const ALL: &'static [Self] = &[Self::Always, Self::Production];
}

decode_choice!(ApprovalWhen);
deserialize_by_decode!(Model, Gate, Approval);

impl Decode for Model {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "model", cx)?;
        let name = fields.required("name", "the model's name in the registry", cx);
        let from = fields.required("from", "the out of a stage, such as model.onnx", cx);
        let task = fields.required("task", "classification or regression", cx);
        let test = fields.optional("test", cx);
        let target = fields.optional("target", cx);
        let gates = fields.read("gates", cx, list).unwrap_or_default();
        let description = fields.read("description", cx, filled);
        fields.finish(cx);
        Some(Self {
            name: name?,
            from: from?,
            task: task?,
            test,
            target,
            gates,
            description,
        })
    }
}

const GATES: [&str; 5] = ["metric", "better_than", "checks", "latency", "approval"];

impl Gate {
    /// The key that says what it is: `metric`, `better_than`.
    #[must_use]
    pub fn key(&self) -> &'static str {
        match self {
            Self::Metric(_) => "metric",
            Self::BetterThan(_) => "better_than",
            Self::Checks(_) => "checks",
            Self::Latency(_) => "latency",
            Self::Approval(_) => "approval",
        }
    }
}

impl Decode for Gate {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "a gate", cx)?;
        let mut present: Vec<&str> = GATES.into_iter().filter(|name| fields.has(name)).collect();
        if present.contains(&"better_than") {
            // Beside it `metric` is only its argument.
            present.retain(|name| *name != "metric");
        }
        let gate = match present.as_slice() {
            ["metric"] => fields.optional("metric", cx).map(Self::Metric),
            ["better_than"] => BetterThan::take(&mut fields, cx).map(Self::BetterThan),
            ["checks"] => fields
                .read("checks", cx, |node, cx| SuiteRef::read(node, Scope::Model, cx))
                .map(Self::Checks),
            ["latency"] => fields.optional("latency", cx).map(Self::Latency),
            ["approval"] => fields.optional("approval", cx).map(Self::Approval),
            other => {
                not_one_gate(node, other, cx);
                return None;
            }
        };
        fields.finish(cx);
        gate
    }
}

fn not_one_gate(node: &Node, present: &[&str], cx: &mut Cx) {
    let expected = format!("one of \"{}\"", GATES.join("\", \""));
    if present.is_empty() {
        let stranger = match &node.kind {
            Kind::Map(entries) => entries.first(),
            _ => None,
        };
        let (at, found) = stranger.map_or((node.at, "nothing".to_owned()), |(key, _)| {
            (key.at, quoted(&key.text))
        });
        let near = stranger.and_then(|(key, _)| near(&key.text, GATES));
        cx.push(
            Problem::new(ProblemKind::UnknownKey, at, "unknown gate")
                .found(found)
                .expected(expected)
                .maybe_hint(near.map(|near| format!("did you mean \"{near}\"?"))),
        );
        return;
    }
    cx.push(
        Problem::new(ProblemKind::BadValue, node.at, "several gates in one")
            .found(present.join(" and "))
            .expected("one gate in each item of the list")
            .hint("begin each with a \"-\" of its own"),
    );
}

impl Decode for Approval {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "approval", cx)?;
        let role = fields.read("role", cx, filled).unwrap_or_else(default_role);
        let when = fields.or("when", ApprovalWhen::Always, cx);
        fields.finish(cx);
        Some(Self { role, when })
    }
}
