//! The mathematics of the house: functions from values to values.
//!
//! Metrics of models, drift between samples, tests, intervals and decisions under multiplicity and peeking. No IO,
//! no clock, no globals; chance enters as a seed. Parallel parts combine their results in a fixed order, so an
//! answer does not depend on the number of threads. Whatever is undefined (one class only, an empty sample) is an
//! [`Error`] that says why, never a NaN that travels on.
//!
//! Figures agree with the tools people trust (scikit-learn, SciPy, Evidently, NannyML, Fairlearn, statsmodels) to
//! 1e-9: `tests/fixtures/make.py` recorded them. Each item names its source.
#![cfg_attr(test, allow(clippy::unwrap_used))]

// How good predictions are, and which of two models is better.
pub mod metrics;
pub mod paired;

// How wide a figure is, and what its rows weigh.
pub mod intervals;
pub mod moments;
pub mod weights;

// Whether the world has moved, whom to believe, and for how long.
pub mod confirm;
pub mod drift;
pub mod fdr;

// Whom a model serves worse.
pub mod fairness;

// What may be decided while rows still come in.
pub mod sequential;

mod check;
mod error;
mod rank;
mod special;

pub use error::{Error, Result};
pub use metrics::{Direction, Metric};
