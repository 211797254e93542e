//! Several classes, coded `0..k`.

use super::binary;
use crate::{Error, Metric, Result, check};

/// Predicted probabilities of `k` classes: row by row, `k` values each.
#[derive(Debug, Clone, Copy)]
pub struct Multiclass<'a> {
    probabilities: &'a [f64],
    n_classes: usize,
}

impl<'a> Multiclass<'a> {
    /// Takes a row-major table of `n_rows x n_classes` probabilities. Rows need not sum to 1 exactly; they are used
    /// as they are.
    ///
    /// # Errors
    /// Fewer than two classes, a length that is no multiple of the classes, or a value outside `[0, 1]`.
    pub fn new(probabilities: &'a [f64], n_classes: usize) -> Result<Self> {
        if n_classes < 2 {
            return Err(Error::OutOfRange {
                what: "n_classes",
                value: n_classes as f64,
                allowed: "[2, inf)",
                index: None,
            });
        }
        check::probabilities("probabilities", probabilities)?;
        if !probabilities.len().is_multiple_of(n_classes) {
            return Err(Error::Lengths {
                left: "probabilities",
                left_len: probabilities.len(),
                right: "rows x n_classes",
                right_len: probabilities.len() / n_classes * n_classes,
            });
        }
        Ok(Self {
            probabilities,
            n_classes,
        })
    }

    /// The figure of these probabilities against classes `truth`, one per row: `accuracy` and `macro_f1` of the
    /// likeliest class, `log_loss`, and `auc` as the unweighted mean of each class against the rest.
    ///
    /// # Errors
    /// Unequal rows, a class of `truth` that is not below the number of classes, another metric, or an AUC where
    /// some class never occurs.
    pub fn compute(self, metric: Metric, truth: &[u32]) -> Result<f64> {
        self.check(truth)?;
        match metric {
            Metric::Accuracy => multiclass_accuracy(truth, &self.predicted()),
            Metric::MacroF1 => macro_f1(truth, &self.predicted()),
            Metric::LogLoss => self.log_loss(truth),
            Metric::Auc => self.auc(truth),
            other => Err(Error::NotApplicable {
                what: other.name(),
                to: "several classes",
            }),
        }
    }

    /// The likeliest class per row; the first of equals.
    #[must_use]
    pub fn predicted(self) -> Vec<u32> {
        predicted_classes(self.probabilities, self.n_classes)
    }

    /// The log loss of each row against `truth`, for a paired test on losses.
    ///
    /// # Errors
    /// As [`Multiclass::compute`].
    pub fn log_losses(self, truth: &[u32]) -> Result<Vec<f64>> {
        self.check(truth)?;
        let rows = self.probabilities.chunks_exact(self.n_classes).zip(truth);
        Ok(rows
            .map(|(row, class)| binary::log_loss_of(true, row[*class as usize]))
            .collect())
    }

    fn log_loss(self, truth: &[u32]) -> Result<f64> {
        let losses = self.log_losses(truth)?;
        Ok(losses.iter().sum::<f64>() / losses.len() as f64)
    }

    fn auc(self, truth: &[u32]) -> Result<f64> {
        let mut sum = 0.0;
        for class in 0..self.n_classes {
            let is_class: Vec<bool> = truth.iter().map(|t| *t as usize == class).collect();
            let score: Vec<f64> = self
                .probabilities
                .iter()
                .copied()
                .skip(class)
                .step_by(self.n_classes)
                .collect();
            sum += binary::auc(&is_class, &score)?;
        }
        Ok(sum / self.n_classes as f64)
    }

    fn check(self, truth: &[u32]) -> Result<()> {
        let rows = self.probabilities.len() / self.n_classes;
        if rows != truth.len() {
            return Err(Error::Lengths {
                left: "truth",
                left_len: truth.len(),
                right: "probabilities",
                right_len: rows,
            });
        }
        check::non_empty("truth", truth)?;
        match truth.iter().position(|t| *t as usize >= self.n_classes) {
            Some(index) => Err(Error::OutOfRange {
                what: "truth",
                value: f64::from(truth[index]),
                allowed: "[0, n_classes)",
                index: Some(index),
            }),
            None => Ok(()),
        }
    }
}

/// The likeliest class per row of a row-major table; the first of equals, as NumPy's `argmax`.
///
/// `n_classes` must not be 0; an unfinished last row is left out.
#[must_use]
pub fn predicted_classes(probabilities: &[f64], n_classes: usize) -> Vec<u32> {
    let likeliest = |row: &[f64]| {
        let mut best = 0;
        for (class, p) in row.iter().enumerate() {
            if *p > row[best] {
                best = class;
            }
        }
        best as u32
    };
    probabilities.chunks_exact(n_classes).map(likeliest).collect()
}

/// Share of rows whose class is right. `O(n)`.
///
/// # Errors
/// Unequal lengths or no rows.
pub fn multiclass_accuracy(truth: &[u32], predicted: &[u32]) -> Result<f64> {
    check::same_rows("truth", truth, "predicted", predicted)?;
    let right = truth.iter().zip(predicted).filter(|(t, p)| t == p).count();
    Ok(right as f64 / truth.len() as f64)
}

/// Unweighted mean of F1 over the classes that occur in the truth or among the predictions, as scikit-learn's
/// `f1_score(average="macro")`. `O(n + k)`, where `k` is the largest class.
///
/// # Errors
/// Unequal lengths or no rows.
pub fn macro_f1(truth: &[u32], predicted: &[u32]) -> Result<f64> {
    check::same_rows("truth", truth, "predicted", predicted)?;
    let mut counts: std::collections::BTreeMap<u32, (u64, u64)> = std::collections::BTreeMap::new();
    for (t, p) in truth.iter().zip(predicted) {
        // Rows of a class: right ones, and mentions in either column.
        let entry = counts.entry(*t).or_default();
        entry.0 += u64::from(t == p);
        entry.1 += 1;
        counts.entry(*p).or_default().1 += 1;
    }
    let sum: f64 = counts
        .values()
        .map(|(right, mentions)| 2.0 * *right as f64 / *mentions as f64)
        .sum();
    Ok(sum / counts.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_must_be_whole_rows_of_probabilities() {
        assert!(Multiclass::new(&[0.1, 0.9, 0.5], 2).is_err());
        assert!(Multiclass::new(&[0.1, 1.9], 2).is_err());
        assert!(Multiclass::new(&[0.1], 1).is_err());
        let table = Multiclass::new(&[0.1, 0.9], 2).unwrap();
        assert!(table.compute(Metric::Accuracy, &[2]).is_err());
        assert!(table.compute(Metric::Rmse, &[1]).is_err());
        assert_eq!(table.compute(Metric::Accuracy, &[1]).unwrap(), 1.0);
    }

    #[test]
    fn macro_f1_counts_classes_only_predicted() {
        assert_eq!(
            macro_f1(&[0, 0, 1], &[0, 2, 1]).unwrap(),
            (2.0 / 3.0 + 1.0 + 0.0) / 3.0
        );
    }
}
