//! Operators that work on each element, with NumPy's broadcasting.

use super::{Context, Inputs, Operator};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor};

pub(super) fn read(
    kind: &str,
    attributes: &Attributes<'_>,
    context: &Context<'_>,
) -> Option<OpResult<Box<dyn Operator>>> {
    if let Some(unary) = unary(kind, attributes) {
        return Some(Ok(Box::new(unary)));
    }
    let operator: Box<dyn Operator> = match kind {
        "Add" => Box::new(Fold(Arithmetic::Add)),
        "Sub" => Box::new(Fold(Arithmetic::Sub)),
        "Mul" => Box::new(Fold(Arithmetic::Mul)),
        "Div" => Box::new(Fold(Arithmetic::Div)),
        "Pow" => Box::new(Fold(Arithmetic::Pow)),
        "Sum" => Box::new(Fold(Arithmetic::Add)),
        "Max" => Box::new(Fold(Arithmetic::Max)),
        "Min" => Box::new(Fold(Arithmetic::Min)),
        "Mean" => Box::new(Mean),
        "Less" => Box::new(Compare(Comparison::Less)),
        "LessOrEqual" => Box::new(Compare(Comparison::LessOrEqual)),
        "Greater" => Box::new(Compare(Comparison::Greater)),
        "GreaterOrEqual" => Box::new(Compare(Comparison::GreaterOrEqual)),
        "Equal" => Box::new(Compare(Comparison::Equal)),
        "And" => Box::new(Logic(|a, b| a && b)),
        "Or" => Box::new(Logic(|a, b| a || b)),
        "Xor" => Box::new(Logic(|a, b| a != b)),
        "Not" => Box::new(Not),
        "IsNaN" => Box::new(IsNan),
        "Where" => Box::new(Where),
        "Clip" => Box::new(Clip {
            low: attributes.has("min").then(|| attributes.float_or("min", 0.0)),
            high: attributes.has("max").then(|| attributes.float_or("max", 0.0)),
            by_attribute: context.version < 11,
        }),
        _ => return None,
    };
    Some(Ok(operator))
}

/// A function of one float; integers where it makes sense for them.
#[derive(Debug, Clone, Copy)]
struct Unary {
    float: fn(f64, f64) -> f64,
    integer: Option<fn(i64) -> i64>,
    parameter: f64,
}

fn unary(kind: &str, attributes: &Attributes<'_>) -> Option<Unary> {
    let alpha = |default| f64::from(attributes.float_or("alpha", default));
    let float = |float: fn(f64, f64) -> f64| Unary {
        float,
        integer: None,
        parameter: 0.0,
    };
    let both = |float: fn(f64, f64) -> f64, integer: fn(i64) -> i64| Unary {
        float,
        integer: Some(integer),
        parameter: 0.0,
    };
    let with = |float: fn(f64, f64) -> f64, parameter: f64| Unary {
        float,
        integer: None,
        parameter,
    };
    Some(match kind {
        "Neg" => both(|x, _| -x, i64::wrapping_neg),
        "Abs" => both(|x, _| x.abs(), i64::wrapping_abs),
        "Sign" => both(
            |x, _| if x == 0.0 || x.is_nan() { x } else { x.signum() },
            i64::signum,
        ),
        "Relu" => both(|x, _| if x < 0.0 { 0.0 } else { x }, |x| x.max(0)),
        "Exp" => float(|x, _| x.exp()),
        "Log" => float(|x, _| x.ln()),
        "Sqrt" => float(|x, _| x.sqrt()),
        "Reciprocal" => float(|x, _| 1.0 / x),
        "Sigmoid" => float(|x, _| 1.0 / (1.0 + (-x).exp())),
        "Tanh" => float(|x, _| x.tanh()),
        "Softplus" => float(|x, _| x.max(0.0) + (-x.abs()).exp().ln_1p()),
        "Softsign" => float(|x, _| x / (1.0 + x.abs())),
        "Floor" => float(|x, _| x.floor()),
        "Ceil" => float(|x, _| x.ceil()),
        "Round" => float(|x, _| x.round_ties_even()),
        "Sin" => float(|x, _| x.sin()),
        "Cos" => float(|x, _| x.cos()),
        "Tan" => float(|x, _| x.tan()),
        "Atan" => float(|x, _| x.atan()),
        "Cosh" => float(|x, _| x.cosh()),
        "Sinh" => float(|x, _| x.sinh()),
        "LeakyRelu" => with(|x, alpha| if x < 0.0 { alpha * x } else { x }, alpha(0.01)),
        "Elu" => with(
            |x, alpha| if x < 0.0 { alpha * x.exp_m1() } else { x },
            alpha(1.0),
        ),
        "HardSigmoid" if !attributes.has("beta") => {
            with(|x, alpha| (alpha * x + 0.5).clamp(0.0, 1.0), alpha(0.2))
        }
        _ => return None,
    })
}

