//! The collector and the sweep.

use crate::stores::{TestStore, in_ten_days, listed, now, own_file, random, reads_back, stores};
use bytes::Bytes;
use everloop_core::{Code, Coded, Hash};
use everloop_objects::{CleanOptions, LiveSet, Objects, Swept};
use std::collections::BTreeSet;

const MIB: usize = 1 << 20;

async fn put_small(objects: &Objects, seeds: std::ops::Range<u64>) -> Vec<Hash> {
    let stored = objects
        .put_many(seeds.map(|seed| random(1_000, seed)))
        .await
        .unwrap();
    stored.iter().map(|stored| stored.hash).collect()
}

/// All bytes in the store but its format marker.
async fn stored_bytes(store: &TestStore) -> u64 {
    let mut bytes = 0;
    for area in [
        "objects",
        "recipes",
        "chunks",
        "packs",
        "index",
        "holds",
        "condemned",
        "tmp",
    ] {
        for file in store.files(area).await {
            bytes += store.raw(&file).await.len() as u64;
        }
    }
    bytes
}

#[tokio::test]
async fn what_nothing_refers_to_goes_and_the_rest_stays() {
    for store in stores() {
        let objects = store.open().await;
        let keep = objects.put_bytes(random(10, 1)).await.unwrap().hash;
        let drop = objects.put_bytes(random(20, 2)).await.unwrap().hash;
        let base = random(6 * MIB, 3);
        let keep_large = objects.put_bytes(base.clone()).await.unwrap().hash;
        // Shares most chunks with the one that stays.
        let edited = Bytes::from([&base[..3 * MIB], b"edit", &base[3 * MIB..]].concat());
        let drop_large = objects.put_bytes(edited).await.unwrap().hash;
        let dead_pack = put_small(&objects, 10..20).await;
        let live_pack = put_small(&objects, 20..30).await;

        let live: LiveSet = [keep, keep_large]
            .into_iter()
            .chain(live_pack.iter().copied())
            .collect();
        let before = stored_bytes(&store).await;
        let dry = CleanOptions {
            dry_run: true,
            ..in_ten_days()
        };
        let told = objects.collect(live.clone(), &dry).await.unwrap();
        assert_eq!(stored_bytes(&store).await, before, "a dry run changed the store");
        let done = objects.collect(live, &in_ten_days()).await.unwrap();
        assert_eq!(done, told, "{}", store.name);
        assert_eq!(
            before - stored_bytes(&store).await,
            done.freed_bytes + done.swept.bytes
        );
        assert_eq!(
            (done.live_objects, done.young_objects, done.freed_objects),
            (12, 0, 12)
        );
        // The edited object's own chunks went, the shared ones did not.
        assert!(
            (MIB as u64 / 16..3 * MIB as u64).contains(&done.freed_bytes),
            "{done:?}"
        );

        let kept: BTreeSet<Hash> = [keep, keep_large].into_iter().chain(live_pack).collect();
        for objects in [objects, store.open().await] {
            assert_eq!(listed(&objects).await, kept);
            for hash in &kept {
                reads_back(&objects, hash).await;
            }
            for hash in dead_pack.iter().chain([&drop, &drop_large]) {
                assert_eq!(objects.get_bytes(hash).await.unwrap_err().code(), Code::NotFound);
            }
        }
        assert_eq!(store.files("condemned").await, BTreeSet::new());
    }
}

