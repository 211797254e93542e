//! The ledger's laws, on SQLite and on Postgres (when `EVERLOOP_TEST_POSTGRES` names one).

mod anchors;
mod chain;
mod common;
mod consumers;
mod idempotency;
mod tamper;
