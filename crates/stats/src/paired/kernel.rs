//! A metric prepared so that its value on any resample costs one pass over row counts.

use crate::metrics::{
    self, Binning, Confusion, DEFAULT_BINS, as_classes, brier_of, inner_edges, log_loss_of, relative_error,
};
use crate::{Error, Metric, Result};

/// One model's rows, reduced to what the metric needs. `value` is `None` where the metric is undefined.
pub(super) enum Kernel {
    /// A mean of losses, perhaps its root.
    Mean { losses: Vec<f64>, root: bool },
    /// Counted decisions; per row the cell `truth * 2 + predicted`.
    Decisions { cells: Vec<u8>, metric: Metric },
    /// AUC: rows by rising score.
    Auc(Vec<Ranked>),
    /// Average precision: rows by falling score.
    AveragePrecision(Vec<Ranked>),
    /// Share of variance explained: truth (centred) and squared error.
    Explained { truth: Vec<f64>, squared: Vec<f64> },
    /// Calibration error: per row its bin and `score - truth`.
    Calibration {
        bins: Vec<u32>,
        gaps: Vec<f64>,
        n_bins: usize,
    },
}

/// A row in order of score: its number, its class, and whether the next row has another score.
#[derive(Clone, Copy)]
pub(super) struct Ranked(u32);

impl Ranked {
    const POSITIVE: u32 = 1 << 30;
    const LAST_OF_TIES: u32 = 1 << 31;
    /// Row numbers share a word with two flags.
    pub(super) const MOST_ROWS: usize = 1 << 30;

    fn row(self) -> usize {
        (self.0 & (Self::POSITIVE - 1)) as usize
    }

    fn positive(self) -> bool {
        self.0 & Self::POSITIVE != 0
    }

    fn last_of_ties(self) -> bool {
        self.0 & Self::LAST_OF_TIES != 0
    }
}

impl Kernel {
    /// Checks and prepares. `O(n)`, rank metrics `O(n log n)`.
    pub(super) fn new(metric: Metric, truth: &[f64], score: &[f64], threshold: f64) -> Result<Self> {
        // The metric's own checks say what is wrong with the columns.
        metric.compute_at(truth, score, threshold)?;
        let rows = || truth.iter().copied().zip(score.iter().copied());
        let mean = |loss: fn(f64, f64) -> f64, root| {
            Ok(Self::Mean {
                losses: rows().map(|(t, s)| loss(t, s)).collect(),
                root,
            })
        };
        match metric {
            Metric::Auc => Ok(Self::Auc(ranked(truth, score, false)?)),
            Metric::AveragePrecision => Ok(Self::AveragePrecision(ranked(truth, score, true)?)),
            Metric::LogLoss => mean(|t, s| log_loss_of(t == 1.0, s), false),
            Metric::Brier => mean(|t, s| brier_of(t == 1.0, s), false),
            Metric::CalibrationBias | Metric::Bias => mean(|t, s| s - t, false),
            Metric::Mse => mean(|t, s| (s - t) * (s - t), false),
            Metric::Rmse => mean(|t, s| (s - t) * (s - t), true),
            Metric::Mae => mean(|t, s| (s - t).abs(), false),
            Metric::Mape => mean(relative_error, false),
            Metric::CalibrationError => Self::calibration(truth, score),
            Metric::R2 => {
                let centre = truth.iter().sum::<f64>() / truth.len() as f64;
                Ok(Self::Explained {
                    truth: truth.iter().map(|t| t - centre).collect(),
                    squared: rows().map(|(t, s)| (s - t) * (s - t)).collect(),
                })
            }
            Metric::Accuracy
            | Metric::BalancedAccuracy
            | Metric::Precision
            | Metric::Recall
            | Metric::Specificity
            | Metric::F1
            | Metric::MacroF1
            | Metric::Mcc => {
                let cell = |(t, s): (f64, f64)| u8::from(t == 1.0) * 2 + u8::from(s >= threshold);
                Ok(Self::Decisions {
                    cells: rows().map(cell).collect(),
                    metric,
                })
            }
        }
    }

