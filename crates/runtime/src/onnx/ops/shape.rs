//! Operators that arrange elements anew without looking at them.

use super::elementwise::{broadcast_shape, stretched};
use super::{Context, Inputs, Operator, axis};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor};

pub(super) fn read(
    kind: &str,
    attributes: &Attributes<'_>,
    context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    let axes = || attributes.ints("axes").to_vec();
    let operator: Box<dyn Operator> = match kind {
        "Identity" | "Dropout" => Box::new(Identity),
        "Reshape" => Box::new(Reshape {
            keep_zero: attributes.flag("allowzero", false),
        }),
        "Flatten" => Box::new(Flatten(attributes.int_or("axis", 1))),
        "Squeeze" => Box::new(Squeeze(axes())),
        "Unsqueeze" => Box::new(Unsqueeze(axes())),
        "Transpose" => Box::new(Transpose(attributes.ints("perm").to_vec())),
        "Concat" => Box::new(Concat(attributes.int_or("axis", 1))),
        "Split" => Box::new(Split {
            axis: attributes.int_or("axis", 0),
            sizes: attributes.ints("split").to_vec(),
            outputs: attributes.0.output.len(),
        }),
        "Expand" => Box::new(Expand),
        "Shape" => Box::new(Shape),
        "ConstantOfShape" => {
            return Some(fill(attributes).map(|fill| Box::new(fill) as Box<dyn Operator>));
        }
        "Slice" if context.version >= 10 => Box::new(Slice),
        _ => return None,
    };
    Some(Ok(operator))
}

/// Vectors of one kind behind each other.
pub(super) fn append(parts: &[&Data]) -> OpResult<Data> {
    macro_rules! append {
        ($kind:path) => {{
            let mut all = Vec::new();
            for part in parts {
                match part {
                    $kind(values) => all.extend_from_slice(values),
                    other => return Err(format!("{} and {} do not mix", parts[0].kind(), other.kind())),
                }
            }
            Ok($kind(all))
        }};
    }
    match parts.first() {
        None => Err("nothing to put together".to_owned()),
        Some(Data::F32(_)) => append!(Data::F32),
        Some(Data::F64(_)) => append!(Data::F64),
        Some(Data::I32(_)) => append!(Data::I32),
        Some(Data::I64(_)) => append!(Data::I64),
        Some(Data::Bool(_)) => append!(Data::Bool),
        Some(Data::Text(_)) => append!(Data::Text),
    }
}

#[derive(Debug)]
struct Identity;

impl Operator for Identity {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        Ok(vec![inputs.require(0)?.clone()])
    }
}

#[derive(Debug)]
struct Reshape {
    /// Whether 0 means an empty axis; else it keeps the size of the input's axis.
    keep_zero: bool,
}

impl Operator for Reshape {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let wanted = inputs.require(1)?.to_i64()?;
        let wrong = || format!("shape {:?} does not become {wanted:?}", x.shape);
        let mut shape = Vec::with_capacity(wanted.len());
        let mut free = None;
        for (place, size) in wanted.iter().enumerate() {
            shape.push(match *size {
                -1 if free.is_none() => {
                    free = Some(place);
                    1
                }
                0 if !self.keep_zero => *x.shape.get(place).ok_or_else(wrong)?,
                size => usize::try_from(size).map_err(|_| wrong())?,
            });
        }
        if let Some(place) = free {
            let rest = inputs.room(&shape)?;
            shape[place] = x.len().checked_div(rest).unwrap_or(0);
        }
        Ok(vec![Tensor::new(shape, x.data.clone()).map_err(|_| wrong())?])
    }
}

#[derive(Debug)]
struct Flatten(i64);

impl Operator for Flatten {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let rank = x.shape.len();
        let at = if self.0 == rank as i64 {
            rank
        } else {
            axis(self.0, rank)?
        };
        let shape = vec![x.shape[..at].iter().product(), x.shape[at..].iter().product()];
        Ok(vec![Tensor::new(shape, x.data.clone())?])
    }
}

/// The axes an operator names: an input since version 13, an attribute before.
fn named_axes(inputs: &Inputs<'_>, attribute: &[i64]) -> OpResult<Option<Vec<i64>>> {
    match inputs.get(1) {
        Some(axes) => axes.to_i64().map(Some),
        None if attribute.is_empty() => Ok(None),
        None => Ok(Some(attribute.to_vec())),
    }
}

#[derive(Debug)]
struct Squeeze(Vec<i64>);

