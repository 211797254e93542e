//! Files of the workspace: their hashes (kept beside how the file looked, so that an unchanged one is not read again),
//! storing outs as objects, and writing them back.

use std::collections::HashMap;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use everloop_core::{Hash, Hasher, Timestamp};
use everloop_db::{Db, Row, Tx, Value, params};
use everloop_objects::Objects;
use everloop_project::DataPath;
use futures::{StreamExt, TryStreamExt};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use walkdir::WalkDir;

use crate::{Error, Failure, OutFile, OutManifest};

/// A file that was written this recently may be written again within the same tick of its clock, unseen.
const UNSETTLED: Duration = Duration::from_secs(2);

/// Files up to this size are stored together.
const SMALL: u64 = 256 << 10;

/// Files fetched at once.
const AT_ONCE: usize = 8;

/// How a file looks from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stat {
    size: u64,
    modified_ns: i64,
    changed_ns: i64,
    inode: u64,
    executable: bool,
}

/// Something in the workspace.
enum Look {
    Missing,
    File(Stat),
    Folder,
}

/// The files of one workspace. Shared by everything that works in it.
pub(crate) struct Files {
    root: PathBuf,
    /// The root without links.
    real_root: PathBuf,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By absolute path.
    known: HashMap<String, (Stat, Hash)>,
    /// What the database does not know yet.
    fresh: HashMap<String, (Stat, Hash)>,
}

impl Files {
    /// The files below `root`.
    ///
    /// # Errors
    /// When it is no folder.
    pub fn open(root: &Path) -> Result<Arc<Self>, Error> {
        let no_folder = || Error::NoWorkspace {
            path: root.to_owned(),
        };
        let real_root = std::fs::canonicalize(root).map_err(|_| no_folder())?;
        if !real_root.is_dir() {
            return Err(no_folder());
        }
        Ok(Arc::new(Self {
            root: root.to_owned(),
            real_root,
            state: Mutex::default(),
        }))
    }

    /// Where `path` lies on this machine.
    pub fn absolute(&self, path: &str) -> PathBuf {
        if path == "." {
            self.root.clone()
        } else {
            self.root.join(path)
        }
    }

    /// Loads what the database knows of the files at and below `paths`.
    pub async fn load(self: &Arc<Self>, db: &Db, paths: Vec<String>) -> Result<(), Error> {
        let files = Arc::clone(self);
        let rows = db
            .read(move |tx| {
                let mut rows = Vec::new();
                for path in &paths {
                    let absolute = files.absolute(path);
                    match look(&absolute) {
                        Ok(Look::File(_)) => rows.extend(read_one(tx, &text(&absolute))?),
                        Ok(Look::Folder) => rows.extend(read_below(tx, &text(&absolute))?),
                        _ => {}
                    }
                }
                Ok::<_, Error>(rows)
            })
            .await?;
        self.state().known.extend(rows);
        Ok(())
    }

    /// What lies at `path`, by content; `None` when there is nothing.
    pub async fn manifest(self: &Arc<Self>, path: &str) -> Result<Option<OutManifest>, Failure> {
        let absolute = self.absolute(path);
        match look(&absolute).map_err(|source| io("look at", &absolute, source))? {
            Look::Missing => return Ok(None),
            Look::File(stat) => {
                if let Some(hash) = self.known(&absolute, stat) {
                    return Ok(Some(one_file(path, stat, hash)));
                }
            }
            Look::Folder => {}
        }
        let (files, path) = (Arc::clone(self), path.to_owned());
        blocking(move || files.read_manifest(&path)).await
    }

    fn read_manifest(&self, path: &str) -> Result<Option<OutManifest>, Failure> {
        let absolute = self.absolute(path);
        match look(&absolute).map_err(|source| io("look at", &absolute, source))? {
            Look::Missing => Ok(None),
            Look::File(stat) => Ok(Some(one_file(path, stat, self.hash(&absolute, stat)?))),
            Look::Folder => {
                let mut files = Vec::new();
                for (inner, file, stat) in list(&absolute)? {
                    files.push(entry(inner, stat, self.hash(&file, stat)?));
                }
                Ok(Some(OutManifest {
                    path: path.to_owned(),
                    folder: true,
                    kept: false,
                    files,
                }))
            }
        }
    }

    /// The hash of a file that looks like `stat`.
    fn hash(&self, absolute: &Path, stat: Stat) -> Result<Hash, Failure> {
        if let Some(hash) = self.known(absolute, stat) {
            return Ok(hash);
        }
        let hash = hash_file(absolute).map_err(|source| io("read", absolute, source))?;
        self.check_unchanged(absolute, stat)?;
        self.remember(absolute, stat, hash);
        Ok(hash)
    }

