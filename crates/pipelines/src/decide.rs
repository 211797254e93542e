//! Whether a stage must run.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::Arc;

use everloop_core::{DatasetName, Hash, ProjectName, RunId, StageName};
use everloop_db::Db;
use everloop_objects::Objects;
use everloop_project::{FilePath, Project, Reach, Source, Stage};

use crate::files::Files;
use crate::inputs::Inputs;
use crate::params::{self, Overrides};
use crate::rows::{self, Entry, Head};
use crate::{Failure, OutManifest};

/// Decides for the stages of one project in one workspace.
pub(crate) struct Decider {
    pub name: ProjectName,
    pub project: Arc<Project>,
    pub root: PathBuf,
    pub files: Arc<Files>,
    pub db: Db,
    pub objects: Objects,
    /// The last inputs of each stage.
    pub heads: HashMap<StageName, Head>,
    pub overrides: Overrides,
    /// Whether stages run even though their inputs were seen before.
    pub force: bool,
    /// What stages may be handed on from the worker's environment.
    pub env: Arc<BTreeMap<String, String>>,
}

/// What to do about a stage.
pub(crate) enum Decision {
    /// Nothing but to put its outs in place.
    Hit(Hit),
    /// Run it.
    Run(Todo),
}

/// Outs of inputs that were seen before.
pub(crate) struct Hit {
    /// None for a frozen stage, whose inputs don't count.
    pub seen: Option<(Hash, Inputs)>,
    pub outs: Vec<OutManifest>,
    pub tracked_run: Option<RunId>,
    /// Those of the outs that the workspace does not hold.
    pub restore: Vec<OutManifest>,
    pub reason: String,
}

/// A stage to run.
#[derive(Clone)]
pub(crate) struct Todo {
    pub key: Hash,
    pub inputs: Inputs,
    /// Why, in words.
    pub why: Vec<String>,
    /// Whether its outs may answer for the same inputs another time.
    pub reusable: bool,
}

impl Decider {
    /// What to do about `name`, whose stages before it are done.
    ///
    /// # Errors
    /// When something it reads is missing or unreadable.
    pub async fn decide(&self, name: &StageName) -> Result<Decision, Failure> {
        let stage = &self.project.stages[name];
        if stage.frozen {
            return self.frozen(stage).await;
        }
        let inputs = self.inputs(stage).await?;
        let key = inputs.key();
        let todo = |why: Vec<String>, inputs| {
            let reusable = !reads_remote(stage);
            Ok(Decision::Run(Todo {
                key,
                inputs,
                why,
                reusable,
            }))
        };
        if let Some(always) = self.always(stage) {
            return todo(vec![always], inputs);
        }
        let head = self.heads.get(name);
        let Some(entry) = self.entry(head, key).await? else {
            return todo(why_unseen(head, &inputs), inputs);
        };
        match self.compare(stage, &entry).await? {
            Ok(restore) => Ok(Decision::Hit(Hit {
                seen: Some((key, inputs)),
                outs: entry.outs,
                tracked_run: entry.tracked_run,
                reason: if restore.is_empty() {
                    "nothing changed".to_owned()
                } else {
                    format!("same inputs as in run {}", entry.run)
                },
                restore,
            })),
            Err(why) => todo(vec![why], inputs),
        }
    }

    /// Why the stage runs whatever its inputs are.
    fn always(&self, stage: &Stage) -> Option<String> {
        if self.force {
            Some("it was forced to".to_owned())
        } else if stage.always_changed {
            Some("always_changed is set".to_owned())
        } else if stage.reads().is_empty() && stage.params.is_empty() && stage.writes().next().is_none() {
            Some("it reads and writes nothing that is declared".to_owned())
        } else if reads_remote(stage) {
            Some("it reads an address, which may hold something else each time".to_owned())
        } else {
            None
        }
    }

    async fn frozen(&self, stage: &Stage) -> Result<Decision, Failure> {
        let mut outs = Vec::new();
        for written in stage.writes() {
            outs.extend(self.files.manifest(written.path.as_str()).await?);
        }
        Ok(Decision::Hit(Hit {
            seen: None,
            outs,
            tracked_run: None,
            restore: Vec::new(),
            reason: "it is frozen".to_owned(),
        }))
    }