impl Operator for Unary {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let data = match (&x.data, self.integer) {
            // The libraries compute in 32 bits; doubling the width and rounding once is nearest to all of them.
            (Data::F32(values), _) => Data::F32(
                values
                    .iter()
                    .map(|x| (self.float)(f64::from(*x), self.parameter) as f32)
                    .collect(),
            ),
            (Data::F64(values), _) => {
                Data::F64(values.iter().map(|x| (self.float)(*x, self.parameter)).collect())
            }
            (Data::I64(values), Some(integer)) => Data::I64(values.iter().map(|x| integer(*x)).collect()),
            (Data::I32(values), Some(integer)) => {
                Data::I32(values.iter().map(|x| integer(i64::from(*x)) as i32).collect())
            }
            (other, _) => return Err(format!("floats are expected, not {}", other.kind())),
        };
        Ok(vec![Tensor::new(x.shape.clone(), data)?])
    }
}

/// The shape that two shapes are stretched to.
pub(super) fn broadcast_shape(a: &[usize], b: &[usize]) -> OpResult<Vec<usize>> {
    let rank = a.len().max(b.len());
    let size = |shape: &[usize], place: usize| match (place + shape.len()).checked_sub(rank) {
        Some(own) => shape[own],
        None => 1,
    };
    (0..rank)
        .map(|place| match (size(a, place), size(b, place)) {
            (x, y) if x == y => Ok(x),
            (1, y) => Ok(y),
            (x, 1) => Ok(x),
            _ => Err(format!("shapes {a:?} and {b:?} do not fit together")),
        })
        .collect()
}

/// For each element of `shape` in order, the place of the element of a tensor of shape `own` stretched to it.
pub(super) fn stretched(own: &[usize], shape: &[usize]) -> Vec<usize> {
    let count = shape.iter().product();
    if own == shape {
        return (0..count).collect();
    }
    // How far one step along each axis of `shape` goes in the tensor.
    let mut strides = vec![0; shape.len()];
    let mut stride = 1;
    for (place, size) in own.iter().enumerate().rev() {
        if *size != 1 {
            strides[place + shape.len() - own.len()] = stride;
        }
        stride *= size;
    }
    let mut places = Vec::with_capacity(count);
    let mut index = vec![0; shape.len()];
    let mut place = 0;
    for _ in 0..count {
        places.push(place);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            place += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            place -= strides[axis] * shape[axis];
            index[axis] = 0;
        }
    }
    places
}

fn zip<A: Copy, B: Copy, R>(
    inputs: &Inputs<'_>,
    a: (&[usize], &[A]),
    b: (&[usize], &[B]),
    combine: impl Fn(A, B) -> R,
) -> OpResult<(Vec<usize>, Vec<R>)> {
    let shape = broadcast_shape(a.0, b.0)?;
    inputs.room(&shape)?;
    let same = a.0 == b.0;
    let values = match (a.1, b.1) {
        (x, y) if same => x.iter().zip(y).map(|(x, y)| combine(*x, *y)).collect(),
        (x, [y]) if a.0 == shape => x.iter().map(|x| combine(*x, *y)).collect(),
        (x, y) => stretched(a.0, &shape)
            .into_iter()
            .zip(stretched(b.0, &shape))
            .map(|(i, j)| combine(x[i], y[j]))
            .collect(),
    };
    Ok((shape, values))
}

/// A function of two numbers, folded over all inputs.
#[derive(Debug)]
struct Fold(Arithmetic);

#[derive(Debug, Clone, Copy)]
enum Arithmetic {
    Add,
    Sub,
    Mul,
    Div,
    Pow,
    Max,
    Min,
}

macro_rules! float_arithmetic {
    ($kind:expr) => {
        match $kind {
            Arithmetic::Add => |a, b| a + b,
            Arithmetic::Sub => |a, b| a - b,
            Arithmetic::Mul => |a, b| a * b,
            Arithmetic::Div => |a, b| a / b,
            Arithmetic::Pow => |a, b| a.powf(b),
            Arithmetic::Max => |a, b| if b > a || b.is_nan() { b } else { a },
            Arithmetic::Min => |a, b| if b < a || b.is_nan() { b } else { a },
        }
    };
}