    fn check_unchanged(&self, absolute: &Path, stat: Stat) -> Result<(), Failure> {
        match look(absolute) {
            Ok(Look::File(after)) if after == stat => Ok(()),
            Ok(_) => Err(io(
                "read",
                absolute,
                std::io::Error::other("it changed while it was being read"),
            )),
            Err(source) => Err(io("look at", absolute, source)),
        }
    }

    /// The out at `path`, stored as objects when it is `kept`; `None` when it was not written.
    pub async fn store(
        self: &Arc<Self>,
        path: &str,
        kept: bool,
        objects: &Objects,
    ) -> Result<Option<OutManifest>, Failure> {
        if !kept {
            return self.manifest(path).await;
        }
        let (files, owned) = (Arc::clone(self), path.to_owned());
        let Some((folder, found)) = blocking(move || files.list(&owned)).await? else {
            return Ok(None);
        };
        let mut stored: Vec<Option<Hash>> = found
            .iter()
            .map(|(_, absolute, stat)| self.known(absolute, *stat))
            .collect();
        // Held, not only looked up: nothing may refer to them yet.
        let known: Vec<Hash> = stored.iter().flatten().copied().collect();
        let missing = objects.hold(&known).await?;
        let mut small = Vec::new();
        for (index, (_, absolute, stat)) in found.iter().enumerate() {
            if stored[index].is_some_and(|hash| !missing.contains(&hash)) {
                continue;
            }
            if stat.size <= SMALL {
                small.push(index);
            } else {
                stored[index] = Some(objects.put_file(absolute).await?.hash);
            }
        }
        self.store_small(&found, &small, objects, &mut stored).await?;
        let mut entries = Vec::with_capacity(found.len());
        for ((inner, absolute, stat), hash) in found.into_iter().zip(stored) {
            let hash = hash.expect("each file was stored above");
            self.check_unchanged(&absolute, stat)?;
            self.remember(&absolute, stat, hash);
            entries.push(entry(inner, stat, hash));
        }
        Ok(Some(OutManifest {
            path: path.to_owned(),
            folder,
            kept: true,
            files: entries,
        }))
    }

    async fn store_small(
        &self,
        found: &[(String, PathBuf, Stat)],
        small: &[usize],
        objects: &Objects,
        stored: &mut [Option<Hash>],
    ) -> Result<(), Failure> {
        for group in small.chunks(256) {
            let mut contents = Vec::with_capacity(group.len());
            for &index in group {
                let absolute = &found[index].1;
                let bytes = std::fs::read(absolute).map_err(|source| io("read", absolute, source))?;
                contents.push(Bytes::from(bytes));
            }
            let puts = match contents.len() {
                1 => vec![put_one(objects, contents.remove(0)).await?],
                _ => objects
                    .put_many(contents)
                    .await?
                    .into_iter()
                    .map(|stored| stored.hash)
                    .collect(),
            };
            for (&index, hash) in group.iter().zip(puts) {
                stored[index] = Some(hash);
            }
        }
        Ok(())
    }

    fn list(&self, path: &str) -> Result<Option<(bool, Vec<(String, PathBuf, Stat)>)>, Failure> {
        let absolute = self.absolute(path);
        match look(&absolute).map_err(|source| io("look at", &absolute, source))? {
            Look::Missing => Ok(None),
            Look::File(stat) => Ok(Some((false, vec![(String::new(), absolute, stat)]))),
            Look::Folder => Ok(Some((true, list(&absolute)?))),
        }
    }

    /// Makes `path` hold exactly what `manifest` says, from the object store. Each file appears whole or not at all.
    pub async fn restore(self: &Arc<Self>, manifest: &OutManifest, objects: &Objects) -> Result<(), Failure> {
        let (files, wanted) = (Arc::clone(self), manifest.clone());
        let missing = blocking(move || files.make_room(&wanted)).await?;
        futures::stream::iter(missing)
            .map(|file| async move {
                let absolute = self.absolute(&manifest.path_of(&file));
                objects.fetch_to(&file.hash, &absolute).await?;
                self.settle(&absolute, &file)
            })
            .buffer_unordered(AT_ONCE)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(())
    }

