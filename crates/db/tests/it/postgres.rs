//! What only a server over a network does: collisions, lost connections, doubtful commits. Needs
//! `EVERLOOP_TEST_POSTGRES`.

use std::sync::Arc;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use everloop_core::{Clock, Code, Coded};
use everloop_db::testing::{Place, places};
use everloop_db::{Db, Error, Migration, params};
use tokio::task::JoinSet;

use crate::proxy::{Fault, Proxy};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "counters",
    sql: "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL);
          INSERT INTO counters (name, n) VALUES ('a', 0), ('b', 0);",
}];

/// The end of the message that commits; the one that begins holds `READ COMMITTED`.
const COMMIT: &str = "COMMIT\0";

fn postgres() -> Option<Place> {
    places().into_iter().find(|place| place.name == "postgres")
}

async fn open(place: &Place, address: &str, options: &str) -> Db {
    Db::open(&place.through(address, options), MIGRATIONS, &Clock::system())
        .await
        .unwrap()
}

async fn add(db: &Db, name: &'static str) -> Result<u64, Error> {
    db.write(move |tx| tx.execute("UPDATE counters SET n = n + 1 WHERE name = ?1", &params![name]))
        .await
}

async fn count(db: &Db, name: &'static str) -> i64 {
    db.read(move |tx| {
        tx.query_one("SELECT n FROM counters WHERE name = ?1", &params![name])?
            .get("n")
    })
    .await
    .unwrap()
}

#[tokio::test]
async fn the_test_server_orders_text_otherwise_than_we_do() {
    let Some(place) = postgres() else { return };
    let db = open(&place, &place.address().unwrap(), "").await;
    let row = db
        .read(|tx| {
            tx.query_one(
                "SELECT 'a' < 'B' AS by_language, 'a' < 'B' COLLATE \"C\" AS by_bytes",
                &[],
            )
        })
        .await;
    let row = row.unwrap();
    // Else the tests of order would pass without our doing.
    assert!(row.get::<bool>("by_language").unwrap());
    assert!(!row.get::<bool>("by_bytes").unwrap());
}

#[tokio::test]
async fn a_deadlock_is_tried_again() {
    let Some(place) = postgres() else { return };
    let db = open(&place, &place.address().unwrap(), "").await;
    let meeting = Arc::new(Barrier::new(2));
    let mut writers = JoinSet::new();
    for (first, second) in [("a", "b"), ("b", "a")] {
        let (db, meeting) = (db.clone(), Arc::clone(&meeting));
        writers.spawn(async move {
            let mut is_first_try = true;
            db.write(move |tx| {
                tx.execute("UPDATE counters SET n = n + 1 WHERE name = ?1", &params![first])?;
                if std::mem::take(&mut is_first_try) {
                    // Each holds one row and asks for the other's.
                    meeting.wait();
                }
                tx.execute("UPDATE counters SET n = n + 1 WHERE name = ?1", &params![second])
            })
            .await
        });
    }
    for done in writers.join_all().await {
        done.unwrap();
    }
    assert_eq!((count(&db, "a").await, count(&db, "b").await), (2, 2));
    assert!(db.stats().retries >= 1);
}

#[tokio::test]
async fn a_connection_lost_before_the_commit_is_tried_again() {
    let Some(place) = postgres() else { return };
    let proxy = Proxy::start(&place.address().unwrap()).await;
    let db = open(&place, &proxy.address, "").await;
    add(&db, "a").await.unwrap();
    proxy.arm(Fault::Before("BEGIN"));
    add(&db, "a").await.unwrap();
    assert!(proxy.has_struck());
    // Only a statement that is new to its connection travels as text.
    proxy.arm(Fault::Before("n + 5"));
    db.write(|tx| tx.execute("UPDATE counters SET n = n + 5 WHERE name = 'a'", &[]))
        .await
        .unwrap();
    assert!(proxy.has_struck());
    assert_eq!(count(&db, "a").await, 7);
    // What the closure makes of the lost connection does not matter: it is run again.
    proxy.arm(Fault::After("n + 11"));
    db.write(|tx| {
        tx.execute("UPDATE counters SET n = n + 11 WHERE name = 'a'", &[])
            .map_err(|_| Error::Closed)
    })
    .await
    .unwrap();
    assert!(proxy.has_struck());
    assert_eq!(count(&db, "a").await, 18);
    // Reads too.
    proxy.arm(Fault::Before("REPEATABLE READ"));
    assert_eq!(count(&db, "a").await, 18);
    assert!(proxy.has_struck());
}

