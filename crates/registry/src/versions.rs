//! Versions of a model: what was made, by which run, from which data, how good it is.
//!
//! A version begins `pending`, becomes `ready` when it was loaded and tried, or `failed`. What it consists of never
//! changes; only its notes (description, tags, gates, approvals) do.

use std::collections::BTreeMap;

use everloop_core::{DatasetName, Hash, ModelName, ProjectName, RunId, Timestamp};
use everloop_db::{Row, Tx, Value, params};
use serde::{Deserialize, Serialize};

use crate::words::{IN_LIST, in_list, one_more};
use crate::{By, Error, Page, Result, VersionNumber, models};

pub use crate::version_write::{NewVersion, create, delete, describe, mark_failed, mark_ready};

/// Whether a version can be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// Not tried yet.
    Pending,
    /// Loaded and tried: can serve.
    Ready,
    /// Can't be used; its message says why.
    Failed,
}

impl State {
    const ALL: [Self; 3] = [Self::Pending, Self::Ready, Self::Failed];

    /// The word for it, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Ready => "ready",
            Self::Failed => "failed",
        }
    }

    /// The state of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// What people said about a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Approval {
    /// Nobody was asked.
    #[default]
    NotAsked,
    /// Somebody is to say yes or no.
    Asked,
    /// The last word was yes.
    Approved,
    /// The last word was no.
    Rejected,
}

impl Approval {
    const ALL: [Self; 4] = [Self::NotAsked, Self::Asked, Self::Approved, Self::Rejected];

    /// The word for it, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotAsked => "not_asked",
            Self::Asked => "asked",
            Self::Approved => "approved",
            Self::Rejected => "rejected",
        }
    }

    /// The approval of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|approval| approval.as_str() == text)
    }
}

/// A dataset version a model was made from. Stored as JSON; owned by this crate; fields are only ever added.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetRef {
    /// The dataset.
    pub name: DatasetName,
    /// Its version.
    pub version: u64,
    /// The hash of the version's content.
    pub digest: String,
    /// What for: `training`, `evaluation`.
    pub role: String,
}

/// A version of a model.
#[derive(Debug, Clone, PartialEq)]
pub struct ModelVersion {
    /// The model.
    pub model: ModelName,
    /// Its number.
    pub version: VersionNumber,
    /// Whether it can be used.
    pub state: State,
    /// Why it can't be; empty unless failed.
    pub state_message: String,
    /// What people said about it.
    pub approval: Approval,
    /// Where it came from, as the one who made it says; may be empty.
    pub source: String,
    /// The run that made it.
    pub run: Option<RunId>,
    /// What it does: `classification`, `regression`.
    pub task: Option<String>,
    /// What kind of model it is: `onnx`, `xgboost`, `python_function`.
    pub flavor: String,
    /// Whether loading it runs code of its own (pickles and the like).
    pub unsafe_format: bool,
    /// The hash over its files: the same for two versions with the same files.
    pub content: Hash,
    /// The sum of the lengths of its files.
    pub size_bytes: u64,
    /// Its inputs and outputs, in MLflow's form.
    pub signature: Option<serde_json::Value>,
    /// How good it is: metrics by name.
    pub metrics: serde_json::Map<String, serde_json::Value>,
    /// What it was made from.
    pub datasets: Vec<DatasetRef>,
    /// A note; may be empty.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it last changed.
    pub updated_at: Timestamp,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
}

/// A version of a model.
///
/// # Errors
/// Those of the database. A model that is not there has no versions.
pub fn get(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Option<ModelVersion>> {
    let found = select(
        tx,
        "m.project = ?1 AND m.name = ?2 AND v.version = ?3",
        "",
        &params![project, model, version],
    )?;
    Ok(found.into_iter().next().map(|stored| stored.version))
}

/// The version with the greatest number, or the greatest that is ready.
///
/// # Errors
/// [`Error::NoModel`].
pub fn latest(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    state: Option<State>,
) -> Result<Option<ModelVersion>> {
    let key = models::key(tx, project, model)?;
    let found = select(
        tx,
        "v.model = ?1 AND v.state = COALESCE(CAST(?2 AS TEXT), v.state)",
        "ORDER BY v.version DESC LIMIT 1",
        &params![key, state.map(State::as_str)],
    )?;
    Ok(found.into_iter().next().map(|stored| stored.version))
}

/// A page of the versions of a model, the newest first. Four statements, whatever the page's length up to 256.
///
/// # Errors
/// [`Error::NoModel`].
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    before: Option<VersionNumber>,
    limit: usize,
) -> Result<Page<ModelVersion, VersionNumber>> {
    let key = models::key(tx, project, model)?;
    let before = before.map_or(i64::MAX, |version| i64::from(version.0));
    let found = select(
        tx,
        "v.model = ?1 AND v.version < ?2",
        "ORDER BY v.version DESC LIMIT ?3",
        &params![key, before, one_more(limit)],
    )?;
    let versions = found.into_iter().map(|stored| stored.version).collect();
    Ok(Page::cut(versions, limit, |last| last.version))
}

/// The versions that a run made, oldest first.
///
/// # Errors
/// Those of the database.
pub fn of_run(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId) -> Result<Vec<ModelVersion>> {
    let found = select(
        tx,
        "v.run_id = ?1 AND m.project = ?2",
        "ORDER BY v.model, v.version",
        &params![run, project],
    )?;
    Ok(found.into_iter().map(|stored| stored.version).collect())
}

/// A version as stored: with the key of its model.
struct Stored {
    model_key: i64,
    version: ModelVersion,
}