impl Operator for Squeeze {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let rank = x.shape.len();
        let gone: Vec<usize> = match named_axes(inputs, &self.0)? {
            Some(axes) => axes
                .into_iter()
                .map(|at| axis(at, rank))
                .collect::<Result<_, _>>()?,
            None => (0..rank).filter(|at| x.shape[*at] == 1).collect(),
        };
        let shape = (0..rank)
            .filter(|at| !gone.contains(at))
            .map(|at| x.shape[at])
            .collect();
        Ok(vec![Tensor::new(shape, x.data.clone())?])
    }
}

#[derive(Debug)]
struct Unsqueeze(Vec<i64>);

impl Operator for Unsqueeze {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let axes = named_axes(inputs, &self.0)?.unwrap_or_default();
        let rank = x.shape.len() + axes.len();
        let mut new: Vec<usize> = axes
            .into_iter()
            .map(|at| axis(at, rank))
            .collect::<Result<_, _>>()?;
        new.sort_unstable();
        let mut shape = x.shape.clone();
        for at in new {
            if at > shape.len() {
                return Err(format!("axis {at} of a tensor of rank {}", shape.len()));
            }
            shape.insert(at, 1);
        }
        Ok(vec![Tensor::new(shape, x.data.clone())?])
    }
}

#[derive(Debug)]
struct Transpose(Vec<i64>);

impl Operator for Transpose {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let rank = x.shape.len();
        let order: Vec<usize> = if self.0.is_empty() {
            (0..rank).rev().collect()
        } else {
            self.0
                .iter()
                .map(|at| axis(*at, rank))
                .collect::<Result<_, _>>()?
        };
        let mut seen = order.clone();
        seen.sort_unstable();
        if !seen.into_iter().eq(0..rank) {
            return Err(format!("{:?} does not order {rank} axes", self.0));
        }
        let shape: Vec<usize> = order.iter().map(|at| x.shape[*at]).collect();
        let mut strides = vec![1; rank];
        for at in (1..rank).rev() {
            strides[at - 1] = strides[at] * x.shape[at];
        }
        let steps: Vec<usize> = order.iter().map(|at| strides[*at]).collect();
        let places: Vec<usize> = (0..x.len()).map(|flat| source(flat, &shape, &steps)).collect();
        Ok(vec![x.pick(shape, &places)?])
    }
}

/// Where the element number `flat` of `shape` lies, with `steps` along its axes.
fn source(mut flat: usize, shape: &[usize], steps: &[usize]) -> usize {
    let mut place = 0;
    for (size, step) in shape.iter().zip(steps).rev() {
        place += flat % size * step;
        flat /= size;
    }
    place
}

#[derive(Debug)]
struct Concat(i64);

impl Operator for Concat {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let parts: Vec<&Tensor> = (0..inputs.tensors.len())
            .map(|at| inputs.require(at))
            .collect::<Result<_, _>>()?;
        let first = parts.first().ok_or("nothing to put together")?;
        let at = axis(self.0, first.shape.len())?;
        let mut shape = first.shape.clone();
        for part in &parts[1..] {
            let fits = part.shape.len() == shape.len()
                && part
                    .shape
                    .iter()
                    .zip(&shape)
                    .enumerate()
                    .all(|(place, (a, b))| place == at || a == b);
            if !fits {
                return Err(format!(
                    "shapes {:?} and {:?} do not fit together",
                    shape, part.shape
                ));
            }
            shape[at] += part.shape[at];
        }
        inputs.room(&shape)?;
        let all = append(&parts.iter().map(|part| &part.data).collect::<Vec<_>>())?;
        let outer: usize = shape[..at].iter().product();
        if outer == 1 || parts.len() == 1 {
            return Ok(vec![Tensor::new(shape, all)?]);
        }
        let joined = Tensor {
            shape: Vec::new(),
            data: all,
        };
        let mut places = Vec::with_capacity(joined.len());
        for row in 0..outer {
            let mut start = 0;
            for part in &parts {
                let run: usize = part.shape[at..].iter().product();
                places.extend(start + row * run..start + (row + 1) * run);
                start += part.len();
            }
        }
        Ok(vec![joined.pick(shape, &places)?])
    }
}

#[derive(Debug)]
struct Split {
    axis: i64,
    sizes: Vec<i64>,
    outputs: usize,
}

