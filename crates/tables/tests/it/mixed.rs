//! Files of one table whose columns have different types: what two writers make of the same data.

use crate::support::{Folder, tables};
use everloop_core::{Code, Coded, Frame, Values};
use everloop_tables::arrow::array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use everloop_tables::arrow::compute::cast;
use everloop_tables::arrow::datatypes::{DataType, TimeUnit};
use everloop_tables::arrow::ipc::writer::FileWriter;
use everloop_tables::{Error, Session, Source};
use std::sync::Arc;

fn dictionary(value: DataType) -> DataType {
    DataType::Dictionary(Box::new(DataType::Int32), Box::new(value))
}

fn stamp(unit: TimeUnit) -> DataType {
    DataType::Timestamp(unit, None)
}

/// Four rows from `start`: `id`, `dest`, `at` and `temp` of these types, the second `dest` and the last `temp` missing.
fn rows(start: i64, id: &DataType, dest: &DataType, at: &DataType, temp: &DataType) -> RecordBatch {
    let ids: ArrayRef = Arc::new((start..start + 4).collect::<Int64Array>());
    let dests: ArrayRef = Arc::new(StringArray::from(vec![
        Some("EWR"),
        None,
        Some("JFK"),
        Some("LGA"),
    ]));
    let seconds: ArrayRef = Arc::new((start..start + 4).map(|i| i * 1_000).collect::<Int64Array>());
    let temps: ArrayRef = Arc::new(Int64Array::from(vec![Some(10), Some(20), Some(30), None]));
    let seconds = cast(&seconds, &stamp(TimeUnit::Millisecond)).unwrap();
    RecordBatch::try_from_iter([
        ("id", cast(&ids, id).unwrap()),
        ("dest", cast(&dests, dest).unwrap()),
        ("at", cast(&seconds, at).unwrap()),
        ("temp", cast(&temps, temp).unwrap()),
    ])
    .unwrap()
}

/// The same rows as five writers would store them, four rows each.
fn five_writers() -> Vec<RecordBatch> {
    use DataType::{Float32, Float64, Int16, Int32, Int64, LargeUtf8, UInt32, Utf8, Utf8View};
    vec![
        rows(0, &Int32, &Utf8, &stamp(TimeUnit::Millisecond), &Int32),
        rows(4, &Int64, &LargeUtf8, &stamp(TimeUnit::Microsecond), &Float64),
        rows(
            8,
            &UInt32,
            &dictionary(Utf8),
            &stamp(TimeUnit::Nanosecond),
            &Float32,
        ),
        rows(12, &Int16, &Utf8View, &stamp(TimeUnit::Second), &Int64),
        rows(
            16,
            &Int32,
            &dictionary(LargeUtf8),
            &stamp(TimeUnit::Millisecond),
            &Int32,
        ),
    ]
}