    /// Gives a fetched file its permissions, and remembers its hash.
    fn settle(&self, absolute: &Path, file: &OutFile) -> Result<(), Failure> {
        let problem = |source| io("write", absolute, source);
        if file.executable {
            let mode = std::fs::metadata(absolute).map_err(problem)?.mode() | 0o111;
            std::fs::set_permissions(absolute, std::fs::Permissions::from_mode(mode)).map_err(problem)?;
        }
        if let Look::File(stat) = look(absolute).map_err(problem)? {
            self.remember(absolute, stat, file.hash);
        }
        Ok(())
    }

    /// Removes what is in the way of `wanted` and answers the files that must be fetched.
    fn make_room(&self, wanted: &OutManifest) -> Result<Vec<OutFile>, Failure> {
        self.check_inside(&wanted.path)?;
        let absolute = self.absolute(&wanted.path);
        let is_folder = std::fs::symlink_metadata(&absolute).is_ok_and(|found| found.is_dir());
        if is_folder != wanted.folder {
            self.remove(&wanted.path)?;
        }
        let mut have: HashMap<String, Hash> = HashMap::new();
        if let Some(current) = self.read_manifest(&wanted.path)? {
            let same = |file: &OutFile| wanted.files.contains(file);
            let is_small = current.files.len() * wanted.files.len() < 10_000;
            let by_path: HashMap<&str, &OutFile> = wanted
                .files
                .iter()
                .map(|file| (file.path.as_str(), file))
                .collect();
            for file in &current.files {
                let right = if is_small {
                    same(file)
                } else {
                    by_path.get(file.path.as_str()) == Some(&file)
                };
                if right {
                    have.insert(file.path.clone(), file.hash);
                } else {
                    let path = self.absolute(&current.path_of(file));
                    std::fs::remove_file(&path).map_err(|source| io("remove", &path, source))?;
                }
            }
        }
        if wanted.folder {
            create_folder(&absolute)?;
        }
        let mut missing = Vec::new();
        for file in &wanted.files {
            if have.contains_key(&file.path) {
                continue;
            }
            let path = self.absolute(&wanted.path_of(file));
            create_folder(path.parent().unwrap_or(&self.root))?;
            missing.push(file.clone());
        }
        Ok(missing)
    }

    /// Removes what lies at `path`: of a link the link only.
    pub fn remove(&self, path: &str) -> Result<(), Failure> {
        self.check_inside(path)?;
        let absolute = self.absolute(path);
        let removed = match std::fs::symlink_metadata(&absolute) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&absolute),
            Ok(_) => std::fs::remove_file(&absolute),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if is_absence(&error) => Ok(()),
            other => other.map_err(|source| io("remove", &absolute, source)),
        }
    }

    /// Makes the folder that `path` lies in.
    pub fn make_parent(&self, path: &str) -> Result<(), Failure> {
        self.check_inside(path)?;
        let absolute = self.absolute(path);
        create_folder(absolute.parent().unwrap_or(&self.root))
    }

    /// What we remove and write must lie in the project's folder, links followed.
    fn check_inside(&self, path: &str) -> Result<(), Failure> {
        let absolute = self.absolute(path);
        let mut folder = absolute.parent();
        while let Some(above) = folder {
            match std::fs::canonicalize(above) {
                Ok(real) if real.starts_with(&self.real_root) => return Ok(()),
                Ok(_) => break,
                Err(_) => folder = above.parent(),
            }
        }
        Err(Failure::OutOutside(path.to_owned()))
    }

    /// Writes to the database what it does not know yet, but for files that may still change unseen.
    pub fn take_fresh(&self, wall: Timestamp) -> Vec<Vec<Value>> {
        let settled = wall.minus(UNSETTLED).millis().saturating_mul(1_000_000);
        let fresh = std::mem::take(&mut self.state().fresh);
        let kept = fresh
            .into_iter()
            .filter(|(_, (stat, _))| stat.modified_ns < settled && stat.changed_ns < settled);
        kept.map(|(path, (stat, hash))| {
            params![
                path,
                stat.size,
                stat.modified_ns,
                stat.changed_ns,
                stat.inode,
                stat.executable,
                hash
            ]
            .to_vec()
        })
        .collect()
    }

    fn known(&self, absolute: &Path, stat: Stat) -> Option<Hash> {
        let state = self.state();
        let (seen, hash) = state.known.get(absolute.to_str()?)?;
        (*seen == stat).then_some(*hash)
    }

    fn remember(&self, absolute: &Path, stat: Stat, hash: Hash) {
        let Some(path) = absolute.to_str() else { return };
        let mut state = self.state();
        if state.known.get(path) == Some(&(stat, hash)) {
            return;
        }
        state.known.insert(path.to_owned(), (stat, hash));
        state.fresh.insert(path.to_owned(), (stat, hash));
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Writes rows of [`Files::take_fresh`].
pub(crate) fn write_fresh(tx: &mut Tx<'_>, rows: &[Vec<Value>]) -> everloop_db::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    tx.execute_many(
        "INSERT INTO pipeline_files (path, size, modified_ns, changed_ns, inode, executable, hash)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
         ON CONFLICT (path) DO UPDATE SET size = excluded.size, modified_ns = excluded.modified_ns,
             changed_ns = excluded.changed_ns, inode = excluded.inode, executable = excluded.executable,
             hash = excluded.hash",
        rows,
    )?;
    Ok(())
}

