//! Endpoints, routes, rollouts, predictions and feedback.
//!
//! [`Serving::infer`] is the hot path: pick a version by a stable hash, predict in process, append what was answered to
//! the write-ahead log, answer. The log is written before the answer leaves, so a killed process loses nothing that it
//! answered; behind it, full segments become Parquet objects that monitors read. Which version answers is rows in the
//! database and a table in memory that is swapped whole when they change.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod codec;
mod error;
mod feedback;
mod infer;
mod log;
mod read;
mod rollouts;
mod routing;
mod store;
mod stretch;
mod table;
mod verdict;
mod wal;

pub use error::{Error, Result};
pub use feedback::{Feedback, FeedbackReport};
pub use infer::{Answered, Ask};
pub use log::LogStats;
pub use read::{Labelled, PredictionFilter, PredictionRow, columns};
pub use rollouts::{Rollout, RolloutPlan, RolloutState, find_rollout, finish, running, start, step};
pub use routing::{LiveEndpoint, ModelSource, Serving, ServingOptions};
pub use store::{
    Endpoint, MIGRATIONS, Mode, Route, create_endpoint, endpoint, endpoints, live_objects, set_routes,
};
pub use stretch::{Place, Stretch};
pub use verdict::{ArmFacts, Verdict, judge};
