//! The tables of this crate.

use everloop_db::Migration;

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[
    Migration {
        component: "controller",
        number: 1,
        name: "controller",
        sql: include_str!("../migrations/0001_controller.sql"),
    },
    Migration {
        component: "controller",
        number: 2,
        name: "actions of triggers",
        sql: include_str!("../migrations/0002_actions.sql"),
    },
];