macro_rules! integer_arithmetic {
    ($kind:expr, $zero:expr) => {
        match $kind {
            Arithmetic::Add => |a, b| a.wrapping_add(b),
            Arithmetic::Sub => |a, b| a.wrapping_sub(b),
            Arithmetic::Mul => |a, b| a.wrapping_mul(b),
            Arithmetic::Div => |a, b| if b == $zero { $zero } else { a.wrapping_div(b) },
            Arithmetic::Pow => |a, b| a.wrapping_pow(b.clamp(0, 64) as u32),
            Arithmetic::Max => |a, b| a.max(b),
            Arithmetic::Min => |a, b| a.min(b),
        }
    };
}

impl Arithmetic {
    fn apply(self, inputs: &Inputs<'_>, a: &Tensor, b: &Tensor) -> OpResult<Tensor> {
        let (shape, data) = match (&a.data, &b.data) {
            (Data::F32(x), Data::F32(y)) => {
                let combine: fn(f32, f32) -> f32 = float_arithmetic!(self);
                let (shape, values) = zip(inputs, (&a.shape, x), (&b.shape, y), combine)?;
                (shape, Data::F32(values))
            }
            (Data::F64(x), Data::F64(y)) => {
                let combine: fn(f64, f64) -> f64 = float_arithmetic!(self);
                let (shape, values) = zip(inputs, (&a.shape, x), (&b.shape, y), combine)?;
                (shape, Data::F64(values))
            }
            (Data::I64(x), Data::I64(y)) => {
                let combine: fn(i64, i64) -> i64 = integer_arithmetic!(self, 0);
                let (shape, values) = zip(inputs, (&a.shape, x), (&b.shape, y), combine)?;
                (shape, Data::I64(values))
            }
            (Data::I32(x), Data::I32(y)) => {
                let combine: fn(i32, i32) -> i32 = integer_arithmetic!(self, 0);
                let (shape, values) = zip(inputs, (&a.shape, x), (&b.shape, y), combine)?;
                (shape, Data::I32(values))
            }
            // Pow alone may raise floats to integers.
            (Data::F32(_), _) if matches!(self, Self::Pow) => {
                return self.apply(inputs, a, &Tensor::f32(b.shape.clone(), b.to_f32()?)?);
            }
            (x, y) => return Err(format!("{} and {} do not mix", x.kind(), y.kind())),
        };
        Tensor::new(shape, data)
    }
}

impl Operator for Fold {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let mut result = inputs.require(0)?.clone();
        for index in 1..inputs.tensors.len() {
            result = self.0.apply(inputs, &result, inputs.require(index)?)?;
        }
        Ok(vec![result])
    }
}

#[derive(Debug)]
struct Mean;

impl Operator for Mean {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let mut sums = Fold(Arithmetic::Add).run(inputs)?;
        let count = inputs.tensors.len();
        match sums.first_mut().map(|sum| &mut sum.data) {
            Some(Data::F32(values)) => values.iter_mut().for_each(|x| *x /= count as f32),
            Some(Data::F64(values)) => values.iter_mut().for_each(|x| *x /= count as f64),
            _ => return Err("floats are expected".to_owned()),
        }
        Ok(sums)
    }
}

#[derive(Debug)]
struct Compare(Comparison);

#[derive(Debug, Clone, Copy)]
enum Comparison {
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
    Equal,
}

fn comparison<T: PartialOrd + Copy>(kind: Comparison) -> fn(T, T) -> bool {
    match kind {
        Comparison::Less => |a, b| a < b,
        Comparison::LessOrEqual => |a, b| a <= b,
        Comparison::Greater => |a, b| a > b,
        Comparison::GreaterOrEqual => |a, b| a >= b,
        Comparison::Equal => |a, b| a == b,
    }
}

impl Operator for Compare {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (a, b) = (inputs.require(0)?, inputs.require(1)?);
        let (shape, values) = match (&a.data, &b.data) {
            (Data::F32(x), Data::F32(y)) => zip(inputs, (&a.shape, x), (&b.shape, y), comparison(self.0)),
            (Data::F64(x), Data::F64(y)) => zip(inputs, (&a.shape, x), (&b.shape, y), comparison(self.0)),
            (Data::I64(x), Data::I64(y)) => zip(inputs, (&a.shape, x), (&b.shape, y), comparison(self.0)),
            (Data::I32(x), Data::I32(y)) => zip(inputs, (&a.shape, x), (&b.shape, y), comparison(self.0)),
            (Data::Bool(x), Data::Bool(y)) => zip(inputs, (&a.shape, x), (&b.shape, y), comparison(self.0)),
            (Data::Text(x), Data::Text(y)) => {
                let (x, y): (Vec<&str>, Vec<&str>) = (
                    x.iter().map(String::as_str).collect(),
                    y.iter().map(String::as_str).collect(),
                );
                zip(inputs, (&a.shape, &x), (&b.shape, &y), comparison(self.0))
            }
            (x, y) => Err(format!("{} and {} do not compare", x.kind(), y.kind())),
        }?;
        Ok(vec![Tensor::new(shape, Data::Bool(values))?])
    }
}

