//! Experiments: named groups of runs in a project.
//!
//! An experiment's id is a decimal number, counted per project; "0" is the project's default experiment. Deleting is
//! soft: the name stays taken, the runs go and come back with it.

use std::collections::BTreeMap;

use everloop_core::{ExperimentId, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::names::{check_key, check_name, check_text, limits};
use crate::sql::{insert, one_more};
use crate::{By, Error, KeyKind, Lifecycle, Page, Result, events};

/// The id of each project's default experiment.
pub const DEFAULT_ID: &str = "0";
/// The name of each project's default experiment.
pub const DEFAULT_NAME: &str = "Default";

/// An experiment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Experiment {
    /// Decimal digits, unique in the project.
    pub id: ExperimentId,
    /// Unique in the project, among the deleted too.
    pub name: String,
    /// Where its runs' artifacts lie; `None` when they are objects of ours.
    pub artifact_location: Option<String>,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When its name, tags or lifecycle last changed.
    pub updated_at: Timestamp,
    /// When it was deleted; `None` while it lives.
    pub deleted_at: Option<Timestamp>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// An experiment to create.
#[derive(Debug, Clone, Default)]
pub struct NewExperiment {
    /// Its name.
    pub name: String,
    /// The id to keep, for imports; the next free one when `None`.
    pub id: Option<ExperimentId>,
    /// Where artifacts lie, when not with us. The edge holds it to the allowed roots before it comes here.
    pub artifact_location: Option<String>,
    /// Tags to begin with.
    pub tags: BTreeMap<String, String>,
}

impl NewExperiment {
    /// An experiment with a name and nothing else.
    #[must_use]
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            ..Self::default()
        }
    }
}

/// Where a list of experiments goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last one's birth.
    pub created_at: Timestamp,
    /// The last one's id.
    pub id: ExperimentId,
}

/// Creates an experiment.
///
/// # Errors
/// [`Error::ExperimentExists`] when the name or the id to keep is taken, perhaps by a deleted one; a key or text
/// that can't be used.
pub fn create(tx: &mut Tx<'_>, by: &By, new: &NewExperiment) -> Result<ExperimentId> {
    check_name("experiment name", &new.name, limits::NAME_CHARS)?;
    if let Some(location) = &new.artifact_location {
        check_name("artifact location", location, limits::LOCATION_CHARS)?;
    }
    for (key, value) in &new.tags {
        check_tag(key, value)?;
    }
    let number = take_number(tx, by, new)?;
    let inserted = tx.execute(
        "INSERT INTO experiments
             (project, number, name, artifact_location, created_by, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?6) ON CONFLICT (project, name) DO NOTHING",
        &params![
            &by.project,
            number,
            &new.name,
            new.artifact_location.as_deref(),
            by.actor.to_string(),
            by.at,
        ],
    )?;
    if inserted == 0 {
        return Err(taken(tx, &by.project, &new.name)?);
    }
    let id = ExperimentId::new(number.to_string());
    insert_tags(tx, &by.project, number, &new.tags)?;
    events::experiment(
        tx,
        by,
        events::EXPERIMENT_CREATED,
        &id,
        json!({ "name": new.name }),
    )?;
    Ok(id)
}

/// Creates the project's default experiment, "0", unless it is there.
///
/// # Errors
/// Those of the database and the ledger, and [`Error::ExperimentExists`] when another experiment has its name.
pub fn ensure_default(tx: &mut Tx<'_>, by: &By) -> Result<ExperimentId> {
    let id = ExperimentId::new(DEFAULT_ID);
    if get(tx, &by.project, &id)?.is_some() {
        return Ok(id);
    }
    let new = NewExperiment {
        name: DEFAULT_NAME.to_owned(),
        id: Some(id),
        ..NewExperiment::default()
    };
    create(tx, by, &new)
}

/// The living experiment of this name, created when there is none.
///
/// # Errors
/// [`Error::ExperimentDeleted`] when it is deleted; otherwise as [`create`].
pub fn ensure(tx: &mut Tx<'_>, by: &By, name: &str) -> Result<ExperimentId> {
    match get_by_name(tx, &by.project, name)? {
        Some(found) if found.deleted_at.is_some() => Err(Error::ExperimentDeleted(name.to_owned())),
        Some(found) => Ok(found.id),
        None => create(tx, by, &NewExperiment::named(name)),
    }
}

