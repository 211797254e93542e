//! What a transaction costs: `cargo bench -p everloop-db`, on Postgres too when `EVERLOOP_TEST_POSTGRES` names one.
//!
//! A write is durable when it answers, so one writer measures the disk and 64 writers measure the group commit.

#![allow(
    clippy::unwrap_used,
    reason = "a bench that unwraps fails with the line it unwrapped on"
)]

use divan::counter::ItemsCount;
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Db, Error, Migration, Value, params};
use tokio::runtime::Runtime;
use tokio::task::JoinSet;

const MIGRATIONS: &[Migration] = &[Migration {
    component: "bench",
    number: 1,
    name: "points",
    sql: "CREATE TABLE points (series BIGINT NOT NULL, step BIGINT NOT NULL, value REAL, PRIMARY KEY (series, step))
          WITHOUT ROWID;",
}];

const WRITERS: i64 = 64;
const WRITES_EACH: i64 = 16;

fn main() {
    divan::main();
}

/// A database of this kind with 10,000 points; `None` when there is no such database here.
fn filled(kind: &str) -> Option<(Runtime, TestDb)> {
    let runtime = Runtime::new().unwrap();
    let test = runtime
        .block_on(databases(MIGRATIONS))
        .into_iter()
        .find(|test| test.name == kind)?;
    runtime.block_on(insert(&test.db, 0, 10_000));
    Some((runtime, test))
}

async fn insert(db: &Db, series: i64, count: i64) {
    let rows: Vec<Vec<Value>> = (0..count)
        .map(|step| params![series, step, 0.5].to_vec())
        .collect();
    db.write(move |tx| {
        tx.execute("DELETE FROM points WHERE series = ?1", &params![series])?;
        tx.execute_many(
            "INSERT INTO points (series, step, value) VALUES (?1, ?2, ?3)",
            &rows,
        )
    })
    .await
    .unwrap();
}

async fn update(db: &Db, step: i64) {
    db.write(move |tx| {
        tx.execute(
            "UPDATE points SET value = value + 1 WHERE series = 0 AND step = ?1",
            &params![step],
        )
    })
    .await
    .unwrap();
}

#[divan::bench(args = ["sqlite", "postgres"])]
fn read_one_row(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher.bench_local(|| {
        runtime.block_on(test.db.read(|tx| {
            let sql = "SELECT value FROM points WHERE series = ?1 AND step = ?2";
            tx.query_one(sql, &params![0, 5_000])?.get::<f64>("value")
        }))
    });
}

#[divan::bench(args = ["sqlite", "postgres"])]
fn write_one_row(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher.bench_local(|| runtime.block_on(update(&test.db, 5_000)));
}

#[divan::bench(args = ["sqlite", "postgres"], sample_count = 10)]
fn write_from_64_tasks(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher
        .counter(ItemsCount::new((WRITERS * WRITES_EACH).cast_unsigned()))
        .bench_local(|| {
            runtime.block_on(async {
                let mut writers = JoinSet::new();
                for writer in 0..WRITERS {
                    let db = test.db.clone();
                    writers.spawn(async move {
                        for write in 0..WRITES_EACH {
                            update(&db, writer * WRITES_EACH + write).await;
                        }
                    });
                }
                writers.join_all().await
            })
        });
}

#[divan::bench(args = ["sqlite", "postgres"], sample_count = 10)]
fn insert_1000_rows_in_one_write(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher
        .counter(ItemsCount::new(1_000_u32))
        .bench_local(|| runtime.block_on(insert(&test.db, 1, 1_000)));
}

#[divan::bench(args = ["sqlite", "postgres"], sample_count = 10)]
fn read_1000_rows(bencher: divan::Bencher<'_, '_>, kind: &str) {
    let Some((runtime, test)) = filled(kind) else {
        return;
    };
    bencher.counter(ItemsCount::new(1_000_u32)).bench_local(|| {
        let rows = test.db.read(|tx| {
            let sql = "SELECT step, value FROM points WHERE series = 0 ORDER BY step LIMIT 1000";
            let rows = tx.query(sql, &[])?;
            rows.iter()
                .map(|row| row.get::<f64>("value"))
                .sum::<Result<f64, Error>>()
        });
        runtime.block_on(rows)
    });
}
