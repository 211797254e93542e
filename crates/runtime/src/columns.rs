//! Finds the columns of a frame that a model's inputs read, and checks their kinds.

use crate::error::{Error, Result};
use crate::signature::Field;
use everloop_core::{Frame, Values, nearest};

/// Per input the column of `frame` that it reads, found by name; `None` for an optional one that is not there.
/// A model whose columns have no names of their own (`named` is false) takes them by place, unless all names are there.
pub(crate) fn bind<'f>(frame: &'f Frame, inputs: &[Field], named: bool) -> Result<Vec<Option<&'f Values>>> {
    let by_name = |field: &Field| match frame.get(&field.name) {
        None if field.required => Err(missing(frame, &field.name)),
        found => Ok(found),
    };
    let bound: Result<Vec<_>> = inputs.iter().map(by_name).collect();
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