    /// The metric where row `i` counts `counts[i]` times. `O(n)`.
    pub(super) fn value(&self, counts: &[u32]) -> Option<f64> {
        match self {
            Self::Mean { losses, root } => {
                let mean = weighted_mean(losses, counts)?;
                Some(if *root { mean.sqrt() } else { mean })
            }
            Self::Decisions { cells, metric } => metric.of_confusion(confusion(cells, counts)).ok(),
            Self::Auc(rows) => auc(rows, counts),
            Self::AveragePrecision(rows) => average_precision(rows, counts),
            Self::Explained { truth, squared } => explained(truth, squared, counts),
            Self::Calibration { bins, gaps, n_bins } => calibration(bins, gaps, *n_bins, counts),
        }
    }

    fn calibration(truth: &[f64], score: &[f64]) -> Result<Self> {
        let inner = inner_edges(score, Binning::Uniform(DEFAULT_BINS))?;
        Ok(Self::Calibration {
            bins: score.iter().map(|s| metrics::bin_of(&inner, *s) as u32).collect(),
            gaps: truth.iter().zip(score).map(|(t, s)| s - t).collect(),
            n_bins: inner.len() + 1,
        })
    }
}

fn ranked(truth: &[f64], score: &[f64], falling: bool) -> Result<Vec<Ranked>> {
    let truth = as_classes(truth)?;
    if truth.len() > Ranked::MOST_ROWS {
        let value = truth.len() as f64;
        return Err(Error::OutOfRange {
            what: "rows",
            value,
            allowed: "[0, 2^30]",
            index: None,
        });
    }
    let mut order = crate::rank::order(score);
    if falling {
        order.reverse();
    }
    let flags = |(at, row): (usize, &u32)| {
        let next = order.get(at + 1).map(|next| score[*next as usize]);
        let last = if next == Some(score[*row as usize]) {
            0
        } else {
            Ranked::LAST_OF_TIES
        };
        let class = if truth[*row as usize] { Ranked::POSITIVE } else { 0 };
        Ranked(row | class | last)
    };
    Ok(order.iter().enumerate().map(flags).collect())
}

/// Twice the number of pairs in order, ties counting once, over twice all pairs; exact in integers.
fn auc(rows: &[Ranked], counts: &[u32]) -> Option<f64> {
    let (mut positives, mut negatives, mut twice) = (0_u64, 0_u64, 0_u64);
    let (mut tied_positives, mut tied_negatives) = (0_u64, 0_u64);
    for row in rows {
        let count = u64::from(counts[row.row()]);
        // Without branches on the class, which no predictor can guess.
        let positive = count * u64::from(row.positive());
        tied_positives += positive;
        tied_negatives += count - positive;
        if row.last_of_ties() {
            twice += tied_positives * (2 * negatives + tied_negatives);
            positives += tied_positives;
            negatives += tied_negatives;
            (tied_positives, tied_negatives) = (0, 0);
        }
    }
    let pairs = positives * negatives;
    (pairs > 0).then(|| twice as f64 / (2.0 * pairs as f64))
}

fn average_precision(rows: &[Ranked], counts: &[u32]) -> Option<f64> {
    let (mut hits, mut seen, mut tied, mut sum) = (0_u64, 0_u64, 0_u64, 0.0);
    for row in rows {
        let count = u64::from(counts[row.row()]);
        seen += count;
        tied += count * u64::from(row.positive());
        if row.last_of_ties() && tied > 0 {
            hits += tied;
            sum += tied as f64 * hits as f64 / seen as f64;
            tied = 0;
        }
    }
    (hits > 0 && hits < seen).then(|| sum / hits as f64)
}

