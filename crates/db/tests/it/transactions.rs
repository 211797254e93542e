//! All or nothing, one request at a time, and what happens when the code inside fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc;

use everloop_db::testing::{TestDb, databases};
use everloop_db::{Db, Error, Migration, Tx, params};
use tokio::task::JoinSet;

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "counters",
    sql: "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)",
}];

/// Waiting that never ends is a failure, not a hang.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

async fn fresh() -> Vec<TestDb> {
    let tests = databases(MIGRATIONS).await;
    for test in &tests {
        test.db
            .write(|tx| tx.execute("INSERT INTO counters (name, n) VALUES ('a', 0)", &[]))
            .await
            .unwrap();
    }
    tests
}

fn read_count(tx: &mut Tx<'_>) -> Result<i64, Error> {
    tx.query_one("SELECT n FROM counters WHERE name = 'a'", &[])?
        .get("n")
}

fn add(tx: &mut Tx<'_>, n: i64) -> Result<u64, Error> {
    tx.execute("UPDATE counters SET n = n + ?1 WHERE name = 'a'", &params![n])
}

async fn count(test: &TestDb) -> i64 {
    test.db.read(read_count).await.unwrap()
}

#[tokio::test]
async fn sixty_four_writers_at_once_all_succeed_and_share_commits() {
    for test in fresh().await {
        let before = test.db.stats();
        let mut writers = JoinSet::new();
        for _ in 0..64 {
            let db = test.db.clone();
            writers.spawn(async move {
                for _ in 0..10 {
                    db.write(|tx| add(tx, 1)).await?;
                }
                Ok::<_, Error>(())
            });
        }
        for done in writers.join_all().await {
            done.unwrap();
        }
        assert_eq!(count(&test).await, 640, "{}", test.name);
        let after = test.db.stats();
        assert_eq!(after.writes - before.writes, 640, "{}", test.name);
        assert_eq!((after.rollbacks, after.write_queue), (0, 0), "{}", test.name);
        if test.name == "sqlite" {
            let commits = after.commits - before.commits;
            assert!(commits < 320, "{commits} commits for 640 writes");
            assert!(after.largest_batch > 1);
        }
    }
}

#[tokio::test]
async fn an_error_takes_everything_back() {
    for test in fresh().await {
        let error = test
            .db
            .write(|tx| {
                add(tx, 5)?;
                tx.query_one("SELECT n FROM counters WHERE name = 'missing'", &[])
            })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::NoRow { .. }), "{}: {error}", test.name);
        assert_eq!(count(&test).await, 0, "{}", test.name);
        assert_eq!(test.db.stats().rollbacks, 1, "{}", test.name);
    }
}

#[tokio::test]
async fn a_failed_neighbour_in_the_same_commit_changes_nothing_for_the_others() {
    for test in fresh().await {
        let writes = (0..60).map(|number| {
            let db = test.db.clone();
            async move {
                db.write(move |tx| {
                    add(tx, 1)?;
                    match number % 3 {
                        0 => Err(Error::Closed),
                        1 => tx
                            .execute("INSERT INTO counters (name, n) VALUES ('a', 1)", &[])
                            .map(drop),
                        _ => Ok(()),
                    }
                })
                .await
            }
        });
        let done = futures::future::join_all(writes).await;
        assert_eq!(
            done.iter().filter(|done| done.is_ok()).count(),
            20,
            "{}",
            test.name
        );
        assert_eq!(count(&test).await, 20, "{}", test.name);
    }
}

#[tokio::test]
async fn a_failed_statement_that_is_passed_over_in_silence_still_fails_the_transaction() {
    for test in fresh().await {
        let error = test
            .db
            .write(|tx| {
                add(tx, 5)?;
                let broken = tx.execute("INSERT INTO counters (name, n) VALUES ('a', 1)", &[]);
                assert!(broken.is_err());
                let after = add(tx, 5).unwrap_err();
                assert!(matches!(after, Error::Aborted { .. }), "{after}");
                Ok::<_, Error>(())
            })
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::Constraint { .. }),
            "{}: {error}",
            test.name
        );
        assert_eq!(count(&test).await, 0, "{}", test.name);
    }
}

