//! The profile of one column: its state, and how two join.

use super::numbers::Numbers;
use super::texts::Texts;
use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What a column holds, as far as its summary goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Whole numbers.
    Integer,
    /// Real numbers and decimals.
    Real,
    /// Dates and times; figures are milliseconds since 1970-01-01T00:00:00Z.
    Time,
    /// Truth values.
    Boolean,
    /// Texts and categories.
    Text,
    /// Lists, structs, binary: only rows and nulls are counted.
    Other,
}

impl Kind {
    /// Whether the column has a mean, quantiles and a histogram.
    #[must_use]
    pub fn is_numeric(self) -> bool {
        matches!(self, Self::Integer | Self::Real | Self::Time)
    }
}

/// Summary of one column. Mergeable: the profile of a table is the merge of the profiles of its parts.
///
/// While a column has at most 512 different values, all figures are exact. Beyond that, quantiles and shares of bins
/// are right to about half a percent of the rows, the number of different values to about 2 %, and counts of frequent
/// values to [`count_error`](Self::count_error). Rows, nulls, NaN, extremes, mean and variance are always exact (up
/// to rounding).
#[derive(Debug, Clone)]
pub struct ColumnProfile {
    pub(crate) name: String,
    pub(crate) type_name: String,
    pub(crate) kind: Kind,
    pub(crate) rows: u64,
    pub(crate) nulls: u64,
    pub(crate) state: State,
}

/// What is known of the values.
#[derive(Debug, Clone)]
pub(crate) enum State {
    Numbers(Box<Numbers>),
    Texts(Box<Texts>),
    Booleans { trues: u64 },
    Opaque,
}

impl ColumnProfile {
    /// The column's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its Arrow type, such as `Float64` or `Timestamp(µs)`.
    #[must_use]
    pub fn type_name(&self) -> &str {
        &self.type_name
    }

    /// What it holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Rows seen, null or not.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows without a value.
    #[must_use]
    pub fn nulls(&self) -> u64 {
        self.nulls
    }

    /// Rows whose value is NaN; they are no nulls.
    #[must_use]
    pub fn nans(&self) -> u64 {
        match &self.state {
            State::Numbers(numbers) => numbers.nans,
            _ => 0,
        }
    }

    /// Rows whose value is infinite. They are in no figure but this.
    #[must_use]
    pub fn infinities(&self) -> u64 {
        match &self.state {
            State::Numbers(numbers) => numbers.infinities,
            _ => 0,
        }
    }

    /// Adds what `other` has seen of the same column. Integers and reals join to reals; a side without any value
    /// takes the kind of the other.
    ///
    /// # Errors
    /// When both have values and the kinds do not join.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        if self.kind != other.kind && self.rows == self.nulls {
            let (rows, nulls) = (self.rows, self.nulls);
            let name = std::mem::take(&mut self.name);
            *self = Self {
                name,
                ..other.clone()
            };
            self.rows += rows;
            self.nulls += nulls;
            return Ok(());
        }
        match (&mut self.state, &other.state) {
            _ if other.rows == other.nulls => {}
            (State::Numbers(mine), State::Numbers(theirs)) if joins(self.kind, other.kind) => {
                mine.merge(theirs);
                if self.kind != other.kind {
                    self.kind = Kind::Real;
                }
            }
            (State::Texts(mine), State::Texts(theirs)) => mine.merge(theirs),
            (State::Booleans { trues }, State::Booleans { trues: theirs }) => *trues += theirs,
            (State::Opaque, State::Opaque) => {}
            _ => {
                return Err(Error::DifferentColumns {
                    detail: format!(
                        "column \"{}\" holds {:?} on one side and {:?} on the other",
                        self.name, self.kind, other.kind
                    ),
                });
            }
        }
        self.rows += other.rows;
        self.nulls += other.nulls;
        Ok(())
    }

    pub(crate) fn finish(&mut self) {
        match &mut self.state {
            State::Numbers(numbers) => numbers.finish(),
            State::Texts(texts) => texts.finish(),
            State::Booleans { .. } | State::Opaque => {}
        }
    }
}

fn joins(a: Kind, b: Kind) -> bool {
    a == b || (a != Kind::Time && b != Kind::Time)
}
