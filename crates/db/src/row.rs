//! One row of an answer, and how its cells become Rust values.

use std::sync::Arc;

use everloop_core::{Hash, Timestamp, did_you_mean};

use crate::{Error, Result, Value};

/// One row of an answer; cells are asked for by column name.
///
/// Name computed columns (`COUNT(*) AS rows`): the databases call nameless ones differently.
#[derive(Debug, Clone)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<Value>,
}

/// What a cell can be read as.
pub trait FromValue: Sized {
    /// What is expected, in the words of an error message.
    const EXPECTED: &'static str;

    /// The value, when the cell holds one of this kind.
    fn from_value(value: &Value) -> Option<Self>;
}

impl Row {
    pub(crate) fn new(columns: Arc<[String]>, values: Vec<Value>) -> Self {
        Self { columns, values }
    }

    /// The cell of `column` as a `T`.
    ///
    /// # Errors
    /// [`Error::Column`] when there is no such column or the cell holds something else (null, unless `T` is an
    /// `Option`).
    pub fn get<T: FromValue>(&self, column: &str) -> Result<T> {
        let value = self.value(column)?;
        T::from_value(value).ok_or_else(|| Error::Column {
            column: column.to_owned(),
            problem: format!("holds {} where {} is expected", value.kind(), T::EXPECTED),
        })
    }

    /// The cell of `column` as it came.
    ///
    /// # Errors
    /// [`Error::Column`] when there is no such column.
    pub fn value(&self, column: &str) -> Result<&Value> {
        match self.columns.iter().position(|name| name == column) {
            Some(index) => Ok(&self.values[index]),
            None => Err(self.no_such(column)),
        }
    }

    /// The names of the columns, in the order of [`values`](Self::values).
    #[must_use]
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// All cells in the order of the statement.
    #[must_use]
    pub fn values(&self) -> &[Value] {
        &self.values
    }

    fn no_such(&self, column: &str) -> Error {
        let near = did_you_mean(column, self.columns.iter().map(String::as_str)).unwrap_or_default();
        Error::Column {
            column: column.to_owned(),
            problem: format!("is not in the answer; {near}"),
        }
    }
}

macro_rules! from_integers {
    ($($kind:ty),*) => {$(
        impl FromValue for $kind {
            const EXPECTED: &'static str = concat!("an integer that fits ", stringify!($kind));

            fn from_value(value: &Value) -> Option<Self> {
                match value {
                    Value::Int(value) => Self::try_from(*value).ok(),
                    _ => None,
                }
            }
        }
    )*};
}

from_integers!(i64, i32, i16, u32, u16, u8);

impl FromValue for u64 {
    const EXPECTED: &'static str = "an integer";

    /// By its bits, as it was stored.
    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(value) => Some(value.cast_unsigned()),
            _ => None,
        }
    }
}

impl FromValue for usize {
    const EXPECTED: &'static str = "an integer that fits usize";

    fn from_value(value: &Value) -> Option<Self> {
        u64::from_value(value).and_then(|value| Self::try_from(value).ok())
    }
}

impl FromValue for bool {
    const EXPECTED: &'static str = "0 or 1";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Int(0) => Some(false),
            Value::Int(1) => Some(true),
            _ => None,
        }
    }
}

impl FromValue for f64 {
    const EXPECTED: &'static str = "a number";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Real(value) => Some(*value),
            Value::Int(value) => Some(*value as Self),
            _ => None,
        }
    }
}

impl FromValue for String {
    const EXPECTED: &'static str = "text";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl FromValue for Vec<u8> {
    const EXPECTED: &'static str = "bytes";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Bytes(value) => Some(value.clone()),
            _ => None,
        }
    }
}

impl FromValue for Timestamp {
    const EXPECTED: &'static str = "a time in milliseconds";

    fn from_value(value: &Value) -> Option<Self> {
        i64::from_value(value).map(Self)
    }
}

impl FromValue for Hash {
    const EXPECTED: &'static str = "a content hash";

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Text(text) => text.parse().ok(),
            Value::Bytes(bytes) => Some(Self::from_bytes(bytes.as_slice().try_into().ok()?)),
            _ => None,
        }
    }
}

impl FromValue for Value {
    const EXPECTED: &'static str = "anything";

    fn from_value(value: &Value) -> Option<Self> {
        Some(value.clone())
    }
}

impl<T: FromValue> FromValue for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;

    fn from_value(value: &Value) -> Option<Self> {
        match value {
            Value::Null => Some(None),
            value => T::from_value(value).map(Some),
        }
    }
}

macro_rules! from_names {
    ($($name:ident),* $(,)?) => {$(
        impl FromValue for everloop_core::$name {
            const EXPECTED: &'static str = concat!("a valid ", stringify!($name));

            fn from_value(value: &Value) -> Option<Self> {
                String::from_value(value).and_then(|text| Self::new(text).ok())
            }
        }
    )*};
}

from_names!(
    AliasName,
    ColumnName,
    DatasetName,
    EndpointName,
    ModelName,
    MonitorName,
    ProjectName,
    StageName,
);

macro_rules! from_ids {
    ($($id:ident),* $(,)?) => {$(
        impl FromValue for everloop_core::$id {
            const EXPECTED: &'static str = "an id";

            fn from_value(value: &Value) -> Option<Self> {
                String::from_value(value).map(Self::new)
            }
        }
    )*};
}

from_ids!(
    DecisionId,
    ExperimentId,
    IdempotencyKey,
    ModelId,
    PipelineRunId,
    PredictionId,
    RunId,
    TriggerId,
);

#[cfg(test)]
mod tests {
    use super::*;

    fn row() -> Row {
        Row::new(
            Arc::from(["rows".to_owned(), "name".to_owned()]),
            vec![Value::Int(3), Value::Null],
        )
    }

    #[test]
    fn cells_are_read_as_what_they_are() {
        assert_eq!(row().get::<u32>("rows").unwrap(), 3);
        assert_eq!(row().get::<f64>("rows").unwrap(), 3.0);
        assert_eq!(row().get::<Option<String>>("name").unwrap(), None);
    }

    #[test]
    fn wrong_kinds_and_names_say_so() {
        let wrong = row().get::<String>("name").unwrap_err().to_string();
        assert_eq!(wrong, "column \"name\" holds null where text is expected");
        let missing = row().get::<i64>("row").unwrap_err().to_string();
        assert_eq!(
            missing,
            "column \"row\" is not in the answer; did you mean \"rows\"?"
        );
    }

    #[test]
    fn unsigned_numbers_return_by_their_bits() {
        let row = Row::new(Arc::from(["n".to_owned()]), vec![Value::from(u64::MAX)]);
        assert_eq!(row.get::<u64>("n").unwrap(), u64::MAX);
        assert!(row.get::<u32>("n").is_err());
    }
}
