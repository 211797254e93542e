//! `evaluate`: figures of a model on rows with known truth.

use std::collections::BTreeMap;

use everloop_core::{Frame, Values};
use everloop_project::{Evaluate, Metric as Named};
use everloop_runtime::{Label, Limits, Model, ModelFiles, Prediction, Task};
use everloop_stats::Metric;
use everloop_stats::metrics::Multiclass;

use super::{Told, Work, say, write_metrics};
use crate::logs::LogFile;
use crate::{Failure, files};

pub(super) async fn run(work: &Work<'_>, evaluate: &Evaluate, log: &mut LogFile) -> Result<Told, Failure> {
    let path = evaluate.model.from_wdir(work.stage.wdir.as_ref());
    let path = work.path(path.as_str());
    let model = files::blocking(move || {
        let limits = Limits::default();
        Ok(Model::load(&ModelFiles::from_dir(&path, &limits)?, &limits)?)
    })
    .await?;
    let inputs: Vec<String> = model
        .signature()
        .inputs
        .iter()
        .map(|field| field.name.clone())
        .collect();
    let target = evaluate.target.to_string();
    let keep = |column: &str| column == target || inputs.iter().any(|input| input == column);
    let rows = work.frame(&evaluate.data, keep).await?;
    let wanted = evaluate.metrics.clone();
    let figures = files::blocking(move || judge(&model, &rows, &target, &wanted)).await?;
    for (name, value) in &figures {
        say(log, &format!("{name} {value}"))?;
    }
    let out = work
        .out(0)
        .expect("a stage of kind evaluate has one metrics file");
    // They become metrics of the tracked run when the stage's metrics file is read.
    write_metrics(&out, &figures)?;
    Ok(Told::default())
}

/// The figures of `model` on `rows`: those `wanted`, or all that fit its task and are defined on these rows.
fn judge(
    model: &Model,
    rows: &Frame,
    target: &str,
    wanted: &[Named],
) -> Result<BTreeMap<String, f64>, Failure> {
    let truth = rows
        .columns()
        .iter()
        .find(|column| column.name == target)
        .ok_or_else(|| Failure::Rows(format!("there is no column \"{target}\"")))?;
    let known: Vec<usize> = (0..rows.rows())
        .filter(|&row| !truth.values.is_missing(row))
        .collect();
    if known.is_empty() {
        return Err(Failure::Rows(format!("no row has a value in \"{target}\"")));
    }
    let truth = truth.values.take(&known);
    let prediction = model.predict(&rows.take(&known))?;
    let judged = Judged::new(model.task(), &truth, &prediction)?;
    let mut figures = BTreeMap::from([("rows".to_owned(), known.len() as f64)]);
    if wanted.is_empty() {
        let fitting = Metric::ALL.into_iter().filter(|metric| judged.fits(*metric));
        for metric in fitting {
            // Undefined on these rows, such as AUC where one class is all there is: left out, for nobody named it.
            if let Ok(value) = judged.compute(metric) {
                figures.insert(metric.name().to_owned(), value);
            }
        }
        return Ok(figures);
    }
    for name in wanted {
        let failed = |source| Failure::Metric {
            metric: name.name(),
            source,
        };
        let metric: Metric = name.name().parse().map_err(failed)?;
        figures.insert(metric.name().to_owned(), judged.compute(metric).map_err(failed)?);
    }
    Ok(figures)
}

/// Truth and answers side by side, in the form that figures are computed from.
enum Judged {
    /// One number against one: classes as 0 and 1 with the probability of 1, or values.
    Scored {
        truth: Vec<f64>,
        score: Vec<f64>,
        task: everloop_stats::metrics::Task,
    },
    /// Several classes.
    Classes {
        truth: Vec<u32>,
        probabilities: Vec<f64>,
        n_classes: usize,
    },
}

impl Judged {
    fn new(task: &Task, truth: &Values, prediction: &Prediction) -> Result<Self, Failure> {
        let classes = task.classes();
        if classes.is_empty() {
            return Ok(Self::Scored {
                truth: truth.to_numbers(),
                score: prediction.main_score(),
                task: everloop_stats::metrics::Task::Regression,
            });
        }
        let truth: Vec<u32> = (0..truth.len())
            .map(|row| class_of(truth, row, classes))
            .collect::<Result<_, _>>()?;
        if classes.len() == 2 {
            return Ok(Self::Scored {
                truth: truth.into_iter().map(f64::from).collect(),
                score: prediction.main_score(),
                task: everloop_stats::metrics::Task::Classification,
            });
        }
        let rows = 0..prediction.rows();
        Ok(Self::Classes {
            truth,
            probabilities: rows
                .flat_map(|row| prediction.scores(row).iter().copied())
                .collect(),
            n_classes: classes.len(),
        })
    }

    fn fits(&self, metric: Metric) -> bool {
        match self {
            Self::Scored { task, .. } => metric.task() == *task,
            Self::Classes { .. } => metric.task() == everloop_stats::metrics::Task::Classification,
        }
    }

    fn compute(&self, metric: Metric) -> everloop_stats::Result<f64> {
        match self {
            Self::Scored { truth, score, .. } => metric.compute(truth, score),
            Self::Classes {
                truth,
                probabilities,
                n_classes,
            } => Multiclass::new(probabilities, *n_classes)?.compute(metric, truth),
        }
    }
}

/// The place of a row's true class among those of the model.
fn class_of(truth: &Values, row: usize, classes: &[Label]) -> Result<u32, Failure> {
    let found = classes.iter().position(|class| match class {
        Label::Text(name) => truth.text(row) == Some(name),
        Label::Int(value) => truth.number(row) == *value as f64,
        Label::Bool(value) => truth.number(row) == f64::from(*value),
    });
    let shown = || match truth.text(row) {
        Some(text) => format!("\"{text}\""),
        None => truth.number(row).to_string(),
    };
    found
        .and_then(|place| u32::try_from(place).ok())
        .ok_or_else(|| Failure::Rows(format!("the true class {} is none of the model's", shown())))
}