#[tokio::test]
async fn a_connection_lost_during_the_commit_neither_loses_nor_doubles_it() {
    let Some(place) = postgres() else { return };
    let proxy = Proxy::start(&place.address().unwrap()).await;
    let db = open(&place, &proxy.address, "").await;
    let mut expected = 0;
    for fault in [Fault::Before(COMMIT), Fault::After(COMMIT)] {
        for _ in 0..3 {
            proxy.arm(fault);
            add(&db, "a").await.unwrap();
            expected += 1;
            assert!(proxy.has_struck(), "{fault:?}");
            assert_eq!(count(&db, "a").await, expected, "{fault:?}");
        }
    }
    let retries = db.stats().retries;
    assert_eq!(retries, 3, "only what the server never got is done again");
}

#[tokio::test]
async fn a_commit_that_nobody_can_tell_of_says_so() {
    let Some(place) = postgres() else { return };
    let proxy = Proxy::start(&place.address().unwrap()).await;
    let db = open(&place, &proxy.address, "connect_timeout=1").await;
    let closed = AtomicBool::new(false);
    let proxy = parking_lot::Mutex::new(Some(proxy));
    proxy.lock().as_ref().unwrap().arm(Fault::After(COMMIT));
    let writing = add(&db, "a");
    let leaving = async {
        // Once the commit was answered into the void, the way to the server goes as well.
        while !proxy.lock().as_ref().unwrap().has_struck() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        proxy.lock().take();
        closed.store(true, Ordering::SeqCst);
    };
    let (written, ()) = tokio::join!(writing, leaving);
    let error = written.unwrap_err();
    assert!(matches!(error, Error::CommitUnknown { .. }), "{error}");
    assert_eq!(error.code(), Code::Unavailable);
    let direct = open(&place, &place.address().unwrap(), "").await;
    assert_eq!(
        count(&direct, "a").await,
        1,
        "it was kept, which the caller can find out"
    );
}

#[tokio::test]
async fn a_connection_that_the_server_ends_is_tried_again() {
    let Some(place) = postgres() else { return };
    let db = open(&place, &place.address().unwrap(), "").await;
    let admin = open(&place, &place.address().unwrap(), "").await;
    let runs = Arc::new(AtomicU32::new(0));
    let counted = Arc::clone(&runs);
    let runtime = tokio::runtime::Handle::current();
    db.write(move |tx| {
        tx.execute("UPDATE counters SET n = n + 1 WHERE name = 'a'", &[])?;
        if counted.fetch_add(1, Ordering::SeqCst) == 0 {
            let pid: i64 = tx.query_one("SELECT pg_backend_pid() AS pid", &[])?.get("pid")?;
            let admin = admin.clone();
            runtime
                .block_on(admin.write(move |tx| {
                    tx.query("SELECT pg_terminate_backend(CAST(?1 AS INTEGER))", &params![pid])
                        .map(drop)
                }))
                .unwrap();
        }
        tx.execute("UPDATE counters SET n = n + 1 WHERE name = 'b'", &[])
    })
    .await
    .unwrap();
    assert_eq!(runs.load(Ordering::SeqCst), 2);
    assert_eq!((count(&db, "a").await, count(&db, "b").await), (1, 1));
}

#[tokio::test]
async fn a_statement_has_a_limit() {
    let Some(place) = postgres() else { return };
    let db = open(&place, &place.address().unwrap(), "statement_timeout=100ms").await;
    let error = db
        .read(|tx| tx.query("SELECT pg_sleep(60)", &[]))
        .await
        .unwrap_err();
    assert!(matches!(error, Error::Timeout { .. }), "{error}");
    assert_eq!(error.code(), Code::DeadlineExceeded);
    assert_eq!(db.stats().retries, 0);
    add(&db, "a").await.unwrap();
}

