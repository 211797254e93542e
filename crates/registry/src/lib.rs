//! Registered models, their versions, and the aliases that say which version serves.
//!
//! Rules are functions over a transaction, grouped by module ([`models`], [`versions`], [`files`], [`aliases`],
//! [`gates`], [`approvals`]), so that a promotion, its decision and its ledger rows commit together. [`Registry`] wraps
//! each in a transaction of its own.
//!
//! Nothing that was true is forgotten: version numbers are given once, a deleted version leaves its row, and every move
//! of an alias is kept with who, when, why and the decision behind it, so that [`aliases::as_of`] can answer for any
//! date.
//!
//! A change takes its model first and the ledger last. Callers who append ledger rows of their own should do so after
//! calling in here, or two of them can wait for each other until the database sends one back.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod error;
mod events;
mod schema;
mod text;
mod words;

pub mod aliases;
pub mod approvals;
pub mod files;
pub mod gates;
pub mod models;
pub mod references;
mod registry;
pub mod tags;
mod version_write;
pub mod versions;

pub use error::{Error, Result};
pub use registry::Registry;
pub use schema::MIGRATIONS;
pub use text::limits;
pub use words::{Page, VersionNumber};

pub(crate) use everloop_core::By;
