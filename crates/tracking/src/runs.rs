//! Runs: one execution of something that learns or measures, in an experiment.
//!
//! Deleting is soft. A run that has ended can still be logged to, and [`update`] can move it to any status, as MLflow's
//! clients expect; [`finish`] is for our own loop, where an end is final.

use std::collections::BTreeMap;
use std::fmt;

use everloop_core::{ExperimentId, ProjectName, RunId, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::names::{check_name, check_text, limits};
use crate::tags::RUN_NAME;
use crate::{By, Error, Result, events, experiments, run_names, tags};

pub use crate::run_list::{Cursor, Filter, count, list};

/// Where a run stands, in MLflow's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RunStatus {
    /// Waits to begin.
    Scheduled,
    /// Has begun.
    Running,
    /// Ended well.
    Finished,
    /// Ended badly.
    Failed,
    /// Was stopped.
    Killed,
}

impl RunStatus {
    const ALL: [Self; 5] = [
        Self::Scheduled,
        Self::Running,
        Self::Finished,
        Self::Failed,
        Self::Killed,
    ];

    /// MLflow's word, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scheduled => "SCHEDULED",
            Self::Running => "RUNNING",
            Self::Finished => "FINISHED",
            Self::Failed => "FAILED",
            Self::Killed => "KILLED",
        }
    }

    /// The status of MLflow's word, in capitals.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }

    /// Whether a run of this status has ended.
    #[must_use]
    pub fn is_end(self) -> bool {
        match self {
            Self::Scheduled | Self::Running => false,
            Self::Finished | Self::Failed | Self::Killed => true,
        }
    }
}

impl fmt::Display for RunStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What started a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RunKind {
    /// A client's own code, through the MLflow protocol or our API.
    #[default]
    Client,
    /// A stage of a pipeline.
    Stage,
    /// A trial of a search.
    Trial,
    /// Brought over from another store.
    Import,
}

impl RunKind {
    const ALL: [Self; 4] = [Self::Client, Self::Stage, Self::Trial, Self::Import];

    /// The word for it, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Stage => "stage",
            Self::Trial => "trial",
            Self::Import => "import",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text)
    }
}

/// A run without its metrics, params and tags.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunInfo {
    /// Its id.
    pub id: RunId,
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Its name; need not be unique.
    pub name: String,
    /// Who runs it, as the client says; may be empty.
    pub user: String,
    /// What started it.
    pub kind: RunKind,
    /// What exactly: a script, or `pipeline run/stage`; may be empty.
    pub source: String,
    /// Where it stands.
    pub status: RunStatus,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended; there exactly when `status` is an end.
    pub ended_at: Option<Timestamp>,
    /// When it was deleted; `None` while it lives.
    pub deleted_at: Option<Timestamp>,
}

/// A run as stored: with the key that everything of it refers to.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) key: i64,
    pub(crate) info: RunInfo,
}

/// A run to create. It begins as `RUNNING`.
#[derive(Debug, Clone)]
pub struct NewRun {
    /// Its id: a new one from [`Ids::run`](everloop_core::Ids::run), or the one to keep when importing.
    pub id: RunId,
    /// The experiment it belongs to.
    pub experiment: ExperimentId,
    /// Its name; the tag `mlflow.runName`, or else one drawn from the id, when `None`.
    pub name: Option<String>,
    /// Who runs it; may be empty.
    pub user: String,
    /// When it began; now when `None`.
    pub started_at: Option<Timestamp>,
    /// What started it.
    pub kind: RunKind,
    /// What exactly; may be empty.
    pub source: String,
    /// Tags to begin with.
    pub tags: BTreeMap<String, String>,
}

impl NewRun {
    /// A run with an id, in an experiment, and nothing else said.
    #[must_use]
    pub fn new(id: RunId, experiment: ExperimentId) -> Self {
        Self {
            id,
            experiment,
            name: None,
            user: String::new(),
            started_at: None,
            kind: RunKind::default(),
            source: String::new(),
            tags: BTreeMap::new(),
        }
    }
}