impl Operator for Split {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let at = axis(self.axis, x.shape.len())?;
        let sizes: Vec<usize> = match named_axes(inputs, &self.sizes)? {
            Some(sizes) => sizes
                .into_iter()
                .map(usize::try_from)
                .collect::<Result<_, _>>()
                .map_err(|_| "a negative size")?,
            None => {
                let each = x.shape[at].div_ceil(self.outputs.max(1));
                (0..self.outputs)
                    .map(|part| x.shape[at].saturating_sub(part * each).min(each))
                    .collect()
            }
        };
        let total = sizes.iter().try_fold(0_usize, |sum, size| sum.checked_add(*size));
        if total != Some(x.shape[at]) {
            return Err(format!("{sizes:?} does not split an axis of {}", x.shape[at]));
        }
        let inner: usize = x.shape[at + 1..].iter().product();
        let outer: usize = x.shape[..at].iter().product();
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            let mut shape = x.shape.clone();
            shape[at] = size;
            let row = |row: usize| {
                let first = (row * x.shape[at] + start) * inner;
                first..first + size * inner
            };
            let places: Vec<usize> = (0..outer).flat_map(row).collect();
            parts.push(x.pick(shape, &places)?);
            start += size;
        }
        Ok(parts)
    }
}

#[derive(Debug)]
struct Expand;

impl Operator for Expand {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let wanted: Result<Vec<usize>, _> = inputs
            .require(1)?
            .to_i64()?
            .into_iter()
            .map(usize::try_from)
            .collect();
        let shape = broadcast_shape(&x.shape, &wanted.map_err(|_| "a negative size")?)?;
        inputs.room(&shape)?;
        Ok(vec![x.pick(shape.clone(), &stretched(&x.shape, &shape))?])
    }
}

#[derive(Debug)]
struct Shape;

impl Operator for Shape {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let shape = &inputs.require(0)?.shape;
        Ok(vec![Tensor::i64(
            vec![shape.len()],
            shape.iter().map(|size| *size as i64).collect(),
        )?])
    }
}

#[derive(Debug)]
struct Fill(Tensor);

fn fill(attributes: &Attributes<'_>) -> OpResult<Fill> {
    let value = match attributes.tensor("value")? {
        Some(value) => value,
        None => Tensor::f32(vec![1], vec![0.0])?,
    };
    if value.len() == 1 {
        return Ok(Fill(value));
    }
    Err("one value is expected".to_owned())
}

impl Operator for Fill {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let shape: Result<Vec<usize>, _> = inputs
            .require(0)?
            .to_i64()?
            .into_iter()
            .map(usize::try_from)
            .collect();
        let shape = shape.map_err(|_| "a negative size")?;
        let count = inputs.room(&shape)?;
        Ok(vec![self.0.pick(shape, &vec![0; count])?])
    }
}

/// `x[starts:ends:steps]` along axes, with positive steps.
#[derive(Debug)]
struct Slice;

impl Operator for Slice {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let (starts, ends) = (inputs.require(1)?.to_i64()?, inputs.require(2)?.to_i64()?);
        let count = starts.len();
        let axes = inputs
            .get(3)
            .map_or_else(|| Ok((0..count as i64).collect()), Tensor::to_i64)?;
        let steps = inputs.get(4).map_or_else(|| Ok(vec![1; count]), Tensor::to_i64)?;
        if ends.len() != count || axes.len() != count || steps.len() != count {
            return Err("starts, ends, axes and steps differ in length".to_owned());
        }
        let mut kept: Vec<Vec<usize>> = x.shape.iter().map(|size| (0..*size).collect()).collect();
        for at in 0..count {
            let place = axis(axes[at], x.shape.len())?;
            let size = x.shape[place] as i64;
            let bound = |index: i64| {
                if index < 0 {
                    index.saturating_add(size).max(0)
                } else {
                    index.min(size)
                }
            };
            let step = usize::try_from(steps[at])
                .ok()
                .filter(|step| *step > 0)
                .ok_or("a step is not positive")?;
            kept[place] = (bound(starts[at]) as usize..bound(ends[at]) as usize)
                .step_by(step)
                .collect();
        }
        let shape: Vec<usize> = kept.iter().map(Vec::len).collect();
        let mut places = vec![0];
        for (kept, size) in kept.iter().zip(&x.shape) {
            places = places
                .iter()
                .flat_map(|place| kept.iter().map(move |index| place * size + index))
                .collect();
        }
        Ok(vec![x.pick(shape, &places)?])
    }
}
