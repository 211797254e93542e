//! Checks of a model version, on rows whose labels are known. Gates use them too.

use crate::decode::{Cx, Decode, Fields};
use crate::metric::{Better, Metric};
use crate::node::Node;
use crate::problem::{Problem, ProblemKind};
use crate::scalars::{number, whole};
use crate::units::Share;
use everloop_core::{AliasName, ColumnName};
use schemars::JsonSchema;
use serde::Serialize;

/// A metric compared with that of another version on the same rows, by a paired bootstrap.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct BetterThan {
    /// The alias of the version to be better than. When nothing bears it yet, the check passes.
    #[serde(rename = "better_than")]
    #[schemars(with = "crate::units::NameText")]
    pub than: AliasName,
    /// The metric.
    pub metric: Metric,
    /// What the gain must exceed, in units of the metric and towards better; negative allows so much loss.
    #[serde(default)]
    pub margin: f64,
    /// How sure: the one-sided level of the interval whose lower end must exceed the margin.
    #[serde(default = "default_level")]
    #[schemars(extend("minimum" = 0.5, "exclusiveMaximum" = 1))]
    pub level: f64,
}

fn default_level() -> f64 {
    0.95
}

impl BetterThan {
    /// Reads `better_than`, `metric`, `margin` and `level` from beside each other.
    pub(crate) fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Self> {
        let than = fields.required("better_than", "the alias of a version, such as champion", cx);
        let metric = fields.required("metric", "the metric to compare, such as auc", cx);
        let margin = fields.read("margin", cx, |node, cx| number(node, "a number", cx, |_| true));
        let level = fields.read("level", cx, |node, cx| {
            number(node, "a number from 0.5 to below 1", cx, |level| {
                (0.5..1.0).contains(&level)
            })
        });
        Some(Self {
            than: than?,
            metric: metric?,
            margin: margin.unwrap_or(0.0),
            level: level.unwrap_or_else(default_level),
        })
    }
}

/// A metric on each slice of the rows.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Slices {
    /// The columns that cut the rows: each value of each column is a slice. Numbers are cut into quartiles.
    #[schemars(with = "Vec<String>", length(min = 1))]
    pub by: Vec<ColumnName>,
    /// The metric.
    pub metric: Metric,
    /// The least it may be on a slice, for metrics that are better when higher.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min: Option<f64>,
    /// The most it may be on a slice, for metrics that are better when lower (of `bias` its size).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max: Option<f64>,
    /// Rows that a slice needs to be judged.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
}

fn default_min_samples() -> u64 {
    200
}

const MOST_SAMPLES: u64 = 1_000_000_000_000;

pub(crate) fn min_samples(node: &Node, cx: &mut Cx) -> Option<u64> {
    whole(node, 1, MOST_SAMPLES, cx)
}

impl Decode for Slices {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "slices", cx)?;
        let bounded = (fields.has("min"), fields.has("max"));
        let by = fields.require("by", "a list of columns", cx, |node, cx| {
            let by: Vec<ColumnName> = crate::decode::one_or_many(node, cx)?;
            if by.is_empty() {
                cx.bad_value(node, "no column", "at least one column");
                return None;
            }
            Some(by)
        });
        let metric: Option<Metric> = fields.required("metric", "a metric such as auc", cx);
        let any = |node: &Node, cx: &mut Cx| number(node, "a number", cx, |_| true);
        let (min, max) = (fields.read("min", cx, any), fields.read("max", cx, any));
        let min_samples = fields.read("min_samples", cx, min_samples);
        fields.finish(cx);
        let metric = metric?;
        one_bound(node, metric, bounded.0, bounded.1, ("min", "max"), cx)?;
        Some(Self {
            by: by?,
            metric,
            min,
            max,
            min_samples: min_samples.unwrap_or_else(default_min_samples),
        })
    }
}

/// A metric is bounded on its bad side, by the key of that side and no other.
pub(crate) fn one_bound(
    node: &Node,
    metric: Metric,
    low: bool,
    high: bool,
    names: (&str, &str),
    cx: &mut Cx,
) -> Option<()> {
    let (wanted, other, better) = match metric.better() {
        Better::Higher => (names.0, names.1, "better when higher"),
        Better::Lower => (names.1, names.0, "better when lower"),
        Better::NearerZero => (names.1, names.0, "bounded by its size"),
    };
    let right = match metric.better() {
        Better::Higher => low && !high,
        Better::Lower | Better::NearerZero => high && !low,
    };
    if right {
        return Some(());
    }
    let found = match (low, high) {
        (false, false) => "no bound".to_owned(),
        (true, true) => "both bounds".to_owned(),
        _ => format!("\"{other}\""),
    };
    cx.push(
        Problem::new(
            ProblemKind::BadValue,
            node.at,
            format!("wrong bound for \"{metric}\""),
        )
        .found(found)
        .expected(format!("\"{wanted}\" ({metric} is {better})")),
    );
    None
}

/// Groups of people are treated alike; at least one of the bounds.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Fairness {
    /// The column that tells the groups apart.
    #[schemars(with = "String")]
    pub sensitive: ColumnName,
    /// The most that the share of positive predictions may differ between groups (largest less smallest).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub demographic_parity: Option<Share>,
    /// The most that the true or the false positive rate may differ between groups, the worse of the two.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub equalised_odds: Option<Share>,
    /// Rows that a group needs to be judged.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
}

impl Decode for Fairness {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let before = cx.count();
        let mut fields = Fields::open(node, "fairness", cx)?;
        let sensitive = fields.required("sensitive", "the column that tells the groups apart", cx);
        let demographic_parity = fields.optional("demographic_parity", cx);
        let equalised_odds = fields.optional("equalised_odds", cx);
        let min_samples = fields.read("min_samples", cx, min_samples);
        fields.finish(cx);
        if cx.count() == before && demographic_parity.is_none() && equalised_odds.is_none() {
            cx.bad_value(node, "no bound", "demographic_parity, equalised_odds or both");
            return None;
        }
        Some(Self {
            sensitive: sensitive?,
            demographic_parity,
            equalised_odds,
            min_samples: min_samples.unwrap_or_else(default_min_samples),
        })
    }
}
