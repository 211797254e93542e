//! Reads events: onward for consumers, backward in pages for people.

use everloop_core::ProjectName;
use everloop_db::{Row, Tx, Value, params};

use crate::event::COLUMNS;
use crate::{Event, Result, Seq};

/// The most events one call answers, whatever was asked for.
const LARGEST_PAGE: usize = 10_000;

/// Which events; an empty filter means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only this project's.
    pub project: Option<ProjectName>,
    /// Only kinds that start with this text: `alias.moved`, or `alias.` for all about aliases.
    pub kind: Option<String>,
    /// Only events about exactly this.
    pub subject: Option<String>,
}

/// One page of events, newest first.
#[derive(Debug, Clone, PartialEq)]
pub struct Page {
    /// The events.
    pub events: Vec<Event>,
    /// Where the next (older) page starts; `None` after the last.
    pub next: Option<Seq>,
}

/// The events after `seq`, oldest first, at most `limit`.
///
/// # Errors
/// When the database fails or a row can't be read.
pub fn after(tx: &mut Tx<'_>, seq: Seq, limit: usize, filter: &Filter) -> Result<Vec<Event>> {
    let (conditions, mut values) = conditions(filter);
    values.extend(params![seq, limit.min(LARGEST_PAGE)]);
    let (seq_at, limit_at) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger_events WHERE {conditions} AND seq > ?{seq_at} ORDER BY seq LIMIT ?{limit_at}"
    );
    events(&tx.query(&sql, &values)?)
}

/// The events before `before` (or the newest), newest first, at most `limit` (at least one).
///
/// # Errors
/// As [`after`].
pub fn page(tx: &mut Tx<'_>, before: Option<Seq>, limit: usize, filter: &Filter) -> Result<Page> {
    let limit = limit.clamp(1, LARGEST_PAGE);
    let (conditions, mut values) = conditions(filter);
    // One more than asked for tells whether there is a next page.
    values.extend(params![before.unwrap_or(Seq(i64::MAX)), limit + 1]);
    let (seq_at, limit_at) = (values.len() - 1, values.len());
    let sql = format!(
        "SELECT {COLUMNS} FROM ledger_events WHERE {conditions} AND seq < ?{seq_at}
         ORDER BY seq DESC LIMIT ?{limit_at}"
    );
    let mut events = events(&tx.query(&sql, &values)?)?;
    let more = events.len() > limit;
    events.truncate(limit);
    let next = events.last().filter(|_| more).map(|event| event.seq);
    Ok(Page { events, next })
}

/// The event at `seq`.
///
/// # Errors
/// As [`after`].
pub fn get(tx: &mut Tx<'_>, seq: Seq) -> Result<Option<Event>> {
    let sql = format!("SELECT {COLUMNS} FROM ledger_events WHERE seq = ?1");
    tx.query_opt(&sql, &params![seq])?
        .as_ref()
        .map(Event::from_row)
        .transpose()
}

/// The place of the newest event over all projects; 0 when there is none.
///
/// # Errors
/// When the database fails.
pub fn head(tx: &mut Tx<'_>) -> Result<Seq> {
    let row = tx.query_one("SELECT seq FROM ledger_counter WHERE id = 1", &[])?;
    Ok(row.get("seq")?)
}

/// The filter as SQL with its values, numbered from 1.
fn conditions(filter: &Filter) -> (String, Vec<Value>) {
    let mut sql = vec!["1 = 1".to_owned()];
    let mut values = Vec::new();
    if let Some(project) = &filter.project {
        values.push(Value::from(project));
        sql.push(format!("project = ?{}", values.len()));
    }
    if let Some(kind) = &filter.kind {
        // A range over bytes, which an index serves; nothing sorts after the last code point.
        values.push(Value::from(kind));
        values.push(Value::from(format!("{kind}\u{10ffff}")));
        sql.push(format!(
            "kind >= ?{} AND kind < ?{}",
            values.len() - 1,
            values.len()
        ));
    }
    if let Some(subject) = &filter.subject {
        values.push(Value::from(subject));
        sql.push(format!("subject = ?{}", values.len()));
    }
    (sql.join(" AND "), values)
}

fn events(rows: &[Row]) -> Result<Vec<Event>> {
    rows.iter().map(Event::from_row).collect()
}
