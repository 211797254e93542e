//! What suites came to over time.

use everloop_core::{Actor, ProjectName, Timestamp};
use everloop_db::{Db, Migration, Row, Tx, params};
use everloop_ledger::NewEvent;
use serde_json::json;

use crate::{Error, Report, Result};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "checks",
    number: 1,
    name: "checks",
    sql: include_str!("../migrations/0001_checks.sql"),
}];

/// A report as it was kept.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredReport {
    /// Names it.
    pub id: String,
    /// What was checked, such as `dataset:flights@3`.
    pub subject: String,
    /// What came out.
    pub report: Report,
    /// When.
    pub at: Timestamp,
}

/// The kept reports.
#[derive(Debug, Clone)]
pub struct Reports {
    db: Db,
}

impl Reports {
    /// The reports in `db`.
    #[must_use]
    pub fn new(db: Db) -> Self {
        Self { db }
    }

    /// Keeps a report, with its ledger row, inside the caller's transaction. The same id again changes nothing.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keep(
        tx: &mut Tx<'_>,
        at: Timestamp,
        project: &ProjectName,
        actor: &Actor,
        id: &str,
        subject: &str,
        report: &Report,
    ) -> Result<()> {
        let text = serde_json::to_string(report).map_err(Error::Damaged)?;
        let changed = tx.execute(
            "INSERT INTO check_reports (project, id, subject, suite, passed, report, at) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (project, id) DO NOTHING",
            &params![
                project.as_str(),
                id,
                subject,
                report.suite.as_str(),
                report.passed,
                text,
                at
            ],
        )?;
        if changed == 0 {
            return Ok(());
        }
        let failures: Vec<String> = report
            .failures()
            .iter()
            .take(20)
            .map(|result| result.sentence())
            .collect();
        let event = NewEvent {
            project: project.clone(),
            actor: actor.clone(),
            kind: "check.finished",
            subject: subject.to_owned(),
            payload: json!({
                "report": id, "suite": report.suite, "passed": report.passed, "rows": report.rows,
                "checks": report.results.len(), "failures": failures,
            }),
        };
        everloop_ledger::append(tx, at, event)?;
        Ok(())
    }

    /// The newest reports of a project, about `subject` when that is given; at most `limit`.
    ///
    /// # Errors
    /// When the database fails or a report does not read.
    pub async fn list(
        &self,
        project: &ProjectName,
        subject: Option<&str>,
        limit: usize,
    ) -> Result<Vec<StoredReport>> {
        let (project, subject) = (project.clone(), subject.map(ToOwned::to_owned));
        self.db
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT id, subject, report, at FROM check_reports \
                     WHERE project = ?1 AND (CAST(?2 AS TEXT) IS NULL OR subject = ?2) ORDER BY at DESC, id DESC LIMIT ?3",
                    &params![project.as_str(), subject.clone(), limit],
                )?;
                rows.iter().map(read).collect()
            })
            .await
    }
}

fn read(row: &Row) -> Result<StoredReport> {
    let text: String = row.get("report")?;
    Ok(StoredReport {
        id: row.get("id")?,
        subject: row.get("subject")?,
        report: serde_json::from_str(&text).map_err(Error::Damaged)?,
        at: row.get("at")?,
    })
}