/// The experiment of this id, deleted or not.
///
/// # Errors
/// [`Error::InvalidExperimentId`] when the id is not a decimal number.
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, id: &ExperimentId) -> Result<Option<Experiment>> {
    let number = number(id)?;
    let row = tx.query_opt(
        "SELECT number, name, artifact_location, created_by, created_at, updated_at, deleted_at
         FROM experiments WHERE project = ?1 AND number = ?2",
        &params![project, number],
    )?;
    row.map(|row| with_tags(tx, project, &row)).transpose()
}

/// The experiment of this name, deleted or not.
///
/// # Errors
/// Those of the database.
pub fn get_by_name(tx: &mut Tx<'_>, project: &ProjectName, name: &str) -> Result<Option<Experiment>> {
    let row = tx.query_opt(
        "SELECT number, name, artifact_location, created_by, created_at, updated_at, deleted_at
         FROM experiments WHERE project = ?1 AND name = ?2",
        &params![project, name],
    )?;
    row.map(|row| with_tags(tx, project, &row)).transpose()
}

/// A page of experiments, newest first, then by id, greatest first. Two statements, whatever the page's length.
///
/// # Errors
/// [`Error::InvalidExperimentId`] in the cursor.
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    lifecycle: Lifecycle,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Experiment, Cursor>> {
    let (created_at, last) = match after {
        Some(cursor) => (cursor.created_at.millis(), number(&cursor.id)?),
        None => (i64::MAX, i64::MAX),
    };
    let rows = tx.query(
        &format!(
            "SELECT number, name, artifact_location, created_by, created_at, updated_at, deleted_at
             FROM experiments WHERE project = ?1 AND (created_at, number) < (?2, ?3) AND {}
             ORDER BY created_at DESC, number DESC LIMIT ?4",
            lifecycle.condition()
        ),
        &params![project, created_at, last, one_more(limit)],
    )?;
    let found = rows.iter().map(experiment).collect::<Result<Vec<_>>>()?;
    let mut page = Page::cut(found, limit, |last| Cursor {
        created_at: last.created_at,
        id: last.id.clone(),
    });
    attach_tags(tx, project, &mut page.items)?;
    Ok(page)
}

/// Gives an active experiment another name; its own name again changes nothing.
///
/// # Errors
/// [`Error::NoExperiment`], [`Error::ExperimentDeleted`], [`Error::ExperimentExists`], or a name that can't be used.
pub fn rename(tx: &mut Tx<'_>, by: &By, id: &ExperimentId, name: &str) -> Result<()> {
    check_name("experiment name", name, limits::NAME_CHARS)?;
    let old = active(tx, &by.project, id)?;
    if old.name == name {
        return Ok(());
    }
    if get_by_name(tx, &by.project, name)?.is_some() {
        return Err(taken(tx, &by.project, name)?);
    }
    tx.execute(
        "UPDATE experiments SET name = ?3, updated_at = ?4 WHERE project = ?1 AND number = ?2",
        &params![&by.project, number(id)?, name, by.at],
    )?;
    let payload = json!({ "from": old.name, "to": name });
    events::experiment(tx, by, events::EXPERIMENT_RENAMED, id, payload)?;
    Ok(())
}

/// Deletes an experiment and its runs; [`restore`] brings them back.
///
/// # Errors
/// [`Error::NoExperiment`], [`Error::ExperimentDeleted`].
pub fn delete(tx: &mut Tx<'_>, by: &By, id: &ExperimentId) -> Result<()> {
    lock(tx, &by.project, id)?;
    let found = active(tx, &by.project, id)?;
    set_deleted(tx, by, id, Some(by.at))?;
    tx.execute(
        "UPDATE runs SET deleted_at = ?3, updated_at = ?3
         WHERE project = ?1 AND experiment = ?2 AND deleted_at IS NULL",
        &params![&by.project, number(id)?, by.at],
    )?;
    let payload = json!({ "name": found.name });
    events::experiment(tx, by, events::EXPERIMENT_DELETED, id, payload)?;
    Ok(())
}

/// Brings a deleted experiment back, with all its runs, as MLflow does.
///
/// # Errors
/// [`Error::NoExperiment`], [`Error::ExperimentNotDeleted`].
pub fn restore(tx: &mut Tx<'_>, by: &By, id: &ExperimentId) -> Result<()> {
    lock(tx, &by.project, id)?;
    let found = existing(tx, &by.project, id)?;
    if found.deleted_at.is_none() {
        return Err(Error::ExperimentNotDeleted(id.to_string()));
    }
    set_deleted(tx, by, id, None)?;
    tx.execute(
        "UPDATE runs SET deleted_at = NULL, updated_at = ?3
         WHERE project = ?1 AND experiment = ?2 AND deleted_at IS NOT NULL",
        &params![&by.project, number(id)?, by.at],
    )?;
    let payload = json!({ "name": found.name });
    events::experiment(tx, by, events::EXPERIMENT_RESTORED, id, payload)?;
    Ok(())
}

