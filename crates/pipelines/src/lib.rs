//! Stages, the DAG of them, their cache and durable execution.
//!
//! A pipeline run is rows with a state machine: [`Pipelines::submit`] writes them, a [`Worker`] (or
//! [`Pipelines::execute`]) carries them out, [`Pipelines::wait`] and [`Pipelines::status`] read them. One worker at a
//! time drives the runs of a workspace, because the workspace is one folder; it holds a lease whose fencing token is
//! checked in the transaction of every effect, so that a worker that was thought dead changes nothing.
//!
//! A stage runs when its *inputs* were not seen before: what it does, the content of what it reads, the parameters and
//! environment it declares. Otherwise its outs are those of the run that saw them, fetched from the object store where
//! the workspace differs. [`Pipelines::plan`] says why, without running anything.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod failure;
mod schema;
mod state;

// What a stage reads and writes, and whether it must run.
mod files;
mod manifest;
mod metrics;
mod params;

mod decide;
mod inputs;
mod plan;

// Runs as rows.
mod commit;
mod pipelines;
mod rows;
mod submit;
mod tracked;

// Carrying them out.
mod access;
mod actions;
mod attempt;
mod board;
mod drive;
mod logs;
mod process;
mod provenance;
mod worker;

pub use access::{Grant, StageAccess, StageIdentity};
pub use error::{Error, Result};
pub use failure::Failure;
pub use logs::{LogChunk, LogTail};
pub use manifest::{OutFile, OutManifest};
pub use pipelines::Pipelines;
pub use plan::{PlanRequest, StagePlan, Verdict};
pub use rows::live_objects;
pub use schema::MIGRATIONS;
pub use state::{PipelineRun, RunState, RunSummary, StageRun, StageState};
pub use submit::{OnFailure, RunRequest};
pub use worker::{Worker, WorkerOptions};

/// The channel that a change of a run wakes.
pub const CHANNEL: &str = "pipelines";
