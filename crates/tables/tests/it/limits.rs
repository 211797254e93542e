//! Memory, spill space, answers: bounded, with an error that says what to do.

use crate::support::{Folder, flights, tables_with, write_flights};
use everloop_core::{ByteSize, Code, Coded};
use everloop_tables::{Error, Source, TablesOptions};

#[tokio::test]
async fn an_answer_beyond_the_limit_is_refused_but_streams() {
    let tables = tables_with(TablesOptions {
        answer_limit: ByteSize(200 << 10),
        ..TablesOptions::default()
    });
    let session = tables.session().await.unwrap();
    let parts: Vec<_> = (0..20).map(|part| flights(part * 1_000, 1_000)).collect();
    session.add("t", Source::batches(parts)).await.unwrap();
    let error = session.sql("SELECT id, delay FROM t").await.unwrap_err();
    assert!(matches!(error, Error::AnswerTooLarge { .. }), "{error:?}");
    assert_eq!(error.code(), Code::ResourceExhausted);
    assert!(error.hint().unwrap().contains("LIMIT"));
    let stream = session.stream("SELECT id, delay FROM t").await.unwrap();
    let batches: Vec<_> = futures::TryStreamExt::try_collect(stream).await.unwrap();
    assert!(batches.len() > 1);
}

#[tokio::test]
async fn a_sort_beyond_memory_spills_and_leaves_no_files() {
    let folder = Folder::new();
    let tables = tables_with(TablesOptions::default());
    write_flights(&tables, &folder.file("t.parquet"), 0, 200_000).await;
    let small = tables_with(TablesOptions {
        memory_limit: ByteSize(24 << 20),
        spill_dir: Some(folder.file("spill")),
        partitions: 1,
        ..TablesOptions::default()
    });
    let session = small.session().await.unwrap();
    session
        .add("t", Source::paths([folder.glob("t.parquet")]))
        .await
        .unwrap();
    let query = "SELECT sum(id * r) AS s FROM (SELECT id, row_number() OVER (ORDER BY delay, id DESC) AS r, repeat(dest, 40) AS pad \
                 FROM t) WHERE length(pad) > 3";
    let spilled = session.sql(query).await.unwrap().to_frame().unwrap();
    let session = tables.session().await.unwrap();
    session
        .add("t", Source::paths([folder.glob("t.parquet")]))
        .await
        .unwrap();
    assert_eq!(session.sql(query).await.unwrap().to_frame().unwrap(), spilled);
    drop(small);
    let left: Vec<_> = walk(&folder.file("spill"));
    assert!(left.is_empty(), "{left:?}");
}

fn walk(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        match entry.path() {
            path if path.is_dir() => files.extend(walk(&path)),
            path => files.push(path),
        }
    }
    files
}

#[tokio::test]
async fn what_fits_neither_memory_nor_disk_is_an_error_with_a_hint() {
    let tables = tables_with(TablesOptions {
        memory_limit: ByteSize(1 << 20),
        spill_limit: ByteSize(1 << 10),
        ..TablesOptions::default()
    });
    let session = tables.session().await.unwrap();
    session
        .add("t", Source::batches(vec![flights(0, 200_000)]))
        .await
        .unwrap();
    let error = session
        .sql("SELECT id, COUNT(*) AS n FROM t GROUP BY id ORDER BY n, id")
        .await
        .unwrap_err();
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("memory limit"));
    assert_eq!(
        session.sql("SELECT COUNT(*) AS n FROM t").await.unwrap().rows(),
        1,
        "the next query runs"
    );
}

#[tokio::test]
async fn a_dropped_query_stops() {
    let tables = tables_with(TablesOptions::default());
    let session = tables.session().await.unwrap();
    let endless = session.sql("SELECT COUNT(*) AS n FROM generate_series(1, 1000000000000) AS g(x)");
    let timed_out = tokio::time::timeout(std::time::Duration::from_millis(200), endless).await;
    assert!(timed_out.is_err());
    assert_eq!(session.sql("SELECT 1 AS x").await.unwrap().rows(), 1);
}
