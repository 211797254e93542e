//! Gate results: what each gate said about a version, with the figures it said it on.
//!
//! A gate may be asked more than once; every answer is kept and the last one counts.

use everloop_core::{Actor, DecisionId, Hash, ModelName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde_json::json;

use crate::text::{check_word, document, limits};
use crate::{By, Error, Result, VersionNumber, events, models, versions};

/// What a gate said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// The version may pass.
    Passed,
    /// It may not.
    Failed,
    /// The gate could not be asked: its check broke. Counts as no.
    Broken,
    /// The gate does not apply here. Counts as yes.
    Skipped,
}

impl Outcome {
    const ALL: [Self; 4] = [Self::Passed, Self::Failed, Self::Broken, Self::Skipped];

    /// The word for it, as it is stored.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Skipped => "skipped",
        }
    }

    /// The outcome of this word.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|outcome| outcome.as_str() == text)
    }

    /// Whether the version may pass.
    #[must_use]
    pub fn lets_pass(self) -> bool {
        match self {
            Self::Passed | Self::Skipped => true,
            Self::Failed | Self::Broken => false,
        }
    }
}

/// What a gate said about a version, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct GateResult {
    /// The gate, as the project file names it: `auc >= 0.68`.
    pub gate: String,
    /// What it said.
    pub outcome: Outcome,
    /// The figures it said it on.
    pub evidence: serde_json::Value,
    /// The decision it was asked for.
    pub decision: Option<DecisionId>,
    /// Who asked.
    pub actor: Actor,
    /// When.
    pub at: Timestamp,
    /// The ledger row that records it.
    pub seq: i64,
}

/// Records what a gate said about a version. The ledger row holds the hash of the evidence, the evidence stays here.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`], or a name or evidence that can't be used.
pub fn record(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    version: VersionNumber,
    gate: &str,
    outcome: Outcome,
    evidence: &serde_json::Value,
    decision: Option<&DecisionId>,
) -> Result<()> {
    check_word("gate", gate, limits::WORD_CHARS)?;
    let evidence = document("evidence", evidence)?;
    let key = models::lock(tx, &by.project, model)?;
    versions::state(tx, key, model, version)?;
    let payload = json!({
        "gate": gate, "outcome": outcome.as_str(), "decision": decision,
        "evidence_hash": Hash::of(evidence.as_bytes()),
    });
    let seq = events::version(tx, by, events::GATE_EVALUATED, model, version, payload)?;
    tx.execute(
        "INSERT INTO model_gates (seq, model, version, gate, outcome, evidence, decision, actor, at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
        &params![
            seq,
            key,
            version,
            gate,
            outcome.as_str(),
            evidence,
            decision,
            by.actor.to_string(),
            by.at
        ],
    )?;
    Ok(())
}

/// The last answer of each gate about a version, by gate.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn last(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Vec<GateResult>> {
    let key = models::key(tx, project, model)?;
    versions::state(tx, key, model, version)?;
    let rows = tx.query(
        "SELECT gate, outcome, evidence, decision, actor, at, seq FROM model_gates
         WHERE model = ?1 AND version = ?2 AND seq IN (
             SELECT MAX(seq) FROM model_gates WHERE model = ?1 AND version = ?2 GROUP BY gate)
         ORDER BY gate",
        &params![key, version],
    )?;
    rows.iter().map(result).collect()
}

/// Every answer about a version, oldest first.
///
/// # Errors
/// [`Error::NoModel`], [`Error::NoVersion`].
pub fn all(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> Result<Vec<GateResult>> {
    let key = models::key(tx, project, model)?;
    versions::state(tx, key, model, version)?;
    let rows = tx.query(
        "SELECT gate, outcome, evidence, decision, actor, at, seq FROM model_gates
         WHERE model = ?1 AND version = ?2 ORDER BY seq",
        &params![key, version],
    )?;
    rows.iter().map(result).collect()
}

fn result(row: &Row) -> Result<GateResult> {
    let (outcome, actor): (String, String) = (row.get("outcome")?, row.get("actor")?);
    let damaged = |what: &str, problem: String| Error::Damaged {
        what: format!("{what} of a gate"),
        problem,
    };
    Ok(GateResult {
        gate: row.get("gate")?,
        outcome: Outcome::parse(&outcome)
            .ok_or_else(|| damaged("outcome", format!("\"{outcome}\" is not one")))?,
        evidence: serde_json::from_str(&row.get::<String>("evidence")?)
            .map_err(|error| damaged("evidence", error.to_string()))?,
        decision: row.get("decision")?,
        actor: actor
            .parse()
            .map_err(|()| damaged("actor", format!("\"{actor}\" is not one")))?,
        at: row.get("at")?,
        seq: row.get("seq")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gate_that_broke_is_a_no() {
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::parse(outcome.as_str()), Some(outcome));
        }
        assert!(!Outcome::Broken.lets_pass());
        assert!(Outcome::Skipped.lets_pass());
    }
}
