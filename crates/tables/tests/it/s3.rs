//! Tables over a real S3 service, when `EVERLOOP_TEST_S3` names a bucket, such as
//! `s3://bucket?endpoint=http://127.0.0.1:5555&allow_http=true`.
#![expect(clippy::disallowed_methods, reason = "the peer comes by the environment")]

use crate::support::{Folder, tables, write_flights};
use everloop_core::Ids;
use everloop_tables::Source;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use url::Url;

/// The bucket's URL and the store's options.
fn bucket() -> Option<(String, Vec<(String, String)>)> {
    let address = std::env::var("EVERLOOP_TEST_S3").ok()?;
    let (bucket, query) = address.split_once('?').unwrap_or((&address, ""));
    let words = |name: &str| std::env::var(name).unwrap_or_else(|_| "test".to_owned());
    let mut options = vec![
        ("access_key_id".to_owned(), words("AWS_ACCESS_KEY_ID")),
        ("secret_access_key".to_owned(), words("AWS_SECRET_ACCESS_KEY")),
        ("region".to_owned(), "us-east-1".to_owned()),
    ];
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap();
        options.push((key.to_owned(), value.to_owned()));
    }
    Some((bucket.trim_end_matches('/').to_owned(), options))
}

#[tokio::test]
async fn files_of_a_bucket_are_read_by_glob() {
    let Some((bucket, options)) = bucket() else {
        return;
    };
    let folder = Folder::new();
    let tables = tables();
    let prefix = format!("tables-{}", Ids::system().hex32());
    let url = Url::parse(&bucket).unwrap();
    let (store, _) = object_store::parse_url_opts(&url, options.clone()).unwrap();
    for part in 0..3 {
        let path = folder.file("part.parquet");
        write_flights(&tables, &path, part * 1_000, 1_000).await;
        let key = object_store::path::Path::from(format!("{prefix}/part {part}.parquet"));
        store
            .put(&key, PutPayload::from(std::fs::read(&path).unwrap()))
            .await
            .unwrap();
    }
    tables.add_store(&bucket, options).unwrap();
    let source = Source::paths([format!("{bucket}/{prefix}/*.parquet")]);
    let profile = tables.profile(source.clone()).await.unwrap();
    assert_eq!(profile.column("id").unwrap().max(), Some(2_999.0));
    let session = tables.session().await.unwrap();
    session.add("t", source).await.unwrap();
    let frame = session
        .sql("SELECT SUM(id) AS s FROM t")
        .await
        .unwrap()
        .to_frame()
        .unwrap();
    assert_eq!(frame.get("s").unwrap().number(0), 4_498_500.0);
    let gone = tables
        .rows(Source::paths([format!("{bucket}/{prefix}/gone-*.parquet")]))
        .await;
    assert!(gone.is_err());
    let store: &dyn ObjectStore = store.as_ref();
    for part in 0..3 {
        let key = object_store::path::Path::from(format!("{prefix}/part {part}.parquet"));
        store.delete(&key).await.unwrap();
    }
}
