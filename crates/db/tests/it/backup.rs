//! Backups beside running writers, and restoring them.

use std::path::{Path, PathBuf};

use everloop_core::Clock;
use everloop_db::testing::{TestDb, databases, sqlite};
use everloop_db::{Db, DbUrl, Error, Migration, params};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "facts",
    sql: "CREATE TABLE facts (id BIGINT NOT NULL PRIMARY KEY, twice BIGINT NOT NULL)",
}];

async fn add(db: &Db, id: i64) {
    db.write(move |tx| {
        tx.execute(
            "INSERT INTO facts (id, twice) VALUES (?1, ?2)",
            &params![id, 2 * id],
        )
    })
    .await
    .unwrap();
}

async fn count(db: &Db) -> i64 {
    db.read(|tx| tx.query_one("SELECT COUNT(*) AS n FROM facts", &[])?.get("n"))
        .await
        .unwrap()
}

async fn open(path: &Path) -> Db {
    Db::open(&DbUrl::sqlite(path), MIGRATIONS, &Clock::system())
        .await
        .unwrap()
}

/// A database with ten facts and its backup.
async fn backed_up() -> (TestDb, tempfile::TempDir, PathBuf) {
    let test = sqlite(MIGRATIONS).await;
    for id in 0..10 {
        add(&test.db, id).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("copy.db");
    test.db.backup_to(&copy).await.unwrap();
    (test, folder, copy)
}

#[tokio::test]
async fn a_backup_beside_writers_is_one_whole_state() {
    let test = sqlite(MIGRATIONS).await;
    let folder = tempfile::tempdir().unwrap();
    let writing = async {
        for id in 0..300 {
            add(&test.db, id).await;
        }
    };
    let copying = async {
        for number in 0..5 {
            test.db
                .backup_to(folder.path().join(format!("{number}.db")))
                .await
                .unwrap();
        }
    };
    tokio::join!(writing, copying);
    assert_eq!(count(&test.db).await, 300);
    for number in 0..5 {
        let copy = open(&folder.path().join(format!("{number}.db"))).await;
        let (n, largest): (i64, Option<i64>) = copy
            .read(|tx| {
                let row = tx.query_one("SELECT COUNT(*) AS n, MAX(id) AS largest FROM facts", &[])?;
                Ok::<_, Error>((row.get("n")?, row.get("largest")?))
            })
            .await
            .unwrap();
        assert_eq!(
            largest.map_or(0, |largest| largest + 1),
            n,
            "copy {number} is a prefix of what was written"
        );
    }
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(
        names
            .iter()
            .all(|name| !name.to_string_lossy().contains("partial")),
        "{names:?}"
    );
}

#[tokio::test]
async fn a_backup_is_one_file_that_only_its_owner_reads() {
    use std::os::unix::fs::PermissionsExt;
    let (_test, folder, copy) = backed_up().await;
    let names: Vec<_> = std::fs::read_dir(folder.path())
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert_eq!(names, ["copy.db"]);
    assert_eq!(copy.metadata().unwrap().permissions().mode() & 0o777, 0o600);
}

#[tokio::test]
async fn a_restore_brings_back_the_state_of_the_backup() {
    let (test, folder, copy) = backed_up().await;
    for id in 10..500 {
        add(&test.db, id).await;
    }
    test.db.close().await;
    Db::restore(&test.url, &copy).await.unwrap();
    let again = Db::open(&test.url, MIGRATIONS, &Clock::system()).await.unwrap();
    assert_eq!(count(&again).await, 10, "over the old one");
    add(&again, 10).await;

    let elsewhere = folder.path().join("new/home/db");
    Db::restore(&DbUrl::sqlite(&elsewhere), &copy).await.unwrap();
    assert_eq!(count(&open(&elsewhere).await).await, 10, "where nothing was");
}

#[tokio::test]
async fn only_whole_backups_of_ours_are_restored() {
    let (test, folder, copy) = backed_up().await;
    let write = |name: &str, bytes: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    };
    let bytes = std::fs::read(&copy).unwrap();
    let damaged: Vec<u8> = bytes
        .iter()
        .enumerate()
        .map(|(at, byte)| if at > 4_200 { byte ^ 0x55 } else { *byte })
        .collect();
    let cases = [
        (folder.path().join("missing"), "is not a file"),
        (
            write(
                "text",
                b"not a database at all, just some text that is long enough to be read as a header of one",
            ),
            "not a database",
        ),
        (write("cut", &bytes[..bytes.len() / 2]), ""),
        (write("damaged", &damaged), ""),
        (write("empty", b""), "is not a backup of an Everloop database"),
    ];
    for (path, expected) in cases {
        let error = Db::restore(&test.url, &path).await.unwrap_err().to_string();
        assert!(
            error.starts_with("restore of ") && error.contains(expected),
            "{}: {error}",
            path.display()
        );
        assert_eq!(
            count(&test.db).await,
            10,
            "{}: the database is as it was",
            path.display()
        );
    }
}

#[tokio::test]
async fn postgres_says_what_to_use_instead() {
    for test in databases(MIGRATIONS)
        .await
        .iter()
        .filter(|test| test.name == "postgres")
    {
        let error = test.db.backup_to("/nowhere/copy").await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "backup by Everloop (use pg_dump and pg_restore) is not offered for Postgres"
        );
    }
}
