//! The built-in learner.

mod options;

pub use options::{ClassWeights, EarlyStopping, TaskKind, TrainOptions};

use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::model::{Importance, Model};
use everloop_core::Frame;

/// How far training is; told after each iteration.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Progress {
    /// Iterations done, from 1.
    pub iteration: u32,
    /// Iterations asked for.
    pub iterations: u32,
    /// Loss on the training rows: log loss, or mean squared error.
    pub train_loss: f64,
    /// Loss on the rows held out, if any.
    pub validation_loss: Option<f64>,
}

/// A trained model with the story of its training.
#[derive(Debug, Clone)]
pub struct Trained {
    /// The model, loaded from the very bytes that [`to_files`](Self::to_files) gives.
    pub model: Model,
    /// What was reported after each iteration.
    pub history: Vec<Progress>,
    /// Facts about the training, for run records.
    pub summary: Summary,
}

/// Facts about a training.
#[derive(Debug, Clone, PartialEq)]
pub struct Summary {
    /// Rows learned from.
    pub train_rows: usize,
    /// Rows held out.
    pub validation_rows: usize,
    /// Rows left out because their target is missing.
    pub skipped_rows: usize,
    /// Iterations kept.
    pub best_iteration: u32,
    /// Name of the loss: `log_loss` or `mean_squared_error`.
    pub loss: &'static str,
    /// The loss on the training rows at the best iteration.
    pub train_loss: f64,
    /// The loss on the rows held out at the best iteration.
    pub validation_loss: Option<f64>,
    /// Trees and leaves of the model.
    pub trees: usize,
    /// All leaves of all trees.
    pub leaves: usize,
}

/// Trains the built-in gradient-boosted trees.
///
/// # Errors
/// When an option makes no sense, a column is missing, or the rows cannot be learned from.
pub fn train(
    _rows: &Frame,
    _validation: Option<&Frame>,
    options: &TrainOptions,
    _on_progress: &mut dyn FnMut(Progress),
) -> Result<Trained> {
    options.validate()?;
    Err(Error::untrainable("the learner is being built"))
}

impl Trained {
    /// How much the model leans on each column, most important first.
    #[must_use]
    pub fn importance(&self) -> &[Importance] {
        self.model.importance()
    }

    /// The model as an MLflow model directory. `example` rows (a handful) are stored as its input example.
    ///
    /// # Errors
    /// When the example lacks a column of the model.
    pub fn to_files(&self, _example: Option<&Frame>) -> Result<ModelFiles> {
        Ok(ModelFiles::new())
    }
}
