//! Decisions: what was chosen, by whom, and the numbers it rests on.

use everloop_core::{Actor, Ids};
use everloop_core::{DecisionId, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use everloop_ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::{Error, Result};

/// An automatic or human choice.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// Names it.
    pub id: DecisionId,
    /// What was decided about: trigger, data, gates, approval, rollout, promotion, rollback, retraining.
    pub kind: String,
    /// About what, such as `model:flight-delay@3`.
    pub subject: String,
    /// What was chosen, such as `promoted`.
    pub outcome: String,
    /// One sentence.
    pub words: String,
    /// The numbers it rests on.
    pub evidence: Value,
    /// Who chose.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
}

/// A decision to be written.
#[derive(Debug, Clone)]
pub(crate) struct Draft {
    pub kind: &'static str,
    pub subject: String,
    pub outcome: &'static str,
    pub words: String,
    pub evidence: Value,
}

/// Writes a decision with its ledger row, in the caller's transaction.
pub(crate) fn record(
    tx: &mut Tx<'_>,
    ids: &Ids,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    draft: &Draft,
) -> Result<DecisionId> {
    let id = ids.decision(at);
    tx.execute(
        "INSERT INTO decisions (project, id, kind, subject, outcome, words, evidence, actor, at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &params![
            project.as_str(),
            id.as_str(),
            draft.kind,
            draft.subject.as_str(),
            draft.outcome,
            draft.words.as_str(),
            draft.evidence.to_string(),
            actor.to_string(),
            at
        ],
    )?;
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind: "decision",
        subject: draft.subject.clone(),
        payload: json!({
            "decision": id, "kind": draft.kind, "outcome": draft.outcome, "words": draft.words,
            "evidence": draft.evidence,
        }),
    };
    everloop_ledger::append(tx, at, event)?;
    Ok(id)
}

/// The decisions of a project, newest first, about `subject` when that is given; at most `limit`.
///
/// # Errors
/// When the database fails or a row does not read.
pub fn decisions(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    subject: Option<&str>,
    limit: usize,
) -> Result<Vec<Decision>> {
    let rows = tx.query(
        "SELECT * FROM decisions WHERE project = ?1 AND (CAST(?2 AS TEXT) IS NULL OR subject = ?2) \
         ORDER BY at DESC, id DESC LIMIT ?3",
        &params![project.as_str(), subject, limit],
    )?;
    rows.iter().map(read).collect()
}

/// The decision with this id, if there is one.
///
/// # Errors
/// When the database fails or the row does not read.
pub fn find(tx: &mut Tx<'_>, project: &ProjectName, id: &DecisionId) -> Result<Option<Decision>> {
    let row = tx.query_opt(
        "SELECT * FROM decisions WHERE project = ?1 AND id = ?2",
        &params![project.as_str(), id.as_str()],
    )?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Decision> {
    let damaged = |problem: String| Error::Damaged {
        what: "decision",
        problem,
    };
    let actor: String = row.get("actor")?;
    let evidence: String = row.get("evidence")?;
    Ok(Decision {
        id: DecisionId::new(row.get::<String>("id")?),
        kind: row.get("kind")?,
        subject: row.get("subject")?,
        outcome: row.get("outcome")?,
        words: row.get("words")?,
        evidence: serde_json::from_str(&evidence).map_err(|error| damaged(error.to_string()))?,
        actor: actor
            .parse()
            .map_err(|()| damaged(format!("actor \"{actor}\"")))?,
        at: row.get("at")?,
    })
}
