//! Pieces of statements that several modules build.

use everloop_db::Value;

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
}
