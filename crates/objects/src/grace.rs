//! How writers and collectors keep out of each other's way without a lock.
//!
//! A collector deletes files that nothing reaches and that are older than the grace period. A writer that finds its
//! piece in the store already relies on such a file, and its caller will make the reference only later. Both may run
//! anywhere, and S3 has neither locks nor conditional deletes. So each *tells before it looks*:
//!
//! | writer | collector |
//! |---|---|
//! | 1. writes the file, or refreshes the one it found | 1. condemns: writes the list of files it means to delete |
//! | 2. reads the condemned lists | 2. looks at each file's age and at the holds |
//! | 3. looks whether the file is there | 3. deletes those still old, then the list |
//!
//! If the writer's telling comes before the collector's look, the collector sees a young file and spares it. Else the
//! collector's list was written before the writer reads the lists: the writer sees it, or, if it is gone again, the
//! deletions are over and the writer's look shows the loss. Either way the writer stores the piece once more, in a pack
//! under a random name that no collector can have on its list. It takes linearizable single-file operations (folders,
//! S3, GCS and Azure have them) and needs no agreement on time beyond a grace period that is long against a request.
//!
//! To refresh is to touch the file where files can be touched, and to write a hold elsewhere.

use crate::Result;
use crate::backend::{Backend, Stat, Touched};
use crate::key::{Area, Key};
use bytes::Bytes;
use everloop_core::{Ids, Timestamp};
use futures::stream::{self, StreamExt, TryStreamExt};
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::sync::Arc;

/// Requests at the same time.
const AT_ONCE: usize = 16;

/// The two kinds of record through which writers and collectors speak.
#[derive(Debug)]
pub(crate) struct Grace {
    ids: Ids,
    holds: Records,
    condemned: Records,
}

impl Grace {
    pub(crate) fn new(ids: Ids) -> Self {
        Self {
            ids,
            holds: Records::new(Area::Holds),
            condemned: Records::new(Area::Condemned),
        }
    }

    /// A writer refreshes files it relies on and learns which of all the files it relies on (these and the freshly
    /// `written`) it can't: they are condemned or gone.
    pub(crate) async fn secure(
        &self,
        backend: &dyn Backend,
        found: &HashSet<Key>,
        written: &HashSet<Key>,
    ) -> Result<HashSet<Key>> {
        self.refresh(backend, found).await?;
        let condemned = self.condemned.read(backend, Timestamp(i64::MIN)).await?;
        let relied: Vec<Key> = found.union(written).cloned().collect();
        stream::iter(relied)
            .map(|key| {
                let is_condemned = condemned.contains(&key);
                async move {
                    let is_lost = is_condemned || backend.stat(&key).await?.is_none();
                    Ok(is_lost.then_some(key))
                }
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(async |lost| Ok(lost))
            .try_collect()
            .await
    }

    async fn refresh(&self, backend: &dyn Backend, keys: &HashSet<Key>) -> Result<()> {
        let keys: Vec<Key> = keys.iter().cloned().collect();
        let untouched: Vec<Key> = stream::iter(keys)
            .map(|key| async move {
                let touched = backend.touch(&key).await?;
                Ok((touched == Touched::Unsupported).then_some(key))
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(async |untouched| Ok(untouched))
            .try_collect()
            .await?;
        if untouched.is_empty() {
            return Ok(());
        }
        self.holds.write(backend, &self.ids, &untouched).await.map(|_| ())
    }

    /// The files that writers hold since `cutoff`.
    pub(crate) async fn held(&self, backend: &dyn Backend, cutoff: Timestamp) -> Result<HashSet<Key>> {
        self.holds.read(backend, cutoff).await
    }

    /// A collector tells what it means to delete. The record's name is for [`absolve`](Self::absolve).
    pub(crate) async fn condemn(&self, backend: &dyn Backend, keys: &[Key]) -> Result<Key> {
        self.condemned.write(backend, &self.ids, keys.iter()).await
    }

    /// Which of the condemned files are still older than `cutoff` and held by nobody.
    pub(crate) async fn still_old(
        &self,
        backend: &dyn Backend,
        keys: Vec<Key>,
        cutoff: Timestamp,
    ) -> Result<Vec<Key>> {
        let held = self.held(backend, cutoff).await?;
        stream::iter(keys.into_iter().filter(|key| !held.contains(key)))
            .map(|key| async move {
                let stat = backend.stat(&key).await?;
                Ok((key, stat))
            })
            .buffer_unordered(AT_ONCE)
            .try_filter_map(
                |(key, stat)| async move { Ok(stat.filter(|stat| is_old(stat, cutoff)).map(|_| key)) },
            )
            .try_collect()
            .await
    }

    /// A collector is done with what it condemned.
    pub(crate) async fn absolve(&self, backend: &dyn Backend, record: Key) -> Result<()> {
        backend.delete(vec![record]).await
    }
}

/// Whether a file's grace is over.
pub(crate) fn is_old(stat: &Stat, cutoff: Timestamp) -> bool {
    stat.modified < cutoff
}

/// Small immutable files that each name some keys, one a line.
#[derive(Debug)]
struct Records {
    area: Area,
    /// What was read before; records never change.
    seen: Mutex<HashMap<Key, Arc<Vec<Key>>>>,
}

impl Records {
    fn new(area: Area) -> Self {
        Self {
            area,
            seen: Mutex::new(HashMap::new()),
        }
    }

    async fn write<'a>(
        &self,
        backend: &dyn Backend,
        ids: &Ids,
        keys: impl IntoIterator<Item = &'a Key>,
    ) -> Result<Key> {
        let mut text = String::new();
        for key in keys {
            text.push_str(key.as_str());
            text.push('\n');
        }
        let record = Key::record(self.area, &ids.hex32());
        backend.write(&record, Bytes::from(text)).await?;
        Ok(record)
    }

    /// The keys in all records written since `cutoff`.
    async fn read(&self, backend: &dyn Backend, cutoff: Timestamp) -> Result<HashSet<Key>> {
        let records: HashSet<Key> = backend
            .list(self.area)
            .try_filter_map(|(key, stat)| async move { Ok((!is_old(&stat, cutoff)).then_some(key)) })
            .try_collect()
            .await?;
        self.seen.lock().retain(|record, _| records.contains(record));
        let lists: Vec<Arc<Vec<Key>>> = stream::iter(records)
            .map(|record| self.read_one(backend, record))
            .buffer_unordered(AT_ONCE)
            .try_collect()
            .await?;
        Ok(lists.iter().flat_map(|list| list.iter().cloned()).collect())
    }

    async fn read_one(&self, backend: &dyn Backend, record: Key) -> Result<Arc<Vec<Key>>> {
        if let Some(keys) = self.seen.lock().get(&record) {
            return Ok(Arc::clone(keys));
        }
        // A record that vanished since the listing has served its purpose.
        let bytes = backend.read(&record).await?.unwrap_or_default();
        let keys: Vec<Key> = String::from_utf8_lossy(&bytes).lines().map(Key::found).collect();
        let keys = Arc::new(keys);
        self.seen.lock().insert(record, Arc::clone(&keys));
        Ok(keys)
    }
}
