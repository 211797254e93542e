//! The built-in learner: gradient-boosted trees on histograms.
//!
//! It is our own, after LightGBM (Ke et al. 2017): at most 255 bins a column, histograms by subtraction, the leaf of
//! greatest gain first, sets of categories found by sorting derivatives, missing values sent to the side that learns
//! more. We looked at wrapping a maintained crate first. `perpetual` 3.0.0-rc.2, the one that builds on stable Rust,
//! decides by itself when to stop, from the memory that happens to be free and from folds that are not ours to choose:
//! it takes no validation rows, no learning rate and no number of leaves, so that a run could neither be steered nor
//! repeated on another machine. Training is at the heart of the loop, so the loop owns it.
//!
//! Same rows, options and seed give the same bytes on any number of threads: each histogram is summed by one thread in
//! the order of the rows.
//!
//! A text that was rare in training or never seen counts as missing. Numbers are compared as 32-bit floats, as the
//! saved model does; whole numbers above 2^24 may fall together.

mod bins;
mod boost;
mod grow;
mod histogram;
mod objective;
mod options;
mod save;
mod split;
mod table;

pub use options::{ClassWeights, EarlyStopping, TaskKind, TrainOptions};

use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::limits::Limits;
use crate::model::{Importance, Model};
use crate::task::Task;
use bins::{Column, ColumnKind};
use boost::{Boosted, Table, boost};
use everloop_core::Frame;
use objective::{Labels, Objective};
use rayon::prelude::*;
use table::{Plan, find, hold_out};

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
    onnx: Vec<u8>,
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
    /// Trees of the model.
    pub trees: usize,
    /// Leaves of all trees.
    pub leaves: usize,
}