/// What to change in a run; what is `None` stays.
#[derive(Debug, Clone, Default)]
pub struct Update {
    /// Another status.
    pub status: Option<RunStatus>,
    /// When it ended; taken only while its status is, or becomes, an end.
    pub ended_at: Option<Timestamp>,
    /// Another name.
    pub name: Option<String>,
}

/// Creates a run in an active experiment.
///
/// # Errors
/// [`Error::NoExperiment`], [`Error::ExperimentDeleted`], [`Error::RunExists`], [`Error::TwoRunNames`], or an id, name
/// or tag that can't be used.
pub fn create(tx: &mut Tx<'_>, by: &By, new: &NewRun) -> Result<RunInfo> {
    check_id(&new.id)?;
    check_text("user", &new.user, limits::NAME_CHARS)?;
    check_text("run source", &new.source, limits::LOCATION_CHARS)?;
    let name = name_of(new)?;
    let mut run_tags = new.tags.clone();
    run_tags.insert(RUN_NAME.to_owned(), name.clone());
    tags::check(&run_tags)?;
    let experiment = experiments::number(&new.experiment)?;
    experiments::lock_active(tx, &by.project, &new.experiment)?;
    // The number of the ledger row is the run's key.
    let payload = json!({
        "experiment": new.experiment, "name": name, "kind": new.kind.as_str(), "source": new.source,
    });
    let key = events::run(tx, by, events::RUN_CREATED, &new.id, payload)?.0;
    let inserted = tx.execute(
        "INSERT INTO runs (key, run_id, project, experiment, name, user_id, kind, source, status,
                           started_at, created_at, updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11) ON CONFLICT (run_id) DO NOTHING",
        &params![
            key,
            &new.id,
            &by.project,
            experiment,
            &name,
            &new.user,
            new.kind.as_str(),
            &new.source,
            RunStatus::Running.as_str(),
            new.started_at.unwrap_or(by.at),
            by.at,
        ],
    )?;
    if inserted == 0 {
        return Err(Error::RunExists(new.id.clone()));
    }
    tags::write(tx, key, &run_tags)?;
    Ok(RunInfo {
        id: new.id.clone(),
        experiment: new.experiment.clone(),
        name,
        user: new.user.clone(),
        kind: new.kind,
        source: new.source.clone(),
        status: RunStatus::Running,
        started_at: new.started_at.unwrap_or(by.at),
        ended_at: None,
        deleted_at: None,
    })
}

/// The run of this id, deleted or not, without its metrics, params and tags.
///
/// # Errors
/// Those of the database.
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, id: &RunId) -> Result<Option<RunInfo>> {
    Ok(find(tx, project, id)?.map(|stored| stored.info))
}

/// Ends a run, once: ending it again in the same way changes nothing.
///
/// # Errors
/// [`Error::RunEnded`] when it has ended in another way; [`Error::NotAnEnd`], [`Error::NoRun`], [`Error::RunDeleted`].
pub fn finish(tx: &mut Tx<'_>, by: &By, id: &RunId, status: RunStatus) -> Result<RunInfo> {
    if !status.is_end() {
        return Err(Error::NotAnEnd(status));
    }
    let mut run = active(tx, &by.project, id)?;
    let ended = tx.execute(
        "UPDATE runs SET status = ?2, ended_at = ?3, updated_at = ?3
         WHERE key = ?1 AND status IN ('RUNNING', 'SCHEDULED') AND deleted_at IS NULL",
        &params![run.key, status.as_str(), by.at],
    )?;
    if ended == 1 {
        run.info.status = status;
        run.info.ended_at = Some(by.at);
        let payload = json!({ "status": status.as_str(), "ended_at": by.at });
        events::run(tx, by, events::RUN_FINISHED, id, payload)?;
        return Ok(run.info);
    }
    // Someone ended it before us, perhaps in the same way.
    let now = active(tx, &by.project, id)?.info;
    if now.status != status {
        return Err(Error::RunEnded {
            run: id.clone(),
            found: now.status,
        });
    }
    Ok(now)
}