#[tokio::test]
async fn an_attempt_is_taken_back_alone() {
    for test in fresh().await {
        let inner = test
            .db
            .write(|tx| {
                add(tx, 1)?;
                let failed = tx.attempt(|tx| {
                    add(tx, 10)?;
                    tx.execute("INSERT INTO counters (name, n) VALUES ('a', 1)", &[])
                });
                let silent = tx.attempt(|tx| {
                    add(tx, 100)?;
                    let _ = tx.execute("INSERT INTO counters (name, n) VALUES ('a', 1)", &[]);
                    Ok::<_, Error>(())
                });
                tx.attempt(|tx| {
                    add(tx, 1_000)?;
                    // Taken back inside one that is kept.
                    let _ = tx.attempt(|tx| add(tx, 10_000).and(Err::<(), _>(Error::Closed)));
                    Ok::<_, Error>(())
                })?;
                Ok::<_, Error>((failed.is_err(), silent.is_err()))
            })
            .await
            .unwrap();
        assert_eq!(inner, (true, true), "{}", test.name);
        assert_eq!(count(&test).await, 1_001, "{}", test.name);
    }
}

#[tokio::test]
async fn a_panic_is_one_requests_error() {
    for test in fresh().await {
        let writes = (0..20).map(|number| {
            let db = test.db.clone();
            async move {
                db.write(move |tx| {
                    add(tx, 1)?;
                    assert!(number != 7, "seven");
                    Ok::<_, Error>(())
                })
                .await
            }
        });
        let done = futures::future::join_all(writes).await;
        let failed: Vec<String> = done
            .into_iter()
            .filter_map(Result::err)
            .map(|error| error.to_string())
            .collect();
        assert_eq!(
            failed,
            ["the transaction's code panicked: seven"],
            "{}",
            test.name
        );
        let error = test
            .db
            .read(|_| -> Result<(), Error> { panic!("in a read") })
            .await
            .unwrap_err();
        assert!(matches!(error, Error::Panicked { .. }), "{}: {error}", test.name);
        test.db.write(|tx| add(tx, 100)).await.unwrap();
        assert_eq!(count(&test).await, 119, "{}", test.name);
    }
}

#[tokio::test]
async fn a_reading_transaction_can_not_change_anything() {
    for test in fresh().await {
        let error = test.db.read(|tx| add(tx, 1)).await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{}: {error}", test.name);
        let error = test.db.read(|tx| tx.lock("a")).await.unwrap_err();
        assert!(matches!(error, Error::ReadOnly { .. }), "{}: {error}", test.name);
        assert_eq!(count(&test).await, 0, "{}", test.name);
    }
}

