//! Windows of a number of rows: cut once, in the order of event time and id.
//!
//! A window is cut when the log holds enough predictions after the window before it. Its first and last prediction are
//! stored before anything is judged, so every process sees the same windows and none ever moves. A prediction that is
//! logged after its place was cut makes no new window: it counts in what is judged of that window later (performance,
//! when its labels have a delay), and in nothing that was judged already.

use everloop_core::{EndpointName, Frame, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};

use crate::store::Part;
use crate::windows::{Place, Slice, Span};
use crate::{Result, WindowSource};

/// Windows judged in one go; the rest waits for the next look.
const MOST: usize = 1_000;

/// A cut window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cut {
    pub(crate) number: u64,
    pub(crate) first: Place,
    pub(crate) last: Place,
}

/// The last window that was cut.
pub(crate) fn last(tx: &mut Tx<'_>, project: &ProjectName, endpoint: &EndpointName) -> Result<Option<Cut>> {
    let row = tx.query_opt(
        "SELECT * FROM monitor_cuts WHERE project = ?1 AND endpoint = ?2 ORDER BY number DESC LIMIT 1",
        &params![project.as_str(), endpoint.as_str()],
    )?;
    row.as_ref().map(read).transpose()
}

/// Stores the window after `before`, unless someone else cut it first; either way the one that counts.
pub(crate) fn cut(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    cut: &Cut,
    rows: u64,
    now: Timestamp,
) -> Result<Cut> {
    tx.execute(
        "INSERT INTO monitor_cuts (project, endpoint, number, rows_count, first_at, first_id, last_at, last_id, cut_at) \
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT (project, endpoint, number) DO NOTHING",
        &params![
            project.as_str(),
            endpoint.as_str(),
            cut.number,
            rows,
            cut.first.at,
            cut.first.id.as_str(),
            cut.last.at,
            cut.last.id.as_str(),
            now
        ],
    )?;
    let row = tx.query_one(
        "SELECT * FROM monitor_cuts WHERE project = ?1 AND endpoint = ?2 AND number = ?3",
        &params![project.as_str(), endpoint.as_str(), cut.number],
    )?;
    read(&row)
}

/// The cut windows that ended by `until` and of which `part` was not judged yet, oldest first.
pub(crate) fn unjudged(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    part: Part,
    until: Timestamp,
) -> Result<Vec<Slice>> {
    let rows = tx.query(
        "SELECT * FROM monitor_cuts AS cuts WHERE project = ?1 AND endpoint = ?2 AND last_at < ?4 AND NOT EXISTS \
         (SELECT 1 FROM monitor_windows AS judged WHERE judged.project = cuts.project \
          AND judged.endpoint = cuts.endpoint AND judged.part = ?3 AND judged.start_at = cuts.first_at \
          AND judged.start_id = cuts.first_id) ORDER BY number LIMIT ?5",
        &params![project.as_str(), endpoint.as_str(), part.as_str(), until, MOST],
    )?;
    rows.iter().map(|row| Ok(read(row)?.slice())).collect()
}

/// The window before the one that starts with `first`.
pub(crate) fn before(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    first: &Place,
) -> Result<Option<Slice>> {
    let row = tx.query_opt(
        "SELECT earlier.* FROM monitor_cuts AS earlier JOIN monitor_cuts AS own ON own.project = earlier.project \
         AND own.endpoint = earlier.endpoint AND own.number = earlier.number + 1 \
         WHERE own.project = ?1 AND own.endpoint = ?2 AND own.first_at = ?3 AND own.first_id = ?4",
        &params![project.as_str(), endpoint.as_str(), first.at, first.id.as_str()],
    )?;
    row.as_ref().map(|row| Ok(read(row)?.slice())).transpose()
}

/// Takes out of `frame` what lies in the same milliseconds but outside the window.
pub(crate) fn trimmed(frame: &Frame, first: &Place, last: &Place) -> Frame {
    let (Some(times), Some(ids)) = (frame.get("_event_time"), frame.get("_id")) else {
        return frame.clone();
    };
    let rows: Vec<usize> = (0..frame.rows())
        .filter(|row| {
            let at = Timestamp(times.number(*row) as i64);
            let place = (at, ids.text(*row).unwrap_or_default());
            place >= first.key() && place <= last.key()
        })
        .collect();
    if rows.len() == frame.rows() {
        return frame.clone();
    }
    frame.take(&rows)
}

/// The next window after `before` as the log stands, not stored yet.
pub(crate) async fn next(source: &dyn WindowSource, before: Option<&Cut>, rows: u64) -> Result<Option<Cut>> {
    let found = source.next_rows(before.map(|cut| &cut.last), rows).await?;
    Ok(found.map(|(first, last)| Cut {
        number: before.map_or(1, |cut| cut.number + 1),
        first,
        last,
    }))
}

impl Cut {
    fn slice(self) -> Slice {
        Slice {
            span: Span {
                start: self.first.at,
                end: Timestamp(self.last.at.millis().saturating_add(1)),
            },
            ends: Some((self.first, self.last)),
        }
    }
}

fn read(row: &Row) -> Result<Cut> {
    Ok(Cut {
        number: row.get("number")?,
        first: Place {
            at: row.get("first_at")?,
            id: row.get("first_id")?,
        },
        last: Place {
            at: row.get("last_at")?,
            id: row.get("last_id")?,
        },
    })
}
