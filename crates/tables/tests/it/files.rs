//! Which files a source names.

use crate::support::{Folder, tables, write_flights};
use everloop_core::{Code, Coded};
use everloop_tables::{Error, Format, Source, TablesOptions};
use object_store::memory::InMemory;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload};
use std::sync::Arc;
use url::Url;

async fn rows(paths: &[String]) -> Result<u64, Error> {
    tables().rows(Source::paths(paths.to_vec())).await
}

async fn folder_of_two() -> Folder {
    let folder = Folder::new();
    let tables = tables();
    std::fs::create_dir(folder.file("sub")).unwrap();
    write_flights(&tables, &folder.file("a 1%.parquet"), 0, 10).await;
    write_flights(&tables, &folder.file("sub/b.parquet"), 10, 10).await;
    folder.write("_SUCCESS", "x");
    folder.write("notes.txt", "x");
    folder.write(".hidden.parquet", "x");
    folder.write("_tmp/c.parquet", "x");
    folder
}

#[tokio::test]
async fn paths_globs_and_folders_name_the_same_files() {
    let folder = folder_of_two().await;
    let root = folder.path().display().to_string();
    for paths in [
        vec![folder.glob("**/[ab]*.parquet")],
        vec![root.clone()],
        vec![format!("{root}/")],
        vec![folder.glob("a 1%.parquet"), folder.glob("sub/b.parquet")],
        vec![folder.glob("a*.parquet"), folder.glob("sub")],
        vec![folder.glob("{a 1%,sub/b}.parquet")],
        // A file named twice is one file.
        vec![root.clone(), folder.glob("sub/*.parquet")],
        vec![folder.glob("sub/../a 1%.parquet"), folder.glob("sub/b.parquet")],
    ] {
        assert_eq!(rows(&paths).await.unwrap(), 20, "{paths:?}");
    }
    assert_eq!(
        rows(&[folder.glob("*.parquet")]).await.unwrap_err().code(),
        Code::DataLoss,
        "hidden ones by name"
    );
    assert_eq!(
        rows(&[folder.glob("a*.parquet")]).await.unwrap(),
        10,
        "a star stops at a folder"
    );
}

#[tokio::test]
async fn a_name_with_signs_of_a_glob_is_meant_literally_when_it_exists() {
    let folder = Folder::new();
    write_flights(&tables(), &folder.file("x[1].parquet"), 0, 7).await;
    assert_eq!(rows(&[folder.glob("x[1].parquet")]).await.unwrap(), 7);
}

#[tokio::test]
async fn nothing_found_is_an_error() {
    let folder = Folder::new();
    folder.write("notes.txt", "x");
    for path in ["*.parquet", "gone.parquet", "gone/", ""] {
        let error = rows(&[folder.glob(path)]).await.unwrap_err();
        assert!(matches!(error, Error::NoFiles { .. }), "{path}: {error:?}");
        assert!(error.hint().is_some());
    }
    assert!(matches!(rows(&[]).await.unwrap_err(), Error::EmptySource));
}

#[tokio::test]
async fn formats_are_told_by_extension_and_not_mixed() {
    let folder = Folder::new();
    let csv = folder.write("a.csv", "x\n1\n");
    let json = folder.write("b.jsonl", "{\"x\":1}\n");
    let odd = folder.write("c.data", "x\n1\n2\n");
    let error = rows(&[csv, json]).await.unwrap_err();
    assert!(matches!(error, Error::MixedFormats { .. }), "{error:?}");
    let error = rows(std::slice::from_ref(&odd)).await.unwrap_err();
    assert!(matches!(error, Error::UnknownFormat { .. }), "{error:?}");
    let given = Source::paths([odd]).with_format(Format::Csv(Default::default()));
    assert_eq!(tables().rows(given).await.unwrap(), 2);
}

#[tokio::test]
async fn too_many_files_are_refused() {
    let folder = Folder::new();
    for index in 0..5 {
        folder.write(&format!("{index}.csv"), "x\n1\n");
    }
    let options = TablesOptions {
        max_files: 4,
        ..TablesOptions::default()
    };
    let error = crate::support::tables_with(options)
        .rows(Source::paths([folder.glob("*.csv")]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::TooManyFiles { limit: 4, .. }), "{error:?}");
}

#[tokio::test]
async fn files_of_other_stores_are_read_once_the_store_is_known() {
    let tables = tables();
    let error = tables
        .rows(Source::paths(["s3://bucket/x.csv"]))
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::UnknownStore { url } if url == "s3://bucket/"),
        "{error:?}"
    );
    let store = InMemory::new();
    for (path, text) in [
        ("in/a b.csv", "x\n1\n"),
        ("in/c%d.csv", "x\n2\n"),
        ("out/e.csv", "x\n3\n"),
    ] {
        let path = object_store::path::Path::parse(path).unwrap();
        store.put(&path, PutPayload::from(text)).await.unwrap();
    }
    let store: Arc<dyn ObjectStore> = Arc::new(store);
    tables.register_store(&Url::parse("mem://bucket").unwrap(), store);
    for (path, expected) in [
        ("mem://bucket/in/*.csv", 2),
        ("mem://bucket/in/", 2),
        ("mem://bucket/**/*.csv", 3),
    ] {
        assert_eq!(
            tables.rows(Source::paths([path])).await.unwrap(),
            expected,
            "{path}"
        );
    }
    let mixed = Source::paths(["mem://bucket/out/e.csv", "/tmp"]);
    assert!(tables.rows(mixed).await.is_err(), "one source, one store");
}

#[tokio::test]
async fn wrong_options_of_a_store_are_named() {
    let options = [("no_such_option".to_owned(), "1".to_owned())];
    // Unknown options are ignored by the library; a wrong URL is not.
    assert!(tables().add_store("s3://bucket", options).is_ok());
    let error = tables().add_store("nonsense", []).unwrap_err();
    assert!(matches!(error, Error::InvalidStore { .. }), "{error:?}");
}
