//! The seam between the store's rules and the place its files lie.
//!
//! Two implementations: [`Folder`] writes local files and makes them durable itself, [`Remote`] speaks to S3, GCS and
//! Azure through `object_store`. The contract, which the race tests and the contract suite check on both:
//! operations on one key are linearizable, a file appears whole or not at all, and a written file is immutable but
//! for being replaced by the same content.

mod folder;
mod remote;

pub(crate) use folder::Folder;
pub(crate) use remote::Remote;

use crate::key::{Area, Key};
use crate::url::Place;
use crate::{Error, Options, Result, StoreUrl};
use async_trait::async_trait;
use bytes::Bytes;
use everloop_core::Timestamp;
use futures::stream::BoxStream;
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;

/// The newest layout that this program reads, and the one it writes.
const FORMAT: u32 = 1;

/// What is known of a file without reading it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stat {
    pub(crate) size: u64,
    /// When it was last written or touched, by the store's clock.
    pub(crate) modified: Timestamp,
}

/// Whether a file's time could be set to now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Touched {
    /// It is now (or the file is gone: a look afterwards tells).
    Done,
    /// This place can't: a record must say so instead.
    Unsupported,
}

/// Where files lie.
#[async_trait]
pub(crate) trait Backend: std::fmt::Debug + Send + Sync {
    /// The whole file; `None` when it is not there.
    async fn read(&self, key: &Key) -> Result<Option<Bytes>>;

    /// A part of the file; fewer bytes when it ends earlier, `None` when it is not there.
    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>>;

    /// Size and time; `None` when it is not there.
    async fn stat(&self, key: &Key) -> Result<Option<Stat>>;

    /// Writes the file whole; its bytes are durable when this returns, its name after [`settle`](Self::settle).
    async fn write(&self, key: &Key, bytes: Bytes) -> Result<()>;

    /// Makes the names in these folders durable.
    async fn settle(&self, folders: &BTreeSet<String>) -> Result<()>;

    /// Sets the file's time to now, where the place can.
    async fn touch(&self, key: &Key) -> Result<Touched>;

    /// Removes files, durably; those already gone are fine.
    async fn delete(&self, keys: Vec<Key>) -> Result<()>;

    /// All files of an area, in no order.
    fn list(&self, area: Area) -> BoxStream<'static, Result<(Key, Stat)>>;
}

/// Opens the place an address names and checks, or writes, its format marker.
pub(crate) async fn open(url: &StoreUrl, options: &Options) -> Result<Arc<dyn Backend>> {
    let backend: Arc<dyn Backend> = match &url.place {
        Place::Folder(path) => Arc::new(Folder::open(path.clone(), options.ids.clone()).await?),
        Place::Bucket(bucket) => Arc::new(Remote::open(bucket, url, options)?),
    };
    check_format(backend.as_ref(), url).await?;
    Ok(backend)
}

async fn check_format(backend: &dyn Backend, url: &StoreUrl) -> Result<()> {
    let key = Key::format();
    let Some(bytes) = backend.read(&key).await? else {
        // Two programs may both find it missing; they write the same bytes.
        backend
            .write(&key, Bytes::from(format!("everloop-objects {FORMAT}\n")))
            .await?;
        return backend.settle(&BTreeSet::from([key.folder().to_owned()])).await;
    };
    let text = String::from_utf8_lossy(&bytes);
    let found = text.trim().strip_prefix("everloop-objects ").unwrap_or("unknown");
    if found
        .parse()
        .is_ok_and(|format: u32| (1..=FORMAT).contains(&format))
    {
        return Ok(());
    }
    Err(Error::NewerFormat {
        url: url.to_string(),
        found: found.chars().take(40).collect(),
        known: FORMAT,
    })
}
