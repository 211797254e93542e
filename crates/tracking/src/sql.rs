//! Pieces of statements that several modules build.

use everloop_db::{Tx, Value};

use crate::Result;

/// Values per `IN` list. A page of 100 runs is one list; longer lists are asked for in parts.
pub(crate) const IN_LIST: usize = 256;

/// `(?3, ?4, ?5, ...)`: placeholders for an `IN` list of `values` after `before` other parameters.
///
/// The list is filled up to a power of two with its last value, so that a handful of statement texts serves all
/// lengths and stays in the statement caches. `values` must not be empty nor longer than [`IN_LIST`].
pub(crate) fn in_list(before: usize, values: Vec<Value>) -> (String, Vec<Value>) {
    debug_assert!(!values.is_empty() && values.len() <= IN_LIST);
    let mut values = values;
    let slots = values.len().next_power_of_two();
    if let Some(last) = values.last().cloned() {
        values.resize(slots, last);
    }
    let places: Vec<String> = (1..=slots).map(|i| format!("?{}", before + i)).collect();
    (format!("({})", places.join(", ")), values)
}

/// Inserts `rows` into `table (column, ...)` with `conflict` after the values, and answers how many rows it touched.
///
/// Many rows go with one statement, in parts of 128, 64, 32, ... rows so that few statement texts serve all numbers of
/// rows: on Postgres a statement costs far more than a row. No two rows may have one key, unless `conflict` does nothing.
pub(crate) fn insert(tx: &mut Tx<'_>, table: &str, conflict: &str, rows: &[Vec<Value>]) -> Result<u64> {
    let mut touched = 0;
    let mut rest = rows;
    while let Some(first) = rest.first() {
        let most = rest.len().min(INSERT_ROWS);
        // The greatest power of two that is not above it.
        let (part, after) = rest.split_at(1 << most.ilog2());
        let places = value_places(first.len(), part.len());
        let values: Vec<Value> = part.iter().flatten().cloned().collect();
        touched += tx.execute(
            &format!("INSERT INTO {table} VALUES {places} {conflict}"),
            &values,
        )?;
        rest = after;
    }
    Ok(touched)
}

/// Rows per statement at most. A power of two.
const INSERT_ROWS: usize = 128;

/// `(?1, ?2), (?3, ?4)`: placeholders for `rows` rows of `columns` values.
fn value_places(columns: usize, rows: usize) -> String {
    let row = |row: usize| {
        let places: Vec<String> = (1..=columns)
            .map(|column| format!("?{}", row * columns + column))
            .collect();
        format!("({})", places.join(", "))
    };
    (0..rows).map(row).collect::<Vec<_>>().join(", ")
}

/// A limit one above what was asked for, to see whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_filled_up_to_a_power_of_two() {
        let (places, values) = in_list(1, vec![Value::Int(7), Value::Int(8), Value::Int(9)]);
        assert_eq!(places, "(?2, ?3, ?4, ?5)");
        assert_eq!(values[3], Value::Int(9));
    }

    #[test]
    fn rows_are_numbered_through() {
        assert_eq!(value_places(2, 3), "(?1, ?2), (?3, ?4), (?5, ?6)");
    }
}
