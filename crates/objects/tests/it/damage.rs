//! Stored bytes that changed behind our back.

use crate::stores::{TestStore, own_file, random, stores};
use bytes::Bytes;
use everloop_core::{Code, Coded, Hash};
use everloop_objects::Objects;
use futures::TryStreamExt;

const MIB: usize = 1 << 20;

async fn flip(store: &TestStore, key: &str) {
    let mut bytes = store.raw(key).await;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x40;
    store.plant(key, bytes).await;
}

/// Every way of reading must name the object, and putting the bytes again must heal it.
async fn check_damaged(store: &TestStore, bytes: &Bytes) {
    let hash = Hash::of(bytes);
    let cold = store.open().await;
    let folder = tempfile::tempdir().unwrap();
    let target = folder.path().join("out");
    let streamed = async {
        cold.get_stream(&hash)
            .await?
            .try_collect::<Vec<Bytes>>()
            .await
            .map(|_| ())
    };
    let errors = [
        cold.get_bytes(&hash).await.map(|_| ()).unwrap_err(),
        cold.get_range(&hash, 0..bytes.len() as u64)
            .await
            .map(|_| ())
            .unwrap_err(),
        streamed.await.unwrap_err(),
        cold.fetch_to(&hash, &target).await.map(|_| ()).unwrap_err(),
    ];
    for error in errors {
        assert_eq!(error.code(), Code::DataLoss, "{error:?}");
        assert!(error.to_string().contains(&hash.to_hex()), "{error}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        0,
        "damaged bytes reached the target folder"
    );
    assert!(cold.put_bytes(bytes.clone()).await.unwrap().new_bytes > 0);
    for objects in [cold, store.open().await] {
        assert_eq!(objects.get_bytes(&hash).await.unwrap(), bytes, "{}", store.name);
    }
}

#[tokio::test]
async fn a_damaged_small_object_is_told_and_healed() {
    for store in stores() {
        let bytes = random(1_000, 1);
        let hash = store.open().await.put_bytes(bytes.clone()).await.unwrap().hash;
        flip(&store, &own_file("objects", &hash)).await;
        check_damaged(&store, &bytes).await;
        store
            .plant(&own_file("objects", &hash), bytes[..500].to_vec())
            .await;
        check_damaged(&store, &bytes).await;
    }
}

#[tokio::test]
async fn a_damaged_chunk_or_recipe_is_told_and_healed() {
    for store in stores() {
        let bytes = random(3 * MIB, 2);
        let hash = store.open().await.put_bytes(bytes.clone()).await.unwrap().hash;
        let chunk = store.files("chunks").await.pop_first().unwrap();
        flip(&store, &chunk).await;
        check_damaged(&store, &bytes).await;
        store.remove(&chunk).await;
        check_damaged(&store, &bytes).await;
        flip(&store, &own_file("recipes", &hash)).await;
        check_damaged(&store, &bytes).await;
    }
}

#[tokio::test]
async fn a_damaged_pack_is_told_and_healed() {
    for store in stores() {
        let all: Vec<Bytes> = (0..3).map(|n| random(1_000, n)).collect();
        store.open().await.put_many(all.clone()).await.unwrap();
        let pack = store.files("packs").await.pop_first().unwrap();
        flip(&store, &pack).await;
        let cold = store.open().await;
        assert_eq!(cold.get_bytes(&Hash::of(&all[0])).await.unwrap(), all[0]);
        assert_eq!(cold.get_bytes(&Hash::of(&all[2])).await.unwrap(), all[2]);
        check_damaged(&store, &all[1]).await;
    }
}

#[tokio::test]
async fn a_damaged_index_is_not_mistaken_for_absence() {
    for store in stores() {
        let all: Vec<Bytes> = (0..3).map(|n| random(1_000, n)).collect();
        store.open().await.put_many(all.clone()).await.unwrap();
        let index = store.files("index").await.pop_first().unwrap();
        flip(&store, &index).await;
        let cold: Objects = store.open().await;
        let hash = Hash::of(&all[0]);
        for error in [
            cold.get_bytes(&hash).await.map(|_| ()).unwrap_err(),
            cold.exists(&hash).await.map(|_| ()).unwrap_err(),
            cold.list().try_collect::<Vec<_>>().await.map(|_| ()).unwrap_err(),
        ] {
            assert_eq!(error.code(), Code::DataLoss);
            assert!(error.to_string().contains(&index), "{error}");
        }
        // Putting goes on.
        cold.put_bytes(all[0].clone()).await.unwrap();
        assert_eq!(cold.get_bytes(&hash).await.unwrap(), all[0]);
    }
}
