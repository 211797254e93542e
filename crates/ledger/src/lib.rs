//! What happened and why: one hash-chained row per change, written in the change's own transaction.
//!
//! The ledger is audit log, lineage source, trigger queue, webhook outbox and live feed at once. [`append`] adds a row
//! to the caller's transaction, so that a change and its row commit together or not at all; consumers read on from
//! their cursor and wait without polling; [`verify`] finds the first row that someone changed behind our back.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod anchors;
mod append;
mod chain;
mod cursors;
mod error;
mod event;
pub mod idempotency;
mod read;
mod schema;
mod tail;
mod verify;

pub use anchors::{Anchor, AnchorFile, anchors, write_anchors};
pub use append::append;
pub use cursors::{Lag, cursor, lags, set_cursor};
pub use error::{Error, Result};
pub use event::{Event, NewEvent, Seq};
pub use read::{Filter, Page, after, get, head, page};
pub use schema::MIGRATIONS;
pub use tail::{CHANNEL, Tail, wait_after};
pub use verify::{Problem, ProblemKind, Verification, verify};
