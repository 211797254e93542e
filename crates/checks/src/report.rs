//! What a suite came to, check by check.

use everloop_project::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What one check came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// It holds.
    Pass,
    /// It does not.
    Fail,
    /// It could not be run, which is as bad.
    Error,
}

/// Values that should not be there.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Unexpected {
    /// Rows that break the rule.
    pub count: u64,
    /// Their share of the rows that were looked at, 0 to 1.
    pub share: f64,
    /// Some of these rows.
    pub sample: Vec<Map<String, Value>>,
}

/// What one check came to, with its figures.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckResult {
    /// The check's own name, or its kind and column.
    pub name: String,
    /// Its kind, such as `not_null`.
    pub kind: String,
    /// `error` or `warn`.
    pub severity: String,
    /// What it came to.
    pub outcome: Outcome,
    /// The figure that was observed.
    pub observed: Value,
    /// What was expected, in words.
    pub expected: String,
    /// The rows that break it, for checks of rows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unexpected: Option<Unexpected>,
    /// Why it could not be run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

impl CheckResult {
    /// Whether this result stops what depends on the suite.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.outcome != Outcome::Pass && self.severity == severity_name(Severity::Error)
    }

    /// One line for people: what was expected and what was found.
    #[must_use]
    pub fn sentence(&self) -> String {
        if let Some(problem) = &self.problem {
            return format!("{}: {problem}", self.name);
        }
        match &self.unexpected {
            Some(rows) if self.outcome == Outcome::Fail => {
                format!(
                    "{}: {} rows ({:.2} %) break \"{}\"",
                    self.name,
                    rows.count,
                    rows.share * 100.0,
                    self.expected
                )
            }
            _ => format!(
                "{}: found {}, expected {}",
                self.name, self.observed, self.expected
            ),
        }
    }
}

/// What a suite came to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// The version of this document's form.
    pub format: u32,
    /// The suite's name.
    pub suite: String,
    /// Rows that were looked at.
    pub rows: u64,
    /// Whether no check of severity `error` failed.
    pub passed: bool,
    /// Each check, in the suite's order.
    pub results: Vec<CheckResult>,
}

impl Report {
    pub(crate) fn new(suite: &str, rows: u64, results: Vec<CheckResult>) -> Self {
        let passed = !results.iter().any(CheckResult::is_stopping);
        Self {
            format: 1,
            suite: suite.to_owned(),
            rows,
            passed,
            results,
        }
    }

    /// The results that did not pass, the stopping ones first.
    #[must_use]
    pub fn failures(&self) -> Vec<&CheckResult> {
        let mut failures: Vec<_> = self
            .results
            .iter()
            .filter(|result| result.outcome != Outcome::Pass)
            .collect();
        failures.sort_by_key(|result| !result.is_stopping());
        failures
    }
}

pub(crate) fn severity_name(severity: Severity) -> &'static str {
    match severity {
        Severity::Warn => "warn",
        Severity::Error => "error",
    }
}
