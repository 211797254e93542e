//! A full disk is a clear error; the store stays whole and goes on when there is room again.

use std::path::Path;
use std::process::Command;

use everloop_core::{Clock, Code, Coded};
use everloop_db::{Db, DbUrl, Error, Migration, params};

use crate::children::{setting, start_after};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "blobs",
    sql: "CREATE TABLE blobs (id BIGINT NOT NULL PRIMARY KEY, body BLOB NOT NULL)",
}];

async fn open(path: &Path) -> Db {
    Db::open(&DbUrl::sqlite(path), MIGRATIONS, &Clock::system())
        .await
        .unwrap()
}

async fn write(db: &Db, id: i64, size: usize) -> Result<u64, Error> {
    db.write(move |tx| {
        tx.execute(
            "INSERT INTO blobs (id, body) VALUES (?1, ?2)",
            &params![id, vec![7_u8; size]],
        )
    })
    .await
}

async fn ids(db: &Db) -> Vec<i64> {
    let rows = db
        .read(|tx| tx.query("SELECT id FROM blobs ORDER BY id", &[]))
        .await
        .unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

/// Fills what it was given, then works on: runs where the disk is small.
#[tokio::test]
#[ignore = "the child of the tests below"]
async fn child_fills() {
    let Some(folder) = setting("CHILD_FOLDER") else {
        return;
    };
    let path = Path::new(&folder).join("db");
    let ballast = Path::new(&folder).join("ballast");
    std::fs::write(&ballast, vec![0_u8; 1 << 20]).unwrap();
    let db = open(&path).await;
    let mut kept = Vec::new();
    let full = loop {
        let id = kept.len() as i64;
        match write(&db, id, 100_000).await {
            Ok(_) => kept.push(id),
            Err(error) => break error,
        }
        assert!(kept.len() < 1_000, "the disk is not small");
    };
    assert_eq!(full.code(), Code::StorageFull, "{full}");
    assert!(full.to_string().starts_with("database can't grow"), "{full}");
    // Nothing half written, and readers go on.
    assert_eq!(ids(&db).await, kept);
    let error = write(&db, 5_000, 200_000).await.unwrap_err();
    assert_eq!(error.code(), Code::StorageFull, "{error}");
    // Small writers beside a large one are judged each alone.
    let (large, reading) = tokio::join!(write(&db, 5_001, 3_000_000), async { ids(&db).await });
    assert_eq!(large.unwrap_err().code(), Code::StorageFull);
    assert_eq!(reading, kept);

    make_room(&ballast);
    write(&db, 6_000, 10_000).await.unwrap();
    kept.push(6_000);
    assert_eq!(ids(&db).await, kept);
    db.close().await;
    println!("\nkept {}", kept.len());
}

/// Deletes the ballast, and lifts the limit on the size of files where that was the bound.
fn make_room(ballast: &Path) {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    std::fs::remove_file(ballast).unwrap();
    let (_, most) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
    setrlimit(Resource::RLIMIT_FSIZE, most, most).unwrap();
}

/// Runs the child after `before` and checks the store it left.
async fn check(folder: &Path, before: &str) {
    let child = start_after(
        before,
        "disk_full::child_fills",
        &[("CHILD_FOLDER", folder.to_str().unwrap())],
    );
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("\nkept "), "{said}");
}

#[tokio::test]
async fn a_limit_on_file_sizes_is_a_full_disk() {
    let folder = tempfile::tempdir().unwrap();
    // The signal would kill the process before the write could fail.
    check(folder.path(), "trap '' XFSZ; ulimit -S -f 4096").await;
    let db = open(&folder.path().join("db")).await;
    assert_eq!(
        ids(&db).await.last(),
        Some(&6_000),
        "what was kept is there for the next process"
    );
    write(&db, 7_000, 3_000_000).await.unwrap();
}

#[tokio::test]
async fn a_small_disk_is_a_full_disk() {
    // A disk of our own needs the right to mount one in a namespace of our own, which some machines don't give.
    let may = Command::new("unshare")
        .args(["--user", "--map-root-user", "--mount", "true"])
        .status();
    if !may.is_ok_and(|status| status.success()) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mount = format!("mount -t tmpfs -o size=5m tmpfs {0}", folder.path().display());
    let before = format!(
        "set -- \"$0\" \"$@\"; exec unshare --user --map-root-user --mount sh -c '{mount} && exec \"$0\" \"$@\"' \"$@\""
    );
    check(folder.path(), &before).await;
}