const FILE_COLUMNS: &str = "path, size, modified_ns, changed_ns, inode, executable, hash";

fn read_one(tx: &mut Tx<'_>, path: &str) -> Result<Vec<(String, (Stat, Hash))>, Error> {
    let sql = format!("SELECT {FILE_COLUMNS} FROM pipeline_files WHERE path = ?1");
    tx.query(&sql, &params![path])?.iter().map(read_row).collect()
}

fn read_below(tx: &mut Tx<'_>, folder: &str) -> Result<Vec<(String, (Stat, Hash))>, Error> {
    // "0" is the character after "/".
    let folder = folder.trim_end_matches('/');
    let (from, to) = (format!("{folder}/"), format!("{folder}0"));
    let sql = format!("SELECT {FILE_COLUMNS} FROM pipeline_files WHERE path >= ?1 AND path < ?2");
    tx.query(&sql, &params![from, to])?.iter().map(read_row).collect()
}

fn read_row(row: &Row) -> Result<(String, (Stat, Hash)), Error> {
    let stat = Stat {
        size: row.get("size")?,
        modified_ns: row.get("modified_ns")?,
        changed_ns: row.get("changed_ns")?,
        inode: row.get::<i64>("inode")?.cast_unsigned(),
        executable: row.get("executable")?,
    };
    Ok((row.get("path")?, (stat, row.get("hash")?)))
}

async fn put_one(objects: &Objects, bytes: Bytes) -> Result<Hash, Failure> {
    Ok(objects.put_bytes(bytes).await?.hash)
}

fn one_file(path: &str, stat: Stat, hash: Hash) -> OutManifest {
    OutManifest {
        path: path.to_owned(),
        folder: false,
        kept: false,
        files: vec![entry(String::new(), stat, hash)],
    }
}

fn entry(path: String, stat: Stat, hash: Hash) -> OutFile {
    OutFile {
        path,
        hash,
        size: stat.size,
        executable: stat.executable,
    }
}

/// The files below `folder` with their paths inside it, by path; links are followed.
fn list(folder: &Path) -> Result<Vec<(String, PathBuf, Stat)>, Failure> {
    let mut found = Vec::new();
    for item in WalkDir::new(folder).follow_links(true) {
        let item = item.map_err(|error| {
            let path = error.path().unwrap_or(folder).to_owned();
            let source = error
                .into_io_error()
                .unwrap_or_else(|| std::io::Error::other("a loop of links"));
            io("list", &path, source)
        })?;
        if !item.file_type().is_file() {
            continue;
        }
        let path = item.path();
        let inner = path.strip_prefix(folder).ok().and_then(Path::to_str);
        let Some(inner) = inner else {
            return Err(io(
                "list",
                path,
                std::io::Error::other("its name is not UTF-8 text"),
            ));
        };
        match look(path).map_err(|source| io("look at", path, source))? {
            Look::File(stat) => found.push((inner.to_owned(), path.to_owned(), stat)),
            Look::Missing | Look::Folder => {}
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    Ok(found)
}

fn look(path: &Path) -> std::io::Result<Look> {
    let found = match std::fs::metadata(path) {
        Ok(found) => found,
        Err(error) if is_absence(&error) => return Ok(Look::Missing),
        Err(error) => return Err(error),
    };
    if found.is_dir() {
        return Ok(Look::Folder);
    }
    if !found.is_file() {
        return Err(std::io::Error::other("it is neither a file nor a folder"));
    }
    let nanos = |seconds: i64, nanos: i64| seconds.saturating_mul(1_000_000_000).saturating_add(nanos);
    Ok(Look::File(Stat {
        size: found.len(),
        modified_ns: nanos(found.mtime(), found.mtime_nsec()),
        changed_ns: nanos(found.ctime(), found.ctime_nsec()),
        inode: found.ino(),
        executable: found.mode() & 0o111 != 0,
    }))
}

fn is_absence(error: &std::io::Error) -> bool {
    matches!(
        error.kind(),
        std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory
    )
}

fn create_folder(path: &Path) -> Result<(), Failure> {
    std::fs::create_dir_all(path).map_err(|source| io("make the folder", path, source))
}

fn hash_file(path: &Path) -> std::io::Result<Hash> {
    let mut file = std::fs::File::open(path)?;
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 128 << 10];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(hasher.finish()),
            count => hasher.update(&buffer[..count]),
        };
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

pub(crate) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Failure {
    Failure::Io {
        action,
        path: path.to_owned(),
        source,
    }
}

/// Runs work that blocks off the async threads.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, Failure> + Send + 'static,
) -> Result<T, Failure> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Failure::Panicked(panic_text(error))),
    }
}

