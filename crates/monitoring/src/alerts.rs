//! Alerts: one is open per endpoint and kind, from the first confirmed breach to the first window without one.

use everloop_core::{EndpointName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use serde::{Deserialize, Serialize};

use crate::{Part, Result};

/// Where an alert stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertState {
    /// The breach goes on.
    Open,
    /// A window without a breach ended it.
    Resolved,
}

/// A confirmed breach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// Names it.
    pub id: String,
    /// drift, performance or quality.
    pub kind: String,
    /// Where it stands.
    pub state: AlertState,
    /// What happened, in a sentence.
    pub words: String,
    /// The window that confirmed it.
    pub window_start: Timestamp,
    /// When.
    pub opened_at: Timestamp,
    /// When it ended.
    pub resolved_at: Option<Timestamp>,
}

/// Opens an alert unless one of its kind is open; tells whether it did.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    window_start: Timestamp,
    at: Timestamp,
    words: &str,
) -> Result<bool> {
    let already = tx.query_opt(
        "SELECT id FROM monitor_alerts WHERE project = ?1 AND endpoint = ?2 AND kind = ?3 AND state = 'open'",
        &params![project.as_str(), endpoint.as_str(), part.as_str()],
    )?;
    if already.is_some() {
        return Ok(false);
    }
    let id = format!("{endpoint}-{}-{}", part.as_str(), window_start.millis());
    tx.execute(
        "INSERT INTO monitor_alerts (project, id, endpoint, kind, state, words, window_start, opened_at) \
         VALUES (?1, ?2, ?3, ?4, 'open', ?5, ?6, ?7) ON CONFLICT (project, id) DO NOTHING",
        &params![
            project.as_str(),
            id,
            endpoint.as_str(),
            part.as_str(),
            words,
            window_start,
            at
        ],
    )?;
    Ok(true)
}

/// Ends the open alert of a kind, if there is one.
pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    at: Timestamp,
) -> Result<()> {
    tx.execute(
        "UPDATE monitor_alerts SET state = 'resolved', resolved_at = ?4 \
         WHERE project = ?1 AND endpoint = ?2 AND kind = ?3 AND state = 'open'",
        &params![project.as_str(), endpoint.as_str(), part.as_str(), at],
    )?;
    Ok(())
}

/// The alerts of a project, newest first, at most `limit`.
///
/// # Errors
/// When the database fails.
pub fn alerts(tx: &mut Tx<'_>, project: &ProjectName, limit: usize) -> Result<Vec<Alert>> {
    let rows = tx.query(
        "SELECT * FROM monitor_alerts WHERE project = ?1 ORDER BY opened_at DESC, id LIMIT ?2",
        &params![project.as_str(), limit],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<Alert> {
    let state: String = row.get("state")?;
    Ok(Alert {
        id: row.get("id")?,
        kind: row.get("kind")?,
        state: if state == "open" {
            AlertState::Open
        } else {
            AlertState::Resolved
        },
        words: row.get("words")?,
        window_start: row.get("window_start")?,
        opened_at: row.get("opened_at")?,
        resolved_at: row.get("resolved_at")?,
    })
}
