//! Noticing new files: the system tells us, we do not look again and again.
//!
//! The watcher only says *that* a dataset may have changed; the snapshot decides whether it did. Changes that come
//! close together are told once, after a short silence, so that a copy in progress is not read half done.

use everloop_core::DatasetName;
use notify::{Event, EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::files::Matcher;
use crate::{Error, Result, Spec};

/// How long a dataset's files must be quiet before it is told.
const QUIET: Duration = Duration::from_millis(300);
/// A dataset that never falls quiet is told after this long all the same.
const AT_LATEST: Duration = Duration::from_secs(5);
const QUEUE: usize = 1_024;

/// A dataset to watch.
#[derive(Debug, Clone)]
pub struct Watch {
    /// Its name.
    pub name: DatasetName,
    /// Its files.
    pub spec: Spec,
}

/// Tells which datasets may have changed. Stops when it is dropped.
#[derive(Debug)]
pub struct Watcher {
    changed: mpsc::Receiver<DatasetName>,
    // Held for their effect: dropping them ends the watch.
    _system: RecommendedWatcher,
    _settling: JoinSet<()>,
}

impl Watcher {
    /// Watches `datasets` below `root`. Folders that do not exist yet are made, so that they can be watched.
    ///
    /// # Errors
    /// [`Error::Watch`] when the system can't watch a folder.
    pub fn start(root: &Path, datasets: &[Watch]) -> Result<Self> {
        let root = root.canonicalize().map_err(|source| Error::Io {
            action: "find",
            path: root.to_owned(),
            source,
        })?;
        let mut rules = Vec::new();
        let mut folders = BTreeSet::new();
        for dataset in datasets {
            let matcher = Matcher::new(&dataset.name, &dataset.spec.paths)?;
            for base in &matcher.bases {
                folders.insert(folder_to_watch(&root, base)?);
            }
            rules.push((dataset.name.clone(), matcher));
        }
        // A full queue blocks the system's own thread, never loses a name.
        let (seen, raw) = mpsc::channel(QUEUE);
        let base = root.clone();
        let mut system = notify::recommended_watcher(move |event: notify::Result<Event>| {
            for name in touched(&base, &rules, event) {
                if seen.blocking_send(name).is_err() {
                    return;
                }
            }
        })
        .map_err(|source| Error::Watch {
            path: root.clone(),
            source,
        })?;
        for folder in folders {
            system
                .watch(&folder, RecursiveMode::Recursive)
                .map_err(|source| Error::Watch {
                    path: folder.clone(),
                    source,
                })?;
        }
        let (tell, changed) = mpsc::channel(QUEUE);
        let mut settling = JoinSet::new();
        settling.spawn(settle(raw, tell));
        Ok(Self {
            changed,
            _system: system,
            _settling: settling,
        })
    }

    /// The next dataset whose files changed and have been quiet since; none when the watch has ended.
    pub async fn changed(&mut self) -> Option<DatasetName> {
        self.changed.recv().await
    }
}

/// A path that names a file is watched by its folder.
fn folder_to_watch(root: &Path, base: &Path) -> Result<PathBuf> {
    let path = root.join(base);
    if path.is_file() || path.extension().is_some() {
        return Ok(path.parent().unwrap_or(root).to_owned());
    }
    std::fs::create_dir_all(&path).map_err(|source| Error::Io {
        action: "make",
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn touched(root: &Path, rules: &[(DatasetName, Matcher)], event: notify::Result<Event>) -> Vec<DatasetName> {
    let all = || rules.iter().map(|(name, _)| name.clone()).collect();
    let event = match event {
        Ok(event) => event,
        // The system lost count: everything may have changed.
        Err(error) => {
            tracing::warn!(%error, "file watch lost events; looking at every dataset");
            return all();
        }
    };
    if event.need_rescan() {
        return all();
    }
    if matches!(event.kind, EventKind::Access(_)) {
        return Vec::new();
    }
    let paths: Vec<String> = event
        .paths
        .iter()
        .filter_map(|path| Some(path.strip_prefix(root).ok()?.to_string_lossy().replace('\\', "/")))
        .collect();
    let hit = |matcher: &Matcher| paths.iter().any(|path| matcher.matches(path));
    rules
        .iter()
        .filter(|(_, matcher)| hit(matcher))
        .map(|(name, _)| name.clone())
        .collect()
}

/// Gathers names until they fall quiet, then tells each once.
async fn settle(mut raw: mpsc::Receiver<DatasetName>, tell: mpsc::Sender<DatasetName>) {
    while let Some(first) = raw.recv().await {
        let mut names = BTreeSet::from([first]);
        let latest = tokio::time::Instant::now() + AT_LATEST;
        loop {
            let quiet = tokio::time::Instant::now() + QUIET;
            match tokio::time::timeout_at(quiet.min(latest), raw.recv()).await {
                Ok(Some(name)) => {
                    names.insert(name);
                }
                Ok(None) | Err(_) => break,
            }
        }
        for name in names {
            if tell.send(name).await.is_err() {
                return;
            }
        }
    }
}
