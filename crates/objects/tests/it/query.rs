//! A query engine scanning Parquet that is stored as objects.

use crate::stores::{random, stores};
use bytes::Bytes;
use datafusion::prelude::{ParquetReadOptions, SessionContext};
use everloop_core::Hash;
use everloop_objects::ObjectsAsStore;
use futures::TryStreamExt;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetRange, ObjectStore, ObjectStoreExt, PutPayload};
use std::sync::Arc;

/// A Parquet file of some MiB: many chunks.
async fn parquet() -> Bytes {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("table.parquet");
    let session = SessionContext::new();
    let rows = "SELECT value AS id, value * value % 9973 AS x, CAST(sin(value) AS VARCHAR) AS noise \
                FROM generate_series(1, 200000)";
    let frame = session.sql(rows).await.unwrap();
    frame
        .write_parquet(file.to_str().unwrap(), Default::default(), None)
        .await
        .unwrap();
    std::fs::read(file).unwrap().into()
}

async fn answer(session: &SessionContext, sql: &str) -> String {
    let batches = session.sql(sql).await.unwrap().collect().await.unwrap();
    datafusion::arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string()
}

#[tokio::test(flavor = "multi_thread")]
async fn datafusion_scans_objects_by_address() {
    let bytes = parquet().await;
    assert!(bytes.len() > 2 << 20, "{}", bytes.len());
    for store in stores() {
        let objects = store.open().await;
        let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
        let session = SessionContext::new();
        let address = "everloop://objects".parse().unwrap();
        session.register_object_store(&address, Arc::new(ObjectsAsStore::new(store.open().await)));
        let path = ObjectsAsStore::path(&hash, "table.parquet");
        let table = format!("everloop://objects/{path}");
        session
            .register_parquet("t", &table, ParquetReadOptions::default())
            .await
            .unwrap();
        let sums = answer(
            &session,
            "SELECT count(*) AS n, sum(id) AS ids, max(x) AS x FROM t",
        )
        .await;
        assert!(sums.contains("| 200000 | 20000100000 | 9972 |"), "{sums}");
        let few = answer(&session, "SELECT x FROM t WHERE id = 150001").await;
        assert!(
            few.contains(&format!("| {} ", 150_001_i64 * 150_001 % 9_973)),
            "{few}"
        );
    }
}

#[tokio::test]
async fn the_view_answers_as_an_object_store_does() {
    for store in stores() {
        let objects = store.open().await;
        let all = [random(1_000, 1), random(3 << 20, 2)];
        for bytes in &all {
            let hash = objects.put_bytes(bytes.clone()).await.unwrap().hash;
            let view = ObjectsAsStore::new(store.open().await);
            for path in [
                Path::from(hash.to_hex()),
                ObjectsAsStore::path(&hash, "any name.parquet"),
            ] {
                check_view(&view, &path, bytes).await;
            }
        }
        let view = ObjectsAsStore::new(objects);
        let listed: Vec<_> = view.list(None).try_collect().await.unwrap();
        let mut sizes: Vec<u64> = listed.iter().map(|meta| meta.size).collect();
        sizes.sort_unstable();
        assert_eq!(sizes, [1_000, 3 << 20]);
    }
}

async fn check_view(view: &ObjectsAsStore, path: &Path, bytes: &Bytes) {
    let size = bytes.len() as u64;
    let meta = view.head(path).await.unwrap();
    assert_eq!((&meta.location, meta.size), (path, size));
    assert_eq!(
        meta.e_tag.as_deref(),
        Some(format!("\"{}\"", Hash::of(bytes)).as_str())
    );
    assert_eq!(view.get(path).await.unwrap().bytes().await.unwrap(), bytes);
    let part = |range: GetRange| GetOptions {
        range: Some(range),
        ..GetOptions::default()
    };
    let tail = view.get_opts(path, part(GetRange::Suffix(8))).await.unwrap();
    assert_eq!(tail.range, size - 8..size);
    assert_eq!(tail.bytes().await.unwrap(), bytes.slice(bytes.len() - 8..));
    let rest = view
        .get_opts(path, part(GetRange::Offset(size / 2)))
        .await
        .unwrap();
    assert_eq!(rest.bytes().await.unwrap(), bytes.slice(bytes.len() / 2..));
    // As on S3, a range may end beyond the object but not start there.
    let over = view
        .get_ranges(path, &[size - 4..size + 100, 0..3])
        .await
        .unwrap();
    assert_eq!(over, [bytes.slice(bytes.len() - 4..), bytes.slice(..3)]);
    assert!(view.get_range(path, size..size + 1).await.is_err());
    let unchanged = GetOptions {
        if_none_match: meta.e_tag.clone(),
        ..GetOptions::default()
    };
    assert!(matches!(
        view.get_opts(path, unchanged).await,
        Err(Error::NotModified { .. })
    ));
}

#[tokio::test]
async fn the_view_is_read_only_and_knows_only_objects() {
    for store in stores() {
        let objects = store.open().await;
        let hash = objects.put_bytes(random(10, 1)).await.unwrap().hash;
        let view = ObjectsAsStore::new(objects);
        let path = Path::from(hash.to_hex());
        assert!(matches!(
            view.put(&path, PutPayload::new()).await,
            Err(Error::NotImplemented { .. })
        ));
        assert!(matches!(
            view.delete(&path).await,
            Err(Error::NotImplemented { .. })
        ));
        assert!(matches!(
            view.copy(&path, &path).await,
            Err(Error::NotImplemented { .. })
        ));
        let missing = Hash::of(b"missing").to_hex();
        for absent in [
            missing.as_str(),
            "readme.md",
            "",
            &format!("{hash}/a/b"),
            &hash.to_hex()[..63],
        ] {
            let error = view.head(&Path::from(absent)).await.unwrap_err();
            assert!(matches!(error, Error::NotFound { .. }), "{absent}: {error:?}");
        }
    }
}
