//! Linear algebra and the scaling operators before it.

use super::{Context, Inputs, Operator, axis};
use crate::math::softmax;
use crate::onnx::attributes::Attributes;
use crate::onnx::ops::elementwise::{broadcast_shape, stretched};
use crate::onnx::tensor::{Data, OpResult, Tensor};
use crate::task::Label;

pub(super) fn read(
    kind: &str,
    attributes: &Attributes<'_>,
    context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    let soft = |log| {
        let default = if context.version >= 13 { -1 } else { 1 };
        Softmax {
            axis: attributes.int_or("axis", default),
            to_the_end: context.version < 13,
            log,
        }
    };
    let operator: Box<dyn Operator> = match kind {
        "MatMul" => Box::new(MatMul),
        "Gemm" => Box::new(Gemm {
            alpha: attributes.float_or("alpha", 1.0),
            beta: attributes.float_or("beta", 1.0),
            transpose_a: attributes.flag("transA", false),
            transpose_b: attributes.flag("transB", false),
        }),
        "Softmax" => Box::new(soft(false)),
        "LogSoftmax" => Box::new(soft(true)),
        _ => return None,
    };
    Some(Ok(operator))
}

pub(super) fn read_ml(kind: &str, attributes: &Attributes<'_>) -> Option<OpResult<Box<dyn Operator>>> {
    match kind {
        "Scaler" => Some(Ok(Box::new(Scaler {
            offset: attributes.floats("offset").to_vec(),
            scale: attributes.floats("scale").to_vec(),
        }))),
        "Normalizer" => Some(normalizer(attributes)),
        "Imputer" => Some(imputer(attributes)),
        "Binarizer" => Some(Ok(Box::new(Binarizer(attributes.float_or("threshold", 0.0))))),
        "LinearRegressor" => Some(linear_regressor(attributes)),
        "LinearClassifier" => Some(linear_classifier(attributes)),
        _ => None,
    }
}

/// `a` (rows x inner) times `b` (inner x columns); sums are kept in 64 bits.
fn product(
    inputs: &Inputs<'_>,
    a: &[f64],
    b: &[f64],
    (rows, inner, columns): (usize, usize, usize),
) -> OpResult<Vec<f64>> {
    let mut result = vec![0.0; inputs.room(&[rows, columns])?];
    if columns == 0 || inner == 0 {
        return Ok(result);
    }
    for (row, sums) in a.chunks_exact(inner).zip(result.chunks_exact_mut(columns)) {
        for (factor, line) in row.iter().zip(b.chunks_exact(columns)) {
            for (sum, value) in sums.iter_mut().zip(line) {
                *sum += factor * value;
            }
        }
    }
    Ok(result)
}

/// Numbers of the kind that `like` has.
fn floats_like(like: &Tensor, values: Vec<f64>) -> OpResult<Data> {
    match &like.data {
        Data::F32(_) => Ok(Data::F32(values.into_iter().map(|value| value as f32).collect())),
        Data::F64(_) => Ok(Data::F64(values)),
        Data::I64(_) => Ok(Data::I64(values.into_iter().map(|value| value as i64).collect())),
        other => Err(format!("floats are expected, not {}", other.kind())),
    }
}

#[derive(Debug)]
struct MatMul;

impl Operator for MatMul {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (a, b) = (inputs.require(0)?, inputs.require(1)?);
        let (rows, inner, columns, shape) = match (a.shape.as_slice(), b.shape.as_slice()) {
            ([m, k], [l, n]) if k == l => (*m, *k, *n, vec![*m, *n]),
            ([k], [l, n]) if k == l => (1, *k, *n, vec![*n]),
            ([m, k], [l]) if k == l => (*m, *k, 1, vec![*m]),
            ([k], [l]) if k == l => (1, *k, 1, vec![]),
            (a, b) => return Err(format!("shapes {a:?} and {b:?} do not multiply")),
        };
        let values = product(inputs, &a.to_f64()?, &b.to_f64()?, (rows, inner, columns))?;
        Ok(vec![Tensor::new(shape, floats_like(a, values)?)?])
    }
}

#[derive(Debug)]
struct Gemm {
    alpha: f32,
    beta: f32,
    transpose_a: bool,
    transpose_b: bool,
}

