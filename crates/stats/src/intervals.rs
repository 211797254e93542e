//! Intervals for rates, means and quantiles: no figure goes out without its width.

use serde::{Deserialize, Serialize};

use crate::moments::Moments;
use crate::special::{beta_quantile, binomial_cdf, normal_quantile, student_two_sided_quantile};
use crate::{Error, Result, check};

/// An estimate with its two-sided interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// The point estimate.
    pub estimate: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
    /// Confidence level, such as 0.95.
    pub level: f64,
}

impl Interval {
    /// Whether `value` lies within, ends included.
    #[must_use]
    pub fn contains(self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }
}

/// Wilson's score interval of a rate, without continuity correction: stays in `[0, 1]` and behaves at 0 and `n`.
///
/// Source: Wilson 1927; equals statsmodels' `proportion_confint(method="wilson")`. `O(1)`.
///
/// # Errors
/// No trials, more hits than trials, or a level outside `(0, 1)`.
///
/// ```
/// let rate = everloop_stats::intervals::wilson(0, 20, 0.95)?;
/// assert!(rate.low == 0.0 && (rate.high - 0.1611).abs() < 1e-4);
/// # Ok::<(), everloop_stats::Error>(())
/// ```
pub fn wilson(hits: u64, trials: u64, level: f64) -> Result<Interval> {
    let p = rate(hits, trials)?;
    let n = trials as f64;
    let z = two_sided_z(level)?;
    let z2n = z * z / n;
    let centre = (p + 0.5 * z2n) / (1.0 + z2n);
    let half = z / (1.0 + z2n) * (p * (1.0 - p) / n + z2n / (4.0 * n)).sqrt();
    // At the ends the exact bound is 0 or 1; rounding must not spoil it.
    let low = if hits == 0 { 0.0 } else { centre - half };
    let high = if hits == trials { 1.0 } else { centre + half };
    Ok(Interval {
        estimate: p,
        low,
        high,
        level,
    })
}

/// Clopper-Pearson: exact, never too short, for rates that someone must be able to rely on.
///
/// Source: Clopper & Pearson 1934; equals statsmodels' `proportion_confint(method="beta")`. `O(1)`.
///
/// # Errors
/// As [`wilson`].
pub fn clopper_pearson(hits: u64, trials: u64, level: f64) -> Result<Interval> {
    let estimate = rate(hits, trials)?;
    check::open_unit("level", level)?;
    let tail = 0.5 * (1.0 - level);
    let (hit, miss) = (hits as f64, (trials - hits) as f64);
    let low = if hits == 0 {
        0.0
    } else {
        beta_quantile(hit, miss + 1.0, tail)
    };
    let high = if hits == trials {
        1.0
    } else {
        1.0 - beta_quantile(miss, hit + 1.0, tail)
    };
    Ok(Interval {
        estimate,
        low,
        high,
        level,
    })
}

/// Newcombe's hybrid interval of the difference `b - a` of two independent rates, from their Wilson intervals.
///
/// In `[-1, 1]`. Source: Newcombe 1998, method 10; equals statsmodels'
/// `confint_proportions_2indep(method="newcomb")`. `O(1)`.
///
/// # Errors
/// As [`wilson`], for either.
pub fn newcombe(hits_a: u64, trials_a: u64, hits_b: u64, trials_b: u64, level: f64) -> Result<Interval> {
    let a = wilson(hits_a, trials_a, level)?;
    let b = wilson(hits_b, trials_b, level)?;
    let estimate = b.estimate - a.estimate;
    let below = (b.estimate - b.low).hypot(a.high - a.estimate);
    let above = (b.high - b.estimate).hypot(a.estimate - a.low);
    Ok(Interval {
        estimate,
        low: estimate - below,
        high: estimate + above,
        level,
    })
}

/// Student's interval of a mean of independent values. `O(1)`.
///
/// # Errors
/// Below two values, moments of values that were not finite, or a level outside `(0, 1)`.
pub fn mean_t(moments: Moments, level: f64) -> Result<Interval> {
    check::open_unit("level", level)?;
    mean_with(
        moments,
        level,
        student_two_sided_quantile(moments.count.max(2) as f64 - 1.0, 1.0 - level),
    )
}

