//! Metrics by name, as gates, monitors and suites write them.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{Binning, Confusion, DEFAULT_BINS, binary, calibration, regression};
use crate::{Error, Result, check};

/// The threshold of decisions where none is given.
pub const DEFAULT_THRESHOLD: f64 = 0.5;

/// A figure of one score against one truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(into = "&'static str", try_from = "String")]
pub enum Metric {
    /// Area under the ROC curve.
    Auc,
    /// Average precision, the area under the precision-recall curve.
    AveragePrecision,
    /// Mean negative log likelihood.
    LogLoss,
    /// Mean squared distance of probability and outcome.
    Brier,
    /// Expected calibration error in ten bins of equal width.
    CalibrationError,
    /// Mean probability minus base rate.
    CalibrationBias,
    /// Share of right decisions.
    Accuracy,
    /// Mean of recall and specificity.
    BalancedAccuracy,
    /// Share of positives among the selected.
    Precision,
    /// Share of the positives selected.
    Recall,
    /// Share of the negatives not selected.
    Specificity,
    /// Harmonic mean of precision and recall.
    F1,
    /// Mean F1 over classes.
    MacroF1,
    /// Matthews' correlation.
    Mcc,
    /// Mean squared error.
    Mse,
    /// Its root.
    Rmse,
    /// Mean absolute error.
    Mae,
    /// Mean absolute relative error, as a fraction.
    Mape,
    /// Share of variance explained.
    R2,
    /// Mean error.
    Bias,
}

/// Which values of a metric are better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Such as AUC.
    HigherIsBetter,
    /// Such as log loss.
    LowerIsBetter,
    /// Such as bias: its size counts, not its sign.
    NearerZeroIsBetter,
}

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of two classes.
    Classification,
    /// A number.
    Regression,
}

impl Metric {
    /// All metrics, in the order of this list's documentation.
    pub const ALL: [Self; 20] = [
        Self::Auc,
        Self::AveragePrecision,
        Self::LogLoss,
        Self::Brier,
        Self::CalibrationError,
        Self::CalibrationBias,
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::Precision,
        Self::Recall,
        Self::Specificity,
        Self::F1,
        Self::MacroF1,
        Self::Mcc,
        Self::Mse,
        Self::Rmse,
        Self::Mae,
        Self::Mape,
        Self::R2,
        Self::Bias,
    ];

