//! Asking for a run: its rows, written in one transaction.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use everloop_core::{Actor, Hash, IdempotencyKey, PipelineRunId, ProjectName, StageName, Timestamp};
use everloop_db::{Tx, Value, params};
use everloop_ledger::{NewEvent, idempotency};
use everloop_project::{Graph, ParamDep, Project};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{CHANNEL, Error, Result, StageState, params as values};

/// What to run.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The project as its file says.
    pub project: Arc<Project>,
    /// The folder that the file lies in: the workspace.
    pub root: PathBuf,
    /// The stages to get done, with all they wait for; all stages when empty.
    pub targets: Vec<StageName>,
    /// Parameters that differ from the files, by dotted name. Built-in readers see them; processes find the values of
    /// their stage in `EVERLOOP_PARAMS`, as JSON.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Whether stages run even though their inputs were seen before.
    pub force: bool,
    /// What happens to other stages when one fails.
    pub on_failure: OnFailure,
    /// Why it runs, for the ledger: the trigger, the drift, the person's words.
    pub reason: serde_json::Value,
    /// A repeated request with the same key has one effect.
    pub idempotency_key: Option<IdempotencyKey>,
}

impl RunRequest {
    /// All stages of `project` in `root`, stopping at the first failure.
    #[must_use]
    pub fn new(project: Arc<Project>, root: impl Into<PathBuf>) -> Self {
        Self {
            project,
            root: root.into(),
            targets: Vec::new(),
            params: BTreeMap::new(),
            force: false,
            on_failure: OnFailure::Stop,
            reason: serde_json::Value::Null,
            idempotency_key: None,
        }
    }
}

/// What happens to other stages when one fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OnFailure {
    /// What runs already ends in peace; nothing new starts.
    #[default]
    Stop,
    /// Only the stages that wait for it are skipped.
    KeepGoing,
}

/// A request as stored. Owned by this crate; fields are only added.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Request {
    #[serde(default)]
    pub targets: Vec<StageName>,
    #[serde(default)]
    pub params: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    pub force: bool,
    #[serde(default)]
    pub on_failure: OnFailure,
    #[serde(default)]
    pub reason: serde_json::Value,
}

/// A request that was checked, ready to be written.
#[derive(Clone)]
pub(crate) struct Submission {
    pub id: PipelineRunId,
    pub at: Timestamp,
    pub actor: Actor,
    pub name: ProjectName,
    pub definition: Hash,
    pub document: String,
    pub workspace: String,
    pub request: Request,
    /// Name and kind of each stage, in order.
    pub stages: Vec<(StageName, &'static str)>,
    pub key: Option<IdempotencyKey>,
}

impl Submission {
    /// Checks that `request` can be carried out.
    pub fn check(id: PipelineRunId, at: Timestamp, actor: &Actor, request: RunRequest) -> Result<Self> {
        let project = &request.project;
        let graph = graph(project)?;
        let stages = select(project, &graph, &request.targets)?;
        check_params(project, &stages, &request.params)?;
        let root = std::fs::canonicalize(&request.root).map_err(|_| Error::NoWorkspace {
            path: request.root.clone(),
        })?;
        let workspace = root
            .to_str()
            .ok_or_else(|| Error::WorkspaceName { path: root.clone() })?;
        Ok(Self {
            id,
            at,
            actor: actor.clone(),
            name: project.project.clone(),
            definition: project.content_hash(),
            document: project.to_canonical_json(),
            workspace: workspace.to_owned(),
            stages: stages
                .into_iter()
                .map(|name| (name.clone(), project.stages[name].action.kind()))
                .collect(),
            key: request.idempotency_key,
            request: Request {
                targets: request.targets,
                params: request.params,
                force: request.force,
                on_failure: request.on_failure,
                reason: request.reason,
            },
        })
    }

