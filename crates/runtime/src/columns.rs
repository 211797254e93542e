//! Finds the columns of a frame that a model's inputs read, and checks their kinds.

use crate::error::{Error, Result};
use crate::signature::Field;
use everloop_core::{Frame, Values, nearest};

/// Per input the column of `frame` that it reads, found by name; `None` for an optional one that is not there.
/// A model whose columns have no names of their own (`named` is false) takes them by place, unless all names are there.
pub(crate) fn bind<'f>(frame: &'f Frame, inputs: &[Field], named: bool) -> Result<Vec<Option<&'f Values>>> {
    let by_name = |(place, field): (usize, &Field)| {
        // Most requests name the columns in the model's own order: then there is nothing to look for.
        let here = frame
            .columns()
            .get(place)
            .filter(|column| column.name == field.name);
        match here
            .map(|column| &column.values)
            .or_else(|| frame.get(&field.name))
        {
            None if field.required => Err(missing(frame, &field.name)),
            found => Ok(found),
        }
    };
    let bound: Result<Vec<_>> = inputs.iter().enumerate().map(by_name).collect();
    if bound.is_ok() || named {
        return bound;
    }
    if frame.columns().len() != inputs.len() {
        return Err(Error::ColumnCount {
            expected: inputs.len(),
            found: frame.columns().len(),
        });
    }
    Ok(frame
        .columns()
        .iter()
        .map(|column| Some(&column.values))
        .collect())
}

/// What says that `column` is not among the columns of `frame`.
pub(crate) fn missing(frame: &Frame, column: &str) -> Error {
    let names = frame.columns().iter().map(|column| column.name.as_str());
    Error::MissingColumn {
        column: column.to_owned(),
        nearest: nearest(column, names).map(str::to_owned),
    }
}

/// Refuses texts where numbers are expected and the other way round. A column without any value is of every kind.
pub(crate) fn check_kind(column: &str, values: &Values, text: bool) -> Result<()> {
    if values.is_text() == text || (0..values.len()).all(|row| values.is_missing(row)) {
        return Ok(());
    }
    let word = |text| if text { "texts" } else { "numbers" };
    Err(Error::WrongKind {
        column: column.to_owned(),
        expected: word(text),
        found: word(values.is_text()),
    })
}
