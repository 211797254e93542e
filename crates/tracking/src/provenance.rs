//! Where a run came from: code, params, environment, seed and command, in one document.
//!
//! The data it used stands in [`inputs`](crate::inputs). Together they are what `everloop why` shows and what
//! `everloop reproduce` checks out.

use std::collections::BTreeMap;

use everloop_core::{Hash, ProjectName, RunId};
use everloop_db::{Tx, params};
use serde::{Deserialize, Serialize};

use crate::sql::one_more;
use crate::{By, Error, Result, runs};

/// The format of the document this program writes. Readers take this and older ones.
pub const FORMAT: u32 = 1;

/// Where a run came from. Stored as JSON; owned by this crate; fields are only ever added.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Provenance {
    /// The code; `None` when it is not under version control.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<Code>,
    /// What the run was told, before any of it was logged as params.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub params: BTreeMap<String, serde_json::Value>,
    /// What it ran in.
    pub environment: Environment,
    /// The seed of its randomness.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The command that ran.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// The code a run came from.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Code {
    /// Where the repository lives.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repo: Option<String>,
    /// The commit that was checked out.
    pub commit: String,
    /// The branch, when on one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// Whether the working tree differed from the commit.
    pub dirty: bool,
    /// The object that holds the difference.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff: Option<Hash>,
}

/// What a run ran in.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Environment {
    /// Python's version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub python: Option<String>,
    /// The object that holds the lock file of its packages.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub package_lock: Option<Hash>,
    /// The digest of the container image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// The operating system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// The processor.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu: Option<String>,
    /// Our own version.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub everloop: Option<String>,
}

/// Records where a run came from; a later record replaces an earlier one.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`].
pub fn record(tx: &mut Tx<'_>, by: &By, run: &RunId, provenance: &Provenance) -> Result<()> {
    let run = runs::active(tx, &by.project, run)?;
    let document = serde_json::to_string(provenance).map_err(|error| Error::Damaged {
        what: "provenance".to_owned(),
        problem: error.to_string(),
    })?;
    let code = provenance.code.as_ref();
    tx.execute(
        "INSERT INTO run_provenance (run, format, document, code_commit, code_diff, package_lock, recorded_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (run) DO UPDATE SET
             format = excluded.format, document = excluded.document, code_commit = excluded.code_commit,
             code_diff = excluded.code_diff, package_lock = excluded.package_lock,
             recorded_at = excluded.recorded_at",
        &params![
            run.key,
            FORMAT,
            document,
            code.map(|code| &code.commit),
            code.and_then(|code| code.diff),
            provenance.environment.package_lock,
            by.at,
        ],
    )?;
    Ok(())
}

/// Where a run came from, when that was recorded.
///
/// # Errors
/// [`Error::NoRun`]; [`Error::Damaged`] when a newer program wrote the record.
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId) -> Result<Option<Provenance>> {
    let run = runs::existing(tx, project, run)?;
    let row = tx.query_opt(
        "SELECT format, document FROM run_provenance WHERE run = ?1",
        &params![run.key],
    )?;
    let Some(row) = row else { return Ok(None) };
    let format: u32 = row.get("format")?;
    let damaged = |problem: String| Error::Damaged {
        what: format!("provenance of run \"{}\"", run.info.id),
        problem,
    };
    if format > FORMAT {
        return Err(damaged(format!(
            "it has format {format}, this program knows up to {FORMAT}"
        )));
    }
    let document: String = row.get("document")?;
    serde_json::from_str(&document)
        .map(Some)
        .map_err(|error| damaged(error.to_string()))
}

/// The runs of a commit, newest first; the deleted too.
///
/// # Errors
/// Those of the database.
pub fn runs_of_commit(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    commit: &str,
    limit: usize,
) -> Result<Vec<RunId>> {
    let rows = tx.query(
        "SELECT r.run_id FROM run_provenance p JOIN runs r ON r.key = p.run
         WHERE p.code_commit = ?1 AND r.project = ?2 ORDER BY r.key DESC LIMIT ?3",
        &params![commit, project, one_more(limit) - 1],
    )?;
    rows.iter().map(|row| Ok(row.get("run_id")?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_of_an_older_program_is_read() {
        let old: Provenance = serde_json::from_str(r#"{"code":{"commit":"abc"},"environment":{}}"#).unwrap();
        assert_eq!(old.code.unwrap().commit, "abc");
        assert_eq!(old.seed, None);
    }
}
