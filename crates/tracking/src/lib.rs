//! Experiments, runs, params, metrics, tags, artifacts, and where a run came from.
//!
//! The words and rules are MLflow's (params never change, metrics only grow, the latest point of a metric is the one
//! with the greatest step, deleting is soft), so that its dialect in the server is a translation and nothing more.
//!
//! Rules are functions over a transaction, grouped by module ([`experiments`], [`runs`], [`params`], [`metrics`],
//! [`tags`], [`inputs`], [`provenance`], [`artifacts`]): whoever composes them with changes of other capabilities gets
//! one commit for all. [`Tracking`] adds what needs more than a transaction: ids, the clock and the bytes of artifacts.
//!
//! Every change of an experiment's or run's lifecycle appends its ledger row in the same transaction. Metrics, params,
//! tags and artifact uploads are not events: they are too many, and the run that holds them has its own.
//!
//! Callers who append ledger rows of their own should do so after calling in here. The ledger is one queue: what
//! locks a run while holding the queue's end waits for those who hold the run and wait for the queue.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod events;
mod names;
mod schema;
mod words;

pub mod artifacts;
mod batch;
pub mod experiments;
pub mod inputs;
pub mod metrics;
pub mod params;
pub mod provenance;
pub mod references;
mod run_data;
mod run_list;
mod run_names;
pub mod runs;
mod sql;
pub mod tags;
mod tracking;
mod transfer;

pub use batch::{Batch, LongValues, log_batch};
pub use error::{Error, Result};
pub use names::{KeyKind, limits};
pub use run_data::{Run, get_many};
pub use schema::MIGRATIONS;
pub use tracking::Tracking;
pub use words::{Lifecycle, Page};

pub(crate) use everloop_core::{ArtifactPath, By};
