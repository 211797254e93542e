//! Files that lie, are cut short or never end: each is an error of its query, and this process lives on.

use crate::support::{Folder, flights, tables, tables_with, write_flights};
use everloop_core::{ByteSize, Code, Coded};
use everloop_tables::arrow::ipc::CompressionType;
use everloop_tables::arrow::ipc::writer::{FileWriter, IpcWriteOptions, StreamWriter};
use everloop_tables::{Error, Source, Tables, TablesOptions};
use std::io::Write;

/// Reads everything a file could be asked for.
async fn read(tables: &Tables, path: &str) -> Result<(), Error> {
    let source = Source::paths([path]);
    tables.profile(source.clone()).await?;
    let session = tables.session().await?;
    session.add("t", source).await?;
    session.sql("SELECT * FROM t").await?;
    Ok(())
}

async fn error(tables: &Tables, path: &str) -> Error {
    let error = read(tables, path).await.unwrap_err();
    assert!(
        !matches!(error, Error::Panicked { .. } | Error::Internal { .. }),
        "{path}: {error:?}"
    );
    error
}

fn small() -> Tables {
    tables_with(TablesOptions {
        record_limit: ByteSize(64 << 10),
        ..TablesOptions::default()
    })
}

#[tokio::test]
async fn a_parquet_file_cut_anywhere_is_damaged() {
    let folder = Folder::new();
    let tables = tables();
    write_flights(&tables, &folder.file("whole.parquet"), 0, 2_000).await;
    let bytes = std::fs::read(folder.file("whole.parquet")).unwrap();
    for keep in [
        1,
        4,
        8,
        11,
        12,
        100,
        bytes.len() / 2,
        bytes.len() - 9,
        bytes.len() - 1,
    ] {
        let path = folder.write("cut.parquet", &bytes[..keep]);
        let error = error(&tables, &path).await;
        assert!(matches!(error, Error::Damaged { .. }), "{keep}: {error:?}");
        assert_eq!(error.code(), Code::DataLoss);
    }
}

#[tokio::test]
async fn flipped_bytes_never_end_the_process() {
    let folder = Folder::new();
    let tables = tables();
    write_flights(&tables, &folder.file("whole.parquet"), 0, 300).await;
    let bytes = std::fs::read(folder.file("whole.parquet")).unwrap();
    let (mut refused, mut read_anyway) = (0, 0);
    let mut state = 12_345_u64;
    for round in 0..400 {
        let mut broken = bytes.clone();
        for _ in 0..1 + round % 4 {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            // Half of the blows hit the footer, where the lengths are.
            let range = if round % 2 == 0 {
                bytes.len()
            } else {
                700.min(bytes.len())
            };
            let index = bytes.len() - 1 - (state >> 33) as usize % range;
            broken[index] = (state >> 20) as u8;
        }
        let path = folder.write("broken.parquet", &broken);
        match read(&tables, &path).await {
            Ok(()) => read_anyway += 1,
            Err(_) => refused += 1,
        }
    }
    assert!(refused > 50 && read_anyway > 0, "{refused} and {read_anyway}");
    let whole = folder.glob("whole.parquet");
    assert!(read(&tables, &whole).await.is_ok(), "the next file is read");
}

#[tokio::test]
async fn a_footer_that_declares_too_many_rows_is_found_out() {
    let folder = Folder::new();
    let tables = tables();
    write_flights(&tables, &folder.file("x.parquet"), 0, 1_000).await;
    let path = folder.file("x.parquet");
    let mut bytes = std::fs::read(&path).unwrap();
    // 1000 as a zigzag varint, as Thrift writes it: the rows of the file and of its row group.
    let (declared, lie) = ([0xd0, 0x0f], [0xd0, 0x7f]);
    let footer =
        bytes.len() - 8 - u32::from_le_bytes(bytes[bytes.len() - 8..][..4].try_into().unwrap()) as usize;
    let mut changed = 0;
    for index in footer..bytes.len() - 8 {
        if bytes[index..].starts_with(&declared) {
            bytes[index..index + 2].copy_from_slice(&lie);
            changed += 1;
        }
    }
    assert!(changed >= 2, "{changed}");
    let path = folder.write("lie.parquet", &bytes);
    let error = error(&tables, &path).await;
    assert_eq!(error.code(), Code::DataLoss, "{error:?}");
}

#[tokio::test]
async fn something_else_under_the_name_of_parquet_or_arrow() {
    let folder = Folder::new();
    let tables = tables();
    for (name, content) in [
        ("text.parquet", b"id,delay\n1,2\n".to_vec()),
        ("zeros.parquet", vec![0; 4_096]),
        (
            "magic.parquet",
            [b"PAR1".as_slice(), &[0xff; 60], b"PAR1"].concat(),
        ),
        ("text.arrow", b"id,delay\n1,2\n".to_vec()),
        (
            "magic.arrow",
            [b"ARROW1\0\0".as_slice(), &[0xff; 60], b"ARROW1"].concat(),
        ),
    ] {
        let path = folder.write(name, content);
        let error = read(&tables, &path).await.unwrap_err();
        assert!(!matches!(error, Error::Panicked { .. }), "{name}: {error:?}");
    }
}

fn arrow_file(compression: Option<CompressionType>) -> Vec<u8> {
    let batch = flights(0, 200);
    let options = IpcWriteOptions::default()
        .try_with_compression(compression)
        .unwrap();
    let mut writer = FileWriter::try_new_with_options(Vec::new(), &batch.schema(), options).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    writer.into_inner().unwrap()
}

