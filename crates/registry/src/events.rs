//! The ledger rows this crate writes.

use everloop_core::ModelName;
use everloop_db::Tx;
use everloop_ledger::{NewEvent, Seq};
use serde_json::Value;

use crate::{By, Result, VersionNumber};

/// A model came to be.
pub(crate) const MODEL_CREATED: &str = "model.created";
/// A model has another name.
pub(crate) const MODEL_RENAMED: &str = "model.renamed";
/// A model or version has another description.
pub(crate) const MODEL_DESCRIBED: &str = "model.described";
/// A tag of a model or version was set.
pub(crate) const TAG_SET: &str = "model.tag.set";
/// A tag of a model or version was removed.
pub(crate) const TAG_DELETED: &str = "model.tag.deleted";
/// A model was deleted, with its versions.
pub(crate) const MODEL_DELETED: &str = "model.deleted";
/// A version came to be.
pub(crate) const MODEL_VERSION: &str = "model.version";
/// A version can be used.
pub(crate) const VERSION_READY: &str = "model.version.ready";
/// A version can't be used.
pub(crate) const VERSION_FAILED: &str = "model.version.failed";
/// A version was deleted.
pub(crate) const VERSION_DELETED: &str = "model.version.deleted";
/// An alias points somewhere else, or for the first time.
pub(crate) const ALIAS_MOVED: &str = "alias.moved";
/// An alias points nowhere.
pub(crate) const ALIAS_REMOVED: &str = "alias.removed";
/// A gate said yes or no to a version.
pub(crate) const GATE_EVALUATED: &str = "gate.evaluated";
/// A version waits for somebody's word.
pub(crate) const APPROVAL_ASKED: &str = "approval.asked";
/// Someone said yes to a version.
pub(crate) const MODEL_APPROVED: &str = "model.approved";
/// Someone said no to a version.
pub(crate) const MODEL_REJECTED: &str = "model.rejected";

/// Appends a row about a model.
pub(crate) fn model(
    tx: &mut Tx<'_>,
    by: &By,
    kind: &'static str,
    name: &ModelName,
    payload: Value,
) -> Result<Seq> {
    append(tx, by, kind, format!("model:{name}"), payload)
}

/// Appends a row about a version.
pub(crate) fn version(
    tx: &mut Tx<'_>,
    by: &By,
    kind: &'static str,
    name: &ModelName,
    version: VersionNumber,
    payload: Value,
) -> Result<Seq> {
    append(tx, by, kind, format!("model:{name}@{version}"), payload)
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