/// What a task that panicked said.
pub(crate) fn panic_text(error: tokio::task::JoinError) -> String {
    match error.try_into_panic() {
        Ok(panic) => {
            let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
            text.or_else(|| panic.downcast_ref::<String>().cloned())
                .unwrap_or_else(|| "no message".to_owned())
        }
        Err(error) => error.to_string(),
    }
}

impl Files {
    /// The files of a dataset by content, as one folder whose paths start at the project's folder; `None` when there
    /// are none. They are the files that its versions hold: names that start with a dot or end in `.tmp` or `.part`
    /// are left out.
    pub async fn dataset(self: &Arc<Self>, paths: &[DataPath]) -> Result<Option<OutManifest>, Failure> {
        let (files, paths) = (Arc::clone(self), paths.to_vec());
        blocking(move || files.read_dataset(&paths)).await
    }

    fn read_dataset(&self, paths: &[DataPath]) -> Result<Option<OutManifest>, Failure> {
        let mut entries = std::collections::BTreeMap::new();
        for path in paths {
            for (found, absolute, stat) in self.matching(path)? {
                let hash = self.hash(&absolute, stat)?;
                entries.insert(found.clone(), entry(found, stat, hash));
            }
        }
        if entries.is_empty() {
            return Ok(None);
        }
        Ok(Some(OutManifest {
            path: ".".to_owned(),
            folder: true,
            kept: false,
            files: entries.into_values().collect(),
        }))
    }

    /// The files that `path` names, with their paths from the project's folder.
    fn matching(&self, path: &DataPath) -> Result<Vec<(String, PathBuf, Stat)>, Failure> {
        let start = self.absolute(path.prefix().as_str());
        let matcher = glob(path)?;
        let mut found = Vec::new();
        let walk = WalkDir::new(&start).sort_by_file_name().into_iter();
        for item in walk.filter_entry(|item| item.depth() == 0 || !is_hidden(item.file_name())) {
            let item = match item {
                Ok(item) => item,
                Err(error) if error.io_error().is_some_and(is_absence) => continue,
                Err(error) => {
                    let source = error.into_io_error();
                    let source = source.unwrap_or_else(|| std::io::Error::other("a loop of links"));
                    return Err(io("list", &start, source));
                }
            };
            let Some(relative) = item.path().strip_prefix(&self.root).ok().and_then(Path::to_str) else {
                continue;
            };
            if !item.file_type().is_file() || !matcher.is_match(relative) {
                continue;
            }
            if let Look::File(stat) =
                look(item.path()).map_err(|source| io("look at", item.path(), source))?
            {
                found.push((relative.to_owned(), item.path().to_owned(), stat));
            }
        }
        Ok(found)
    }
}

fn is_hidden(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part")
}

/// What a dataset's path matches: itself, and everything below what it matches.
fn glob(path: &DataPath) -> Result<GlobSet, Failure> {
    let problem = |error: globset::Error| {
        io(
            "match",
            Path::new(path.as_str()),
            std::io::Error::other(error.kind().to_string()),
        )
    };
    let mut globs = GlobSetBuilder::new();
    let text = if path.is_glob() {
        path.as_str().to_owned()
    } else {
        globset::escape(path.as_str())
    };
    let below = match path.as_str() {
        "." => "**".to_owned(),
        _ => format!("{text}/**"),
    };
    for pattern in [text, below] {
        globs.add(
            GlobBuilder::new(&pattern)
                .literal_separator(true)
                .build()
                .map_err(problem)?,
        );
    }
    globs.build().map_err(problem)
}
