//! Approvals: what people said about a version. Every word is kept and the last one counts.

use everloop_core::{Actor, ModelName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::text::{check_text, limits};
use crate::versions::{self, Approval, State};
use crate::{By, Error, Result, VersionNumber, events, models};

/// What somebody said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Yes.
    Approved,
    /// No.
    Rejected,
}

impl Verdict {
    fn as_str(self) -> &'static str {
        self.approval().as_str()
    }

    fn approval(self) -> Approval {
        match self {
            Self::Approved => Approval::Approved,
            Self::Rejected => Approval::Rejected,
        }
    }
}

/// Who said what about a version, and when.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What was said.
    pub verdict: Verdict,
    /// Who.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// In their words; may be empty.
    pub comment: String,
    /// The ledger row that records it.
    pub seq: i64,
}

/// Marks a version as waiting for somebody's word. One that has a word keeps it: who wants another asks again by
/// making a new version.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn ask(tx: &mut Tx<'_>, by: &By, model: &ModelName, version: VersionNumber) -> Result<()> {
    let key = models::lock(tx, &by.project, model)?;
    versions::state(tx, key, model, version)?;
    let asked = tx.execute(
        "UPDATE model_versions SET approval = ?3 WHERE model = ?1 AND version = ?2 AND approval = ?4",
        &params![
            key,
            version,
            Approval::Asked.as_str(),
            Approval::NotAsked.as_str()
        ],
    )?;
    if asked == 1 {
        versions::touch(tx, by, key, version)?;
        events::version(tx, by, events::APPROVAL_ASKED, model, version, json!({}))?;
    }
    Ok(())
}

/// Records somebody's word about a version that is not failed. Whether they may say it is for the edge to know.
///
/// The comment stays out of the ledger, so that personal data in it can be erased.
///
/// # Errors
/// [`Error::VersionState`] when the version failed; [`Error::NoModel`], [`Error::NoVersion`], or a comment that can't
/// be used.
pub fn give(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    verdict: Verdict,
    comment: &str,
) -> Result<()> {
    check_text("comment", comment, limits::REASON_CHARS)?;
    let key = models::lock(tx, &by.project, model)?;
    let found = versions::state(tx, key, model, version)?;
    if found == State::Failed {
        return Err(Error::VersionState {
            model: model.clone(),
            version,
            found,
        });
    }
    tx.execute(
        "UPDATE model_versions SET approval = ?3 WHERE model = ?1 AND version = ?2",
        &params![key, version, verdict.approval().as_str()],
    )?;
    versions::touch(tx, by, key, version)?;
    let kind = match verdict {
        Verdict::Approved => events::MODEL_APPROVED,
        Verdict::Rejected => events::MODEL_REJECTED,
    };
    let seq = events::version(tx, by, kind, model, version, json!({}))?;
    tx.execute(
        "INSERT INTO model_approvals (seq, model, version, verdict, comment, actor, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        &params![
            seq,
            key,
            version,
            verdict.as_str(),
            comment,
            by.actor.to_string(),
            by.at,
        ],
    )?;
    Ok(())
}

/// Every word about a version, oldest first.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn all(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Vec<Word>> {
    let key = models::key(tx, project, model)?;
    versions::state(tx, key, model, version)?;
    let rows = tx.query(
        "SELECT verdict, comment, actor, at, seq FROM model_approvals
         WHERE model = ?1 AND version = ?2 ORDER BY seq",
        &params![key, version],
    )?;
    rows.iter().map(word).collect()
}

fn word(row: &Row) -> Result<Word> {
    let (verdict, actor): (String, String) = (row.get("verdict")?, row.get("actor")?);
    let damaged = |what: &str, found: &str| Error::Damaged {
        what: format!("{what} of an approval"),
        problem: format!("\"{found}\" is not one"),
    };
    Ok(Word {
        verdict: match Approval::parse(&verdict) {
            Some(Approval::Approved) => Verdict::Approved,
            Some(Approval::Rejected) => Verdict::Rejected,
            Some(Approval::NotAsked | Approval::Asked) | None => return Err(damaged("verdict", &verdict)),
        },
        actor: actor.parse().map_err(|()| damaged("actor", &actor))?,
        at: row.get("at")?,
        comment: row.get("comment")?,
        seq: row.get("seq")?,
    })
}
