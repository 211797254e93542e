//! A suite of data checks as one aggregate query.
//!
//! Every check of rows and columns adds its aggregates to one `SELECT`, so the table is read once however long the
//! suite is. Uniqueness and the user's own SQL need a query each; so does the sample of a check that failed, which
//! stops as soon as it has its rows. Quantiles come from a t-digest (error well under 1 % of rank).

use everloop_core::Timestamp;
use everloop_project::suite::{ColumnKind, Freshness, SchemaCheck, SqlCheck, SqlExpect, Unique};
use everloop_project::{Check, CheckKind, Suite};
use everloop_tables::arrow::datatypes::{DataType, Schema};
use everloop_tables::{Session, Source, Tables};
use serde_json::{Map, Value, json};

use crate::Result;
use crate::predicates::{RowRule, quote_name, row_rule};
use crate::report::{CheckResult, Outcome, Report, Unexpected, severity_name};

/// Rows shown of a check that failed.
const SAMPLE_ROWS: usize = 5;
const TABLE: &str = "data";

/// Runs `suite` over `source`. `now` is what freshness is measured from. Checks of models are left out: they are
/// gates' business.
///
/// # Errors
/// When the source can't be read. A check that can't be run (a column that is not there, SQL that is wrong) is a
/// result with the outcome `error`.
pub async fn run_suite(tables: &Tables, suite: &Suite, source: Source, now: Timestamp) -> Result<Report> {
    let session = tables.session().await?;
    session.add(TABLE, source).await?;
    let schema = session.schema(TABLE).await?;
    let plan = Plan::new(suite, &schema);
    let figures = plan.read(&session).await?;
    let rows = figures.get("n_rows").and_then(Value::as_u64).unwrap_or(0);
    let mut results = Vec::with_capacity(plan.checks.len());
    for (index, check) in plan.checks.iter().enumerate() {
        let verdict = match missing_column(&check.kind, &schema) {
            Some(problem) => Verdict::problem(problem),
            None => judge(&session, index, &check.kind, &schema, &figures, now).await,
        };
        results.push(verdict.into_result(check));
    }
    Ok(Report::new(
        suite.name.as_deref().unwrap_or("checks"),
        rows,
        results,
    ))
}

/// The data checks of a suite and the one query that most of them read.
struct Plan<'s> {
    checks: Vec<&'s Check>,
    columns: Vec<String>,
}

impl<'s> Plan<'s> {
    fn new(suite: &'s Suite, schema: &Schema) -> Self {
        let checks: Vec<&Check> = suite
            .checks
            .iter()
            .filter(|check| check.kind.scope() == everloop_project::Scope::Data)
            .collect();
        let mut columns = vec!["count(*) AS n_rows".to_owned()];
        for (index, check) in checks.iter().enumerate() {
            if missing_column(&check.kind, schema).is_none() {
                columns.extend(aggregates(index, &check.kind));
            }
        }
        Self { checks, columns }
    }

    async fn read(&self, session: &Session) -> Result<Map<String, Value>> {
        let sql = format!("SELECT {} FROM {TABLE}", self.columns.join(", "));
        let mut rows = session.sql(&sql).await?.to_json(1)?;
        Ok(rows.pop().unwrap_or_default())
    }
}

/// What one check adds to the query, named after its index.
fn aggregates(index: usize, kind: &CheckKind) -> Vec<String> {
    if let Some(RowRule { breaks, looks_at, .. }) = row_rule(kind) {
        return vec![
            format!("count(*) FILTER (WHERE ({looks_at}) AND ({breaks})) AS bad_{index}"),
            format!("count(*) FILTER (WHERE {looks_at}) AS seen_{index}"),
        ];
    }
    match kind {
        CheckKind::Mean(check) => vec![format!(
            "avg({}) AS figure_{index}",
            quote_name(check.column.as_str())
        )],
        CheckKind::Quantile(check) => {
            let column = quote_name(check.column.as_str());
            vec![format!(
                "approx_percentile_cont({column}, {:?}) AS figure_{index}",
                check.q
            )]
        }
        CheckKind::Freshness(Freshness {
            column: Some(column), ..
        }) => {
            vec![format!(
                "CAST(max({}) AS TIMESTAMP) AS figure_{index}",
                quote_name(column.as_str())
            )]
        }
        _ => Vec::new(),
    }
}

