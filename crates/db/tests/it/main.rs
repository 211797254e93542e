//! The contract suite: each law holds on SQLite and on Postgres (when `EVERLOOP_TEST_POSTGRES` names one).

#![allow(
    clippy::unwrap_used,
    reason = "a test that unwraps fails with the line it unwrapped on"
)]

mod backup;
mod broken_disk;
mod children;
mod crash;
mod disk_full;
mod leases;
mod migrations;
mod postgres;
mod proxy;
mod statements;
mod tls;
mod transactions;
mod urls;
mod values;
mod wakes;
