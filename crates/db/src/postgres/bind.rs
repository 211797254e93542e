//! Values on their way to Postgres: a parameter has the type of its value, as on SQLite.

use std::error::Error as StdError;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{IsNull, ToSql, Type, to_sql_checked};

use crate::Value;

/// The types to prepare a statement with. A null has none: Postgres takes it from where it stands.
pub(crate) fn types(params: &[Value]) -> Vec<Type> {
    params
        .iter()
        .map(|value| match value {
            Value::Int(_) => Type::INT8,
            Value::Real(number) if !number.is_nan() => Type::FLOAT8,
            Value::Text(_) => Type::TEXT,
            Value::Bytes(_) => Type::BYTEA,
            Value::Null | Value::Real(_) => Type::UNKNOWN,
        })
        .collect()
}

/// One value of a statement that was prepared with its type.
#[derive(Debug)]
pub(crate) struct Bound<'v>(pub &'v Value);

impl ToSql for Bound<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn StdError + Sync + Send>> {
        match self.0 {
            Value::Null => Ok(IsNull::Yes),
            Value::Real(number) if number.is_nan() => Ok(IsNull::Yes),
            Value::Int(value) => value.to_sql(&Type::INT8, out),
            Value::Real(value) => value.to_sql(&Type::FLOAT8, out),
            Value::Text(value) => value.to_sql(&Type::TEXT, out),
            Value::Bytes(value) => value.to_sql(&Type::BYTEA, out),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}
