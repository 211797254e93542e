//! How fast objects go in and out of a folder, beside what hashing alone costs.
//!
//! `cargo bench -p everloop-unify -p everloop-objects --bench throughput`. On `/dev/shm` where there is one, so that
//! the figures are of this code and not of a disk; `EVERLOOP_BENCH_DIR` names another place.
#![expect(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a benchmark, told by the environment where to run"
)]

use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use everloop_core::{Hash, Ids};
use everloop_objects::{Objects, Options, StoreUrl};
use futures::TryStreamExt;
use rand::{RngCore, SeedableRng};
use std::sync::LazyLock;
use tempfile::TempDir;
use tokio::runtime::Runtime;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());

const LARGE: usize = 256 << 20;
const SMALL: usize = 4 << 10;
const MANY: u64 = 1_000;

fn main() {
    divan::main();
}

fn random(length: usize, seed: u64) -> Bytes {
    let mut bytes = vec![0; length];
    rand_pcg::Pcg64::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes.into()
}

fn store() -> (TempDir, Objects) {
    let place = std::env::var("EVERLOOP_BENCH_DIR").unwrap_or_else(|_| "/dev/shm".to_owned());
    let folder = tempfile::tempdir_in(&place)
        .or_else(|_| tempfile::tempdir())
        .unwrap();
    let url = StoreUrl::folder(folder.path());
    let objects = RUNTIME
        .block_on(Objects::open(&url, &Options::new(Ids::system())))
        .unwrap();
    (folder, objects)
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn blake3_alone(bencher: Bencher<'_, '_>) {
    let bytes = random(LARGE, 1);
    bencher.counter(BytesCount::new(LARGE)).bench(|| Hash::of(&bytes));
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn put_large_new(bencher: Bencher<'_, '_>) {
    let bytes = random(LARGE, 1);
    bencher
        .counter(BytesCount::new(LARGE))
        .with_inputs(store)
        .bench_refs(|(_, objects)| RUNTIME.block_on(objects.put_bytes(bytes.clone())).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn put_large_again(bencher: Bencher<'_, '_>) {
    let bytes = random(LARGE, 1);
    let (_folder, objects) = store();
    RUNTIME.block_on(objects.put_bytes(bytes.clone())).unwrap();
    bencher
        .counter(BytesCount::new(LARGE))
        .bench(|| RUNTIME.block_on(objects.put_bytes(bytes.clone())).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn get_large_stream(bencher: Bencher<'_, '_>) {
    let (_folder, objects) = store();
    let hash = RUNTIME
        .block_on(objects.put_bytes(random(LARGE, 1)))
        .unwrap()
        .hash;
    let read = async || {
        let stream = objects.get_stream(&hash).await?;
        stream.try_fold(0, async |size, part| Ok(size + part.len())).await
    };
    bencher
        .counter(BytesCount::new(LARGE))
        .bench(|| RUNTIME.block_on(read()).unwrap());
}

/// A reader of tables that comes back to the same places.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn get_64kib_ranges_of_large_warm(bencher: Bencher<'_, '_>) {
    let (_folder, objects) = store();
    let hash = RUNTIME
        .block_on(objects.put_bytes(random(LARGE, 1)))
        .unwrap()
        .hash;
    let ranges: Vec<_> = (0..100).map(|n| n * 300_000..n * 300_000 + (64 << 10)).collect();
    bencher
        .counter(ItemsCount::new(ranges.len()))
        .bench(|| RUNTIME.block_on(objects.get_ranges(&hash, &ranges)).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn put_many_small(bencher: Bencher<'_, '_>) {
    let all: Vec<Bytes> = (0..MANY).map(|n| random(SMALL, n)).collect();
    bencher
        .counter(ItemsCount::new(MANY))
        .with_inputs(store)
        .bench_refs(|(_, objects)| RUNTIME.block_on(objects.put_many(all.clone())).unwrap());
}

#[divan::bench(sample_count = 5, sample_size = 1)]
fn put_small_one_by_one(bencher: Bencher<'_, '_>) {
    let all: Vec<Bytes> = (0..MANY).map(|n| random(SMALL, n)).collect();
    let one_by_one = async |objects: &Objects| {
        for bytes in &all {
            objects.put_bytes(bytes.clone()).await.unwrap();
        }
    };
    bencher
        .counter(ItemsCount::new(MANY))
        .with_inputs(store)
        .bench_refs(|(_, objects)| RUNTIME.block_on(one_by_one(objects)));
}

#[divan::bench(sample_count = 20, sample_size = 1)]
fn get_small_packed(bencher: Bencher<'_, '_>) {
    let (folder, objects) = store();
    let all: Vec<Bytes> = (0..MANY).map(|n| random(SMALL, n)).collect();
    let stored = RUNTIME.block_on(objects.put_many(all)).unwrap();
    let url = StoreUrl::folder(folder.path());
    let open = || {
        RUNTIME
            .block_on(Objects::open(&url, &Options::new(Ids::system())))
            .unwrap()
    };
    let read = async |cold: &Objects| {
        for stored in &stored {
            cold.get_bytes(&stored.hash).await.unwrap();
        }
    };
    bencher
        .counter(ItemsCount::new(MANY))
        .with_inputs(open)
        .bench_refs(|cold| RUNTIME.block_on(read(cold)));
}
