//! Suites over data find what is wrong, count it, and show it.

use everloop_checks::{CheckResult, Outcome, Report, run_suite};
use everloop_core::{Column, Frame, Timestamp, Values};
use everloop_project::{Scope, Suite};
use everloop_tables::{Source, Tables, TablesOptions, from_frame};

pub(crate) fn frame() -> Frame {
    let text = |value: &str| Some(value.to_owned());
    let column = |name: &str, values: Values| Column {
        name: name.to_owned(),
        values,
    };
    Frame::new(vec![
        column("id", Values::Int(vec![Some(1), Some(2), Some(3), Some(3)])),
        column("distance", Values::Float(vec![100.0, 200.0, f64::NAN, -5.0])),
        column(
            "origin",
            Values::Text(vec![text("EWR"), text("JFK"), None, text("XXX")]),
        ),
    ])
    .unwrap()
}

async fn run(checks: &str) -> Report {
    let suite = Suite::parse("suite.yaml", format!("checks:\n{checks}").as_bytes(), Scope::Data)
        .unwrap_or_else(|invalid| panic!("{}", invalid.render()));
    let tables = Tables::new(TablesOptions::default()).unwrap();
    let source = Source::batches(vec![from_frame(&frame()).unwrap()]);
    run_suite(&tables, &suite, source, Timestamp(1_000))
        .await
        .unwrap()
}

async fn one(check: &str) -> CheckResult {
    run(&format!("  - {check}\n")).await.results.pop().unwrap()
}

#[tokio::test]
async fn every_check_of_rows_counts_and_shows_what_breaks_it() {
    for (check, broken) in [
        ("not_null: { column: origin }", 1),
        ("range: { column: distance, min: 0 }", 1),
        ("range: { column: distance, min: 150, max: 250 }", 2),
        ("in_set: { column: origin, values: [EWR, JFK, LGA] }", 1),
        ("regex: { column: origin, pattern: '^[EJ]' }", 1),
        ("unique: { columns: [id] }", 2),
    ] {
        let result = one(check).await;
        assert_eq!(result.outcome, Outcome::Fail, "{check}: {result:?}");
        let unexpected = result.unexpected.unwrap();
        assert_eq!(unexpected.count, broken, "{check}");
        assert!(!unexpected.sample.is_empty(), "{check}");
    }
}

#[tokio::test]
async fn checks_that_hold_pass() {
    for check in [
        "not_null: { column: id }",
        "not_null: { column: origin, mostly: 0.7 }",
        "range: { column: id, min: 1, max: 3 }",
        "row_count: { min: 4, max: 4 }",
        "mean: { column: id, min: 2, max: 3 }",
        "quantile: { column: id, q: 0.5, min: 2, max: 3 }",
        "schema: { columns: { id: int, origin: text, distance: float }, exact: true }",
        "sql: { query: 'SELECT * FROM data WHERE id > 3' }",
        "sql: { query: 'SELECT max(id) = 3 FROM data', expect: is_true }",
    ] {
        let result = one(check).await;
        assert_eq!(result.outcome, Outcome::Pass, "{check}: {result:?}");
    }
}

#[tokio::test]
async fn bounds_and_schemas_that_do_not_hold_fail() {
    for check in [
        "row_count: { min: 5 }",
        "mean: { column: id, min: 3 }",
        "schema: { columns: { id: text } }",
        "schema: { columns: { gone: any } }",
        "schema: { columns: { id: int }, exact: true }",
        "sql: { query: 'SELECT * FROM data WHERE id = 3' }",
    ] {
        let result = one(check).await;
        assert_eq!(result.outcome, Outcome::Fail, "{check}: {result:?}");
    }
}

#[tokio::test]
async fn what_can_not_be_run_says_why_and_refuses() {
    let result = one("not_null: { column: orgin }").await;
    assert_eq!(result.outcome, Outcome::Error);
    assert!(result.problem.unwrap().contains("did you mean \"origin\"?"));

    let report = run("  - sql: { query: 'SELECT nonsense FROM data' }\n").await;
    assert!(!report.passed);
    assert_eq!(report.results[0].outcome, Outcome::Error);
}

#[tokio::test]
async fn a_warning_does_not_stop() {
    let report =
        run("  - not_null: { column: origin }\n    severity: warn\n  - row_count: { min: 1 }\n").await;
    assert!(report.passed);
    assert_eq!(report.failures().len(), 1);
}