impl Operator for Gemm {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (a, b) = (inputs.require(0)?, inputs.require(1)?);
        let (rows, inner, left) = matrix(a, self.transpose_a)?;
        let (other, columns, right) = matrix(b, self.transpose_b)?;
        if inner != other {
            return Err(format!("shapes {:?} and {:?} do not multiply", a.shape, b.shape));
        }
        let mut values = product(inputs, &left, &right, (rows, inner, columns))?;
        values
            .iter_mut()
            .for_each(|value| *value *= f64::from(self.alpha));
        let shape = vec![rows, columns];
        if let Some(c) = inputs.get(2) {
            if broadcast_shape(&c.shape, &shape)? != shape {
                return Err(format!("shape {:?} does not add to {shape:?}", c.shape));
            }
            let addends = c.to_f64()?;
            for (value, place) in values.iter_mut().zip(stretched(&c.shape, &shape)) {
                *value += f64::from(self.beta) * addends[place];
            }
        }
        Ok(vec![Tensor::new(shape, floats_like(a, values)?)?])
    }
}

/// Rows, columns and values of a matrix, or of its transpose.
fn matrix(tensor: &Tensor, transpose: bool) -> OpResult<(usize, usize, Vec<f64>)> {
    let [rows, columns] = tensor.shape[..] else {
        return Err(format!("a matrix is expected, not shape {:?}", tensor.shape));
    };
    let values = tensor.to_f64()?;
    if !transpose {
        return Ok((rows, columns, values));
    }
    let turned = (0..values.len())
        .map(|at| values[at % rows * columns + at / rows])
        .collect();
    Ok((columns, rows, turned))
}

#[derive(Debug)]
struct Softmax {
    axis: i64,
    /// Before version 13 all axes from `axis` on are taken together.
    to_the_end: bool,
    log: bool,
}

impl Operator for Softmax {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let at = axis(self.axis, x.shape.len())?;
        let mut values = x.to_f64()?;
        let inner: usize = if self.to_the_end {
            1
        } else {
            x.shape[at + 1..].iter().product()
        };
        let size: usize = if self.to_the_end {
            x.shape[at..].iter().product()
        } else {
            x.shape[at]
        };
        let outer: usize = x.shape[..at].iter().product();
        let mut line = vec![0.0; size];
        for row in 0..outer {
            for column in 0..inner {
                let place = |index: usize| (row * size + index) * inner + column;
                line.iter_mut()
                    .enumerate()
                    .for_each(|(index, slot)| *slot = values[place(index)]);
                softmax(&mut line);
                for (index, value) in line.iter().enumerate() {
                    values[place(index)] = if self.log { value.ln() } else { *value };
                }
            }
        }
        Ok(vec![Tensor::new(x.shape.clone(), floats_like(x, values)?)?])
    }
}

/// One value for all columns, or one for each.
fn per_column(values: &[f32], column: usize) -> OpResult<f32> {
    match values {
        [one] => Ok(*one),
        many => many
            .get(column)
            .copied()
            .ok_or_else(|| format!("{} parameters for column {column}", many.len())),
    }
}

#[derive(Debug)]
struct Scaler {
    offset: Vec<f32>,
    scale: Vec<f32>,
}

impl Operator for Scaler {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let (_, columns) = x.rows_and_columns()?;
        let mut values = x.to_f32()?;
        for column in 0..columns {
            let (offset, scale) = (
                per_column(&self.offset, column)?,
                per_column(&self.scale, column)?,
            );
            let cells = values[column..].iter_mut().step_by(columns);
            cells.for_each(|value| *value = (*value - offset) * scale);
        }
        Ok(vec![Tensor::f32(x.shape.clone(), values)?])
    }
}

#[derive(Debug)]
enum Normalizer {
    Max,
    L1,
    L2,
}

fn normalizer(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    Ok(Box::new(match attributes.text_or("norm", "MAX")?.as_str() {
        "MAX" => Normalizer::Max,
        "L1" => Normalizer::L1,
        "L2" => Normalizer::L2,
        other => return Err(format!("norm \"{other}\"")),
    }))
}

