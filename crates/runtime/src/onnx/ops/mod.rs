//! The operators. Each is read from its node once, when the model is loaded; an unknown one is refused by name.

mod convert;
mod elementwise;
mod encode;
mod linear;
mod reduce;
mod select;
mod shape;
pub(super) mod trees;

use super::attributes::Attributes;
use super::tensor::{OpResult, Tensor};
use crate::limits::Limits;
use crate::task::Label;
use std::fmt::Debug;

/// One operator with its attributes read.
pub(super) trait Operator: Debug + Send + Sync {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>>;

    /// The names of the classes, where the operator answers classes.
    fn classes(&self) -> Option<Vec<Label>> {
        None
    }

    /// Splits per feature of its input, where the operator is a tree ensemble.
    fn split_counts(&self) -> Option<Vec<u64>> {
        None
    }
}

/// What an operator is given.
pub(super) struct Inputs<'a> {
    pub(super) tensors: Vec<Option<&'a Tensor>>,
    /// Most elements of a tensor it may make.
    pub(super) max_elements: u64,
}

impl<'a> Inputs<'a> {
    pub(super) fn get(&self, index: usize) -> Option<&'a Tensor> {
        self.tensors.get(index).copied().flatten()
    }

    pub(super) fn require(&self, index: usize) -> OpResult<&'a Tensor> {
        self.get(index).ok_or_else(|| format!("input {index} is missing"))
    }

    /// The number of elements of a shape, when that many may be made.
    pub(super) fn room(&self, shape: &[usize]) -> OpResult<usize> {
        match super::tensor::elements(shape) {
            Some(count) if count as u64 <= self.max_elements => Ok(count),
            _ => Err(format!(
                "a tensor of shape {shape:?} is above the limit of {} elements",
                self.max_elements
            )),
        }
    }
}

/// What the reading of an operator needs besides its attributes.
pub(super) struct Context<'a> {
    pub(super) path: &'a str,
    pub(super) limits: &'a Limits,
    /// Version of the operator's set.
    pub(super) version: i64,
}

/// Reads an operator; `None` when it is not known.
pub(super) fn read(
    domain: &str,
    kind: &str,
    attributes: &Attributes<'_>,
    context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    match domain {
        "" | "ai.onnx" => elementwise::read(kind, attributes, context)
            .or_else(|| shape::read(kind, attributes, context))
            .or_else(|| select::read(kind, attributes))
            .or_else(|| reduce::read(kind, attributes, context))
            .or_else(|| linear::read(kind, attributes, context))
            .or_else(|| convert::read(kind, attributes)),
        "ai.onnx.ml" => trees::read(kind, attributes, context)
            .or_else(|| encode::read(kind, attributes))
            .or_else(|| linear::read_ml(kind, attributes)),
        _ => None,
    }
}

/// An axis that may count from the end.
fn axis(axis: i64, rank: usize) -> OpResult<usize> {
    let place = if axis < 0 { axis + rank as i64 } else { axis };
    usize::try_from(place)
        .ok()
        .filter(|place| *place < rank)
        .ok_or_else(|| format!("axis {axis} of a tensor of rank {rank}"))
}
