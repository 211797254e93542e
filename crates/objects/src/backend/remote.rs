//! A store in S3, GCS or Azure, through `object_store`.
//!
//! A PUT is atomic and durable when it is answered, so there is nothing to settle. No file here is larger than a pack
//! (16 MiB) or a recipe, so none needs a multipart upload that a crash could leave behind half done.

use super::{Backend, Stat, Touched};
use crate::key::{Area, Key};
use crate::{Error, Options, Result, StoreUrl};
use async_trait::async_trait;
use bytes::Bytes;
use everloop_core::Timestamp;
use futures::stream::{self, BoxStream, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};
use object_store::gcp::{GoogleCloudStorageBuilder, GoogleConfigKey};
use object_store::path::Path;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

/// Tries of one request after the first; with the doubling waits between them a dead endpoint is told within a minute.
const RETRIES: usize = 5;

/// A store in a bucket. Clones share the connection pool.
#[derive(Debug, Clone)]
pub(crate) struct Remote {
    store: Arc<dyn ObjectStore>,
    prefix: String,
}

impl Remote {
    /// Prepares access to a bucket; nothing is sent yet.
    pub(crate) fn open(bucket: &Url, url: &StoreUrl, options: &Options) -> Result<Self> {
        let wrong = |problem: String| Error::InvalidUrl {
            url: url.to_string(),
            problem,
        };
        let prefix = Path::from_url_path(bucket.path()).map_err(|error| wrong(error.to_string()))?;
        let store = build(bucket, url, options).map_err(|error| match error {
            BuildError::Option(key) => Error::UnknownOption {
                key,
                scheme: bucket.scheme().to_owned(),
            },
            BuildError::Store(error) => wrong(error.to_string()),
        })?;
        Ok(Self::new(store, prefix.as_ref()))
    }

    /// A store under `prefix` of an opened bucket.
    pub(crate) fn new(store: Arc<dyn ObjectStore>, prefix: &str) -> Self {
        Self {
            store,
            prefix: prefix.to_owned(),
        }
    }

    fn path(&self, name: &str) -> Path {
        if self.prefix.is_empty() {
            Path::from(name)
        } else {
            Path::from(format!("{}/{name}", self.prefix))
        }
    }

    fn key(&self, location: &Path) -> Key {
        let name = location.as_ref();
        Key::found(
            name.strip_prefix(&self.prefix)
                .unwrap_or(name)
                .trim_start_matches('/'),
        )
    }
}

#[async_trait]
impl Backend for Remote {
    async fn read(&self, key: &Key) -> Result<Option<Bytes>> {
        let Some(answer) = present(self.store.get(&self.path(key.as_str())).await, "read", key)? else {
            return Ok(None);
        };
        present(answer.bytes().await, "read", key)
    }

    async fn read_range(&self, key: &Key, range: Range<u64>) -> Result<Option<Bytes>> {
        if range.is_empty() {
            return Ok(self.stat(key).await?.map(|_| Bytes::new()));
        }
        present(
            self.store.get_range(&self.path(key.as_str()), range).await,
            "read",
            key,
        )
    }

    async fn stat(&self, key: &Key) -> Result<Option<Stat>> {
        let found = present(self.store.head(&self.path(key.as_str())).await, "look at", key)?;
        Ok(found.as_ref().map(stat_of))
    }

    async fn write(&self, key: &Key, bytes: Bytes) -> Result<()> {
        let put = self
            .store
            .put(&self.path(key.as_str()), PutPayload::from_bytes(bytes))
            .await;
        put.map(|_| ())
            .map_err(|error| Error::remote("write", key.as_str(), error))
    }

    async fn settle(&self, _folders: &BTreeSet<String>) -> Result<()> {
        Ok(())
    }

    async fn touch(&self, _key: &Key) -> Result<Touched> {
        Ok(Touched::Unsupported)
    }

    async fn delete(&self, keys: Vec<Key>) -> Result<()> {
        let paths: Vec<_> = keys.iter().map(|key| Ok(self.path(key.as_str()))).collect();
        let mut outcomes = self.store.delete_stream(stream::iter(paths).boxed());
        while let Some(outcome) = outcomes.next().await {
            match outcome {
                Ok(_) | Err(object_store::Error::NotFound { .. }) => {}
                Err(error) => return Err(Error::remote("delete from", self.prefix.as_str(), error)),
            }
        }
        Ok(())
    }

    fn list(&self, area: Area) -> BoxStream<'static, Result<(Key, Stat)>> {
        let this = self.clone();
        self.store
            .list(Some(&self.path(area.as_str())))
            .map_ok(move |meta| (this.key(&meta.location), stat_of(&meta)))
            .map_err(move |error| Error::remote("list", area.as_str(), error))
            .boxed()
    }
}

fn present<T>(outcome: object_store::Result<T>, action: &'static str, key: &Key) -> Result<Option<T>> {
    match outcome {
        Ok(value) => Ok(Some(value)),
        Err(object_store::Error::NotFound { source, .. }) if source.to_string().contains("NoSuchBucket") => {
            Err(Error::remote(
                action,
                key.as_str(),
                object_store::Error::NotFound {
                    path: key.as_str().to_owned(),
                    source,
                },
            ))
        }
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(Error::remote(action, key.as_str(), error)),
    }
}

fn stat_of(meta: &ObjectMeta) -> Stat {
    // S3 tells whole seconds, cut off. Counting from the end of that second errs on the side of keeping.
    let modified = Timestamp(meta.last_modified.timestamp_millis()).plus(Duration::from_millis(999));
    Stat {
        size: meta.size,
        modified,
    }
}

enum BuildError {
    Option(String),
    Store(object_store::Error),
}

impl From<object_store::Error> for BuildError {
    fn from(error: object_store::Error) -> Self {
        Self::Store(error)
    }
}

/// Feeds the settings to one provider's builder: first the environment's, then the caller's, then the address's.
macro_rules! configured {
    ($builder:ty, $key:ty, $bucket:expr, $url:expr, $options:expr) => {{
        let mut builder = <$builder>::new().with_url($bucket.as_str()).with_retry(retries());
        for (key, value) in &$options.ambient {
            if let Ok(key) = key.parse::<$key>() {
                builder = builder.with_config(key, value);
            }
        }
        for (key, value) in $options.settings.iter().chain(&$url.settings) {
            let known = key.parse::<$key>().map_err(|_| BuildError::Option(key.clone()))?;
            builder = builder.with_config(known, value);
        }
        Arc::new(builder.build()?)
    }};
}

fn build(bucket: &Url, url: &StoreUrl, options: &Options) -> Result<Arc<dyn ObjectStore>, BuildError> {
    Ok(match bucket.scheme() {
        "s3" | "s3a" => configured!(AmazonS3Builder, AmazonS3ConfigKey, bucket, url, options),
        "gs" => configured!(GoogleCloudStorageBuilder, GoogleConfigKey, bucket, url, options),
        _ => configured!(MicrosoftAzureBuilder, AzureConfigKey, bucket, url, options),
    })
}

fn retries() -> RetryConfig {
    RetryConfig {
        max_retries: RETRIES,
        retry_timeout: Duration::from_secs(60),
        ..RetryConfig::default()
    }
}
