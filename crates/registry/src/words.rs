//! The small words that all modules here share: a version's number, one page of a list.

use std::fmt;
use std::str::FromStr;

use everloop_db::{FromValue, Value};
use serde::{Deserialize, Serialize};

/// The number of a version of a model: 1, 2, 3, ... in the order they were made, never given twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct VersionNumber(pub u32);

impl fmt::Display for VersionNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for VersionNumber {
    type Err = std::num::ParseIntError;

    /// Reads decimal digits.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl From<VersionNumber> for Value {
    fn from(version: VersionNumber) -> Self {
        Self::from(version.0)
    }
}

impl FromValue for VersionNumber {
    const EXPECTED: &'static str = "a version's number";

    fn from_value(value: &Value) -> Option<Self> {
        u32::from_value(value).map(Self)
    }
}

/// One page of a list, and where the next one starts.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T, C> {
    /// At most as many as were asked for.
    pub items: Vec<T>,
    /// What to pass to get the next page; `None` on the last.
    pub next: Option<C>,
}

impl<T, C> Page<T, C> {
    /// Cuts a list that was read with one item more than `limit` asks for.
    pub(crate) fn cut(mut items: Vec<T>, limit: usize, cursor: impl Fn(&T) -> C) -> Self {
        let more = items.len() > limit;
        items.truncate(limit);
        let next = if more { items.last().map(cursor) } else { None };
        Self { items, next }
    }
}

/// A limit one above what was asked for, to see whether there is more.
pub(crate) fn one_more(limit: usize) -> i64 {
    i64::try_from(limit).unwrap_or(i64::MAX - 1).saturating_add(1)
}

/// `(?3, ?4, ?5, ?6)`: placeholders for an `IN` list of `values` after `before` other parameters, filled up to a power
/// of two with the last value so that a handful of statement texts serves all lengths.
pub(crate) fn in_list(before: usize, mut values: Vec<Value>) -> (String, Vec<Value>) {
    debug_assert!(!values.is_empty());
    let slots = values.len().next_power_of_two();
    if let Some(last) = values.last().cloned() {
        values.resize(slots, last);
    }
    let places: Vec<String> = (1..=slots).map(|i| format!("?{}", before + i)).collect();
    (format!("({})", places.join(", ")), values)
}

/// Values per `IN` list.
pub(crate) const IN_LIST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_offered_only_when_there_is_more() {
        let whole = Page::cut(vec![1, 2], 2, |n| *n);
        assert_eq!((whole.items, whole.next), (vec![1, 2], None));
        let cut = Page::cut(vec![1, 2, 3], 2, |n| *n);
        assert_eq!((cut.items, cut.next), (vec![1, 2], Some(2)));
    }

    #[test]
    fn version_numbers_are_decimal() {
        assert_eq!("12".parse::<VersionNumber>().unwrap(), VersionNumber(12));
        for bad in ["", "-1", "1.0", "v1", "4294967296"] {
            assert!(bad.parse::<VersionNumber>().is_err(), "{bad}");
        }
    }
}
