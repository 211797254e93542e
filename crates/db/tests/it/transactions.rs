//! All or nothing, one request at a time, and what happens when the code inside fails.

use everloop_db::testing::{TestDb, databases};
use everloop_db::{Error, Migration, params};
use tokio::task::JoinSet;

const MIGRATIONS: &[Migration] = &[Migration {
    component: "test",
    number: 1,
    name: "counters",
    sql: "CREATE TABLE counters (name TEXT NOT NULL PRIMARY KEY, n BIGINT NOT NULL)",
}];

async fn fresh() -> Vec<TestDb> {
    let tests = databases(MIGRATIONS).await;
    for test in &tests {
        test.db
            .write(|tx| tx.execute("INSERT INTO counters (name, n) VALUES ('a', 0)", &[]))
            .await
            .unwrap();
    }
    tests
}

async fn count(test: &TestDb) -> i64 {
    test.db
        .read(|tx| {
            tx.query_one("SELECT n FROM counters WHERE name = 'a'", &[])?
                .get("n")
        })
        .await
        .unwrap()
}

#[tokio::test]
async fn sixty_four_writers_at_once_all_succeed_and_share_commits() {
    for test in fresh().await {
        let before = test.db.stats();
        let mut writers = JoinSet::new();
        for _ in 0..64 {
            let db = test.db.clone();
            writers.spawn(async move {
                for _ in 0..10 {
                    db.write(|tx| tx.execute("UPDATE counters SET n = n + ?1 WHERE name = 'a'", &params![1]))
                        .await?;
                }
                Ok::<_, Error>(())
            });
        }
        for done in writers.join_all().await {
            done.unwrap();
        }
        assert_eq!(count(&test).await, 640, "{}", test.name);
        let after = test.db.stats();
        assert_eq!(after.writes - before.writes, 640, "{}", test.name);
        if test.name == "sqlite" {
            let commits = after.commits - before.commits;
            assert!(commits < 320, "{commits} commits for 640 writes");
            assert!(after.largest_batch > 1);
        }
    }
}
