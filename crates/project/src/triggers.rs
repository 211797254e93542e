//! `on:` — what starts the loop again.

use crate::counts::Budget;
use crate::decode::{Cx, Decode, Fields};
use crate::node::Node;
use crate::problem::{Problem, ProblemKind};
use crate::scalars::{Choice, decode_choice, deserialize_by_decode, filled};
use crate::schedule::{Cron, Zone};
use crate::units::Span;
use everloop_core::DatasetName;
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// An event or a schedule, and what it starts.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Trigger {
    /// What it waits for.
    #[serde(flatten)]
    pub when: When,
    /// What it starts.
    #[serde(rename = "do")]
    pub action: Start,
    /// How long it stays quiet after it fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cooldown: Option<Span>,
    /// How often it may fire.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub budget: Option<Budget>,
    /// What it is called in decisions; by default what it waits for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What a trigger waits for.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum When {
    /// Times by a cron expression.
    Schedule(Schedule),
    /// Something that happens.
    Event(Event),
}

/// Times by a cron expression, in a time zone.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[schemars(inline)]
pub struct Schedule {
    /// The expression: minute, hour, day of month, month, day of week.
    #[serde(rename = "schedule")]
    pub cron: Cron,
    /// The time zone whose clocks it means.
    #[serde(default = "utc")]
    pub timezone: Zone,
}

fn utc() -> Zone {
    Zone::UTC
}

/// Something that happens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(tag = "event")]
#[schemars(inline)]
pub enum Event {
    /// A dataset got a new version.
    #[serde(rename = "dataset.version")]
    DatasetVersion {
        /// Which dataset; by default any of the project.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(with = "Option<crate::units::NameText>")]
        dataset: Option<DatasetName>,
    },
    /// The monitor confirmed drift.
    #[serde(rename = "monitor.drift")]
    MonitorDrift,
    /// The monitor confirmed that performance fell below its bound.
    #[serde(rename = "monitor.performance")]
    MonitorPerformance,
    /// A window failed the monitor's checks.
    #[serde(rename = "monitor.quality")]
    MonitorQuality,
    /// Commits arrived in the project's repository.
    #[serde(rename = "git.push")]
    GitPush {
        /// On which branch; by default any.
        #[serde(skip_serializing_if = "Option::is_none")]
        branch: Option<String>,
    },
}

/// What a trigger starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Start {
    /// The whole loop: pipeline, gates, rollout.
    Retrain,
    /// The pipeline alone: nothing is released.
    Run,
    /// A message to the webhooks of `notify`.
    Notify,
}

impl Choice for Start {
    const WHAT: &'static str = "action";
    const ALL: &'static [Self] = &[Self::Retrain, Self::Run, Self::Notify];
}

decode_choice!(Start);
deserialize_by_decode!(Trigger);

impl Event {
    /// The kind of the ledger's event.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::DatasetVersion { .. } => "dataset.version",
            Self::MonitorDrift => "monitor.drift",
            Self::MonitorPerformance => "monitor.performance",
            Self::MonitorQuality => "monitor.quality",
            Self::GitPush { .. } => "git.push",
        }
    }
}

impl fmt::Display for Trigger {
    /// Its name, or what it waits for: `dataset.version flights`, `schedule 0 3 * * 1 (UTC)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.name, &self.when) {
            (Some(name), _) => f.write_str(name),
            (None, When::Schedule(schedule)) => {
                write!(f, "schedule {} ({})", schedule.cron, schedule.timezone)
            }
            (None, When::Event(event)) => match event {
                Event::DatasetVersion {
                    dataset: Some(dataset),
                } => write!(f, "{} {dataset}", event.kind()),
                Event::GitPush { branch: Some(branch) } => write!(f, "{} {branch}", event.kind()),
                _ => f.write_str(event.kind()),
            },
        }
    }
}

/// The kinds of event, for reading them.
#[derive(Clone, Copy, Serialize)]
enum EventKind {
    #[serde(rename = "dataset.version")]
    DatasetVersion,
    #[serde(rename = "monitor.drift")]
    MonitorDrift,
    #[serde(rename = "monitor.performance")]
    MonitorPerformance,
    #[serde(rename = "monitor.quality")]
    MonitorQuality,
    #[serde(rename = "git.push")]
    GitPush,
}

impl Choice for EventKind {
    const WHAT: &'static str = "event";
    const ALL: &'static [Self] = &[
        Self::DatasetVersion,
        Self::MonitorDrift,
        Self::MonitorPerformance,
        Self::MonitorQuality,
        Self::GitPush,
    ];
}

impl Decode for Trigger {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "a trigger", cx)?;
        let when = when(&mut fields, node, cx);
        let action = fields.required("do", "what it starts: retrain, run or notify", cx);
        let cooldown = fields.optional("cooldown", cx);
        let budget = fields.optional("budget", cx);
        let name = fields.read("name", cx, filled);
        fields.finish(cx);
        Some(Self {
            when: when?,
            action: action?,
            cooldown,
            budget,
            name,
        })
    }
}

fn when(fields: &mut Fields<'_>, node: &Node, cx: &mut Cx) -> Option<When> {
    match (fields.has("event"), fields.has("schedule")) {
        (true, false) => {
            let kind = fields.read("event", cx, crate::scalars::choice);
            event(kind, fields, cx).map(When::Event)
        }
        (false, true) => {
            let cron = fields.optional("schedule", cx);
            let timezone = fields.or("timezone", Zone::UTC, cx);
            Some(When::Schedule(Schedule {
                cron: cron?,
                timezone,
            }))
        }
        (event, _) => {
            for name in ["event", "schedule", "dataset", "branch", "timezone"] {
                fields.take(name);
            }
            let found = if event { "both" } else { "neither" };
            cx.push(
                Problem::new(ProblemKind::MissingKey, node.at, "a trigger waits for one thing")
                    .found(found)
                    .expected("either \"event\" or \"schedule\""),
            );
            None
        }
    }
}

fn event(kind: Option<EventKind>, fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Event> {
    let Some(kind) = kind else {
        // The event is unknown, so either argument may be meant.
        fields.take("dataset");
        fields.take("branch");
        return None;
    };
    Some(match kind {
        EventKind::DatasetVersion => Event::DatasetVersion {
            dataset: fields.optional("dataset", cx),
        },
        EventKind::GitPush => Event::GitPush {
            branch: fields.read("branch", cx, filled),
        },
        EventKind::MonitorDrift => Event::MonitorDrift,
        EventKind::MonitorPerformance => Event::MonitorPerformance,
        EventKind::MonitorQuality => Event::MonitorQuality,
    })
}
