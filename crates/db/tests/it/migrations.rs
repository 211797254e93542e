//! Old databases come up to date once, whole, with a copy kept; newer and foreign ones are refused.

use everloop_core::{Clock, Code, Coded};
use everloop_db::testing::{Place, places};
use everloop_db::{Db, DbUrl, Error, Migration, params};

const fn step(number: u32, name: &'static str, sql: &'static str) -> Migration {
    Migration {
        component: "test",
        number,
        name,
        sql,
    }
}

const ALL: [Migration; 4] = [
    step(
        1,
        "models",
        "CREATE TABLE models (name TEXT NOT NULL PRIMARY KEY);
         CREATE TABLE versions (
             model TEXT NOT NULL REFERENCES models (name),
             version INTEGER NOT NULL,
             PRIMARY KEY (model, version)
         );",
    ),
    step(
        2,
        "stages",
        "ALTER TABLE versions ADD COLUMN stage TEXT NOT NULL DEFAULT 'none';
         UPDATE versions SET stage = 'old';
         CREATE INDEX versions_stage ON versions (stage);",
    ),
    step(
        3,
        "notes",
        "CREATE TABLE notes (id BIGINT NOT NULL PRIMARY KEY, note TEXT)",
    ),
    step(4, "more notes", "ALTER TABLE notes ADD COLUMN author TEXT"),
];

async fn open(url: &DbUrl, migrations: &[Migration]) -> Result<Db, Error> {
    Db::open(url, migrations, &Clock::system()).await
}

/// A database at the first step with a row in each table.
async fn old(place: &Place) -> Db {
    let db = open(&place.url, &ALL[..1]).await.unwrap();
    db.write(|tx| {
        tx.execute("INSERT INTO models (name) VALUES ('a')", &[])?;
        tx.execute("INSERT INTO versions (model, version) VALUES ('a', 1)", &[])
    })
    .await
    .unwrap();
    db
}

async fn stages(db: &Db) -> Vec<String> {
    let rows = db
        .read(|tx| tx.query("SELECT stage FROM versions", &[]))
        .await
        .unwrap();
    rows.iter().map(|row| row.get("stage").unwrap()).collect()
}

/// Where the `number`th copy before a migration was put; `applied` migrations had been applied then.
fn copy_url(place: &Place, number: u32, applied: u32) -> DbUrl {
    let shown = place.url.to_string();
    match place.address() {
        None => DbUrl::sqlite(format!(
            "{}.before-{applied:04}",
            shown.trim_start_matches("sqlite:")
        )),
        Some(address) => {
            let schema = shown.split_once("schema=").unwrap().1;
            place.through(&address, &format!("schema={schema}_before_{number}"))
        }
    }
}

#[tokio::test]
async fn an_old_database_comes_up_to_date_with_its_rows() {
    for place in places() {
        old(&place).await.close().await;
        let new = open(&place.url, &ALL[..2]).await.unwrap();
        assert_eq!(stages(&new).await, ["old"], "{}", place.name);
        new.close().await;
        // Opening it again finds nothing to do.
        let again = open(&place.url, &ALL[..2]).await.unwrap();
        assert_eq!(stages(&again).await, ["old"], "{}", place.name);
    }
}

#[tokio::test]
async fn the_state_before_is_kept_and_can_be_gone_back_to() {
    for place in places() {
        old(&place).await.close().await;
        open(&place.url, &ALL[..2]).await.unwrap().close().await;
        let copy = open(&copy_url(&place, 1, 2), &ALL[..1]).await.unwrap();
        let n: i64 = copy
            .read(|tx| tx.query_one("SELECT COUNT(*) AS n FROM versions", &[])?.get("n"))
            .await
            .unwrap();
        assert_eq!(n, 1, "{}", place.name);
        // Rules are part of the copy.
        let error = copy
            .write(|tx| tx.execute("INSERT INTO versions (model, version) VALUES ('missing', 1)", &[]))
            .await
            .unwrap_err();
        assert_eq!(error.code(), Code::FailedPrecondition, "{}: {error}", place.name);
    }
}

#[tokio::test]
async fn two_copies_are_kept() {
    for place in places() {
        for known in 1..=4 {
            open(&place.url, &ALL[..known]).await.unwrap().close().await;
        }
        // A copy opens with what it had; where there is none a new database is made, which has nothing.
        let has = async |number: u32, applied: u32, known: usize| {
            let url = copy_url(&place, number, applied);
            match &place.address() {
                None => std::path::Path::new(url.to_string().trim_start_matches("sqlite:")).exists(),
                Some(_) => {
                    let db = open(&url, &ALL[..known]).await.unwrap();
                    let sql = "SELECT MIN(applied_at) < MAX(applied_at) AS is_old FROM everloop_migrations";
                    db.read(move |tx| tx.query_one(sql, &[])?.get::<bool>("is_old"))
                        .await
                        .unwrap()
                }
            }
        };
        assert!(has(3, 4, 3).await, "{}", place.name);
        assert!(has(2, 3, 2).await, "{}", place.name);
        assert!(!has(1, 2, 1).await, "{}", place.name);
    }
}

