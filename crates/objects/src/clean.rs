//! Giving back space: the collector of unreachable objects, and the sweep of what crashes leave behind.

mod collect;
mod mark;
mod packs;
mod sweep;

#[cfg(test)]
mod race_tests;

use everloop_core::{Hash, Timestamp};
use std::collections::HashSet;
use std::time::Duration;

/// The objects that something refers to. Filled page by page from wherever references are kept; some 60 bytes
/// an object.
#[derive(Debug, Default, Clone)]
pub struct LiveSet(HashSet<Hash>);

impl LiveSet {
    /// Nothing is referred to.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    pub(crate) fn contains(&self, hash: &Hash) -> bool {
        self.0.contains(hash)
    }
}

impl Extend<Hash> for LiveSet {
    fn extend<I: IntoIterator<Item = Hash>>(&mut self, hashes: I) {
        self.0.extend(hashes);
    }
}

impl FromIterator<Hash> for LiveSet {
    fn from_iter<I: IntoIterator<Item = Hash>>(hashes: I) -> Self {
        Self(hashes.into_iter().collect())
    }
}

/// How a cleaning goes about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CleanOptions {
    /// Wall time, by which files' ages are told.
    pub now: Timestamp,
    /// Files younger than this are kept whatever refers to them. It must be longer than the longest put takes, plus
    /// the time from its answer to the commit of a reference, plus the difference between this machine's clock and the
    /// store's. A day is a good value.
    pub grace: Duration,
    /// Only tell what would go.
    pub dry_run: bool,
}

impl CleanOptions {
    /// Files last written before this are old.
    pub(crate) fn cutoff(&self) -> Timestamp {
        self.now.minus(self.grace)
    }
}

/// What a collection did, or would do.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Collected {
    /// Objects kept because something refers to them.
    pub live_objects: u64,
    /// Objects that nothing refers to, kept because they are young.
    pub young_objects: u64,
    /// Objects deleted.
    pub freed_objects: u64,
    /// Bytes given back, chunks and packs included.
    pub freed_bytes: u64,
    /// Dead bytes that stay inside packs that are mostly alive.
    pub wasted_bytes: u64,
    /// Leftovers of crashes that were swept before.
    pub swept: Swept,
}

/// What a sweep removed, or would remove.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Swept {
    /// Files.
    pub files: u64,
    /// Their sizes together.
    pub bytes: u64,
}
