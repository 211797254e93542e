//! Reading what is stored of runs, stages and the cache.

use std::collections::HashMap;
use std::sync::Arc;

use everloop_core::{Hash, PipelineRunId, ProjectName, RunId, StageName};
use everloop_db::{Row, Tx, params};
use everloop_project::Project;
use serde::de::DeserializeOwned;

use crate::inputs::Inputs;
use crate::submit::Request;
use crate::{Error, OutManifest, PipelineRun, Result, RunState, RunSummary, StageRun, StageState};

/// The outs that some inputs gave.
#[derive(Clone)]
pub(crate) struct Entry {
    pub run: PipelineRunId,
    pub tracked_run: Option<RunId>,
    pub outs: Vec<OutManifest>,
}

/// The last inputs of a stage.
pub(crate) struct Head {
    pub key: Hash,
    /// As JSON: read only to say what changed.
    inputs: String,
    pub entry: Option<Entry>,
}

impl Head {
    /// The inputs; none when another program wrote them.
    pub fn inputs(&self) -> Option<Inputs> {
        serde_json::from_str(&self.inputs).ok()
    }
}

/// The last inputs of all stages of a project.
pub(crate) fn heads(tx: &mut Tx<'_>, project: &ProjectName) -> Result<HashMap<StageName, Head>> {
    let rows = tx.query(
        "SELECT h.stage, h.key, h.inputs, c.run, c.tracked_run, c.outs FROM pipeline_heads h
         LEFT JOIN pipeline_cache c ON c.project = h.project AND c.key = h.key
         WHERE h.project = ?1",
        &params![project],
    )?;
    rows.iter()
        .map(|row| {
            let entry = match row.get::<Option<PipelineRunId>>("run")? {
                Some(run) => Some(entry(run, row)?),
                None => None,
            };
            let head = Head {
                key: row.get("key")?,
                inputs: row.get("inputs")?,
                entry,
            };
            Ok((row.get("stage")?, head))
        })
        .collect()
}

/// The outs of the inputs with this hash.
pub(crate) fn cached(tx: &mut Tx<'_>, project: &ProjectName, key: Hash) -> Result<Option<Entry>> {
    let row = tx.query_opt(
        "SELECT run, tracked_run, outs FROM pipeline_cache WHERE project = ?1 AND key = ?2",
        &params![project, key],
    )?;
    row.map(|row| entry(row.get("run")?, &row)).transpose()
}

fn entry(run: PipelineRunId, row: &Row) -> Result<Entry> {
    Ok(Entry {
        run,
        tracked_run: row.get("tracked_run")?,
        outs: document(&row.get::<String>("outs")?, "outs of a stage")?,
    })
}

/// A run as stored, with what only the worker needs.
pub(crate) struct Stored {
    pub summary: RunSummary,
    pub request: Request,
    pub cancel_by: Option<String>,
}

const RUN_COLUMNS: &str = "id, project, definition, workspace, request, actor, state, cancel_by, tracked_run, error, \
                           created_at, started_at, finished_at";

/// A run by its id, whatever its project.
pub(crate) fn stored(tx: &mut Tx<'_>, id: &PipelineRunId) -> Result<Option<Stored>> {
    let sql = format!("SELECT {RUN_COLUMNS} FROM pipeline_runs WHERE id = ?1");
    tx.query_opt(&sql, &params![id])?
        .map(|row| read_run(&row))
        .transpose()
}

/// A run of a project.
pub(crate) fn find(tx: &mut Tx<'_>, project: &ProjectName, id: &PipelineRunId) -> Result<Stored> {
    stored(tx, id)?
        .filter(|run| run.summary.project == *project)
        .ok_or_else(|| Error::NoSuchRun(id.clone()))
}

/// Runs of a project, newest first, older than `before`.
pub(crate) fn list(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    before: Option<&PipelineRunId>,
    limit: usize,
) -> Result<Vec<RunSummary>> {
    let sql = format!(
        "SELECT {RUN_COLUMNS} FROM pipeline_runs WHERE project = ?1 AND id < ?2 ORDER BY id DESC LIMIT ?3"
    );
    // Ids are hex digits: "~" is after them all.
    let before = before.map_or("~", PipelineRunId::as_str);
    let rows = tx.query(&sql, &params![project, before, limit])?;
    rows.iter().map(|row| Ok(read_run(row)?.summary)).collect()
}

/// Runs that have not ended, oldest first.
pub(crate) fn unfinished(tx: &mut Tx<'_>, limit: usize) -> Result<Vec<(PipelineRunId, String)>> {
    let rows = tx.query(
        "SELECT id, workspace FROM pipeline_runs WHERE state IN ('pending', 'running') ORDER BY id LIMIT ?1",
        &params![limit],
    )?;
    rows.iter()
        .map(|row| Ok((row.get("id")?, row.get("workspace")?)))
        .collect()
}