#[tokio::test]
async fn a_small_pool_makes_writers_wait_not_fail() {
    let Some(place) = postgres() else { return };
    let db = open(&place, &place.address().unwrap(), "pool=2").await;
    let mut writers = JoinSet::new();
    for _ in 0..64 {
        let db = db.clone();
        writers.spawn(async move { add(&db, "a").await });
    }
    for done in writers.join_all().await {
        done.unwrap();
    }
    assert_eq!(count(&db, "a").await, 64);
}

#[tokio::test]
async fn wake_ups_are_heard_again_after_the_connection_broke() {
    let Some(place) = postgres() else { return };
    let address = place.address().unwrap();
    let proxy = Proxy::start(&address).await;
    let waiting = open(&place, &proxy.address, "").await;
    let writing = open(&place, &address, "").await;
    let mut bell = waiting.subscribe("bell");
    let patience = Duration::from_secs(20);
    for _ in 0..3 {
        // The first stands for listening having begun, again and again.
        tokio::time::timeout(patience, bell.changed())
            .await
            .unwrap()
            .unwrap();
        writing
            .write(|tx| {
                tx.wake("bell");
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        tokio::time::timeout(patience, bell.changed())
            .await
            .unwrap()
            .unwrap();
        proxy.cut_all();
    }
}

#[tokio::test]
async fn statements_prepared_before_a_migration_work_after_it() {
    let Some(place) = postgres() else { return };
    let address = place.address().unwrap();
    let db = open(&place, &address, "").await;
    // At once, so that each of several connections prepares the statement.
    let columns = async || {
        let reads =
            (0..16).map(|_| db.read(|tx| tx.query("SELECT *, pg_sleep(0.02) AS slept FROM counters", &[])));
        let answers = futures::future::join_all(reads).await;
        answers
            .iter()
            .map(|rows| rows.as_ref().unwrap()[0].columns().len())
            .collect::<Vec<_>>()
    };
    assert_eq!(columns().await, [3; 16]);
    let next = [
        MIGRATIONS[0],
        Migration {
            component: "test",
            number: 2,
            name: "notes",
            sql: "ALTER TABLE counters ADD COLUMN note TEXT",
        },
    ];
    let newer = Db::open(&place.through(&address, ""), &next, &Clock::system())
        .await
        .unwrap();
    newer.close().await;
    assert_eq!(columns().await, [4; 16]);
}

#[tokio::test]
async fn a_schema_that_may_not_be_copied_is_not_migrated_unless_told_to() {
    let Some(place) = postgres() else { return };
    let address = place.address().unwrap();
    let admin = open(&place, &address, "").await;
    let shown = place.url.to_string();
    let schema = shown.split_once("schema=").unwrap().1.to_owned();
    let role = format!("role_{schema}");
    let (made_role, made_schema) = (role.clone(), schema.clone());
    admin
        .write(move |tx| {
            tx.execute(&format!("CREATE ROLE {made_role} LOGIN PASSWORD 'x'"), &[])?;
            // It owns our schema and may not make others.
            tx.execute(&format!("ALTER SCHEMA {made_schema} OWNER TO {made_role}"), &[])?;
            for table in ["counters", "everloop_migrations", "everloop_leases"] {
                tx.execute(&format!("ALTER TABLE {table} OWNER TO {made_role}"), &[])?;
            }
            Ok::<_, Error>(())
        })
        .await
        .unwrap();
    let next = [
        MIGRATIONS[0],
        Migration {
            number: 2,
            name: "more",
            sql: "CREATE TABLE more (x BIGINT)",
            ..MIGRATIONS[0]
        },
    ];
    let database = shown.split('/').nth(3).unwrap().split('?').next().unwrap();
    let open_as = async |options: &str| {
        let url = format!("postgres://{role}:x@{address}/{database}?schema={schema}{options}");
        Db::open(&url.parse().unwrap(), &next, &Clock::system()).await
    };
    let error = open_as("").await.err().unwrap();
    assert!(matches!(error, Error::Snapshot { .. }), "{error}");
    assert!(error.hint().unwrap().contains("snapshot=off"));
    open_as("&snapshot=off").await.unwrap().close().await;

    let dropped = role.clone();
    admin
        .write(move |tx| {
            tx.execute(&format!("REASSIGN OWNED BY {dropped} TO CURRENT_USER"), &[])?;
            tx.execute(&format!("DROP ROLE {dropped}"), &[])
        })
        .await
        .unwrap();
}
