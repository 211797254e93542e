//! What a run would do, and why, without doing it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;

use everloop_core::StageName;
use everloop_project::Project;

use crate::decide::{self, Decider, Decision};
use crate::files::Files;
use crate::{Error, Failure, Pipelines, Result, rows, submit};

/// What to plan for.
#[derive(Debug, Clone)]
pub struct PlanRequest {
    /// The project as its file says.
    pub project: Arc<Project>,
    /// The folder that the file lies in.
    pub root: PathBuf,
    /// The stages to get done; all when empty.
    pub targets: Vec<StageName>,
    /// Parameters that differ from the files.
    pub params: BTreeMap<String, serde_json::Value>,
    /// Whether stages run even though their inputs were seen before.
    pub force: bool,
    /// The variables that the worker hands on to stages.
    pub env: Arc<BTreeMap<String, String>>,
}

impl PlanRequest {
    /// All stages of `project` in `root`.
    #[must_use]
    pub fn new(project: Arc<Project>, root: impl Into<PathBuf>) -> Self {
        Self {
            project,
            root: root.into(),
            targets: Vec::new(),
            params: BTreeMap::new(),
            force: false,
            env: Arc::default(),
        }
    }
}

/// What would happen to a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagePlan {
    /// The stage.
    pub stage: StageName,
    /// What would happen to it.
    pub verdict: Verdict,
}

/// What would happen to a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing: its outs are in place.
    Cached,
    /// Its outs would be fetched, for its inputs were seen before.
    Restored {
        /// Those of its outs that differ from the workspace.
        outs: Vec<String>,
    },
    /// It would run.
    Run {
        /// Why: `dep data/x changed`, `param train.depth 4 -> 6`, `it never ran`.
        why: Vec<String>,
    },
    /// That depends on what the stages before it write.
    Depends {
        /// Those of them that would run.
        on: Vec<StageName>,
    },
    /// It would fail.
    Fails {
        /// Why.
        error: String,
    },
}

impl Pipelines {
    /// What a run would do to each stage, in order, and why. Nothing is changed.
    ///
    /// # Errors
    /// As [`submit`](Self::submit).
    pub async fn plan(&self, request: PlanRequest) -> Result<Vec<StagePlan>> {
        let project = &request.project;
        let graph = submit::graph(project)?;
        let stages: Vec<StageName> = submit::select(project, &graph, &request.targets)?
            .into_iter()
            .cloned()
            .collect();
        submit::check_params(project, &stages.iter().collect::<Vec<_>>(), &request.params)?;
        let decider = self.decider(&request, &stages).await?;
        let mut plans = Vec::with_capacity(stages.len());
        let mut moving: BTreeSet<&StageName> = BTreeSet::new();
        for stage in &stages {
            let on: Vec<StageName> = graph
                .before(stage)
                .filter(|before| moving.contains(before))
                .cloned()
                .collect();
            let verdict = if on.is_empty() || project.stages[stage].frozen {
                verdict(decider.decide(stage).await)?
            } else {
                Verdict::Depends { on }
            };
            if verdict != Verdict::Cached {
                moving.insert(stage);
            }
            plans.push(StagePlan {
                stage: stage.clone(),
                verdict,
            });
        }
        Ok(plans)
    }

    async fn decider(&self, request: &PlanRequest, stages: &[StageName]) -> Result<Decider> {
        let root = std::fs::canonicalize(&request.root).map_err(|_| Error::NoWorkspace {
            path: request.root.clone(),
        })?;
        let name = request.project.project.clone();
        let owned = name.clone();
        let files = Files::open(&root)?;
        files
            .load(&self.db, decide::paths(&request.project, stages.iter()))
            .await?;
        Ok(Decider {
            heads: self.db.read(move |tx| rows::heads(tx, &owned)).await?,
            name,
            project: Arc::clone(&request.project),
            root,
            files,
            db: self.db.clone(),
            objects: self.objects.clone(),
            overrides: request.params.clone(),
            force: request.force,
            env: Arc::clone(&request.env),
        })
    }
}

fn verdict(decision: Result<Decision, Failure>) -> Result<Verdict> {
    match decision {
        Ok(Decision::Hit(hit)) if hit.restore.is_empty() => Ok(Verdict::Cached),
        Ok(Decision::Hit(hit)) => Ok(Verdict::Restored {
            outs: hit.restore.into_iter().map(|out| out.path).collect(),
        }),
        Ok(Decision::Run(todo)) => Ok(Verdict::Run { why: todo.why }),
        Err(Failure::Db(error)) => Err(error.into()),
        Err(failure) => Ok(Verdict::Fails {
            error: failure.with_causes(),
        }),
    }
}
