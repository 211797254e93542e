//! Making and ending versions.

use std::collections::BTreeMap;

use everloop_core::{ModelName, RunId};
use everloop_db::{Tx, params};
use serde_json::json;

use crate::files::{self, ModelFile};
use crate::text::{check_text, check_word, document, limits};
use crate::versions::{self, Approval, DatasetRef, State};
use crate::{By, Error, Result, VersionNumber, aliases, events, models, tags};

/// A version to make. What is said here never changes later.
#[derive(Debug, Clone, Default)]
pub struct NewVersion {
    /// Its files, whose bytes are in the object store.
    pub files: Vec<ModelFile>,
    /// Where it came from; may be empty. The edge holds it to the allowed places before it comes here.
    pub source: String,
    /// The run that made it.
    pub run: Option<RunId>,
    /// What it does: `classification`, `regression`.
    pub task: Option<String>,
    /// What kind of model it is: `onnx`, `xgboost`, `python_function`.
    pub flavor: String,
    /// Whether loading it runs code of its own.
    pub unsafe_format: bool,
    /// Its inputs and outputs, in MLflow's form.
    pub signature: Option<serde_json::Value>,
    /// How good it is: metrics by name.
    pub metrics: serde_json::Map<String, serde_json::Value>,
    /// What it was made from.
    pub datasets: Vec<DatasetRef>,
    /// A note; may be empty.
    pub description: String,
    /// Tags to begin with.
    pub tags: BTreeMap<String, String>,
}

/// Makes the next version of a model; it is pending until [`mark_ready`] or [`mark_failed`].
///
/// # Errors
/// [`Error::NoModel`], [`Error::DuplicateFile`], [`Error::TooMany`], or a text or document that can't be used.
pub fn create(tx: &mut Tx<'_>, by: &By, model: &ModelName, new: &NewVersion) -> Result<VersionNumber> {
    check(new)?;
    let summary = files::summarise(&new.files)?;
    let signature = match &new.signature {
        Some(signature) => Some(document("signature", signature)?),
        None => None,
    };
    let metrics = document("metrics", &json!(new.metrics))?;
    let datasets = document("datasets", &json!(new.datasets))?;
    let (key, version) = take_number(tx, by, model)?;
    tx.execute(
        "INSERT INTO model_versions
             (model, version, state, state_message, approval, source, run_id, task, flavor, unsafe_format,
              content, size, signature, metrics, datasets, description, created_by, created_at, updated_at)
         VALUES (?1, ?2, ?3, '', ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?17)",
        &params![
            key,
            version,
            State::Pending.as_str(),
            Approval::NotAsked.as_str(),
            &new.source,
            new.run.as_ref(),
            new.task.as_deref(),
            &new.flavor,
            new.unsafe_format,
            summary.content,
            summary.size_bytes,
            signature,
            metrics,
            datasets,
            &new.description,
            by.actor.to_string(),
            by.at,
        ],
    )?;
    files::write(tx, key, version, &new.files)?;
    tags::write_version(tx, key, version, &new.tags)?;
    let payload = json!({
        "run": new.run, "flavor": new.flavor, "task": new.task, "content": summary.content,
        "files": new.files.len(), "size_bytes": summary.size_bytes, "unsafe_format": new.unsafe_format,
        "datasets": new.datasets,
    });
    events::version(tx, by, events::MODEL_VERSION, model, version, payload)?;
    Ok(version)
}

/// Says that a pending version was loaded and tried. A ready one stays as it is.
///
/// # Errors
/// [`Error::VersionState`] when it failed; [`Error::NoModel`], [`Error::NoVersion`].
pub fn mark_ready(tx: &mut Tx<'_>, by: &By, model: &ModelName, version: VersionNumber) -> Result<()> {
    settle(tx, by, model, version, State::Ready, "")
}

