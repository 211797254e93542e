//! `serve:` — the endpoint that answers, and how a new version takes over.

use crate::bounds::AbortRule;
use crate::decode::{Cx, Decode, Fields, list};
use crate::node::{Kind, Node, Step};
use crate::problem::{Problem, ProblemKind};
use crate::scalars::{Choice, deserialize_by_decode};
use crate::suite::min_samples;
use crate::units::{Percent, Span};
use everloop_core::{ColumnName, EndpointName};
use schemars::JsonSchema;
use serde::Serialize;

/// The endpoint that answers predictions.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Serve {
    /// Its name, as it stands in the address.
    #[schemars(with = "crate::units::NameText")]
    pub endpoint: EndpointName,
    /// The column by which a request sticks to a version while several answer; by default each request is on its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub sticky: Option<ColumnName>,
    /// How a version that passed the gates takes over.
    #[serde(default)]
    pub rollout: Rollout,
}

/// How a version that passed the gates takes over.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Rollout {
    /// At once.
    #[default]
    Direct,
    /// By growing shares of the traffic, back at once when something goes wrong.
    Canary(Canary),
    /// It first answers copies of requests, unseen; then it takes over.
    Shadow(Shadow),
}

/// Growing shares of the traffic.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Canary {
    /// The shares in percent, growing; the last is 100.
    #[schemars(length(min = 1, max = 100))]
    pub steps: Vec<Percent>,
    /// How long each step lasts at least.
    pub each: Span,
    /// Requests that the new version must have answered before a step ends.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
    /// What ends it: all traffic goes back to the old version.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort_if: Vec<AbortRule>,
}

/// Copies of requests.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Shadow {
    /// The share of requests that are copied, in percent.
    #[serde(default = "default_share")]
    pub share: Percent,
    /// How long it lasts at least.
    pub each: Span,
    /// Requests that the new version must have answered before it ends.
    #[serde(default = "default_min_samples")]
    #[schemars(range(min = 1))]
    pub min_samples: u64,
    /// What ends it: the old version stays.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub abort_if: Vec<AbortRule>,
}

fn default_min_samples() -> u64 {
    100
}

fn default_share() -> Percent {
    Percent::ALL
}

deserialize_by_decode!(Serve, Rollout);

impl Decode for Serve {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "serve", cx)?;
        let endpoint = fields.required("endpoint", "the endpoint's name", cx);
        let sticky = fields.optional("sticky", cx);
        let rollout = fields.or("rollout", Rollout::Direct, cx);
        fields.finish(cx);
        Some(Self {
            endpoint: endpoint?,
            sticky,
            rollout,
        })
    }
}

#[derive(Clone, Copy, Serialize)]
#[serde(rename_all = "snake_case")]
enum RolloutKind {
    Direct,
    Canary,
    Shadow,
}

impl Choice for RolloutKind {
    const WHAT: &'static str = "rollout kind";
    const ALL: &'static [Self] = &[Self::Direct, Self::Canary, Self::Shadow];
}

impl Decode for Rollout {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "rollout", cx)?;
        let kind = fields.require("kind", "direct, canary or shadow", cx, crate::scalars::choice)?;
        let rollout = match kind {
            RolloutKind::Direct => Some(Self::Direct),
            RolloutKind::Canary => canary(&mut fields, cx).map(Self::Canary),
            RolloutKind::Shadow => shadow(&mut fields, cx).map(Self::Shadow),
        };
        fields.finish(cx);
        rollout
    }
}

fn canary(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Canary> {
    let steps = fields.require("steps", "growing percentages such as [5, 25, 100]", cx, steps);
    let each = fields.required("each", "how long each step lasts, such as 10m", cx);
    let samples = fields.read("min_samples", cx, min_samples);
    let abort_if = fields.read("abort_if", cx, list).unwrap_or_default();
    Some(Canary {
        steps: steps?,
        each: each?,
        min_samples: samples.unwrap_or_else(default_min_samples),
        abort_if,
    })
}

fn shadow(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Shadow> {
    let share = fields.or("share", default_share(), cx);
    let each = fields.required("each", "how long it lasts, such as 1h", cx);
    let samples = fields.read("min_samples", cx, min_samples);
    let abort_if = fields.read("abort_if", cx, list).unwrap_or_default();
    Some(Shadow {
        share,
        each: each?,
        min_samples: samples.unwrap_or_else(default_min_samples),
        abort_if,
    })
}

fn steps(node: &Node, cx: &mut Cx) -> Option<Vec<Percent>> {
    const MOST: usize = 100;
    let steps: Vec<Percent> = list(node, cx)?;
    let Kind::List(items) = &node.kind else {
        return None;
    };
    let falling = steps.windows(2).position(|pair| pair[1] <= pair[0]);
    let (at, found, expected) = if let Some(index) = falling {
        let found = format!("{} after {}", steps[index + 1].get(), steps[index].get());
        (Step::Index(index + 1), found, "growing percentages")
    } else if steps.len() > MOST {
        (
            Step::Index(MOST),
            format!("{} steps", steps.len()),
            "at most 100 steps",
        )
    } else if steps.last().is_none_or(|last| last.get() < 100.0) {
        let found = steps
            .last()
            .map_or("no step".to_owned(), |last| format!("{} as the last", last.get()));
        (
            Step::Index(items.len().saturating_sub(1)),
            found,
            "100 as the last step",
        )
    } else {
        return Some(steps);
    };
    let place = node.locate(std::slice::from_ref(&at));
    cx.push(
        Problem::new(
            ProblemKind::BadValue,
            place,
            "steps that don't lead to all traffic",
        )
        .found(found)
        .expected(expected),
    );
    None
}
