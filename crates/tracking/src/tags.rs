//! Tags of runs: notes that may change.
//!
//! MLflow keeps some of a run's facts in tags of its own. One of them is a rule here: `mlflow.runName` is the run's
//! name, so setting either sets both.

use std::collections::BTreeMap;

use everloop_core::{ProjectName, RunId};
use everloop_db::{Tx, params};

use crate::names::{check_key, check_text, limits};
use crate::runs::{self, Stored};
use crate::{By, Error, KeyKind, Result, sql};

/// The tag that is the run's name.
pub const RUN_NAME: &str = "mlflow.runName";

/// Sets tags of a run, or replaces their values.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`], or a key or value that can't be used.
pub fn set(tx: &mut Tx<'_>, by: &By, run: &RunId, tags: &BTreeMap<String, String>) -> Result<()> {
    check(tags)?;
    let run = runs::lock_active(tx, &by.project, run)?;
    set_stored(tx, by, &run, tags)
}

/// The tags of a run.
///
/// # Errors
/// [`Error::NoRun`].
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId) -> Result<BTreeMap<String, String>> {
    let run = runs::existing(tx, project, run)?;
    let rows = tx.query(
        "SELECT key, value FROM run_tags WHERE run = ?1",
        &params![run.key],
    )?;
    rows.iter()
        .map(|row| Ok((row.get("key")?, row.get("value")?)))
        .collect()
}

/// Removes a tag. The run keeps its name when the tag that holds it goes.
///
/// # Errors
/// [`Error::NoTag`] when the run has none of this name; [`Error::NoRun`], [`Error::RunDeleted`].
pub fn delete(tx: &mut Tx<'_>, by: &By, run: &RunId, key: &str) -> Result<()> {
    let stored = runs::lock_active(tx, &by.project, run)?;
    let removed = tx.execute(
        "DELETE FROM run_tags WHERE run = ?1 AND key = ?2",
        &params![stored.key, key],
    )?;
    if removed == 0 {
        return Err(Error::NoTag {
            of: format!("run \"{run}\""),
            key: crate::names::shown(key),
        });
    }
    Ok(())
}

/// Checks keys and values.
pub(crate) fn check(tags: &BTreeMap<String, String>) -> Result<()> {
    for (key, value) in tags {
        check_key(KeyKind::Tag, key)?;
        check_text("tag value", value, limits::RUN_TAG_CHARS)?;
    }
    Ok(())
}

/// Sets checked tags of a locked run.
pub(crate) fn set_stored(
    tx: &mut Tx<'_>,
    by: &By,
    run: &Stored,
    tags: &BTreeMap<String, String>,
) -> Result<()> {
    if let Some(name) = tags.get(RUN_NAME) {
        runs::rename_stored(tx, by, run, name)?;
    }
    write(tx, run.key, tags)
}

/// Writes tags as they are.
pub(crate) fn write(tx: &mut Tx<'_>, run: i64, tags: &BTreeMap<String, String>) -> Result<()> {
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| params![run, key, value].to_vec())
        .collect();
    sql::insert(
        tx,
        "run_tags (run, key, value)",
        "ON CONFLICT (run, key) DO UPDATE SET value = excluded.value",
        &rows,
    )?;
    Ok(())
}