fn read_run(row: &Row) -> Result<Stored> {
    let request: Request = document(&row.get::<String>("request")?, "request of a pipeline run")?;
    Ok(Stored {
        summary: RunSummary {
            id: row.get("id")?,
            project: row.get("project")?,
            state: word(row, "state", RunState::parse)?,
            actor: row.get("actor")?,
            reason: request.reason.clone(),
            definition: row.get("definition")?,
            workspace: row.get("workspace")?,
            tracked_run: row.get("tracked_run")?,
            error: row.get("error")?,
            created_at: row.get("created_at")?,
            started_at: row.get("started_at")?,
            finished_at: row.get("finished_at")?,
        },
        cancel_by: row.get("cancel_by")?,
        request,
    })
}

const STAGE_COLUMNS: &str = "stage, kind, state, attempt, failures, losses, token, cache_key, reason, tracked_run, outs, log, \
                             log_size, exit_code, exit_signal, error, error_code, hint, started_at, finished_at, elapsed_ms";

/// A stage with what only the worker needs.
pub(crate) struct StoredStage {
    pub shown: StageRun,
    pub failures: u32,
    pub losses: u32,
}

/// The stages of a run, in their order.
pub(crate) fn stages(tx: &mut Tx<'_>, run: &PipelineRunId) -> Result<Vec<StoredStage>> {
    let sql = format!("SELECT {STAGE_COLUMNS} FROM pipeline_stages WHERE run = ?1 ORDER BY place");
    tx.query(&sql, &params![run])?.iter().map(read_stage).collect()
}

/// One stage of a run.
pub(crate) fn stage(tx: &mut Tx<'_>, run: &PipelineRunId, stage: &StageName) -> Result<Option<StoredStage>> {
    let sql = format!("SELECT {STAGE_COLUMNS} FROM pipeline_stages WHERE run = ?1 AND stage = ?2");
    let row = tx.query_opt(&sql, &params![run, stage])?;
    row.map(|row| read_stage(&row)).transpose()
}

/// A run with its stages.
pub(crate) fn whole(tx: &mut Tx<'_>, project: &ProjectName, id: &PipelineRunId) -> Result<PipelineRun> {
    let summary = find(tx, project, id)?.summary;
    let stages = stages(tx, id)?;
    Ok(PipelineRun {
        summary,
        stages: stages.into_iter().map(|stage| stage.shown).collect(),
    })
}

fn read_stage(row: &Row) -> Result<StoredStage> {
    let outs = match row.get::<Option<String>>("outs")? {
        Some(outs) => document(&outs, "outs of a stage")?,
        None => Vec::new(),
    };
    let shown = StageRun {
        stage: row.get("stage")?,
        kind: row.get("kind")?,
        state: word(row, "state", StageState::parse)?,
        attempt: row.get("attempt")?,
        reason: row.get("reason")?,
        key: row.get("cache_key")?,
        tracked_run: row.get("tracked_run")?,
        outs,
        log: row.get("log")?,
        log_size: row.get::<Option<u64>>("log_size")?.unwrap_or(0),
        exit_code: row.get("exit_code")?,
        exit_signal: row.get("exit_signal")?,
        error: row.get("error")?,
        error_code: row.get("error_code")?,
        hint: row.get("hint")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
        elapsed_ms: row.get("elapsed_ms")?,
    };
    Ok(StoredStage {
        shown,
        failures: row.get("failures")?,
        losses: row.get("losses")?,
    })
}

/// The project document of this hash.
pub(crate) fn definition(tx: &mut Tx<'_>, hash: Hash) -> Result<Arc<Project>> {
    let row = tx.query_one(
        "SELECT document FROM pipeline_projects WHERE hash = ?1",
        &params![hash],
    )?;
    document(&row.get::<String>("document")?, "project document").map(Arc::new)
}

/// Objects that runs and the cache name: outs and logs. The collector must keep them.
///
/// # Errors
/// When the database fails or a row is damaged.
pub fn live_objects(tx: &mut Tx<'_>) -> Result<Vec<Hash>> {
    let mut live = std::collections::BTreeSet::new();
    let outs = tx.query(
        "SELECT outs FROM pipeline_cache UNION SELECT outs FROM pipeline_stages WHERE outs IS NOT NULL",
        &[],
    )?;
    for row in &outs {
        let outs: Vec<OutManifest> = document(&row.get::<String>("outs")?, "outs of a stage")?;
        let kept = outs.into_iter().filter(|out| out.kept);
        live.extend(kept.flat_map(|out| out.files).map(|file| file.hash));
    }
    for row in tx.query("SELECT log FROM pipeline_stages WHERE log IS NOT NULL", &[])? {
        live.insert(row.get("log")?);
    }
    Ok(live.into_iter().collect())
}

fn word<T>(row: &Row, column: &str, parse: fn(&str) -> Option<T>) -> Result<T> {
    let text: String = row.get(column)?;
    parse(&text).ok_or_else(|| Error::Damaged {
        what: "state",
        problem: format!("\"{text}\" is not a state"),
    })
}

pub(crate) fn document<T: DeserializeOwned>(text: &str, what: &'static str) -> Result<T> {
    serde_json::from_str(text).map_err(|error| Error::Damaged {
        what,
        problem: error.to_string(),
    })
}
