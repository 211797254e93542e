//! Objects as a read-only `object_store`, so that query engines scan them by address.
//!
//! Registered under `everloop://objects`, `everloop://objects/<hash>` or `everloop://objects/<hash>/any-name.parquet`
//! is the object; the name after the hash is for people and for engines that look at extensions.

use crate::get::Content;
use crate::{Error, Objects};
use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use everloop_core::Hash;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, GetOptions, GetRange, GetResult, GetResultPayload, ListResult, MultipartUpload,
    ObjectMeta, ObjectStore, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;

const NAME: &str = "EverloopObjects";

/// Sizes looked up at the same time while listing.
const AT_ONCE: usize = 8;

/// A read-only view of [`Objects`] for query engines.
#[derive(Debug, Clone)]
pub struct ObjectsAsStore(Objects);

impl ObjectsAsStore {
    /// The view of these objects.
    #[must_use]
    pub fn new(objects: Objects) -> Self {
        Self(objects)
    }

    /// The path of an object in this view. `name` is for people and extensions; it is one path segment.
    #[must_use]
    pub fn path(hash: &Hash, name: &str) -> Path {
        Path::from(hash.to_hex()).join(name)
    }

    async fn content(&self, location: &Path) -> Result<(Hash, Content)> {
        let hash = hash_of(location)?;
        let content = self
            .0
            .content(&hash)
            .await
            .map_err(|error| translated(location, error))?;
        Ok((hash, content))
    }
}

impl fmt::Display for ObjectsAsStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(NAME)
    }
}

#[async_trait]
impl ObjectStore for ObjectsAsStore {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let (hash, content) = self.content(location).await?;
        let meta = meta(location.clone(), &hash, content.size());
        options.check_preconditions(&meta)?;
        let range = bounded(options.range.as_ref(), meta.size)?;
        let stream = if options.head {
            stream::empty().boxed()
        } else {
            let location = location.clone();
            let parts = match content {
                Content::Whole(bytes) => {
                    stream::iter([Ok(bytes.slice(range.start as usize..range.end as usize))]).boxed()
                }
                // A full read checks the whole as well; a part is checked chunk by chunk.
                Content::Cut(_) if range == (0..meta.size) => self
                    .0
                    .get_stream(&hash)
                    .await
                    .map_err(|error| translated(&location, error))?,
                Content::Cut(recipe) => self.0.stream_range(hash, &recipe, range.clone()),
            };
            parts.map_err(move |error| translated(&location, error)).boxed()
        };
        Ok(GetResult {
            payload: GetResultPayload::Stream(stream),
            meta,
            range,
            attributes: Attributes::new(),
        })
    }

    /// Chunks that several ranges touch are read once, and ranges are not widened: a chunk is the unit of reading.
    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let (hash, content) = self.content(location).await?;
        let bounded: Vec<Range<u64>> = ranges
            .iter()
            .map(|range| bounded(Some(&GetRange::Bounded(range.clone())), content.size()))
            .collect::<Result<_>>()?;
        self.0
            .get_ranges(&hash, &bounded)
            .await
            .map_err(|error| translated(location, error))
    }

    /// All objects, each under its hash alone. Below a prefix there is nothing: display names are not stored.
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        if prefix.is_some_and(|prefix| !prefix.as_ref().is_empty()) {
            return stream::empty().boxed();
        }
        let objects = self.0.clone();
        let hashes = objects.list();
        hashes
            .map_err(|error| translated(&Path::default(), error))
            .map_ok(move |hash| {
                let objects = objects.clone();
                async move {
                    let path = Path::from(hash.to_hex());
                    let size = objects
                        .size(&hash)
                        .await
                        .map_err(|error| translated(&path, error))?;
                    // Collected since it was listed.
                    Ok(size.map(|size| meta(path, &hash, size)))
                }
            })
            .try_buffer_unordered(AT_ONCE)
            .try_filter_map(|meta| async move { Ok(meta) })
            .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let objects = self.list(prefix).try_collect().await?;
        Ok(ListResult {
            common_prefixes: Vec::new(),
            objects,
        })
    }

    async fn put_opts(&self, _: &Path, _: PutPayload, _: PutOptions) -> Result<PutResult> {
        Err(read_only("put"))
    }

    async fn put_multipart_opts(&self, _: &Path, _: PutMultipartOptions) -> Result<Box<dyn MultipartUpload>> {
        Err(read_only("put"))
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        locations.map(|_| Err(read_only("delete"))).boxed()
    }

    async fn copy_opts(&self, _: &Path, _: &Path, _: CopyOptions) -> Result<()> {
        Err(read_only("copy"))
    }
}

/// `<hash>` or `<hash>/<name>`.
fn hash_of(location: &Path) -> Result<Hash> {
    let mut parts = location.as_ref().splitn(3, '/');
    let hash = parts.next().unwrap_or_default().parse::<Hash>();
    match (hash, parts.nth(1)) {
        (Ok(hash), None) => Ok(hash),
        // Not an object's path, so there is nothing there.
        (Err(error), _) => Err(not_found(location, error)),
        (Ok(_), Some(_)) => Err(not_found(location, "only one name may follow the hash")),
    }
}

fn meta(location: Path, hash: &Hash, size: u64) -> ObjectMeta {
    ObjectMeta {
        location,
        // The content of a name never changes; engines that cache by time must see one time.
        last_modified: DateTime::UNIX_EPOCH,
        size,
        e_tag: Some(format!("\"{hash}\"")),
        version: None,
    }
}

/// The bytes asked for; like S3, a range that ends beyond the object ends with it.
fn bounded(range: Option<&GetRange>, size: u64) -> Result<Range<u64>> {
    let wrong = |error| object_store::Error::Generic {
        store: NAME,
        source: Box::new(error),
    };
    range.map_or(Ok(0..size), |range| range.as_range(size).map_err(wrong))
}

fn translated(location: &Path, error: Error) -> object_store::Error {
    match error {
        Error::NotFound { .. } => not_found(location, error),
        error => object_store::Error::Generic {
            store: NAME,
            source: Box::new(error),
        },
    }
}

fn not_found(
    location: &Path,
    source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> object_store::Error {
    object_store::Error::NotFound {
        path: location.to_string(),
        source: source.into(),
    }
}

fn read_only(operation: &str) -> object_store::Error {
    object_store::Error::NotImplemented {
        operation: operation.to_owned(),
        implementer: NAME.to_owned(),
    }
}
