//! The ledger rows this crate writes.

use everloop_core::{ExperimentId, RunId};
use everloop_db::Tx;
use everloop_ledger::{NewEvent, Seq};
use serde_json::Value;

use crate::{By, Result};

/// An experiment came to be.
pub(crate) const EXPERIMENT_CREATED: &str = "experiment.created";
/// An experiment has another name.
pub(crate) const EXPERIMENT_RENAMED: &str = "experiment.renamed";
/// An experiment was deleted, with its runs.
pub(crate) const EXPERIMENT_DELETED: &str = "experiment.deleted";
/// An experiment came back, with its runs.
pub(crate) const EXPERIMENT_RESTORED: &str = "experiment.restored";
/// A run came to be.
pub(crate) const RUN_CREATED: &str = "run.created";
/// A run ended.
pub(crate) const RUN_FINISHED: &str = "run.finished";
/// A run that had ended goes on.
pub(crate) const RUN_RESUMED: &str = "run.resumed";
/// A run has another name.
pub(crate) const RUN_RENAMED: &str = "run.renamed";
/// A run was deleted.
pub(crate) const RUN_DELETED: &str = "run.deleted";
/// A run came back.
pub(crate) const RUN_RESTORED: &str = "run.restored";
/// Artifacts of a run were deleted.
pub(crate) const ARTIFACT_DELETED: &str = "artifact.deleted";

/// Appends a row about an experiment.
pub(crate) fn experiment(
    tx: &mut Tx<'_>,
    by: &By,
    kind: &'static str,
    id: &ExperimentId,
    payload: Value,
) -> Result<Seq> {
    append(tx, by, kind, format!("experiment:{id}"), payload)
}

/// Appends a row about a run.
pub(crate) fn run(tx: &mut Tx<'_>, by: &By, kind: &'static str, id: &RunId, payload: Value) -> Result<Seq> {
    append(tx, by, kind, format!("run:{id}"), payload)
}

fn append(tx: &mut Tx<'_>, by: &By, kind: &'static str, subject: String, payload: Value) -> Result<Seq> {
    let event = NewEvent {
        project: by.project.clone(),
        actor: by.actor.clone(),
        kind,
        subject,
        payload,
    };
    Ok(everloop_ledger::append(tx, by.at, event)?)
}