/// Sets a tag of an active experiment, or replaces its value.
///
/// # Errors
/// [`Error::NoExperiment`], [`Error::ExperimentDeleted`], or a key or value that can't be used.
pub fn set_tag(tx: &mut Tx<'_>, by: &By, id: &ExperimentId, key: &str, value: &str) -> Result<()> {
    check_tag(key, value)?;
    active(tx, &by.project, id)?;
    tx.execute(
        "INSERT INTO experiment_tags (project, experiment, key, value) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (project, experiment, key) DO UPDATE SET value = excluded.value",
        &params![&by.project, number(id)?, key, value],
    )?;
    touch(tx, by, id)
}

/// Removes a tag of an active experiment.
///
/// # Errors
/// [`Error::NoTag`] when it has none of this name; [`Error::NoExperiment`], [`Error::ExperimentDeleted`].
pub fn delete_tag(tx: &mut Tx<'_>, by: &By, id: &ExperimentId, key: &str) -> Result<()> {
    active(tx, &by.project, id)?;
    let removed = tx.execute(
        "DELETE FROM experiment_tags WHERE project = ?1 AND experiment = ?2 AND key = ?3",
        &params![&by.project, number(id)?, key],
    )?;
    if removed == 0 {
        return Err(Error::NoTag {
            of: format!("experiment \"{id}\""),
            key: key.to_owned(),
        });
    }
    touch(tx, by, id)
}

/// The number that is stored for an id.
pub(crate) fn number(id: &ExperimentId) -> Result<i64> {
    let text = id.as_str();
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    match text.parse() {
        Ok(number) if digits => Ok(number),
        _ => Err(Error::InvalidExperimentId(crate::names::shown(text))),
    }
}

/// The experiment of this id, which must be there.
pub(crate) fn existing(tx: &mut Tx<'_>, project: &ProjectName, id: &ExperimentId) -> Result<Experiment> {
    get(tx, project, id)?.ok_or_else(|| Error::NoExperiment(id.to_string()))
}

/// The experiment of this id, which must be there and not deleted.
pub(crate) fn active(tx: &mut Tx<'_>, project: &ProjectName, id: &ExperimentId) -> Result<Experiment> {
    let found = existing(tx, project, id)?;
    match found.deleted_at {
        None => Ok(found),
        Some(_) => Err(Error::ExperimentDeleted(id.to_string())),
    }
}

/// Refuses to go on unless the experiment is there and not deleted, and keeps it from being deleted until this
/// transaction ends.
///
/// Locks are taken in one order, so that nobody blocks another: the experiment, then runs, then the ledger.
pub(crate) fn lock_active(tx: &mut Tx<'_>, project: &ProjectName, id: &ExperimentId) -> Result<()> {
    lock(tx, project, id)?;
    let row = tx.query_opt(
        "SELECT deleted_at FROM experiments WHERE project = ?1 AND number = ?2",
        &params![project, number(id)?],
    )?;
    match row
        .map(|row| row.get::<Option<Timestamp>>("deleted_at"))
        .transpose()?
    {
        None => Err(Error::NoExperiment(id.to_string())),
        Some(Some(_)) => Err(Error::ExperimentDeleted(id.to_string())),
        Some(None) => Ok(()),
    }
}

/// Keeps others from deleting the experiment, or from creating runs in it, until this transaction ends.
fn lock(tx: &mut Tx<'_>, project: &ProjectName, id: &ExperimentId) -> Result<()> {
    Ok(tx.lock(&format!("experiment:{project}/{}", number(id)?))?)
}

fn check_tag(key: &str, value: &str) -> Result<()> {
    check_key(KeyKind::ExperimentTag, key)?;
    check_text("experiment tag value", value, limits::EXPERIMENT_TAG_CHARS)
}

