//! What the tests of the ledger share.

use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_db::Db;
use everloop_db::testing::{TestDb, databases};
use everloop_ledger::{Error, MIGRATIONS, NewEvent, Seq, append};
use serde_json::json;

pub async fn ledgers() -> Vec<TestDb> {
    databases(MIGRATIONS).await
}

pub fn project(name: &str) -> ProjectName {
    ProjectName::new(name).unwrap()
}

pub fn event(name: &str, kind: &'static str, number: i64) -> NewEvent {
    NewEvent {
        project: project(name),
        actor: Actor::Local("ada".to_owned()),
        kind,
        subject: format!("dataset:flights@{number}"),
        payload: json!({"rows": number, "note": "größer \u{0} \"x\"", "auc": 0.1 + 0.2}),
    }
}

/// Appends one event in its own transaction.
pub async fn add(db: &Db, at: i64, event: NewEvent) -> Seq {
    db.write(move |tx| append(tx, Timestamp(at), event.clone()))
        .await
        .unwrap_or_else(|error: Error| panic!("{error}"))
}

/// Twelve events: two projects in turn, seconds apart.
pub async fn filled() -> Vec<TestDb> {
    let tests = ledgers().await;
    for test in &tests {
        for number in 1..=12 {
            let name = if number % 2 == 1 { "flights" } else { "houses" };
            add(&test.db, number * 1_000, event(name, "dataset.version", number)).await;
        }
    }
    tests
}
