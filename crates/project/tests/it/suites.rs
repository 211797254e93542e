//! Suite files.

use everloop_project::suite::{ColumnKind, Edge, Scalar, SqlExpect};
use everloop_project::{CheckKind, Scope, Severity, Suite};
use insta::assert_snapshot;

fn parse(text: &str, scope: Scope) -> Result<Suite, String> {
    Suite::parse("checks/suite.yaml", text.as_bytes(), scope).map_err(|invalid| invalid.render())
}

#[test]
fn every_check_of_data_is_read() {
    let suite = parse(
        r#"
name: orders
description: What must hold.
checks:
  - row_count: { min: 10, max: 20 }
  - schema: { columns: { id: int, price: number, at: timestamp }, exact: true }
  - schema: { columns: [id, price] }
  - not_null: { column: id }
  - not_null: { column: price, mostly: 95% }
    severity: warn
  - not_null: { column: note, max_share: 0.3 }
  - unique: { columns: [id, day] }
  - range: { column: price, min: 0, max: 1e6, mostly: 0.999 }
  - range: { column: at, min: 2013-01-01, max: "2014-01-01T00:00:00+01:00" }
  - in_set: { column: kind, values: [a, 1, 1.5, true, "2"] }
  - regex: { column: code, pattern: "^[A-Z]{3}$", mostly: 99% }
  - freshness: { max_age: 2d, column: at }
  - mean: { column: price, min: 5 }
  - quantile: { column: price, q: 0.5, max: 50 }
  - sql: SELECT * FROM data WHERE price < 0
  - sql: { query: SELECT count(*) > 3 FROM data, expect: is_true }
    name: enough
"#,
        Scope::Data,
    )
    .unwrap();
    let keys: Vec<&str> = suite.checks.iter().map(|check| check.kind.key()).collect();
    assert_eq!(
        keys,
        [
            "row_count",
            "schema",
            "schema",
            "not_null",
            "not_null",
            "not_null",
            "unique",
            "range",
            "range",
            "in_set",
            "regex",
            "freshness",
            "mean",
            "quantile",
            "sql",
            "sql"
        ]
    );
    let CheckKind::Schema(schema) = &suite.checks[2].kind else {
        panic!()
    };
    assert!(schema.columns.values().all(|kind| *kind == ColumnKind::Any) && !schema.exact);
    let CheckKind::NotNull(not_null) = &suite.checks[5].kind else {
        panic!()
    };
    assert_eq!(not_null.mostly.get(), 0.7);
    assert_eq!(suite.checks[4].severity, Severity::Warn);
    let CheckKind::Range(range) = &suite.checks[8].kind else {
        panic!()
    };
    let Some(Edge::Time(end)) = range.max else {
        panic!()
    };
    assert_eq!(end.to_rfc3339(), "2013-12-31T23:00:00.000Z");
    let CheckKind::InSet(set) = &suite.checks[9].kind else {
        panic!()
    };
    assert_eq!(
        set.values,
        [
            Scalar::Text("a".into()),
            Scalar::Int(1),
            Scalar::Float(1.5),
            Scalar::Bool(true),
            Scalar::Text("2".into())
        ]
    );
    let CheckKind::Sql(sql) = &suite.checks[15].kind else {
        panic!()
    };
    assert_eq!(sql.expect, SqlExpect::IsTrue);
    assert!(suite.checks.iter().all(|check| check.kind.scope() == Scope::Data));
}

#[test]
fn every_check_of_a_model_is_read() {
    let suite = parse(
        r#"
checks:
  - metric: auc >= 0.68
  - { better_than: champion, metric: log_loss, margin: 0.001, level: 0.9 }
  - slices: { by: [origin], metric: rmse, max: 3, min_samples: 100 }
  - slices: { by: origin, metric: auc, min: 0.6 }
  - latency: p99.9 <= 800us
  - fairness: { sensitive: group, demographic_parity: 10%, equalised_odds: 0.2 }
    severity: warn
"#,
        Scope::Model,
    )
    .unwrap();
    let keys: Vec<&str> = suite.checks.iter().map(|check| check.kind.key()).collect();
    assert_eq!(
        keys,
        ["metric", "better_than", "slices", "slices", "latency", "fairness"]
    );
    assert!(
        suite
            .checks
            .iter()
            .all(|check| check.kind.scope() == Scope::Model)
    );
}

#[test]
fn a_check_over_several_columns_is_one_check_for_each() {
    let suite = parse("checks:\n  - mean: { column: [a, b, c], min: 0 }\n", Scope::Data).unwrap();
    let columns: Vec<&str> = suite
        .checks
        .iter()
        .map(|check| check.kind.column().unwrap().as_str())
        .collect();
    assert_eq!(columns, ["a", "b", "c"]);
}

#[test]
fn mistakes_are_shown_with_their_place() {
    let shown = parse(
        r#"
naem: orders
checks:
  - row_count: {}
  - row_count: { min: 5, max: 1 }
  - row_count: { min: -1 }
  - schema: { columns: { id: integer }, exakt: true }
  - not_null: { column: [] }
  - not_null: { column: a, mostly: 95, max_share: 0.1 }
  - not_null: { column: a, mostly: 0.9, max_share: 0.1 }
  - not_null: { columns: [a] }
  - unique: { columns: id }
  - range: { column: a }
  - range: { column: a, min: yesterday }
  - range: { column: a, min: 1, max: 2014-01-01 }
  - in_set: { column: a, values: [] }
  - regex: { column: a, pattern: "(" }
  - freshness: { max_age: 2 }
  - quantile: { column: a, q: 50, min: 1 }
  - sql: ""
  - sql: { query: SELECT 1, expect: rows }
  - row_coutn: { min: 1 }
  - { row_count: { min: 1 }, unique: { columns: [a] } }
  - severity: fatal
    mean: { column: a, min: x }
  - metric: auc >= 0.5
  - row_count
  - sql:
"#,
        Scope::Data,
    )
    .unwrap_err();
    assert_snapshot!("suite_data", shown);
    let shown = parse(
        r#"
checks:
  - metric: auc
  - { better_than: champion }
  - slices: { by: [a], metric: auc, max: 0.9 }
  - slices: { by: [], metric: rmse, min: 1, max: 2 }
  - fairness: { sensitive: group }
  - fairness: { sensitive: group, demographic_parity: 10, equalized_odds: 0.1 }
  - latency: 5ms
  - not_null: { column: a }
"#,
        Scope::Model,
    )
    .unwrap_err();
    assert_snapshot!("suite_model", shown);
}

#[test]
fn an_empty_suite_is_refused() {
    assert_snapshot!("suite_empty", parse("checks: []\n", Scope::Any).unwrap_err());
    assert!(parse("", Scope::Any).is_err());
    assert!(parse("- row_count: { min: 1 }\n", Scope::Any).is_err());
}