/// Changes a run's status, end or name in any way, as MLflow allows: an ended run can go on and end again.
///
/// A run that goes on loses its end time; one that ends without being told when ends now.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`], or a name that can't be used.
pub fn update(tx: &mut Tx<'_>, by: &By, id: &RunId, update: &Update) -> Result<RunInfo> {
    let before = lock_active(tx, &by.project, id)?;
    if let Some(name) = &update.name {
        rename_stored(tx, by, &before, name)?;
    }
    let old = before.info.status;
    let status = update.status.unwrap_or(old);
    let ended_at = match (status.is_end(), update.ended_at) {
        (false, _) => None,
        (true, Some(at)) => Some(at),
        (true, None) => before.info.ended_at.or(Some(by.at)),
    };
    tx.execute(
        "UPDATE runs SET status = ?2, ended_at = ?3, updated_at = ?4 WHERE key = ?1",
        &params![before.key, status.as_str(), ended_at, by.at],
    )?;
    if status.is_end() && status != old {
        let payload = json!({ "status": status.as_str(), "ended_at": ended_at });
        events::run(tx, by, events::RUN_FINISHED, id, payload)?;
    } else if old.is_end() && !status.is_end() {
        let payload = json!({ "status": status.as_str(), "from": old.as_str() });
        events::run(tx, by, events::RUN_RESUMED, id, payload)?;
    }
    Ok(active(tx, &by.project, id)?.info)
}

/// Gives a run another name, and its tag `mlflow.runName` with it.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`], or a name that can't be used.
pub fn rename(tx: &mut Tx<'_>, by: &By, id: &RunId, name: &str) -> Result<()> {
    let run = lock_active(tx, &by.project, id)?;
    rename_stored(tx, by, &run, name)
}

/// Deletes a run; [`restore`] brings it back with everything in it.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`].
pub fn delete(tx: &mut Tx<'_>, by: &By, id: &RunId) -> Result<()> {
    let run = active(tx, &by.project, id)?;
    let deleted = tx.execute(
        "UPDATE runs SET deleted_at = ?2, updated_at = ?2 WHERE key = ?1 AND deleted_at IS NULL",
        &params![run.key, by.at],
    )?;
    if deleted == 0 {
        return Err(Error::RunDeleted(id.clone()));
    }
    events::run(
        tx,
        by,
        events::RUN_DELETED,
        id,
        json!({ "experiment": run.info.experiment }),
    )?;
    Ok(())
}

/// Brings a deleted run back, into an experiment that is not deleted.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunNotDeleted`], [`Error::ExperimentDeleted`].
pub fn restore(tx: &mut Tx<'_>, by: &By, id: &RunId) -> Result<()> {
    let run = existing(tx, &by.project, id)?;
    experiments::lock_active(tx, &by.project, &run.info.experiment)?;
    let restored = tx.execute(
        "UPDATE runs SET deleted_at = NULL, updated_at = ?2 WHERE key = ?1 AND deleted_at IS NOT NULL",
        &params![run.key, by.at],
    )?;
    if restored == 0 {
        return Err(Error::RunNotDeleted(id.clone()));
    }
    let payload = json!({ "experiment": run.info.experiment });
    events::run(tx, by, events::RUN_RESTORED, id, payload)?;
    Ok(())
}

/// The run of this id as stored.
pub(crate) fn find(tx: &mut Tx<'_>, project: &ProjectName, id: &RunId) -> Result<Option<Stored>> {
    let row = tx.query_opt(
        &format!("SELECT {COLUMNS} FROM runs WHERE run_id = ?1 AND project = ?2"),
        &params![id, project],
    )?;
    row.as_ref().map(stored).transpose()
}

/// The run of this id, which must be there.
pub(crate) fn existing(tx: &mut Tx<'_>, project: &ProjectName, id: &RunId) -> Result<Stored> {
    find(tx, project, id)?.ok_or_else(|| Error::NoRun(id.clone()))
}

/// The run of this id, which must be there and not deleted.
pub(crate) fn active(tx: &mut Tx<'_>, project: &ProjectName, id: &RunId) -> Result<Stored> {
    let run = existing(tx, project, id)?;
    match run.info.deleted_at {
        None => Ok(run),
        Some(_) => Err(Error::RunDeleted(id.clone())),
    }
}

