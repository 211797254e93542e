//! Figures of the database layer, for `/metrics` and for tests that count.

use std::sync::atomic::{AtomicU64, Ordering};

/// Figures since the database was opened, and the depths of its queues now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    /// Writing transactions asked for and finished, kept or not.
    pub writes: u64,
    /// Durable commits; with group commit fewer than `writes`.
    pub commits: u64,
    /// Writing transactions that rode in the largest commit.
    pub largest_batch: u64,
    /// Writing transactions that ended in an error and were rolled back.
    pub rollbacks: u64,
    /// Writing transactions that were run again after a collision or a lost connection.
    pub retries: u64,
    /// Reading transactions finished.
    pub reads: u64,
    /// Statements run in all of them.
    pub statements: u64,
    /// Writing transactions that wait or run now.
    pub write_queue: u64,
    /// Reading transactions that wait or run now.
    pub read_queue: u64,
}

/// The counters behind [`Stats`].
#[derive(Debug, Default)]
pub(crate) struct Counters {
    writes: AtomicU64,
    commits: AtomicU64,
    largest_batch: AtomicU64,
    rollbacks: AtomicU64,
    retries: AtomicU64,
    reads: AtomicU64,
    statements: AtomicU64,
}

impl Counters {
    pub(crate) fn commit(&self, batch: usize) {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.largest_batch.fetch_max(batch as u64, Ordering::Relaxed);
    }

    pub(crate) fn write(&self, kept: bool) {
        self.writes.fetch_add(1, Ordering::Relaxed);
        if !kept {
            self.rollbacks.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn retry(&self) {
        self.retries.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn read(&self) {
        self.reads.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn statements(&self, count: u64) {
        self.statements.fetch_add(count, Ordering::Relaxed);
    }

    pub(crate) fn snapshot(&self, write_queue: usize, read_queue: usize) -> Stats {
        Stats {
            writes: self.writes.load(Ordering::Relaxed),
            commits: self.commits.load(Ordering::Relaxed),
            largest_batch: self.largest_batch.load(Ordering::Relaxed),
            rollbacks: self.rollbacks.load(Ordering::Relaxed),
            retries: self.retries.load(Ordering::Relaxed),
            reads: self.reads.load(Ordering::Relaxed),
            statements: self.statements.load(Ordering::Relaxed),
            write_queue: write_queue as u64,
            read_queue: read_queue as u64,
        }
    }
}
