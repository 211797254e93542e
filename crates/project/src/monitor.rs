//! `monitor:` — the standing watch over what the endpoint sees and answers.

use crate::counts::{Confirm, Reference, Window};
use crate::datasets::SuiteRef;
use crate::decode::{Cx, Decode, Fields, list};
use crate::metric::Metric;
use crate::node::Node;
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{Choice, decode_choice, deserialize_by_decode, number};
use crate::suite::{Scope, min_samples, one_bound};
use crate::units::{Share, Span};
use everloop_core::ColumnName;
use schemars::JsonSchema;
use serde::Serialize;

/// The standing watch over the endpoint: at least one of drift, performance and quality.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Monitor {
    /// The slice of traffic that is judged at once: a span of event time, or a number of rows.
    pub window: Window,
    /// Whether the inputs and the predictions still look as they did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drift: Option<Drift>,
    /// Whether the predictions are still right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub performance: Option<Performance>,
    /// Checks that each window of inputs must pass: a suite file, or a list of checks.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<SuiteRef>,
}

/// Whether the inputs and the predictions still look as they did.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Drift {
    /// What a window is compared with.
    #[serde(default = "default_reference")]
    pub reference: Reference,
    /// The share of false alarms among the columns reported as drifted (false-discovery rate).
    #[serde(default = "default_fdr")]
    #[schemars(extend("exclusiveMinimum" = 0, "exclusiveMaximum" = 1))]
    pub fdr: f64,
    /// How far a column must have moved to count, however sure we are that it moved: 0.1 is a slight, 0.2 a clear
    /// change of distribution.
    #[serde(default = "default_min_effect")]
    #[schemars(range(min = 0))]
    pub min_effect: f64,
    /// How many of the last windows must show it before there is an alert.
    #[serde(default = "default_confirm")]
    pub confirm: Confirm,
    /// Rows that a window needs to be judged.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
    /// The columns to watch; by default all inputs and the prediction.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub columns: Vec<ColumnName>,
    /// Columns not to watch, such as those that change with the season.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub ignore: Vec<ColumnName>,
}

/// Whether the predictions are still right.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Performance {
    /// The metric.
    pub metric: Metric,
    /// The least it may be, for metrics that are better when higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub floor: Option<f64>,
    /// The most it may be, for metrics that are better when lower (of `bias` its size).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ceiling: Option<f64>,
    /// Where the true labels come from.
    #[serde(default = "default_labels")]
    pub labels: Labels,
    /// How long after its end a window waits for its labels.
    #[serde(default = "default_delay")]
    pub delay: Span,
    /// Whether the metric is estimated from the predictions' own confidence while labels are missing.
    #[serde(default)]
    pub estimate: bool,
    /// Labelled rows that a window needs to be judged.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
    /// The share of a window's predictions that need a label for it to be judged.
    #[serde(default = "default_coverage")]
    pub min_coverage: Share,
    /// How many of the last windows must show it before there is an alert.
    #[serde(default = "default_at_once")]
    pub confirm: Confirm,
}

/// Where the true labels come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Labels {
    /// From the feedback that clients send for each prediction.
    Feedback,
}

impl Choice for Labels {
    const WHAT: &'static str = "source of labels";
    const ALL: &'static [Self] = &[Self::Feedback];
}

decode_choice!(Labels);
deserialize_by_decode!(Monitor, Drift, Performance);

fn default_reference() -> Reference {
    Reference::Training
}

fn default_fdr() -> f64 {
    0.05
}

fn default_min_effect() -> f64 {
    0.1
}

fn default_confirm() -> Confirm {
    Confirm { k: 2, n: 3 }
}

fn default_at_once() -> Confirm {
    Confirm::AT_ONCE
}

fn default_min_samples() -> u64 {
    200
}

fn default_labels() -> Labels {
    Labels::Feedback
}

fn default_delay() -> Span {
    Span::seconds(0)
}

fn default_coverage() -> Share {
    Share::new(0.5)
}

impl Decode for Monitor {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let before = cx.count();
        let mut fields = Fields::open(node, "monitor", cx)?;
        let window = fields.required(
            "window",
            "a span of time such as 1d, or a number of rows such as 5000 rows",
            cx,
        );
        let drift = fields.optional("drift", cx);
        let performance = fields.optional("performance", cx);
        let quality = fields.read("quality", cx, |node, cx| SuiteRef::read(node, Scope::Data, cx));
        fields.finish(cx);
        if cx.count() == before && drift.is_none() && performance.is_none() && quality.is_none() {
            cx.bad_value(
                node,
                "a monitor that watches nothing",
                "drift, performance, quality or several of them",
            );
            return None;
        }
        Some(Self {
            window: window?,
            drift,
            performance,
            quality,
        })
    }
}

impl Decode for Drift {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "drift", cx)?;
        let drift = Self {
            reference: fields.or("reference", Reference::Training, cx),
            fdr: fields
                .read("fdr", cx, |node, cx| {
                    number(node, "a number between 0 and 1, such as 0.05", cx, |fdr| {
                        fdr > 0.0 && fdr < 1.0
                    })
                })
                .unwrap_or_else(default_fdr),
            min_effect: fields
                .read("min_effect", cx, |node, cx| {
                    number(node, "a number that is not negative, such as 0.1", cx, |effect| {
                        effect >= 0.0
                    })
                })
                .unwrap_or_else(default_min_effect),
            confirm: fields.or("confirm", default_confirm(), cx),
            min_samples: fields
                .read("min_samples", cx, min_samples)
                .unwrap_or_else(default_min_samples),
            columns: fields.read("columns", cx, list).unwrap_or_default(),
            ignore: fields.read("ignore", cx, list).unwrap_or_default(),
        };
        fields.finish(cx);
        if let Some(both) = drift.columns.iter().find(|column| drift.ignore.contains(column)) {
            cx.push(
                Problem::new(
                    ProblemKind::BadValue,
                    node.at,
                    "a column both watched and ignored",
                )
                .found(quoted(both.as_str()))
                .expected("each column in \"columns\" or in \"ignore\""),
            );
            return None;
        }
        Some(drift)
    }
}

impl Decode for Performance {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "performance", cx)?;
        let bounded = (fields.has("floor"), fields.has("ceiling"));
        let metric: Option<Metric> = fields.required("metric", "a metric such as auc", cx);
        let any = |node: &Node, cx: &mut Cx| number(node, "a number", cx, |_| true);
        let (floor, ceiling) = (fields.read("floor", cx, any), fields.read("ceiling", cx, any));
        let read = Self {
            metric: metric.unwrap_or(Metric::Auc),
            floor,
            ceiling,
            labels: fields.or("labels", Labels::Feedback, cx),
            delay: fields.or("delay", default_delay(), cx),
            estimate: fields.or("estimate", false, cx),
            min_samples: fields
                .read("min_samples", cx, min_samples)
                .unwrap_or_else(default_min_samples),
            min_coverage: fields.or("min_coverage", default_coverage(), cx),
            confirm: fields.or("confirm", Confirm::AT_ONCE, cx),
        };
        fields.finish(cx);
        one_bound(node, metric?, bounded.0, bounded.1, ("floor", "ceiling"), cx)?;
        Some(read)
    }
}
