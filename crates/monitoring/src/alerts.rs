//! Alerts: one is open per endpoint and kind, from the first confirmed breach to the first window without one.

use everloop_core::{Actor, EndpointName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use everloop_ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::json;

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

/// Opens an alert with its ledger row, unless one of its kind is open.
pub(crate) fn open(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    (start, first_id): (Timestamp, &str),
    at: Timestamp,
    words: &str,
) -> Result<()> {
    if open_id(tx, project, endpoint, part)?.is_some() {
        return Ok(());
    }
    let mut id = format!("{endpoint}-{}-{}", part.as_str(), start.millis());
    if !first_id.is_empty() {
        id = format!("{id}-{first_id}");
    }
    let made = tx.execute(
        "INSERT INTO monitor_alerts (project, id, endpoint, kind, state, words, window_start, opened_at) \
         VALUES (?1, ?2, ?3, ?4, 'open', ?5, ?6, ?7) ON CONFLICT (project, id) DO NOTHING",
        &params![
            project.as_str(),
            id.as_str(),
            endpoint.as_str(),
            part.as_str(),
            words,
            start,
            at
        ],
    )?;
    if made > 0 {
        let payload =
            json!({ "alert": id, "kind": part.as_str(), "words": words, "window_start": start.to_rfc3339() });
        tell(tx, project, endpoint, at, "alert.opened", payload)?;
    }
    Ok(())
}

/// Ends the open alert of a kind with its ledger row, if there is one.
pub(crate) fn resolve(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    at: Timestamp,
) -> Result<()> {
    let Some(id) = open_id(tx, project, endpoint, part)? else {
        return Ok(());
    };
    let ended = tx.execute(
        "UPDATE monitor_alerts SET state = 'resolved', resolved_at = ?3 WHERE project = ?1 AND id = ?2 \
         AND state = 'open'",
        &params![project.as_str(), id.as_str(), at],
    )?;
    if ended > 0 {
        let words = format!("a window without a breach ended the {} alert", part.as_str());
        let payload = json!({ "alert": id, "kind": part.as_str(), "words": words });
        tell(tx, project, endpoint, at, "alert.resolved", payload)?;
    }
    Ok(())
}

fn open_id(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
) -> Result<Option<String>> {
    let row = tx.query_opt(
        "SELECT id FROM monitor_alerts WHERE project = ?1 AND endpoint = ?2 AND kind = ?3 AND state = 'open'",
        &params![project.as_str(), endpoint.as_str(), part.as_str()],
    )?;
    row.map(|row| Ok(row.get("id")?)).transpose()
}

fn tell(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    at: Timestamp,
    kind: &'static str,
    payload: serde_json::Value,
) -> Result<()> {
    let event = NewEvent {
        project: project.clone(),
        actor: Actor::system("monitor"),
        kind,
        subject: format!("endpoint:{endpoint}"),
        payload,
    };
    everloop_ledger::append(tx, at, event)?;
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
