//! Cursors, lag and waiting.

use std::time::Duration;

use everloop_core::Timestamp;
use everloop_db::Db;
use everloop_ledger::{Filter, Lag, Seq, Tail, append, cursor, lags, set_cursor, wait_after};

use crate::common::{add, event, filled, ledgers, project};

/// Waiting that never ends is a failure, not a hang.
const PATIENCE: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_cursor_moves_forward_only() {
    for test in ledgers().await {
        let read = |db: Db| async move { db.read(|tx| cursor(tx, "webhooks")).await.unwrap() };
        assert_eq!(read(test.db.clone()).await, Seq(0), "{}", test.name);
        for (set, expected) in [(5, 5), (3, 5), (9, 9)] {
            test.db
                .write(move |tx| set_cursor(tx, "webhooks", Seq(set)))
                .await
                .unwrap();
            assert_eq!(read(test.db.clone()).await, Seq(expected), "{}", test.name);
        }
    }
}

#[tokio::test]
async fn lag_tells_how_many_wait_and_since_when() {
    for test in filled().await {
        test.db
            .write(|tx| {
                set_cursor(tx, "controller", Seq(12))?;
                set_cursor(tx, "webhooks", Seq(9))
            })
            .await
            .unwrap();
        let expected = [
            Lag {
                consumer: "controller".to_owned(),
                seq: Seq(12),
                behind: 0,
                oldest_at: None,
            },
            Lag {
                consumer: "webhooks".to_owned(),
                seq: Seq(9),
                behind: 3,
                oldest_at: Some(Timestamp(10_000)),
            },
        ];
        assert_eq!(test.db.read(lags).await.unwrap(), expected, "{}", test.name);
    }
}

#[tokio::test]
async fn a_commit_wakes_who_waits() {
    for test in ledgers().await {
        let waiting = wait_after(&test.db, Seq(0));
        let appending = add(&test.db, 1, event("flights", "a", 1));
        let woken = tokio::time::timeout(PATIENCE, async { tokio::join!(waiting, appending) }).await;
        assert_eq!(woken.expect("woken").0.unwrap(), Seq(1), "{}", test.name);
        // What is there already needs no wake-up.
        assert_eq!(wait_after(&test.db, Seq(0)).await.unwrap(), Seq(1));
    }
}

#[tokio::test]
async fn a_tail_hands_out_each_matching_event_once() {
    for test in filled().await {
        let filter = Filter {
            project: Some(project("houses")),
            ..Filter::default()
        };
        let mut tail = Tail::new(&test.db, Seq(3), filter);
        let mut seen = Vec::new();
        while seen.len() < 5 {
            seen.extend(tail.next(2).await.unwrap().iter().map(|event| event.seq.0));
        }
        assert_eq!(seen, [4, 6, 8, 10, 12], "{}", test.name);

        let writing = test.db.write(|tx| {
            append(tx, Timestamp(1), event("flights", "a", 13))?;
            append(tx, Timestamp(1), event("houses", "a", 14))
        });
        let (next, written) = tokio::time::timeout(PATIENCE, async { tokio::join!(tail.next(10), writing) })
            .await
            .expect("woken");
        written.unwrap();
        let next = next.unwrap();
        assert_eq!(
            next.iter().map(|event| event.seq.0).collect::<Vec<_>>(),
            [14],
            "{}",
            test.name
        );
        assert_eq!(tail.position(), Seq(14));
    }
}
