//! Whole runs: many of them in a fixed few statements.

use std::collections::{BTreeMap, HashMap};

use everloop_core::{ProjectName, RunId};
use everloop_db::{Row, Tx, Value, params};

use crate::inputs::{DatasetInput, ModelLink};
use crate::metrics::Metric;
use crate::runs::{COLUMNS, RunInfo, stored};
use crate::sql::{IN_LIST, in_list};
use crate::{Result, inputs, metrics};

/// A run with what was logged to it.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// The run itself.
    pub info: RunInfo,
    /// Its params.
    pub params: BTreeMap<String, String>,
    /// The latest point of each metric, by name.
    pub metrics: Vec<Metric>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The datasets it used.
    pub datasets: Vec<DatasetInput>,
    /// The model versions it used and made.
    pub models: Vec<ModelLink>,
}

/// The runs of these ids, deleted or not, in this order; those that are not there are left out.
///
/// Seven statements per 256 runs, whatever is in them.
///
/// # Errors
/// Those of the database.
pub fn get_many(tx: &mut Tx<'_>, project: &ProjectName, ids: &[RunId]) -> Result<Vec<Run>> {
    let mut found: HashMap<RunId, Run> = HashMap::with_capacity(ids.len());
    for part in ids.chunks(IN_LIST) {
        for run in read_part(tx, project, part)? {
            found.insert(run.info.id.clone(), run);
        }
    }
    // An id that is asked for twice is answered twice.
    Ok(ids.iter().filter_map(|id| found.get(id).cloned()).collect())
}

fn read_part(tx: &mut Tx<'_>, project: &ProjectName, ids: &[RunId]) -> Result<Vec<Run>> {
    let (places, values) = in_list(1, ids.iter().map(Value::from).collect());
    let mut bound = params![project].to_vec();
    bound.extend(values);
    let rows = tx.query(
        &format!("SELECT {COLUMNS} FROM runs WHERE project = ?1 AND run_id IN {places}"),
        &bound,
    )?;
    let mut runs: HashMap<i64, Run> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let stored = stored(row)?;
        runs.insert(stored.key, empty(stored.info));
    }
    if !runs.is_empty() {
        attach(tx, &mut runs)?;
    }
    Ok(runs.into_values().collect())
}

fn empty(info: RunInfo) -> Run {
    Run {
        info,
        params: BTreeMap::new(),
        metrics: Vec::new(),
        tags: BTreeMap::new(),
        datasets: Vec::new(),
        models: Vec::new(),
    }
}

fn attach(tx: &mut Tx<'_>, runs: &mut HashMap<i64, Run>) -> Result<()> {
    let (places, keys) = in_list(0, runs.keys().map(|key| Value::from(*key)).collect());
    let mut each =
        |tx: &mut Tx<'_>, select: &str, order: &str, take: &dyn Fn(&mut Run, &Row) -> Result<()>| {
            for row in tx.query(&format!("{select} {places} {order}"), &keys)? {
                if let Some(run) = runs.get_mut(&row.get("run")?) {
                    take(run, &row)?;
                }
            }
            Result::Ok(())
        };
    each(
        tx,
        "SELECT run, key, value FROM run_params WHERE run IN",
        "",
        &|run, row| {
            run.params.insert(row.get("key")?, row.get("value")?);
            Ok(())
        },
    )?;
    each(
        tx,
        "SELECT run, key, value FROM run_tags WHERE run IN",
        "",
        &|run, row| {
            run.tags.insert(row.get("key")?, row.get("value")?);
            Ok(())
        },
    )?;
    let latest = "SELECT run, key, value, special, step, at FROM run_metrics WHERE run IN";
    each(tx, latest, "ORDER BY run, key", &|run, row| {
        run.metrics.push(metrics::point(row, row.get("key")?)?);
        Ok(())
    })?;
    let datasets = inputs::datasets_of(tx, &places, &keys)?;
    each(tx, inputs::LINKS_OF, inputs::LINKS_ORDER, &|run, row| {
        run.datasets
            .push(inputs::link(row, &run.info.experiment, &datasets)?);
        Ok(())
    })?;
    each(tx, inputs::MODELS_OF, inputs::MODELS_ORDER, &|run, row| {
        run.models.push(inputs::model_link(row)?);
        Ok(())
    })
}
