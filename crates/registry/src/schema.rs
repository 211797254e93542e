//! The tables of this crate, as numbered migrations.

use everloop_db::Migration;

/// What [`everloop_db::Db::open`] must have applied before anything here is called.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "registry",
    number: 1,
    name: "models, versions, aliases, gates",
    sql: include_str!("../migrations/0001_registry.sql"),
}];
