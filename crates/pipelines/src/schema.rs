//! The tables of this crate.

use everloop_db::Migration;

/// The tables of this crate, for [`Db::open`](everloop_db::Db::open).
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "pipelines",
    number: 1,
    name: "runs, stages, cache",
    sql: include_str!("../migrations/0001_pipelines.sql"),
}];
