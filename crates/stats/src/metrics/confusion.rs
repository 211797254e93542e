//! Counts of right and wrong decisions of a binary classifier, and the figures made from them.

use serde::{Deserialize, Serialize};

use crate::{Error, Result, check};

/// How many rows were decided how. A merge of windows is the sum of the counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Confusion {
    /// Positive, predicted positive.
    pub true_positives: u64,
    /// Negative, predicted positive.
    pub false_positives: u64,
    /// Negative, predicted negative.
    pub true_negatives: u64,
    /// Positive, predicted negative.
    pub false_negatives: u64,
}

impl Confusion {
    /// Counts decisions; `truth` and `predicted` have one value per row. `O(n)`.
    ///
    /// # Errors
    /// Unequal lengths or no rows.
    pub fn of(truth: &[bool], predicted: &[bool]) -> Result<Self> {
        check::same_rows("truth", truth, "predicted", predicted)?;
        Ok(Self::count(truth.iter().copied().zip(predicted.iter().copied())))
    }

    /// Counts decisions of a score: positive where `score >= threshold`. `O(n)`.
    ///
    /// # Errors
    /// Unequal lengths, no rows, or a score that is not finite.
    pub fn at(truth: &[bool], score: &[f64], threshold: f64) -> Result<Self> {
        check::same_rows("truth", truth, "score", score)?;
        check::finite("score", score)?;
        Ok(Self::count(
            truth.iter().copied().zip(score.iter().map(|s| *s >= threshold)),
        ))
    }

    fn count(rows: impl Iterator<Item = (bool, bool)>) -> Self {
        let mut cells = [0_u64; 4];
        for (truth, predicted) in rows {
            cells[usize::from(truth) * 2 + usize::from(predicted)] += 1;
        }
        let [true_negatives, false_positives, false_negatives, true_positives] = cells;
        Self {
            true_positives,
            false_positives,
            true_negatives,
            false_negatives,
        }
    }

