//! Parquet files that queries write.

use crate::support::{Folder, flights, tables, tables_with, write_flights};
use everloop_core::{Code, Coded};
use everloop_tables::{Source, TablesOptions};

#[tokio::test]
async fn the_same_rows_give_the_same_bytes() {
    let folder = Folder::new();
    let (one, many) = (folder.file("one.parquet"), folder.file("many.parquet"));
    let session = tables().session().await.unwrap();
    session
        .add("one", Source::batches(vec![flights(0, 30_000)]))
        .await
        .unwrap();
    let cut: Vec<_> = (0..300).map(|part| flights(part * 100, 100)).collect();
    session.add("many", Source::batches(cut)).await.unwrap();
    let written = session.write_parquet("SELECT * FROM one", &one).await.unwrap();
    session.write_parquet("SELECT * FROM many", &many).await.unwrap();
    let bytes = std::fs::read(&one).unwrap();
    assert_eq!((written.rows, written.bytes), (30_000, bytes.len() as u64));
    assert!(
        bytes == std::fs::read(&many).unwrap(),
        "how the rows were cut does not show"
    );
}

#[tokio::test]
async fn a_parallel_query_writes_the_same_bytes_each_time() {
    let folder = Folder::new();
    for file in 0..9 {
        write_flights(
            &tables(),
            &folder.file(&format!("{file}.parquet")),
            file * 5_000,
            5_000,
        )
        .await;
    }
    let mut first = None;
    for threads in [1, 4, 2] {
        let tables = everloop_tables::Tables::new(TablesOptions {
            threads,
            ..TablesOptions::default()
        })
        .unwrap();
        let session = tables.session().await.unwrap();
        session
            .add("t", Source::paths([folder.glob("[0-9].parquet")]))
            .await
            .unwrap();
        let path = folder.file("out.parquet");
        let query = "SELECT dest, id % 97 AS k, SUM(delay) AS s FROM t GROUP BY dest, id % 97";
        session.write_parquet(query, &path).await.unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert!(
            *first.get_or_insert_with(|| bytes.clone()) == bytes,
            "{threads} threads"
        );
    }
}

#[tokio::test]
async fn an_empty_answer_is_a_file_with_columns() {
    let folder = Folder::new();
    let session = tables().session().await.unwrap();
    session
        .add("t", Source::batches(vec![flights(0, 5)]))
        .await
        .unwrap();
    let path = folder.file("none.parquet");
    assert_eq!(
        session
            .write_parquet("SELECT id FROM t WHERE id > 9", &path)
            .await
            .unwrap()
            .rows,
        0
    );
    let schema = tables()
        .schema(Source::paths([path.display().to_string()]))
        .await
        .unwrap();
    assert_eq!(schema.field(0).name(), "id");
}

#[tokio::test]
async fn a_failed_query_leaves_nothing_behind() {
    let folder = Folder::new();
    let session = tables().session().await.unwrap();
    session
        .add("t", Source::batches(vec![flights(0, 20_000)]))
        .await
        .unwrap();
    let path = folder.file("out.parquet");
    let error = session
        .write_parquet("SELECT 1 / (id - 15000) AS x FROM t", &path)
        .await
        .unwrap_err();
    assert_eq!(error.code(), Code::InvalidArgument, "{error}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_folder_that_is_not_there_is_named() {
    let folder = Folder::new();
    let session = tables_with(TablesOptions::default()).session().await.unwrap();
    let error = session
        .write_parquet("SELECT 1 AS x", &folder.file("gone/out.parquet"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("gone/out.parquet"), "{error}");
}