/// What a check came to, before it is given its name.
struct Verdict {
    outcome: Outcome,
    observed: Value,
    expected: String,
    unexpected: Option<Unexpected>,
    problem: Option<String>,
}

impl Verdict {
    fn of(holds: bool, observed: Value, expected: String) -> Self {
        let outcome = if holds { Outcome::Pass } else { Outcome::Fail };
        Self {
            outcome,
            observed,
            expected,
            unexpected: None,
            problem: None,
        }
    }

    fn problem(problem: String) -> Self {
        Self {
            outcome: Outcome::Error,
            observed: Value::Null,
            expected: String::new(),
            unexpected: None,
            problem: Some(problem),
        }
    }

    fn into_result(self, check: &Check) -> CheckResult {
        let kind = check.kind.key().to_owned();
        let name = check
            .name
            .clone()
            .unwrap_or_else(|| match column_of(&check.kind).first() {
                Some(column) => format!("{kind} {column}"),
                None => kind.clone(),
            });
        CheckResult {
            name,
            kind,
            severity: severity_name(check.severity).to_owned(),
            outcome: self.outcome,
            observed: self.observed,
            expected: self.expected,
            unexpected: self.unexpected,
            problem: self.problem,
        }
    }
}

async fn judge(
    session: &Session,
    index: usize,
    kind: &CheckKind,
    schema: &Schema,
    figures: &Map<String, Value>,
    now: Timestamp,
) -> Verdict {
    let figure = figures
        .get(&format!("figure_{index}"))
        .cloned()
        .unwrap_or_default();
    if let Some(rule) = row_rule(kind) {
        return judge_rows(session, index, &rule, figures).await;
    }
    match kind {
        CheckKind::RowCount(check) => {
            let rows = figures["n_rows"].as_u64().unwrap_or(0);
            let holds = check.min.is_none_or(|min| rows >= min) && check.max.is_none_or(|max| rows <= max);
            Verdict::of(holds, json!(rows), bounds_words("rows", check.min, check.max))
        }
        CheckKind::Schema(check) => judge_schema(check, schema),
        CheckKind::Unique(check) => judge_unique(session, check).await,
        CheckKind::Mean(check) => judge_figure(&figure, "mean", check.min, check.max),
        CheckKind::Quantile(check) => {
            judge_figure(&figure, &format!("quantile {}", check.q), check.min, check.max)
        }
        CheckKind::Freshness(check) => judge_freshness(&figure, check, now),
        CheckKind::Sql(check) => judge_sql(session, check).await,
        // Rows were judged above; models are not judged by data.
        _ => Verdict::problem("this check is not one of data".to_owned()),
    }
}

async fn judge_rows(
    session: &Session,
    index: usize,
    rule: &RowRule,
    figures: &Map<String, Value>,
) -> Verdict {
    let count = |name: &str| {
        figures
            .get(&format!("{name}_{index}"))
            .and_then(Value::as_u64)
            .unwrap_or(0)
    };
    let (bad, seen) = (count("bad"), count("seen"));
    let share = if seen == 0 { 0.0 } else { bad as f64 / seen as f64 };
    // Compared as counts, so that "all but one in a thousand" is not decided by rounding.
    let holds = bad as f64 <= (1.0 - rule.mostly) * seen as f64 + 1e-9;
    let mut verdict = Verdict::of(holds, json!({ "unexpected_share": share }), rule.words.clone());
    if bad > 0 {
        let sql = format!(
            "SELECT * FROM {TABLE} WHERE ({}) AND ({})",
            rule.looks_at, rule.breaks
        );
        verdict.unexpected = Some(Unexpected {
            count: bad,
            share,
            sample: sample(session, &sql).await,
        });
    }
    verdict
}

