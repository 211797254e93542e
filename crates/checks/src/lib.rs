//! Suites over data and models, and their results.
//!
//! - [`run_suite`] runs a suite of data checks over a table: all checks of rows and columns become one aggregate
//!   query, so the table is read once; rows that fail are shown as a bounded sample.
//! - [`judge`] runs gates and model checks over predictions on rows whose truth is known. It is pure: the same
//!   predictions and seed give the same verdict everywhere.
//! - [`Reports`] keeps what came out, with a ledger row for each.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod data;
mod error;
mod gates;
mod predicates;
mod report;
mod slices;
mod store;

pub use data::run_suite;
pub use error::{Error, Result};
pub use gates::{Candidate, GateResult, GateRule, Known, judge, rules_of};
pub use report::{CheckResult, Outcome, Report, Unexpected};
pub use store::{MIGRATIONS, Reports, StoredReport};