    /// The counts of both together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        Self {
            true_positives: self.true_positives + other.true_positives,
            false_positives: self.false_positives + other.false_positives,
            true_negatives: self.true_negatives + other.true_negatives,
            false_negatives: self.false_negatives + other.false_negatives,
        }
    }

    /// All rows.
    #[must_use]
    pub fn total(self) -> u64 {
        self.positives() + self.negatives()
    }

    /// Rows whose truth is positive.
    #[must_use]
    pub fn positives(self) -> u64 {
        self.true_positives + self.false_negatives
    }

    /// Rows whose truth is negative.
    #[must_use]
    pub fn negatives(self) -> u64 {
        self.true_negatives + self.false_positives
    }

    /// Rows predicted positive.
    #[must_use]
    pub fn selected(self) -> u64 {
        self.true_positives + self.false_positives
    }

    /// Share of right decisions.
    ///
    /// # Errors
    /// No rows.
    pub fn accuracy(self) -> Result<f64> {
        share(
            "accuracy",
            self.true_positives + self.true_negatives,
            self.total(),
            "there are no rows",
        )
    }

    /// Share of rows predicted positive.
    ///
    /// # Errors
    /// No rows.
    pub fn selection_rate(self) -> Result<f64> {
        share(
            "selection rate",
            self.selected(),
            self.total(),
            "there are no rows",
        )
    }

    /// Share of positives among the rows predicted positive.
    ///
    /// # Errors
    /// No row is predicted positive (scikit-learn warns and says 0 there).
    pub fn precision(self) -> Result<f64> {
        share(
            "precision",
            self.true_positives,
            self.selected(),
            "no row is predicted positive",
        )
    }

    /// Share of the positives that were found; true positive rate, sensitivity.
    ///
    /// # Errors
    /// No row is positive.
    pub fn recall(self) -> Result<f64> {
        share(
            "recall",
            self.true_positives,
            self.positives(),
            "no row is positive",
        )
    }

    /// Share of the negatives left alone; true negative rate.
    ///
    /// # Errors
    /// No row is negative.
    pub fn specificity(self) -> Result<f64> {
        share(
            "specificity",
            self.true_negatives,
            self.negatives(),
            "no row is negative",
        )
    }

    /// Share of the negatives predicted positive.
    ///
    /// # Errors
    /// No row is negative.
    pub fn false_positive_rate(self) -> Result<f64> {
        share(
            "false positive rate",
            self.false_positives,
            self.negatives(),
            "no row is negative",
        )
    }

    /// Share of the positives missed.
    ///
    /// # Errors
    /// No row is positive.
    pub fn false_negative_rate(self) -> Result<f64> {
        share(
            "false negative rate",
            self.false_negatives,
            self.positives(),
            "no row is positive",
        )
    }

    /// Harmonic mean of precision and recall: `2 tp / (2 tp + fp + fn)`.
    ///
    /// # Errors
    /// No row is positive or predicted positive.
    pub fn f1(self) -> Result<f64> {
        let twice = 2 * self.true_positives;
        let all = twice + self.false_positives + self.false_negatives;
        share("f1", twice, all, "no row is positive or predicted positive")
    }

    /// Unweighted mean of F1 of the positive and of the negative class; a class that occurs neither in the truth
    /// nor among the predictions is left out, as scikit-learn's `f1_score(average="macro")` does.
    ///
    /// # Errors
    /// No rows.
    pub fn macro_f1(self) -> Result<f64> {
        let flipped = Self {
            true_positives: self.true_negatives,
            false_positives: self.false_negatives,
            true_negatives: self.true_positives,
            false_negatives: self.false_positives,
        };
        match (self.f1(), flipped.f1()) {
            (Ok(a), Ok(b)) => Ok(0.5 * (a + b)),
            (Ok(one), Err(_)) | (Err(_), Ok(one)) => Ok(one),
            (Err(_), Err(_)) => Err(Error::Undefined {
                what: "macro f1",
                why: "there are no rows",
            }),
        }
    }

    /// Mean of recall and specificity.
    ///
    /// # Errors
    /// Rows of one class only.
    pub fn balanced_accuracy(self) -> Result<f64> {
        Ok(0.5 * (self.recall()? + self.specificity()?))
    }

    /// Matthews' correlation of truth and decision, in `[-1, 1]`.
    ///
    /// # Errors
    /// Truth or decisions are constant (scikit-learn says 0 there).
    pub fn matthews(self) -> Result<f64> {
        let [tp, fp, tn, fn_] = [
            self.true_positives,
            self.false_positives,
            self.true_negatives,
            self.false_negatives,
        ]
        .map(|count| count as f64);
        let norm = ((tp + fp) * (tp + fn_) * (tn + fp) * (tn + fn_)).sqrt();
        if norm == 0.0 {
            return Err(Error::Undefined {
                what: "mcc",
                why: "truth or decisions are constant",
            });
        }
        Ok((tp * tn - fp * fn_) / norm)
    }
}

fn share(what: &'static str, part: u64, whole: u64, why: &'static str) -> Result<f64> {
    if whole == 0 {
        return Err(Error::Undefined { what, why });
    }
    Ok(part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_at_the_threshold_are_positive() {
        let got = Confusion::at(&[true, false, true, false], &[0.5, 0.5, 0.4, 0.1], 0.5).unwrap();
        let expected = Confusion {
            true_positives: 1,
            false_positives: 1,
            true_negatives: 1,
            false_negatives: 1,
        };
        assert_eq!(got, expected);
        assert_eq!(got.accuracy().unwrap(), 0.5);
        assert_eq!(got.matthews().unwrap(), 0.0);
    }

    #[test]
    fn what_has_no_rows_is_undefined() {
        let none = Confusion {
            true_negatives: 3,
            ..Confusion::default()
        };
        assert!(none.precision().is_err() && none.recall().is_err() && none.f1().is_err());
        assert_eq!(none.macro_f1().unwrap(), 1.0);
        assert_eq!(none.specificity().unwrap(), 1.0);
        assert!(Confusion::default().accuracy().is_err());
    }
}
