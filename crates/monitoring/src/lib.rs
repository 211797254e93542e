//! Windows, drift, performance and alerts.
//!
//! A window is a span of event time or a number of predictions in the order of their event times. When it has closed,
//! its inputs and answers are compared with a [`Reference`]; when its labels have had their time, its performance is
//! measured. Each part of a window is judged once, whoever gets to it first, and a breach becomes an alert when enough
//! of the last windows show it. The judgements themselves ([`drift`], [`performance`]) are pure.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod alerts;
mod cuts;
mod drift;
mod error;
mod evaluate;
mod performance;
mod reference;
mod store;
mod windows;

pub use alerts::{Alert, AlertState, alerts};
pub use drift::{ColumnDrift, DriftReport, DriftSettings, drift};
pub use error::{Error, Result};
pub use evaluate::{Evaluated, Monitoring, WindowSource};
pub use performance::{PerformanceReport, performance};
pub use reference::{Reference, SCORE};
pub use store::{MIGRATIONS, Part, WindowResult, results};
pub use windows::{Place, Span, closed_windows};
