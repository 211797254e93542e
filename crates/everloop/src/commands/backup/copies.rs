//! Copying files into a backup and out of it: each whole or not at all.

use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use super::manifest::Entry;

/// What was copied.
#[derive(Debug, Default, Serialize)]
pub struct Copied {
    /// Where to.
    pub folder: PathBuf,
    /// Files copied.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that were there already.
    pub unchanged: u64,
    /// The object store, when it is a bucket and was left out.
    pub objects_left_in: Option<String>,
    /// The files of the backup.
    #[serde(skip)]
    pub entries: Vec<Entry>,
}

/// Which files need no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Same {
    /// Immutable ones: a file of the same name and length is the same file.
    ByLength,
    /// None: they grow.
    Never,
}

impl Copied {
    /// Copies what lies below `from` to `name` in the backup at `to`. A file that goes away meanwhile is not missed
    /// when `same` says that files change: it was sealed, and the database knows its rows.
    pub fn tree(mut self, from: &Path, to: &Path, name: &str, same: Same) -> io::Result<Self> {
        let mut folders = vec![(from.to_owned(), name.to_owned())];
        while let Some((folder, below)) = folders.pop() {
            make_private(&to.join(&below))?;
            for entry in fs::read_dir(&folder)? {
                let entry = entry?;
                let Ok(file_name) = entry.file_name().into_string() else {
                    continue;
                };
                let (path, inner) = (entry.path(), format!("{below}/{file_name}"));
                let kind = entry.file_type()?;
                if kind.is_dir() {
                    folders.push((path, inner));
                } else if kind.is_file() {
                    match self.file(&path, to, &inner, same) {
                        Err(error) if error.kind() == io::ErrorKind::NotFound && !path.exists() => {
                            // Parts of uploads that end meanwhile are no objects yet.
                            tracing::debug!(path = %path.display(), "went away while it was copied");
                        }
                        done => done?,
                    }
                }
            }
        }
        Ok(self)
    }

    /// Copies `from` to `name` in the backup at `to`.
    pub fn file(&mut self, from: &Path, to: &Path, name: &str, same: Same) -> io::Result<()> {
        let target = to.join(name);
        let size = fs::metadata(from)?.len();
        let is_there = same == Same::ByLength && fs::metadata(&target).is_ok_and(|old| old.len() == size);
        let size = if is_there {
            self.unchanged += 1;
            size
        } else {
            let bytes = copy_whole(from, &target)?;
            self.files += 1;
            self.bytes += bytes;
            bytes
        };
        self.entries.push(Entry {
            path: name.to_owned(),
            size,
        });
        Ok(())
    }

    /// Copies the files of a backup below `name` from `from` to the folder `to`.
    pub fn back(mut self, entries: &[Entry], from: &Path, name: &str, to: &Path) -> io::Result<Self> {
        let prefix = format!("{name}/");
        for entry in entries {
            let Some(inner) = entry.path.strip_prefix(&prefix) else {
                continue;
            };
            let target = to.join(inner);
            if let Some(parent) = target.parent() {
                make_private(parent)?;
            }
            let is_there = fs::metadata(&target).is_ok_and(|old| old.len() == entry.size);
            if is_there {
                self.unchanged += 1;
                continue;
            }
            self.bytes += copy_whole(&from.join(&entry.path), &target)?;
            self.files += 1;
        }
        Ok(self)
    }
}

/// Copies durably under another name first, so that a file with its name is a whole one.
pub fn copy_whole(from: &Path, to: &Path) -> io::Result<u64> {
    let mut part = to.as_os_str().to_owned();
    part.push(".part");
    let part = PathBuf::from(part);
    let bytes = fs::copy(from, &part)?;
    fs::File::open(&part)?.sync_all()?;
    fs::rename(part, to)?;
    Ok(bytes)
}

/// A folder that only its owner looks into: it holds data and the ledger.
pub fn make_private(folder: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(folder)
}

/// Removes a file, or finds that it is gone.
pub fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