fn truths(tensor: &Tensor) -> OpResult<&[bool]> {
    match &tensor.data {
        Data::Bool(values) => Ok(values),
        other => Err(format!("truth values are expected, not {}", other.kind())),
    }
}

#[derive(Debug)]
struct Logic(fn(bool, bool) -> bool);

impl Operator for Logic {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (a, b) = (inputs.require(0)?, inputs.require(1)?);
        let (shape, values) = zip(inputs, (&a.shape, truths(a)?), (&b.shape, truths(b)?), self.0)?;
        Ok(vec![Tensor::new(shape, Data::Bool(values))?])
    }
}

#[derive(Debug)]
struct Not;

impl Operator for Not {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let values = truths(x)?.iter().map(|value| !value).collect();
        Ok(vec![Tensor::new(x.shape.clone(), Data::Bool(values))?])
    }
}

#[derive(Debug)]
struct IsNan;

impl Operator for IsNan {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let values = x.to_f64()?.into_iter().map(f64::is_nan).collect();
        Ok(vec![Tensor::new(x.shape.clone(), Data::Bool(values))?])
    }
}

#[derive(Debug)]
struct Where;

impl Operator for Where {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let (test, yes, no) = (inputs.require(0)?, inputs.require(1)?, inputs.require(2)?);
        let shape = broadcast_shape(&broadcast_shape(&test.shape, &yes.shape)?, &no.shape)?;
        inputs.room(&shape)?;
        if std::mem::discriminant(&yes.data) != std::mem::discriminant(&no.data) {
            return Err(format!("{} and {} do not mix", yes.data.kind(), no.data.kind()));
        }
        let tests: Vec<bool> = stretched(&test.shape, &shape)
            .into_iter()
            .map(|place| truths(test).map(|t| t[place]))
            .collect::<Result<_, _>>()?;
        let yes = yes.pick(shape.clone(), &stretched(&yes.shape, &shape))?;
        let no = no.pick(shape.clone(), &stretched(&no.shape, &shape))?;
        // Both halves behind each other, then one of the two places.
        let places: Vec<usize> = tests
            .iter()
            .enumerate()
            .map(|(place, test)| if *test { place } else { place + tests.len() })
            .collect();
        let both = super::shape::append(&[&yes.data, &no.data])?;
        Ok(vec![Tensor::new(shape, both.pick(&places))?])
    }
}

#[derive(Debug)]
struct Clip {
    low: Option<f32>,
    high: Option<f32>,
    /// Before version 11 the bounds are attributes.
    by_attribute: bool,
}

impl Operator for Clip {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let mut result = inputs.require(0)?.clone();
        if self.by_attribute {
            if let Data::F32(values) = &mut result.data {
                let (low, high) = (self.low.unwrap_or(f32::MIN), self.high.unwrap_or(f32::MAX));
                values.iter_mut().for_each(|x| {
                    *x = if *x < low {
                        low
                    } else if *x > high {
                        high
                    } else {
                        *x
                    }
                });
                return Ok(vec![result]);
            }
            return Err(format!("32-bit floats are expected, not {}", result.data.kind()));
        }
        if let Some(low) = inputs.get(1) {
            result = Arithmetic::Max.apply(inputs, &result, low)?;
        }
        if let Some(high) = inputs.get(2) {
            result = Arithmetic::Min.apply(inputs, &result, high)?;
        }
        Ok(vec![result])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_broadcast_as_numpy_does() {
        assert_eq!(broadcast_shape(&[3, 1], &[4]), Ok(vec![3, 4]));
        assert_eq!(broadcast_shape(&[], &[2]), Ok(vec![2]));
        assert!(broadcast_shape(&[3], &[4]).is_err());
        assert_eq!(stretched(&[3, 1], &[3, 2]), [0, 0, 1, 1, 2, 2]);
        assert_eq!(stretched(&[2], &[2, 2]), [0, 1, 0, 1]);
        assert_eq!(stretched(&[1, 2], &[0, 2]), Vec::<usize>::new());
        assert_eq!(stretched(&[], &[2]), [0, 0]);
    }
}