fn judge_schema(check: &SchemaCheck, schema: &Schema) -> Verdict {
    let mut wrong = Vec::new();
    for (name, kind) in &check.columns {
        match schema.column_with_name(name.as_str()) {
            None => wrong.push(format!("\"{name}\" is not there")),
            Some((_, field)) if !is_kind(field.data_type(), *kind) => {
                wrong.push(format!("\"{name}\" is {}", field.data_type()));
            }
            Some(_) => {}
        }
    }
    if check.exact {
        let known = |name: &str| check.columns.keys().any(|column| column.as_str() == name);
        let extra = schema.fields().iter().filter(|field| !known(field.name()));
        wrong.extend(extra.map(|field| format!("\"{}\" was not expected", field.name())));
    }
    let columns: Vec<String> = check
        .columns
        .iter()
        .map(|(name, kind)| format!("{name}: {kind:?}"))
        .collect();
    let observed = if wrong.is_empty() {
        json!("as expected")
    } else {
        json!(wrong)
    };
    Verdict::of(wrong.is_empty(), observed, columns.join(", ").to_lowercase())
}

fn is_kind(found: &DataType, wanted: ColumnKind) -> bool {
    match wanted {
        ColumnKind::Any => true,
        ColumnKind::Int => found.is_integer(),
        ColumnKind::Float => found.is_floating(),
        ColumnKind::Number => found.is_numeric(),
        ColumnKind::Bool => *found == DataType::Boolean,
        ColumnKind::Text => {
            matches!(
                found,
                DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View | DataType::Dictionary(_, _)
            )
        }
        ColumnKind::Timestamp => matches!(found, DataType::Timestamp(_, _)),
        ColumnKind::Date => matches!(found, DataType::Date32 | DataType::Date64),
    }
}

async fn judge_unique(session: &Session, check: &Unique) -> Verdict {
    let names: Vec<String> = check
        .columns
        .iter()
        .map(|column| quote_name(column.as_str()))
        .collect();
    let columns = names.join(", ");
    // Rows with a missing part have no key that could be doubled.
    let there: Vec<String> = names.iter().map(|name| format!("{name} IS NOT NULL")).collect();
    let groups = format!(
        "SELECT {columns}, count(*) AS n_rows FROM {TABLE} WHERE {} GROUP BY {columns} HAVING count(*) > 1",
        there.join(" AND ")
    );
    let sum = format!("SELECT coalesce(sum(n_rows), 0) AS doubled, count(*) AS keys FROM ({groups})");
    let expected = format!("every row has its own {}", columns.replace('"', ""));
    let answer = match rows_of(session, &sum, 1).await {
        Ok(mut rows) => rows.pop().unwrap_or_default(),
        Err(problem) => return Verdict::problem(problem),
    };
    let count = answer.get("doubled").and_then(Value::as_u64).unwrap_or(0);
    let total = session.rows(TABLE).await.unwrap_or(0);
    let mut verdict = Verdict::of(
        count == 0,
        json!({ "doubled_keys": answer.get("keys") }),
        expected,
    );
    if count > 0 {
        let share = count as f64 / total.max(1) as f64;
        verdict.unexpected = Some(Unexpected {
            count,
            share,
            sample: sample(session, &groups).await,
        });
    }
    verdict
}

fn judge_figure(figure: &Value, what: &str, min: Option<f64>, max: Option<f64>) -> Verdict {
    let expected = bounds_words(what, min, max);
    match figure.as_f64() {
        Some(value) => {
            let holds = min.is_none_or(|min| value >= min) && max.is_none_or(|max| value <= max);
            Verdict::of(holds, json!(value), expected)
        }
        // A column without values has no mean: it can't be shown to hold.
        None => Verdict::of(false, Value::Null, expected),
    }
}

