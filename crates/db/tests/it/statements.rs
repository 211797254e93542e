//! The subset of SQL that the house relies on, and the named differences.

use everloop_db::testing::{TestDb, databases};
use everloop_db::{ConstraintKind, Error, Migration, Row, Tx, Value, params};

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "models",
    sql: "
        CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY, stage TEXT NOT NULL DEFAULT 'none');
        CREATE TABLE versions (
            model TEXT NOT NULL REFERENCES models (name) DEFERRABLE INITIALLY DEFERRED,
            version INTEGER NOT NULL CHECK (version > 0),
            score REAL,
            PRIMARY KEY (model, version)
        ) WITHOUT ROWID;
        CREATE UNIQUE INDEX one_score ON versions (score) WHERE score IS NOT NULL;",
}];

/// Two models with five versions each.
async fn filled() -> Vec<TestDb> {
    let tests = databases(MIGRATIONS).await;
    for test in &tests {
        test.db
            .write(|tx| {
                tx.execute("INSERT INTO models (name) VALUES (?1), (?2)", &params!["a", "b"])?;
                let rows: Vec<Vec<Value>> = ["a", "b"]
                    .iter()
                    .flat_map(|model| (1..=5).map(move |version| params![*model, version].to_vec()))
                    .collect();
                tx.execute_many("INSERT INTO versions (model, version) VALUES (?1, ?2)", &rows)
            })
            .await
            .unwrap();
    }
    tests
}

fn pairs(rows: &[Row]) -> Vec<(String, i64)> {
    let pair = |row: &Row| (row.get("model").unwrap(), row.get("version").unwrap());
    rows.iter().map(pair).collect()
}

#[tokio::test]
async fn keyset_pages_compare_row_values() {
    for test in filled().await {
        let mut seen = Vec::new();
        let mut last = (String::new(), 0);
        loop {
            let from = last.clone();
            let page = test
                .db
                .read(move |tx| {
                    tx.query(
                        "SELECT model, version FROM versions WHERE (model, version) > (?1, ?2)
                         ORDER BY model, version LIMIT 3",
                        &params![&from.0, from.1],
                    )
                })
                .await
                .unwrap();
            let page = pairs(&page);
            let Some(end) = page.last() else { break };
            last = end.clone();
            seen.extend(page);
        }
        assert_eq!(seen.len(), 10, "{}", test.name);
        assert!(seen.is_sorted());
    }
}

#[tokio::test]
async fn conflicts_update_and_returning_answers() {
    for test in filled().await {
        let (changed, row, nothing) = test
            .db
            .write(|tx| {
                let upsert = "INSERT INTO models (name, stage) VALUES (?1, ?2)
                     ON CONFLICT (name) DO UPDATE SET stage = excluded.stage WHERE models.stage <> excluded.stage
                     RETURNING name, stage";
                let row = tx.query_one(upsert, &params!["a", "live"])?;
                let nothing = tx.query_opt(upsert, &params!["a", "live"])?;
                let changed = tx.execute("INSERT INTO models (name) VALUES (?1) ON CONFLICT DO NOTHING", &params!["b"])?;
                Ok::<_, Error>((changed, row, nothing.is_none()))
            })
            .await
            .unwrap();
        assert_eq!(row.get::<String>("stage").unwrap(), "live", "{}", test.name);
        assert!(
            nothing,
            "{}: a guarded update that does not apply returns no row",
            test.name
        );
        assert_eq!(changed, 0, "{}", test.name);
    }
}

#[tokio::test]
async fn execute_counts_rows() {
    for test in filled().await {
        let counts = test
            .db
            .write(|tx| {
                Ok::<_, Error>([
                    tx.execute("UPDATE versions SET score = NULL WHERE model = ?1", &params!["a"])?,
                    tx.execute("UPDATE versions SET score = 1 WHERE version = 99", &[])?,
                    tx.execute("SELECT model FROM versions", &[]).map(|_| 0)?,
                    tx.execute(
                        "DELETE FROM versions WHERE version >= ?1 RETURNING model",
                        &params![4],
                    )?,
                    tx.execute_many("DELETE FROM versions WHERE version = ?1", &[])?,
                    tx.execute_many(
                        "DELETE FROM versions WHERE model = ?1 AND version = ?2",
                        &[
                            params!["a", 1].to_vec(),
                            params!["a", 99].to_vec(),
                            params!["b", 1].to_vec(),
                        ],
                    )?,
                ])
            })
            .await
            .unwrap();
        assert_eq!(counts, [5, 0, 0, 4, 0, 2], "{}", test.name);
    }
}

