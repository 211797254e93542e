//! The tables of this crate.

use everloop_db::Migration;

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "controller",
    number: 1,
    name: "controller",
    sql: include_str!("../migrations/0001_controller.sql"),
}];