    /// Writes the run, its stages and its event; answers the id of the run that stands.
    pub fn write(&self, tx: &mut Tx<'_>) -> Result<PipelineRunId> {
        let Some(key) = &self.key else {
            self.insert(tx)?;
            return Ok(self.id.clone());
        };
        let request = json!([self.definition, self.workspace, self.request]).to_string();
        let request = Hash::of(request.as_bytes());
        idempotency::once(tx, &self.name, key, request, self.at, |tx| {
            self.insert(tx)?;
            Ok(self.id.clone())
        })
    }

    fn insert(&self, tx: &mut Tx<'_>) -> Result<()> {
        tx.execute(
            "INSERT INTO pipeline_projects (hash, document) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
            &params![self.definition, &self.document],
        )?;
        let request = serde_json::to_string(&self.request).expect("a request is plain data with text keys");
        tx.execute(
            "INSERT INTO pipeline_runs (id, project, definition, workspace, request, actor, state, created_at)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'pending', ?7)",
            &params![
                &self.id,
                &self.name,
                self.definition,
                &self.workspace,
                request,
                self.actor.to_string(),
                self.at
            ],
        )?;
        let rows: Vec<Vec<Value>> = self
            .stages
            .iter()
            .enumerate()
            .map(|row| self.stage_row(row))
            .collect();
        tx.execute_many(
            "INSERT INTO pipeline_stages (run, stage, place, kind, state, attempt, failures, losses, token)
             VALUES (?1, ?2, ?3, ?4, ?5, 0, 0, 0, 0)",
            &rows,
        )?;
        let payload = json!({
            "stages": self.stages.len(),
            "targets": self.request.targets,
            "params": self.request.params,
            "force": self.request.force,
            "definition": self.definition,
            "reason": self.request.reason,
        });
        let event = NewEvent {
            project: self.name.clone(),
            actor: self.actor.clone(),
            kind: "pipeline.started",
            subject: format!("pipeline:{}", self.id),
            payload,
        };
        everloop_ledger::append(tx, self.at, event)?;
        tx.wake(CHANNEL);
        Ok(())
    }

    fn stage_row(&self, (place, (stage, kind)): (usize, &(StageName, &'static str))) -> Vec<Value> {
        params![&self.id, stage, place, *kind, StageState::Pending.as_str()].to_vec()
    }
}

/// The graph of the project's stages.
pub(crate) fn graph(project: &Project) -> Result<Graph> {
    if project.stages.is_empty() {
        return Err(Error::NoStages(project.project.clone()));
    }
    project
        .graph()
        .map_err(|mut cycles| Error::Cycle(cycles.remove(0)))
}

/// The stages to get `targets` done, in order; all when there are no targets.
pub(crate) fn select<'a>(
    project: &Project,
    graph: &'a Graph,
    targets: &'a [StageName],
) -> Result<Vec<&'a StageName>> {
    if let Some(unknown) = targets.iter().find(|name| !project.stages.contains_key(*name)) {
        return Err(Error::NoSuchStage {
            stage: unknown.clone(),
            known: project.stages.keys().cloned().collect(),
        });
    }
    if targets.is_empty() {
        return Ok(graph.order().collect());
    }
    Ok(graph.selection(targets))
}

/// An override that nothing reads is a slip.
pub(crate) fn check_params(
    project: &Project,
    stages: &[&StageName],
    params: &values::Overrides,
) -> Result<()> {
    let deps: Vec<&ParamDep> = stages
        .iter()
        .flat_map(|&name| &project.stages[name].params)
        .collect();
    for param in params.keys() {
        if !deps.iter().any(|dep| values::is_read(dep, param)) {
            let known: BTreeSet<String> = deps
                .iter()
                .filter_map(|dep| match dep {
                    ParamDep::Key(key) => Some(key.clone()),
                    ParamDep::File { .. } => None,
                })
                .collect();
            return Err(Error::UnknownParam {
                param: param.clone(),
                known: known.into_iter().collect(),
            });
        }
    }
    Ok(())
}
