//! What changed between two versions: files, columns, rows, and the figures of each column.

use everloop_tables::{ColumnProfile, Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

use crate::{ColumnSchema, Datasets, Manifest, Result, Version};

/// What changed from one version to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Diff {
    /// The older side, as `flights@3`.
    pub from: String,
    /// The newer side.
    pub to: String,
    /// Rows of the older side.
    pub rows_from: u64,
    /// Rows of the newer side.
    pub rows_to: u64,
    /// Files that were added, removed or changed, by path.
    pub files: Vec<FileChange>,
    /// Columns that came, went or changed their type.
    pub schema: Vec<SchemaChange>,
    /// Figures of the columns on both sides.
    pub columns: Vec<ColumnChange>,
}

/// A file that differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum FileChange {
    /// Only on the newer side.
    Added {
        /// The file's path.
        path: String,
    },
    /// Only on the older side.
    Removed {
        /// The file's path.
        path: String,
    },
    /// On both, with different content.
    Changed {
        /// The file's path.
        path: String,
    },
}

/// A column that differs by name or type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "change", rename_all = "snake_case")]
pub enum SchemaChange {
    /// Only on the newer side.
    Added {
        /// The column.
        column: ColumnSchema,
    },
    /// Only on the older side.
    Removed {
        /// The column.
        column: ColumnSchema,
    },
    /// On both, with different types.
    Retyped {
        /// The column's name.
        name: String,
        /// Its type on the older side.
        from: String,
        /// Its type on the newer side.
        to: String,
    },
}

/// A column's figures on both sides: older first.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnChange {
    /// The column.
    pub name: String,
    /// Share of missing values, 0 to 1.
    pub null_share: (f64, f64),
    /// Mean, for numbers.
    pub mean: Option<(f64, f64)>,
    /// Smallest value, for numbers.
    pub min: Option<(f64, f64)>,
    /// Largest value, for numbers.
    pub max: Option<(f64, f64)>,
    /// Number of distinct values, approximate.
    pub distinct: (f64, f64),
}

impl Datasets {
    /// What changed from `from` to `to`; they may be of different datasets.
    ///
    /// # Errors
    /// When a manifest or profile can't be read.
    pub async fn diff(&self, from: &Version, to: &Version) -> Result<Diff> {
        let (before, after) = (self.manifest(from).await?, self.manifest(to).await?);
        let (profile_before, profile_after) = (self.profile(from).await?, self.profile(to).await?);
        Ok(Diff {
            from: from.reference().to_string(),
            to: to.reference().to_string(),
            rows_from: from.rows,
            rows_to: to.rows,
            files: files(&before, &after),
            schema: schema(&from.columns, &to.columns),
            columns: columns(&profile_before, &profile_after),
        })
    }
}

fn files(before: &Manifest, after: &Manifest) -> Vec<FileChange> {
    let by_path = |manifest: &Manifest| -> BTreeMap<String, everloop_core::Hash> {
        manifest
            .files()
            .iter()
            .map(|file| (file.path.clone(), file.hash))
            .collect()
    };
    let (before, after) = (by_path(before), by_path(after));
    let gone = before.keys().filter(|path| !after.contains_key(*path));
    let removed = gone.map(|path| FileChange::Removed { path: path.clone() });
    let here = after.iter().filter_map(|(path, hash)| match before.get(path) {
        None => Some(FileChange::Added { path: path.clone() }),
        Some(old) if old != hash => Some(FileChange::Changed { path: path.clone() }),
        Some(_) => None,
    });
    removed.chain(here).collect()
}

fn schema(before: &[ColumnSchema], after: &[ColumnSchema]) -> Vec<SchemaChange> {
    let find = |side: &[ColumnSchema], name: &str| side.iter().find(|column| column.name == name).cloned();
    let removed = before
        .iter()
        .filter(|column| find(after, &column.name).is_none())
        .map(|column| SchemaChange::Removed {
            column: column.clone(),
        });
    let here = after
        .iter()
        .filter_map(|column| match find(before, &column.name) {
            None => Some(SchemaChange::Added {
                column: column.clone(),
            }),
            Some(old) if old.kind != column.kind => Some(SchemaChange::Retyped {
                name: column.name.clone(),
                from: old.kind,
                to: column.kind.clone(),
            }),
            Some(_) => None,
        });
    removed.chain(here).collect()
}

fn columns(before: &Profile, after: &Profile) -> Vec<ColumnChange> {
    after
        .columns()
        .iter()
        .filter_map(|new| Some(column(before.column(new.name())?, new)))
        .collect()
}

fn column(old: &ColumnProfile, new: &ColumnProfile) -> ColumnChange {
    let pair = |figure: fn(&ColumnProfile) -> Option<f64>| Some((figure(old)?, figure(new)?));
    ColumnChange {
        name: new.name().to_owned(),
        null_share: (old.null_share(), new.null_share()),
        mean: pair(ColumnProfile::mean),
        min: pair(ColumnProfile::min),
        max: pair(ColumnProfile::max),
        distinct: (old.distinct(), new.distinct()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::FileEntry;
    use everloop_core::Hash;

    fn manifest(files: &[(&str, &str)]) -> Manifest {
        let entry = |(path, content): &(&str, &str)| FileEntry {
            path: (*path).to_owned(),
            hash: Hash::of(content.as_bytes()),
            size: content.len() as u64,
        };
        Manifest::new(files.iter().map(entry).collect())
    }

    #[test]
    fn files_are_added_removed_or_changed() {
        let before = manifest(&[("a", "1"), ("b", "1"), ("c", "1")]);
        let after = manifest(&[("b", "2"), ("c", "1"), ("d", "1")]);
        let path = |path: &str| path.to_owned();
        assert_eq!(
            files(&before, &after),
            [
                FileChange::Removed { path: path("a") },
                FileChange::Changed { path: path("b") },
                FileChange::Added { path: path("d") },
            ]
        );
        assert!(files(&before, &before).is_empty());
    }

    #[test]
    fn a_type_that_changes_is_named_with_both() {
        let column = |name: &str, kind: &str| ColumnSchema {
            name: name.to_owned(),
            kind: kind.to_owned(),
        };
        let before = [column("a", "Int64"), column("b", "Utf8")];
        let after = [column("a", "Float64"), column("c", "Utf8")];
        let changes = schema(&before, &after);
        assert_eq!(changes.len(), 3);
        assert!(changes.contains(&SchemaChange::Retyped {
            name: "a".to_owned(),
            from: "Int64".to_owned(),
            to: "Float64".to_owned()
        }));
    }
}
