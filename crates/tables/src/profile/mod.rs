//! Mergeable one-pass summaries of tables.
//!
//! A [`ProfileBuilder`] takes batches and keeps, per column, counts, moments, the values while they are few, and
//! sketches once they are many (`values`, `quantiles`, `distinct`). A finished [`Profile`] is a JSON document that
//! still holds those states, so profiles of parts merge to the profile of the whole: files of a dataset, partitions
//! of a scan, windows of traffic, workers of a cluster. Nothing in it depends on time or chance.

mod builder;
mod column;
mod distinct;
mod document;
mod figures;
mod function;
mod hash;
mod moments;
mod numbers;
mod quantiles;
pub(crate) mod scan;
mod texts;
mod thinning;
mod values;

pub use builder::ProfileBuilder;
pub use column::{ColumnProfile, Kind};
pub use figures::{Bin, CategoryShares, TextLengths, TopValue};
pub use function::profile_function;

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize};

/// What to profile.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ProfileOptions {
    /// Only these columns, in the table's order; all when `None`.
    pub columns: Option<Vec<String>>,
}

/// Summary of a table. As JSON it is a versioned document.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "document::ProfileDocument", into = "document::ProfileDocument")]
pub struct Profile {
    rows: u64,
    columns: Vec<ColumnProfile>,
}

impl Profile {
    pub(crate) fn from_parts(rows: u64, columns: Vec<ColumnProfile>) -> Self {
        Self { rows, columns }
    }

    /// The stored form: a versioned JSON document.
    #[must_use]
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("a profile has text keys and finite numbers only")
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// When the text is no profile, of a version that is not known here, or its figures contradict each other.
    pub fn from_json(text: &str) -> Result<Self> {
        serde_json::from_str(text).map_err(|error| Error::InvalidProfile {
            detail: error.to_string(),
        })
    }

    /// Rows seen.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The columns, in the table's order.
    #[must_use]
    pub fn columns(&self) -> &[ColumnProfile] {
        &self.columns
    }

    /// The column called `name`.
    #[must_use]
    pub fn column(&self, name: &str) -> Option<&ColumnProfile> {
        self.columns.iter().find(|column| column.name() == name)
    }

    /// The same profile with other names for its columns, in order.
    pub(crate) fn renamed(mut self, names: impl IntoIterator<Item = (String, String)>) -> Self {
        for (column, (name, type_name)) in self.columns.iter_mut().zip(names) {
            column.name = name;
            column.type_name = type_name;
        }
        self
    }

    /// Adds what `other` has seen. Both must have the same columns; their order may differ.
    ///
    /// # Errors
    /// When a column is on one side only or its kinds do not join; then nothing is changed.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        let one_sided = self
            .columns
            .iter()
            .find(|column| other.column(column.name()).is_none())
            .or_else(|| {
                other
                    .columns
                    .iter()
                    .find(|column| self.column(column.name()).is_none())
            });
        if let Some(column) = one_sided {
            return Err(Error::DifferentColumns {
                detail: format!("column \"{}\" is on one side only", column.name()),
            });
        }
        let merged = self
            .columns
            .iter()
            .map(|column| {
                let mut column = column.clone();
                match other.column(column.name()) {
                    Some(theirs) => column.merge(theirs)?,
                    None => unreachable!("both sides have the same columns"),
                }
                column.finish();
                Ok(column)
            })
            .collect::<Result<Vec<_>>>()?;
        self.columns = merged;
        self.rows += other.rows;
        Ok(())
    }
}
