//! From a frame to what the learner works on: which columns, which rows, which target.

use super::options::{ClassWeights, TaskKind, TrainOptions};
use crate::columns::{check_kind, missing};
use crate::error::{Error, Result};
use crate::prediction::{PREDICTION, probability_column};
use crate::task::{Label, Task};
use everloop_core::{Frame, Values};
use rand::seq::index::sample;
use rand_pcg::Pcg64Mcg;
use std::collections::HashMap;

/// Most classes; a target with more is a number or an id.
const MAX_CLASSES: usize = 1_000;

/// What is to be learned, read off the options and the rows.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) features: Vec<String>,
    pub(super) task: Task,
}

impl Plan {
    pub(super) fn new(rows: &Frame, options: &TrainOptions) -> Result<Self> {
        let target = find(rows, &options.target)?;
        for name in [&options.weight, &options.time].into_iter().flatten() {
            find(rows, name)?;
        }
        let task = match task_kind(target, options.task) {
            TaskKind::Regression => {
                check_kind(&options.target, target, false)?;
                Task::Regression
            }
            TaskKind::Classification => Task::Classification {
                classes: classes(target)?,
            },
        };
        let features = features(rows, options)?;
        reserve_names(&features, &task)?;
        Ok(Self { features, task })
    }

    /// The target of each row as a number: the place of its class, or its value. `None` where it is missing.
    pub(super) fn targets(&self, rows: &Frame, options: &TrainOptions) -> Result<Vec<Option<f64>>> {
        let target = find(rows, &options.target)?;
        let places: HashMap<&Label, f64> = self
            .task
            .classes()
            .iter()
            .enumerate()
            .map(|(place, label)| (label, place as f64))
            .collect();
        (0..rows.rows())
            .map(|row| match self.task {
                Task::Regression => {
                    let value = target.number(row);
                    if value.is_infinite() {
                        return Err(Error::untrainable(format!("the target of row {row} is infinite")));
                    }
                    Ok((!value.is_nan()).then_some(value))
                }
                Task::Classification { .. } => match label(target, row)? {
                    None => Ok(None),
                    Some(label) => places.get(&label).copied().map(Some).ok_or_else(|| {
                        Error::untrainable(format!(
                            "validation rows hold class \"{label}\", which training rows do not"
                        ))
                    }),
                },
            })
            .collect()
    }

    /// The weight of each row: its own times that of its class.
    pub(super) fn weights(
        &self,
        rows: &Frame,
        targets: &[Option<f64>],
        options: &TrainOptions,
    ) -> Result<Vec<f32>> {
        let classes = self.class_weights(targets, options)?;
        let own = options
            .weight
            .as_deref()
            .map(|name| find(rows, name))
            .transpose()?;
        targets
            .iter()
            .enumerate()
            .map(|(row, target)| {
                let own = own.map_or(1.0, |values| values.number(row));
                if !(0.0..=1e12).contains(&own) {
                    return Err(Error::untrainable(format!("the weight of row {row} is {own}")));
                }
                let class = target
                    .and_then(|target| classes.get(target as usize))
                    .unwrap_or(&1.0);
                Ok((own * class) as f32)
            })
            .collect()
    }

    fn class_weights(&self, targets: &[Option<f64>], options: &TrainOptions) -> Result<Vec<f64>> {
        let classes = self.task.classes();
        match &options.class_weights {
            ClassWeights::Equal => Ok(Vec::new()),
            ClassWeights::Balanced => {
                let mut counts = vec![0.0_f64; classes.len()];
                targets.iter().flatten().for_each(|target| {
                    if let Some(count) = counts.get_mut(*target as usize) {
                        *count += 1.0;
                    }
                });
                let rows: f64 = counts.iter().sum();
                Ok(counts
                    .iter()
                    .map(|count| rows / (counts.len() as f64 * count.max(1.0)))
                    .collect())
            }
            ClassWeights::Named(weights) => {
                let names: Vec<String> = classes.iter().map(Label::to_string).collect();
                if let Some(unknown) = weights.keys().find(|name| !names.contains(name)) {
                    return Err(Error::option(
                        "class_weights",
                        format!("there is no class \"{unknown}\""),
                    ));
                }
                Ok(names
                    .iter()
                    .map(|name| weights.get(name).copied().unwrap_or(1.0))
                    .collect())
            }
        }
    }
}

pub(super) fn find<'f>(rows: &'f Frame, name: &str) -> Result<&'f Values> {
    rows.get(name).ok_or_else(|| missing(rows, name))
}

fn task_kind(target: &Values, asked: Option<TaskKind>) -> TaskKind {
    if let Some(kind) = asked {
        return kind;
    }
    match target {
        Values::Text(_) | Values::Category { .. } | Values::Bool(_) => TaskKind::Classification,
        Values::Float(_) | Values::Int(_) => {
            let mut distinct: Vec<f64> = Vec::new();
            for row in 0..target.len() {
                let value = target.number(row);
                if !value.is_nan() && !distinct.contains(&value) {
                    distinct.push(value);
                }
                if distinct.len() > 2 {
                    return TaskKind::Regression;
                }
            }
            let whole = distinct.iter().all(|value| value.fract() == 0.0);
            if distinct.len() == 2 && whole {
                TaskKind::Classification
            } else {
                TaskKind::Regression
            }
        }
    }
}

