//! Copies of a SQLite database: backup, restore, and the snapshot before a migration.
//!
//! Copies go through SQLite's online backup, which sees one consistent state beside running writers. A copy appears
//! under its name only when it is whole and durable.

use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};

use super::connection::{self, folder_of, sync_folder};
use super::statements;
use crate::tx::Access;
use crate::{Error, Result};

/// Snapshots before migrations that are kept; older ones are removed.
const SNAPSHOTS_KEPT: usize = 2;

/// Copies what `from` sees to the file `target`, replacing it.
pub(crate) fn backup(from: &Connection, target: &Path) -> Result<()> {
    let partial = partial_name(target);
    write_copy(from, target, &partial).map_err(|problem| {
        // What is left of it is of no use to anyone.
        let _ = std::fs::remove_file(&partial);
        Error::Backup {
            what: format!("backup to {}", target.display()),
            problem,
        }
    })
}

/// Puts the backup `from` in the place of the database `target`, whose file may hold older content.
pub(crate) fn restore(from: &Path, target: &Path) -> Result<()> {
    let failed = |problem: String| Error::Backup {
        what: format!("restore of {}", target.display()),
        problem,
    };
    if !from.is_file() {
        return Err(failed(format!("{} is not a file", from.display())));
    }
    let source = connection::open_reader(from).map_err(|error| failed(error.to_string()))?;
    check_whole(&source).map_err(|problem| failed(format!("{}: {problem}", from.display())))?;
    let mut target_connection = connection::open_writer(target)?;
    copy(&source, &mut target_connection).map_err(failed)?;
    target_connection
        .close()
        .map_err(|(_, error)| failed(error.to_string()))
}

/// Keeps the state before a migration beside the database, as `NAME.before-N` where N migrations were applied.
pub(crate) fn snapshot_before_migration(path: &Path, applied: usize) -> Result<()> {
    let prefix = format!("{}.before-", file_name(path));
    let target = path.with_file_name(format!("{prefix}{applied:04}"));
    connection::open_reader(path)
        .and_then(|source| backup(&source, &target))
        .map_err(|error| Error::Snapshot {
            problem: error.to_string(),
        })?;
    tracing::info!(snapshot = %target.display(), "database snapshot taken before migrating");
    forget_old_snapshots(path, &prefix).map_err(|error| Error::Snapshot {
        problem: error.to_string(),
    })
}

fn write_copy(from: &Connection, target: &Path, partial: &Path) -> Result<(), String> {
    if partial.exists() {
        std::fs::remove_file(partial).map_err(|error| error.to_string())?;
    }
    let mut to = connection::open_writer(partial).map_err(|error| error.to_string())?;
    copy(from, &mut to)?;
    // Folds the log into the file, so that the file alone is the backup.
    to.execute_batch("PRAGMA journal_mode = DELETE")
        .map_err(|error| error.to_string())?;
    to.close().map_err(|(_, error)| error.to_string())?;
    std::fs::File::open(partial)
        .and_then(|file| file.sync_all())
        .and_then(|()| std::fs::rename(partial, target))
        .and_then(|()| sync_folder(folder_of(target)))
        .map_err(|error| error.to_string())
}

fn copy(from: &Connection, to: &mut Connection) -> Result<(), String> {
    let backup = Backup::new(from, to).map_err(|error| error.to_string())?;
    // One step copies everything under one read snapshot; smaller steps would start again at each commit.
    for _ in 0..200 {
        match backup.step(-1).map_err(|error| error.to_string())? {
            StepResult::Done => return Ok(()),
            _ => connection::wait_a_little(),
        }
    }
    Err("the database stayed locked by another program".to_owned())
}

/// Whether the file is a whole database of ours.
fn check_whole(source: &Connection) -> Result<(), String> {
    let whole: String = source
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .map_err(|error| error.to_string())?;
    if whole != "ok" {
        return Err(whole);
    }
    statements::query(source, Access::Read, crate::migrate::APPLIED, &[])
        .map(drop)
        .map_err(|_| "it is not a backup of an Everloop database".to_owned())
}

fn forget_old_snapshots(path: &Path, prefix: &str) -> std::io::Result<()> {
    let mut snapshots: Vec<PathBuf> = std::fs::read_dir(folder_of(path))?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|found| {
            let name = file_name(found);
            name.strip_prefix(prefix)
                .is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
        })
        .collect();
    snapshots.sort();
    let old = snapshots.len().saturating_sub(SNAPSHOTS_KEPT);
    snapshots[..old].iter().try_for_each(std::fs::remove_file)
}

fn partial_name(target: &Path) -> PathBuf {
    target.with_file_name(format!(".{}.partial", file_name(target)))
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}
