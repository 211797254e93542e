//! A repeated request has one effect.

use everloop_core::{Hash, IdempotencyKey, Timestamp};
use everloop_db::Db;
use everloop_ledger::idempotency::{forget_before, once};
use everloop_ledger::{Error, Seq, append, head};

use tokio::task::JoinSet;

use crate::common::{event, ledgers, project};

/// Appends an event under `key`; answers its place.
async fn request(db: &Db, key: &str, body: &'static [u8], fails: bool) -> Result<Seq, Error> {
    let key = IdempotencyKey::new(key);
    db.write(move |tx| {
        once(
            tx,
            &project("flights"),
            &key,
            Hash::of(body),
            Timestamp(1_000),
            |tx| {
                let seq = append(tx, Timestamp(1_000), event("flights", "a", 1))?;
                if fails {
                    return Err(Error::KeyReused {
                        key: IdempotencyKey::new("the effect fails"),
                    });
                }
                Ok(seq)
            },
        )
    })
    .await
}

#[tokio::test]
async fn the_same_key_has_one_effect_and_one_answer() {
    for test in ledgers().await {
        let mut requests = JoinSet::new();
        for _ in 0..16 {
            let db = test.db.clone();
            requests.spawn(async move { request(&db, "k", b"body", false).await });
        }
        for answer in requests.join_all().await {
            assert_eq!(answer.unwrap(), Seq(1), "{}", test.name);
        }
        assert_eq!(test.db.read(head).await.unwrap(), Seq(1), "{}", test.name);
    }
}

#[tokio::test]
async fn a_key_belongs_to_one_request() {
    for test in ledgers().await {
        request(&test.db, "k", b"body", false).await.unwrap();
        let error = request(&test.db, "k", b"other", false).await.unwrap_err();
        assert!(matches!(error, Error::KeyReused { .. }), "{}: {error}", test.name);
        assert_eq!(request(&test.db, "other", b"other", false).await.unwrap(), Seq(2));
    }
}

#[tokio::test]
async fn a_failed_effect_leaves_its_key_unused() {
    for test in ledgers().await {
        request(&test.db, "k", b"body", true).await.unwrap_err();
        assert_eq!(
            request(&test.db, "k", b"body", false).await.unwrap(),
            Seq(1),
            "{}",
            test.name
        );
    }
}

#[tokio::test]
async fn old_keys_are_forgotten() {
    for test in ledgers().await {
        request(&test.db, "k", b"body", false).await.unwrap();
        for (at, forgotten) in [(1_000, 0), (1_001, 1)] {
            let count = test
                .db
                .write(move |tx| forget_before(tx, Timestamp(at)))
                .await
                .unwrap();
            assert_eq!(count, forgotten, "{}", test.name);
        }
        assert_eq!(request(&test.db, "k", b"body", false).await.unwrap(), Seq(2));
    }
}