/// As [`active`], and nobody else changes what hangs on the run until this transaction ends.
///
/// What reads before it writes (is this param new, which number has this metric, is this folder empty) needs it.
pub(crate) fn lock_active(tx: &mut Tx<'_>, project: &ProjectName, id: &RunId) -> Result<Stored> {
    tx.lock(&format!("run:{id}"))?;
    active(tx, project, id)
}

/// The columns that [`stored`] reads.
pub(crate) const COLUMNS: &str =
    "key, run_id, experiment, name, user_id, kind, source, status, started_at, ended_at, deleted_at";

/// Reads a row of [`COLUMNS`].
pub(crate) fn stored(row: &Row) -> Result<Stored> {
    let word = |column: &str| -> Result<String> { Ok(row.get(column)?) };
    let damaged = |what: &str, found: String| Error::Damaged {
        what: format!("{what} of a run"),
        problem: format!("\"{found}\" is not one"),
    };
    let (kind, status) = (word("kind")?, word("status")?);
    let info = RunInfo {
        id: row.get("run_id")?,
        experiment: ExperimentId::new(row.get::<i64>("experiment")?.to_string()),
        name: word("name")?,
        user: word("user_id")?,
        kind: RunKind::parse(&kind).ok_or_else(|| damaged("kind", kind))?,
        source: word("source")?,
        status: RunStatus::parse(&status).ok_or_else(|| damaged("status", status))?,
        started_at: row.get("started_at")?,
        ended_at: row.get("ended_at")?,
        deleted_at: row.get("deleted_at")?,
    };
    Ok(Stored {
        key: row.get("key")?,
        info,
    })
}

/// Renames a run that is locked; its own name again changes nothing.
pub(crate) fn rename_stored(tx: &mut Tx<'_>, by: &By, run: &Stored, name: &str) -> Result<()> {
    check_name("run name", name, limits::NAME_CHARS)?;
    if run.info.name == name {
        return Ok(());
    }
    tx.execute(
        "UPDATE runs SET name = ?2, updated_at = ?3 WHERE key = ?1",
        &params![run.key, name, by.at],
    )?;
    tags::write(
        tx,
        run.key,
        &BTreeMap::from([(RUN_NAME.to_owned(), name.to_owned())]),
    )?;
    let payload = json!({ "from": run.info.name, "to": name });
    events::run(tx, by, events::RUN_RENAMED, &run.info.id, payload)?;
    Ok(())
}

/// A run's id is used in paths, so it has a narrow form: a letter or digit, then letters, digits, `_` and `-`.
fn check_id(id: &RunId) -> Result<()> {
    let text = id.as_str();
    let good = text.len() <= 256
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-'));
    if good {
        Ok(())
    } else {
        Err(Error::InvalidRunId(crate::names::shown(text)))
    }
}

fn name_of(new: &NewRun) -> Result<String> {
    // A blank name counts as none: clients send one when they mean "choose".
    let given = new.name.as_deref().filter(|name| !name.trim().is_empty());
    let name = match (given, new.tags.get(RUN_NAME)) {
        (Some(name), Some(tag)) if name != tag => {
            return Err(Error::TwoRunNames {
                name: crate::names::shown(name),
                tag: crate::names::shown(tag),
            });
        }
        (Some(name), _) => name.to_owned(),
        (None, Some(tag)) => tag.clone(),
        (None, None) => run_names::for_run(&new.id),
    };
    check_name("run name", &name, limits::NAME_CHARS)?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_ids_are_safe_in_paths() {
        for good in ["0123456789abcdef0123456789abcdef", "a", "run_1-x"] {
            assert!(check_id(&RunId::new(good)).is_ok(), "{good}");
        }
        let long = "a".repeat(257);
        for bad in ["", "-a", "_a", "a/b", "a.b", "..", "a b", "é", &long] {
            assert!(check_id(&RunId::new(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn words_round_trip() {
        for status in RunStatus::ALL {
            assert_eq!(RunStatus::parse(status.as_str()), Some(status));
        }
        for kind in RunKind::ALL {
            assert_eq!(RunKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(RunStatus::parse("running"), None);
    }
}
