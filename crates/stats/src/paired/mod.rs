//! Champion against challenger on the same rows.
//!
//! A bare difference of two metrics says nothing: here it comes with its interval, its p-value and the number of
//! rows. [`bootstrap`] does this for every [`crate::Metric`]; [`delong`] (AUC) and [`mcnemar`] (accuracy) are the
//! closed forms to check it against.

mod bca;
mod bootstrap;
mod delong;
mod kernel;
mod mcnemar;
mod resample;

pub use bca::{bca_interval, percentile_interval};
pub use bootstrap::{Method, Options, Paired, bootstrap, bootstrap_losses, bootstrap_metric};
pub use delong::{DeLong, auc_interval, delong};
pub use mcnemar::{McNemar, mcnemar};
