//! A disk that can't make a commit durable stops the writer: what the page cache holds afterwards nobody knows.

use std::path::Path;
use std::process::Command;

use everloop_core::{Clock, Code, Coded};
use everloop_db::{Db, DbUrl, Error, Migration, params};

use crate::children::{setting, start};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "facts",
    sql: "CREATE TABLE facts (id BIGINT NOT NULL PRIMARY KEY)",
}];

/// Fails each sync while the file named by `BROKEN_SYNC` exists.
const SHIM: &str = r#"
#include <errno.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

static int is_broken(void) {
    const char *file = getenv("BROKEN_SYNC");
    return file != NULL && access(file, F_OK) == 0;
}

static int sync_by(long call, int fd) {
    if (is_broken()) { errno = EIO; return -1; }
    return syscall(call, fd);
}

int fsync(int fd) { return sync_by(SYS_fsync, fd); }
int fdatasync(int fd) { return sync_by(SYS_fdatasync, fd); }
"#;

async fn open(path: &Path) -> Db {
    Db::open(&DbUrl::sqlite(path), MIGRATIONS, &Clock::system())
        .await
        .unwrap()
}

async fn add(db: &Db, id: i64) -> Result<u64, Error> {
    db.write(move |tx| tx.execute("INSERT INTO facts (id) VALUES (?1)", &params![id]))
        .await
}

async fn ids(db: &Db) -> Vec<i64> {
    let rows = db
        .read(|tx| tx.query("SELECT id FROM facts ORDER BY id", &[]))
        .await
        .unwrap();
    rows.iter().map(|row| row.get("id").unwrap()).collect()
}

/// Writes while the disk breaks and mends.
#[tokio::test]
#[ignore = "the child of the test below"]
async fn child_writes_on_a_breaking_disk() {
    let Some(broken) = setting("BROKEN_SYNC") else {
        return;
    };
    let broken = Path::new(&broken);
    let db = open(&broken.with_file_name("db")).await;
    add(&db, 1).await.unwrap();
    std::fs::write(broken, b"").unwrap();
    let error = add(&db, 2).await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(error.code(), Code::Unavailable);

    // A disk that seems well again proves nothing about what it lost.
    std::fs::remove_file(broken).unwrap();
    let error = add(&db, 3).await.unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error}");
    assert_eq!(
        ids(&db).await,
        [1],
        "readers go on, and see what was acknowledged"
    );
    println!("\nstopped");
}

#[tokio::test]
async fn a_failed_sync_stops_the_writer_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let (source, shim) = (folder.path().join("shim.c"), folder.path().join("shim.so"));
    std::fs::write(&source, SHIM).unwrap();
    // The build of SQLite needed a C compiler too.
    let compiled = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&shim)
        .arg(&source)
        .status()
        .unwrap();
    assert!(compiled.success());
    let broken = folder.path().join("broken");
    let settings = [
        ("BROKEN_SYNC", broken.to_str().unwrap()),
        ("LD_PRELOAD", shim.to_str().unwrap()),
    ];
    let output = start("broken_disk::child_writes_on_a_breaking_disk", &settings)
        .wait_with_output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("\nstopped"), "{said}");

    let again = open(&folder.path().join("db")).await;
    assert_eq!(ids(&again).await.first(), Some(&1));
    add(&again, 4).await.unwrap();
}
