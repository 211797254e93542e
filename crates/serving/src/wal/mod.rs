//! The write-ahead log of predictions: what was answered, before it was answered.
//!
//! A record is one `write` to the open segment, so a killed process loses nothing that it answered; the file is synced
//! in the background, so a power cut loses at most the last moments. A segment is locked while its writer lives:
//! whoever finds one unlocked may seal it.

mod record;
mod segment;

pub(crate) use record::{Batch, Cells, Record, Role};
pub(crate) use segment::{Closed, Wal, batches};
