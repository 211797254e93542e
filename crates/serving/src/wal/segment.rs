//! Segment files: one is open and locked by its writer, the others wait to be sealed.

use parking_lot::Mutex;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::record::{Batch, LONGEST, checksum};

const EXTENSION: &str = "wal";

/// A segment that nobody writes any more.
#[derive(Debug)]
pub(crate) struct Closed {
    /// Names its rows for ever.
    pub id: String,
    pub path: PathBuf,
    /// Held so that no other process seals it at the same time.
    _lock: File,
}

/// The log of this process.
#[derive(Debug)]
pub(crate) struct Wal {
    folder: PathBuf,
    open: Mutex<Open>,
}

#[derive(Debug)]
struct Open {
    id: String,
    file: File,
    rows: u64,
    bytes: u64,
    is_synced: bool,
    /// Whether half a record may lie at its end: nothing may be written behind it.
    is_torn: bool,
}

impl Wal {
    /// Opens a new segment called `id` in `folder`.
    pub(crate) fn open(folder: &Path, id: &str) -> io::Result<Self> {
        std::fs::create_dir_all(folder)?;
        let open = Open::create(folder, id)?;
        Ok(Self {
            folder: folder.to_owned(),
            open: Mutex::new(open),
        })
    }

    /// Appends an encoded record of `rows` rows. When this returns, a killed process loses nothing of it.
    pub(crate) fn append(&self, record: &[u8], rows: usize) -> io::Result<()> {
        let mut open = self.open.lock();
        if open.is_torn {
            open.cut()?;
        }
        if let Err(error) = open.file.write_all(record) {
            // What was half written must not hide the records after it.
            open.is_torn = true;
            open.cut()?;
            return Err(error);
        }
        open.bytes += record.len() as u64;
        open.rows += rows as u64;
        open.is_synced = false;
        Ok(())
    }

    /// Whether everything that was appended would outlive a power cut.
    pub(crate) fn is_synced(&self) -> bool {
        self.open.lock().is_synced
    }

    /// Makes what was appended outlive a power cut.
    pub(crate) fn sync(&self) -> io::Result<()> {
        let file = {
            let mut open = self.open.lock();
            if open.is_synced {
                return Ok(());
            }
            open.is_synced = true;
            open.file.try_clone()?
        };
        let synced = file.sync_data();
        if synced.is_err() {
            // The next round tries again, should it be another file by then too.
            self.open.lock().is_synced = false;
        }
        synced
    }

    /// Rows in the open segment.
    pub(crate) fn rows(&self) -> u64 {
        self.open.lock().rows
    }

    /// Bytes in the open segment.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.lock().bytes
    }

    /// Closes the open segment and opens one called `id`; does nothing when the open one is empty.
    pub(crate) fn rotate(&self, id: &str) -> io::Result<()> {
        let mut open = self.open.lock();
        if open.rows == 0 {
            return Ok(());
        }
        open.file.sync_data()?;
        let old = std::mem::replace(&mut *open, Open::create(&self.folder, id)?);
        // Dropping the file gives up its lock: the segment may be sealed.
        drop(old);
        Ok(())
    }

    /// What `look` makes of records, of all segments in the folder: ours, and those of others, alive or dead.
    pub(crate) fn find<T>(&self, look: impl Fn(&Batch<'_>) -> Option<T>) -> io::Result<Vec<T>> {
        let mut found = Vec::new();
        for path in segments(&self.folder)? {
            let bytes = match std::fs::read(&path) {
                Ok(bytes) => bytes,
                // It was sealed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            // Its writer may be in the middle of a record.
            found.extend(Records(&bytes).filter_map(|batch| look(&batch)));
        }
        Ok(found)
    }

    /// Segments that nobody writes: closed by us, or left by a process that died.
    pub(crate) fn closed(&self) -> io::Result<Vec<Closed>> {
        let current = self.open.lock().id.clone();
        let mut found = Vec::new();
        for path in segments(&self.folder)? {
            let Some(id) = path
                .file_stem()
                .and_then(|stem| stem.to_str())
                .map(ToOwned::to_owned)
            else {
                continue;
            };
            if id == current {
                continue;
            }
            let Ok(lock) = OpenOptions::new().read(true).write(true).open(&path) else {
                continue;
            };
            if lock.try_lock().is_ok() && path.exists() {
                found.push(Closed {
                    id,
                    path,
                    _lock: lock,
                });
            }
        }
        Ok(found)
    }
}

impl Open {
    fn create(folder: &Path, id: &str) -> io::Result<Self> {
        let path = folder.join(format!("{id}.{EXTENSION}"));
        let file = OpenOptions::new().create_new(true).append(true).open(&path)?;
        file.try_lock()
            .map_err(|error| io::Error::other(error.to_string()))?;
        File::open(folder)?.sync_all()?;
        Ok(Self {
            id: id.to_owned(),
            file,
            rows: 0,
            bytes: 0,
            is_synced: true,
            is_torn: false,
        })
    }

    /// Takes half a record away from its end.
    fn cut(&mut self) -> io::Result<()> {
        // Appending goes to the end, wherever that is.
        self.file.set_len(self.bytes)?;
        self.is_torn = false;
        Ok(())
    }
}

impl Closed {
    /// Removes the segment, once its rows are stored elsewhere.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

/// The segments in a folder, oldest first.
fn segments(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == EXTENSION) {
            paths.push(path);
        }
    }
    paths.sort();
    Ok(paths)
}