#[tokio::test]
async fn a_batch_runs_in_order_and_answers_each() {
    for test in filled().await {
        let (rows, error) = test
            .db
            .write(|tx| {
                let one = params!["c"];
                let rows = tx.batch(&[
                    ("INSERT INTO models (name) VALUES (?1) RETURNING name", &one),
                    ("UPDATE models SET stage = 'live' WHERE name = ?1", &one),
                    ("SELECT stage FROM models WHERE name = ?1", &one),
                ])?;
                let error = tx.attempt(|tx| {
                    tx.batch(&[
                        ("SELECT name FROM models", &[]),
                        ("INSERT INTO models (name) VALUES (?1)", &one),
                        ("SELECT name FROM models", &[]),
                    ])
                });
                Ok::<_, Error>((rows, error.unwrap_err()))
            })
            .await
            .unwrap();
        let counts: Vec<usize> = rows.iter().map(Vec::len).collect();
        assert_eq!(counts, [1, 0, 1], "{}", test.name);
        assert_eq!(
            rows[2][0].get::<String>("stage").unwrap(),
            "live",
            "{}",
            test.name
        );
        let kind = ConstraintKind::Unique;
        assert!(
            matches!(&error, Error::Constraint { kind: found, .. } if *found == kind),
            "{}: {error}",
            test.name
        );
    }
}

#[tokio::test]
async fn windows_ctes_and_nulls_last_are_shared() {
    for test in filled().await {
        let rows = test
            .db
            .write(|tx| {
                tx.execute("UPDATE versions SET score = version WHERE model = 'b' AND version < 3", &[])?;
                tx.query(
                    "WITH ranked AS (
                        SELECT model, version, score,
                               ROW_NUMBER() OVER (PARTITION BY model ORDER BY score DESC NULLS LAST, version) AS place
                        FROM versions
                     )
                     SELECT model, version FROM ranked WHERE place = 1 ORDER BY model",
                    &[],
                )
            })
            .await
            .unwrap();
        assert_eq!(
            pairs(&rows),
            [("a".to_owned(), 1), ("b".to_owned(), 2)],
            "{}",
            test.name
        );
    }
}

#[tokio::test]
async fn broken_rules_are_told_apart() {
    let cases: [(&str, ConstraintKind); 5] = [
        ("INSERT INTO models (name) VALUES ('a')", ConstraintKind::Unique),
        (
            "UPDATE versions SET score = 1.5 WHERE version < 3",
            ConstraintKind::Unique,
        ),
        ("INSERT INTO models (name) VALUES (NULL)", ConstraintKind::NotNull),
        (
            "INSERT INTO versions (model, version) VALUES ('a', 0)",
            ConstraintKind::Check,
        ),
        // Deferred, so the commit says it.
        ("DELETE FROM models WHERE name = 'a'", ConstraintKind::ForeignKey),
    ];
    for test in filled().await {
        for (sql, expected) in cases {
            let error = test.db.write(move |tx| tx.execute(sql, &[])).await.unwrap_err();
            let Error::Constraint { kind, detail } = &error else {
                panic!("{} {sql}: {error}", test.name);
            };
            assert_eq!(*kind, expected, "{} {sql}", test.name);
            assert!(
                !detail.contains("'a'"),
                "{}: values stay out of messages: {detail}",
                test.name
            );
        }
    }
}

#[tokio::test]
async fn a_deferred_rule_fails_its_own_transaction_only() {
    for test in filled().await {
        let writes = (0..40).map(|number| {
            let db = test.db.clone();
            async move {
                db.write(move |tx| {
                    let model = if number % 10 == 0 { "missing" } else { "a" };
                    tx.execute(
                        "INSERT INTO versions (model, version) VALUES (?1, ?2)",
                        &params![model, 100 + number],
                    )
                })
                .await
            }
        });
        let failed: Vec<usize> = futures::future::join_all(writes)
            .await
            .iter()
            .enumerate()
            .filter_map(|(number, done)| done.is_err().then_some(number))
            .collect();
        assert_eq!(failed, [0, 10, 20, 30], "{}", test.name);
        let kept: i64 = test
            .db
            .read(|tx| {
                tx.query_one("SELECT COUNT(*) AS n FROM versions WHERE version >= 100", &[])?
                    .get("n")
            })
            .await
            .unwrap();
        assert_eq!(kept, 36, "{}", test.name);
    }
}