#[tokio::test]
async fn a_newer_database_is_refused_and_left_alone() {
    for place in places() {
        old(&place).await.close().await;
        open(&place.url, &ALL[..2]).await.unwrap().close().await;
        let error = open(&place.url, &ALL[..1]).await.err().unwrap();
        assert_eq!(
            error.to_string(),
            "database has migration test 2 \"stages\", this program knows test up to 1",
            "{}",
            place.name
        );
        assert_eq!(error.code(), Code::FailedPrecondition);
        assert!(error.hint().unwrap().contains("newer program"));
        let error = open(&place.url, &[]).await.err().unwrap();
        assert!(
            matches!(error, Error::NewerSchema { known: 0, .. }),
            "{}: {error}",
            place.name
        );
        assert_eq!(stages(&open(&place.url, &ALL[..2]).await.unwrap()).await, ["old"]);
    }
}

#[tokio::test]
async fn a_changed_migration_is_refused() {
    for place in places() {
        old(&place).await.close().await;
        let other = [
            step(
                1,
                "other models",
                "CREATE TABLE models (id BIGINT NOT NULL PRIMARY KEY)",
            ),
            ALL[1],
        ];
        let error = open(&place.url, &other).await.err().unwrap();
        assert!(
            matches!(&error, Error::ChangedMigration { number: 1, .. }),
            "{}: {error}",
            place.name
        );
        assert!(
            open(&place.url, &ALL[..1]).await.is_ok(),
            "{}: left alone",
            place.name
        );
    }
}

#[tokio::test]
async fn a_failed_migration_leaves_the_database_as_it_was() {
    for place in places() {
        old(&place).await.close().await;
        let broken = [
            ALL[0],
            ALL[1],
            step(
                3,
                "broken",
                "CREATE TABLE half (x BIGINT); INSERT INTO nowhere (x) VALUES (1)",
            ),
        ];
        let error = open(&place.url, &broken).await.err().unwrap();
        let text = error.to_string();
        assert!(
            text.starts_with("migration test 3 \"broken\" failed:") && text.contains("nowhere"),
            "{text}"
        );
        let db = open(&place.url, &ALL[..1]).await.unwrap();
        let missing = db.read(|tx| tx.query("SELECT stage FROM versions", &[])).await;
        assert!(
            missing.is_err(),
            "{}: the step before the broken one is taken back too",
            place.name
        );
        db.close().await;
        assert!(open(&place.url, &ALL).await.is_ok(), "{}", place.name);
    }
}

#[tokio::test]
async fn a_migration_that_breaks_references_is_refused() {
    for place in places() {
        old(&place).await.close().await;
        let breaking = [ALL[0], step(2, "cleans up", "DELETE FROM models")];
        let error = open(&place.url, &breaking).await.err().unwrap();
        assert!(
            matches!(&error, Error::Migration { number: 2, .. }),
            "{}: {error}",
            place.name
        );
        assert!(open(&place.url, &ALL).await.is_ok(), "{}", place.name);
    }
}

#[tokio::test]
async fn many_that_open_at_once_migrate_once() {
    for place in places() {
        let opened = futures::future::join_all((0..8).map(|_| open(&place.url, &ALL))).await;
        for db in opened {
            let n: i64 = db
                .unwrap()
                .read(|tx| {
                    let sql = "SELECT COUNT(*) AS n FROM everloop_migrations WHERE component = ?1";
                    tx.query_one(sql, &params!["test"])?.get("n")
                })
                .await
                .unwrap();
            assert_eq!(n, 4, "{}", place.name);
        }
    }
}

#[tokio::test]
async fn tables_of_another_program_are_left_alone() {
    for place in places() {
        // Without our list of migrations these are anyone's tables.
        let db = open(&place.url, &ALL[..1]).await.unwrap();
        db.write(|tx| tx.execute("DROP TABLE everloop_migrations", &[]))
            .await
            .unwrap();
        db.close().await;
        let error = open(&place.url, &ALL).await.err().unwrap();
        assert!(matches!(error, Error::NotOurs { .. }), "{}: {error}", place.name);
    }
}

#[tokio::test]
async fn a_step_may_not_end_the_transaction() {
    let place = &places()[0];
    old(place).await.close().await;
    let ending = [ALL[0], step(2, "ends it", "CREATE TABLE x (y BIGINT); COMMIT")];
    let error = open(&place.url, &ending).await.err().unwrap();
    assert!(
        error.to_string().contains("may not end its transaction"),
        "{error}"
    );
}
