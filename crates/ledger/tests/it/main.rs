//! The ledger's laws, on SQLite and on Postgres (when `EVERLOOP_TEST_POSTGRES` names one).

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod anchors;
mod chain;
mod common;
mod consumers;
mod idempotency;
mod tamper;