    /// The name in files, tables and ledger rows.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Auc => "auc",
            Self::AveragePrecision => "average_precision",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
            Self::CalibrationError => "calibration_error",
            Self::CalibrationBias => "calibration_bias",
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::Precision => "precision",
            Self::Recall => "recall",
            Self::Specificity => "specificity",
            Self::F1 => "f1",
            Self::MacroF1 => "macro_f1",
            Self::Mcc => "mcc",
            Self::Mse => "mse",
            Self::Rmse => "rmse",
            Self::Mae => "mae",
            Self::Mape => "mape",
            Self::R2 => "r2",
            Self::Bias => "bias",
        }
    }

    /// Which values are better.
    #[must_use]
    pub fn direction(self) -> Direction {
        match self {
            Self::Auc
            | Self::AveragePrecision
            | Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Precision
            | Self::Recall
            | Self::Specificity
            | Self::F1
            | Self::MacroF1
            | Self::Mcc
            | Self::R2 => Direction::HigherIsBetter,
            Self::LogLoss
            | Self::Brier
            | Self::CalibrationError
            | Self::Mse
            | Self::Rmse
            | Self::Mae
            | Self::Mape => Direction::LowerIsBetter,
            Self::CalibrationBias | Self::Bias => Direction::NearerZeroIsBetter,
        }
    }

    /// The task it judges.
    #[must_use]
    pub fn task(self) -> Task {
        match self {
            Self::Mse | Self::Rmse | Self::Mae | Self::Mape | Self::R2 | Self::Bias => Task::Regression,
            Self::Auc
            | Self::AveragePrecision
            | Self::LogLoss
            | Self::Brier
            | Self::CalibrationError
            | Self::CalibrationBias
            | Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Precision
            | Self::Recall
            | Self::Specificity
            | Self::F1
            | Self::MacroF1
            | Self::Mcc => Task::Classification,
        }
    }

    /// The figure of `score` against `truth`, one value per row, decisions at [`DEFAULT_THRESHOLD`].
    ///
    /// For classification `truth` holds 0 and 1 and `score` the probability of 1 (any rising score for `auc` and
    /// `average_precision`); for regression both are numbers. `O(n)`, rank metrics `O(n log n)`.
    ///
    /// # Errors
    /// Unequal lengths, no rows, NaN or infinities, a truth other than 0 and 1, a probability outside `[0, 1]`, or a
    /// figure that is undefined on these rows (one class only, nothing selected, constant truth).
    ///
    /// ```
    /// use everloop_stats::Metric;
    /// let metric: Metric = "accuracy".parse()?;
    /// assert_eq!(metric.compute(&[1.0, 0.0, 1.0, 0.0], &[0.9, 0.2, 0.4, 0.1])?, 0.75);
    /// # Ok::<(), everloop_stats::Error>(())
    /// ```
    pub fn compute(self, truth: &[f64], score: &[f64]) -> Result<f64> {
        self.compute_at(truth, score, DEFAULT_THRESHOLD)
    }

    /// As [`Metric::compute`], with decisions at `threshold`: positive where `score >= threshold`.
    ///
    /// # Errors
    /// As [`Metric::compute`].
    pub fn compute_at(self, truth: &[f64], score: &[f64], threshold: f64) -> Result<f64> {
        match self.task() {
            Task::Regression => self.regression(truth, score),
            Task::Classification => {
                check::same_rows("truth", truth, "score", score)?;
                self.classification(&as_classes(truth)?, score, threshold)
            }
        }
    }

    /// How much better `challenger` is than `champion`, above 0 for better, whatever the direction.
    #[must_use]
    pub fn improvement(self, champion: f64, challenger: f64) -> f64 {
        match self.direction() {
            Direction::HigherIsBetter => challenger - champion,
            Direction::LowerIsBetter => champion - challenger,
            Direction::NearerZeroIsBetter => champion.abs() - challenger.abs(),
        }
    }

    fn regression(self, truth: &[f64], predicted: &[f64]) -> Result<f64> {
        match self {
            Self::Mse => regression::mse(truth, predicted),
            Self::Rmse => regression::rmse(truth, predicted),
            Self::Mae => regression::mae(truth, predicted),
            Self::Mape => regression::mape(truth, predicted),
            Self::R2 => regression::r2(truth, predicted),
            Self::Bias => regression::bias(truth, predicted),
            other => Err(Error::NotApplicable {
                what: other.name(),
                to: "regression",
            }),
        }
    }

    fn classification(self, truth: &[bool], score: &[f64], threshold: f64) -> Result<f64> {
        let decided = || Confusion::at(truth, score, threshold);
        let calibrated = || calibration::calibration(truth, score, Binning::Uniform(DEFAULT_BINS));
        match self {
            Self::Auc => binary::auc(truth, score),
            Self::AveragePrecision => binary::average_precision(truth, score),
            Self::LogLoss => binary::log_loss(truth, score),
            Self::Brier => binary::brier(truth, score),
            Self::CalibrationError => Ok(calibrated()?.expected_error),
            Self::CalibrationBias => Ok(calibrated()?.bias),
            decision => decision.of_confusion(decided()?),
        }
    }

    /// The figure of counted decisions, for the metrics that need no more than these.
    ///
    /// # Errors
    /// Another metric, or a figure undefined on these counts.
    pub fn of_confusion(self, counts: Confusion) -> Result<f64> {
        match self {
            Self::Accuracy => counts.accuracy(),
            Self::BalancedAccuracy => counts.balanced_accuracy(),
            Self::Precision => counts.precision(),
            Self::Recall => counts.recall(),
            Self::Specificity => counts.specificity(),
            Self::F1 => counts.f1(),
            Self::MacroF1 => counts.macro_f1(),
            Self::Mcc => counts.matthews(),
            other => Err(Error::NotApplicable {
                what: other.name(),
                to: "counted decisions",
            }),
        }
    }
}

