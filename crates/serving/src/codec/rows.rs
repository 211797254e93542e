//! JSON values as columns of one kind.

use everloop_core::{Column, Frame, Values};
use serde_json::Value;

use crate::{Error, Result};

/// A column of JSON values: numbers when all that are there are numbers, and so on. `null` is missing.
pub(crate) fn column(name: &str, values: &[&Value]) -> Result<Column> {
    let first = values.iter().find(|value| !value.is_null());
    let wrong = |row: usize| {
        let found = kind(values[row]);
        Error::bad_at(
            format!(
                "column \"{name}\" mixes {found} with {}",
                first.map_or("nothing", |value| kind(value))
            ),
            format!("row {row}, column \"{name}\""),
        )
    };
    let read = match first {
        None => Values::Float(vec![f64::NAN; values.len()]),
        Some(Value::Bool(_)) => Values::Bool(collect(values, Value::as_bool, wrong)?),
        Some(Value::String(_)) => Values::Text(collect(
            values,
            |value| value.as_str().map(ToOwned::to_owned),
            wrong,
        )?),
        Some(Value::Number(_)) if values.iter().all(|value| value.is_null() || value.is_i64()) => {
            Values::Int(collect(values, Value::as_i64, wrong)?)
        }
        Some(Value::Number(_)) => {
            let numbers = collect(values, Value::as_f64, wrong)?;
            Values::Float(
                numbers
                    .into_iter()
                    .map(|number| number.unwrap_or(f64::NAN))
                    .collect(),
            )
        }
        Some(_) => {
            return Err(wrong(
                values.iter().position(|value| !value.is_null()).unwrap_or(0),
            ));
        }
    };
    Ok(Column {
        name: name.to_owned(),
        values: read,
    })
}

fn collect<T>(
    values: &[&Value],
    read: impl Fn(&Value) -> Option<T>,
    wrong: impl Fn(usize) -> Error,
) -> Result<Vec<Option<T>>> {
    values
        .iter()
        .enumerate()
        .map(|(row, value)| {
            if value.is_null() {
                Ok(None)
            } else {
                read(value).map(Some).ok_or_else(|| wrong(row))
            }
        })
        .collect()
}

pub(crate) fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a truth value",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "an object",
    }
}

/// Columns as a frame; two of the same name are refused.
pub(crate) fn frame(columns: Vec<Column>) -> Result<Frame> {
    let mut names: Vec<&str> = columns.iter().map(|column| column.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        return Err(Error::bad(format!("column \"{}\" is there twice", pair[0])));
    }
    Frame::new(columns).map_err(|error| Error::bad(error.to_string()))
}
