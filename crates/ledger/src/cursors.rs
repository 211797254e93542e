//! How far each consumer has read.

use everloop_core::Timestamp;
use everloop_db::{Tx, params};

use crate::{Result, Seq};

/// How far a consumer is behind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lag {
    /// The consumer.
    pub consumer: String,
    /// The last event it has dealt with.
    pub seq: Seq,
    /// Events that wait for it.
    pub behind: u64,
    /// When the first of them happened; `None` when none waits.
    pub oldest_at: Option<Timestamp>,
}

/// The last event that `consumer` has dealt with; 0 when it is new.
///
/// # Errors
/// When the database fails.
pub fn cursor(tx: &mut Tx<'_>, consumer: &str) -> Result<Seq> {
    let row = tx.query_opt(
        "SELECT seq FROM ledger_cursors WHERE consumer = ?1",
        &params![consumer],
    )?;
    row.map_or(Ok(Seq(0)), |row| Ok(row.get("seq")?))
}

/// Notes that `consumer` has dealt with everything up to `seq`. Set it in the transaction of the effect, or after it
/// when the effect may happen twice. A cursor never goes back, for a late instance must not undo a quick one.
///
/// # Errors
/// When the database fails.
pub fn set_cursor(tx: &mut Tx<'_>, consumer: &str, seq: Seq) -> Result<()> {
    tx.execute(
        "INSERT INTO ledger_cursors (consumer, seq) VALUES (?1, ?2)
         ON CONFLICT (consumer) DO UPDATE SET seq = excluded.seq WHERE excluded.seq > ledger_cursors.seq",
        &params![consumer, seq],
    )?;
    Ok(())
}

/// How far each consumer is behind, by name.
///
/// A consumer with a filter should move its cursor to the [`head`](crate::head) it read when nothing matched; else it
/// seems to lag.
///
/// # Errors
/// When the database fails.
pub fn lags(tx: &mut Tx<'_>) -> Result<Vec<Lag>> {
    // Places have no gaps, so the difference is the count, and the next event is at seq + 1.
    let rows = tx.query(
        "SELECT consumer, cursors.seq AS seq, counter.seq - cursors.seq AS behind, events.at AS oldest_at
         FROM ledger_cursors AS cursors
         JOIN ledger_counter AS counter ON counter.id = 1
         LEFT JOIN ledger_events AS events ON events.seq = cursors.seq + 1
         ORDER BY consumer",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Lag {
                consumer: row.get("consumer")?,
                seq: row.get("seq")?,
                behind: row.get::<i64>("behind")?.max(0).cast_unsigned(),
                oldest_at: row.get("oldest_at")?,
            })
        })
        .collect()
}
