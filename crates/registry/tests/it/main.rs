//! The registry against real databases: SQLite always, Postgres when its address is given.

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod aliases;
mod laws;
mod models;
mod references;
mod reviews;
mod support;
mod together;
mod versions;
