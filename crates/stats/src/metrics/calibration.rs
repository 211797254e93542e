//! Whether a predicted 30 % happens 30 % of the time.

use serde::{Deserialize, Serialize};

use crate::rank::{quantile_sorted, sorted};
use crate::{Error, Result, check};

/// Bins of [`super::Metric::CalibrationError`].
pub(crate) const DEFAULT_BINS: usize = 10;

/// How scores are grouped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Binning {
    /// So many bins of equal width over `[0, 1]`.
    Uniform(usize),
    /// So many bins between quantiles of the scores.
    Quantile(usize),
}

/// Rows with similar scores. Bins without rows are left out.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Rows.
    pub count: usize,
    /// Mean predicted probability.
    pub mean_score: f64,
    /// Share of positives.
    pub base_rate: f64,
}

/// A reliability diagram and its summaries.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Filled bins, by rising score.
    pub bins: Vec<Bin>,
    /// Expected calibration error: mean of `|mean score - base rate|` weighted by rows, in `[0, 1]`.
    pub expected_error: f64,
    /// The largest gap of a bin, in `[0, 1]`.
    pub largest_error: f64,
    /// Mean score minus base rate over all rows: above 0 the model promises too much.
    pub bias: f64,
}

/// Compares probabilities with outcomes in bins.
///
/// Bins are `(left, right]`, the first one closed, as scikit-learn's `calibration_curve` has them. `O(n log bins)`,
/// `O(n log n)` for quantile bins. Source of the expected calibration error: Naeini et al. 2015.
///
/// # Errors
/// Unequal lengths, no rows, a score outside `[0, 1]`, or no bins.
pub fn calibration(truth: &[bool], score: &[f64], binning: Binning) -> Result<Calibration> {
    check::same_rows("truth", truth, "score", score)?;
    check::probabilities("score", score)?;
    let inner = inner_edges(score, binning)?;
    let mut sums = vec![(0_usize, 0.0_f64, 0_usize); inner.len() + 1];
    for (t, s) in truth.iter().zip(score) {
        let bin = &mut sums[bin_of(&inner, *s)];
        bin.0 += 1;
        bin.1 += s;
        bin.2 += usize::from(*t);
    }
    let filled = sums.into_iter().filter(|(count, ..)| *count > 0);
    let bins: Vec<Bin> = filled
        .map(|(count, sum, hits)| Bin {
            count,
            mean_score: sum / count as f64,
            base_rate: hits as f64 / count as f64,
        })
        .collect();
    Ok(summarise(bins, score.len() as f64))
}

/// The bin of a score: the number of inner edges below it.
pub(crate) fn bin_of(inner: &[f64], score: f64) -> usize {
    inner.partition_point(|edge| *edge < score)
}

/// Edges between bins, without the two ends.
pub(crate) fn inner_edges(score: &[f64], binning: Binning) -> Result<Vec<f64>> {
    let (Binning::Uniform(bins) | Binning::Quantile(bins)) = binning;
    if bins == 0 {
        return Err(Error::OutOfRange {
            what: "bins",
            value: 0.0,
            allowed: "[1, inf)",
            index: None,
        });
    }
    let shares = (1..bins).map(|i| i as f64 / bins as f64);
    Ok(match binning {
        Binning::Uniform(_) => shares.collect(),
        Binning::Quantile(_) => {
            let ordered = sorted(score.iter().copied());
            shares.map(|q| quantile_sorted(&ordered, q)).collect()
        }
    })
}

fn summarise(bins: Vec<Bin>, rows: f64) -> Calibration {
    let weighted = |figure: fn(&Bin) -> f64| -> f64 {
        bins.iter().map(|bin| bin.count as f64 * figure(bin)).sum::<f64>() / rows
    };
    let expected_error = weighted(|bin| (bin.mean_score - bin.base_rate).abs());
    let bias = weighted(|bin| bin.mean_score) - weighted(|bin| bin.base_rate);
    let largest_error = bins
        .iter()
        .map(|bin| (bin.mean_score - bin.base_rate).abs())
        .fold(0.0, f64::max);
    Calibration {
        bins,
        expected_error,
        largest_error,
        bias,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_forecast_at_the_base_rate_is_calibrated() {
        let got = calibration(&[true, false, false, true], &[0.5; 4], Binning::Uniform(10)).unwrap();
        assert_eq!((got.expected_error, got.largest_error, got.bias), (0.0, 0.0, 0.0));
        assert_eq!(got.bins.len(), 1);
    }

    #[test]
    fn overconfidence_shows_as_positive_bias() {
        let got = calibration(&[false, false], &[0.9, 0.7], Binning::Uniform(10)).unwrap();
        assert!((got.bias - 0.8).abs() < 1e-15 && (got.largest_error - 0.9).abs() < 1e-15);
    }
}
