//! How good predictions are: one figure per model and set of rows.
//!
//! [`Metric`] names a figure and computes it from plain columns; the functions beside it take typed arguments.
//! A binary score is the probability (or any rising score, for the rank metrics) of the positive class; a row is
//! predicted positive when its score is at least the threshold. Undefined figures are errors, not NaN.

mod binary;
mod calibration;
mod confusion;
mod metric;
mod multiclass;
mod regression;

pub use binary::{auc, average_precision, brier, log_loss};
pub use calibration::{Bin, Binning, Calibration, calibration};
pub use confusion::Confusion;
pub use metric::{DEFAULT_THRESHOLD, Direction, Metric, Task, as_classes};
pub use multiclass::{Multiclass, macro_f1, multiclass_accuracy, predicted_classes};
pub use regression::{bias, mae, mape, mse, r2, rmse};

pub(crate) use binary::{brier_of, log_loss_of, one_class};
pub(crate) use calibration::{DEFAULT_BINS, bin_of, inner_edges};
pub(crate) use regression::relative_error;
