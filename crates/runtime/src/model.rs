//! A loaded model: what the rest of the house holds, asks and passes around.

use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::limits::Limits;
use crate::prediction::Prediction;
use crate::signature::Signature;
use crate::task::Task;
use everloop_core::Frame;
use std::sync::Arc;

/// A loaded model. Cloning is cheap; predictions take `&self` and may run on any number of threads.
#[derive(Debug, Clone)]
pub struct Model(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    signature: Signature,
    task: Arc<Task>,
    importance: Vec<Importance>,
}

/// How much a model leans on one input column.
#[derive(Debug, Clone, PartialEq)]
pub struct Importance {
    /// The column.
    pub feature: String,
    /// Sum of the loss reductions of its splits, where the format keeps them.
    pub gain: Option<f64>,
    /// Number of its splits.
    pub splits: u64,
}

impl Model {
    /// Loads an MLflow model directory, or a lone ONNX, XGBoost or LightGBM file.
    ///
    /// # Errors
    /// When the format is unknown or only runs its own code, a file is malformed, holds something unsupported, or
    /// exceeds `limits`.
    pub fn load(_files: &ModelFiles, _limits: &Limits) -> Result<Self> {
        Err(Error::UnknownFormat { found: String::new() })
    }

    /// The columns it takes and gives.
    #[must_use]
    pub fn signature(&self) -> &Signature {
        &self.0.signature
    }

    /// What it answers.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.0.task
    }

    /// How much it leans on each input column, most important first; empty when its format does not tell.
    #[must_use]
    pub fn importance(&self) -> &[Importance] {
        &self.0.importance
    }

    /// Predicts every row of `rows`. Columns are found by name and may stand in any order; others are ignored.
    ///
    /// # Errors
    /// When a column is missing or holds the wrong kind of values.
    pub fn predict(&self, _rows: &Frame) -> Result<Prediction> {
        Err(Error::UnknownFormat { found: String::new() })
    }

    /// A reusable row for predictions one by one.
    #[must_use]
    pub fn row(&self) -> Row {
        Row {
            model: self.clone(),
            scores: Vec::new(),
        }
    }
}

/// One row of inputs, to be filled and predicted again and again without allocating: the serving path.
#[derive(Debug, Clone)]
pub struct Row {
    model: Model,
    scores: Vec<f64>,
}

/// What a model answers for one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'r> {
    /// The class predicted, as an index into the task's classes; `None` for regression.
    pub class: Option<usize>,
    /// The probabilities of all classes, or the values.
    pub scores: &'r [f64],
}

impl Row {
    /// The model that this row belongs to.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Makes every input missing.
    pub fn clear(&mut self) {}

    /// Sets the input at `index` of the signature to a number (0 or 1 for truth values); NaN is missing.
    ///
    /// # Errors
    /// When that input holds texts, or there is none.
    pub fn set_number(&mut self, _index: usize, _value: f64) -> Result<()> {
        Ok(())
    }

    /// Sets the input at `index` of the signature to a text. A text unknown to the model counts as missing.
    ///
    /// # Errors
    /// When that input holds numbers, or there is none.
    pub fn set_text(&mut self, _index: usize, _value: &str) -> Result<()> {
        Ok(())
    }

    /// Makes the input at `index` missing.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn set_missing(&mut self, _index: usize) -> Result<()> {
        Ok(())
    }

    /// Predicts the row as it stands.
    ///
    /// # Errors
    /// When a graph cannot be evaluated on it.
    pub fn predict(&mut self) -> Result<Answer<'_>> {
        Ok(Answer {
            class: None,
            scores: &self.scores,
        })
    }
}
