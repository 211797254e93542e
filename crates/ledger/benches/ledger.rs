//! What the ledger costs: `cargo bench -p everloop-ledger`, on Postgres too when `EVERLOOP_TEST_POSTGRES` names one.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that unwraps fails with the line it unwrapped on"
)]

use divan::counter::ItemsCount;
use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_db::Db;
use everloop_db::testing::{TestDb, databases};
use everloop_ledger::{Error, Filter, MIGRATIONS, NewEvent, Seq, after, append, verify};
use serde_json::json;
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const WRITERS: u32 = 64;
const EVENTS_EACH: u32 = 8;
const FILLED: u32 = 20_000;

fn main() {
    divan::main();
}

fn fresh(kind: &str) -> Option<(Runtime, TestDb)> {
    let runtime = Runtime::new().unwrap();
    let tests = runtime.block_on(databases(MIGRATIONS));
    let test = tests.into_iter().find(|test| test.name == kind)?;
    Some((runtime, test))
}

/// A ledger of 20,000 events.
fn filled(kind: &str) -> Option<(Runtime, TestDb)> {
    let (runtime, test) = fresh(kind)?;
    let done = runtime
        .block_on(test.db.write(|tx| {
            (0..FILLED).try_for_each(|number| append(tx, Timestamp(0), event(number)).map(drop))
        }));
    done.unwrap_or_else(|error: Error| panic!("{error}"));
    Some((runtime, test))
}

fn event(number: u32) -> NewEvent {
    NewEvent {
        project: ProjectName::new(format!("project-{}", number % 4)).unwrap(),
        actor: Actor::system("bench"),
        kind: "dataset.version",
        subject: format!("dataset:flights@{number}"),
        payload: json!({"rows": number, "hash": "0123456789abcdef0123456789abcdef", "parents": [1, 2, 3]}),
    }
}

async fn add(db: &Db, number: u32) {
    let done = db.write(move |tx| append(tx, Timestamp(0), event(number))).await;
    done.unwrap_or_else(|error: Error| panic!("{error}"));
}

#[divan::bench(args = ["sqlite", "postgres"])]
fn append_one(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = fresh(kind) else {
        return;
    };
    bencher.bench_local(|| runtime.block_on(add(&test.db, 1)));
}

#[divan::bench(args = ["sqlite", "postgres"], sample_count = 10)]
fn append_from_64_tasks(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = fresh(kind) else {
        return;
    };
    bencher
        .counter(ItemsCount::new(WRITERS * EVENTS_EACH))
        .bench_local(|| {
            runtime.block_on(async {
                let mut writers = JoinSet::new();
                for _ in 0..WRITERS {
                    let db = test.db.clone();
                    writers.spawn(async move {
                        for number in 0..EVENTS_EACH {
                            add(&db, number).await;
                        }
                    });
                }
                writers.join_all().await
            })
        });
}

#[divan::bench(args = ["sqlite", "postgres"], sample_count = 5)]
fn verify_20000(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher.counter(ItemsCount::new(FILLED)).bench_local(|| {
        let verified = runtime.block_on(verify(&test.db, &[])).unwrap();
        assert_eq!((verified.events, verified.problem), (u64::from(FILLED), None));
    });
}

#[divan::bench(args = ["sqlite", "postgres"])]
fn read_100_after_a_cursor(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher.counter(ItemsCount::new(100_u32)).bench_local(|| {
        let events = test.db.read(|tx| after(tx, Seq(10_000), 100, &Filter::default()));
        assert_eq!(runtime.block_on(events).unwrap().len(), 100);
    });
}