/// Trains gradient-boosted trees on `rows`.
///
/// `validation` rows are judged after each iteration and, with `early_stopping`, decide how many iterations are kept;
/// without them `early_stopping` holds a share of `rows` out. Each iteration costs about one pass over the rows per
/// level of the tree.
///
/// # Errors
/// When an option makes no sense, a column is missing or of the wrong kind, or the rows cannot be learned from: no row
/// with a target, one class only, negative weights.
pub fn train(
    rows: &Frame,
    validation: Option<&Frame>,
    options: &TrainOptions,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Trained> {
    options.validate()?;
    if options.threads == 0 {
        return train_here(rows, validation, options, on_progress);
    }
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(options.threads)
        .build();
    let pool = pool.map_err(|error| Error::option("threads", error.to_string()))?;
    // Progress is told on the caller's thread; it need not be `Send`.
    let (send, receive) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        let training = scope.spawn(move || {
            // The receiver lives until the training ends.
            let mut tell = |progress| send.send(progress).unwrap_or(());
            pool.install(|| train_here(rows, validation, options, &mut tell))
        });
        receive.iter().for_each(on_progress);
        match training.join() {
            Ok(trained) => trained,
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

fn train_here(
    rows: &Frame,
    validation: Option<&Frame>,
    options: &TrainOptions,
    on_progress: &mut dyn FnMut(Progress),
) -> Result<Trained> {
    let plan = Plan::new(rows, options)?;
    let targets = plan.targets(rows, options)?;
    let weights = plan.weights(rows, &targets, options)?;
    let usable = with_target(&targets)?;
    let (learned, held) = match validation {
        Some(_) => (usable.clone(), Vec::new()),
        None => hold_out(rows, &usable, options)?,
    };
    let labels = |chosen: &[usize]| Labels {
        target: chosen.iter().filter_map(|row| targets[*row]).collect(),
        weight: chosen.iter().map(|row| weights[*row]).collect(),
    };
    let table = learn_table(rows, &plan, labels(&learned), &learned, options)?;
    let held = match validation {
        Some(frame) => Some(validation_table(frame, &plan, &table, options)?),
        None if held.is_empty() => None,
        None => Some(apply_table(rows, &table, labels(&held), &held)?),
    };
    let objective = match plan.task.classes().len() {
        0 => Objective::Squared,
        2 => Objective::Logistic,
        classes => Objective::Softmax { classes },
    };
    let boosted = boost(&table, held.as_ref(), objective, options, on_progress);
    let facts = boosted.history[boosted.best_iteration as usize - 1];
    let summary = Summary {
        train_rows: learned.len(),
        validation_rows: held.as_ref().map_or(0, |held| held.labels.target.len()),
        skipped_rows: rows.rows() - usable.len(),
        best_iteration: boosted.best_iteration,
        loss: objective.loss_name(),
        train_loss: facts.train_loss,
        validation_loss: facts.validation_loss,
        trees: boosted.trees.len(),
        leaves: boosted.leaves(),
    };
    finish(plan.task, &table.columns, boosted, summary)
}

/// Writes the model and reads it back: what is tested and what is saved are the same.
fn finish(task: Task, columns: &[Column], boosted: Boosted, summary: Summary) -> Result<Trained> {
    let onnx = save::onnx(task, columns, &boosted);
    let files = ModelFiles::single(save::ONNX_FILE, onnx.clone())?;
    Ok(Trained {
        model: Model::load(&files, &Limits::default())?,
        history: boosted.history,
        summary,
        onnx,
    })
}

fn with_target(targets: &[Option<f64>]) -> Result<Vec<usize>> {
    let usable: Vec<usize> = (0..targets.len()).filter(|row| targets[*row].is_some()).collect();
    if usable.is_empty() {
        return Err(Error::untrainable("no row has a target"));
    }
    if u32::try_from(usable.len()).is_err() {
        return Err(Error::untrainable("more than four thousand million rows"));
    }
    Ok(usable)
}

/// Finds the bins of all columns on the rows learned from.
fn learn_table(
    rows: &Frame,
    plan: &Plan,
    labels: Labels,
    chosen: &[usize],
    options: &TrainOptions,
) -> Result<Table> {
    if labels.weight.iter().all(|weight| *weight == 0.0) {
        return Err(Error::untrainable("all weights are 0"));
    }
    let learn = |(place, name): (usize, &String)| {
        let values = find(rows, name)?;
        let values = if chosen.len() == rows.rows() {
            values
        } else {
            &values.take(chosen)
        };
        let kind = ColumnKind::learn(
            values,
            &labels.target,
            options,
            options.seed.wrapping_add(place as u64),
        );
        Ok(Column {
            name: name.clone(),
            bins: kind.apply(values),
            kind,
        })
    };
    let columns: Result<Vec<Column>> = plan.features.par_iter().enumerate().map(learn).collect();
    Ok(Table {
        columns: columns?,
        labels,
    })
}

/// Other rows in the bins of a table.
fn apply_table(rows: &Frame, table: &Table, labels: Labels, chosen: &[usize]) -> Result<Table> {
    let apply = |column: &Column| {
        let values = find(rows, &column.name)?;
        crate::columns::check_kind(&column.name, values, column.kind.is_categories())?;
        Ok(Column {
            name: column.name.clone(),
            kind: column.kind.clone(),
            bins: column.kind.apply(&values.take(chosen)),
        })
    };
    let columns: Result<Vec<Column>> = table.columns.par_iter().map(apply).collect();
    Ok(Table {
        columns: columns?,
        labels,
    })
}

fn validation_table(rows: &Frame, plan: &Plan, table: &Table, options: &TrainOptions) -> Result<Table> {
    let targets = plan.targets(rows, options)?;
    let weights = plan.weights(rows, &targets, options)?;
    let chosen = with_target(&targets)?;
    let labels = Labels {
        target: chosen.iter().filter_map(|row| targets[*row]).collect(),
        weight: chosen.iter().map(|row| weights[*row]).collect(),
    };
    apply_table(rows, table, labels, &chosen)
}

impl Trained {
    /// How much the model leans on each column, most important first.
    #[must_use]
    pub fn importance(&self) -> &[Importance] {
        self.model.importance()
    }

    /// The model as an MLflow model directory: `model.onnx`, `MLmodel` with its signature, the few lines of Python that
    /// `mlflow.pyfunc` loads it with, and the environments they need. Up to five rows of `example` are stored as its input example.
    ///
    /// # Errors
    /// When the example lacks a column of the model, or one is of the wrong kind.
    pub fn to_files(&self, example: Option<&Frame>) -> Result<ModelFiles> {
        save::directory(&self.model, self.onnx.clone(), example)
    }
}
