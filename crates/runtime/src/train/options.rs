//! What a user may ask of the built-in learner.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How to train. Only `target` must be given; the defaults suit tables of thousands to millions of rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainOptions {
    /// The column to predict. Rows where it is missing are left out.
    pub target: String,
    /// What to predict; by default classes for texts, truth values and two distinct numbers, else a number.
    pub task: Option<TaskKind>,
    /// The columns to learn from; when empty, all but those named elsewhere here.
    pub features: Vec<String>,
    /// Columns not to learn from.
    pub exclude: Vec<String>,
    /// A column of row weights, not negative.
    pub weight: Option<String>,
    /// A column of times: the rows held out for early stopping are then the newest instead of random ones.
    pub time: Option<String>,
    /// Boosting rounds; each grows one tree (one per class for three classes and more).
    pub iterations: u32,
    /// How much of each tree counts, in (0, 1].
    pub learning_rate: f64,
    /// Most leaves of one tree.
    pub max_leaves: u32,
    /// Most splits from root to leaf; 0 for no bound but `max_leaves`.
    pub max_depth: u32,
    /// Fewest training rows of one leaf.
    pub min_child_rows: u32,
    /// Smallest sum of second derivatives of one leaf.
    pub min_child_weight: f64,
    /// L2 penalty on leaf values.
    pub l2: f64,
    /// Most bins of a numeric column, and most categories kept of a text column; 2 to 255.
    pub max_bins: u32,
    /// A text seen in fewer training rows than this is treated as missing.
    pub min_category_rows: u32,
    /// L2 penalty added for splits on sets of categories.
    pub category_l2: f64,
    /// Weights of the classes.
    pub class_weights: ClassWeights,
    /// When to stop before `iterations`; never when `None`.
    pub early_stopping: Option<EarlyStopping>,
    /// Share of rows drawn anew for each tree, in (0, 1].
    pub row_sample: f64,
    /// Share of columns drawn anew for each tree, in (0, 1].
    pub column_sample: f64,
    /// Seed of every draw. The same rows, options and seed give the same bytes on any number of threads.
    pub seed: u64,
    /// Threads to use; all of the process's pool when 0.
    pub threads: usize,
}

/// What to predict.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TaskKind {
    /// One of two or more classes.
    Classification,
    /// A number.
    Regression,
}

/// How much the rows of each class count.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// Every row counts the same.
    #[default]
    Equal,
    /// Every class counts the same: `rows / (classes * rows of the class)`.
    Balanced,
    /// By class name; a class not named counts 1.
    Named(BTreeMap<String, f64>),
}

/// Stops when the loss on rows held out has not improved for a while, and keeps the best iteration.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EarlyStopping {
    /// Iterations without improvement after which to stop.
    pub rounds: u32,
    /// Share of the training rows to hold out, in (0, 1), when no validation rows are given.
    pub share: f64,
    /// Smallest decrease of the loss that counts as improvement.
    pub min_delta: f64,
}

impl Default for TrainOptions {
    fn default() -> Self {
        Self {
            target: String::new(),
            task: None,
            features: Vec::new(),
            exclude: Vec::new(),
            weight: None,
            time: None,
            iterations: 100,
            learning_rate: 0.1,
            max_leaves: 31,
            max_depth: 0,
            min_child_rows: 20,
            min_child_weight: 1e-3,
            l2: 1.0,
            max_bins: 255,
            min_category_rows: 20,
            category_l2: 10.0,
            class_weights: ClassWeights::Equal,
            early_stopping: None,
            row_sample: 1.0,
            column_sample: 1.0,
            seed: 0,
            threads: 0,
        }
    }
}

impl Default for EarlyStopping {
    fn default() -> Self {
        Self {
            rounds: 10,
            share: 0.1,
            min_delta: 0.0,
        }
    }
}

impl TrainOptions {
    /// The defaults, to predict `target`.
    #[must_use]
    pub fn new(target: &str) -> Self {
        Self {
            target: target.to_owned(),
            ..Self::default()
        }
    }

    /// Refuses values that make no sense, with the option's name.
    ///
    /// # Errors
    /// [`Error::Option`].
    pub fn validate(&self) -> Result<()> {
        let share = |option, value: f64| {
            range(
                option,
                value > 0.0 && value <= 1.0,
                "must be above 0 and at most 1",
            )
        };
        let penalty =
            |option, value: f64| range(option, value >= 0.0 && value.is_finite(), "must not be negative");
        range("target", !self.target.is_empty(), "is not given")?;
        range(
            "iterations",
            (1..=100_000).contains(&self.iterations),
            "must be 1 to 100000",
        )?;
        range(
            "max_leaves",
            (2..=65_536).contains(&self.max_leaves),
            "must be 2 to 65536",
        )?;
        range("max_bins", (2..=255).contains(&self.max_bins), "must be 2 to 255")?;
        share("learning_rate", self.learning_rate)?;
        share("row_sample", self.row_sample)?;
        share("column_sample", self.column_sample)?;
        penalty("min_child_weight", self.min_child_weight)?;
        penalty("l2", self.l2)?;
        penalty("category_l2", self.category_l2)?;
        if let ClassWeights::Named(weights) = &self.class_weights {
            let sane = weights
                .values()
                .all(|weight| *weight >= 0.0 && weight.is_finite());
            range("class_weights", sane, "must not be negative")?;
        }
        if let Some(stop) = &self.early_stopping {
            range("early_stopping.rounds", stop.rounds > 0, "must be at least 1")?;
            let inside = stop.share > 0.0 && stop.share < 1.0;
            range("early_stopping.share", inside, "must be above 0 and below 1")?;
            penalty("early_stopping.min_delta", stop.min_delta)?;
        }
        Ok(())
    }
}

fn range(option: &'static str, holds: bool, reason: &str) -> Result<()> {
    if holds {
        return Ok(());
    }
    Err(Error::option(option, reason))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn senseless_options_are_refused_by_name() {
        let check = |change: fn(&mut TrainOptions), expected: &str| {
            let mut options = TrainOptions::new("y");
            change(&mut options);
            let error = options.validate().unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        assert!(TrainOptions::new("y").validate().is_ok());
        check(|options| options.target.clear(), "target");
        check(|options| options.learning_rate = f64::NAN, "learning_rate");
        check(|options| options.learning_rate = 0.0, "learning_rate");
        check(|options| options.l2 = f64::INFINITY, "l2");
        check(|options| options.max_bins = 256, "max_bins");
        check(|options| options.row_sample = 1.5, "row_sample");
    }

    #[test]
    fn unknown_options_are_refused() {
        let parsed: Result<TrainOptions, _> = serde_json::from_str(r#"{"target": "y", "learning_rat": 0.1}"#);
        assert!(parsed.unwrap_err().to_string().contains("learning_rat"));
        let parsed: TrainOptions =
            serde_json::from_str(r#"{"target": "y", "class_weights": "balanced"}"#).unwrap();
        assert_eq!(parsed.class_weights, ClassWeights::Balanced);
    }
}
