//! Tracking against real databases and a real object store: SQLite always, Postgres when its address is given.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod artifacts;
mod batch;
mod experiments;
mod inputs;
mod laws;
mod references;
mod runs;
mod support;
mod together;
mod transfer;
