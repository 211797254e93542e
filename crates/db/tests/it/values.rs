//! What goes in comes out, and is ordered alike on both databases.

use everloop_core::{Hash, Timestamp};
use everloop_db::testing::{TestDb, databases};
use everloop_db::{Error, Migration, Row, Value, params};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

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
        CREATE TABLE words (word TEXT NOT NULL PRIMARY KEY);",
}];

const COLUMNS: [&str; 6] = ["whole", "flag", "number", "precise", "words", "bytes"];

/// Writes `cells` and reads them back.
async fn round_trip(test: &TestDb, id: i64, cells: [Value; 6]) -> Result<Row, Error> {
    test.db
        .write(move |tx| {
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
    let all_bytes: Vec<u8> = (0..=255).collect();
    let rows: Vec<[Value; 6]> = vec![
        params![0_i64, false, 0.0, 0.0, "", Vec::<u8>::new()],
        params![
            i64::MAX,
            1_i32,
            f64::MAX,
            f64::MIN_POSITIVE,
            "grüße 🛫 \u{10ffff}",
            vec![0_u8, 255]
        ],
        params![
            i64::MIN,
            u32::MAX,
            f64::INFINITY,
            f64::NEG_INFINITY,
            "'\"?1$1;--",
            all_bytes
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
            let row = round_trip(&test, id as i64, cells.clone()).await.unwrap();
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

#[tokio::test]
async fn a_nan_is_stored_as_null() {
    for test in databases(MIGRATIONS).await {
        let cells = params![1, 1, f64::NAN, f64::NAN, "x", vec![0_u8]];
        let row = round_trip(&test, 1, cells).await.unwrap();
        assert_eq!(row.get::<Option<f64>>("number").unwrap(), None, "{}", test.name);
        assert_eq!(row.get::<Option<f64>>("precise").unwrap(), None, "{}", test.name);
    }
}

#[tokio::test]
async fn a_zero_character_is_refused() {
    for test in databases(MIGRATIONS).await {
        let cells = params![1, 1, 1.0, 1.0, "a\0b", vec![0_u8]];
        let error = round_trip(&test, 1, cells).await.unwrap_err();
        assert!(
            matches!(error, Error::ZeroCharacter { at: 1 }),
            "{}: {error}",
            test.name
        );
    }
}

#[tokio::test]
async fn a_parameter_has_the_type_of_its_value() {
    for test in databases(MIGRATIONS).await {
        let row = test
            .db
            .read(|tx| {
                tx.query_one(
                    "SELECT ?1 AS whole, ?2 AS number, ?3 AS word, ?4 AS bytes, CAST(?5 AS BIGINT) AS missing,
                            ?1 + 1 AS more, ?6 IS NULL AS is_null",
                    &params![7, 2.5, "x", vec![1_u8], None::<i64>, "set"],
                )
            })
            .await
            .unwrap();
        let expected = [
            Value::Int(7),
            Value::Real(2.5),
            Value::Text("x".to_owned()),
            Value::Bytes(vec![1]),
            Value::Null,
            Value::Int(8),
            Value::Int(0),
        ];
        assert_eq!(row.values(), expected, "{}", test.name);
    }
}

#[tokio::test]
async fn aggregates_have_the_same_types() {
    for test in databases(MIGRATIONS).await {
        for (id, whole) in [(1, i64::MAX / 2), (2, i64::MAX / 2), (3, 1)] {
            let cells = params![whole, id, 0.5, 0.25, "x", vec![0_u8]];
            round_trip(&test, id, cells).await.unwrap();
        }
        let row = test
            .db
            .read(|tx| {
                tx.query_one(
                    "SELECT COUNT(*) AS n, SUM(whole) AS total, SUM(flag) AS flags, AVG(flag) AS mean,
                            SUM(number) AS numbers, MAX(words) AS word, SUM(whole) > ?1 AS above
                     FROM cells",
                    &params![5],
                )
            })
            .await
            .unwrap();
        let expected = [
            Value::Int(3),
            Value::Int(i64::MAX),
            Value::Int(6),
            Value::Real(2.0),
            Value::Real(1.5),
            Value::Text("x".to_owned()),
            Value::Int(1),
        ];
        assert_eq!(row.values(), expected, "{}", test.name);
    }
}

/// Words that a human language orders otherwise than bytes do.
const UNORDERED: [&str; 12] = ["b", "B", "a", "A", "ä", "Z", "z", "é", "e\u{301}", "_", "10", "9"];

#[tokio::test]
async fn text_is_ordered_and_compared_byte_by_byte() {
    let mut sorted = UNORDERED.map(str::to_owned);
    sorted.sort();
    for test in databases(MIGRATIONS).await {
        let (ordered, after, largest) = test
            .db
            .write(|tx| {
                let rows: Vec<Vec<Value>> = UNORDERED.iter().map(|word| params![*word].to_vec()).collect();
                assert_eq!(
                    tx.execute_many("INSERT INTO words (word) VALUES (?1)", &rows)?,
                    12
                );
                let words = |rows: Vec<Row>| {
                    rows.iter()
                        .map(|row| row.get::<String>("word"))
                        .collect::<Result<Vec<_>, _>>()
                };
                let ordered = words(tx.query("SELECT word FROM words ORDER BY word", &[])?)?;
                let after = words(tx.query(
                    "SELECT word FROM words WHERE word > ?1 ORDER BY word",
                    &params!["Z"],
                )?)?;
                let largest: String = tx
                    .query_one("SELECT MAX(word) AS word FROM words", &[])?
                    .get("word")?;
                Ok::<_, Error>((ordered, after, largest))
            })
            .await
            .unwrap();
        assert_eq!(ordered, sorted, "{}", test.name);
        assert_eq!(after, sorted[5..], "{}", test.name);
        assert_eq!(largest, sorted[11], "{}", test.name);
    }
}

/// A number that both keep as it is: not a NaN, and not a minus zero, whose sign SQLite drops.
fn any_number() -> impl Strategy<Value = f64> {
    any::<f64>().prop_filter("kept as it is", |n| {
        !n.is_nan() && (*n != 0.0 || n.is_sign_positive())
    })
}

#[test]
fn any_value_returns_as_it_went() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tests = runtime.block_on(databases(MIGRATIONS));
    let any_bytes = proptest::collection::vec(any::<u8>(), 0..100);
    let any_cells = (
        any::<i64>(),
        any_number(),
        "[^\\x00]{0,40}",
        any_bytes,
        any::<u64>(),
    );
    let id = std::cell::Cell::new(0);
    let outcome = TestRunner::default().run(&any_cells, |(whole, number, words, bytes, large)| {
        id.set(id.get() + 1);
        let cells = params![whole, large, number, number, &words, bytes];
        for test in &tests {
            let row = runtime
                .block_on(round_trip(test, id.get(), cells.clone()))
                .unwrap();
            for (column, sent) in COLUMNS.iter().zip(&cells) {
                prop_assert_eq!(row.value(column).unwrap(), sent, "{} {}", test.name, column);
            }
            prop_assert_eq!(row.get::<u64>("flag").unwrap(), large);
        }
        Ok(())
    });
    // Dropped inside, for the connections end on the runtime.
    runtime.block_on(async { drop(tests) });
    outcome.unwrap();
}
