//! Scale-out of tables on a Ballista cluster.
//!
//! [`BallistaEngine`] runs the queries and profiles of `everloop-tables` on the cluster at `ballista://host:port`.
//! [`Scheduler`] and [`Worker`] are the two parts of such a cluster, [`Cluster`] is both on this machine's loopback.
//! A worker knows the same functions and stores as a local session, so plans give the same answers there; what this
//! release of Ballista would answer wrongly is refused before it is sent (see [`BallistaEngine`]).
#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checks;
mod cluster;
mod engine;
mod scheduler;
mod worker;

pub use cluster::Cluster;
pub use engine::BallistaEngine;
pub use scheduler::Scheduler;
pub use worker::{Worker, WorkerOptions};
