//! The questions every function asks of its arguments first.

use crate::{Error, Result};

/// At least one value.
pub(crate) fn non_empty<T>(what: &'static str, values: &[T]) -> Result<()> {
    if values.is_empty() {
        Err(Error::Empty { what })
    } else {
        Ok(())
    }
}

/// At least `needed` values.
pub(crate) fn at_least<T>(what: &'static str, values: &[T], needed: usize) -> Result<()> {
    if values.len() < needed {
        return Err(Error::TooFew {
            what,
            needed,
            found: values.len(),
        });
    }
    Ok(())
}

/// Two lists that describe the same rows, of which there is at least one.
pub(crate) fn same_rows<A, B>(left: &'static str, a: &[A], right: &'static str, b: &[B]) -> Result<()> {
    if a.len() != b.len() {
        return Err(Error::Lengths {
            left,
            left_len: a.len(),
            right,
            right_len: b.len(),
        });
    }
    non_empty(left, a)
}

/// No NaN and no infinity.
pub(crate) fn finite(what: &'static str, values: &[f64]) -> Result<()> {
    match values.iter().position(|v| !v.is_finite()) {
        Some(index) => Err(Error::NotFinite { what, index }),
        None => Ok(()),
    }
}

/// Each value in `[0, 1]`.
pub(crate) fn probabilities(what: &'static str, values: &[f64]) -> Result<()> {
    finite(what, values)?;
    match values.iter().position(|v| !(0.0..=1.0).contains(v)) {
        Some(index) => Err(Error::OutOfRange {
            what,
            value: values[index],
            allowed: "[0, 1]",
            index: Some(index),
        }),
        None => Ok(()),
    }
}

/// One value strictly between 0 and 1, such as a level.
pub(crate) fn open_unit(what: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value < 1.0 {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what,
        value,
        allowed: "(0, 1)",
        index: None,
    })
}

/// One value above 0 and finite, such as a scale.
pub(crate) fn positive(what: &'static str, value: f64) -> Result<()> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(Error::OutOfRange {
        what,
        value,
        allowed: "(0, inf)",
        index: None,
    })
}
