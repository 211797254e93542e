//! The crate against real tables and databases.
#![allow(clippy::unwrap_used, missing_docs)]

mod data;
mod gates;
mod reports;
