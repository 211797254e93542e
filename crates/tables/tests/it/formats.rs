//! Each format, read as people write it.

use crate::support::{Folder, flights, tables};
use everloop_core::{Coded, Frame, Values};
use everloop_tables::arrow::ipc::writer::FileWriter;
use everloop_tables::{CsvFormat, Error, Format, Source};

async fn frame(source: Source) -> Result<Frame, Error> {
    let session = tables().session().await?;
    session.add("t", source).await?;
    session.sql("SELECT * FROM t").await?.to_frame()
}

#[tokio::test]
async fn csv_with_header_quotes_line_breaks_and_types() {
    let folder = Folder::new();
    let path = folder.write(
        "a.csv",
        "id,note,when,ok,x\n1,\"two\nlines, \"\"quoted\"\"\",2013-04-01,true,1.5\n2,,2013-04-02,false,\n",
    );
    let frame = frame(Source::paths([path])).await.unwrap();
    assert_eq!(frame.rows(), 2);
    assert_eq!(frame.get("note").unwrap().text(0), Some("two\nlines, \"quoted\""));
    assert!(frame.get("note").unwrap().is_missing(1));
    assert_eq!(
        frame.get("when"),
        Some(&Values::Int(vec![
            Some(1_364_774_400_000),
            Some(1_364_860_800_000)
        ]))
    );
    assert_eq!(
        frame.get("ok"),
        Some(&Values::Bool(vec![Some(true), Some(false)]))
    );
    assert!(frame.get("x").unwrap().is_missing(1));
}

#[tokio::test]
async fn csv_with_other_signs() {
    let folder = Folder::new();
    let path = folder.write("a.csv", "1;NA;x\nn/a;2.5;(none)\n");
    let format = Format::Csv(CsvFormat {
        header: false,
        delimiter: b';',
        nulls: vec!["NA".to_owned(), "n/a".to_owned(), "(none)".to_owned()],
        ..CsvFormat::default()
    });
    let frame = frame(Source::paths([path]).with_format(format)).await.unwrap();
    assert_eq!(frame.get("column_1"), Some(&Values::Int(vec![Some(1), None])));
    assert_eq!(frame.get("column_2").unwrap().number(1), 2.5);
    assert!(frame.get("column_3").unwrap().is_missing(1));
}

#[tokio::test]
async fn a_later_cell_of_another_type_is_named_without_its_value() {
    let folder = Folder::new();
    let mut text = "id,age\n".to_owned();
    (0..1_500).for_each(|i| text.push_str(&format!("{i},{}\n", i % 90)));
    text.push_str("1500,confidential\n");
    let path = folder.write("a.csv", text);
    let error = frame(Source::paths([path.clone()])).await.unwrap_err();
    assert!(
        matches!(&error, Error::WrongType { expected, .. } if expected == "Int64"),
        "{error:?}"
    );
    assert!(error.location().unwrap().contains("column 2"), "{error:?}");
    assert!(!format!("{error} {error:?}").contains("confidential"));
    let wider = Format::Csv(CsvFormat {
        infer_rows: 2_000,
        ..CsvFormat::default()
    });
    assert!(
        frame(Source::paths([path]).with_format(wider))
            .await
            .unwrap()
            .get("age")
            .unwrap()
            .is_text()
    );
}

#[tokio::test]
async fn tab_separated_values() {
    let folder = Folder::new();
    let path = folder.write("a.tsv", "a\tb\n1\tx,y\n");
    assert_eq!(
        frame(Source::paths([path]))
            .await
            .unwrap()
            .get("b")
            .unwrap()
            .text(0),
        Some("x,y")
    );
}

#[tokio::test]
async fn json_lines_with_missing_keys() {
    let folder = Folder::new();
    let path = folder.write(
        "a.jsonl",
        "{\"a\": 1, \"b\": \"x\"}\n{\"b\": null}\n{\"a\": 2.5}\n",
    );
    let frame = frame(Source::paths([path])).await.unwrap();
    assert_eq!(frame.rows(), 3);
    assert_eq!(frame.get("a").unwrap().number(2), 2.5);
    assert!(frame.get("a").unwrap().is_missing(1) && frame.get("b").unwrap().is_missing(1));
}

#[tokio::test]
async fn arrow_files() {
    let folder = Folder::new();
    let batch = flights(0, 50);
    let mut writer = FileWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let path = folder.write("a.arrow", writer.into_inner().unwrap());
    let read = frame(Source::paths([path])).await.unwrap();
    let written = everloop_tables::to_frame(&[batch]).unwrap();
    // As text, for a missing number is NaN and equals nothing.
    assert_eq!(format!("{read:?}"), format!("{written:?}"));
}

#[tokio::test]
async fn files_of_one_source_may_lack_each_others_columns() {
    let folder = Folder::new();
    folder.write("1.jsonl", "{\"a\": 1}\n");
    folder.write("2.jsonl", "{\"a\": 2, \"b\": \"x\"}\n");
    let frame = frame(Source::paths([folder.glob("*.jsonl")])).await.unwrap();
    assert_eq!(frame.get("a"), Some(&Values::Int(vec![Some(1), Some(2)])));
    assert!(frame.get("b").unwrap().is_missing(0));
}