/// Says that a pending version can't be used, and why. A failed one stays as it is.
///
/// # Errors
/// [`Error::VersionState`] when it is ready; [`Error::NoModel`], [`Error::NoVersion`].
pub fn mark_failed(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    message: &str,
) -> Result<()> {
    check_text("message", message, limits::REASON_CHARS)?;
    settle(tx, by, model, version, State::Failed, message)
}

/// Describes a version anew.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`], or a text that can't be used.
pub fn describe(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    description: &str,
) -> Result<()> {
    check_text("description", description, limits::DESCRIPTION_CHARS)?;
    let key = models::lock(tx, &by.project, model)?;
    versions::state(tx, key, model, version)?;
    tx.execute(
        "UPDATE model_versions SET description = ?3 WHERE model = ?1 AND version = ?2",
        &params![key, version, description],
    )?;
    versions::touch(tx, by, key, version)?;
    events::version(tx, by, events::MODEL_DESCRIBED, model, version, json!({}))?;
    Ok(())
}

/// Deletes a version. Its number is not given again; its row and history stay for those who audit, its files may go.
///
/// # Errors
/// [`Error::VersionInUse`] while an alias points at it; [`Error::NoModel`], [`Error::NoVersion`].
pub fn delete(tx: &mut Tx<'_>, by: &By, model: &ModelName, version: VersionNumber) -> Result<()> {
    let key = models::lock(tx, &by.project, model)?;
    versions::state(tx, key, model, version)?;
    if let Some(alias) = aliases::any_of_version(tx, key, version)? {
        return Err(Error::VersionInUse {
            model: model.clone(),
            version,
            alias,
        });
    }
    tx.execute(
        "UPDATE model_versions SET deleted_at = ?3, updated_at = ?3 WHERE model = ?1 AND version = ?2",
        &params![key, version, by.at],
    )?;
    models::touch(tx, by, key)?;
    events::version(tx, by, events::VERSION_DELETED, model, version, json!({}))?;
    Ok(())
}

fn check(new: &NewVersion) -> Result<()> {
    check_text("source", &new.source, limits::SOURCE_CHARS)?;
    check_word("flavor", &new.flavor, limits::WORD_CHARS)?;
    if let Some(task) = &new.task {
        check_word("task", task, limits::WORD_CHARS)?;
    }
    check_text("description", &new.description, limits::DESCRIPTION_CHARS)?;
    tags::check_all(&new.tags)
}

/// The key of the model and the number of its next version. The model's row stays locked until the commit, so numbers
/// have no gaps: who rolls back gives the number back.
fn take_number(tx: &mut Tx<'_>, by: &By, model: &ModelName) -> Result<(i64, VersionNumber)> {
    let row = tx.query_opt(
        "UPDATE models SET last_version = last_version + 1, updated_at = ?3
         WHERE project = ?1 AND name = ?2 AND deleted_at IS NULL RETURNING key, last_version",
        &params![&by.project, model, by.at],
    )?;
    let Some(row) = row else {
        return Err(Error::NoModel(model.clone()));
    };
    Ok((row.get("key")?, row.get("last_version")?))
}

fn settle(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    state: State,
    message: &str,
) -> Result<()> {
    let key = models::lock(tx, &by.project, model)?;
    let found = versions::state(tx, key, model, version)?;
    if found != State::Pending {
        // Someone settled it before us, perhaps in the same way.
        return if found == state {
            Ok(())
        } else {
            Err(settled(model, version, found))
        };
    }
    tx.execute(
        "UPDATE model_versions SET state = ?3, state_message = ?4 WHERE model = ?1 AND version = ?2",
        &params![key, version, state.as_str(), message],
    )?;
    versions::touch(tx, by, key, version)?;
    let (kind, payload) = match state {
        State::Failed => (events::VERSION_FAILED, json!({ "message": message })),
        State::Ready | State::Pending => (events::VERSION_READY, json!({})),
    };
    events::version(tx, by, kind, model, version, payload)?;
    Ok(())
}

fn settled(model: &ModelName, version: VersionNumber, found: State) -> Error {
    Error::VersionState {
        model: model.clone(),
        version,
        found,
    }
}