/// The number for a new experiment. The counter's row serialises those who create at once; a number that is brought
/// along raises it, so that it is not given twice.
fn take_number(tx: &mut Tx<'_>, by: &By, new: &NewExperiment) -> Result<i64> {
    let Some(id) = &new.id else {
        let row = tx.query_one(
            "INSERT INTO tracking_counters (project, last_experiment) VALUES (?1, 1)
             ON CONFLICT (project) DO UPDATE SET last_experiment = tracking_counters.last_experiment + 1
             RETURNING last_experiment",
            &params![&by.project],
        )?;
        return Ok(row.get("last_experiment")?);
    };
    let wanted = number(id)?;
    tx.execute(
        "INSERT INTO tracking_counters (project, last_experiment) VALUES (?1, ?2)
         ON CONFLICT (project) DO UPDATE SET last_experiment =
             CASE WHEN excluded.last_experiment > tracking_counters.last_experiment
                  THEN excluded.last_experiment ELSE tracking_counters.last_experiment END",
        &params![&by.project, wanted],
    )?;
    match get(tx, &by.project, id)? {
        None => Ok(wanted),
        Some(other) => Err(Error::ExperimentExists {
            what: id.to_string(),
            deleted: other.deleted_at.is_some(),
        }),
    }
}

fn taken(tx: &mut Tx<'_>, project: &ProjectName, name: &str) -> Result<Error> {
    let other = get_by_name(tx, project, name)?;
    Ok(Error::ExperimentExists {
        what: name.to_owned(),
        deleted: other.is_some_and(|other| other.deleted_at.is_some()),
    })
}

fn set_deleted(tx: &mut Tx<'_>, by: &By, id: &ExperimentId, at: Option<Timestamp>) -> Result<()> {
    tx.execute(
        "UPDATE experiments SET deleted_at = ?3, updated_at = ?4 WHERE project = ?1 AND number = ?2",
        &params![&by.project, number(id)?, at, by.at],
    )?;
    Ok(())
}

fn touch(tx: &mut Tx<'_>, by: &By, id: &ExperimentId) -> Result<()> {
    tx.execute(
        "UPDATE experiments SET updated_at = ?3 WHERE project = ?1 AND number = ?2",
        &params![&by.project, number(id)?, by.at],
    )?;
    Ok(())
}

fn insert_tags(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    number: i64,
    tags: &BTreeMap<String, String>,
) -> Result<()> {
    let rows: Vec<_> = tags
        .iter()
        .map(|(key, value)| params![project, number, key, value].to_vec())
        .collect();
    insert(tx, "experiment_tags (project, experiment, key, value)", "", &rows)?;
    Ok(())
}

fn with_tags(tx: &mut Tx<'_>, project: &ProjectName, row: &Row) -> Result<Experiment> {
    let mut found = [experiment(row)?];
    attach_tags(tx, project, &mut found)?;
    let [found] = found;
    Ok(found)
}

/// Reads the tags of all `experiments` with one statement per [`IN_LIST`](crate::sql::IN_LIST) of them.
fn attach_tags(tx: &mut Tx<'_>, project: &ProjectName, experiments: &mut [Experiment]) -> Result<()> {
    for part in experiments.chunks_mut(crate::sql::IN_LIST) {
        let numbers = part
            .iter()
            .map(|e| Ok(number(&e.id)?.into()))
            .collect::<Result<_>>()?;
        let (places, numbers) = crate::sql::in_list(1, numbers);
        let mut values = params![project].to_vec();
        values.extend(numbers);
        let rows = tx.query(
            &format!(
                "SELECT experiment, key, value FROM experiment_tags
                 WHERE project = ?1 AND experiment IN {places}"
            ),
            &values,
        )?;
        for row in rows {
            let of = row.get::<i64>("experiment")?.to_string();
            if let Some(owner) = part.iter_mut().find(|e| e.id.as_str() == of) {
                owner.tags.insert(row.get("key")?, row.get("value")?);
            }
        }
    }
    Ok(())
}

fn experiment(row: &Row) -> Result<Experiment> {
    Ok(Experiment {
        id: ExperimentId::new(row.get::<i64>("number")?.to_string()),
        name: row.get("name")?,
        artifact_location: row.get("artifact_location")?,
        created_by: row.get("created_by")?,
        created_at: row.get("created_at")?,
        updated_at: row.get("updated_at")?,
        deleted_at: row.get("deleted_at")?,
        tags: BTreeMap::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_decimal_numbers() {
        assert_eq!(number(&ExperimentId::new("0")).unwrap(), 0);
        assert_eq!(number(&ExperimentId::new("412")).unwrap(), 412);
        for bad in ["", "-1", "+1", "1.0", "abc", "99999999999999999999", " 1", "١"] {
            assert!(number(&ExperimentId::new(bad)).is_err(), "{bad}");
        }
    }
}
