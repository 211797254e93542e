//! Two classes: ranking (AUC, average precision) and probability (log loss, Brier).

use crate::rank::{self, Groups};
use crate::{Error, Result, check};

/// Area under the ROC curve: the chance that a positive row scores above a negative one, ties counting half.
///
/// `truth` and `score` have one value per row; any finite scores do, only their order matters. In `[0, 1]`.
/// `O(n log n)`; the count of pairs is exact in integers. Source: Hanley & McNeil 1982; equals scikit-learn's
/// `roc_auc_score`.
///
/// # Errors
/// Unequal lengths, no rows, a score that is not finite, or rows of one class only.
///
/// ```
/// let auc = everloop_stats::metrics::auc(&[false, false, true, true], &[0.1, 0.4, 0.35, 0.8])?;
/// assert_eq!(auc, 0.75);
/// # Ok::<(), everloop_stats::Error>(())
/// ```
pub fn auc(truth: &[bool], score: &[f64]) -> Result<f64> {
    let (positive, negative) = split("auc", truth, score)?;
    let (mut below, mut twice) = (0_u128, 0_u128);
    for group in Groups::new(&positive, &negative) {
        let (p, n) = (group.a as u128, group.b as u128);
        twice += p * (2 * below + n);
        below += n;
    }
    Ok(twice as f64 / (2.0 * positive.len() as f64 * negative.len() as f64))
}

/// Average precision: the sum over distinct thresholds of precision times the gain in recall.
///
/// No interpolation, as scikit-learn's `average_precision_score`. Rows with equal scores enter together. In
/// `(0, 1]`. `O(n log n)`.
///
/// # Errors
/// As [`auc`]; only positives must be present for the figure to exist, but a lone class is refused all the same,
/// since it then says nothing of the model.
pub fn average_precision(truth: &[bool], score: &[f64]) -> Result<f64> {
    let (positive, negative) = split("average precision", truth, score)?;
    let total = positive.len() as f64;
    // Walk from the top: negated samples, reversed, ascend.
    let flip = |values: Vec<f64>| -> Vec<f64> { values.into_iter().rev().map(|v| -v).collect() };
    let (positive, negative) = (flip(positive), flip(negative));
    let (mut hits, mut rows, mut sum) = (0.0, 0.0, 0.0);
    for group in Groups::new(&positive, &negative) {
        hits += group.a as f64;
        rows += (group.a + group.b) as f64;
        sum += group.a as f64 / total * (hits / rows);
    }
    Ok(sum)
}

/// Mean negative log likelihood, in nats. In `[0, 36.05]`: shares are clipped to `[e, 1 - e]` with `e` = 2.2e-16,
/// as scikit-learn's `log_loss` does for doubles.
///
/// One class only is fine. `O(n)`.
///
/// # Errors
/// Unequal lengths, no rows, or a score outside `[0, 1]`.
pub fn log_loss(truth: &[bool], score: &[f64]) -> Result<f64> {
    check::same_rows("truth", truth, "score", score)?;
    check::probabilities("score", score)?;
    Ok(mean(truth, score, log_loss_of))
}

/// Mean squared distance between probability and outcome (Brier 1950), in `[0, 1]`. One class only is fine. `O(n)`.
///
/// # Errors
/// Unequal lengths, no rows, or a score outside `[0, 1]`.
pub fn brier(truth: &[bool], score: &[f64]) -> Result<f64> {
    check::same_rows("truth", truth, "score", score)?;
    check::probabilities("score", score)?;
    Ok(mean(truth, score, brier_of))
}

/// The log loss of one row.
pub(crate) fn log_loss_of(truth: bool, score: f64) -> f64 {
    let share = if truth { score } else { 1.0 - score };
    -share.clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln()
}

/// The Brier score of one row.
pub(crate) fn brier_of(truth: bool, score: f64) -> f64 {
    let d = score - f64::from(u8::from(truth));
    d * d
}

/// The error of a figure that needs both classes.
pub(crate) fn one_class(what: &'static str) -> Error {
    Error::Undefined {
        what,
        why: "all rows have the same class",
    }
}

fn mean(truth: &[bool], score: &[f64], loss: fn(bool, f64) -> f64) -> f64 {
    let sum: f64 = truth.iter().zip(score).map(|(t, s)| loss(*t, *s)).sum();
    sum / truth.len() as f64
}

/// Sorted scores of the positive and of the negative rows, neither empty.
fn split(what: &'static str, truth: &[bool], score: &[f64]) -> Result<(Vec<f64>, Vec<f64>)> {
    check::same_rows("truth", truth, "score", score)?;
    check::finite("score", score)?;
    let of = |class: bool| {
        let rows = truth.iter().zip(score);
        rank::sorted(rows.filter(move |(t, _)| **t == class).map(|(_, s)| *s))
    };
    let (positive, negative) = (of(true), of(false));
    if positive.is_empty() || negative.is_empty() {
        return Err(one_class(what));
    }
    Ok((positive, negative))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_count_half() {
        assert_eq!(auc(&[true, false, true, false], &[0.5; 4]).unwrap(), 0.5);
        assert_eq!(auc(&[false, true], &[-1.0, 3.0]).unwrap(), 1.0);
        assert_eq!(
            average_precision(&[true, false, true, false], &[0.5; 4]).unwrap(),
            0.5
        );
    }

    #[test]
    fn one_class_is_an_error_and_not_a_number() {
        assert_eq!(auc(&[true, true], &[0.1, 0.2]).unwrap_err(), one_class("auc"));
        assert!(average_precision(&[false], &[0.1]).is_err());
        assert!(log_loss(&[true, true], &[0.1, 0.2]).is_ok());
    }

    #[test]
    fn certain_and_wrong_costs_the_clip() {
        assert_eq!(log_loss(&[true], &[0.0]).unwrap(), -f64::EPSILON.ln());
        assert_eq!(brier(&[true], &[0.0]).unwrap(), 1.0);
    }

    #[test]
    fn bad_scores_are_named() {
        let error = log_loss(&[true, true], &[0.5, 1.5]).unwrap_err();
        assert_eq!(
            error,
            Error::OutOfRange {
                what: "score",
                value: 1.5,
                allowed: "[0, 1]",
                index: Some(1)
            }
        );
        assert_eq!(
            auc(&[true, false], &[0.5, f64::NAN]).unwrap_err(),
            Error::NotFinite {
                what: "score",
                index: 1
            }
        );
    }
}