/// The normal interval of a mean; for hundreds of values the same as [`mean_t`]. `O(1)`.
///
/// # Errors
/// As [`mean_t`].
pub fn mean_normal(moments: Moments, level: f64) -> Result<Interval> {
    mean_with(moments, level, two_sided_z(level)?)
}

/// An interval of the `q` quantile that assumes nothing of the distribution but independence, from order statistics.
///
/// `values` in any order, without NaN. The ends are the order statistics whose binomial tail on either side is at
/// most half of what the level leaves, so the coverage is at least `level`. The estimate interpolates (type 7).
/// Source: Conover 1999, section 3.2; equals SciPy's `quantile_test(...).confidence_interval`. `O(n log n)`.
///
/// # Errors
/// No values, NaN or infinities, `q` or the level outside `(0, 1)`, or too few values for a bound on either side.
pub fn quantile(values: &[f64], q: f64, level: f64) -> Result<Interval> {
    check::non_empty("values", values)?;
    check::finite("values", values)?;
    check::open_unit("q", q)?;
    check::open_unit("level", level)?;
    let ordered = crate::rank::sorted(values.iter().copied());
    let (low, high) = quantile_ranks(ordered.len(), q, 0.5 * (1.0 - level)).ok_or(Error::Undefined {
        what: "quantile interval",
        why: "too few values to bound this quantile at this level",
    })?;
    let estimate = crate::rank::quantile_sorted(&ordered, q);
    Ok(Interval {
        estimate,
        low: ordered[low],
        high: ordered[high],
        level,
    })
}

/// Zero-based ranks `(l, u)` with `P(X <= l) <= tail` and `P(X >= u + 1) <= tail` for binomial `X`, tightest.
fn quantile_ranks(n: usize, q: f64, tail: f64) -> Option<(usize, usize)> {
    let cdf = |k: usize| binomial_cdf(k as u64, n as u64, q);
    // Both conditions are monotone in the rank, so bisection finds them.
    let first_above = partition(n, |k| cdf(k) <= tail);
    let high = partition(n, |k| 1.0 - cdf(k) > tail);
    (first_above > 0 && high < n).then(|| (first_above - 1, high))
}

/// The first of `0..n` that fails a condition which holds at first and then fails; `n` when none fails.
fn partition(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    low
}

fn mean_with(moments: Moments, level: f64, factor: f64) -> Result<Interval> {
    let found = moments.count as usize;
    let Some(variance) = moments.sample_variance() else {
        return Err(Error::TooFew {
            what: "values",
            needed: 2,
            found,
        });
    };
    check::finite("values", &[moments.mean, variance])?;
    let half = factor * (variance / moments.count as f64).sqrt();
    let estimate = moments.mean;
    Ok(Interval {
        estimate,
        low: estimate - half,
        high: estimate + half,
        level,
    })
}

fn rate(hits: u64, trials: u64) -> Result<f64> {
    if trials == 0 {
        return Err(Error::Empty { what: "trials" });
    }
    if hits > trials {
        return Err(Error::OutOfRange {
            what: "hits",
            value: hits as f64,
            allowed: "[0, trials]",
            index: None,
        });
    }
    Ok(hits as f64 / trials as f64)
}

/// The `z` that leaves `(1 - level) / 2` above it.
pub(crate) fn two_sided_z(level: f64) -> Result<f64> {
    check::open_unit("level", level)?;
    Ok(-normal_quantile(0.5 * (1.0 - level)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_at_the_ends_stay_inside() {
        let none = wilson(0, 10, 0.95).unwrap();
        let all = wilson(10, 10, 0.95).unwrap();
        assert_eq!((none.low, all.high), (0.0, 1.0));
        assert!((none.high - (1.0 - all.low)).abs() < 1e-15);
        assert_eq!(clopper_pearson(0, 10, 0.95).unwrap().low, 0.0);
    }

    #[test]
    fn impossible_counts_are_refused() {
        assert!(wilson(3, 2, 0.95).is_err());
        assert!(wilson(0, 0, 0.95).is_err());
        assert!(wilson(1, 2, 1.0).is_err());
        assert!(mean_t(Moments::of(&[1.0]), 0.95).is_err());
        assert!(quantile(&[1.0, 2.0, 3.0], 0.5, 0.95).is_err());
    }
}
