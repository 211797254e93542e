//! Tables over content-addressed objects.

use crate::support::{Folder, tables, write_flights};
use everloop_core::Hash;
use everloop_core::Ids;
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_tables::{Error, ObjectFile, Source, Tables};

async fn with_objects(folder: &Folder) -> (Tables, Objects) {
    let url = StoreUrl::folder(folder.file("objects"));
    let objects = Objects::open(&url, &Options::new(Ids::system())).await.unwrap();
    (tables().with_objects(objects.clone()), objects)
}

#[tokio::test]
async fn objects_are_read_by_their_hash() {
    let folder = Folder::new();
    let (tables, objects) = with_objects(&folder).await;
    let mut files = Vec::new();
    for part in 0..3 {
        let path = folder.file("part.parquet");
        write_flights(&tables, &path, part * 50_000, 50_000).await;
        let stored = objects.put_file(&path).await.unwrap();
        files.push(ObjectFile {
            hash: stored.hash,
            name: format!("part {part}.parquet"),
            size: stored.size,
        });
    }
    let source = Source::objects(files);
    assert_eq!(tables.rows(source.clone()).await.unwrap(), 150_000);
    let profile = tables.profile(source.clone()).await.unwrap();
    assert_eq!(profile.column("id").unwrap().max(), Some(149_999.0));
    let session = tables.session().await.unwrap();
    session.add("t", source).await.unwrap();
    let frame = session.sql("SELECT id FROM t").await.unwrap().to_frame().unwrap();
    assert!(
        frame.get("id").unwrap().to_numbers().is_sorted(),
        "in the order given"
    );
}

#[tokio::test]
async fn text_objects_are_read_too() {
    let folder = Folder::new();
    let (tables, objects) = with_objects(&folder).await;
    let stored = objects.put_bytes(b"a,b\n1,x\n2,y\n".as_slice()).await.unwrap();
    let file = ObjectFile {
        hash: stored.hash,
        name: "rows.csv".to_owned(),
        size: stored.size,
    };
    assert_eq!(tables.rows(Source::objects(vec![file])).await.unwrap(), 2);
}

#[tokio::test]
async fn an_object_that_is_not_there_is_an_error() {
    let folder = Folder::new();
    let (tables, _objects) = with_objects(&folder).await;
    let file = ObjectFile {
        hash: Hash::of(b"nothing"),
        name: "x.parquet".to_owned(),
        size: 100,
    };
    let error = tables
        .rows(Source::objects(vec![file.clone()]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::MissingFile { .. }), "{error:?}");
    let error = self::tables()
        .rows(Source::objects(vec![file]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::UnknownStore { .. }),
        "no objects were given: {error:?}"
    );
}
