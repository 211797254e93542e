//! The five kinds of value that both databases store alike.

use everloop_core::{Hash, Timestamp};

/// One bound parameter or one cell of an answer.
///
/// A NaN is stored as null on both databases (SQLite can't hold one), infinities are kept. Columns that may hold NaN
/// need a flag beside them.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// A whole number; also flags (0 and 1) and times (milliseconds).
    Int(i64),
    /// A real number.
    Real(f64),
    /// Text, compared byte by byte. The zero character is refused, for Postgres can't hold it.
    Text(String),
    /// Bytes.
    Bytes(Vec<u8>),
}

/// The values of a statement's parameters, in order: `params![id, name, at]`.
#[macro_export]
macro_rules! params {
    () => { ([] as [$crate::Value; 0]) };
    ($($value:expr),+ $(,)?) => { [$($crate::Value::from($value)),+] };
}

impl Value {
    /// What this is, in the words of an error message.
    pub(crate) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Int(_) => "an integer",
            Self::Real(_) => "a real number",
            Self::Text(_) => "text",
            Self::Bytes(_) => "bytes",
        }
    }
}

macro_rules! from_small_integers {
    ($($kind:ty),*) => {$(
        impl From<$kind> for Value {
            fn from(value: $kind) -> Self {
                Self::Int(i64::from(value))
            }
        }
    )*};
}

from_small_integers!(i64, i32, i16, u32, u16, u8, bool);

impl From<u64> for Value {
    /// By its bits, so that seeds and hashes come back whole; above `i64::MAX` the database orders it as negative.
    fn from(value: u64) -> Self {
        Self::Int(value.cast_signed())
    }
}

impl From<usize> for Value {
    /// As [`u64`].
    fn from(value: usize) -> Self {
        Self::from(value as u64)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Real(value)
    }
}

impl From<f32> for Value {
    fn from(value: f32) -> Self {
        Self::Real(f64::from(value))
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::Text(value.to_owned())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(value)
    }
}

impl From<&String> for Value {
    fn from(value: &String) -> Self {
        Self::Text(value.clone())
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(value)
    }
}

impl From<&[u8]> for Value {
    fn from(value: &[u8]) -> Self {
        Self::Bytes(value.to_vec())
    }
}

impl From<Timestamp> for Value {
    /// Milliseconds since the epoch.
    fn from(value: Timestamp) -> Self {
        Self::Int(value.millis())
    }
}

impl From<Hash> for Value {
    /// 64 hex digits, as text.
    fn from(value: Hash) -> Self {
        Self::Text(value.to_hex())
    }
}

impl From<&Hash> for Value {
    fn from(value: &Hash) -> Self {
        Self::from(*value)
    }
}

impl From<&Value> for Value {
    fn from(value: &Value) -> Self {
        value.clone()
    }
}

impl<T> From<Option<T>> for Value
where
    Value: From<T>,
{
    fn from(value: Option<T>) -> Self {
        value.map_or(Self::Null, Self::from)
    }
}

macro_rules! from_words {
    ($($word:ident),* $(,)?) => {$(
        impl From<&everloop_core::$word> for Value {
            fn from(word: &everloop_core::$word) -> Self {
                Self::Text(word.as_str().to_owned())
            }
        }

        impl From<everloop_core::$word> for Value {
            fn from(word: everloop_core::$word) -> Self {
                Self::Text(word.into())
            }
        }
    )*};
}

from_words!(
    AliasName,
    ColumnName,
    DatasetName,
    DecisionId,
    EndpointName,
    ExperimentId,
    IdempotencyKey,
    ModelId,
    ModelName,
    MonitorName,
    PipelineRunId,
    PredictionId,
    ProjectName,
    RunId,
    StageName,
    TriggerId,
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn params_take_mixed_kinds_and_none() {
        let none: Option<&str> = None;
        let values = params![1_u32, "a", none, true, 2.5, Some(Timestamp(7))];
        assert_eq!(
            values,
            [
                Value::Int(1),
                Value::Text("a".into()),
                Value::Null,
                Value::Int(1),
                Value::Real(2.5),
                Value::Int(7)
            ]
        );
        assert!(params![].is_empty());
    }
}
