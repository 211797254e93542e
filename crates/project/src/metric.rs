//! Metrics by name: those Everloop computes itself, and those a training step logged.

use crate::hints::near;
use crate::scalars::{Choice, decode_choice};
use crate::text::{Text, Wrong, text_type};
use schemars::JsonSchema;
use serde::Serialize;
use std::fmt;

/// What a model predicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Task {
    /// One of two or more classes.
    Classification,
    /// A number.
    Regression,
}

impl Choice for Task {
    const WHAT: &'static str = "task";
    const ALL: &'static [Self] = &[Self::Classification, Self::Regression];
}

/// A metric that Everloop computes from predictions and labels; the same names as in `everloop-stats`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Area under the ROC curve.
    Auc,
    /// Average precision: the area under the precision-recall curve.
    AveragePrecision,
    /// Mean negative log likelihood.
    LogLoss,
    /// Mean squared distance of probability and outcome.
    Brier,
    /// Expected calibration error in ten bins of equal width.
    CalibrationError,
    /// Mean probability less the base rate.
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
    /// Root mean squared error.
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

impl Choice for Metric {
    const WHAT: &'static str = "metric";
    const ALL: &'static [Self] = &[
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
}

decode_choice!(Task, Metric);

/// Which way a metric gets better.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Better {
    /// Higher is better.
    Higher,
    /// Lower is better.
    Lower,
    /// Nearer zero is better: its size counts, not its sign.
    NearerZero,
}

impl Metric {
    /// Every metric, in the order of the documentation.
    pub const ALL: &'static [Self] = <Self as Choice>::ALL;

    /// The name as it stands in files: `average_precision`.
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

    /// The metric called `name`.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|metric| metric.name() == name)
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

    /// Which way it gets better.
    #[must_use]
    pub fn better(self) -> Better {
        match self {
            Self::LogLoss
            | Self::Brier
            | Self::CalibrationError
            | Self::Mse
            | Self::Rmse
            | Self::Mae
            | Self::Mape => Better::Lower,
            Self::CalibrationBias | Self::Bias => Better::NearerZero,
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
            | Self::R2 => Better::Higher,
        }
    }

    /// The values it can take.
    #[must_use]
    pub fn range(self) -> (f64, f64) {
        match self {
            Self::Mcc | Self::CalibrationBias => (-1.0, 1.0),
            Self::R2 => (f64::NEG_INFINITY, 1.0),
            Self::Bias => (f64::NEG_INFINITY, f64::INFINITY),
            Self::LogLoss | Self::Mse | Self::Rmse | Self::Mae | Self::Mape => (0.0, f64::INFINITY),
            Self::Auc
            | Self::AveragePrecision
            | Self::Brier
            | Self::CalibrationError
            | Self::Accuracy
            | Self::BalancedAccuracy
            | Self::Precision
            | Self::Recall
            | Self::Specificity
            | Self::F1
            | Self::MacroF1 => (0.0, 1.0),
        }
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The name of a metric: one that Everloop computes, or any that a run logged (`val/acc`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MetricName(String);

impl MetricName {
    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The metric of ours with this name.
    #[must_use]
    pub fn known(&self) -> Option<Metric> {
        Metric::by_name(&self.0)
    }
}

impl From<Metric> for MetricName {
    fn from(metric: Metric) -> Self {
        Self(metric.name().to_owned())
    }
}

impl fmt::Display for MetricName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for MetricName {
    const WHAT: &'static str = "metric name";
    const EXPECTED: &'static str =
        "a metric such as auc, log_loss or rmse, or a name that the training step logs";
    const PATTERN: &'static str = r"^\s*[A-Za-z_][A-Za-z0-9_./@-]*\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let starts = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
        let plain = text
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '/' | '@' | '-'));
        if starts && plain {
            return Ok(Self(text.to_owned()));
        }
        let near = near(text, Metric::ALL.iter().map(|metric| metric.name()));
        Err(Wrong {
            reason: Some("a metric name starts with a letter and has no spaces".to_owned()),
            hint: near.map(|name| format!("did you mean \"{name}\"?")),
        })
    }
}

text_type!(MetricName);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_what_serde_writes() {
        for metric in Metric::ALL {
            assert_eq!(metric.name(), Choice::name(*metric));
            assert_eq!(Metric::by_name(metric.name()), Some(*metric));
        }
    }

    #[test]
    fn logged_names_are_free_and_ours_are_known() {
        assert_eq!("val/acc@10".parse::<MetricName>().unwrap().known(), None);
        assert_eq!("auc".parse::<MetricName>().unwrap().known(), Some(Metric::Auc));
        assert!("5 auc".parse::<MetricName>().is_err());
        assert!("a b".parse::<MetricName>().is_err());
    }
}
