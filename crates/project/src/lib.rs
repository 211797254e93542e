//! The project file `everloop.yaml`, as types: one file says what the loop of a project is.
//!
//! Floor 0 of the house: pure functions from text to values. Reading collects every mistake with its line, what was
//! found and what was expected ([`Invalid`]); what was read is trusted everywhere else. Whether a file is there is
//! asked of the caller, nothing is opened here. [`Suite`] files (checks of data and models) follow the same rules.
//!
//! - [`Project::parse`] reads and checks a file, [`Project::graph`] gives the order of its stages,
//!   [`Project::to_canonical_json`] the one spelling that is stored and hashed.
//! - [`schema::project`] is the JSON Schema, generated from the same types.
//!
//! ```
//! use everloop_project::Project;
//!
//! let text = "project: flights\nstages:\n  train: { cmd: python train.py, dep: [train.py] }\n";
//! let invalid = Project::parse("everloop.yaml", text.as_bytes(), &|_| true).unwrap_err();
//! assert!(invalid.render().starts_with("everloop.yaml:3:34: stages.train: unknown key \"dep\"\n"));
//! assert!(invalid.render().ends_with("hint: did you mean \"deps\"?\n"));
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod limits;

mod decode;
mod hints;
mod node;
mod problem;
mod scalars;
mod text;
mod yaml;

mod bounds;
mod counts;
mod metric;
mod paths;
mod schedule;
mod units;

mod builtin;
mod datasets;
mod model;
mod monitor;
mod notify;
mod outs;
mod params;
mod run;
mod serve;
mod stages;
pub mod suite;
mod triggers;

mod canonical;
mod graph;
mod project;
pub mod schema;
pub mod templates;
mod validate;

pub use bounds::{AbortRule, Comparison, LatencyBound, MetricBound, Percentile, Signal};
pub use builtin::{ClassWeights, Evaluate, Sql, Tables, Train};
pub use counts::{Budget, Confirm, Period, Reference, Window};
pub use datasets::{Dataset, Format, SuiteRef};
pub use graph::{Cycle, Graph};
pub use metric::{Better, Metric, MetricName, Task};
pub use model::{Approval, ApprovalWhen, Gate, Model};
pub use monitor::{Drift, Labels, Monitor, Performance};
pub use notify::{EventPattern, Variable, WebAddress, Webhook};
pub use outs::{Axes, Out, OutFlags, Plot};
pub use params::{DEFAULT_FILE as DEFAULT_PARAMS_FILE, ParamDep, Params};
pub use paths::{DataPath, Dep, FilePath, Reach, Source};
pub use problem::{Invalid, Problem, ProblemKind};
pub use project::Project;
pub use run::{Engine, Run};
pub use schedule::{Cron, Zone};
pub use serve::{Canary, Rollout, Serve, Shadow};
pub use stages::{Action, Commands, Stage, Written};
pub use suite::{Check, CheckKind, Scope, Severity, Suite};
pub use text::InvalidText;
pub use triggers::{Event, Schedule, Start, Trigger, When};
pub use units::{Memory, Percent, Share, Span};
