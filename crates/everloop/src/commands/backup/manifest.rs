//! What a backup says of itself: that it is whole, and which files belong to it.

use everloop_core::{Code, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs;
use std::io;
use std::path::Path;

use crate::problem::Problem;

/// The file in the backup's folder.
pub const NAME: &str = "backup.json";
/// The form of the file that this program writes, and the newest it reads.
const FORMAT: u32 = 1;

/// A backup's own description. It is written twice: before the first copy, as not complete, and after the last.
#[derive(Debug, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// Whether every file is there.
    pub complete: bool,
    /// The program that made it.
    pub program: String,
    /// When it was begun, as RFC 3339.
    pub begun_at: String,
    /// The bucket that the objects stay in; none when they are in the backup.
    pub objects_in: Option<String>,
    /// All files but this one.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Its path in the backup, with `/` between its parts.
    pub path: String,
    /// Its length in bytes.
    pub size: u64,
}

impl Manifest {
    /// A backup that was just begun.
    pub fn begin(at: Timestamp, objects_in: Option<String>) -> Self {
        Self {
            format: FORMAT,
            complete: false,
            program: format!("everloop {}", env!("CARGO_PKG_VERSION")),
            begun_at: at.to_rfc3339(),
            objects_in,
            files: Vec::new(),
        }
    }

    /// Writes it into `folder`, whole and durably.
    pub fn write(&self, folder: &Path) -> io::Result<()> {
        let part = folder.join(format!("{NAME}.part"));
        fs::write(&part, serde_json::to_vec(self)?)?;
        fs::File::open(&part)?.sync_all()?;
        fs::rename(part, folder.join(NAME))
    }

    /// Reads the manifest of a backup that can be restored: finished, understood, with every file at its length.
    pub fn read_whole(folder: &Path) -> Result<Self, Problem> {
        let place = folder.display().to_string();
        let none = |why: String| {
            Problem::usage(format!("\"{place}\" holds no backup: {why}"))
                .hint("give the folder that \"everloop admin backup\" wrote")
        };
        let text =
            fs::read(folder.join(NAME)).map_err(|error| none(format!("can't read {NAME}: {error}")))?;
        let read: Self = serde_json::from_slice(&text).map_err(|error| none(format!("{NAME}: {error}")))?;
        let damaged = |problem: String| {
            Problem::new(Code::DataLoss, format!("the backup is not whole: {problem}"))
                .at(place.clone())
                .hint("restore another backup, or make this one again")
        };
        if read.format > FORMAT {
            return Err(Problem::new(
                Code::FailedPrecondition,
                format!("the backup was made by a newer program, {}", read.program),
            )
            .at(place)
            .hint("restore it with that program"));
        }
        if !read.complete {
            return Err(damaged(format!(
                "making it was begun at {} and never finished",
                read.begun_at
            )));
        }
        for entry in &read.files {
            match fs::metadata(folder.join(&entry.path)) {
                Ok(found) if found.len() == entry.size => {}
                Ok(found) => {
                    let (path, size) = (&entry.path, entry.size);
                    return Err(damaged(format!("\"{path}\" has {} bytes of {size}", found.len())));
                }
                Err(error) => return Err(damaged(format!("\"{}\": {error}", entry.path))),
            }
        }
        Ok(read)
    }
}