#[tokio::test]
async fn what_is_young_stays() {
    for store in stores() {
        let objects = store.open().await;
        objects.put_bytes(random(10, 1)).await.unwrap();
        objects.put_bytes(random(3 * MIB, 2)).await.unwrap();
        put_small(&objects, 10..20).await;
        let done = objects.collect(LiveSet::new(), &now()).await.unwrap();
        assert_eq!(
            (done.young_objects, done.freed_objects, done.freed_bytes),
            (12, 0, 0)
        );
        for hash in listed(&objects).await {
            reads_back(&objects, &hash).await;
        }
        let done = objects.collect(LiveSet::new(), &in_ten_days()).await.unwrap();
        assert_eq!((done.young_objects, done.freed_objects), (0, 12));
        assert_eq!(stored_bytes(&store).await, 0);
        assert_eq!(listed(&store.open().await).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn a_mostly_dead_pack_is_written_anew_and_a_mostly_live_one_stays() {
    for store in stores() {
        let (objects, other) = (store.open().await, store.open().await);
        let mostly_dead = put_small(&objects, 0..100).await;
        let mostly_live = put_small(&objects, 100..200).await;
        // Another server knows the packs as they were.
        for hash in &mostly_dead {
            assert!(other.exists(hash).await.unwrap());
        }
        let live: LiveSet = mostly_dead[..10]
            .iter()
            .chain(&mostly_live[..90])
            .copied()
            .collect();
        let done = objects.collect(live, &in_ten_days()).await.unwrap();
        assert_eq!((done.live_objects, done.freed_objects), (100, 90));
        assert!((90_000..100_000).contains(&done.freed_bytes), "{done:?}");
        assert!((10_000..11_000).contains(&done.wasted_bytes), "{done:?}");
        assert_eq!(store.files("packs").await.len(), 2);
        assert_eq!(store.files("index").await.len(), 2);
        for objects in [&objects, &other, &store.open().await] {
            for hash in mostly_dead[..10].iter().chain(&mostly_live) {
                assert_eq!(reads_back(objects, hash).await, 1_000);
            }
            assert!(matches!(
                objects.get_bytes(&mostly_dead[50]).await,
                Err(everloop_objects::Error::NotFound { .. })
            ));
        }
    }
}

#[tokio::test]
async fn many_small_packs_become_few() {
    for store in stores() {
        let objects = store.open().await;
        let mut all = Vec::new();
        for n in 0..40 {
            all.extend(put_small(&objects, n * 3..n * 3 + 3).await);
        }
        assert_eq!(store.files("index").await.len(), 40);
        let live: LiveSet = all.iter().copied().collect();
        let done = objects.collect(live, &in_ten_days()).await.unwrap();
        assert_eq!((done.live_objects, done.freed_objects), (120, 0));
        assert_eq!(store.files("index").await.len(), 1);
        let cold = store.open().await;
        for hash in &all {
            assert_eq!(reads_back(&cold, hash).await, 1_000);
        }
    }
}

#[tokio::test]
async fn the_sweep_removes_what_crashes_leave_and_nothing_else() {
    for store in stores() {
        let objects = store.open().await;
        let kept = objects.put_bytes(random(10, 1)).await.unwrap().hash;
        let packed = put_small(&objects, 0..5).await;
        let id = "000102030405060708090a0b0c0d0e0f";
        let leftovers = [
            (format!("tmp/{id}"), 7),
            (format!("packs/{id}"), 11),
            (format!("holds/{id}"), 13),
            (format!("condemned/{id}"), 17),
        ];
        for (key, size) in &leftovers {
            store.plant(key, vec![b'x'; *size]).await;
        }
        let young = objects.sweep(&now()).await.unwrap();
        assert_eq!(young, Swept::default(), "a writer may be at work on them");
        let dry = CleanOptions {
            dry_run: true,
            ..in_ten_days()
        };
        let told = objects.sweep(&dry).await.unwrap();
        let done = objects.sweep(&in_ten_days()).await.unwrap();
        assert_eq!(done, told);
        assert_eq!(
            done,
            Swept {
                files: 4,
                bytes: 7 + 11 + 13 + 17
            }
        );
        assert_eq!(objects.sweep(&in_ten_days()).await.unwrap(), Swept::default());
        let cold = store.open().await;
        for hash in packed.iter().chain([&kept]) {
            reads_back(&cold, hash).await;
        }
    }
}

#[tokio::test]
async fn a_collector_that_cannot_tell_what_is_needed_deletes_nothing() {
    for store in stores() {
        let objects = store.open().await;
        let large = objects.put_bytes(random(3 * MIB, 1)).await.unwrap().hash;
        objects.put_bytes(random(10, 2)).await.unwrap();
        let recipe = own_file("recipes", &large);
        let mut bytes = store.raw(&recipe).await;
        bytes[60] ^= 1;
        store.plant(&recipe, bytes.clone()).await;
        let before = stored_bytes(&store).await;
        let live: LiveSet = [large].into_iter().collect();
        let error = store
            .open()
            .await
            .collect(live, &in_ten_days())
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::DataLoss);
        assert!(error.to_string().contains(&large.to_hex()), "{error}");
        assert_eq!(stored_bytes(&store).await, before);
    }
}

#[tokio::test]
async fn what_a_crashed_collector_condemned_can_still_be_put_and_kept() {
    for store in stores() {
        let objects = store.open().await;
        let bytes = random(10, 1);
        let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
        let file = own_file("objects", &hash);
        store
            .plant(
                "condemned/000102030405060708090a0b0c0d0e0f",
                format!("{file}\n").into_bytes(),
            )
            .await;
        // The collector may come back to life and delete the file, so the put must not rely on it.
        assert!(objects.put_bytes(bytes.clone()).await.unwrap().new_bytes > 0);
        store.remove(&file).await;
        assert_eq!(store.open().await.get_bytes(&hash).await.unwrap(), bytes);
    }
}