#[tokio::test]
async fn arrow_files_with_flipped_bytes_never_end_the_process() {
    let folder = Folder::new();
    let tables = tables();
    for compression in [None, Some(CompressionType::LZ4_FRAME)] {
        let bytes = arrow_file(compression);
        let before = resident();
        for index in (0..bytes.len()).step_by(bytes.len() / 100) {
            let mut broken = bytes.clone();
            broken[index] = !broken[index];
            let path = folder.write("broken.arrow", &broken);
            // Refused or read: what counts is that this process is still there.
            let _ = read(&tables, &path).await;
        }
        assert!(resident() - before < 256 << 20, "no length is taken at its word");
        assert!(read(&tables, &folder.write("whole.arrow", &bytes)).await.is_ok());
    }
}

#[tokio::test]
async fn a_compressed_buffer_that_declares_a_petabyte_is_damaged() {
    let folder = Folder::new();
    let bytes = arrow_file(Some(CompressionType::LZ4_FRAME));
    // The frame of a compressed buffer starts with this; the declared length stands before it.
    let frame = bytes
        .windows(4)
        .position(|four| four == [0x04, 0x22, 0x4d, 0x18])
        .unwrap();
    let mut lie = bytes.clone();
    lie[frame - 8..frame].copy_from_slice(&(1_u64 << 50).to_le_bytes());
    let error = error(&tables(), &folder.write("lie.arrow", &lie)).await;
    assert!(
        matches!(&error, Error::Damaged { detail, .. } if detail.contains("more bytes")),
        "{error:?}"
    );
}

#[tokio::test]
async fn an_arrow_stream_is_refused_with_a_way_out() {
    let folder = Folder::new();
    let batch = flights(0, 10);
    let mut writer = StreamWriter::try_new(Vec::new(), &batch.schema()).unwrap();
    writer.write(&batch).unwrap();
    writer.finish().unwrap();
    let path = folder.write("stream.arrow", writer.into_inner().unwrap());
    let error = error(&tables(), &path).await;
    assert_eq!(error.code(), Code::Unsupported, "{error:?}");
    assert!(error.hint().unwrap().contains("Parquet"));
}

#[tokio::test]
async fn a_csv_with_bad_utf8_names_the_line() {
    let folder = Folder::new();
    let path = folder.write("a.csv", b"id,name\n1,fine\n2,\xff\xfe\n");
    let error = error(&tables(), &path).await;
    assert!(matches!(error, Error::Damaged { format: "CSV", .. }), "{error:?}");
    assert!(error.to_string().contains('3'), "{error}");
}

#[tokio::test]
async fn a_csv_whose_records_differ_in_length_is_damaged() {
    let folder = Folder::new();
    let path = folder.write("a.csv", "a,b\n1,2\n3\n");
    let error = error(&tables(), &path).await;
    assert!(matches!(error, Error::Damaged { format: "CSV", .. }), "{error:?}");
}

#[tokio::test]
async fn a_line_without_an_end_is_refused_in_bounded_memory() {
    let folder = Folder::new();
    let tables = small();
    for (name, start) in [("a.csv", "id,name\n1,"), ("b.jsonl", "{\"id\": 1, \"name\": \"")] {
        let path = folder.file(name);
        let mut file = std::io::BufWriter::new(std::fs::File::create(&path).unwrap());
        file.write_all(start.as_bytes()).unwrap();
        for _ in 0..64 {
            file.write_all(&[b'x'; 1 << 20]).unwrap();
        }
        drop(file);
        let before = resident();
        let error = error(&tables, &path.display().to_string()).await;
        assert!(matches!(error, Error::RecordTooLong { .. }), "{name}: {error:?}");
        assert!(error.location().unwrap().contains("byte"), "{error:?}");
        let grown = resident().saturating_sub(before);
        assert!(grown < 48 << 20, "{name}: {} MiB", grown >> 20);
    }
}

/// Memory of this process in bytes; other tests run in processes of their own.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() << 10
}

#[tokio::test]
async fn a_quote_that_is_never_closed_is_refused() {
    let folder = Folder::new();
    let mut text = "id,name\n1,\"open\n".to_owned();
    (0..40_000).for_each(|i| text.push_str(&format!("{i},x\n")));
    let error = error(&small(), &folder.write("a.csv", text)).await;
    assert!(matches!(error, Error::RecordTooLong { .. }), "{error:?}");
    assert!(error.hint().unwrap().contains("quote"));
}

#[tokio::test]
async fn too_many_columns_are_refused() {
    let folder = Folder::new();
    let tables = tables_with(TablesOptions {
        max_columns: 1_000,
        ..TablesOptions::default()
    });
    let header: Vec<String> = (0..2_000).map(|i| format!("c{i}")).collect();
    let path = folder.write(
        "wide.csv",
        format!("{}\n{}\n", header.join(","), vec!["1"; 2_000].join(",")),
    );
    let error = error(&tables, &path).await;
    assert!(
        matches!(
            error,
            Error::TooManyColumns {
                found: 2_000,
                limit: 1_000
            }
        ),
        "{error:?}"
    );
}

#[tokio::test]
async fn json_that_is_deep_torn_or_no_object() {
    let folder = Folder::new();
    let tables = tables();
    let deep = format!("{{\"a\": {}1{}}}\n", "[".repeat(20_000), "]".repeat(20_000));
    for (name, text) in [
        ("deep.jsonl", deep.as_str()),
        ("torn.jsonl", "{\"a\": 1}\n{\"a\": "),
        ("list.jsonl", "[1, 2]\n"),
        ("word.jsonl", "hello\n"),
        ("number.jsonl", "{\"a\": 1e999}\n{\"a\": 1}\n"),
    ] {
        let path = folder.write(name, text);
        let answer = read(&tables, &path).await;
        assert!(
            !matches!(answer, Err(Error::Panicked { .. })),
            "{name}: {answer:?}"
        );
        if name != "number.jsonl" {
            assert!(answer.is_err(), "{name}");
        }
    }
}
