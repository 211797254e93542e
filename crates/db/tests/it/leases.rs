//! One holder at a time, and a token that only grows.

use std::time::Duration;

use everloop_core::Timestamp;
use everloop_db::leases::{acquire, check, get, release, renew};
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Error, Lease};
use tokio::task::JoinSet;

const TTL: Duration = Duration::from_secs(10);

async fn take(test: &TestDb, holder: &'static str, at: i64) -> Option<Lease> {
    let taken = test
        .db
        .write(move |tx| acquire(tx, "run-1", holder, TTL, Timestamp(at)))
        .await;
    taken.unwrap()
}

async fn holds(test: &TestDb, lease: &Lease) -> bool {
    let lease = lease.clone();
    match test.db.write(move |tx| check(tx, &lease)).await {
        Ok(()) => true,
        Err(Error::LeaseLost { .. }) => false,
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn a_lease_has_one_holder_until_it_ends() {
    for test in databases(&[]).await {
        let first = take(&test, "w1", 0).await.unwrap();
        assert_eq!(
            (first.token, first.expires_at),
            (1, Timestamp(10_000)),
            "{}",
            test.name
        );
        assert_eq!(take(&test, "w2", 9_999).await, None, "{}", test.name);
        assert_eq!(
            take(&test, "w1", 9_999).await,
            None,
            "{}: not even for itself",
            test.name
        );
        let second = take(&test, "w2", 10_000).await.unwrap();
        assert_eq!(second.token, 2, "{}", test.name);
        assert!(
            !holds(&test, &first).await,
            "{}: the first is fenced off",
            test.name
        );
        assert!(holds(&test, &second).await, "{}", test.name);
    }
}

#[tokio::test]
async fn renewing_holds_on_and_a_lost_lease_can_not_be_renewed() {
    for test in databases(&[]).await {
        let lease = take(&test, "w1", 0).await.unwrap();
        let renewed = test
            .db
            .write(move |tx| renew(tx, &lease, TTL, Timestamp(9_000)))
            .await
            .unwrap();
        assert_eq!(
            (renewed.token, renewed.expires_at),
            (1, Timestamp(19_000)),
            "{}",
            test.name
        );
        assert_eq!(take(&test, "w2", 18_999).await, None, "{}", test.name);
        let late = renewed.clone();
        let error = test
            .db
            .write(move |tx| renew(tx, &late, TTL, Timestamp(19_000)))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::LeaseLost { .. }), "{}: {error}", test.name);
        assert!(take(&test, "w2", 19_000).await.is_some(), "{}", test.name);
    }
}

#[tokio::test]
async fn a_released_lease_is_free_at_once_and_its_token_goes_on() {
    for test in databases(&[]).await {
        let first = take(&test, "w1", 0).await.unwrap();
        let released = first.clone();
        test.db.write(move |tx| release(tx, &released)).await.unwrap();
        assert!(!holds(&test, &first).await, "{}", test.name);
        let second = take(&test, "w2", 1).await.unwrap();
        assert_eq!(second.token, 2, "{}", test.name);
        // Releasing what is no longer held harms nobody.
        test.db.write(move |tx| release(tx, &first)).await.unwrap();
        assert!(holds(&test, &second).await, "{}", test.name);
        let stored = test.db.read(|tx| get(tx, "run-1")).await.unwrap();
        assert_eq!(stored, Some(second), "{}", test.name);
        assert_eq!(test.db.read(|tx| get(tx, "run-2")).await.unwrap(), None);
    }
}

#[tokio::test]
async fn many_claim_and_one_gets_it() {
    for test in databases(&[]).await {
        for round in 0..5 {
            let mut claims = JoinSet::new();
            for _ in 0..16 {
                let db = test.db.clone();
                let now = Timestamp(round * 20_000);
                claims.spawn(async move { db.write(move |tx| acquire(tx, "run-1", "w", TTL, now)).await });
            }
            let won: Vec<Lease> = claims
                .join_all()
                .await
                .into_iter()
                .filter_map(Result::unwrap)
                .collect();
            assert_eq!(won.len(), 1, "{}", test.name);
            assert_eq!(won[0].token, round + 1, "{}", test.name);
        }
    }
}
