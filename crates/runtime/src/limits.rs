//! How large a model may be.

use crate::error::{Error, Result};

/// Bounds on model files. Every loader checks what it *finds*, never what a file declares, before it allocates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of all files of a model directory.
    pub total_bytes: u64,
    /// Files of a model directory.
    pub files: u64,
    /// Trees of an ensemble.
    pub trees: u64,
    /// Nodes of all trees of an ensemble.
    pub nodes: u64,
    /// Steps from a root to the farthest leaf.
    pub depth: u64,
    /// Features, classes, or operators of a graph.
    pub width: u64,
    /// Elements of one tensor, stored or computed.
    pub elements: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            total_bytes: 1 << 30,
            files: 10_000,
            trees: 100_000,
            nodes: 10_000_000,
            depth: 10_000,
            width: 1_000_000,
            elements: 1 << 28,
        }
    }
}

impl Limits {
    pub(crate) fn check(path: &str, what: &'static str, found: usize, limit: u64) -> Result<()> {
        let found = found as u64;
        if found <= limit {
            return Ok(());
        }
        Err(Error::Limit {
            path: path.to_owned(),
            what,
            found,
            limit,
        })
    }
}
