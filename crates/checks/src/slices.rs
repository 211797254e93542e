//! Rows grouped by the values of a column.

use everloop_core::{Frame, Values, did_you_mean};
use std::collections::BTreeMap;

/// More groups than this are no slices but an identifier.
const MOST_GROUPS: usize = 10_000;

/// Rows that share a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Group {
    /// The value as text; missing values are one group.
    pub name: String,
    /// The rows, ascending.
    pub rows: Vec<usize>,
}

/// The rows of `frame` by the value of `column`, ordered by value.
pub(crate) fn groups_by(frame: &Frame, column: &str) -> Result<Vec<Group>, String> {
    let Some(values) = frame.get(column) else {
        let names = frame.columns().iter().map(|column| column.name.as_str());
        let hint = did_you_mean(column, names)
            .map(|hint| format!("; {hint}"))
            .unwrap_or_default();
        return Err(format!("there is no column \"{column}\"{hint}"));
    };
    let mut groups: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for row in 0..values.len() {
        groups.entry(name_of(values, row)).or_default().push(row);
        if groups.len() > MOST_GROUPS {
            return Err(format!(
                "column \"{column}\" has more than {MOST_GROUPS} values and can't cut slices"
            ));
        }
    }
    Ok(groups
        .into_iter()
        .map(|(name, rows)| Group { name, rows })
        .collect())
}

fn name_of(values: &Values, row: usize) -> String {
    if values.is_missing(row) {
        return "(missing)".to_owned();
    }
    match values {
        Values::Text(_) | Values::Category { .. } => values.text(row).unwrap_or_default().to_owned(),
        Values::Bool(_) => (values.number(row) == 1.0).to_string(),
        Values::Float(_) | Values::Int(_) => values.number(row).to_string(),
    }
}
