//! Operators that fold axes away.

use super::elementwise::stretched;
use super::{Context, Inputs, Operator, axis};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor};

pub(super) fn read(
    kind: &str,
    attributes: &Attributes<'_>,
    _context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    let fold = match kind {
        "ReduceSum" => Fold::Sum,
        "ReduceMean" => Fold::Mean,
        "ReduceMax" => Fold::Max,
        "ReduceMin" => Fold::Min,
        "ReduceProd" => Fold::Product,
        "ReduceL1" => Fold::L1,
        "ReduceL2" => Fold::L2,
        "ReduceSumSquare" => Fold::SumSquare,
        "ReduceLogSum" => Fold::LogSum,
        "ReduceLogSumExp" => Fold::LogSumExp,
        _ => return None,
    };
    Some(Ok(Box::new(Reduce {
        fold,
        axes: attributes.ints("axes").to_vec(),
        keep: attributes.flag("keepdims", true),
        empty_is_none: attributes.flag("noop_with_empty_axes", false),
    })))
}

#[derive(Debug)]
struct Reduce {
    fold: Fold,
    axes: Vec<i64>,
    keep: bool,
    /// Whether no axes means none; else all.
    empty_is_none: bool,
}

#[derive(Debug, Clone, Copy)]
enum Fold {
    Sum,
    Mean,
    Max,
    Min,
    Product,
    L1,
    L2,
    SumSquare,
    LogSum,
    LogSumExp,
}

impl Operator for Reduce {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let rank = x.shape.len();
        let axes = match inputs.get(1) {
            Some(axes) => axes.to_i64()?,
            None => self.axes.clone(),
        };
        if axes.is_empty() && self.empty_is_none {
            return Ok(vec![x.clone()]);
        }
        let axes: Vec<usize> = if axes.is_empty() {
            (0..rank).collect()
        } else {
            axes.into_iter()
                .map(|at| axis(at, rank))
                .collect::<Result<_, _>>()?
        };
        let mut kept = x.shape.clone();
        axes.iter().for_each(|at| kept[*at] = 1);
        let results = self
            .fold
            .apply(&x.to_f64()?, &stretched(&kept, &x.shape), kept.iter().product());
        let shape = if self.keep {
            kept
        } else {
            (0..rank)
                .filter(|at| !axes.contains(at))
                .map(|at| x.shape[at])
                .collect()
        };
        let data = match &x.data {
            Data::F32(_) => Data::F32(results.into_iter().map(|result| result as f32).collect()),
            Data::F64(_) => Data::F64(results),
            Data::I64(_) => Data::I64(results.into_iter().map(|result| result as i64).collect()),
            Data::I32(_) => Data::I32(results.into_iter().map(|result| result as i32).collect()),
            other => return Err(format!("numbers are expected, not {}", other.kind())),
        };
        Ok(vec![Tensor::new(shape, data)?])
    }
}

impl Fold {
    /// Folds each value into the result it belongs to.
    fn apply(self, values: &[f64], places: &[usize], results: usize) -> Vec<f64> {
        let fold = |start: f64, step: &dyn Fn(f64, f64) -> f64| {
            let mut folded = vec![start; results];
            for (value, place) in values.iter().zip(places) {
                folded[*place] = step(folded[*place], *value);
            }
            folded
        };
        let sum = |term: fn(f64) -> f64| fold(0.0, &|sum, value| sum + term(value));
        let each = |results: Vec<f64>, finish: &dyn Fn(f64) -> f64| results.into_iter().map(finish).collect();
        match self {
            Self::Sum => sum(|x| x),
            Self::Mean => each(sum(|x| x), &|total| total * results as f64 / values.len() as f64),
            Self::Max => fold(f64::NEG_INFINITY, &|best, x| {
                if x > best || x.is_nan() { x } else { best }
            }),
            Self::Min => fold(f64::INFINITY, &|best, x| {
                if x < best || x.is_nan() { x } else { best }
            }),
            Self::Product => fold(1.0, &|product, x| product * x),
            Self::L1 => sum(f64::abs),
            Self::L2 => each(sum(|x| x * x), &f64::sqrt),
            Self::SumSquare => sum(|x| x * x),
            Self::LogSum => each(sum(|x| x), &f64::ln),
            Self::LogSumExp => {
                let highest = Self::Max.apply(values, places, results);
                let mut sums = vec![0.0; results];
                for (value, place) in values.iter().zip(places) {
                    sums[*place] += (value - highest[*place]).exp();
                }
                sums.into_iter()
                    .zip(highest)
                    .map(|(sum, highest): (f64, f64)| sum.ln() + highest)
                    .collect()
            }
        }
    }
}
