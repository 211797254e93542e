//! A store in a local folder.
//!
//! `object_store`'s own `LocalFileSystem` never calls `fsync` and leaves modes to the umask, so this one is ours. A
//! file is written under `tmp/`, flushed, renamed to its name, and its folder flushed: after a crash at any instant a
//! name is either absent or stands for whole, durable bytes. Folders are 0700, files 0400.

use super::{Backend, Stat, Touched};
use crate::blocking::blocking;
use crate::error::is_full;
use crate::key::{Area, Key};
use crate::{Error, Result};
use async_trait::async_trait;
use bytes::Bytes;
use everloop_core::{Ids, Timestamp};
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::{BTreeSet, HashSet};
use std::fs::{self, DirBuilder, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A store in a local folder. Clones share their state.
#[derive(Debug, Clone)]
pub(crate) struct Folder(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    root: PathBuf,
    ids: Ids,
    /// A flush failed. The kernel may have dropped the dirty pages, so a second try could succeed without writing
    /// them: the only safe answer is to stop until a person has looked.
    stopped: AtomicBool,
    /// Folders that exist durably, as far as this process has seen to it.
    folders: Mutex<HashSet<PathBuf>>,
}

impl Folder {
    /// Opens the folder, making it when it is missing.
    pub(crate) async fn open(root: PathBuf, ids: Ids) -> Result<Self> {
        let folder = Self(Arc::new(Inner {
            root,
            ids,
            stopped: AtomicBool::new(false),
            folders: Mutex::new(HashSet::new()),
        }));
        folder
            .run(|inner| {
                inner.ensure_folder(&inner.root)?;
                inner.ensure_folder(&inner.root.join(Area::Temp.as_str()))
            })
            .await?;
        Ok(folder)
    }

    async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Inner) -> Result<T> + Send + 'static,
    ) -> Result<T> {
        let inner = Arc::clone(&self.0);
        blocking(move || work(&inner)).await
    }
}

#[async_trait]
impl Backend for Folder {
    async fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        self.read_range(key, 0..u64::MAX).await
    }

    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>> {
        let path = Arc::new(self.0.path(key));
        let to_open = Arc::clone(&path);
        let Some((file, size)) = self.run(move |_| open(&to_open)).await? else {
            return Ok(None);
        };
        let length = range.end.min(size).saturating_sub(range.start);
        // Made here and not on the blocking pool: what many idle threads allocated and others freed, allocators keep.
        let mut bytes = vec![0; usize::try_from(length).unwrap_or(0)];
        self.run(move |_| match file.read_exact_at(&mut bytes, range.start) {
            Ok(()) => Ok(Some(bytes.into())),
            Err(error) => Err(Error::io("read", &path, error)),
        })
        .await
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        let path = self.0.path(key);
        self.run(move |_| match fs::symlink_metadata(&path) {
            Ok(metadata) => Ok(metadata.is_file().then(|| stat_of(&metadata))),
            Err(error) => absent(error, "look at", &path),
        })
        .await
    }

    async fn write(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let path = self.0.path(key);
        self.run(move |inner| inner.write(&path, &bytes)).await
    }

    async fn settle(&self, folders: &BTreeSet<String>) -> Result<()> {
        let folders: Vec<PathBuf> = folders.iter().map(|folder| self.0.root.join(folder)).collect();
        self.run(move |inner| {
            inner.running()?;
            folders.iter().try_for_each(|folder| inner.sync_folder(folder))
        })
        .await
    }

    async fn touch(&self, key: &Key) -> Result<Touched> {
        let path = self.0.path(key);
        self.run(move |_| touch_now(&path)).await
    }

    async fn delete(&self, keys: Vec<Key>) -> Result<()> {
        self.run(move |inner| {
            inner.running()?;
            let mut folders = BTreeSet::new();
            for key in &keys {
                let path = inner.path(key);
                if let Err(error) = fs::remove_file(&path) {
                    absent::<()>(error, "delete", &path)?;
                }
                folders.insert(inner.root.join(key.folder()));
            }
            folders.iter().try_for_each(|folder| inner.sync_folder(folder))
        })
        .await
    }

    fn list(&self, area: Area) -> BoxStream<'static, Result<(Key, Stat)>> {
        let folder = self.clone();
        let top = async move {
            let (files, subfolders) = folder.run(move |inner| inner.scan(area.as_str())).await?;
            // One fan-out folder at a time keeps memory bounded by a 256th of the area.
            let below = stream::iter(subfolders).then(move |name| {
                let folder = folder.clone();
                async move { folder.run(move |inner| Ok(inner.scan(&name)?.0)).await }
            });
            let all = stream::once(async move { Ok(files) }).chain(below);
            Ok(all
                .map_ok(|found| stream::iter(found.into_iter().map(Ok)))
                .try_flatten())
        };
        stream::once(top).try_flatten().boxed()
    }
}

impl Inner {
    fn path(&self, key: &Key) -> PathBuf {
        self.root.join(key.as_str())
    }