fn arrow_bytes(batch: &RecordBatch) -> Vec<u8> {
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

async fn write_parquet(folder: &Folder, name: &str, batch: RecordBatch) {
    let session = tables().session().await.unwrap();
    session.add("rows", Source::batches(vec![batch])).await.unwrap();
    session
        .write_parquet("SELECT * FROM rows", &folder.file(name))
        .await
        .unwrap();
}

async fn session(folder: &Folder, glob: &str) -> Result<Session, Error> {
    let session = tables().session().await?;
    session.add("t", Source::paths([folder.glob(glob)])).await?;
    Ok(session)
}

async fn ask(session: &Session, sql: &str) -> Frame {
    session.sql(sql).await.unwrap().to_frame().unwrap()
}

/// Twenty rows that read as if one writer had stored them.
async fn check_five(session: &Session) {
    let all = ask(session, "SELECT * FROM t").await;
    assert_eq!(all.rows(), 20);
    let ids: Vec<Option<i64>> = (0..20).map(Some).collect();
    assert_eq!(
        all.get("id"),
        Some(&Values::Int(ids)),
        "whole, and in the order of the files"
    );
    let at = all.get("at").unwrap();
    assert_eq!(at.number(19), 19_000.0);
    for start in [0, 4, 8, 12, 16] {
        let dest = all.get("dest").unwrap();
        assert_eq!(
            (dest.text(start), dest.text(start + 3)),
            (Some("EWR"), Some("LGA"))
        );
        assert!(dest.is_missing(start + 1));
        let temp = all.get("temp").unwrap();
        assert_eq!(temp.number(start + 2), 30.0);
        assert!(temp.is_missing(start + 3));
    }
    let some = "SELECT id FROM t WHERE dest = 'JFK' AND id > 5 AND at >= TIMESTAMP '1970-01-01T00:00:10' ORDER BY id";
    assert_eq!(
        ask(session, some).await.get("id"),
        Some(&Values::Int(vec![Some(10), Some(14), Some(18)]))
    );
    assert_eq!(session.rows("t").await.unwrap(), 20);
    let profile = session.profile("t", Default::default()).await.unwrap();
    assert_eq!(profile.rows(), 20);
    assert_eq!(profile.column("dest").unwrap().nulls(), 5);
    assert_eq!(profile.column("id").unwrap().max(), Some(19.0));
}

#[tokio::test]
async fn parquet_of_five_writers_is_one_table() {
    let folder = Folder::new();
    for (index, batch) in five_writers().into_iter().enumerate() {
        write_parquet(&folder, &format!("{index}.parquet"), batch).await;
    }
    check_five(&session(&folder, "*.parquet").await.unwrap()).await;
}

#[tokio::test]
async fn arrow_of_five_writers_is_one_table() {
    let folder = Folder::new();
    for (index, batch) in five_writers().iter().enumerate() {
        folder.write(&format!("{index}.arrow"), arrow_bytes(batch));
    }
    check_five(&session(&folder, "*.arrow").await.unwrap()).await;
}

#[tokio::test]
async fn columns_may_be_missing_and_in_another_order() {
    let folder = Folder::new();
    let id = |from: i64| Arc::new((from..from + 2).collect::<Int64Array>()) as ArrayRef;
    let late = Arc::new(BooleanArray::from(vec![true, false])) as ArrayRef;
    let delay = Arc::new(Float64Array::from(vec![1.5, 2.5])) as ArrayRef;
    let parts = [
        RecordBatch::try_from_iter([("id", id(0)), ("late", late.clone())]).unwrap(),
        RecordBatch::try_from_iter([("delay", delay), ("late", late), ("id", id(2))]).unwrap(),
        RecordBatch::try_from_iter([("id", id(4))]).unwrap(),
    ];
    for (index, part) in parts.iter().enumerate() {
        folder.write(&format!("{index}.arrow"), arrow_bytes(part));
        write_parquet(&folder, &format!("{index}.parquet"), part.clone()).await;
    }
    for glob in ["*.arrow", "*.parquet"] {
        let all = ask(&session(&folder, glob).await.unwrap(), "SELECT * FROM t").await;
        let names: Vec<&str> = all.columns().iter().map(|column| column.name.as_str()).collect();
        assert_eq!(names, ["id", "late", "delay"], "{glob}");
        assert_eq!(
            all.get("id"),
            Some(&Values::Int((0..6).map(Some).collect())),
            "{glob}"
        );
        let late = all.get("late").unwrap();
        assert_eq!((late.number(2), late.number(3)), (1.0, 0.0), "{glob}");
        assert!(late.is_missing(4) && late.is_missing(5), "{glob}");
        let delay = all.get("delay").unwrap();
        assert!(
            delay.is_missing(0) && delay.number(3) == 2.5 && delay.is_missing(5),
            "{glob}"
        );
    }
}

#[tokio::test]
async fn a_real_conflict_names_both_files_and_types() {
    let folder = Folder::new();
    let number = Arc::new(Int64Array::from(vec![1])) as ArrayRef;
    let text = Arc::new(StringArray::from(vec!["1"])) as ArrayRef;
    for (name, column) in [("a", &number), ("b", &number), ("c", &text)] {
        let batch = RecordBatch::try_from_iter([("code", column.clone())]).unwrap();
        folder.write(&format!("{name}.arrow"), arrow_bytes(&batch));
        write_parquet(&folder, &format!("{name}.parquet"), batch).await;
    }
    for (ending, text) in [("arrow", "Utf8"), ("parquet", "Utf8View")] {
        let error = session(&folder, &format!("*.{ending}")).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{error}");
        let words = error.to_string();
        let path = folder.path().display().to_string();
        let path = path.trim_start_matches('/');
        assert_eq!(
            words,
            format!("column \"code\" is Int64 in \"{path}/a.{ending}\" and {text} in \"{path}/c.{ending}\"")
        );
        assert!(error.hint().unwrap().contains("cast"), "{error:?}");
    }
}

#[tokio::test]
async fn a_moment_that_the_finer_unit_cannot_hold_is_an_error_not_a_null() {
    let folder = Folder::new();
    let far: ArrayRef = Arc::new(Int64Array::from(vec![100_000_000_000]));
    let far = cast(&far, &stamp(TimeUnit::Second)).unwrap();
    let near: ArrayRef = Arc::new(Int64Array::from(vec![1]));
    let near = cast(&near, &stamp(TimeUnit::Nanosecond)).unwrap();
    for (name, column) in [("a", far), ("b", near)] {
        let batch = RecordBatch::try_from_iter([("at", column)]).unwrap();
        folder.write(&format!("{name}.arrow"), arrow_bytes(&batch));
    }
    let session = session(&folder, "*.arrow").await.unwrap();
    assert!(session.sql("SELECT at FROM t").await.is_err());
    let near = ask(&session, "SELECT count(*) AS n FROM t").await;
    assert_eq!(near.get("n").unwrap().number(0), 2.0);
}