impl Operator for Normalizer {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let (_, columns) = x.rows_and_columns()?;
        let mut values = x.to_f32()?;
        for row in values.chunks_mut(columns.max(1)) {
            let norm = match self {
                Self::Max => row.iter().copied().fold(f32::MIN, f32::max),
                Self::L1 => row.iter().map(|value| value.abs()).sum(),
                Self::L2 => row.iter().map(|value| value * value).sum::<f32>().sqrt(),
            };
            if norm != 0.0 {
                row.iter_mut().for_each(|value| *value /= norm);
            }
        }
        Ok(vec![Tensor::f32(x.shape.clone(), values)?])
    }
}

#[derive(Debug)]
enum Imputer {
    Floats { replaced: f32, by: Vec<f32> },
    Integers { replaced: i64, by: Vec<i64> },
}

fn imputer(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let (floats, integers) = (
        attributes.floats("imputed_value_floats"),
        attributes.ints("imputed_value_int64s"),
    );
    if floats.is_empty() && integers.is_empty() {
        return Err("nothing to impute".to_owned());
    }
    Ok(Box::new(if floats.is_empty() {
        Imputer::Integers {
            replaced: attributes.int_or("replaced_value_int64", 0),
            by: integers.to_vec(),
        }
    } else {
        Imputer::Floats {
            replaced: attributes.float_or("replaced_value_float", 0.0),
            by: floats.to_vec(),
        }
    }))
}

fn impute<T: Copy>(
    values: &mut [T],
    columns: usize,
    by: &[T],
    is_replaced: impl Fn(T) -> bool,
) -> OpResult<()> {
    if by.len() != 1 && by.len() != columns {
        return Err(format!("{} values to impute in {columns} columns", by.len()));
    }
    for (at, value) in values.iter_mut().enumerate() {
        if is_replaced(*value) {
            *value = by[at % columns % by.len()];
        }
    }
    Ok(())
}

impl Operator for Imputer {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let mut x = inputs.require(0)?.clone();
        let (_, columns) = x.rows_and_columns()?;
        match (&mut x.data, self) {
            (Data::F32(values), Self::Floats { replaced, by }) => {
                impute(values, columns, by, |value| {
                    value == *replaced || (value.is_nan() && replaced.is_nan())
                })?;
            }
            (Data::I64(values), Self::Integers { replaced, by }) => {
                impute(values, columns, by, |value| value == *replaced)?
            }
            (other, _) => return Err(format!("{} cannot be imputed", other.kind())),
        }
        Ok(vec![x])
    }
}

#[derive(Debug)]
struct Binarizer(f32);

impl Operator for Binarizer {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let values = x
            .to_f32()?
            .into_iter()
            .map(|value| if value > self.0 { 1.0 } else { 0.0 })
            .collect();
        Ok(vec![Tensor::f32(x.shape.clone(), values)?])
    }
}

/// What happens to scores before they are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PostTransform {
    None,
    Logistic,
    Softmax,
    SoftmaxZero,
}

impl PostTransform {
    pub(super) fn read(attributes: &Attributes<'_>) -> OpResult<Self> {
        match attributes.text_or("post_transform", "NONE")?.as_str() {
            "NONE" => Ok(Self::None),
            "LOGISTIC" => Ok(Self::Logistic),
            "SOFTMAX" => Ok(Self::Softmax),
            "SOFTMAX_ZERO" => Ok(Self::SoftmaxZero),
            other => Err(format!("post_transform \"{other}\"")),
        }
    }

    pub(super) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::None => {}
            Self::Logistic => scores
                .iter_mut()
                .for_each(|score| *score = 1.0 / (1.0 + (-*score).exp())),
            Self::Softmax => softmax(scores),
            Self::SoftmaxZero => softmax_zero(scores),
        }
    }
}

/// Softmax that leaves zeros (classes no tree spoke of) out.
fn softmax_zero(scores: &mut [f64]) {
    let highest = scores.iter().copied().fold(f64::MIN, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        if score.abs() > 1e-7 {
            *score = (*score - highest).exp();
            sum += *score;
        } else {
            *score *= (-highest).exp();
        }
    }
    scores.iter_mut().for_each(|score| *score /= sum);
}

