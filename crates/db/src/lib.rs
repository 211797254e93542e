//! The one thin layer over SQLite and Postgres: transactions, migrations, wake-ups, leases.
//!
//! Every statement in the house is written once, in the subset both databases share ([`Tx`] says which), and runs
//! inside a closure handed to [`Db::write`] or [`Db::read`]. Nobody above this crate knows which database is behind it;
//! what must differ is a named method here.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod db;
mod error;
mod job;
pub mod leases;
mod migrate;
mod postgres;
mod row;
mod sql;
mod sqlite;
mod stats;
pub mod testing;
mod tx;
mod url;
mod value;
mod wakes;

pub use db::Db;
pub use error::{ConstraintKind, Error, Result};
pub use leases::Lease;
pub use migrate::Migration;
pub use row::{FromValue, Row};
pub use stats::Stats;
pub use tx::Tx;
pub use url::DbUrl;
pub use value::Value;
