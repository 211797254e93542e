//! The variance of AUC in closed form.

use serde::{Deserialize, Serialize};

use crate::intervals::{Interval, two_sided_z};
use crate::metrics::one_class;
use crate::special::normal_two_sided;
use crate::{Result, check, rank};

/// Two AUCs on the same rows compared.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct DeLong {
    /// The champion's AUC.
    pub champion: f64,
    /// The challenger's AUC.
    pub challenger: f64,
    /// `challenger - champion`.
    pub difference: f64,
    /// Standard error of the difference.
    pub standard_error: f64,
    /// Lower end of the normal interval.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level of the interval.
    pub level: f64,
    /// Two-sided p-value of equal AUC; 1 for equal rankings.
    pub p_value: f64,
    /// Rows.
    pub n: usize,
}

/// The test of DeLong, DeLong & Clarke-Pearson 1988 on two scores of the same rows.
///
/// Computed from ranks as in Sun & Xu 2014, `O(n log n)`. Normal approximation: some tens of rows of each class.
///
/// # Errors
/// Unequal lengths, a score that is not finite, fewer than two rows of a class, or a level outside `(0, 1)`.
pub fn delong(truth: &[bool], champion: &[f64], challenger: &[f64], level: f64) -> Result<DeLong> {
    let a = Placements::new(truth, champion)?;
    let b = Placements::new(truth, challenger)?;
    let variance = a.covariance(&a) + b.covariance(&b) - 2.0 * a.covariance(&b);
    // Rounding of equal rankings may fall below 0.
    let standard_error = variance.max(0.0).sqrt();
    let difference = b.auc - a.auc;
    let half = two_sided_z(level)? * standard_error;
    let p_value = if difference == 0.0 {
        1.0
    } else {
        normal_two_sided(difference / standard_error)
    };
    Ok(DeLong {
        champion: a.auc,
        challenger: b.auc,
        difference,
        standard_error,
        low: difference - half,
        high: difference + half,
        level,
        p_value,
        n: truth.len(),
    })
}

/// One AUC with DeLong's normal interval, cut to `[0, 1]`. `O(n log n)`.
///
/// # Errors
/// As [`delong`].
pub fn auc_interval(truth: &[bool], score: &[f64], level: f64) -> Result<Interval> {
    let placements = Placements::new(truth, score)?;
    let half = two_sided_z(level)? * placements.covariance(&placements).sqrt();
    let estimate = placements.auc;
    Ok(Interval {
        estimate,
        low: (estimate - half).max(0.0),
        high: (estimate + half).min(1.0),
        level,
    })
}

/// Per row the share of the other class it is placed right against, by class, in row order.
struct Placements {
    auc: f64,
    positive: Vec<f64>,
    negative: Vec<f64>,
}

impl Placements {
    fn new(truth: &[bool], score: &[f64]) -> Result<Self> {
        check::same_rows("truth", truth, "score", score)?;
        check::finite("score", score)?;
        let of = |class: bool| {
            rank::sorted(
                truth
                    .iter()
                    .zip(score)
                    .filter(|(t, _)| **t == class)
                    .map(|(_, s)| *s),
            )
        };
        let (positive, negative) = (of(true), of(false));
        if positive.is_empty() || negative.is_empty() {
            return Err(one_class("auc"));
        }
        check::at_least("positive rows", &positive, 2)?;
        check::at_least("negative rows", &negative, 2)?;
        // The share of `others` below a score, ties counting half.
        let below = |others: &[f64], score: f64| {
            let less = others.partition_point(|v| *v < score);
            let at_most = others.partition_point(|v| *v <= score);
            0.5 * (less + at_most) as f64 / others.len() as f64
        };
        let rows = || truth.iter().zip(score);
        let hits: Vec<f64> = rows()
            .filter(|(t, _)| **t)
            .map(|(_, s)| below(&negative, *s))
            .collect();
        let misses = rows()
            .filter(|(t, _)| !**t)
            .map(|(_, s)| 1.0 - below(&positive, *s))
            .collect();
        let auc = hits.iter().sum::<f64>() / hits.len() as f64;
        Ok(Self {
            auc,
            positive: hits,
            negative: misses,
        })
    }

    /// Covariance of two AUCs on the same rows (equations 5 and 6 of the paper).
    fn covariance(&self, other: &Self) -> f64 {
        let part = |a: &[f64], b: &[f64]| {
            let products: f64 = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - self.auc) * (b - other.auc))
                .sum();
            products / (a.len() - 1) as f64 / a.len() as f64
        };
        part(&self.positive, &other.positive) + part(&self.negative, &other.negative)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_rankings_do_not_differ() {
        let truth = [true, false, true, false, true, false];
        let score = [0.9, 0.1, 0.4, 0.6, 0.8, 0.3];
        let doubled: Vec<f64> = score.iter().map(|s| s * 2.0).collect();
        let got = delong(&truth, &score, &doubled, 0.95).unwrap();
        assert_eq!((got.difference, got.p_value), (0.0, 1.0));
        assert!(got.standard_error < 1e-8);
    }

    #[test]
    fn one_row_of_a_class_has_no_variance() {
        assert!(delong(&[true, false, false], &[0.1, 0.2, 0.3], &[0.1, 0.2, 0.3], 0.95).is_err());
        assert!(auc_interval(&[true, true], &[0.1, 0.2], 0.95).is_err());
    }
}
