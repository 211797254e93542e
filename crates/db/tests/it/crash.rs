//! What was acknowledged survives a kill at any instant.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Child;

use everloop_core::Clock;
use everloop_db::{Db, DbUrl, Error, Migration, params};
use tokio::task::JoinSet;

use crate::children::{setting, start};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "facts",
    sql: "CREATE TABLE facts (id BIGINT NOT NULL PRIMARY KEY, body TEXT NOT NULL);
          CREATE TABLE totals (id INTEGER NOT NULL PRIMARY KEY, facts BIGINT NOT NULL);
          INSERT INTO totals (id, facts) VALUES (1, 0);",
}];

/// As [`MIGRATIONS`], and one that takes a while.
const SLOW: &[Migration] = &[
    MIGRATIONS[0],
    Migration {
        component: "test",
        number: 2,
        name: "a million facts",
        sql: "INSERT INTO facts (id, body)
              WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000)
              SELECT -i, 'made by the migration' FROM n;
              UPDATE totals SET facts = facts + 1000000;",
    },
];

const WRITERS: i64 = 8;

async fn open(path: &Path, migrations: &[Migration]) -> Db {
    Db::open(&DbUrl::sqlite(path), migrations, &Clock::system())
        .await
        .unwrap()
}

/// Writes until it is killed; says each number once its write has answered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the child of the tests below"]
async fn child_writes() {
    let Some(path) = setting("CHILD_DB") else { return };
    let first: i64 = setting("CHILD_FIRST").unwrap().parse().unwrap();
    let db = open(Path::new(&path), MIGRATIONS).await;
    let mut writers = JoinSet::new();
    for writer in 0..WRITERS {
        let db = db.clone();
        writers.spawn(async move {
            for number in (first + writer..).step_by(WRITERS as usize) {
                db.write(move |tx| {
                    tx.execute(
                        "INSERT INTO facts (id, body) VALUES (?1, ?2)",
                        &params![number, "x".repeat(300)],
                    )?;
                    tx.execute("UPDATE totals SET facts = facts + 1 WHERE id = 1", &[])
                })
                .await
                .unwrap();
                println!("\nack {number}");
            }
        });
    }
    writers.join_all().await;
}

#[tokio::test]
async fn acknowledged_writes_survive_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let mut acknowledged = BTreeSet::new();
    for (round, acks) in [1, 7, 40, 150, 333].into_iter().enumerate() {
        let first = (round * 1_000_000).to_string();
        let settings = [("CHILD_DB", path.to_str().unwrap()), ("CHILD_FIRST", &first)];
        let mut child = start("crash::child_writes", &settings);
        acknowledged.extend(read_acks(&mut child, acks));
        child.wait().unwrap();

        let db = open(&path, MIGRATIONS).await;
        let (stored, total) = db
            .read(|tx| {
                let rows = tx.query("SELECT id FROM facts", &[])?;
                let ids = rows
                    .iter()
                    .map(|row| row.get::<i64>("id"))
                    .collect::<Result<BTreeSet<_>, _>>()?;
                let total: i64 = tx.query_one("SELECT facts FROM totals", &[])?.get("facts")?;
                Ok::<_, Error>((ids, total))
            })
            .await
            .unwrap();
        let lost: Vec<&i64> = acknowledged.difference(&stored).collect();
        assert!(lost.is_empty(), "round {round}: acknowledged but gone: {lost:?}");
        assert_eq!(
            total,
            stored.len() as i64,
            "round {round}: half a transaction was kept"
        );
        db.close().await;
    }
    assert!(acknowledged.len() >= 531);
}

/// Reads acknowledgements, kills the child after `count` of them, and reads what it had still said.
fn read_acks(child: &mut Child, count: usize) -> Vec<i64> {
    let mut acks = Vec::new();
    let out = BufReader::new(child.stdout.take().unwrap());
    for line in out.lines() {
        // The last line may be cut; a number that was not said in full was not said.
        let Some(number) = line
            .unwrap()
            .strip_prefix("ack ")
            .and_then(|number| number.parse().ok())
        else {
            continue;
        };
        acks.push(number);
        if acks.len() == count {
            child.kill().unwrap();
        }
    }
    assert!(
        acks.len() >= count,
        "the child ended by itself after {} acknowledgements",
        acks.len()
    );
    acks
}

/// Opens the database, which migrates it.
#[tokio::test]
#[ignore = "the child of the tests below"]
async fn child_migrates() {
    let Some(path) = setting("CHILD_DB") else { return };
    let db = open(Path::new(&path), SLOW).await;
    db.close().await;
    println!("\nmigrated");
}

#[tokio::test]
async fn a_migration_killed_half_way_leaves_the_old_schema_and_then_completes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let log = folder.path().join("db-wal");
    let db = open(&path, MIGRATIONS).await;
    db.write(|tx| tx.execute("INSERT INTO facts (id, body) VALUES (1, 'kept')", &[]))
        .await
        .unwrap();
    db.close().await;

    let mut child = start("crash::child_migrates", &[("CHILD_DB", path.to_str().unwrap())]);
    let patience = std::time::Instant::now();
    while log.metadata().map_or(0, |log| log.len()) < 4 << 20 {
        assert!(patience.elapsed().as_secs() < 60, "the migration does not write");
        assert!(
            child.try_wait().unwrap().is_none(),
            "the migration was over too soon to be killed"
        );
        tokio::time::sleep(std::time::Duration::from_millis(1)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();

    // The old program still opens it, and the new one completes it.
    let old = open(&path, MIGRATIONS).await;
    assert_eq!(count(&old).await, 1);
    old.close().await;
    let new = open(&path, SLOW).await;
    assert_eq!(count(&new).await, 1_000_001);
}

#[tokio::test]
async fn processes_that_start_at_once_migrate_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("db");
    let settings = [("CHILD_DB", path.to_str().unwrap())];
    let children: Vec<Child> = (0..4)
        .map(|_| start("crash::child_migrates", &settings))
        .collect();
    for child in children {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(said.contains("\nmigrated"), "{said}");
    }
    assert_eq!(count(&open(&path, SLOW).await).await, 1_000_000);
}

async fn count(db: &Db) -> i64 {
    db.read(|tx| tx.query_one("SELECT COUNT(*) AS n FROM facts", &[])?.get("n"))
        .await
        .unwrap()
}