/// The records in the bytes of the segment at `path`, up to where its writer died.
pub(crate) fn batches<'a>(path: &Path, bytes: &'a [u8]) -> impl Iterator<Item = Batch<'a>> {
    let mut records = Records(bytes);
    std::iter::from_fn(move || {
        let record = records.next();
        let rest = records.0.len();
        if record.is_none() && rest > 0 {
            tracing::warn!(path = %path.display(), bytes = rest, "prediction log ends in the middle of a record");
        }
        record
    })
}

/// The whole records at the front of some bytes; what follows them stays.
struct Records<'a>(&'a [u8]);

impl<'a> Iterator for Records<'a> {
    type Item = Batch<'a>;

    fn next(&mut self) -> Option<Batch<'a>> {
        let (batch, after) = next(self.0)?;
        self.0 = after;
        Some(batch)
    }
}

fn next(bytes: &[u8]) -> Option<(Batch<'_>, &[u8])> {
    let (head, rest) = bytes.split_at_checked(8)?;
    let length = u32::from_le_bytes(head[..4].try_into().ok()?);
    if length > LONGEST {
        return None;
    }
    let (payload, after) = rest.split_at_checked(length as usize)?;
    if checksum(payload) != head[4..8] {
        return None;
    }
    Some((Batch::decode(payload)?, after))
}

#[cfg(test)]
mod tests {
    use super::super::{Record, Role};
    use super::*;
    use everloop_core::{Frame, PredictionId};

    fn record(id: &str) -> Vec<u8> {
        Record {
            project: "p",
            endpoint: "e",
            model: "m",
            version: 1,
            role: Role::Live,
            event_time: 0,
            received_at: 0,
            latency_us: 1,
            ids: &[PredictionId::new(id)],
            features: &Frame::default(),
            scores: vec![0.5],
            labels: Vec::new(),
            error: None,
        }
        .encode()
    }

    #[test]
    fn a_torn_tail_costs_only_itself() {
        let folder = tempfile::tempdir().unwrap();
        let wal = Wal::open(folder.path(), "s1").unwrap();
        wal.append(&record("a"), 1).unwrap();
        wal.append(&record("b"), 1).unwrap();
        let torn = record("c");
        wal.append(&torn[..torn.len() - 3], 1).unwrap();
        wal.rotate("s2").unwrap();
        let closed = wal.closed().unwrap();
        assert_eq!(closed.len(), 1);
        let bytes = std::fs::read(&closed[0].path).unwrap();
        let ids: Vec<&str> = batches(&closed[0].path, &bytes)
            .map(|batch| batch.ids[0])
            .collect();
        assert_eq!(ids, ["a", "b"]);
    }

    #[test]
    fn an_open_segment_is_nobody_elses() {
        let folder = tempfile::tempdir().unwrap();
        let one = Wal::open(folder.path(), "one").unwrap();
        one.append(&record("a"), 1).unwrap();
        let other = Wal::open(folder.path(), "other").unwrap();
        assert!(other.closed().unwrap().is_empty(), "its writer lives");
        drop(one);
        assert_eq!(other.closed().unwrap().len(), 1, "its writer is gone");
    }

    #[test]
    fn nothing_is_written_behind_half_a_record() {
        let folder = tempfile::tempdir().unwrap();
        let wal = Wal::open(folder.path(), "s1").unwrap();
        wal.append(&record("a"), 1).unwrap();
        // What a disk leaves that ran full in the middle of a record and would not even cut it off.
        {
            let mut open = wal.open.lock();
            let half = record("b");
            open.file.write_all(&half[..half.len() / 2]).unwrap();
            open.is_torn = true;
        }
        wal.append(&record("c"), 1).unwrap();
        let ids = wal.find(|batch| Some(batch.ids[0].to_owned())).unwrap();
        assert_eq!(ids, ["a", "c"]);
    }
}
