//! Operators that look elements up: by index, or by being the largest.

use super::{Inputs, Operator, axis};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor};

pub(super) fn read(kind: &str, attributes: &Attributes<'_>) -> Option<OpResult<Box<dyn Operator>>> {
    let extreme = |largest| Extreme {
        axis: attributes.int_or("axis", 0),
        keep: attributes.flag("keepdims", true),
        last: attributes.flag("select_last_index", false),
        largest,
    };
    let operator: Box<dyn Operator> = match kind {
        "Gather" => Box::new(Gather(attributes.int_or("axis", 0))),
        "ArgMax" => Box::new(extreme(true)),
        "ArgMin" => Box::new(extreme(false)),
        _ => return None,
    };
    Some(Ok(operator))
}

#[derive(Debug)]
struct Gather(i64);

impl Operator for Gather {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (x, indices) = (inputs.require(0)?, inputs.require(1)?);
        let at = axis(self.0, x.shape.len())?;
        let size = x.shape[at];
        let index = |index: i64| {
            let place = if index < 0 { index + size as i64 } else { index };
            let place = usize::try_from(place).ok().filter(|place| *place < size);
            place.ok_or_else(|| format!("index {index} of an axis of {size}"))
        };
        let chosen: Vec<usize> = indices
            .to_i64()?
            .into_iter()
            .map(index)
            .collect::<Result<_, _>>()?;
        let mut shape = x.shape[..at].to_vec();
        shape.extend_from_slice(&indices.shape);
        shape.extend_from_slice(&x.shape[at + 1..]);
        let mut places = Vec::with_capacity(inputs.room(&shape)?);
        let outer: usize = x.shape[..at].iter().product();
        let inner: usize = x.shape[at + 1..].iter().product();
        for row in 0..outer {
            for place in &chosen {
                let first = (row * size + place) * inner;
                places.extend(first..first + inner);
            }
        }
        Ok(vec![x.pick(shape, &places)?])
    }
}

/// The index of the largest or smallest element along an axis; the first (or last) of equals.
#[derive(Debug)]
struct Extreme {
    axis: i64,
    keep: bool,
    last: bool,
    largest: bool,
}

impl Operator for Extreme {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let at = axis(self.axis, x.shape.len())?;
        let size = x.shape[at];
        if size == 0 {
            return Err("the extreme of nothing".to_owned());
        }
        let values = x.to_f64()?;
        let inner: usize = x.shape[at + 1..].iter().product();
        let outer: usize = x.shape[..at].iter().product();
        let mut indices = Vec::with_capacity(outer * inner);
        for row in 0..outer {
            for column in 0..inner {
                let value = |index: usize| values[(row * size + index) * inner + column];
                indices.push(self.best(size, value));
            }
        }
        let mut shape = x.shape.clone();
        if self.keep {
            shape[at] = 1;
        } else {
            shape.remove(at);
        }
        Ok(vec![Tensor::new(shape, Data::I64(indices))?])
    }
}

impl Extreme {
    fn best(&self, size: usize, value: impl Fn(usize) -> f64) -> i64 {
        let mut best = 0;
        for index in 1..size {
            let (new, old) = (value(index), value(best));
            let better = if self.largest { new > old } else { new < old };
            if better || (self.last && new == old) {
                best = index;
            }
        }
        best as i64
    }
}