/// A version of a model, both of which must be there.
pub(crate) fn existing(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<ModelVersion> {
    let key = models::key(tx, project, model)?;
    let found = select(tx, "v.model = ?1 AND v.version = ?2", "", &params![key, version])?;
    let found = found.into_iter().next().map(|stored| stored.version);
    found.ok_or_else(|| no_version(model, version))
}

/// Finds a version of the model with this key, and its state, for those who need no more of it.
pub(crate) fn state(tx: &mut Tx<'_>, key: i64, model: &ModelName, version: VersionNumber) -> Result<State> {
    let row = tx.query_opt(
        "SELECT state FROM model_versions WHERE model = ?1 AND version = ?2 AND deleted_at IS NULL",
        &params![key, version],
    )?;
    match row {
        Some(row) => parse_state(&row.get::<String>("state")?),
        None => Err(no_version(model, version)),
    }
}

fn no_version(model: &ModelName, version: VersionNumber) -> Error {
    Error::NoVersion {
        model: model.clone(),
        version,
    }
}

/// Notes that something of a version, and so of its model, changed.
pub(crate) fn touch(tx: &mut Tx<'_>, by: &By, model: i64, version: VersionNumber) -> Result<()> {
    tx.execute(
        "UPDATE model_versions SET updated_at = ?3 WHERE model = ?1 AND version = ?2",
        &params![model, version, by.at],
    )?;
    models::touch(tx, by, model)
}

/// The living versions for which `condition` holds, with their tags and aliases.
fn select(tx: &mut Tx<'_>, condition: &str, order: &str, values: &[Value]) -> Result<Vec<Stored>> {
    let rows = tx.query(
        &format!(
            "SELECT m.name AS model_name, v.model, v.version, v.state, v.state_message, v.approval, v.source,
                    v.run_id, v.task, v.flavor, v.unsafe_format, v.content, v.size, v.signature, v.metrics,
                    v.datasets, v.description, v.created_by, v.created_at, v.updated_at
             FROM model_versions v JOIN models m ON m.key = v.model
             WHERE {condition} AND v.deleted_at IS NULL AND m.deleted_at IS NULL {order}"
        ),
        values,
    )?;
    let mut found = rows.iter().map(stored).collect::<Result<Vec<_>>>()?;
    attach(tx, &mut found)?;
    Ok(found)
}

fn stored(row: &Row) -> Result<Stored> {
    let (state, approval): (String, String) = (row.get("state")?, row.get("approval")?);
    let unreadable = |what: &'static str| move |error: serde_json::Error| damaged(what, error.to_string());
    let signature: Option<String> = row.get("signature")?;
    let version = ModelVersion {
        model: row.get("model_name")?,
        version: row.get("version")?,
        state: parse_state(&state)?,
        state_message: row.get("state_message")?,
        approval: Approval::parse(&approval)
            .ok_or_else(|| damaged("approval", format!("\"{approval}\" is not one")))?,
        source: row.get("source")?,
        run: row.get("run_id")?,
        task: row.get("task")?,
        flavor: row.get("flavor")?,
        unsafe_format: row.get("unsafe_format")?,
        content: row.get("content")?,
        size_bytes: row.get("size")?,
        signature: signature
            .map(|text| serde_json::from_str(&text))
            .transpose()
            .map_err(unreadable("signature"))?,
        metrics: serde_json::from_str(&row.get::<String>("metrics")?).map_err(unreadable("metrics"))?,
        datasets: serde_json::from_str(&row.get::<String>("datasets")?).map_err(unreadable("datasets"))?,
        description: row.get("description")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        tags: BTreeMap::new(),
        aliases: Vec::new(),
    };
    Ok(Stored {
        model_key: row.get("model")?,
        version,
    })
}

fn parse_state(text: &str) -> Result<State> {
    State::parse(text).ok_or_else(|| damaged("state", format!("\"{text}\" is not one")))
}

fn damaged(what: &str, problem: String) -> Error {
    Error::Damaged {
        what: format!("{what} of a model version"),
        problem,
    }
}

/// Reads tags and aliases for all `versions`, which are of few models: those of the models' other versions are passed
/// over.
fn attach(tx: &mut Tx<'_>, versions: &mut [Stored]) -> Result<()> {
    for part in versions.chunks_mut(IN_LIST) {
        let keys = part.iter().map(|stored| stored.model_key.into()).collect();
        let (models, mut values) = in_list(0, keys);
        let numbers = part.iter().map(|stored| stored.version.version.into()).collect();
        let (numbers, more) = in_list(values.len(), numbers);
        values.extend(more);
        let condition = format!("model IN {models} AND version IN {numbers}");
        let tags = format!("SELECT model, version, key, value FROM model_version_tags WHERE {condition}");
        for row in tx.query(&tags, &values)? {
            if let Some(stored) = owner(part, &row)? {
                stored.version.tags.insert(row.get("key")?, row.get("value")?);
            }
        }
        let aliases = format!(
            "SELECT model, version, alias FROM model_aliases
             WHERE {condition} AND valid_to IS NULL ORDER BY alias"
        );
        for row in tx.query(&aliases, &values)? {
            if let Some(stored) = owner(part, &row)? {
                stored.version.aliases.push(row.get("alias")?);
            }
        }
    }
    Ok(())
}

fn owner<'v>(versions: &'v mut [Stored], row: &Row) -> Result<Option<&'v mut Stored>> {
    let (model, version): (i64, VersionNumber) = (row.get("model")?, row.get("version")?);
    Ok(versions
        .iter_mut()
        .find(|stored| stored.model_key == model && stored.version.version == version))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for state in State::ALL {
            assert_eq!(State::parse(state.as_str()), Some(state));
        }
        for approval in Approval::ALL {
            assert_eq!(Approval::parse(approval.as_str()), Some(approval));
        }
    }
}
