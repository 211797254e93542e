//! Memory does not grow with the object.

use crate::crash::{child, child_store};
use crate::stores::{random, temp_dir};
use bytes::Bytes;
use everloop_core::{Hasher, Ids};
use everloop_objects::{Objects, Options};
use futures::{StreamExt, stream};

/// Many times the memory that is allowed.
const SIZE: u64 = 1 << 30;
const ALLOWED_KIB: u64 = 192 << 10;

#[test]
fn a_large_object_passes_through_little_memory() {
    let folder = temp_dir();
    let store = folder.path().join("store");
    let output = child("memory::child_streams", store.to_str().unwrap())
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// The most memory this process ever had resident.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the process whose memory is measured"]
async fn child_streams() {
    let objects = Objects::open(&child_store(), &Options::new(Ids::system()))
        .await
        .unwrap();
    let before = peak_kib();
    // 64 different MiB over and over: the memory disk holds them once, the stream is long all the same.
    let parts = SIZE / (1 << 20);
    let stream = stream::iter(0..parts).map(|n| Ok::<Bytes, std::io::Error>(random(1 << 20, n % 64)));
    let stored = objects.put_stream(stream, None).await.unwrap();
    assert_eq!(stored.size, SIZE);
    let mut hasher = Hasher::new();
    let mut back = objects.get_stream(&stored.hash).await.unwrap();
    while let Some(part) = back.next().await {
        hasher.update(&part.unwrap());
    }
    assert_eq!(hasher.finish(), stored.hash);
    let grown = peak_kib() - before;
    assert!(grown < ALLOWED_KIB, "memory grew by {grown} KiB");
}
