//! Waits for events without polling: a commit wakes the waiters.

use everloop_db::Db;
use tokio::sync::watch;

use crate::{Event, Filter, Result, Seq, after, head};

/// The wake-up channel that each commit with an event rings.
pub const CHANNEL: &str = "ledger";

/// Waits until there are events after `seq` and answers the newest place. Safe to drop at any time.
///
/// # Errors
/// When the database fails or was closed.
pub async fn wait_after(db: &Db, seq: Seq) -> Result<Seq> {
    // Subscribing before looking leaves no gap in which a commit could go unseen.
    let mut bell = db.subscribe(CHANNEL);
    loop {
        let newest = db.read(head).await?;
        if newest > seq {
            return Ok(newest);
        }
        ring(&mut bell).await?;
    }
}

/// Follows the ledger from a place on.
pub struct Tail {
    db: Db,
    bell: watch::Receiver<u64>,
    filter: Filter,
    seq: Seq,
}

impl Tail {
    /// Follows the events after `seq` that match `filter`.
    #[must_use]
    pub fn new(db: &Db, seq: Seq, filter: Filter) -> Self {
        Self {
            bell: db.subscribe(CHANNEL),
            db: db.clone(),
            filter,
            seq,
        }
    }

    /// The place up to which everything that matches was handed out.
    #[must_use]
    pub fn position(&self) -> Seq {
        self.seq
    }

    /// The next events, at least one and at most `limit`; waits for them. Safe to drop at any time: what was not
    /// answered comes again.
    ///
    /// # Errors
    /// When the database fails or was closed, or a row can't be read.
    pub async fn next(&mut self, limit: usize) -> Result<Vec<Event>> {
        loop {
            self.bell.mark_unchanged();
            let events = self.ready(limit.max(1)).await?;
            if !events.is_empty() {
                return Ok(events);
            }
            ring(&mut self.bell).await?;
        }
    }

    /// What is there now.
    async fn ready(&mut self, limit: usize) -> Result<Vec<Event>> {
        let (seq, filter) = (self.seq, self.filter.clone());
        let (events, newest) = self
            .db
            .read(move |tx| Ok::<_, crate::Error>((after(tx, seq, limit, &filter)?, head(tx)?)))
            .await?;
        // What does not match is behind us too.
        self.seq = match events.last() {
            Some(last) => last.seq,
            None => newest.max(seq),
        };
        Ok(events)
    }
}

async fn ring(bell: &mut watch::Receiver<u64>) -> Result<()> {
    // The sender lives as long as the database is open.
    bell.changed().await.map_err(|_| everloop_db::Error::Closed)?;
    Ok(())
}
