//! Cast: numbers, truth values and texts into each other.

use super::{Inputs, Operator};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor, Type};

pub(super) fn read(kind: &str, attributes: &Attributes<'_>) -> Option<OpResult<Box<dyn Operator>>> {
    if kind != "Cast" {
        return None;
    }
    Some(
        attributes
            .element_type("to")
            .map(|to| Box::new(Cast(to)) as Box<dyn Operator>),
    )
}

#[derive(Debug)]
struct Cast(Type);

impl Operator for Cast {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        Ok(vec![Tensor::new(x.shape.clone(), cast(&x.data, self.0)?)?])
    }
}

fn cast(data: &Data, to: Type) -> OpResult<Data> {
    // Between whole numbers no float may stand: it would round those above 2^53.
    Ok(match (data, to) {
        (Data::F32(values), Type::F32) => Data::F32(values.clone()),
        (Data::I64(values), Type::I64) => Data::I64(values.clone()),
        (Data::I64(values), Type::I32) => Data::I32(values.iter().map(|value| *value as i32).collect()),
        (Data::I32(values), Type::I64) => Data::I64(values.iter().map(|value| i64::from(*value)).collect()),
        (Data::Text(values), Type::I64) => Data::I64(parse(values)?),
        (_, Type::Text) => Data::Text(texts(data)),
        (_, Type::F32) => Data::F32(numbers(data)?.into_iter().map(|value| value as f32).collect()),
        (_, Type::F64) => Data::F64(numbers(data)?),
        (_, Type::I64) => Data::I64(numbers(data)?.into_iter().map(|value| value as i64).collect()),
        (_, Type::I32) => Data::I32(numbers(data)?.into_iter().map(|value| value as i32).collect()),
        (_, Type::Bool) => Data::Bool(numbers(data)?.into_iter().map(|value| value != 0.0).collect()),
    })
}

fn numbers(data: &Data) -> OpResult<Vec<f64>> {
    Ok(match data {
        Data::F32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Data::F64(values) => values.clone(),
        Data::I32(values) => values.iter().map(|value| f64::from(*value)).collect(),
        Data::I64(values) => values.iter().map(|value| *value as f64).collect(),
        Data::Bool(values) => values.iter().map(|value| f64::from(u8::from(*value))).collect(),
        Data::Text(values) => parse(values)?,
    })
}

fn parse<T: std::str::FromStr>(texts: &[String]) -> OpResult<Vec<T>> {
    texts
        .iter()
        .map(|text| {
            text.trim()
                .parse()
                .map_err(|_| "a text is not a number".to_owned())
        })
        .collect()
}

fn texts(data: &Data) -> Vec<String> {
    match data {
        Data::F32(values) => values
            .iter()
            .map(|value| short_float(f64::from(*value), 8))
            .collect(),
        Data::F64(values) => values.iter().map(|value| short_float(*value, 17)).collect(),
        Data::I32(values) => values.iter().map(i32::to_string).collect(),
        Data::I64(values) => values.iter().map(i64::to_string).collect(),
        Data::Bool(values) => values.iter().map(|value| u8::from(*value).to_string()).collect(),
        Data::Text(values) => values.clone(),
    }
}

/// C's `%.{digits}g`, which ONNX Runtime writes floats with.
fn short_float(value: f64, digits: usize) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "INF" } else { "-INF" }.to_owned();
    }
    let scientific = format!("{value:.*e}", digits - 1);
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    let trimmed = |text: &str| match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text.to_owned(),
    };
    if exponent < -4 || exponent >= digits as i32 {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{}e{sign}{:02}", trimmed(mantissa), exponent.abs());
    }
    let decimals = (digits as i32 - 1 - exponent).max(0) as usize;
    trimmed(&format!("{value:.decimals$}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_written_as_c_does() {
        for (value, expected) in [
            (1.0, "1"),
            (0.1, "0.1"),
            (1.5e10, "1.5e+10"),
            (12345678.0, "12345678"),
            (123456789.0, "1.2345679e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5, "-2.5"),
            (f64::NAN, "NaN"),
        ] {
            assert_eq!(short_float(value, 8), expected);
        }
    }

    #[test]
    fn large_integers_keep_every_digit() {
        let large = Data::I64(vec![i64::MAX - 1]);
        assert_eq!(
            cast(&large, Type::Text),
            Ok(Data::Text(vec![(i64::MAX - 1).to_string()]))
        );
        assert_eq!(cast(&large, Type::I64), Ok(large));
    }
}
