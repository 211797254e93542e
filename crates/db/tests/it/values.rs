//! What goes in comes out, and is ordered alike on both databases.

use everloop_core::{Hash, Timestamp};
use everloop_db::testing::databases;
use everloop_db::{Error, Migration, Row, Value, params};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "cells",
    sql: "
        CREATE TABLE cells (
            id BIGINT NOT NULL PRIMARY KEY,
            whole BIGINT,
            flag INTEGER,
            number REAL,
            precise DOUBLE PRECISION,
            words TEXT,
            bytes BLOB
        );
        CREATE TABLE pairs (a TEXT NOT NULL, b INTEGER NOT NULL, PRIMARY KEY (a, b)) WITHOUT ROWID;",
}];

const COLUMNS: [&str; 6] = ["whole", "flag", "number", "precise", "words", "bytes"];

/// Writes `cells` and reads them back.
async fn round_trip(db: &everloop_db::Db, id: i64, cells: [Value; 6]) -> Result<Row, Error> {
    db.write(move |tx| {
        let mut row = vec![Value::Int(id)];
        row.extend(cells.clone());
        tx.execute(
            "INSERT INTO cells (id, whole, flag, number, precise, words, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &row,
        )?;
        tx.query_one("SELECT * FROM cells WHERE id = ?1", &params![id])
    })
    .await
}

#[tokio::test]
async fn values_return_as_they_went() {
    let rows: Vec<[Value; 6]> = vec![
        params![0_i64, false, 0.0, 0.0, "", Vec::<u8>::new()],
        params![
            i64::MAX,
            1_i32,
            f64::MAX,
            f64::MIN_POSITIVE,
            "grüße 🛫 \u{10ffff}",
            vec![0_u8, 255, 1]
        ],
        params![
            i64::MIN,
            u32::MAX,
            f64::INFINITY,
            f64::NEG_INFINITY,
            "'\"?1$1;--",
            (0..=255).collect::<Vec<u8>>()
        ],
        params![-1, i64::MIN, 0.1 + 0.2, 1e-310, "a\tb\nc\r\\", b"text".to_vec()],
        [const { Value::Null }; 6],
        params![
            Timestamp(1_364_774_400_123),
            true,
            1.0,
            -2.0,
            Hash::of(b"x"),
            vec![1_u8; 100_000]
        ],
    ];
    for test in databases(MIGRATIONS).await {
        for (id, cells) in rows.iter().enumerate() {
            let row = round_trip(&test.db, id as i64, cells.clone()).await.unwrap();
            for (column, sent) in COLUMNS.iter().zip(cells) {
                assert_eq!(
                    row.value(column).unwrap(),
                    sent,
                    "{} {column} of row {id}",
                    test.name
                );
            }
        }
    }
}
