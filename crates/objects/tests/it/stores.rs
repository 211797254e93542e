//! Fresh stores to test on, and some bytes to put.

use bytes::Bytes;
use everloop_core::{Clock, Hash, Ids};
use everloop_objects::{CleanOptions, Objects, Options, StoreUrl};
use futures::{StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::local::LocalFileSystem;
use object_store::path::Path as RawPath;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use rand::{RngCore, SeedableRng};
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;

/// An empty store, reachable through the crate and behind its back.
pub struct TestStore {
    pub name: &'static str,
    pub url: StoreUrl,
    pub options: Options,
    raw: Arc<dyn ObjectStore>,
    prefix: String,
    pub folder: Option<TempDir>,
}

impl TestStore {
    pub async fn open(&self) -> Objects {
        Objects::open(&self.url, &self.options).await.unwrap()
    }

    fn raw_path(&self, key: &str) -> RawPath {
        RawPath::from(format!("{}/{key}", self.prefix))
    }

    /// Writes a file behind the crate's back.
    pub async fn plant(&self, key: &str, bytes: Vec<u8>) {
        if let Some(folder) = &self.folder {
            // Stored files are read-only; root may write them all the same.
            let _ = std::fs::remove_file(folder.path().join(key));
        }
        self.raw
            .put(&self.raw_path(key), PutPayload::from(bytes))
            .await
            .unwrap();
    }

    pub async fn raw(&self, key: &str) -> Vec<u8> {
        self.raw
            .get(&self.raw_path(key))
            .await
            .unwrap()
            .bytes()
            .await
            .unwrap()
            .to_vec()
    }

    pub async fn remove(&self, key: &str) {
        self.raw.delete(&self.raw_path(key)).await.unwrap();
    }

    /// The names of all files below `area`.
    pub async fn files(&self, area: &str) -> BTreeSet<String> {
        let prefix = format!("{}/", self.prefix);
        self.raw
            .list(Some(&self.raw_path(area)))
            .map_ok(|meta| meta.location.to_string().trim_start_matches(&prefix).to_owned())
            .try_collect()
            .await
            .unwrap()
    }
}

/// A folder on a memory disk where there is one: flushing costs nothing there, and no test here is about disks.
pub fn temp_dir() -> TempDir {
    let shm = Path::new("/dev/shm");
    if shm.is_dir() {
        tempfile::tempdir_in(shm).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

pub fn folder_store() -> TestStore {
    folder_store_in(temp_dir())
}

pub fn folder_store_in(folder: TempDir) -> TestStore {
    TestStore {
        name: "folder",
        url: StoreUrl::folder(folder.path().join("store")),
        options: Options::new(Ids::system()),
        raw: Arc::new(LocalFileSystem::new_with_prefix(folder.path()).unwrap()),
        prefix: "store".to_owned(),
        folder: Some(folder),
    }
}

/// `EVERLOOP_TEST_S3` is a store's address such as `s3://bucket?endpoint=http://127.0.0.1:5555&allow_http=true`;
/// credentials come from `AWS_*`, or are the words that moto takes.
fn s3_store(address: &str) -> TestStore {
    let prefix = format!("test-{}", Ids::system().hex32());
    let (bucket, query) = address.split_once('?').unwrap_or((address, ""));
    let bucket = bucket.trim_end_matches('/');
    let with_prefix = format!("{bucket}/{prefix}?{query}");
    let mut options = Options::new(Ids::system()).with_env(
        [
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", "us-east-1"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned())),
    );
    options = options.with_env(std::env::vars());
    let mut raw = AmazonS3Builder::from_env()
        .with_url(bucket)
        .with_region("us-east-1");
    if std::env::var("AWS_ACCESS_KEY_ID").is_err() {
        raw = raw.with_access_key_id("test").with_secret_access_key("test");
    }
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap();
        raw = raw.with_config(key.parse::<AmazonS3ConfigKey>().unwrap(), value);
    }
    TestStore {
        name: "s3",
        url: with_prefix.parse().unwrap(),
        options,
        raw: Arc::new(raw.build().unwrap()),
        prefix,
        folder: None,
    }
}

/// One fresh store of each kind that can be reached.
pub fn stores() -> Vec<TestStore> {
    let mut stores = vec![folder_store()];
    if let Ok(address) = std::env::var("EVERLOOP_TEST_S3") {
        stores.push(s3_store(&address));
    }
    stores
}

/// `length` bytes that no compressor or chunker finds anything in, the same for the same seed.
pub fn random(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    rand_pcg::Pcg64::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

/// The file of an object, recipe or chunk.
pub fn own_file(area: &str, hash: &Hash) -> String {
    let hex = hash.to_hex();
    format!("{area}/{}/{}", &hex[..2], &hex[2..])
}

pub async fn listed(objects: &Objects) -> BTreeSet<Hash> {
    let all: Vec<Hash> = objects.list().try_collect().await.unwrap();
    let set: BTreeSet<Hash> = all.iter().copied().collect();
    assert_eq!(all.len(), set.len(), "an object was listed twice");
    set
}

/// Reads the object by its stream and checks it against its name.
pub async fn reads_back(objects: &Objects, hash: &Hash) -> u64 {
    let mut stream = objects.get_stream(hash).await.unwrap();
    let mut hasher = everloop_core::Hasher::new();
    let mut size = 0;
    while let Some(part) = stream.next().await {
        let part = part.unwrap();
        size += part.len() as u64;
        hasher.update(&part);
    }
    assert_eq!(hasher.finish(), *hash);
    size
}

/// A cleaning for which everything written until now is old.
pub fn in_ten_days() -> CleanOptions {
    let day = Duration::from_secs(24 * 3_600);
    CleanOptions {
        now: Clock::system().wall().plus(10 * day),
        grace: day,
        dry_run: false,
    }
}

/// A cleaning for which everything written until now is young.
pub fn now() -> CleanOptions {
    CleanOptions {
        now: Clock::system().wall(),
        grace: Duration::from_secs(3_600),
        dry_run: false,
    }
}
