//! `train`: the built-in learner, to a folder that MLflow loads.

use std::collections::BTreeMap;

use everloop_core::Frame;
use everloop_project::{ClassWeights, Task, Train};
use everloop_runtime::{
    self as runtime, EarlyStopping, Importance, Progress, TaskKind, TrainOptions, Trained,
};
use tokio::sync::mpsc;

use super::{Told, Work, say, write_metrics};
use crate::logs::LogFile;
use crate::metrics::Point;
use crate::{Failure, files};

/// Rows stored with the model as an example of its input.
const EXAMPLE_ROWS: usize = 5;

/// Columns whose importance is logged.
const MOST_FEATURES: usize = 10_000;

pub(super) async fn run(work: &Work<'_>, train: &Train, log: &mut LogFile) -> Result<Told, Failure> {
    check_excluded(train, &work.columns(&train.data).await?)?;
    let rows = work.frame(&train.data, |column| is_read(train, column)).await?;
    say(
        log,
        &format!("{} rows, {} columns", rows.rows(), rows.columns().len()),
    )?;
    let options = options(train);
    let out = work.out(0).expect("a stage of kind train has one out");
    let (sender, mut progress) = mpsc::unbounded_channel();
    // Hours of work on all processors: not on the async threads.
    let learning = files::blocking(move || {
        let trained = runtime::train(&rows, None, &options, &mut |now| {
            // Nobody listens any more when the stage was cancelled.
            let _ = sender.send(now);
        })?;
        // Whoever waited was cancelled, or thought dead: the workspace is no longer ours to write to.
        if sender.is_closed() {
            return Err(Failure::Cancelled);
        }
        let example = first_rows(&rows);
        trained.to_files(Some(&example))?.to_dir(&out)?;
        Ok(trained)
    });
    tokio::pin!(learning);
    let trained = loop {
        tokio::select! {
            trained = &mut learning => break trained?,
            Some(now) = progress.recv() => say(log, &shown(&now))?,
        }
    };
    while let Ok(now) = progress.try_recv() {
        say(log, &shown(&now))?;
    }
    let summary = summary(&trained);
    if let Some(path) = work.out(1) {
        write_metrics(&path, &summary)?;
    }
    Ok(told(&trained, summary))
}

/// Excluded columns are not even read; a slip in a name must be told all the same.
fn check_excluded(train: &Train, columns: &[String]) -> Result<(), Failure> {
    let is_absent = |name: &&everloop_core::ColumnName| !columns.iter().any(|column| column == name.as_str());
    match train.exclude.iter().find(is_absent) {
        Some(absent) => Err(Failure::Rows(format!(
            "there is no column \"{absent}\" to exclude in \"{}\"",
            train.data
        ))),
        None => Ok(()),
    }
}

/// Whether a column of the data is needed.
fn is_read(train: &Train, column: &str) -> bool {
    let named = |name: &everloop_core::ColumnName| name.as_str() == column;
    let special = named(&train.target) || train.time.iter().any(named) || train.weight.iter().any(named);
    if train.features.is_empty() {
        special || !train.exclude.iter().any(named)
    } else {
        special || train.features.iter().any(named)
    }
}

fn options(train: &Train) -> TrainOptions {
    let names = |columns: &[everloop_core::ColumnName]| columns.iter().map(ToString::to_string).collect();
    TrainOptions {
        target: train.target.to_string(),
        task: Some(match train.task {
            Task::Classification => TaskKind::Classification,
            Task::Regression => TaskKind::Regression,
        }),
        features: names(&train.features),
        weight: train.weight.as_ref().map(ToString::to_string),
        time: train.time.as_ref().map(ToString::to_string),
        iterations: train.iterations,
        learning_rate: train.learning_rate,
        max_leaves: train.max_leaves,
        max_depth: train.max_depth,
        min_child_rows: train.min_child_rows,
        l2: train.l2,
        max_bins: train.max_bins,
        class_weights: match &train.class_weights {
            ClassWeights::Equal => runtime::ClassWeights::Equal,
            ClassWeights::Balanced => runtime::ClassWeights::Balanced,
            ClassWeights::Named(weights) => runtime::ClassWeights::Named(weights.clone()),
        },
        early_stopping: (train.valid_share.get() > 0.0).then(|| EarlyStopping {
            rounds: train.early_stopping,
            share: train.valid_share.get(),
            ..EarlyStopping::default()
        }),
        row_sample: train.row_sample.get(),
        column_sample: train.column_sample.get(),
        seed: train.seed,
        ..TrainOptions::default()
    }
}

fn first_rows(rows: &Frame) -> Frame {
    let first: Vec<usize> = (0..rows.rows().min(EXAMPLE_ROWS)).collect();
    rows.take(&first)
}

fn shown(now: &Progress) -> String {
    let validation = now
        .validation_loss
        .map_or_else(String::new, |loss| format!(", validation {loss:.6}"));
    format!(
        "iteration {}/{}: train {:.6}{validation}",
        now.iteration, now.iterations, now.train_loss
    )
}

fn summary(trained: &Trained) -> BTreeMap<String, f64> {
    let summary = &trained.summary;
    let mut figures = BTreeMap::from([
        ("train_rows".to_owned(), summary.train_rows as f64),
        ("validation_rows".to_owned(), summary.validation_rows as f64),
        ("skipped_rows".to_owned(), summary.skipped_rows as f64),
        ("best_iteration".to_owned(), f64::from(summary.best_iteration)),
        ("trees".to_owned(), summary.trees as f64),
        ("leaves".to_owned(), summary.leaves as f64),
        (format!("train_{}", summary.loss), summary.train_loss),
    ]);
    if let Some(loss) = summary.validation_loss {
        figures.insert(format!("validation_{}", summary.loss), loss);
    }
    figures.retain(|_, value| value.is_finite());
    figures
}

fn told(trained: &Trained, summary: BTreeMap<String, f64>) -> Told {
    let last = trained.history.len() as i64;
    let mut metrics: Vec<Point> = Vec::new();
    for now in &trained.history {
        let step = i64::from(now.iteration);
        metrics.push(Point::new("history.train_loss", now.train_loss, step));
        metrics.extend(
            now.validation_loss
                .map(|loss| Point::new("history.validation_loss", loss, step)),
        );
    }
    metrics.extend(
        summary
            .into_iter()
            .map(|(key, value)| Point::new(key, value, last)),
    );
    let importance: Vec<serde_json::Value> = trained
        .importance()
        .iter()
        .take(MOST_FEATURES)
        .map(|feature: &Importance| {
            serde_json::json!({"feature": feature.feature, "gain": feature.gain, "splits": feature.splits})
        })
        .collect();
    let document = serde_json::to_vec_pretty(&importance).expect("importance is plain data");
    Told {
        metrics,
        documents: vec![("feature_importance.json".to_owned(), document)],
    }
}
