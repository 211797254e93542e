//! Numbers predicted as numbers. Errors are `predicted - truth`.

use crate::{Error, Result, check};

/// Mean squared error. `O(n)`.
///
/// # Errors
/// Unequal lengths, no rows, a value that is not finite, or errors whose sum is not (beyond 1e154 squared); so for
/// all functions here.
pub fn mse(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    mean(truth, predicted, |t, p| (p - t) * (p - t))
}

/// Root of the mean squared error, in units of the target. `O(n)`.
///
/// # Errors
/// As [`mse`].
pub fn rmse(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    Ok(mse(truth, predicted)?.sqrt())
}

/// Mean absolute error, in units of the target. `O(n)`.
///
/// # Errors
/// As [`mse`].
pub fn mae(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    mean(truth, predicted, |t, p| (p - t).abs())
}

/// Mean absolute error relative to the truth, as a fraction. A true 0 is replaced by 2.2e-16, as scikit-learn does,
/// so that one such row makes the figure huge: visible, not infinite. `O(n)`.
///
/// # Errors
/// As [`mse`].
pub fn mape(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    mean(truth, predicted, relative_error)
}

/// Mean of `predicted - truth`: above 0 the model says too much. `O(n)`.
///
/// # Errors
/// As [`mse`].
pub fn bias(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    mean(truth, predicted, |t, p| p - t)
}

/// Share of the target's variance explained, at most 1, below 0 when the mean would predict better. `O(n)`, two
/// passes.
///
/// # Errors
/// As [`mse`], or when the truth is constant (scikit-learn says 0 or 1 there).
pub fn r2(truth: &[f64], predicted: &[f64]) -> Result<f64> {
    let residual = mse(truth, predicted)?;
    let centre = truth.iter().sum::<f64>() / truth.len() as f64;
    let spread = mean(truth, truth, |t, _| (t - centre) * (t - centre))?;
    if spread == 0.0 || truth.iter().all(|t| *t == truth[0]) {
        return Err(Error::Undefined {
            what: "r2",
            why: "the truth is constant",
        });
    }
    Ok(1.0 - residual / spread)
}

/// The relative error of one row.
pub(crate) fn relative_error(truth: f64, predicted: f64) -> f64 {
    (predicted - truth).abs() / truth.abs().max(f64::EPSILON)
}

fn mean(truth: &[f64], predicted: &[f64], error: impl Fn(f64, f64) -> f64) -> Result<f64> {
    check::same_rows("truth", truth, "predicted", predicted)?;
    check::finite("truth", truth)?;
    check::finite("predicted", predicted)?;
    let sum: f64 = truth.iter().zip(predicted).map(|(t, p)| error(*t, *p)).sum();
    if !sum.is_finite() {
        return Err(Error::Undefined {
            what: "regression metric",
            why: "the sum of errors is too large for a double",
        });
    }
    Ok(sum / truth.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_the_sign_of_the_prediction() {
        assert_eq!(bias(&[1.0, 1.0], &[2.0, 4.0]).unwrap(), 2.0);
        assert_eq!(rmse(&[1.0, 1.0], &[2.0, 4.0]).unwrap(), 5.0_f64.sqrt());
        assert_eq!(r2(&[1.0, 3.0], &[2.0, 2.0]).unwrap(), 0.0);
        assert!(r2(&[2.0, 2.0], &[2.0, 2.0]).is_err());
        // The spread underflows.
        assert!(r2(&[0.0, 5e-324], &[0.0, 0.0]).is_err());
        assert!(r2(&[1e200, -1e200], &[-1e200, 1e200]).is_err());
    }
}
