//! Artifacts: the files of a run, as a tree of names over content-addressed objects.
//!
//! Here are the names only. Bytes are put into the object store first and recorded here after, so that what is listed
//! can be read; [`Tracking`](crate::Tracking) does both. Folders come and go with the files in them.

use std::collections::{BTreeMap, BTreeSet};

use everloop_core::{Hash, ProjectName, RunId, Timestamp};
use everloop_db::{Row, Tx, Value, params};
use serde_json::json;

use crate::names::limits;
use crate::runs::{self, Stored};
use crate::sql::{IN_LIST, insert, one_more};
use crate::{ArtifactPath, By, Error, Page, Result, events};

/// A file of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Where it lies in the run.
    pub path: ArtifactPath,
    /// The object that holds its bytes.
    pub hash: Hash,
    /// Its length.
    pub size_bytes: u64,
}

/// One line of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// A folder.
    Folder(ArtifactPath),
    /// A file, and when it was last written.
    File(File, Timestamp),
}

impl Entry {
    /// Where it lies in the run.
    #[must_use]
    pub fn path(&self) -> &ArtifactPath {
        match self {
            Self::Folder(path) => path,
            Self::File(file, _) => &file.path,
        }
    }
}

/// Records files whose bytes are in the object store; a file that is there gets the new content.
///
/// # Errors
/// [`Error::ArtifactIsFolder`] and [`Error::ArtifactIsFile`] when a file would stand where a folder is, or the other
/// way; [`Error::TooMany`], [`Error::NoRun`], [`Error::RunDeleted`].
pub fn record(tx: &mut Tx<'_>, by: &By, run: &RunId, files: &[File]) -> Result<()> {
    if files.len() > limits::ARTIFACT_FILES {
        return Err(Error::TooMany {
            what: "files",
            limit: limits::ARTIFACT_FILES,
        });
    }
    let run = runs::lock_active(tx, &by.project, run)?;
    // Of one path twice in a call the later counts.
    let files: BTreeMap<&ArtifactPath, &File> = files.iter().map(|file| (&file.path, file)).collect();
    write_folders(tx, by, &run, &files)?;
    write_files(tx, by, &run, &files)
}

/// A page of one level of the tree, by name; empty when there is no such folder.
///
/// # Errors
/// [`Error::NoRun`].
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    run: &RunId,
    folder: Option<&ArtifactPath>,
    after: Option<&str>,
    limit: usize,
) -> Result<Page<Entry, String>> {
    let run = runs::existing(tx, project, run)?;
    let rows = tx.query(
        "SELECT folder, name, hash, size, written_at FROM artifacts
         WHERE owner = ?1 AND folder = ?2 AND name > ?3 ORDER BY name LIMIT ?4",
        &params![
            run.key,
            folder.map_or("", ArtifactPath::as_str),
            after.unwrap_or(""),
            one_more(limit),
        ],
    )?;
    let entries = rows.iter().map(entry).collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(entries, limit, |last| last.path().name().to_owned()))
}

/// A page of all files in a folder and the folders in it, or of the whole run, by folder and name.
///
/// # Errors
/// [`Error::NoRun`].
pub fn walk(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    run: &RunId,
    folder: Option<&ArtifactPath>,
    after: Option<&ArtifactPath>,
    limit: usize,
) -> Result<Page<File, ArtifactPath>> {
    let run = runs::existing(tx, project, run)?;
    // Nothing of a folder is before its own name, so there is where the first page begins.
    let start = (folder.map_or("", ArtifactPath::as_str), "");
    let (last_folder, last_name) = after.map_or(start, |path| (path.folder(), path.name()).max(start));
    let mut values = params![run.key, last_folder, last_name, one_more(limit)].to_vec();
    let inside = inside(folder, &mut values);
    let rows = tx.query(
        &format!(
            "SELECT folder, name, hash, size, written_at FROM artifacts
             WHERE owner = ?1 AND (folder, name) > (?2, ?3) AND hash IS NOT NULL AND {inside}
             ORDER BY folder, name LIMIT ?4"
        ),
        &values,
    )?;
    let mut files = Vec::with_capacity(rows.len());
    for row in &rows {
        if let Entry::File(file, _) = entry(row)? {
            files.push(file);
        }
    }
    Ok(Page::cut(files, limit, |last| last.path.clone()))
}

/// What lies at a path.
///
/// # Errors
/// [`Error::NoRun`].
pub fn find(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    run: &RunId,
    path: &ArtifactPath,
) -> Result<Option<Entry>> {
    let run = runs::existing(tx, project, run)?;
    find_stored(tx, &run, path)
}

