//! Anchors: heads of the chains, kept outside the database.
//!
//! A hash chain alone can't tell that its tail was cut off, or that the whole database was replaced by another with a
//! fitting chain. An anchor written elsewhere can. The file is JSON lines, only ever appended to and made durable each
//! time; copy it off the machine to guard against someone who can write both.
//!
//! After a restore from an older backup the anchors are ahead of the ledger, and `verify` says so: keep the old file
//! aside with the backup's note and let a new one begin.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use everloop_core::{Hash, ProjectName, Timestamp};
use everloop_db::{Db, Tx};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Seq};

/// That the event of `project` at `seq` has this `hash`. One line of an anchor file; this shape is stored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Anchor {
    /// The project.
    pub project: ProjectName,
    /// The place of its last event.
    pub seq: Seq,
    /// That event's hash.
    pub hash: Hash,
    /// That event's time.
    pub at: Timestamp,
}

/// The heads of all projects as of now, by project.
///
/// # Errors
/// When the database fails.
pub fn anchors(tx: &mut Tx<'_>) -> Result<Vec<Anchor>> {
    let rows = tx.query(
        "SELECT project, seq, hash, at FROM ledger_heads ORDER BY project",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            Ok(Anchor {
                project: row.get("project")?,
                seq: row.get("seq")?,
                hash: row.get("hash")?,
                at: row.get("at")?,
            })
        })
        .collect()
}

/// Writes the heads that moved since the last time to `file`; answers how many. Call it at intervals.
///
/// # Errors
/// When the database or the file fails.
pub async fn write_anchors(db: &Db, file: &AnchorFile) -> Result<usize> {
    let heads = db.read(anchors).await?;
    let file = file.clone();
    let path = file.path.clone();
    blocking(path, move || file.append_moved(&heads)).await
}

/// A file of anchors beside the store. Clones share what they know of it.
#[derive(Debug, Clone)]
pub struct AnchorFile {
    path: PathBuf,
    /// The last anchor of each project, once the file was read.
    last: Arc<Mutex<Option<HashMap<ProjectName, Anchor>>>>,
}

impl AnchorFile {
    /// The anchors in the file `path`, which is made when the first is written.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            last: Arc::default(),
        }
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// All anchors, oldest first; none when the file is not there. Blocks.
    ///
    /// A last line without its end is what a crash left of an append that nobody was told of: it is passed over.
    ///
    /// # Errors
    /// When the file can't be read, or a line is not an anchor.
    pub fn read(&self) -> Result<Vec<Anchor>> {
        let text = match std::fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.failed(None, &error)),
        };
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        whole
            .lines()
            .enumerate()
            .map(|(index, line)| {
                serde_json::from_str(line).map_err(|error| self.failed(Some(index + 1), &error))
            })
            .collect()
    }

    /// Adds `anchors` durably. Blocks.
    ///
    /// # Errors
    /// When the file can't be written.
    pub fn append(&self, anchors: &[Anchor]) -> Result<()> {
        if anchors.is_empty() {
            return Ok(());
        }
        let mut lines = String::new();
        for anchor in anchors {
            let line = serde_json::to_string(anchor).map_err(|error| self.failed(None, &error))?;
            lines.push_str(&line);
            lines.push('\n');
        }
        self.append_lines(lines.as_bytes())
            .map_err(|error| self.failed(None, &error))
    }

    /// Adds those of `heads` that are not the last known of their project; answers how many.
    fn append_moved(&self, heads: &[Anchor]) -> Result<usize> {
        // A poisoned lock only means that another thread died between two appends.
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let last = match &mut *last {
            Some(last) => last,
            unread => {
                let known = self.read()?.into_iter();
                unread.insert(known.map(|anchor| (anchor.project.clone(), anchor)).collect())
            }
        };
        let moved: Vec<Anchor> = heads
            .iter()
            .filter(|head| last.get(&head.project) != Some(head))
            .cloned()
            .collect();
        self.append(&moved)?;
        let count = moved.len();
        last.extend(moved.into_iter().map(|anchor| (anchor.project.clone(), anchor)));
        Ok(count)
    }

    fn append_lines(&self, lines: &[u8]) -> std::io::Result<()> {
        let is_new = !self.path.exists();
        let mut options = OpenOptions::new();
        options.create(true).read(true).write(true).truncate(false);
        let mut file = options.open(&self.path)?;
        cut_torn_line(&mut file)?;
        file.write_all(lines)?;
        file.sync_all()?;
        if is_new {
            sync_folder(&self.path)?;
        }
        Ok(())
    }

    fn failed(&self, line: Option<usize>, error: &dyn std::fmt::Display) -> Error {
        Error::Anchors {
            path: self.path.display().to_string(),
            line,
            problem: error.to_string(),
        }
    }
}

/// Leaves the file's end behind its last whole line.
fn cut_torn_line(file: &mut File) -> std::io::Result<()> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut last = [b'\n'];
    if end > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last == [b'\n'] {
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    let whole = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    file.set_len(whole as u64)?;
    file.seek(SeekFrom::End(0)).map(drop)
}

/// Makes the file's name durable.
fn sync_folder(path: &Path) -> std::io::Result<()> {
    let folder = match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    };
    File::open(folder)?.sync_all()
}

async fn blocking<T: Send + 'static>(
    path: PathBuf,
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        Err(Error::Anchors {
            path: path.display().to_string(),
            line: None,
            problem: error.to_string(),
        })
    })
}