    fn running(&self) -> Result<()> {
        if self.stopped.load(Ordering::Acquire) {
            Err(Error::Stopped)
        } else {
            Ok(())
        }
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<()> {
        self.running()?;
        let parent = path.parent().unwrap_or(&self.root);
        self.ensure_folder(parent)?;
        let temp = Temp(self.root.join(Area::Temp.as_str()).join(self.ids.hex32()));
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o400)
            .open(&temp.0)
            .map_err(|error| Error::io("create", &temp.0, error))?;
        file.write_all(bytes)
            .map_err(|error| Error::io("write", path, error))?;
        self.sync(&file, path)?;
        drop(file);
        fs::rename(&temp.0, path).map_err(|error| Error::io("rename into place", path, error))
    }

    /// Flushes an open file or folder. A full disk concerns this file alone, which is then thrown away; any other
    /// failure stops the store.
    fn sync(&self, file: &File, path: &Path) -> Result<()> {
        file.sync_all().map_err(|error| {
            if !is_full(&error) {
                self.stopped.store(true, Ordering::Release);
                tracing::error!(path = %path.display(), %error, "flush to disk failed: the store stops writing");
            }
            Error::io("flush", path, error)
        })
    }

    fn sync_folder(&self, path: &Path) -> Result<()> {
        match File::open(path) {
            Ok(folder) => self.sync(&folder, path),
            // A folder that was never made holds no names.
            Err(error) => absent::<()>(error, "open", path).map(|_| ()),
        }
    }

    /// Makes a folder and those above it, durably. Folders found there are flushed once too: another process may have
    /// made them a moment ago.
    fn ensure_folder(&self, path: &Path) -> Result<()> {
        if self.folders.lock().contains(path) {
            return Ok(());
        }
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
        let inside = path.starts_with(&self.root) && path != self.root;
        if let Some(parent) = parent
            && (inside || !parent.exists())
        {
            self.ensure_folder(parent)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Ok(()) => {}
            Err(error) if error.kind() == ErrorKind::AlreadyExists && path.is_dir() => {}
            Err(error) => return Err(Error::io("make the folder", path, error)),
        }
        self.sync_folder(parent.unwrap_or(Path::new(".")))?;
        self.folders.lock().insert(path.to_owned());
        Ok(())
    }

    /// The files and the folders in one folder of the store, by their names inside the store.
    fn scan(&self, folder: &str) -> Result<(Vec<(Key, Stat)>, Vec<String>)> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        let path = self.root.join(folder);
        let entries = match fs::read_dir(&path) {
            Ok(entries) => entries,
            Err(error) => return absent::<()>(error, "list", &path).map(|_| (files, folders)),
        };
        for entry in entries {
            let entry = entry.map_err(|error| Error::io("list", &path, error))?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(Error::io("look at", &entry.path(), error)),
            };
            // Names that are not text are none of ours.
            let Some(name) = entry.file_name().to_str().map(|name| format!("{folder}/{name}")) else {
                continue;
            };
            if metadata.is_dir() {
                folders.push(name);
            } else if metadata.is_file() {
                files.push((Key::found(name), stat_of(&metadata)));
            }
        }
        Ok((files, folders))
    }
}

/// The name of a temporary file, which is free again afterwards whatever happens.
struct Temp(PathBuf);

impl Drop for Temp {
    fn drop(&mut self) {
        // Nothing is there after the rename; what can't be removed now is left to the sweep.
        let _ = fs::remove_file(&self.0);
    }
}

/// `None` for a file that is not there, an error for all else.
fn absent<T>(error: io::Error, action: &'static str, path: &Path) -> Result<Option<T>> {
    match error.kind() {
        ErrorKind::NotFound => Ok(None),
        _ => Err(Error::io(action, path, error)),
    }
}

/// Opens a file, without following a link that someone put in its place, and tells its size.
fn open(path: &Path) -> Result<Option<(File, u64)>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NOFOLLOW)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) => return absent(error, "open", path),
    };
    let metadata = file
        .metadata()
        .map_err(|error| Error::io("look at", path, error))?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

/// Lets the kernel set the time, so that no clock of ours enters the store.
fn touch_now(path: &Path) -> Result<Touched> {
    use nix::sys::stat::{UtimensatFlags, utimensat};
    use nix::sys::time::TimeSpec;
    let now = TimeSpec::UTIME_NOW;
    let flags = UtimensatFlags::NoFollowSymlink;
    match utimensat(nix::fcntl::AT_FDCWD, path, &now, &now, flags) {
        Ok(()) => Ok(Touched::Done),
        Err(error) => absent::<()>(error.into(), "touch", path).map(|_| Touched::Done),
    }
}

fn stat_of(metadata: &Metadata) -> Stat {
    let millis = metadata
        .mtime()
        .saturating_mul(1_000)
        .saturating_add(metadata.mtime_nsec() / 1_000_000);
    Stat {
        size: metadata.len(),
        modified: Timestamp(millis),
    }
}