/// The file at a path.
///
/// # Errors
/// [`Error::NoArtifact`], [`Error::ArtifactIsFolder`], [`Error::NoRun`].
pub fn get(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId, path: &ArtifactPath) -> Result<File> {
    match find(tx, project, run, path)? {
        Some(Entry::File(file, _)) => Ok(file),
        Some(Entry::Folder(_)) => Err(is_folder(run, path)),
        None => Err(no_artifact(run, path)),
    }
}

/// Deletes the file or the whole folder at a path, and answers how many files went. Folders that are left empty go too.
///
/// # Errors
/// [`Error::NoArtifact`], [`Error::NoRun`], [`Error::RunDeleted`].
pub fn delete(tx: &mut Tx<'_>, by: &By, run: &RunId, path: &ArtifactPath) -> Result<u64> {
    let stored = runs::lock_active(tx, &by.project, run)?;
    let Some(found) = find_stored(tx, &stored, path)? else {
        return Err(no_artifact(run, path));
    };
    let files = match found {
        Entry::File(..) => 0,
        Entry::Folder(_) => {
            let mut values = params![stored.key].to_vec();
            let inside = inside(Some(path), &mut values);
            delete_rows(tx, &inside, &values)?
        }
    };
    let itself = tx.execute(
        "DELETE FROM artifacts WHERE owner = ?1 AND folder = ?2 AND name = ?3",
        &params![stored.key, path.folder(), path.name()],
    )?;
    prune(tx, &stored, path)?;
    let gone = if matches!(found, Entry::File(..)) {
        itself
    } else {
        files
    };
    let payload = json!({ "path": path.as_str(), "files": gone });
    events::run(tx, by, events::ARTIFACT_DELETED, run, payload)?;
    Ok(gone)
}

/// Deletes all artifacts of a run, and answers how many files went.
///
/// # Errors
/// [`Error::NoRun`], [`Error::RunDeleted`].
pub fn delete_all(tx: &mut Tx<'_>, by: &By, run: &RunId) -> Result<u64> {
    let stored = runs::lock_active(tx, &by.project, run)?;
    let gone = delete_rows(tx, "1 = 1", &params![stored.key])?;
    events::run(
        tx,
        by,
        events::ARTIFACT_DELETED,
        run,
        json!({ "path": "", "files": gone }),
    )?;
    Ok(gone)
}

/// Refuses a file that [`record`] would refuse as things stand.
pub(crate) fn check_room(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    run: &RunId,
    path: &ArtifactPath,
) -> Result<()> {
    let stored = runs::active(tx, project, run)?;
    if let Some(Entry::Folder(_)) = find_stored(tx, &stored, path)? {
        return Err(is_folder(run, path));
    }
    let folders: Vec<ArtifactPath> = path.folders().collect();
    refuse_files(tx, &stored, &folders)
}

fn write_folders(
    tx: &mut Tx<'_>,
    by: &By,
    run: &Stored,
    files: &BTreeMap<&ArtifactPath, &File>,
) -> Result<()> {
    let folders: BTreeSet<ArtifactPath> = files.keys().flat_map(|path| path.folders()).collect();
    let rows: Vec<Vec<Value>> = folders
        .iter()
        .map(|folder| params![run.key, folder.folder(), folder.name(), 0, by.at].to_vec())
        .collect();
    let made = insert(
        tx,
        "artifacts (owner, folder, name, size, written_at)",
        "ON CONFLICT (owner, folder, name) DO NOTHING",
        &rows,
    )?;
    if made == folders.len() as u64 {
        return Ok(());
    }
    let folders: Vec<ArtifactPath> = folders.into_iter().collect();
    refuse_files(tx, run, &folders)
}

/// Refuses to go on when one of the folders-to-be is a file.
fn refuse_files(tx: &mut Tx<'_>, run: &Stored, folders: &[ArtifactPath]) -> Result<()> {
    for part in folders.chunks(IN_LIST) {
        if let Some(path) = file_among(tx, run, part)? {
            return Err(Error::ArtifactIsFile {
                run: run.info.id.clone(),
                path: path.to_string(),
            });
        }
    }
    Ok(())
}

/// The first of `paths` that is a file.
fn file_among(tx: &mut Tx<'_>, run: &Stored, paths: &[ArtifactPath]) -> Result<Option<ArtifactPath>> {
    let mut values = params![run.key].to_vec();
    let mut places = Vec::with_capacity(paths.len());
    for path in paths {
        places.push(format!("(?{}, ?{})", values.len() + 1, values.len() + 2));
        values.extend(params![path.folder(), path.name()]);
    }
    let rows = tx.query(
        &format!(
            "SELECT folder, name FROM artifacts
             WHERE owner = ?1 AND hash IS NOT NULL AND (folder, name) IN (VALUES {})
             ORDER BY folder, name LIMIT 1",
            places.join(", ")
        ),
        &values,
    )?;
    rows.first().map(path_of).transpose()
}

