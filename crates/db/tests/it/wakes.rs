//! Commits wake those who wait: here, and in other processes.

use std::time::Duration;

use everloop_core::Clock;
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Db, Error};
use tokio::sync::watch;

/// Waiting that never ends is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(20);

async fn ring(db: &Db, channel: &'static str) {
    db.write(move |tx| {
        tx.wake(channel);
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

async fn rings(bell: &mut watch::Receiver<u64>) {
    tokio::time::timeout(PATIENCE, bell.changed())
        .await
        .expect("woken")
        .unwrap();
}

/// Another process, as far as the database can tell: connections of its own.
async fn other_process(test: &TestDb) -> Db {
    Db::open(&test.url, &[], &Clock::system()).await.unwrap()
}

#[tokio::test]
async fn a_commit_wakes_its_channel_before_it_answers() {
    for test in databases(&[]).await {
        // Heard by all, so that the start of listening does not count as a wake-up below.
        let mut first = test.db.subscribe("first");
        if test.name == "postgres" {
            rings(&mut first).await;
        }
        let (mut second, mut other) = (test.db.subscribe("second"), test.db.subscribe("other"));
        ring(&test.db, "second").await;
        assert!(second.has_changed().unwrap(), "{}", test.name);
        assert!(!other.has_changed().unwrap(), "{}", test.name);
        second.mark_unchanged();
        other.mark_unchanged();
    }
}

#[tokio::test]
async fn a_change_that_was_taken_back_wakes_nobody() {
    for test in databases(&[]).await {
        let mut bell = test.db.subscribe("bell");
        if test.name == "postgres" {
            rings(&mut bell).await;
        }
        let failed = test
            .db
            .write(|tx| {
                tx.wake("bell");
                Err::<(), _>(Error::Closed)
            })
            .await;
        assert!(failed.is_err());
        test.db
            .write(|tx| {
                let _ = tx.attempt(|tx| {
                    tx.wake("bell");
                    Err::<(), _>(Error::Closed)
                });
                Ok::<_, Error>(())
            })
            .await
            .unwrap();
        assert!(!bell.has_changed().unwrap(), "{}", test.name);
    }
}

#[tokio::test]
async fn a_change_whose_caller_left_wakes_all_the_same() {
    for test in databases(&[]).await {
        let mut bell = test.db.subscribe("bell");
        if test.name == "postgres" {
            rings(&mut bell).await;
        }
        let (begin, begun) = tokio::sync::oneshot::channel();
        let (go_on, may_go_on) = std::sync::mpsc::channel::<()>();
        let mut begin = Some(begin);
        let leaving = test.db.write(move |tx| {
            if let Some(begin) = begin.take() {
                begin.send(()).unwrap();
            }
            may_go_on.recv().unwrap();
            tx.wake("bell");
            Ok::<_, Error>(())
        });
        tokio::select! {
            _ = leaving => panic!("it may not go on yet"),
            done = begun => done.unwrap(),
        }
        go_on.send(()).unwrap();
        rings(&mut bell).await;
    }
}

#[tokio::test]
async fn another_process_is_woken() {
    for test in databases(&[]).await {
        let other = other_process(&test).await;
        let mut bell = other.subscribe("bell");
        // The first wake-up may stand for the beginning of listening; the later ones are commits.
        for _ in 0..4 {
            write_and_ring(&test.db).await;
            rings(&mut bell).await;
        }
    }
}

/// SQLite tells other processes of changes only, so there must be one.
async fn write_and_ring(db: &Db) {
    db.write(|tx| {
        tx.execute("DELETE FROM everloop_leases", &[])?;
        tx.execute(
            "INSERT INTO everloop_leases (name, holder, token, expires_at) VALUES ('a', 'b', 1, 1)",
            &[],
        )?;
        tx.wake("bell");
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}
