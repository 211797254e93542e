//! Measures the store on large objects.
//!
//! ```text
//! cargo run -p everloop-objects --example large_file -- edit 2 /data/tmp     # a 1 MiB edit in a 2 GiB file
//! cargo run -p everloop-objects --example large_file -- stream 10 /data/tmp  # memory while 10 GiB pass through
//! ```
//! The folder is where the file and the store are made; both are removed afterwards.
#![expect(
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "a measurement that prints its figures"
)]

use bytes::Bytes;
use everloop_core::{Hasher, Ids};
use everloop_objects::{Objects, Options, StoreUrl};
use futures::{StreamExt, stream};
use rand::{RngCore, SeedableRng};
use std::fs::File;
use std::io::{BufWriter, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::Instant;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const MIB: u64 = 1 << 20;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, what, gib, folder] = arguments.as_slice() else {
        println!("usage: large_file edit|stream GIB FOLDER");
        return;
    };
    let gib: u64 = gib.parse().unwrap();
    let folder = tempfile::tempdir_in(folder).unwrap();
    let store = StoreUrl::folder(folder.path().join("store"));
    let objects = Objects::open(&store, &Options::new(Ids::system())).await.unwrap();
    match what.as_str() {
        "edit" => edit(&objects, folder.path(), gib).await,
        _ => pass_through(&objects, gib).await,
    }
}

/// Puts a file, overwrites 1 MiB in its middle, puts it again; then the same with an insertion.
async fn edit(objects: &Objects, folder: &Path, gib: u64) {
    let path = folder.join("file");
    let mut chance = rand_pcg::Pcg64::seed_from_u64(1);
    let mut file = BufWriter::new(File::create(&path).unwrap());
    let mut block = vec![0; MIB as usize];
    for _ in 0..gib * 1_024 {
        chance.fill_bytes(&mut block);
        file.write_all(&block).unwrap();
    }
    let mut file = file.into_inner().unwrap();
    put(objects, folder, "first put").await;
    for (n, at) in [gib * 512 * MIB, gib * 512 * MIB + 12_345, gib * 300 * MIB + 7]
        .into_iter()
        .enumerate()
    {
        chance.fill_bytes(&mut block);
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&block).unwrap();
        file.sync_all().unwrap();
        put(objects, folder, &format!("after edit {}", n + 1)).await;
    }
}

async fn put(objects: &Objects, folder: &Path, what: &str) {
    let before = disk_use(&folder.join("store"));
    let started = Instant::now();
    let stored = objects.put_file(&folder.join("file")).await.unwrap();
    let seconds = started.elapsed().as_secs_f64();
    let grown = disk_use(&folder.join("store")) - before;
    println!(
        "{what}: {} bytes, {} new ({:.2} MiB), files grew by {:.2} MiB, {:.0} MiB/s, peak memory {} MiB",
        stored.size,
        stored.new_bytes,
        stored.new_bytes as f64 / MIB as f64,
        grown as f64 / MIB as f64,
        stored.size as f64 / MIB as f64 / seconds,
        peak_mib(),
    );
}

/// Sizes of all files below a folder.
fn disk_use(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).unwrap().map(Result::unwrap);
    entries
        .map(|entry| match entry.metadata().unwrap() {
            metadata if metadata.is_dir() => disk_use(&entry.path()),
            metadata => metadata.len(),
        })
        .sum()
}

/// Streams bytes in and out again.
async fn pass_through(objects: &Objects, gib: u64) {
    let start = peak_mib();
    let started = Instant::now();
    let mut chance = rand_pcg::Pcg64::seed_from_u64(2);
    let parts = stream::iter(0..gib * 1_024).map(move |_| {
        let mut part = vec![0; MIB as usize];
        chance.fill_bytes(&mut part);
        Ok(Bytes::from(part))
    });
    let stored = objects.put_stream(parts, None).await.unwrap();
    let speed = (gib * 1_024) as f64 / started.elapsed().as_secs_f64();
    println!(
        "put {gib} GiB: {speed:.0} MiB/s, memory {start} MiB before, {} MiB at its peak",
        peak_mib()
    );
    let started = Instant::now();
    let mut hasher = Hasher::new();
    let mut back = objects.get_stream(&stored.hash).await.unwrap();
    while let Some(part) = back.next().await {
        hasher.update(&part.unwrap());
    }
    assert_eq!(hasher.finish(), stored.hash);
    let speed = (gib * 1_024) as f64 / started.elapsed().as_secs_f64();
    println!(
        "got {gib} GiB: {speed:.0} MiB/s, memory {} MiB at its peak",
        peak_mib()
    );
}

/// The most memory this process had resident so far.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1_024
}
