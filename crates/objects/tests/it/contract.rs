//! What every store promises, whatever it lies on.

use crate::stores::{TestStore, folder_store, listed, own_file, random, reads_back, stores};
use bytes::Bytes;
use everloop_core::{Code, Coded, Hash};
use everloop_objects::{Error, LARGEST_WHOLE, Objects};
use futures::stream;
use std::collections::BTreeSet;
use std::io;

const MIB: usize = 1 << 20;

/// Empty, tiny, around the size where cutting starts, around the size of a block, and several blocks.
const SIZES: [usize; 9] = [
    0,
    1,
    1_000,
    LARGEST_WHOLE - 1,
    LARGEST_WHOLE,
    LARGEST_WHOLE + 1,
    8 * MIB - 1,
    8 * MIB + 1,
    21 * MIB + 7,
];

#[tokio::test]
async fn what_is_put_comes_back_in_every_way() {
    for store in stores() {
        let objects = store.open().await;
        for (seed, size) in SIZES.into_iter().enumerate() {
            let bytes = random(size, seed as u64);
            let stored = objects.put_bytes(bytes.clone()).await.unwrap();
            assert_eq!((stored.hash, stored.size), (Hash::of(&bytes), size as u64));
            assert!(stored.new_bytes >= size as u64, "{} {size}", store.name);
            // A handle without a warm cache reads what is stored, not what is remembered.
            check_reads(&store.open().await, &bytes).await;
        }
    }
}

async fn check_reads(objects: &Objects, bytes: &Bytes) {
    let hash = Hash::of(bytes);
    let size = bytes.len() as u64;
    assert!(objects.exists(&hash).await.unwrap());
    assert_eq!(objects.size(&hash).await.unwrap(), Some(size));
    assert_eq!(objects.get_bytes(&hash).await.unwrap(), bytes);
    assert_eq!(reads_back(objects, &hash).await, size);
    let third = size / 3;
    for (start, end) in [
        (0, size),
        (0, 0),
        (size, size),
        (third, third + third),
        (size.saturating_sub(8), size),
    ] {
        let part = objects.get_range(&hash, start..end).await.unwrap();
        assert_eq!(
            part,
            bytes.slice(start as usize..end as usize),
            "{start}..{end} of {size}"
        );
    }
    for (start, end) in [(0, size + 1), (size + 1, size + 1), (u64::MAX, u64::MAX)] {
        let error = objects.get_range(&hash, start..end).await.unwrap_err();
        assert!(matches!(error, Error::InvalidRange { .. }), "{error:?}");
        assert_eq!(error.code(), Code::InvalidArgument);
    }
}

