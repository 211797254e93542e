//! Runs one statement on a SQLite connection.

use std::sync::Arc;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{CachedStatement, Connection};

use super::errors::translate;
use crate::error::shorten;
use crate::sql::refuse_value;
use crate::tx::Access;
use crate::{Error, Result, Row, Value};

pub(crate) fn query(
    connection: &Connection,
    access: Access,
    sql: &str,
    params: &[Value],
) -> Result<Vec<Row>> {
    let failed = |error: rusqlite::Error| translate(&error, access, sql);
    let mut statement = prepare(connection, access, sql, params)?;
    let columns: Arc<[String]> = statement.column_names().map(str::to_owned).collect();
    let mut found = Vec::new();
    let mut rows = statement.raw_query();
    while let Some(row) = rows.next().map_err(failed)? {
        let values = (0..columns.len())
            .map(|index| row.get_ref(index).map_err(failed).and_then(value))
            .collect::<Result<_>>()?;
        found.push(Row::new(Arc::clone(&columns), values));
    }
    Ok(found)
}

pub(crate) fn execute(connection: &Connection, access: Access, sql: &str, params: &[Value]) -> Result<u64> {
    let mut statement = prepare(connection, access, sql, params)?;
    step(connection, access, sql, &mut statement)
}

pub(crate) fn execute_many(
    connection: &Connection,
    access: Access,
    sql: &str,
    rows: &[Vec<Value>],
) -> Result<u64> {
    let Some(first) = rows.first() else {
        return Ok(0);
    };
    let mut statement = prepare(connection, access, sql, first)?;
    let mut changed = step(connection, access, sql, &mut statement)?;
    for row in &rows[1..] {
        bind(&mut statement, access, sql, row)?;
        changed += step(connection, access, sql, &mut statement)?;
    }
    Ok(changed)
}

/// Runs a statement that steers the transaction itself.
pub(crate) fn control(connection: &Connection, access: Access, sql: &str) -> Result<()> {
    connection
        .prepare_cached(sql)
        .and_then(|mut statement| statement.execute([]))
        .map(drop)
        .map_err(|error| translate(&error, access, sql))
}

fn prepare<'c>(
    connection: &'c Connection,
    access: Access,
    sql: &str,
    params: &[Value],
) -> Result<CachedStatement<'c>> {
    let mut statement = connection
        .prepare_cached(sql)
        .map_err(|error| translate(&error, access, sql))?;
    bind(&mut statement, access, sql, params)?;
    Ok(statement)
}

fn bind(statement: &mut CachedStatement<'_>, access: Access, sql: &str, params: &[Value]) -> Result<()> {
    if statement.parameter_count() != params.len() {
        return Err(Error::Parameters {
            expected: statement.parameter_count(),
            found: params.len(),
            sql: shorten(sql),
        });
    }
    for (index, value) in params.iter().enumerate() {
        refuse_value(value)?;
        statement
            .raw_bind_parameter(index + 1, Bound(value))
            .map_err(|error| translate(&error, access, sql))?;
    }
    Ok(())
}

/// Runs a bound statement to its end, passing over the rows of a `RETURNING`.
fn step(
    connection: &Connection,
    access: Access,
    sql: &str,
    statement: &mut CachedStatement<'_>,
) -> Result<u64> {
    let failed = |error: rusqlite::Error| translate(&error, access, sql);
    let mut rows = statement.raw_query();
    while rows.next().map_err(failed)?.is_some() {}
    drop(rows);
    // SQLite answers the count of the last change, whoever made it.
    Ok(if statement.readonly() {
        0
    } else {
        connection.changes()
    })
}

/// A value on its way in.
struct Bound<'v>(&'v Value);

impl rusqlite::ToSql for Bound<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self.0 {
            Value::Null => ValueRef::Null,
            Value::Int(value) => ValueRef::Integer(*value),
            Value::Real(value) if value.is_nan() => ValueRef::Null,
            Value::Real(value) => ValueRef::Real(*value),
            Value::Text(value) => ValueRef::Text(value.as_bytes()),
            Value::Bytes(value) => ValueRef::Blob(value),
        }))
    }
}

fn value(cell: ValueRef<'_>) -> Result<Value> {
    Ok(match cell {
        ValueRef::Null => Value::Null,
        ValueRef::Integer(value) => Value::Int(value),
        ValueRef::Real(value) => Value::Real(value),
        ValueRef::Blob(bytes) => Value::Bytes(bytes.to_vec()),
        ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => Value::Text(text.to_owned()),
            Err(error) => {
                return Err(Error::Corrupt {
                    problem: format!("stored text is not UTF-8: {error}"),
                });
            }
        },
    })
}