    /// Everything the stage's outs depend on, as it is now.
    pub async fn inputs(&self, stage: &Stage) -> Result<Inputs, Failure> {
        let mut inputs = Inputs::of(stage);
        for source in stage.reads() {
            match source {
                Source::Dataset(name) => {
                    let digest = self.dataset_digest(&name).await?;
                    inputs.deps.insert(format!("dataset:{name}"), digest);
                }
                Source::Path(path) => {
                    let digest = self.path_digest(&path).await?;
                    inputs.deps.insert(path.to_string(), digest);
                }
            }
        }
        inputs.params = params::read(&self.project, stage, &self.root, &self.overrides)?;
        for (name, value) in &stage.run.env {
            let value = value.as_ref().or_else(|| self.env.get(name));
            inputs
                .env
                .insert(name.clone(), value.map(|value| Hash::of(value.as_bytes())));
        }
        Ok(inputs)
    }

    async fn dataset_digest(&self, name: &DatasetName) -> Result<Hash, Failure> {
        let dataset = self
            .project
            .datasets
            .get(name)
            .ok_or_else(|| Failure::NoDataset(name.to_string()))?;
        let found = self.files.dataset(&dataset.path).await?;
        found
            .map(|found| found.digest())
            .ok_or_else(|| Failure::MissingDep(format!("dataset:{name}")))
    }

    async fn path_digest(&self, path: &FilePath) -> Result<Hash, Failure> {
        if path.reach() == Reach::Remote {
            return Ok(Hash::of(path.as_str().as_bytes()));
        }
        let found = self.files.manifest(path.as_str()).await?;
        found
            .map(|found| found.digest())
            .ok_or_else(|| Failure::MissingDep(path.to_string()))
    }

    /// The outs that inputs of this hash gave.
    async fn entry(&self, head: Option<&Head>, key: Hash) -> Result<Option<Entry>, Failure> {
        if let Some(head) = head.filter(|head| head.key == key) {
            return Ok(head.entry.clone());
        }
        let project = self.name.clone();
        let found = self.db.read(move |tx| rows::cached(tx, &project, key)).await;
        found.map_err(into_failure)
    }

    /// The outs that must be put in place, or why the entry is of no use.
    async fn compare(
        &self,
        stage: &Stage,
        entry: &Entry,
    ) -> Result<Result<Vec<OutManifest>, String>, Failure> {
        let mut restore = Vec::new();
        for written in stage.writes() {
            let path = written.path.as_str();
            let Some(wanted) = entry.outs.iter().find(|out| out.path == path) else {
                return Ok(Err(format!("output {path} is new")));
            };
            let current = self.files.manifest(path).await?;
            if current
                .as_ref()
                .is_some_and(|current| current.same_content(wanted))
            {
                continue;
            }
            // What a stage adds to is not made by its inputs alone.
            if !wanted.kept || written.out.flags.persist {
                let how = if current.is_some() {
                    "changed"
                } else {
                    "is missing"
                };
                return Ok(Err(format!("output {path} {how}")));
            }
            for file in &wanted.files {
                if !self.objects.exists(&file.hash).await? {
                    return Ok(Err(format!("output {path} is no longer stored")));
                }
            }
            restore.push(wanted.clone());
        }
        Ok(Ok(restore))
    }
}

/// The paths whose hashes the decisions about `stages` will ask for.
pub(crate) fn paths<'a>(project: &Project, stages: impl Iterator<Item = &'a StageName>) -> Vec<String> {
    let mut paths = std::collections::BTreeSet::new();
    for name in stages {
        let stage = &project.stages[name];
        paths.extend(stage.writes().map(|written| written.path.to_string()));
        for source in stage.reads() {
            match source {
                Source::Path(path) if path.reach() == Reach::Remote => {}
                Source::Path(path) => drop(paths.insert(path.to_string())),
                Source::Dataset(name) => {
                    let dataset = project.datasets.get(&name);
                    let prefixes = dataset.into_iter().flat_map(|dataset| &dataset.path);
                    paths.extend(prefixes.map(|path| path.prefix().to_string()));
                }
            }
        }
    }
    paths.into_iter().collect()
}

fn reads_remote(stage: &Stage) -> bool {
    stage
        .reads()
        .iter()
        .any(|source| matches!(source, Source::Path(path) if path.reach() == Reach::Remote))
}

fn why_unseen(head: Option<&Head>, inputs: &Inputs) -> Vec<String> {
    let Some(before) = head.and_then(Head::inputs) else {
        return vec!["it never ran".to_owned()];
    };
    let changes = inputs.changes(&before);
    if changes.is_empty() {
        return vec!["its last outs are not kept".to_owned()];
    }
    changes
}

/// What reading the cache can fail with.
fn into_failure(error: crate::Error) -> Failure {
    match error {
        crate::Error::Db(error) => Failure::Db(error),
        // A row that another program wrote, or that is damaged.
        other => Failure::Rows(other.to_string()),
    }
}