fn label(target: &Values, row: usize) -> Result<Option<Label>> {
    if target.is_missing(row) {
        return Ok(None);
    }
    Ok(Some(match target {
        Values::Bool(values) => Label::Bool(values[row].unwrap_or_default()),
        Values::Int(values) => Label::Int(values[row].unwrap_or_default()),
        Values::Float(values) if values[row].fract() == 0.0 && values[row].abs() < 9e15 => {
            Label::Int(values[row] as i64)
        }
        Values::Float(values) => {
            return Err(Error::untrainable(format!(
                "the target of row {row} is {}, which names no class",
                values[row]
            )));
        }
        Values::Text(_) | Values::Category { .. } => {
            Label::Text(target.text(row).unwrap_or_default().to_owned())
        }
    }))
}

fn classes(target: &Values) -> Result<Vec<Label>> {
    let mut classes = std::collections::BTreeSet::new();
    for row in 0..target.len() {
        if let Some(label) = label(target, row)? {
            classes.insert(label);
        }
        if classes.len() > MAX_CLASSES {
            return Err(Error::untrainable(format!(
                "the target has more than {MAX_CLASSES} classes"
            )));
        }
    }
    if classes.len() < 2 {
        return Err(Error::untrainable(format!(
            "the target has {} classes, two are needed",
            classes.len()
        )));
    }
    Ok(classes.into_iter().collect())
}

fn features(rows: &Frame, options: &TrainOptions) -> Result<Vec<String>> {
    for name in &options.exclude {
        find(rows, name)?;
    }
    let reserved = |name: &str| {
        name == options.target
            || options.weight.as_deref() == Some(name)
            || options.exclude.iter().any(|other| other == name)
    };
    let features: Vec<String> = if options.features.is_empty() {
        let all = rows.columns().iter().map(|column| column.name.clone());
        all.filter(|name| !reserved(name) && options.time.as_deref() != Some(name))
            .collect()
    } else {
        options.features.clone()
    };
    if features.is_empty() {
        return Err(Error::option("features", "there is no column to learn from"));
    }
    for (place, name) in features.iter().enumerate() {
        find(rows, name)?;
        if reserved(name) {
            return Err(Error::option(
                "features",
                format!("\"{name}\" is named elsewhere in the options"),
            ));
        }
        if name.is_empty() || features[..place].contains(name) {
            return Err(Error::option(
                "features",
                format!("\"{name}\" is empty or there twice"),
            ));
        }
    }
    Ok(features)
}

/// A column may not have the name of an answer: the saved graph could not tell them apart.
fn reserve_names(features: &[String], task: &Task) -> Result<()> {
    let mut answers: Vec<String> = task.classes().iter().map(probability_column).collect();
    answers.push(PREDICTION.to_owned());
    match features.iter().find(|name| answers.contains(name)) {
        None => Ok(()),
        Some(name) => Err(Error::option(
            "features",
            format!("\"{name}\" is the name of an answer of the model; rename or exclude the column"),
        )),
    }
}

/// Parts the rows with a target into those to learn from and those to hold out: the newest by the time column, else
/// random ones. Both in the order of the frame.
pub(super) fn hold_out(
    rows: &Frame,
    usable: &[usize],
    options: &TrainOptions,
) -> Result<(Vec<usize>, Vec<usize>)> {
    let Some(stop) = &options.early_stopping else {
        return Ok((usable.to_vec(), Vec::new()));
    };
    let amount = (usable.len() as f64 * stop.share).round() as usize;
    if amount == 0 || amount >= usable.len() {
        let reason = format!(
            "{} rows are too few to hold {} of them out",
            usable.len(),
            stop.share
        );
        return Err(Error::option("early_stopping.share", reason));
    }
    let mut held = vec![false; usable.len()];
    match &options.time {
        Some(time) => {
            let times = find(rows, time)?;
            check_kind(time, times, false)?;
            let mut order: Vec<usize> = (0..usable.len()).collect();
            // Missing times count as oldest.
            let key = |at: usize| {
                let time = times.number(usable[at]);
                if time.is_nan() { f64::NEG_INFINITY } else { time }
            };
            order.sort_by(|a, b| key(*a).total_cmp(&key(*b)));
            order[usable.len() - amount..]
                .iter()
                .for_each(|at| held[*at] = true);
        }
        None => {
            let mut random = Pcg64Mcg::new(u128::from(options.seed) << 64 | 1);
            sample(&mut random, usable.len(), amount)
                .iter()
                .for_each(|at| held[at] = true);
        }
    }
    let part = |wanted: bool| {
        (0..usable.len())
            .filter(|at| held[*at] == wanted)
            .map(|at| usable[at])
            .collect()
    };
    Ok((part(false), part(true)))
}
