//! A loaded model: what the rest of the house holds, asks and passes around.

use crate::columns::{bind, check_kind};
use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::format::{self, Loaded};
use crate::limits::Limits;
use crate::onnx::OnnxModel;
use crate::prediction::{Prediction, argmax, output_fields};
use crate::row::Row;
use crate::signature::{Field, Kind, Signature};
use crate::task::Task;
use crate::trees::{LoadedTrees, TreeModel};
use everloop_core::{Frame, Values};
use std::fmt;
use std::sync::Arc;

/// A loaded model. Cloning is cheap; predictions take `&self` and may run on any number of threads.
#[derive(Clone)]
pub struct Model(Arc<Inner>);

impl fmt::Debug for Model {
    /// What it reads and answers; its weights would fill pages.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Model")
            .field("task", &self.0.task)
            .field("signature", &self.0.signature)
            .finish_non_exhaustive()
    }
}

struct Inner {
    engine: Engine,
    signature: Signature,
    /// Whether the input columns have names of their own, so that they are never taken by place.
    named: bool,
    task: Arc<Task>,
    importance: Vec<Importance>,
}

pub(crate) enum Engine {
    Trees(TreeModel),
    Graph(OnnxModel),
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
    pub fn load(files: &ModelFiles, limits: &Limits) -> Result<Self> {
        let (loaded, signature) = format::load(files, limits)?;
        match loaded {
            Loaded::Trees(path, trees) => Self::of_trees(&path, *trees, signature.as_ref()),
            Loaded::Graph(graph) => Ok(Self::of_graph(*graph)),
        }
    }

    fn of_trees(path: &str, trees: LoadedTrees, signature: Option<&Signature>) -> Result<Self> {
        let (inputs, named) = tree_inputs(path, &trees, signature)?;
        let splits = trees.model.trees.split_counts();
        let importance = importance(&inputs, &splits, trees.gains.as_deref());
        let width = trees.model.width();
        let task = Arc::new(trees.task);
        Ok(Self(Arc::new(Inner {
            signature: Signature {
                inputs,
                outputs: output_fields(&task, width, Kind::Double),
            },
            engine: Engine::Trees(trees.model),
            named,
            task,
            importance,
        })))
    }

    fn of_graph(graph: OnnxModel) -> Self {
        let task = Arc::new(graph.task().clone());
        let importance = graph
            .split_counts()
            .map_or_else(Vec::new, |splits| importance(&graph.inputs, &splits, None));
        Self(Arc::new(Inner {
            signature: Signature {
                inputs: graph.inputs.clone(),
                outputs: output_fields(&task, graph.width(), Kind::Double),
            },
            named: graph.named,
            engine: Engine::Graph(graph),
            task,
            importance,
        }))
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

    /// Predicts every row of `rows`. Columns are found by name and may stand in any order; others are ignored. A model
    /// without column names takes as many columns as it reads, in order.
    ///
    /// # Errors
    /// When a column is missing or holds the wrong kind of values.
    pub fn predict(&self, rows: &Frame) -> Result<Prediction> {
        let inputs = &self.0.signature.inputs;
        let columns = bind(rows, inputs, self.0.named)?;
        for (field, values) in inputs.iter().zip(&columns) {
            if let Some(values) = values {
                check_kind(&field.name, values, field.kind.is_text())?;
            }
        }
        self.predict_columns(&columns, rows.rows())
    }

    /// Predicts rows given as one column per input, already checked.
    pub(crate) fn predict_columns(&self, columns: &[Option<&Values>], rows: usize) -> Result<Prediction> {
        let (width, scores, classes) = match &self.0.engine {
            Engine::Trees(trees) => {
                let scores = trees.predict(columns, rows);
                let classes = self.winners(&scores, trees.width());
                (trees.width(), scores, classes)
            }
            Engine::Graph(graph) => {
                let answers = graph.predict(columns, rows)?;
                (graph.width(), answers.scores, answers.classes)
            }
        };
        Ok(Prediction {
            task: Arc::clone(&self.0.task),
            scores,
            width,
            classes,
        })
    }

    fn winners(&self, scores: &[f64], width: usize) -> Vec<u32> {
        match *self.0.task {
            Task::Classification { .. } => scores.chunks_exact(width).map(argmax).collect(),
            Task::Regression => Vec::new(),
        }
    }

    /// A reusable row for predictions one by one.
    #[must_use]
    pub fn row(&self) -> Row {
        Row::new(self.clone())
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.0.engine
    }
}

/// The input columns of a tree model: named by its file or else by the signature, kinds by the signature.
fn tree_inputs(path: &str, trees: &LoadedTrees, signature: Option<&Signature>) -> Result<(Vec<Field>, bool)> {
    let told = signature.map_or(&[][..], |signature| &signature.inputs);
    let by_place = !trees.named && told.len() == trees.names.len();
    let mut inputs = Vec::with_capacity(trees.names.len());
    for (place, (name, encoding)) in trees.names.iter().zip(&trees.model.encodings).enumerate() {
        let told = if by_place {
            told.get(place)
        } else {
            told.iter().find(|field| field.name == *name)
        };
        let mut field = told
            .cloned()
            .unwrap_or_else(|| Field::new(name.clone(), trees.kinds[place]));
        if field.kind.is_text() && !encoding.is_text() {
            let what = format!(
                "text column \"{}\", whose categories the file does not keep,",
                field.name
            );
            return Err(Error::unsupported(path, what));
        }
        if encoding.is_text() {
            field.kind = Kind::String;
        }
        inputs.push(field);
    }
    let numbered = inputs
        .iter()
        .enumerate()
        .all(|(at, field)| field.name == format!("f{at}"));
    Ok((inputs, trees.named || (by_place && !numbered)))
}

fn importance(inputs: &[Field], splits: &[u64], gains: Option<&[f64]>) -> Vec<Importance> {
    let mut importance: Vec<Importance> = inputs
        .iter()
        .enumerate()
        .map(|(at, field)| Importance {
            feature: field.name.clone(),
            gain: gains.and_then(|gains| gains.get(at).copied()),
            splits: splits.get(at).copied().unwrap_or(0),
        })
        .collect();
    let weight = |one: &Importance| (one.gain.unwrap_or(0.0), one.splits);
    importance.sort_by(|a, b| {
        let ((gain_a, splits_a), (gain_b, splits_b)) = (weight(a), weight(b));
        gain_b.total_cmp(&gain_a).then(splits_b.cmp(&splits_a))
    });
    importance
}