#[tokio::test]
async fn a_stream_is_stored_however_it_is_sliced() {
    for store in stores() {
        let objects = store.open().await;
        let bytes = random(9 * MIB + 123, 1);
        for piece in [1_003, MIB, 8 * MIB, 9 * MIB + 123] {
            let parts: Vec<io::Result<Bytes>> = bytes
                .chunks(piece)
                .map(|part| Ok(bytes.slice_ref(part)))
                .collect();
            let stored = objects
                .put_stream(stream::iter(parts), Some(Hash::of(&bytes)))
                .await
                .unwrap();
            assert_eq!((stored.hash, stored.size), (Hash::of(&bytes), bytes.len() as u64));
        }
        assert_eq!(objects.get_bytes(&Hash::of(&bytes)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn files_go_in_and_out() {
    for store in stores() {
        let objects = store.open().await;
        let folder = tempfile::tempdir().unwrap();
        let (from, to) = (folder.path().join("from"), folder.path().join("to"));
        for size in [0, 1_000, 3 * MIB] {
            let bytes = random(size, 2);
            std::fs::write(&from, &bytes).unwrap();
            std::fs::write(&to, b"what was there before").unwrap();
            let stored = objects.put_file(&from).await.unwrap();
            assert_eq!(objects.fetch_to(&stored.hash, &to).await.unwrap(), size as u64);
            assert_eq!(std::fs::read(&to).unwrap(), bytes);
        }
        let missing = objects.fetch_to(&Hash::of(b"missing"), &to).await.unwrap_err();
        assert_eq!(missing.code(), Code::NotFound);
        assert_eq!(
            std::fs::read(&to).unwrap().len(),
            3 * MIB,
            "the file there was touched"
        );
        assert_eq!(
            std::fs::read_dir(folder.path()).unwrap().count(),
            2,
            "something was left behind"
        );
        assert!(matches!(
            objects.put_file(&folder.path().join("missing")).await,
            Err(Error::Io { .. })
        ));
    }
}

#[tokio::test]
async fn bytes_of_another_hash_than_declared_stay_invisible() {
    for store in stores() {
        let objects = store.open().await;
        let declared = Hash::of(b"something else");
        for size in [1_000, 3 * MIB] {
            let bytes = random(size, 3);
            let error = objects
                .put_stream(stream::iter([Ok(bytes.clone())]), Some(declared))
                .await
                .unwrap_err();
            assert_eq!(error.code(), Code::InvalidArgument);
            assert!(matches!(error, Error::HashMismatch { found, .. } if found == Hash::of(&bytes)));
            assert!(!objects.exists(&declared).await.unwrap());
            assert!(!objects.exists(&Hash::of(&bytes)).await.unwrap());
        }
        assert_eq!(listed(&objects).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_leaves_nothing_visible() {
    for store in stores() {
        let objects = store.open().await;
        for size in [1_000, 12 * MIB] {
            let cut: [io::Result<Bytes>; 2] = [
                Ok(random(size, 4)),
                Err(io::Error::from(io::ErrorKind::ConnectionReset)),
            ];
            let error = objects.put_stream(stream::iter(cut), None).await.unwrap_err();
            assert!(matches!(error, Error::Source(_)), "{error:?}");
        }
        assert_eq!(listed(&objects).await, BTreeSet::new());
    }
}

#[tokio::test]
async fn putting_again_stores_nothing_new() {
    for store in stores() {
        let objects = store.open().await;
        for size in [0, 1_000, 5 * MIB] {
            let bytes = random(size, 5);
            objects.put_bytes(bytes.clone()).await.unwrap();
            for objects in [&objects, &store.open().await] {
                assert_eq!(objects.put_bytes(bytes.clone()).await.unwrap().new_bytes, 0);
                assert_eq!(objects.put_many([bytes.clone()]).await.unwrap()[0].new_bytes, 0);
            }
        }
    }
}

#[tokio::test]
async fn equal_chunks_inside_one_object_are_stored_once() {
    for store in stores() {
        let objects = store.open().await;
        let zeros = Bytes::from(vec![0; 40 * MIB]);
        let stored = objects.put_bytes(zeros.clone()).await.unwrap();
        assert!(stored.new_bytes < 3 * MIB as u64, "{}", stored.new_bytes);
        assert_eq!(store.open().await.get_bytes(&stored.hash).await.unwrap(), zeros);
    }
}

#[tokio::test]
async fn an_edit_in_the_middle_stores_little() {
    let store = folder_store();
    let objects = store.open().await;
    let size = 96 * MIB;
    let base = random(size, 6);
    objects.put_bytes(base.clone()).await.unwrap();
    for (seed, at) in [(7, size / 2), (8, size / 3 + 12_345), (9, 3)] {
        let edit = random(MIB, seed);
        let overwritten = [&base[..at], &edit, &base[at + MIB..]].concat();
        let inserted = [&base[..at], &edit, &base[at..]].concat();
        for edited in [overwritten, inserted] {
            let stored = objects.put_bytes(edited).await.unwrap();
            assert!(
                stored.new_bytes <= 4 * MIB as u64,
                "{} bytes at {at}",
                stored.new_bytes
            );
        }
    }
}

#[tokio::test]
async fn many_small_objects_share_packs() {
    for store in stores() {
        let objects = store.open().await;
        let mut all: Vec<Bytes> = (0..500).map(|n| random(n * 7, n as u64)).collect();
        all.push(random(2 * MIB, 1_000));
        all.push(all[3].clone());
        let stored = objects.put_many(all.clone()).await.unwrap();
        assert_eq!(stored.len(), all.len());
        assert_eq!(stored.last().unwrap().new_bytes, 0, "a repeat is new once");
        assert_eq!(store.files("packs").await.len(), 1);
        assert_eq!(store.files("index").await.len(), 1);
        assert_eq!(store.files("objects").await.len(), 0);
        let other = store.open().await;
        for (bytes, stored) in all.iter().zip(&stored) {
            assert_eq!(stored.hash, Hash::of(bytes));
            check_reads(&other, bytes).await;
        }
        assert_eq!(
            listed(&other).await,
            stored.iter().map(|stored| stored.hash).collect()
        );
        assert_eq!(other.put_bytes(all[9].clone()).await.unwrap().new_bytes, 0);
    }
}

#[tokio::test]
async fn packs_are_closed_before_they_grow_too_large() {
    let store = folder_store();
    let objects = store.open().await;
    let all: Vec<Bytes> = (0..50).map(|n| random(LARGEST_WHOLE - n, n as u64)).collect();
    objects.put_many(all.clone()).await.unwrap();
    assert!(store.files("packs").await.len() >= 4);
    for bytes in &all {
        assert_eq!(objects.get_bytes(&Hash::of(bytes)).await.unwrap(), bytes);
    }
}

#[tokio::test]
async fn one_handle_finds_what_another_put_after_it_looked() {
    for store in stores() {
        let (one, two) = (store.open().await, store.open().await);
        let small: Vec<Bytes> = (0..10).map(|n| random(100, n)).collect();
        let large = random(2 * MIB, 11);
        for bytes in small.iter().chain([&large]) {
            assert!(!one.exists(&Hash::of(bytes)).await.unwrap());
            assert_eq!(one.size(&Hash::of(bytes)).await.unwrap(), None);
            assert!(matches!(
                one.get_bytes(&Hash::of(bytes)).await,
                Err(Error::NotFound { .. })
            ));
        }
        two.put_many(small.iter().cloned().chain([large.clone()]))
            .await
            .unwrap();
        for bytes in small.iter().chain([&large]) {
            check_reads(&one, bytes).await;
        }
    }
}

#[tokio::test]
async fn several_ranges_come_in_their_order() {
    for store in stores() {
        let objects = store.open().await;
        let bytes = random(10 * MIB, 12);
        let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
        let ranges = [(9 * MIB, 9 * MIB + 5), (0, 100), (MIB - 3, 4 * MIB), (50, 60)];
        let ranges: Vec<_> = ranges
            .iter()
            .map(|(start, end)| *start as u64..*end as u64)
            .collect();
        let parts = store.open().await.get_ranges(&hash, &ranges).await.unwrap();
        for (range, part) in ranges.iter().zip(parts) {
            assert_eq!(part, bytes.slice(range.start as usize..range.end as usize));
        }
    }
}

#[tokio::test]
async fn a_range_reads_only_the_chunks_it_needs() {
    for store in stores() {
        let objects = store.open().await;
        let bytes = random(10 * MIB, 13);
        let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
        let recipe = store.raw(&own_file("recipes", &hash)).await;
        let first = Hash::from_bytes(recipe[52..84].try_into().unwrap());
        for chunk in store.files("chunks").await {
            if chunk != own_file("chunks", &first) {
                store.remove(&chunk).await;
            }
        }
        let cold = store.open().await;
        assert_eq!(
            cold.get_range(&hash, 10..1_000).await.unwrap(),
            bytes.slice(10..1_000)
        );
        assert_eq!(cold.get_bytes(&hash).await.unwrap_err().code(), Code::DataLoss);
    }
}

#[tokio::test]
async fn a_chunk_is_not_an_object() {
    for store in stores() {
        let objects = store.open().await;
        objects.put_bytes(random(3 * MIB, 14)).await.unwrap();
        for chunk in store.files("chunks").await {
            let hash: Hash = chunk.replace("chunks/", "").replace('/', "").parse().unwrap();
            assert!(!objects.exists(&hash).await.unwrap());
            assert_eq!(objects.get_bytes(&hash).await.unwrap_err().code(), Code::NotFound);
        }
    }
}

#[tokio::test]
async fn hold_names_what_is_missing() {
    for store in stores() {
        let objects = store.open().await;
        let whole = objects.put_bytes(random(10, 15)).await.unwrap().hash;
        let large = objects.put_bytes(random(3 * MIB, 16)).await.unwrap().hash;
        let broken = objects.put_bytes(random(3 * MIB, 17)).await.unwrap().hash;
        let packed: Vec<Hash> = objects
            .put_many((0..3).map(|n| random(30, 100 + n)))
            .await
            .unwrap()
            .iter()
            .map(|stored| stored.hash)
            .collect();
        let recipe = store.raw(&own_file("recipes", &broken)).await;
        let chunk = Hash::from_bytes(recipe[52..84].try_into().unwrap());
        store.remove(&own_file("chunks", &chunk)).await;
        let unknown = Hash::of(b"unknown");
        let asked = [&[whole, unknown, large, broken], packed.as_slice()].concat();
        assert_eq!(
            store.open().await.hold(&asked).await.unwrap(),
            [unknown, broken],
            "{}",
            store.name
        );
    }
}

#[tokio::test]
async fn a_store_of_a_newer_program_is_refused() {
    for store in stores() {
        store.open().await;
        assert_eq!(store.raw("format").await, b"everloop-objects 1\n");
        store.plant("format", b"everloop-objects 2\n".to_vec()).await;
        let error = Objects::open(&store.url, &store.options).await.unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert!(
            error.to_string().contains("has format 2, this program knows 1"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_missing_bucket_is_told() {
    for store in stores().into_iter().filter(|store| store.name == "s3") {
        let address = std::env::var("EVERLOOP_TEST_S3").unwrap();
        let bucket = address.split(['/', '?']).nth(2).unwrap();
        let missing = address.replacen(bucket, "no-such-bucket", 1).parse().unwrap();
        let error = Objects::open(&missing, &store.options).await.unwrap_err();
        assert_eq!(error.code(), Code::NotFound, "{error:?}");
        assert_eq!(error.hint().unwrap(), "check that the bucket exists");
    }
}

#[tokio::test]
async fn unknown_options_are_refused_and_strange_variables_ignored() {
    let store = folder_store();
    let bucket = "s3://bucket?endpont=http://127.0.0.1:1".parse().unwrap();
    let error = Objects::open(&bucket, &store.options).await.unwrap_err();
    assert!(
        matches!(&error, Error::UnknownOption { key, .. } if key == "endpont"),
        "{error:?}"
    );
    let options = store
        .options
        .clone()
        .with_env([("AWS_PROFILE".to_owned(), "me".to_owned())]);
    // Refused at once by the missing server, not by the option.
    let bucket = "s3://bucket?endpoint=http://127.0.0.1:1&allow_http=true&region=eu"
        .parse()
        .unwrap();
    let options = options.with("access_key_id", "a").with("secret_access_key", "b");
    let error = Objects::open(&bucket, &options).await.unwrap_err();
    assert_eq!(error.code(), Code::Unavailable, "{error:?}");
    assert!(error.hint().unwrap().contains("endpoint"));
}

#[cfg(unix)]
#[tokio::test]
async fn a_folder_is_its_owners_alone_and_objects_are_read_only() {
    use std::os::unix::fs::PermissionsExt;
    let store = folder_store();
    let objects = store.open().await;
    let hash = objects.put_bytes(random(10, 18)).await.unwrap().hash;
    let root = store.folder.as_ref().unwrap().path().join("store");
    let mode = |path: &str| std::fs::metadata(root.join(path)).unwrap().permissions().mode() & 0o777;
    for folder in ["", "tmp", "objects", &own_file("objects", &hash)[..10]] {
        assert_eq!(mode(folder), 0o700, "{folder}");
    }
    assert_eq!(mode(&own_file("objects", &hash)), 0o400);
}

#[cfg(unix)]
#[tokio::test]
async fn links_in_the_place_of_objects_are_not_followed() {
    let store = folder_store();
    let objects = store.open().await;
    let bytes = random(10, 19);
    let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
    let root = store.folder.as_ref().unwrap().path().join("store");
    let file = root.join(own_file("objects", &hash));
    let elsewhere = root.join("elsewhere");
    std::fs::rename(&file, &elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, &file).unwrap();
    assert!(store.open().await.get_bytes(&hash).await.is_err());
}

#[tokio::test]
async fn putters_of_the_same_bytes_do_not_disturb_each_other() {
    for store in stores() {
        let bytes = random(4 * MIB, 20);
        let small: Vec<Bytes> = (0..20).map(|n| random(50, n)).collect();
        let mut putters = tokio::task::JoinSet::new();
        for _ in 0..6 {
            let (objects, bytes, small) = (store.open().await, bytes.clone(), small.clone());
            putters.spawn(async move {
                objects.put_bytes(bytes).await.unwrap();
                objects.put_many(small).await.unwrap();
            });
        }
        putters.join_all().await;
        let objects = store.open().await;
        assert_eq!(listed(&objects).await.len(), 21);
        for bytes in small.iter().chain([&bytes]) {
            assert_eq!(objects.get_bytes(&Hash::of(bytes)).await.unwrap(), bytes);
        }
        check_no_temporaries(&store).await;
    }
}

async fn check_no_temporaries(store: &TestStore) {
    assert_eq!(store.files("tmp").await, BTreeSet::new());
}
