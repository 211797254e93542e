//! Queries: what they answer, and what their errors say.

use crate::support::{flights, tables};
use everloop_core::{Code, Coded};
use everloop_tables::{Error, Session, Source};
use futures::TryStreamExt;

async fn session() -> Session {
    let session = tables().session().await.unwrap();
    session
        .add("flights", Source::batches(vec![flights(0, 100)]))
        .await
        .unwrap();
    session
}

async fn error(text: &str) -> Error {
    session().await.sql(text).await.unwrap_err()
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
    assert_eq!(answer.to_json(1).unwrap().len(), 1);
}

#[tokio::test]
async fn an_answer_without_rows_keeps_its_columns() {
    let answer = session()
        .await
        .sql("SELECT id, dest FROM flights WHERE id < 0")
        .await
        .unwrap();
    assert_eq!(answer.rows(), 0);
    let frame = answer.to_frame().unwrap();
    assert_eq!(frame.columns().len(), 2);
    assert!(answer.to_json(10).unwrap().is_empty());
}

#[tokio::test]
async fn missing_values_and_nan_become_null_in_json() {
    let answer = session()
        .await
        .sql("SELECT delay, CAST('NaN' AS DOUBLE) AS odd FROM flights WHERE id = 3")
        .await
        .unwrap();
    let rows = answer.to_json(1).unwrap();
    assert!(rows[0]["delay"].is_null() && rows[0]["odd"].is_null(), "{rows:?}");
}

#[tokio::test]
async fn a_stream_gives_the_same_rows() {
    let session = session().await;
    let stream = session
        .stream("SELECT id FROM flights ORDER BY id")
        .await
        .unwrap();
    assert_eq!(stream.schema().fields().len(), 1);
    let batches: Vec<_> = stream.try_collect().await.unwrap();
    assert_eq!(batches.iter().map(|batch| batch.num_rows()).sum::<usize>(), 100);
}

#[tokio::test]
async fn a_stream_ends_with_its_error() {
    let session = session().await;
    let stream = session
        .stream("SELECT 1 / (id - 50) AS x FROM flights")
        .await
        .unwrap();
    let error = stream.try_collect::<Vec<_>>().await.unwrap_err();
    assert_eq!(error.to_string(), "the query failed: division by zero");
}

#[tokio::test]
async fn names_are_case_sensitive_and_need_no_quotes() {
    let session = tables().session().await.unwrap();
    let batch = session_batch();
    session
        .add("My Table", Source::batches(vec![batch]))
        .await
        .unwrap();
    let answer = session
        .sql("SELECT DepDelay, depdelay FROM \"My Table\"")
        .await
        .unwrap();
    let frame = answer.to_frame().unwrap();
    assert_eq!(
        (
            frame.get("DepDelay").unwrap().number(0),
            frame.get("depdelay").unwrap().number(0)
        ),
        (1.0, 2.0)
    );
}

fn session_batch() -> everloop_tables::arrow::array::RecordBatch {
    use everloop_tables::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    let one = |value| std::sync::Arc::new(Int64Array::from(vec![value])) as ArrayRef;
    RecordBatch::try_from_iter([("DepDelay", one(1)), ("depdelay", one(2))]).unwrap()
}

#[tokio::test]
async fn an_unknown_column_offers_the_nearest_and_the_place() {
    let error = error("SELECT id,\n  dleay FROM flights").await;
    assert!(
        matches!(&error, Error::UnknownColumn { column, .. } if column == "dleay"),
        "{error:?}"
    );
    assert_eq!(error.code(), Code::InvalidArgument);
    assert_eq!(error.hint().unwrap(), "did you mean \"delay\"?");
    assert_eq!(error.location().unwrap(), "line 2, column 3");
}

#[tokio::test]
async fn an_unknown_table_offers_the_nearest() {
    let error = error("SELECT * FROM flihgts").await;
    assert!(
        matches!(&error, Error::UnknownTable { table, .. } if table == "flihgts"),
        "{error:?}"
    );
    assert_eq!(error.hint().unwrap(), "did you mean \"flights\"?");
}

#[tokio::test]
async fn an_unknown_function_offers_the_nearest() {
    let error = error("SELECT coalesc(delay, 0) FROM flights").await;
    assert!(
        matches!(&error, Error::UnknownFunction { function, .. } if function == "coalesc"),
        "{error:?}"
    );
    assert_eq!(error.hint().unwrap(), "did you mean \"coalesce\"?");
}

#[tokio::test]
async fn a_syntax_error_knows_its_place() {
    let error = error("SELECT id\nFROM flights\nWHERE").await;
    assert!(matches!(error, Error::Syntax { .. }), "{error:?}");
    let error = self::error("SELECT FROM WHERE flights x y").await;
    assert!(error.location().is_some(), "{error:?}");
}

#[tokio::test]
async fn values_never_reach_a_message() {
    let error = error("SELECT CAST(dest AS BIGINT) FROM flights").await;
    assert!(
        !error.to_string().contains("EWR") && !error.to_string().contains("JFK"),
        "{error}"
    );
}

#[tokio::test]
async fn ordinary_functions_are_there() {
    let answer = session()
        .await
        .sql(
            "SELECT abs(-1) AS a, sqrt(4.0) AS b, round(2.55, 1) AS c, lower('X') AS d, date_trunc('day', \
             to_timestamp('2013-04-01T10:00:00')) AS e, coalesce(NULL, 2) AS f, regexp_like('abc', 'b') AS g, \
             approx_percentile_cont(delay, 0.5) AS h, stddev(delay) AS i FROM flights",
        )
        .await
        .unwrap();
    assert_eq!(answer.rows(), 1);
}

#[tokio::test]
async fn functions_that_make_lists_of_any_length_are_not_there() {
    for text in [
        "SELECT range(0, 100000000000) AS x",
        "SELECT generate_series(0, 100000000000) AS x",
        "SELECT array_repeat(1, 100000000000) AS x",
        "SELECT list_repeat(1, 100000000000) AS x",
        "SELECT array_resize([1], 100000000000) AS x",
    ] {
        let error = error(text).await;
        assert!(
            matches!(error, Error::UnknownFunction { .. }),
            "{text}: {error:?}"
        );
    }
    let counted = session()
        .await
        .sql("SELECT SUM(value) AS s FROM range(0, 1000)")
        .await
        .unwrap();
    assert_eq!(counted.rows(), 1);
}

#[tokio::test]
async fn a_name_is_given_once() {
    let session = session().await;
    let again = session
        .add("flights", Source::batches(vec![flights(0, 1)]))
        .await
        .unwrap_err();
    assert_eq!(again.code(), Code::AlreadyExists);
    assert_eq!(session.names(), ["flights"]);
}

#[tokio::test]
async fn a_deeply_nested_statement_is_refused_not_fatal() {
    let text = format!("SELECT {}1{} AS x", "(".repeat(5_000), ")".repeat(5_000));
    assert!(matches!(
        error(&text).await,
        Error::Syntax { .. } | Error::InvalidQuery { .. }
    ));
    let long = format!("SELECT {} AS x", vec!["1"; 3_000].join(" + "));
    // Answered or refused, but this process lives on.
    let _ = session().await.sql(&long).await;
    assert_eq!(session().await.sql("SELECT 1 AS x").await.unwrap().rows(), 1);
}
