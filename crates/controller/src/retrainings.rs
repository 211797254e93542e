//! Ways round the loop as rows. Every step is compare-and-set on the state it leaves: taken once, by whoever is first.

use everloop_core::{Actor, PipelineRunId, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use everloop_ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Result};

/// Where a retraining stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Its trigger fired.
    Queued,
    /// Its pipeline runs.
    Training,
    /// Its version stands before the gates.
    Judging,
    /// It waits for a person's word.
    Waiting,
    /// Its version takes over step by step.
    RollingOut,
    /// It has ended.
    Done,
}

impl State {
    const ALL: [Self; 6] = [
        Self::Queued,
        Self::Training,
        Self::Judging,
        Self::Waiting,
        Self::RollingOut,
        Self::Done,
    ];

    /// The state's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Training => "training",
            Self::Judging => "judging",
            Self::Waiting => "waiting",
            Self::RollingOut => "rolling_out",
            Self::Done => "done",
        }
    }
}

/// How a retraining ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its version serves.
    Promoted,
    /// A gate or a person said no.
    Refused,
    /// The data failed its checks; nothing was trained.
    RefusedData,
    /// The rollout was taken back.
    RolledBack,
    /// The pipeline failed.
    Failed,
    /// It came to the very model that serves already.
    Unchanged,
}

impl Outcome {
    const ALL: [Self; 6] = [
        Self::Promoted,
        Self::Refused,
        Self::RefusedData,
        Self::RolledBack,
        Self::Failed,
        Self::Unchanged,
    ];

    /// The outcome's name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Promoted => "promoted",
            Self::Refused => "refused",
            Self::RefusedData => "refused_data",
            Self::RolledBack => "rolled_back",
            Self::Failed => "failed",
            Self::Unchanged => "unchanged",
        }
    }
}

/// One way round the loop.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Retraining {
    /// Names it.
    pub id: String,
    /// Where it stands.
    pub state: State,
    /// What started it.
    pub trigger: String,
    /// Why, with the event it answers to.
    pub reason: Value,
    /// Who started it.
    pub actor: String,
    /// Its pipeline run, once there is one.
    pub pipeline_run: Option<PipelineRunId>,
    /// Its version, once there is one.
    pub version: Option<u64>,
    /// Its rollout, once there is one.
    pub rollout: Option<String>,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// How it ended, in a sentence.
    pub words: Option<String>,
    /// When it started.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
}

/// Starts one.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    new: &Retraining,
) -> Result<()> {
    tx.execute(
        "INSERT INTO retrainings (project, id, state, trigger_name, reason, actor, pipeline_run, version, rollout, \
         started_at, updated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?10)",
        &params![
            project.as_str(),
            new.id.as_str(),
            new.state.as_str(),
            new.trigger.as_str(),
            new.reason.to_string(),
            new.actor.as_str(),
            new.pipeline_run.as_ref().map(PipelineRunId::as_str),
            new.version,
            new.rollout.as_deref(),
            at
        ],
    )?;
    event(
        tx,
        at,
        project,
        actor,
        "retraining.started",
        new,
        json!({ "trigger": new.trigger, "reason": new.reason }),
    )
}

/// Moves one on. False when it is not in the state that was seen: someone else moved it.
pub(crate) fn advance(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    seen: &Retraining,
    next: &Retraining,
) -> Result<bool> {
    let moved = tx.execute(
        "UPDATE retrainings SET state = ?4, pipeline_run = ?5, version = ?6, rollout = ?7, outcome = ?8, words = ?9, \
         updated_at = ?10, finished_at = ?11 WHERE project = ?1 AND id = ?2 AND state = ?3",
        &params![
            project.as_str(),
            seen.id.as_str(),
            seen.state.as_str(),
            next.state.as_str(),
            next.pipeline_run.as_ref().map(PipelineRunId::as_str),
            next.version,
            next.rollout.as_deref(),
            next.outcome.map(Outcome::as_str),
            next.words.as_deref(),
            at,
            next.finished_at
        ],
    )?;
    if moved == 0 {
        return Ok(false);
    }
    let actor = Actor::system("controller");
    if next.state == State::Done {
        let payload = json!({
            "outcome": next.outcome, "words": next.words, "version": next.version, "trigger": next.trigger,
        });
        event(tx, at, project, &actor, "retraining.finished", next, payload)?;
    } else if next.state != seen.state {
        let payload =
            json!({ "state": next.state, "version": next.version, "pipeline_run": next.pipeline_run });
        event(tx, at, project, &actor, "retraining.moved", next, payload)?;
    }
    Ok(true)
}

fn event(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    kind: &'static str,
    retraining: &Retraining,
    payload: Value,
) -> Result<()> {
    let subject = format!("retraining:{}", retraining.id);
    everloop_ledger::append(
        tx,
        at,
        NewEvent {
            project: project.clone(),
            actor: actor.clone(),
            kind,
            subject,
            payload,
        },
    )?;
    Ok(())
}

/// Whether one still stands where it was seen.
pub(crate) fn stands(tx: &mut Tx<'_>, project: &ProjectName, seen: &Retraining) -> Result<bool> {
    let row = tx.query_opt(
        "SELECT * FROM retrainings WHERE project = ?1 AND id = ?2",
        &params![project.as_str(), seen.id.as_str()],
    )?;
    let now = row.map(|row| read(&row)).transpose()?;
    let place = |one: &Retraining| {
        (
            one.state,
            one.pipeline_run.clone(),
            one.version,
            one.rollout.clone(),
        )
    };
    Ok(now.is_some_and(|now| place(&now) == place(seen)))
}

/// The ones that have not ended, oldest first.
pub(crate) fn open(tx: &mut Tx<'_>, project: &ProjectName) -> Result<Vec<Retraining>> {
    let rows = tx.query(
        "SELECT * FROM retrainings WHERE project = ?1 AND state <> 'done' ORDER BY started_at, id",
        &params![project.as_str()],
    )?;
    rows.iter().map(read).collect()
}

/// The retrainings of a project, newest first, at most `limit`.
///
/// # Errors
/// When the database fails or a row does not read.
pub fn list(tx: &mut Tx<'_>, project: &ProjectName, limit: usize) -> Result<Vec<Retraining>> {
    let rows = tx.query(
        "SELECT * FROM retrainings WHERE project = ?1 ORDER BY started_at DESC, id DESC LIMIT ?2",
        &params![project.as_str(), limit],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Retraining> {
    let damaged = |problem: String| Error::Damaged {
        what: "retraining",
        problem,
    };
    let state: String = row.get("state")?;
    let outcome: Option<String> = row.get("outcome")?;
    let reason: String = row.get("reason")?;
    Ok(Retraining {
        id: row.get("id")?,
        state: State::ALL
            .into_iter()
            .find(|known| known.as_str() == state)
            .ok_or_else(|| damaged(format!("state \"{state}\"")))?,
        trigger: row.get("trigger_name")?,
        reason: serde_json::from_str(&reason).map_err(|error| damaged(error.to_string()))?,
        actor: row.get("actor")?,
        pipeline_run: row.get::<Option<String>>("pipeline_run")?.map(PipelineRunId::new),
        version: row.get("version")?,
        rollout: row.get("rollout")?,
        outcome: outcome.and_then(|word| Outcome::ALL.into_iter().find(|known| known.as_str() == word)),
        words: row.get("words")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
    })
}