/// `coefficients` (targets x features) and `intercepts`.
#[derive(Debug)]
struct Linear {
    coefficients: Vec<f64>,
    intercepts: Vec<f64>,
    targets: usize,
    transform: PostTransform,
}

impl Linear {
    fn read(attributes: &Attributes<'_>, targets: usize) -> OpResult<Self> {
        let wide = |values: &[f32]| values.iter().map(|value| f64::from(*value)).collect::<Vec<f64>>();
        let coefficients = wide(attributes.floats("coefficients"));
        let intercepts = wide(attributes.floats("intercepts"));
        if targets == 0 || coefficients.is_empty() || !coefficients.len().is_multiple_of(targets) {
            return Err(format!(
                "{} coefficients for {targets} targets",
                coefficients.len()
            ));
        }
        if !intercepts.is_empty() && intercepts.len() != targets {
            return Err(format!("{} intercepts for {targets} targets", intercepts.len()));
        }
        Ok(Self {
            coefficients,
            intercepts,
            targets,
            transform: PostTransform::read(attributes)?,
        })
    }

    /// Rows x targets.
    fn scores(&self, inputs: &Inputs<'_>) -> OpResult<(usize, Vec<f64>)> {
        let x = inputs.require(0)?;
        let (rows, features) = x.rows_and_columns()?;
        if self.coefficients.len() != self.targets * features {
            return Err(format!(
                "{features} features for {} coefficients",
                self.coefficients.len()
            ));
        }
        let mut scores = Vec::with_capacity(inputs.room(&[rows, self.targets])?);
        for row in x.to_f64()?.chunks_exact(features) {
            for (target, line) in self.coefficients.chunks_exact(features).enumerate() {
                let sum: f64 = row.iter().zip(line).map(|(value, factor)| value * factor).sum();
                scores.push(sum + self.intercepts.get(target).copied().unwrap_or(0.0));
            }
        }
        Ok((rows, scores))
    }
}

fn linear_regressor(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let targets =
        usize::try_from(attributes.int_or("targets", 1)).map_err(|_| "a negative number of targets")?;
    Ok(Box::new(LinearRegressor(Linear::read(attributes, targets)?)))
}

#[derive(Debug)]
struct LinearRegressor(Linear);

impl Operator for LinearRegressor {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (rows, mut scores) = self.0.scores(inputs)?;
        for row in scores.chunks_exact_mut(self.0.targets) {
            self.0.transform.apply(row);
        }
        let scores = scores.into_iter().map(|score| score as f32).collect();
        Ok(vec![Tensor::f32(vec![rows, self.0.targets], scores)?])
    }
}

fn linear_classifier(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let labels = super::encode::class_labels(attributes, "classlabels_strings", "classlabels_ints")?;
    let targets = attributes.floats("intercepts").len();
    if targets != labels.len() && (targets, labels.len()) != (1, 2) {
        return Err(format!("{targets} intercepts for {} classes", labels.len()));
    }
    Ok(Box::new(LinearClassifier {
        linear: Linear::read(attributes, targets)?,
        labels,
    }))
}

#[derive(Debug)]
struct LinearClassifier {
    linear: Linear,
    labels: Vec<Label>,
}

impl Operator for LinearClassifier {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (rows, scores) = self.linear.scores(inputs)?;
        let classes = self.labels.len();
        let mut winners = Vec::with_capacity(rows);
        let mut answers = Vec::with_capacity(rows * classes);
        for row in scores.chunks_exact(self.linear.targets) {
            let mut row = row.to_vec();
            if let [score] = row[..] {
                winners.push(usize::from(score > 0.0));
                row = if self.linear.transform == PostTransform::Logistic {
                    vec![-score, score]
                } else {
                    vec![1.0 - score, score]
                };
            } else {
                winners.push(crate::prediction::argmax(&row) as usize);
            }
            self.linear.transform.apply(&mut row);
            answers.extend(row.into_iter().map(|score| score as f32));
        }
        Ok(vec![
            super::encode::label_tensor(&self.labels, &winners)?,
            Tensor::f32(vec![rows, classes], answers)?,
        ])
    }

    fn classes(&self) -> Option<Vec<Label>> {
        Some(self.labels.clone())
    }
}
