//! What the crate promises, over each database.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod alerts;
mod bench;
mod by_count;
mod by_time;
