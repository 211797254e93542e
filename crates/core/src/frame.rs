//! A small table of columns in memory: what models read and answer, and what statistics are computed from.
//!
//! Plain vectors, so that the serving path needs no query engine; `tables` converts to and from Arrow.

use std::sync::Arc;

/// Named columns of equal length.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Frame {
    columns: Vec<Column>,
    rows: usize,
}

/// One named column.
#[derive(Debug, Clone, PartialEq)]
pub struct Column {
    /// The column's name.
    pub name: String,
    /// Its values.
    pub values: Values,
}

/// The values of one column; a missing value has a place in every kind.
#[derive(Debug, Clone, PartialEq)]
pub enum Values {
    /// Real numbers; missing is NaN.
    Float(Vec<f64>),
    /// Whole numbers; missing is `None`.
    Int(Vec<Option<i64>>),
    /// Truth values; missing is `None`.
    Bool(Vec<Option<bool>>),
    /// Texts; missing is `None`.
    Text(Vec<Option<String>>),
    /// Texts from a small set: `codes[row]` indexes `names`; missing is [`Values::MISSING`].
    Category {
        /// Index into `names` per row.
        codes: Vec<u32>,
        /// The distinct texts.
        names: Arc<Vec<String>>,
    },
}

/// Two columns differ in length.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("column \"{column}\" has {found} rows where {expected} were expected")]
pub struct UnequalRows {
    /// The column that differs.
    pub column: String,
    /// Its rows.
    pub found: usize,
    /// The rows of the columns before it.
    pub expected: usize,
}

impl Values {
    /// The code of a missing value in [`Values::Category`].
    pub const MISSING: u32 = u32::MAX;

    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Float(values) => values.len(),
            Self::Int(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
            Self::Category { codes, .. } => codes.len(),
        }
    }

    /// Whether there are no rows.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The value of `row` as a number: NaN when missing or a text; `true` is 1.
    #[must_use]
    pub fn number(&self, row: usize) -> f64 {
        match self {
            Self::Float(values) => values[row],
            Self::Int(values) => values[row].map_or(f64::NAN, |value| value as f64),
            Self::Bool(values) => values[row].map_or(f64::NAN, |value| if value { 1.0 } else { 0.0 }),
            Self::Text(_) | Self::Category { .. } => f64::NAN,
        }
    }

    /// The value of `row` as text, when the column holds texts and the value is there.
    #[must_use]
    pub fn text(&self, row: usize) -> Option<&str> {
        match self {
            Self::Text(values) => values[row].as_deref(),
            Self::Category { codes, names } => names.get(codes[row] as usize).map(String::as_str),
            Self::Float(_) | Self::Int(_) | Self::Bool(_) => None,
        }
    }

    /// Whether the column holds texts.
    #[must_use]
    pub fn is_text(&self) -> bool {
        matches!(self, Self::Text(_) | Self::Category { .. })
    }

    /// Whether the value of `row` is missing.
    #[must_use]
    pub fn is_missing(&self, row: usize) -> bool {
        match self {
            Self::Float(values) => values[row].is_nan(),
            Self::Int(values) => values[row].is_none(),
            Self::Bool(values) => values[row].is_none(),
            Self::Text(values) => values[row].is_none(),
            Self::Category { codes, .. } => codes[row] == Self::MISSING,
        }
    }

    /// All values as numbers, as [`number`](Self::number) gives them.
    #[must_use]
    pub fn to_numbers(&self) -> Vec<f64> {
        match self {
            Self::Float(values) => values.clone(),
            other => (0..other.len()).map(|row| other.number(row)).collect(),
        }
    }

    /// The rows named by `rows`, in that order.
    ///
    /// # Panics
    /// When a row is out of range.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        match self {
            Self::Float(values) => Self::Float(rows.iter().map(|&row| values[row]).collect()),
            Self::Int(values) => Self::Int(rows.iter().map(|&row| values[row]).collect()),
            Self::Bool(values) => Self::Bool(rows.iter().map(|&row| values[row]).collect()),
            Self::Text(values) => Self::Text(rows.iter().map(|&row| values[row].clone()).collect()),
            Self::Category { codes, names } => Self::Category {
                codes: rows.iter().map(|&row| codes[row]).collect(),
                names: Arc::clone(names),
            },
        }
    }
}

impl Frame {
    /// A frame of `columns`.
    ///
    /// # Errors
    /// When two columns differ in length.
    pub fn new(columns: Vec<Column>) -> Result<Self, UnequalRows> {
        let rows = columns.first().map_or(0, |column| column.values.len());
        match columns.iter().find(|column| column.values.len() != rows) {
            Some(odd) => Err(UnequalRows {
                column: odd.name.clone(),
                found: odd.values.len(),
                expected: rows,
            }),
            None => Ok(Self { columns, rows }),
        }
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The columns in order.
    #[must_use]
    pub fn columns(&self) -> &[Column] {
        &self.columns
    }

    /// The values of the column called `name`.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Values> {
        self.columns
            .iter()
            .find(|column| column.name == name)
            .map(|column| &column.values)
    }

    /// The rows named by `rows`, in that order.
    #[must_use]
    pub fn take(&self, rows: &[usize]) -> Self {
        let columns = self
            .columns
            .iter()
            .map(|column| Column {
                name: column.name.clone(),
                values: column.values.take(rows),
            })
            .collect();
        Self {
            columns,
            rows: rows.len(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn column(name: &str, values: Values) -> Column {
        Column {
            name: name.to_owned(),
            values,
        }
    }

    #[test]
    fn columns_of_unequal_length_are_refused() {
        let unequal = Frame::new(vec![
            column("a", Values::Float(vec![1.0, 2.0])),
            column("b", Values::Int(vec![Some(1)])),
        ]);
        assert_eq!(unequal.unwrap_err().column, "b");
    }

    #[test]
    fn missing_values_have_a_place_in_every_kind() {
        let names = Arc::new(vec!["EWR".to_owned()]);
        let kinds = [
            Values::Float(vec![f64::NAN]),
            Values::Int(vec![None]),
            Values::Bool(vec![None]),
            Values::Text(vec![None]),
            Values::Category {
                codes: vec![Values::MISSING],
                names,
            },
        ];
        for values in kinds {
            assert!(values.is_missing(0));
            assert!(values.number(0).is_nan());
            assert_eq!(values.text(0), None);
        }
    }
}
