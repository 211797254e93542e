//! What the outputs of a graph mean: classes with probabilities, or values.

use super::graph::Graph;
use super::proto::ModelProto;
use super::tensor::{Data, Tensor};
use super::{Answers, FORMAT};
use crate::error::{Error, Result};
use crate::prediction::argmax;
use crate::task::{Label, Task};
use std::collections::HashMap;

/// The metadata keys that our own files carry.
pub(super) const TASK_KEY: &str = "everloop.task";
pub(super) const CLASSES_KEY: &str = "everloop.classes";

/// How outputs become scores.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) task: Task,
    pub(super) width: usize,
    /// The output that names the class.
    label: Option<usize>,
    /// The outputs that hold scores, each with its columns.
    scores: Vec<(usize, usize)>,
    places: HashMap<Label, u32>,
}

impl Default for Answer {
    fn default() -> Self {
        Self {
            task: Task::Regression,
            width: 0,
            label: None,
            scores: Vec::new(),
            places: HashMap::new(),
        }
    }
}

impl Answer {
    /// Reads the meaning off the outputs of one row: a label beside a row of at least two floats is a classifier.
    pub(super) fn read(path: &str, graph: &Graph, model: &ModelProto, outputs: &[Tensor]) -> Result<Self> {
        if let Some(own) = Self::of_own_file(model, outputs) {
            return own.ok_or_else(|| Error::malformed(path, FORMAT, "the metadata do not fit the outputs"));
        }
        let is_float = |tensor: &Tensor| matches!(tensor.data, Data::F32(_) | Data::F64(_));
        let label = outputs
            .iter()
            .position(|tensor| tensor.len() == 1 && !is_float(tensor));
        let probabilities = outputs
            .iter()
            .position(|tensor| tensor.len() > 1 && is_float(tensor));
        if let (Some(label), Some(output)) = (label, probabilities) {
            let width = outputs[output].len();
            let classes = graph
                .classes(output, width)
                .unwrap_or_else(|| (0..width as i64).map(Label::Int).collect());
            return Ok(Self::classification(classes, Some(label), vec![(output, width)]));
        }
        let numbers = |tensor: &Tensor| !matches!(tensor.data, Data::Text(_)) && tensor.len() > 0;
        let scores: Vec<(usize, usize)> = outputs
            .iter()
            .enumerate()
            .filter(|(_, tensor)| numbers(tensor))
            .map(|(output, tensor)| (output, tensor.len()))
            .collect();
        if scores.is_empty() {
            return Err(Error::unsupported(path, "a graph that answers no numbers"));
        }
        Ok(Self {
            width: scores.iter().map(|(_, width)| width).sum(),
            scores,
            ..Self::default()
        })
    }

    /// Our own files answer the class and one probability after another. `None` when the file is not ours.
    fn of_own_file(model: &ModelProto, outputs: &[Tensor]) -> Option<Option<Self>> {
        let metadata = |key: &str| {
            let entry = model
                .metadata_props
                .iter()
                .find(|entry| entry.key.as_deref() == Some(key));
            entry.and_then(|entry| entry.value.as_deref())
        };
        if metadata(TASK_KEY)? != "classification" {
            return None;
        }
        let classes: Option<Vec<Label>> =
            metadata(CLASSES_KEY).and_then(|text| serde_json::from_str(text).ok());
        Some(classes.and_then(|classes| {
            let fits = outputs.len() == classes.len() + 1 && outputs.iter().all(|output| output.len() == 1);
            let scores = (1..outputs.len()).map(|output| (output, 1)).collect();
            fits.then(|| Self::classification(classes, Some(0), scores))
        }))
    }

    fn classification(classes: Vec<Label>, label: Option<usize>, scores: Vec<(usize, usize)>) -> Self {
        Self {
            places: classes.iter().cloned().zip(0..).collect(),
            width: classes.len(),
            task: Task::Classification { classes },
            label,
            scores,
        }
    }

    /// The answers that the outputs give for `rows` rows.
    pub(super) fn of(&self, outputs: &[Tensor], rows: usize) -> Result<Answers> {
        let mut scores = vec![0.0; rows * self.width];
        let mut start = 0;
        for (output, width) in &self.scores {
            let values = outputs[*output]
                .to_f64()
                .map_err(|reason| Error::evaluate("output", reason))?;
            if values.len() != rows * width {
                let reason = format!("{} scores for {rows} rows of {width}", values.len());
                return Err(Error::evaluate("output", reason));
            }
            for (row, own) in scores
                .chunks_exact_mut(self.width)
                .zip(values.chunks_exact(*width))
            {
                row[start..start + width].copy_from_slice(own);
            }
            start += width;
        }
        let classes = match self.task {
            Task::Classification { .. } => self.classes(outputs, &scores),
            Task::Regression => Vec::new(),
        };
        Ok(Answers { scores, classes })
    }

    /// The class that the graph names, where it is one of the known; else that of the largest score.
    fn classes(&self, outputs: &[Tensor], scores: &[f64]) -> Vec<u32> {
        let labels = self.label.map(|label| &outputs[label].data);
        let named = |row: usize| {
            let label = match labels? {
                Data::Text(values) => Label::Text(values.get(row)?.clone()),
                Data::I64(values) => Label::Int(*values.get(row)?),
                Data::I32(values) => Label::Int(i64::from(*values.get(row)?)),
                Data::Bool(values) => Label::Bool(*values.get(row)?),
                Data::F32(_) | Data::F64(_) => return None,
            };
            self.places.get(&label).copied()
        };
        scores
            .chunks_exact(self.width)
            .enumerate()
            .map(|(row, scores)| named(row).unwrap_or_else(|| argmax(scores)))
            .collect()
    }
}
