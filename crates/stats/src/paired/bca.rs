//! Intervals from bootstrap replicates.

use crate::rank::{quantile_sorted, sorted};
use crate::special::{normal_cdf, normal_quantile};
use crate::{Result, check};

/// The percentile interval: quantiles of the replicates that leave `(1 - level) / 2` on either side.
///
/// Quantiles interpolate (type 7), as SciPy's `bootstrap(method="percentile")`. `O(B log B)`.
///
/// # Errors
/// No replicates, one that is not finite, or a level outside `(0, 1)`.
pub fn percentile_interval(replicates: &[f64], level: f64) -> Result<(f64, f64)> {
    let ordered = ordered(replicates, level)?;
    let tail = 0.5 * (1.0 - level);
    Ok((
        quantile_sorted(&ordered, tail),
        quantile_sorted(&ordered, 1.0 - tail),
    ))
}

/// The bias-corrected and accelerated interval (Efron 1987; DiCiccio & Efron 1996, equations 2.3 and 6.6).
///
/// `estimate` is the statistic on all rows, `jackknife` its values with one row (or one of many equal blocks of rows)
/// left out. Equals SciPy's `bootstrap(method="BCa")` on the same replicates. Where the estimate lies beyond all
/// replicates the correction is infinite and the interval ends at their extremes. `O(B log B)`.
///
/// # Errors
/// No replicates, a value that is not finite, or a level outside `(0, 1)`.
pub fn bca_interval(estimate: f64, replicates: &[f64], jackknife: &[f64], level: f64) -> Result<(f64, f64)> {
    let ordered = ordered(replicates, level)?;
    check::finite("estimate", &[estimate])?;
    check::finite("jackknife", jackknife)?;
    let below = ordered.partition_point(|v| *v < estimate);
    let at_most = ordered.partition_point(|v| *v <= estimate);
    let bias = normal_quantile((below + at_most) as f64 / (2 * ordered.len()) as f64);
    let acceleration = acceleration(jackknife);
    let end = |tail: f64| {
        let z = bias + normal_quantile(tail);
        let share = normal_cdf(bias + z / (1.0 - acceleration * z));
        // Infinite minus infinite, when the bias is: stay at the side of the bias.
        let share = if share.is_nan() {
            if bias > 0.0 { 1.0 } else { 0.0 }
        } else {
            share
        };
        quantile_sorted(&ordered, share)
    };
    let tail = 0.5 * (1.0 - level);
    Ok((end(tail), end(1.0 - tail)))
}

/// A sixth of the skewness of the jackknife's influences.
fn acceleration(jackknife: &[f64]) -> f64 {
    let mean = jackknife.iter().sum::<f64>() / jackknife.len() as f64;
    let (mut squares, mut cubes) = (0.0, 0.0);
    for value in jackknife {
        let influence = mean - value;
        squares += influence * influence;
        cubes += influence.powi(3);
    }
    if squares > 0.0 {
        cubes / (6.0 * squares.powf(1.5))
    } else {
        0.0
    }
}

fn ordered(replicates: &[f64], level: f64) -> Result<Vec<f64>> {
    check::non_empty("replicates", replicates)?;
    check::finite("replicates", replicates)?;
    check::open_unit("level", level)?;
    Ok(sorted(replicates.iter().copied()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_bias_or_skew_bca_is_the_percentile_interval() {
        let replicates: Vec<f64> = (-500..=500).map(f64::from).collect();
        let jackknife = [-1.0, 1.0, -2.0, 2.0];
        let bca = bca_interval(0.0, &replicates, &jackknife, 0.9).unwrap();
        let percentile = percentile_interval(&replicates, 0.9).unwrap();
        assert!((bca.0 - percentile.0).abs() < 1e-9 && (bca.1 - percentile.1).abs() < 1e-9);
        assert_eq!(percentile, (-450.0, 450.0));
    }

    #[test]
    fn constant_replicates_give_a_point() {
        assert_eq!(
            bca_interval(0.0, &[0.0; 50], &[0.0; 9], 0.95).unwrap(),
            (0.0, 0.0)
        );
    }

    #[test]
    fn an_estimate_beyond_all_replicates_ends_at_an_extreme() {
        let replicates: Vec<f64> = (0..100).map(f64::from).collect();
        assert_eq!(
            bca_interval(1e3, &replicates, &[1.0, 2.0, 4.0], 0.95).unwrap(),
            (99.0, 99.0)
        );
    }
}