#[tokio::test]
async fn a_reading_transaction_sees_one_state() {
    for test in fresh().await {
        let (began, has_begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = mpsc::channel();
        let mut began = Some(began);
        let reading = test.db.read(move |tx| {
            let first = read_count(tx)?;
            if let Some(began) = began.take() {
                began.send(()).unwrap();
            }
            may_go_on.recv().unwrap();
            Ok::<_, Error>((first, read_count(tx)?))
        });
        let writing = async {
            has_begun.await.unwrap();
            test.db.write(|tx| add(tx, 1)).await.unwrap();
            go_on.send(()).unwrap();
        };
        let (seen, ()) = tokio::join!(reading, writing);
        assert_eq!(seen.unwrap(), (0, 0), "{}", test.name);
        assert_eq!(count(&test).await, 1, "{}", test.name);
    }
}

#[tokio::test]
async fn what_was_written_is_read_next() {
    for test in fresh().await {
        for n in 1..=50 {
            test.db.write(|tx| add(tx, 1)).await.unwrap();
            assert_eq!(count(&test).await, n, "{}", test.name);
        }
    }
}

#[tokio::test]
async fn a_lock_lets_readers_decide_and_write_one_at_a_time() {
    for test in fresh().await {
        let mut writers = JoinSet::new();
        for _ in 0..16 {
            let db = test.db.clone();
            writers.spawn(async move {
                for _ in 0..5 {
                    db.write(|tx| {
                        tx.lock("counter a")?;
                        // Without the lock two would read the same number.
                        let n = read_count(tx)?;
                        tx.execute("UPDATE counters SET n = ?1 WHERE name = 'a'", &params![n + 1])
                    })
                    .await?;
                }
                Ok::<_, Error>(())
            });
        }
        for done in writers.join_all().await {
            done.unwrap();
        }
        assert_eq!(count(&test).await, 80, "{}", test.name);
    }
}

#[tokio::test]
async fn two_openers_of_one_database_take_turns() {
    for test in fresh().await {
        let other = open_again(&test).await;
        let (hold, held) = tokio::sync::oneshot::channel();
        let (release, may_release) = mpsc::channel();
        let mut hold = Some(hold);
        let slow = other.write(move |tx| {
            add(tx, 1)?;
            if let Some(hold) = hold.take() {
                hold.send(()).unwrap();
            }
            may_release.recv().unwrap();
            Ok::<_, Error>(())
        });
        let waiting = async {
            held.await.unwrap();
            let write = test.db.write(|tx| add(tx, 1));
            tokio::pin!(write);
            // The first poll hands it to the database, where it must wait.
            let early = futures::poll!(&mut write);
            assert!(early.is_pending(), "{}", test.name);
            release.send(()).unwrap();
            write.await.unwrap();
        };
        let (slow, ()) = tokio::join!(slow, waiting);
        slow.unwrap();
        assert_eq!(count(&test).await, 2, "{}", test.name);
    }
}

async fn open_again(test: &TestDb) -> Db {
    Db::open(&test.url, MIGRATIONS, &everloop_core::Clock::system())
        .await
        .unwrap()
}

#[tokio::test]
async fn a_caller_that_left_before_its_turn_changes_nothing() {
    let test = everloop_db::testing::sqlite(MIGRATIONS).await;
    test.db
        .write(|tx| tx.execute("INSERT INTO counters (name, n) VALUES ('a', 0)", &[]))
        .await
        .unwrap();
    let runs = Arc::new(AtomicU32::new(0));
    let (release, may_release) = mpsc::channel::<()>();
    let blocking = test.db.write(move |tx| {
        may_release.recv().unwrap();
        add(tx, 1)
    });
    let leaving = {
        let runs = Arc::clone(&runs);
        test.db.write(move |tx| {
            runs.fetch_add(1, Ordering::SeqCst);
            add(tx, 100)
        })
    };
    tokio::pin!(blocking);
    assert!(futures::poll!(&mut blocking).is_pending());
    {
        tokio::pin!(leaving);
        assert!(futures::poll!(&mut leaving).is_pending());
    }
    release.send(()).unwrap();
    blocking.await.unwrap();
    assert_eq!(count(&test).await, 1);
    assert_eq!(runs.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_closed_database_says_so() {
    for test in fresh().await {
        let mut bell = test.db.subscribe("bell");
        test.db.write(|tx| add(tx, 1)).await.unwrap();
        test.db.close().await;
        let write = test.db.write(|tx| add(tx, 1)).await.unwrap_err();
        let read = test.db.read(read_count).await.unwrap_err();
        assert!(
            matches!((&write, &read), (Error::Closed, Error::Closed)),
            "{}: {write}, {read}",
            test.name
        );
        // Who waits is told, after what it had not yet heard of.
        let told = async { while bell.changed().await.is_ok() {} };
        tokio::time::timeout(PATIENCE, told).await.expect("told");
        let again = open_again(&test).await;
        assert_eq!(again.read(read_count).await.unwrap(), 1, "{}", test.name);
    }
}
