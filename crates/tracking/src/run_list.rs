//! Lists and counts of runs, by one filter.

use everloop_core::{ExperimentId, ProjectName, RunId, Timestamp};
use everloop_db::{Tx, Value, params};

use crate::runs::{COLUMNS, RunInfo, RunKind, RunStatus, stored};
use crate::sql::{IN_LIST, in_list, one_more};
use crate::{Error, Lifecycle, Page, Result, experiments};

/// Which runs of a project.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Of these experiments; of all when empty. At most 256.
    pub experiments: Vec<ExperimentId>,
    /// The living, the deleted or both.
    pub lifecycle: Lifecycle,
    /// Of this status only.
    pub status: Option<RunStatus>,
    /// Of this kind only.
    pub kind: Option<RunKind>,
}

impl Filter {
    /// The living runs of one experiment.
    #[must_use]
    pub fn of(experiment: ExperimentId) -> Self {
        Self {
            experiments: vec![experiment],
            ..Self::default()
        }
    }
}

/// Where a list of runs goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The last one's start.
    pub started_at: Timestamp,
    /// The last one's id.
    pub id: RunId,
}

/// A page of runs, the latest start first, then by id. One statement.
///
/// # Errors
/// [`Error::InvalidExperimentId`], [`Error::TooMany`] experiments.
pub fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    filter: &Filter,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<RunInfo, Cursor>> {
    let (mut condition, mut values) = conditions(project, filter)?;
    if let Some(cursor) = after {
        let (at, id) = (values.len() + 1, values.len() + 2);
        // Two directions in one order, so a row-value comparison can't say it; the first part is what uses the index.
        condition.push_str(&format!(
            " AND started_at <= ?{at} AND (started_at < ?{at} OR run_id > ?{id})"
        ));
        values.extend(params![cursor.started_at, &cursor.id]);
    }
    values.push(Value::from(one_more(limit)));
    let rows = tx.query(
        &format!(
            "SELECT {COLUMNS} FROM runs WHERE {condition} ORDER BY started_at DESC, run_id LIMIT ?{}",
            values.len()
        ),
        &values,
    )?;
    let found = rows
        .iter()
        .map(|row| Ok(stored(row)?.info))
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(found, limit, |last| Cursor {
        started_at: last.started_at,
        id: last.id.clone(),
    }))
}

/// How many runs the filter lets through.
///
/// # Errors
/// As [`list`].
pub fn count(tx: &mut Tx<'_>, project: &ProjectName, filter: &Filter) -> Result<u64> {
    let (condition, values) = conditions(project, filter)?;
    let row = tx.query_one(
        &format!("SELECT COUNT(*) AS runs FROM runs WHERE {condition}"),
        &values,
    )?;
    Ok(row.get("runs")?)
}

/// The filter as a condition and its values.
fn conditions(project: &ProjectName, filter: &Filter) -> Result<(String, Vec<Value>)> {
    let mut values = params![project].to_vec();
    let mut condition = format!("project = ?1 AND {}", filter.lifecycle.condition());
    if !filter.experiments.is_empty() {
        if filter.experiments.len() > IN_LIST {
            return Err(Error::TooMany {
                what: "experiments",
                limit: IN_LIST,
            });
        }
        let numbers = filter
            .experiments
            .iter()
            .map(|id| Ok(experiments::number(id)?.into()))
            .collect::<Result<_>>()?;
        let (places, numbers) = in_list(values.len(), numbers);
        condition.push_str(&format!(" AND experiment IN {places}"));
        values.extend(numbers);
    }
    if let Some(status) = filter.status {
        values.push(status.as_str().into());
        condition.push_str(&format!(" AND status = ?{}", values.len()));
    }
    if let Some(kind) = filter.kind {
        values.push(kind.as_str().into());
        condition.push_str(&format!(" AND kind = ?{}", values.len()));
    }
    Ok((condition, values))
}
