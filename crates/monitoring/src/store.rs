//! What windows showed, as rows: each part of a window once.

use everloop_core::{EndpointName, ProjectName, Timestamp};
use everloop_db::{Migration, Row, Tx, params};
use serde_json::Value;

use crate::windows::Span;
use crate::{Error, Result};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        component: "monitoring",
        number: 1,
        name: "monitoring",
        sql: include_str!("../migrations/0001_monitoring.sql"),
    },
    Migration {
        component: "monitoring",
        number: 2,
        name: "windows by count",
        sql: include_str!("../migrations/0002_windows_by_count.sql"),
    },
];

/// What is judged of a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Part {
    /// Its inputs against training.
    Drift,
    /// Its predictions against the truth.
    Performance,
    /// Its inputs against a suite of checks.
    Quality,
}

impl Part {
    /// All parts.
    pub const ALL: [Self; 3] = [Self::Drift, Self::Performance, Self::Quality];

    /// The part's name, as rows and events carry it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Drift => "drift",
            Self::Performance => "performance",
            Self::Quality => "quality",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|part| part.as_str() == text)
    }
}

/// What a part of a window showed.
#[derive(Debug, Clone, PartialEq)]
pub struct WindowResult {
    /// The window.
    pub span: Span,
    /// The id of its first prediction, of a window of a number of rows; empty for windows of time.
    pub first_id: String,
    /// What was judged.
    pub part: Part,
    /// Rows of the window.
    pub rows: u64,
    /// Whether this window alone shows a breach.
    pub breached: bool,
    /// Whether enough of the last windows do.
    pub confirmed: bool,
    /// The figures.
    pub report: Value,
    /// When it was judged.
    pub evaluated_at: Timestamp,
}

/// Stores a result unless that part of the window has one; tells whether it did.
pub(crate) fn insert(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    result: &WindowResult,
) -> Result<bool> {
    let made = tx.execute(
        "INSERT INTO monitor_windows (project, endpoint, start_at, start_id, end_at, part, rows_count, breached, \
         confirmed, report, evaluated_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
         ON CONFLICT (project, endpoint, part, start_at, start_id) DO NOTHING",
        &params![
            project.as_str(),
            endpoint.as_str(),
            result.span.start,
            result.first_id.as_str(),
            result.span.end,
            result.part.as_str(),
            result.rows,
            result.breached,
            result.confirmed,
            result.report.to_string(),
            result.evaluated_at
        ],
    )?;
    Ok(made > 0)
}

/// The starts of the windows of time of which `part` was judged, from `since` on.
pub(crate) fn judged(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    since: Timestamp,
) -> Result<Vec<Timestamp>> {
    let rows = tx.query(
        "SELECT start_at FROM monitor_windows WHERE project = ?1 AND endpoint = ?2 AND part = ?3 AND end_at > ?4 \
         AND start_id = ''",
        &params![project.as_str(), endpoint.as_str(), part.as_str(), since],
    )?;
    rows.iter().map(|row| Ok(row.get("start_at")?)).collect()
}

/// Whether the last windows before the one that starts at `start` with `first_id` breached, oldest first, at most
/// `count`.
pub(crate) fn breaches_before(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    (start, first_id): (Timestamp, &str),
    count: usize,
) -> Result<Vec<bool>> {
    let rows = tx.query(
        "SELECT breached FROM monitor_windows WHERE project = ?1 AND endpoint = ?2 AND part = ?3 \
         AND (start_at, start_id) < (?4, ?5) ORDER BY start_at DESC, start_id DESC LIMIT ?6",
        &params![
            project.as_str(),
            endpoint.as_str(),
            part.as_str(),
            start,
            first_id,
            count
        ],
    )?;
    rows.iter().rev().map(|row| Ok(row.get("breached")?)).collect()
}

/// What the windows of an endpoint showed, newest first, at most `limit`; one part or all.
///
/// # Errors
/// When the database fails or a report does not read.
pub fn results(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Option<Part>,
    limit: usize,
) -> Result<Vec<WindowResult>> {
    let rows = tx.query(
        "SELECT * FROM monitor_windows WHERE project = ?1 AND endpoint = ?2 AND (?3 IS NULL OR part = ?3) \
         ORDER BY start_at DESC, start_id DESC, part LIMIT ?4",
        &params![project.as_str(), endpoint.as_str(), part.map(Part::as_str), limit],
    )?;
    rows.iter().map(read).collect()
}

fn read(row: &Row) -> Result<WindowResult> {
    let part: String = row.get("part")?;
    let report: String = row.get("report")?;
    Ok(WindowResult {
        span: Span {
            start: row.get("start_at")?,
            end: row.get("end_at")?,
        },
        first_id: row.get("start_id")?,
        part: Part::parse(&part).unwrap_or(Part::Drift),
        rows: row.get("rows_count")?,
        breached: row.get("breached")?,
        confirmed: row.get("confirmed")?,
        report: serde_json::from_str(&report).map_err(Error::Damaged)?,
        evaluated_at: row.get("evaluated_at")?,
    })
}
