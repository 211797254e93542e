//! Nothing but reading gets through.

use crate::support::{Folder, flights, tables};
use everloop_core::{Code, Coded};
use everloop_tables::{Error, Source};

#[tokio::test]
async fn statements_that_change_something_are_refused() {
    let folder = Folder::new();
    let secret = folder.write("secret.csv", "a\n1\n");
    let session = tables().session().await.unwrap();
    session
        .add("t", Source::batches(vec![flights(0, 3)]))
        .await
        .unwrap();
    let out = folder.glob("out.parquet");
    for statement in [
        format!("COPY t TO '{out}'"),
        format!("COPY (SELECT * FROM t) TO '{out}' STORED AS PARQUET"),
        format!("CREATE EXTERNAL TABLE x STORED AS CSV LOCATION '{secret}'"),
        "CREATE TABLE x AS SELECT * FROM t".to_owned(),
        "CREATE VIEW v AS SELECT * FROM t".to_owned(),
        "CREATE FUNCTION f(DOUBLE) RETURNS DOUBLE RETURN $1".to_owned(),
        "CREATE SCHEMA s".to_owned(),
        "DROP TABLE t".to_owned(),
        "INSERT INTO t VALUES (1, 2.0, 'x')".to_owned(),
        "UPDATE t SET id = 1".to_owned(),
        "DELETE FROM t".to_owned(),
        "TRUNCATE TABLE t".to_owned(),
        "SET datafusion.execution.batch_size = 1".to_owned(),
        "SHOW ALL".to_owned(),
        "PREPARE p AS SELECT 1".to_owned(),
        "BEGIN".to_owned(),
        "EXPLAIN INSERT INTO t VALUES (1, 2.0, 'x')".to_owned(),
        format!("EXPLAIN ANALYZE COPY t TO '{out}'"),
    ] {
        let error = session.sql(&statement).await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{statement}: {error:?}");
        assert_eq!(error.code(), Code::PermissionDenied);
    }
    assert!(!folder.file("out.parquet").exists());
    assert_eq!(session.sql("SELECT * FROM t").await.unwrap().rows(), 3);
}

#[tokio::test]
async fn two_statements_are_not_one() {
    let session = tables().session().await.unwrap();
    for text in [
        "SELECT 1 AS x; SELECT 2 AS x",
        "SELECT 1 AS x; DROP TABLE t",
        "",
        ";",
    ] {
        let error = session.sql(text).await.unwrap_err();
        assert!(!matches!(error, Error::Internal { .. }), "{text}: {error:?}");
    }
    assert_eq!(session.sql("SELECT 1 AS x;").await.unwrap().rows(), 1);
}

#[tokio::test]
async fn files_are_not_tables_unless_they_are_sources() {
    let folder = Folder::new();
    let path = folder.write("secret.csv", "a\n1\n");
    let session = tables().session().await.unwrap();
    for text in [
        format!("SELECT * FROM '{path}'"),
        format!("SELECT * FROM \"{path}\""),
        format!("SELECT * FROM read_csv('{path}')"),
        format!("SELECT * FROM parquet_metadata('{path}')"),
        "SELECT * FROM information_schema.tables".to_owned(),
    ] {
        assert!(session.sql(&text).await.is_err(), "{text}");
    }
}

#[tokio::test]
async fn explaining_is_reading() {
    let session = tables().session().await.unwrap();
    session
        .add("t", Source::batches(vec![flights(0, 3)]))
        .await
        .unwrap();
    assert!(session.sql("EXPLAIN SELECT id FROM t").await.unwrap().rows() > 0);
}