/// The names that match, by the statement's condition.
fn matching(tx: &mut Tx<'_>, condition: &str, pattern: &str) -> Result<Vec<String>, Error> {
    let sql = format!("SELECT name FROM models WHERE {condition} ORDER BY name");
    tx.query(&sql, &params![pattern])?
        .iter()
        .map(|row| row.get("name"))
        .collect()
}

#[tokio::test]
async fn like_minds_case_and_ilike_does_not() {
    let names = [
        "Flight", "flight", "FLIGHTS", "flight_x", "flight%x", "flightyx", "Äpfel", "äpfel", "a\\b",
    ];
    let cases: [(&str, &[&str], &[&str]); 7] = [
        ("flight", &["flight"], &["Flight", "flight"]),
        (
            "flight%",
            &["flight", "flight%x", "flight_x", "flightyx"],
            &["FLIGHTS", "Flight", "flight", "flight%x", "flight_x", "flightyx"],
        ),
        (
            "flight_x",
            &["flight%x", "flight_x", "flightyx"],
            &["flight%x", "flight_x", "flightyx"],
        ),
        ("flight\\_x", &["flight_x"], &["flight_x"]),
        ("flight\\%x", &["flight%x"], &["flight%x"]),
        ("ÄPFEL", &[], &["Äpfel"]),
        ("a\\\\b", &["a\\b"], &["a\\b"]),
    ];
    for test in databases(MIGRATIONS).await {
        test.db
            .write(move |tx| {
                let rows: Vec<Vec<Value>> = names.iter().map(|name| params![*name].to_vec()).collect();
                tx.execute_many("INSERT INTO models (name) VALUES (?1)", &rows)
            })
            .await
            .unwrap();
        for (pattern, like, ilike) in cases {
            let found = test
                .db
                .read(move |tx| {
                    let (like, ilike) = (tx.like("name", "?1"), tx.ilike("name", "?1"));
                    Ok::<_, Error>((matching(tx, &like, pattern)?, matching(tx, &ilike, pattern)?))
                })
                .await
                .unwrap();
            assert_eq!(found.0, like, "{} LIKE {pattern}", test.name);
            assert_eq!(found.1, ilike, "{} ILIKE {pattern}", test.name);
        }
    }
}

#[tokio::test]
async fn misused_statements_say_what_is_wrong() {
    for test in filled().await {
        let refused = |sql: &'static str, params: Vec<Value>| {
            let db = test.db.clone();
            async move {
                db.write(move |tx| tx.query(sql, &params))
                    .await
                    .unwrap_err()
                    .to_string()
            }
        };
        let text = refused(
            "SELECT name FROM models WHERE name = ?1 OR name = ?2",
            vec![Value::Int(1)],
        )
        .await;
        assert_eq!(
            text,
            "statement takes 2 parameters, 1 were given; in: SELECT name FROM models WHERE name = ?1 OR name = ?2"
        );
        let text = refused("SELECT nme FROM models", vec![]).await;
        assert!(
            text.starts_with("statement refused:") && text.ends_with("in: SELECT nme FROM models"),
            "{text}"
        );
        let text = refused("SELECT \"not a column\" FROM models", vec![]).await;
        assert!(
            text.contains("not a column"),
            "{}: double quotes are names: {text}",
            test.name
        );
        for control in ["COMMIT", "rollback", "PRAGMA foreign_keys = OFF", "VACUUM"] {
            let text = refused(control, vec![]).await;
            assert!(
                text.contains("is not for the code inside a transaction"),
                "{}: {text}",
                test.name
            );
        }
    }
}

#[tokio::test]
async fn one_row_is_one_row() {
    for test in filled().await {
        let (none, many) = test
            .db
            .read(|tx| {
                let none = tx
                    .query_one("SELECT name FROM models WHERE name = 'x'", &[])
                    .unwrap_err();
                let many = tx.query_opt("SELECT name FROM models", &[]).unwrap_err();
                // Neither ends the transaction: the statements themselves were well.
                tx.query("SELECT name FROM models", &[])?;
                Ok::<_, Error>((none, many))
            })
            .await
            .unwrap();
        assert!(matches!(none, Error::NoRow { .. }), "{}: {none}", test.name);
        assert!(matches!(many, Error::TooManyRows { .. }), "{}: {many}", test.name);
    }
}
