//! Tokens let in who holds them, for as long and as far as they say.

use everloop_access::{Error, MIGRATIONS, NewToken, Role, Secret, TokenScope, Tokens};
use everloop_core::{Actor, Clock, ProjectName, Timestamp};
use everloop_db::Migration;
use std::time::Duration;

fn migrations() -> Vec<Migration> {
    [everloop_ledger::MIGRATIONS, MIGRATIONS].concat()
}

fn admin(label: &str) -> NewToken {
    NewToken {
        label: label.to_owned(),
        role: Role::Admin,
        scope: TokenScope::Everything,
        lifetime: None,
    }
}

fn me() -> Actor {
    Actor::Local("ada".to_owned())
}

#[tokio::test]
async fn a_token_opens_until_it_is_revoked() {
    for test in everloop_db::testing::databases(&migrations()).await {
        let tokens = Tokens::new(
            test.db.clone(),
            Clock::manual(Timestamp(1_000)),
            ProjectName::new("house").unwrap(),
        );
        tokens.create(&me(), admin("keeper")).await.unwrap();
        let (token, secret) = tokens.create(&me(), admin("guest")).await.unwrap();

        let principal = tokens.authenticate(&secret).await.unwrap();
        assert_eq!(principal.actor, Actor::Token("guest".to_owned()));

        tokens.revoke(&me(), &token.id).await.unwrap();
        // Nothing waits for the cache's time to pass: the manual clock stands still.
        wait_until_refused(&tokens, &secret).await;
    }
}

/// The wake-up travels through the database; it is quick, not instant.
async fn wait_until_refused(tokens: &Tokens, secret: &Secret) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while tokens.authenticate(secret).await.is_ok() {
            tokio::task::yield_now().await;
        }
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_token_ends_at_its_time() {
    for test in everloop_db::testing::databases(&migrations()).await {
        let clock = Clock::manual(Timestamp(1_000));
        let tokens = Tokens::new(test.db.clone(), clock.clone(), ProjectName::new("house").unwrap());
        let new = NewToken {
            lifetime: Some(Duration::from_secs(1)),
            ..admin("brief")
        };
        let (_, secret) = tokens.create(&me(), new).await.unwrap();
        assert!(tokens.authenticate(&secret).await.is_ok());
        clock.advance(Duration::from_secs(1));
        assert!(matches!(
            tokens.authenticate(&secret).await,
            Err(Error::Unauthenticated)
        ));
    }
}

#[tokio::test]
async fn the_last_admin_token_stays() {
    for test in everloop_db::testing::databases(&migrations()).await {
        let tokens = Tokens::new(
            test.db.clone(),
            Clock::manual(Timestamp(1_000)),
            ProjectName::new("house").unwrap(),
        );
        let (first, _) = tokens.create(&me(), admin("first")).await.unwrap();
        assert!(matches!(
            tokens.revoke(&me(), &first.id).await,
            Err(Error::LastAdmin { .. })
        ));
        tokens.create(&me(), admin("second")).await.unwrap();
        tokens.revoke(&me(), &first.id).await.unwrap();
        assert!(tokens.has_admin().await.unwrap());
    }
}

#[tokio::test]
async fn secrets_are_never_stored_or_printed() {
    for test in everloop_db::testing::databases(&migrations()).await {
        let tokens = Tokens::new(
            test.db.clone(),
            Clock::manual(Timestamp(1_000)),
            ProjectName::new("house").unwrap(),
        );
        let (_, secret) = tokens.create(&me(), admin("ci")).await.unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        let text = secret.reveal().to_owned();
        let found: i64 = test
            .db
            .read(move |tx| {
                let sql =
                    "SELECT COUNT(*) AS n FROM access_tokens WHERE id = ?1 OR secret_hash = ?1 OR label = ?1";
                tx.query_one(sql, &everloop_db::params![text.as_str()])?.get("n")
            })
            .await
            .unwrap();
        assert_eq!(found, 0);
    }
}

#[tokio::test]
async fn guesses_are_refused() {
    for test in everloop_db::testing::databases(&migrations()).await {
        let tokens = Tokens::new(
            test.db.clone(),
            Clock::manual(Timestamp(1_000)),
            ProjectName::new("house").unwrap(),
        );
        for guess in ["", "evl_", "evl_AAAA", "' OR 1=1 --", "\0"] {
            let answer = tokens.authenticate(&Secret::new(guess)).await;
            assert!(matches!(answer, Err(Error::Unauthenticated)), "{guess:?}");
        }
    }
}