fn weighted_mean(values: &[f64], counts: &[u32]) -> Option<f64> {
    let (mut sum, mut rows) = (0.0, 0_u64);
    for (value, count) in values.iter().zip(counts) {
        sum += value * f64::from(*count);
        rows += u64::from(*count);
    }
    (rows > 0).then(|| sum / rows as f64)
}

fn confusion(cells: &[u8], counts: &[u32]) -> Confusion {
    let mut sums = [0_u64; 4];
    for (cell, count) in cells.iter().zip(counts) {
        sums[usize::from(*cell & 3)] += u64::from(*count);
    }
    let [true_negatives, false_positives, false_negatives, true_positives] = sums;
    Confusion {
        true_positives,
        false_positives,
        true_negatives,
        false_negatives,
    }
}

fn explained(truth: &[f64], squared: &[f64], counts: &[u32]) -> Option<f64> {
    let (mut residual, mut sum, mut squares, mut rows) = (0.0, 0.0, 0.0, 0.0);
    for ((t, e), count) in truth.iter().zip(squared).zip(counts) {
        let count = f64::from(*count);
        residual += count * e;
        sum += count * t;
        squares += count * t * t;
        rows += count;
    }
    let spread = squares - sum * sum / rows;
    // A resample of equal rows leaves rounding only.
    (spread > 1e-12 * squares).then(|| 1.0 - residual / spread)
}

fn calibration(bins: &[u32], gaps: &[f64], n_bins: usize, counts: &[u32]) -> Option<f64> {
    let mut sums = vec![0.0_f64; n_bins];
    let mut rows = 0_u64;
    for ((bin, gap), count) in bins.iter().zip(gaps).zip(counts) {
        sums[*bin as usize] += gap * f64::from(*count);
        rows += u64::from(*count);
    }
    (rows > 0).then(|| sums.iter().map(|sum| sum.abs()).sum::<f64>() / rows as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data() -> (Vec<f64>, Vec<f64>) {
        let score: Vec<f64> = (0..60_u32).map(|i| f64::from(i * 37 % 19) / 18.0).collect();
        let truth = (0..60_u32)
            .map(|i| f64::from(u8::from(i * 37 % 19 + i % 7 > 11)))
            .collect();
        (truth, score)
    }

    /// A kernel with every row once, and with rows repeated, equals the metric on those rows.
    #[test]
    fn kernels_equal_their_metrics() {
        let (truth, score) = data();
        let counts: Vec<u32> = (0..60).map(|i| (i * i + 1) % 4).collect();
        let repeat = |values: &[f64]| -> Vec<f64> {
            let repeated = values
                .iter()
                .zip(&counts)
                .flat_map(|(v, c)| std::iter::repeat_n(*v, *c as usize));
            repeated.collect()
        };
        for metric in Metric::ALL {
            let kernel = Kernel::new(metric, &truth, &score, 0.5).unwrap();
            for (counts, truth, score) in [
                (&vec![1; 60], truth.clone(), score.clone()),
                (&counts, repeat(&truth), repeat(&score)),
            ] {
                let expected = metric.compute(&truth, &score).unwrap();
                let got = kernel.value(counts).unwrap();
                assert!(
                    (got - expected).abs() < 1e-12 * expected.abs().max(1.0),
                    "{metric}: {got} {expected}"
                );
            }
        }
    }

    #[test]
    fn resamples_without_a_class_have_no_value() {
        let (truth, score) = data();
        let only_positive: Vec<u32> = truth.iter().map(|t| *t as u32).collect();
        for metric in [
            Metric::Auc,
            Metric::AveragePrecision,
            Metric::Specificity,
            Metric::Mcc,
        ] {
            let kernel = Kernel::new(metric, &truth, &score, 0.5).unwrap();
            assert_eq!(kernel.value(&only_positive), None, "{metric}");
            assert_eq!(kernel.value(&[0; 60]), None, "{metric}");
        }
    }
}