fn write_files(tx: &mut Tx<'_>, by: &By, run: &Stored, files: &BTreeMap<&ArtifactPath, &File>) -> Result<()> {
    let rows: Vec<Vec<Value>> = files
        .values()
        .map(|file| {
            let path = &file.path;
            params![
                run.key,
                path.folder(),
                path.name(),
                file.hash,
                file.size_bytes,
                by.at
            ]
            .to_vec()
        })
        .collect();
    let written = insert(
        tx,
        "artifacts (owner, folder, name, hash, size, written_at)",
        "ON CONFLICT (owner, folder, name) DO UPDATE SET
             hash = excluded.hash, size = excluded.size, written_at = excluded.written_at
         WHERE artifacts.hash IS NOT NULL",
        &rows,
    )?;
    if written == files.len() as u64 {
        return Ok(());
    }
    for path in files.keys() {
        if let Some(Entry::Folder(_)) = find_stored(tx, run, path)? {
            return Err(is_folder(&run.info.id, path));
        }
    }
    Ok(())
}

fn find_stored(tx: &mut Tx<'_>, run: &Stored, path: &ArtifactPath) -> Result<Option<Entry>> {
    let row = tx.query_opt(
        "SELECT folder, name, hash, size, written_at FROM artifacts
         WHERE owner = ?1 AND folder = ?2 AND name = ?3",
        &params![run.key, path.folder(), path.name()],
    )?;
    row.as_ref().map(entry).transpose()
}

/// The condition that a row lies in `folder`, at any depth. Text is ordered by its bytes and `0` follows `/`.
fn inside(folder: Option<&ArtifactPath>, values: &mut Vec<Value>) -> String {
    let Some(folder) = folder else {
        return "1 = 1".to_owned();
    };
    let first = values.len() + 1;
    values.extend(params![
        folder.as_str(),
        format!("{folder}/"),
        format!("{folder}0")
    ]);
    format!(
        "(folder = ?{first} OR (folder >= ?{} AND folder < ?{}))",
        first + 1,
        first + 2
    )
}

/// Deletes the rows of the owner in `?1` where `condition` holds, and answers how many of them were files.
fn delete_rows(tx: &mut Tx<'_>, condition: &str, values: &[Value]) -> Result<u64> {
    let mut delete = |what: &str| {
        tx.execute(
            &format!("DELETE FROM artifacts WHERE owner = ?1 AND hash {what} AND {condition}"),
            values,
        )
    };
    let files = delete("IS NOT NULL")?;
    delete("IS NULL")?;
    Ok(files)
}

/// Removes the folders above `path` that nothing is left in.
fn prune(tx: &mut Tx<'_>, run: &Stored, path: &ArtifactPath) -> Result<()> {
    let folders: Vec<ArtifactPath> = path.folders().collect();
    for folder in folders.iter().rev() {
        let removed = tx.execute(
            "DELETE FROM artifacts WHERE owner = ?1 AND folder = ?2 AND name = ?3
                 AND NOT EXISTS (SELECT 1 FROM artifacts inner_entry
                                 WHERE inner_entry.owner = ?1 AND inner_entry.folder = ?4)",
            &params![run.key, folder.folder(), folder.name(), folder.as_str()],
        )?;
        if removed == 0 {
            break;
        }
    }
    Ok(())
}

fn entry(row: &Row) -> Result<Entry> {
    let path = path_of(row)?;
    Ok(match row.get::<Option<Hash>>("hash")? {
        None => Entry::Folder(path),
        Some(hash) => {
            let size_bytes = row.get("size")?;
            let file = File {
                path,
                hash,
                size_bytes,
            };
            Entry::File(file, row.get("written_at")?)
        }
    })
}

fn path_of(row: &Row) -> Result<ArtifactPath> {
    let (folder, name): (String, String) = (row.get("folder")?, row.get("name")?);
    let path = if folder.is_empty() {
        name
    } else {
        format!("{folder}/{name}")
    };
    ArtifactPath::new(path).map_err(|error| Error::Damaged {
        what: "artifact".to_owned(),
        problem: error.to_string(),
    })
}

fn no_artifact(run: &RunId, path: &ArtifactPath) -> Error {
    Error::NoArtifact {
        run: run.clone(),
        path: path.to_string(),
    }
}

fn is_folder(run: &RunId, path: &ArtifactPath) -> Error {
    Error::ArtifactIsFolder {
        run: run.clone(),
        path: path.to_string(),
    }
}