fn judge_freshness(figure: &Value, check: &Freshness, now: Timestamp) -> Verdict {
    let expected = format!("newest row at most {} old", check.max_age);
    let newest = figure.as_str().and_then(parse_timestamp);
    match newest {
        Some(newest) => {
            let holds = now.since(newest) <= check.max_age.get();
            Verdict::of(holds, json!(newest.to_rfc3339()), expected)
        }
        None if check.column.is_none() => {
            Verdict::problem("name the \"column\" that holds the time, or \"time\" of the dataset".to_owned())
        }
        None => Verdict::of(false, Value::Null, expected),
    }
}

/// Arrow writes timestamps without a zone as UTC without saying so.
fn parse_timestamp(text: &str) -> Option<Timestamp> {
    Timestamp::parse_rfc3339(text)
        .or_else(|_| Timestamp::parse_rfc3339(&format!("{text}Z")))
        .ok()
}

async fn judge_sql(session: &Session, check: &SqlCheck) -> Verdict {
    let rows = match rows_of(session, &check.query, SAMPLE_ROWS).await {
        Ok(rows) => rows,
        Err(problem) => return Verdict::problem(problem),
    };
    match check.expect {
        SqlExpect::NoRows => {
            let holds = rows.is_empty();
            Verdict::of(holds, json!(rows), format!("no row from: {}", check.query))
        }
        SqlExpect::IsTrue => {
            let value = rows
                .first()
                .and_then(|row| row.values().next())
                .cloned()
                .unwrap_or_default();
            Verdict::of(
                value == Value::Bool(true),
                value,
                format!("true from: {}", check.query),
            )
        }
    }
}

async fn rows_of(session: &Session, sql: &str, limit: usize) -> Result<Vec<Map<String, Value>>, String> {
    let limited = format!("SELECT * FROM ({sql}) LIMIT {limit}");
    let answer = session.sql(&limited).await.map_err(|error| error.to_string())?;
    answer.to_json(limit).map_err(|error| error.to_string())
}

/// Rows to look at; a sample that can't be had costs no verdict.
async fn sample(session: &Session, sql: &str) -> Vec<Map<String, Value>> {
    rows_of(session, sql, SAMPLE_ROWS).await.unwrap_or_default()
}

fn bounds_words<T: std::fmt::Display>(what: &str, min: Option<T>, max: Option<T>) -> String {
    match (min, max) {
        (Some(min), Some(max)) => format!("{what} from {min} to {max}"),
        (Some(min), None) => format!("{what} at least {min}"),
        (None, Some(max)) => format!("{what} at most {max}"),
        (None, None) => what.to_owned(),
    }
}

/// The columns that a check reads, but for a schema, whose missing columns are its finding.
fn column_of(kind: &CheckKind) -> Vec<&str> {
    match kind {
        CheckKind::NotNull(check) => vec![check.column.as_str()],
        CheckKind::Range(check) => vec![check.column.as_str()],
        CheckKind::InSet(check) => vec![check.column.as_str()],
        CheckKind::Regex(check) => vec![check.column.as_str()],
        CheckKind::Mean(check) => vec![check.column.as_str()],
        CheckKind::Quantile(check) => vec![check.column.as_str()],
        CheckKind::Unique(check) => check.columns.iter().map(|column| column.as_str()).collect(),
        CheckKind::Freshness(check) => check.column.iter().map(|column| column.as_str()).collect(),
        _ => Vec::new(),
    }
}

fn missing_column(kind: &CheckKind, schema: &Schema) -> Option<String> {
    let missing = column_of(kind)
        .into_iter()
        .find(|name| schema.column_with_name(name).is_none())?;
    let names = schema.fields().iter().map(|field| field.name().as_str());
    let hint = everloop_core::nearest(missing, names).map(|near| format!("; did you mean \"{near}\"?"));
    Some(format!(
        "there is no column \"{missing}\"{}",
        hint.unwrap_or_default()
    ))
}
