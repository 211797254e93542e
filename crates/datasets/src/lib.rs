//! Datasets and their immutable versions.
//!
//! A dataset is a name for some files below a project's folder. A version is a snapshot: a manifest of content
//! hashes (itself an object, whose hash is the version's digest), the schema, the profile, and the versions it was
//! made from. Taking a snapshot of unchanged files makes no version; of changed files it hashes and profiles only
//! what changed, because profiles of files merge.

#![cfg_attr(test, allow(clippy::unwrap_used))]

mod checkout;
mod diff;
mod error;
mod files;
mod manifest;
mod references;
mod snapshot;
mod store;
mod watch;

pub use checkout::{CheckoutReport, Overwrite};
pub use diff::{ColumnChange, Diff, FileChange, SchemaChange};
pub use error::{Error, Result};
pub use manifest::{FileEntry, Manifest};
pub use snapshot::Snapshot;
pub use store::{ColumnSchema, Dataset, Datasets, MIGRATIONS, Selector, Spec, Version, VersionRef, latest};
pub use watch::{Watch, Watcher};
