//! The same files and the same statement give the same rows in the same order.

use crate::support::{Folder, tables_with, write_flights};
use everloop_tables::{Source, TablesOptions};

const FILES: i64 = 12;

/// Files of many rows, so that partitions end at different times.
async fn folder() -> Folder {
    let folder = Folder::new();
    let tables = tables_with(TablesOptions::default());
    for file in 0..FILES {
        write_flights(
            &tables,
            &folder.file(&format!("{file:02}.parquet")),
            file * 3_000,
            3_000 - file * 170,
        )
        .await;
    }
    folder
}

#[tokio::test]
async fn answers_do_not_depend_on_timing_or_threads() {
    let folder = folder().await;
    for query in [
        "SELECT id, delay FROM t",
        "SELECT id FROM t WHERE id % 7 = 3 LIMIT 100",
        "SELECT delay, id FROM t ORDER BY delay DESC LIMIT 50",
        "SELECT delay, id FROM t ORDER BY dest",
        "SELECT dest, SUM(delay) AS s, AVG(delay * id) AS m FROM t GROUP BY dest",
        "SELECT id % 1000 AS k, SUM(delay) AS s FROM t GROUP BY id % 1000",
        "SELECT a.id, b.delay FROM t a JOIN t b ON a.id % 500 = b.id WHERE a.delay > 20",
        "SELECT id, ROW_NUMBER() OVER (PARTITION BY dest ORDER BY delay) AS r FROM t",
        "SELECT id FROM t UNION ALL SELECT id + 1 FROM t",
        "SELECT DISTINCT delay FROM t",
    ] {
        let mut first = None;
        for run in 0..6 {
            let threads = 1 + run % 4;
            let tables = everloop_tables::Tables::new(TablesOptions {
                threads,
                ..TablesOptions::default()
            })
            .unwrap();
            let session = tables.session().await.unwrap();
            session
                .add("t", Source::paths([folder.glob("*.parquet")]))
                .await
                .unwrap();
            let frame = session.sql(query).await.unwrap().to_frame().unwrap();
            let shown = format!("{frame:?}");
            assert_eq!(
                *first.get_or_insert_with(|| shown.clone()),
                shown,
                "{query}, {threads} threads"
            );
        }
    }
}

#[tokio::test]
async fn unordered_rows_come_in_the_order_of_the_files() {
    let folder = folder().await;
    let session = tables_with(TablesOptions::default()).session().await.unwrap();
    session
        .add("t", Source::paths([folder.glob("*.parquet")]))
        .await
        .unwrap();
    let frame = session.sql("SELECT id FROM t").await.unwrap().to_frame().unwrap();
    let ids = frame.get("id").unwrap().to_numbers();
    assert!(ids.is_sorted() && ids.len() == 24_780, "{}", ids.len());
}