/// Reads a column of 0 and 1 as classes.
///
/// # Errors
/// NaN, or a value other than 0 and 1.
pub fn as_classes(truth: &[f64]) -> Result<Vec<bool>> {
    check::finite("truth", truth)?;
    let class = |(index, value): (usize, &f64)| match *value {
        0.0 => Ok(false),
        1.0 => Ok(true),
        value => Err(Error::OutOfRange {
            what: "truth",
            value,
            allowed: "{0, 1}",
            index: Some(index),
        }),
    };
    truth.iter().enumerate().map(class).collect()
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl From<Metric> for &'static str {
    fn from(metric: Metric) -> Self {
        metric.name()
    }
}

impl FromStr for Metric {
    type Err = Error;

    /// Reads a name; also scikit-learn's and MLflow's names for the same figure (`roc_auc`, `pr_auc`, `brier_score`,
    /// `f1_score`, `r2_score`, `root_mean_squared_error`, ...).
    fn from_str(text: &str) -> Result<Self> {
        let name = text.trim().strip_suffix("_score").unwrap_or(text.trim());
        if let Some(metric) = Self::ALL.into_iter().find(|metric| metric.name() == name) {
            return Ok(metric);
        }
        Ok(match name {
            "roc_auc" => Self::Auc,
            "pr_auc" | "precision_recall_auc" => Self::AveragePrecision,
            "logloss" => Self::LogLoss,
            "brier_score_loss" | "brier_loss" => Self::Brier,
            "ece" | "expected_calibration_error" => Self::CalibrationError,
            "sensitivity" | "tpr" | "true_positive_rate" => Self::Recall,
            "tnr" | "true_negative_rate" => Self::Specificity,
            "f1_macro" => Self::MacroF1,
            "matthews_corrcoef" => Self::Mcc,
            "mean_squared_error" => Self::Mse,
            "root_mean_squared_error" => Self::Rmse,
            "mean_absolute_error" => Self::Mae,
            "mean_absolute_percentage_error" => Self::Mape,
            "mean_error" => Self::Bias,
            _ => return Err(unknown(text)),
        })
    }
}

impl TryFrom<String> for Metric {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

fn unknown(text: &str) -> Error {
    let hint = everloop_core::did_you_mean(text, Metric::ALL.map(Metric::name)).unwrap_or_default();
    Error::UnknownName {
        kind: "metric",
        found: text.chars().take(80).collect(),
        hint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_parse_back_and_aliases_too() {
        for metric in Metric::ALL {
            assert_eq!(metric.name().parse::<Metric>().unwrap(), metric);
        }
        assert_eq!("roc_auc_score".parse::<Metric>().unwrap(), Metric::Auc);
        assert_eq!("r2_score".parse::<Metric>().unwrap(), Metric::R2);
        let error = "acuracy".parse::<Metric>().unwrap_err();
        assert!(matches!(error, Error::UnknownName { hint, .. } if hint.contains("\"accuracy\"")));
    }

    #[test]
    fn a_truth_must_be_zero_or_one() {
        let error = Metric::Auc.compute(&[0.0, 2.0], &[0.1, 0.2]).unwrap_err();
        assert_eq!(
            error,
            Error::OutOfRange {
                what: "truth",
                value: 2.0,
                allowed: "{0, 1}",
                index: Some(1)
            }
        );
        assert!(Metric::Rmse.compute(&[0.0, 2.0], &[0.1, 0.2]).is_ok());
    }

    #[test]
    fn improvement_is_positive_for_better() {
        assert!(Metric::Auc.improvement(0.6, 0.7) > 0.0);
        assert!(Metric::LogLoss.improvement(0.6, 0.5) > 0.0);
        assert!(Metric::Bias.improvement(-0.6, 0.5) > 0.0);
    }
}
