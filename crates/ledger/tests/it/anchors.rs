//! The file of anchors.

use std::fs;

use everloop_ledger::{AnchorFile, Error, ProblemKind, Seq, verify, write_anchors};

use crate::common::{add, event, filled};

#[tokio::test]
async fn only_heads_that_moved_are_written() {
    for test in filled().await {
        let folder = tempfile::tempdir().unwrap();
        let file = AnchorFile::new(folder.path().join("anchors.jsonl"));
        assert_eq!(file.read().unwrap(), []);
        assert_eq!(write_anchors(&test.db, &file).await.unwrap(), 2, "{}", test.name);
        assert_eq!(write_anchors(&test.db, &file).await.unwrap(), 0);
        add(&test.db, 50_000, event("houses", "a", 13)).await;
        assert_eq!(write_anchors(&test.db, &file).await.unwrap(), 1);
        let anchors = file.read().unwrap();
        assert_eq!(
            anchors.iter().map(|anchor| anchor.seq.0).collect::<Vec<_>>(),
            [11, 12, 13]
        );
        let verified = verify(&test.db, &anchors).await.unwrap();
        assert_eq!((verified.anchors, verified.problem), (3, None), "{}", test.name);
    }
}

#[tokio::test]
async fn a_line_torn_by_a_crash_is_passed_over_and_then_replaced() {
    let test = everloop_db::testing::sqlite(everloop_ledger::MIGRATIONS).await;
    let folder = tempfile::tempdir().unwrap();
    let file = AnchorFile::new(folder.path().join("anchors.jsonl"));
    add(&test.db, 1, event("flights", "a", 1)).await;
    write_anchors(&test.db, &file).await.unwrap();
    let whole = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), format!("{whole}{}", &whole[..20])).unwrap();
    assert_eq!(file.read().unwrap().len(), 1);
    add(&test.db, 2, event("flights", "a", 2)).await;
    write_anchors(&test.db, &file).await.unwrap();
    let seqs: Vec<_> = file.read().unwrap().iter().map(|anchor| anchor.seq).collect();
    assert_eq!(seqs, [Seq(1), Seq(2)]);
}

#[tokio::test]
async fn a_changed_line_is_named() {
    let test = everloop_db::testing::sqlite(everloop_ledger::MIGRATIONS).await;
    let folder = tempfile::tempdir().unwrap();
    let file = AnchorFile::new(folder.path().join("anchors.jsonl"));
    for number in 1..=3 {
        add(&test.db, number, event("flights", "a", number)).await;
        write_anchors(&test.db, &file).await.unwrap();
    }
    let text = fs::read_to_string(file.path()).unwrap();
    fs::write(file.path(), text.replacen("\"seq\":2", "\"seq\":\"two\"", 1)).unwrap();
    let error = file.read().unwrap_err();
    assert!(matches!(error, Error::Anchors { line: Some(2), .. }), "{error}");

    // A line that still reads, but says something else, is found against the ledger.
    fs::write(file.path(), text.replacen("\"seq\":2", "\"seq\":3", 1)).unwrap();
    let problem = verify(&test.db, &file.read().unwrap())
        .await
        .unwrap()
        .problem
        .unwrap();
    assert_eq!(problem.kind, ProblemKind::Anchor);
}

#[test]
fn the_line_format_stands() {
    let folder = tempfile::tempdir().unwrap();
    let file = AnchorFile::new(folder.path().join("anchors.jsonl"));
    let line = concat!(
        r#"{"project":"flights","seq":7,"hash":"000000000000000000000000000000000000000000000000000000000000"#,
        r#"0001","at":1364774400123}"#,
        "\n"
    );
    fs::write(file.path(), line).unwrap();
    let anchors = file.read().unwrap();
    assert_eq!(anchors[0].seq, Seq(7));
    let copy = AnchorFile::new(folder.path().join("copy.jsonl"));
    copy.append(&anchors).unwrap();
    assert_eq!(fs::read_to_string(copy.path()).unwrap(), line);
}
