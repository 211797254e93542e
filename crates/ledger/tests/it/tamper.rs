//! Each way to change the ledger behind our back, and the row that `verify` names.

use everloop_core::{Hash, Timestamp};
use everloop_db::testing::TestDb;
use everloop_db::{Db, Error, Row, Value, params};
use everloop_ledger::{Anchor, ProblemKind, Seq, anchors, append, verify};

use crate::common::{add, event, filled};

/// Runs statements as someone would who has the database but not our program.
async fn tamper(db: &Db, statements: &[&str]) {
    let statements: Vec<String> = statements.iter().map(|sql| (*sql).to_owned()).collect();
    db.write(move |tx| {
        for sql in &statements {
            assert!(tx.execute(sql, &[])? > 0, "changed nothing: {sql}");
        }
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

/// Tampers with a ledger of twelve events and checks that `verify` names row `seq` as `kind`.
async fn check(statements: &[&str], seq: i64, kind: ProblemKind) {
    for test in filled().await {
        assert_eq!(verify(&test.db, &[]).await.unwrap().problem, None);
        tamper(&test.db, statements).await;
        let verified = verify(&test.db, &[]).await.unwrap();
        let problem = verified
            .problem
            .unwrap_or_else(|| panic!("{}: {statements:?} went unseen", test.name));
        assert_eq!(
            (problem.seq, problem.kind),
            (Seq(seq), kind),
            "{}: {problem}",
            test.name
        );
    }
}

#[tokio::test]
async fn an_edited_row_is_named_whichever_field_was_edited() {
    for set in [
        "at = at + 1",
        "actor = 'local:eve'",
        "project = 'houses'",
        "kind = 'dataset.versio'",
        "subject = subject || '0'",
        "payload = '{}'",
        "payload = payload || ' '",
    ] {
        check(
            &[&format!("UPDATE ledger_events SET {set} WHERE seq = 7")],
            7,
            ProblemKind::Altered,
        )
        .await;
    }
}

#[tokio::test]
async fn unreadable_cells_are_named() {
    check(
        &["UPDATE ledger_events SET prev_hash = 'x' WHERE seq = 5"],
        5,
        ProblemKind::Altered,
    )
    .await;
    check(
        &["UPDATE ledger_events SET hash = 'x' WHERE seq = 5"],
        5,
        ProblemKind::Altered,
    )
    .await;
}

#[tokio::test]
async fn a_deleted_row_is_named() {
    check(
        &["DELETE FROM ledger_events WHERE seq = 1"],
        1,
        ProblemKind::Missing,
    )
    .await;
    check(
        &["DELETE FROM ledger_events WHERE seq = 6"],
        6,
        ProblemKind::Missing,
    )
    .await;
    check(
        &["DELETE FROM ledger_events WHERE seq > 2 AND seq < 9"],
        3,
        ProblemKind::Missing,
    )
    .await;
}

#[tokio::test]
async fn a_deleted_project_is_named() {
    let statements = [
        "DELETE FROM ledger_events WHERE project = 'houses'",
        "DELETE FROM ledger_heads WHERE project = 'houses'",
    ];
    check(&statements, 2, ProblemKind::Missing).await;
}

#[tokio::test]
async fn reordered_rows_are_named() {
    let statements = [
        "UPDATE ledger_events SET seq = 100 WHERE seq = 5",
        "UPDATE ledger_events SET seq = 5 WHERE seq = 7",
        "UPDATE ledger_events SET seq = 7 WHERE seq = 100",
    ];
    check(&statements, 5, ProblemKind::Altered).await;
}

#[tokio::test]
async fn rows_closed_up_over_a_deletion_are_named() {
    let statements = [
        "DELETE FROM ledger_events WHERE seq = 11",
        "UPDATE ledger_events SET seq = 11 WHERE seq = 12",
        "UPDATE ledger_counter SET seq = 11",
    ];
    check(&statements, 11, ProblemKind::Altered).await;
}

#[tokio::test]
async fn a_cut_tail_is_named() {
    check(
        &["DELETE FROM ledger_events WHERE seq > 9"],
        10,
        ProblemKind::Truncated,
    )
    .await;
}

#[tokio::test]
async fn a_cut_tail_with_its_counter_shows_in_the_heads() {
    let statements = [
        "DELETE FROM ledger_events WHERE seq > 11",
        "UPDATE ledger_counter SET seq = 11",
    ];
    check(&statements, 12, ProblemKind::Head).await;
}

#[tokio::test]
async fn a_changed_counter_or_head_is_named() {
    check(&["UPDATE ledger_counter SET seq = 3"], 4, ProblemKind::Head).await;
    check(
        &["UPDATE ledger_counter SET seq = 30"],
        13,
        ProblemKind::Truncated,
    )
    .await;
    check(
        &["UPDATE ledger_heads SET events = 7 WHERE project = 'flights'"],
        11,
        ProblemKind::Head,
    )
    .await;
    check(
        &["DELETE FROM ledger_heads WHERE project = 'flights'"],
        11,
        ProblemKind::Head,
    )
    .await;
}

#[tokio::test]
async fn a_counter_that_is_gone_is_named_and_nothing_is_appended() {
    check(&["DELETE FROM ledger_counter"], 1, ProblemKind::Head).await;
    for test in filled().await {
        tamper(&test.db, &["DELETE FROM ledger_counter"]).await;
        let appended = test
            .db
            .write(|tx| append(tx, Timestamp(0), event("flights", "a", 1)))
            .await;
        assert!(
            matches!(appended, Err(everloop_ledger::Error::NoCounter)),
            "{}: {appended:?}",
            test.name
        );
    }
}

#[tokio::test]
async fn a_row_smuggled_in_before_the_first_is_named() {
    let copy =
        "INSERT INTO ledger_events SELECT 0, at, actor, project, kind, subject, payload, prev_hash, hash
         FROM ledger_events WHERE seq = 1";
    check(&[copy], 0, ProblemKind::Unlinked).await;
}

/// Takes anchors of the whole ledger as it is.
async fn anchored(test: &TestDb) -> Vec<Anchor> {
    test.db.read(anchors).await.unwrap()
}

#[tokio::test]
async fn anchors_show_a_tail_that_was_cut_without_a_trace() {
    for test in filled().await {
        let known = anchored(&test).await;
        assert_eq!(
            verify(&test.db, &known).await.unwrap().anchors,
            2,
            "{}",
            test.name
        );
        rewrite(&test.db, 9, None).await;
        assert_eq!(
            verify(&test.db, &[]).await.unwrap().problem,
            None,
            "a forged ledger is whole in itself"
        );
        let problem = verify(&test.db, &known).await.unwrap().problem.unwrap();
        assert_eq!(
            (problem.seq, problem.kind),
            (Seq(10), ProblemKind::Truncated),
            "{}: {problem}",
            test.name
        );
    }
}

#[tokio::test]
async fn anchors_show_a_history_that_was_rewritten_with_fitting_hashes() {
    for test in filled().await {
        let known = anchored(&test).await;
        rewrite(&test.db, 12, Some(7)).await;
        assert_eq!(
            verify(&test.db, &[]).await.unwrap().problem,
            None,
            "a forged ledger is whole in itself"
        );
        let problem = verify(&test.db, &known).await.unwrap().problem.unwrap();
        assert_eq!(
            (problem.seq, problem.kind),
            (Seq(11), ProblemKind::Anchor),
            "{}: {problem}",
            test.name
        );
    }
}

#[tokio::test]
async fn anchors_show_a_replaced_database() {
    for (original, replaced) in filled().await.iter().zip(filled().await) {
        // The same twelve events verify against the same anchors; one more fact in the past does not.
        let known = anchored(original).await;
        assert_eq!(
            verify(&replaced.db, &known).await.unwrap().problem,
            None,
            "{}",
            replaced.name
        );
        let fresh = crate::common::ledgers()
            .await
            .into_iter()
            .find(|test| test.name == original.name)
            .unwrap();
        for number in 1..=12 {
            add(
                &fresh.db,
                number * 1_000,
                event("flights", "dataset.version", number),
            )
            .await;
        }
        let problem = verify(&fresh.db, &known).await.unwrap().problem.unwrap();
        assert_eq!(
            (problem.seq, problem.kind),
            (Seq(11), ProblemKind::Anchor),
            "{}: {problem}",
            fresh.name
        );
    }
}

/// Forges: keeps the first `keep` rows, changes the payload of `edit`, and makes all hashes, heads and the counter fit
/// again, as someone would who knows how.
async fn rewrite(db: &Db, keep: i64, edit: Option<i64>) {
    db.write(move |tx| {
        tx.execute("DELETE FROM ledger_events WHERE seq > ?1", &params![keep])?;
        tx.execute("UPDATE ledger_counter SET seq = ?1", &params![keep])?;
        tx.execute("DELETE FROM ledger_heads", &[])?;
        let rows = tx.query("SELECT * FROM ledger_events ORDER BY seq", &[])?;
        let mut heads = std::collections::BTreeMap::<String, Hash>::new();
        for row in &rows {
            let seq: i64 = row.get("seq")?;
            let project: String = row.get("project")?;
            let payload = if edit == Some(seq) { "{}".to_owned() } else { row.get("payload")? };
            let before = heads.get(&project).copied().unwrap_or(Hash::from_bytes([0; 32]));
            let hash = forged_hash(row, &payload, before)?;
            tx.execute(
                "UPDATE ledger_events SET payload = ?2, prev_hash = ?3, hash = ?4 WHERE seq = ?1",
                &params![seq, &payload, before, hash],
            )?;
            heads.insert(project.clone(), hash);
            tx.execute(
                "INSERT INTO ledger_heads (project, seq, at, events, hash) VALUES (?1, ?2, ?3, 1, ?4)
                 ON CONFLICT (project) DO UPDATE
                 SET seq = excluded.seq, at = excluded.at, events = ledger_heads.events + 1, hash = excluded.hash",
                &params![project, seq, row.get::<i64>("at")?, hash],
            )?;
        }
        Ok::<_, Error>(())
    })
    .await
    .unwrap();
}

/// The chain's hash as its documentation states it, written a second time so that the two are compared.
fn forged_hash(row: &Row, payload: &str, before: Hash) -> Result<Hash, Error> {
    let mut bytes = Vec::new();
    let mut field = |content: &[u8]| {
        bytes.extend((content.len() as u64).to_le_bytes());
        bytes.extend(content);
    };
    field(b"everloop ledger 1");
    for column in ["seq", "at"] {
        field(&row.get::<i64>(column)?.to_le_bytes());
    }
    for column in ["actor", "project", "kind", "subject"] {
        let Value::Text(text) = row.value(column)? else {
            panic!("{column} is not text")
        };
        field(text.as_bytes());
    }
    field(payload.as_bytes());
    field(before.as_bytes());
    Ok(Hash::of(&bytes))
}
