//! Queries: what they answer, what they refuse, what their errors say.

use crate::support::{Folder, flights, tables, write_flights};
use everloop_core::Coded;
use everloop_tables::{Error, Session, Source};

async fn session() -> Session {
    let session = tables().session().await.unwrap();
    session
        .add("flights", Source::batches(vec![flights(0, 100)]))
        .await
        .unwrap();
    session
}

#[tokio::test]
async fn a_query_answers_rows() {
    let answer = session()
        .await
        .sql("SELECT dest, COUNT(*) AS n, ROUND(AVG(delay), 3) AS mean FROM flights GROUP BY dest ORDER BY dest")
        .await
        .unwrap();
    let rows = answer.to_json(10).unwrap();
    assert_eq!(rows.len(), 3);
    assert_eq!(rows[0]["dest"], "EWR");
    assert_eq!(rows[0]["n"], 34);
}

#[tokio::test]
async fn paths_globs_and_folders_name_the_same_files() {
    let folder = Folder::new();
    let tables = tables();
    std::fs::create_dir(folder.file("sub")).unwrap();
    write_flights(&tables, &folder.file("a 1%.parquet"), 0, 10).await;
    write_flights(&tables, &folder.file("sub/b.parquet"), 10, 10).await;
    folder.write("_SUCCESS", "x");
    folder.write(".hidden.parquet", "x");
    for paths in [
        vec![folder.glob("**/*[ab]*.parquet")],
        vec![folder.path().display().to_string()],
        vec![folder.glob("a 1%.parquet"), folder.glob("sub/b.parquet")],
    ] {
        let rows = tables.rows(Source::paths(paths.clone())).await.unwrap();
        assert_eq!(rows, 20, "{paths:?}");
    }
}

#[tokio::test]
async fn an_unknown_column_offers_the_nearest_and_the_place() {
    let error = session()
        .await
        .sql("SELECT id,\n  dleay FROM flights")
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::UnknownColumn { column, .. } if column == "dleay"),
        "{error:?}"
    );
    assert_eq!(error.hint().unwrap(), "did you mean \"delay\"?");
    assert_eq!(error.location().unwrap(), "line 2, column 3");
}
