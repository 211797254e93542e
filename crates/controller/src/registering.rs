//! A pipeline's model becomes a version, with where it came from.

use everloop_core::{ArtifactPath, Hash, ModelName, RunId};
use everloop_pipelines::PipelineRun;
use everloop_registry::versions::{DatasetRef, NewVersion};
use everloop_registry::{VersionNumber, files::ModelFile, models, versions};
use everloop_runtime::{Limits, Model, ModelFiles, Task};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

use crate::advance::{PROFILE_TAG, ended, no_model, number_of};
use crate::decisions::{Draft, record};
use crate::made::Made;
use crate::retrainings::{Outcome, Retraining, State};
use crate::{Controller, Error, ProjectFile, Result};

impl Controller {
    /// Registers what the pipeline made. What is no news (the champion's very content, or the last version's) ends the
    /// retraining.
    pub(crate) async fn register(&self, retraining: &Retraining, run: &PipelineRun) -> Result<bool> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let made = self.read_model(&file, run).await?;
        let champion = self.champion(&model).await?;
        let content_now = self.content_of(&model, champion).await?;
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let by = self.0.parts.registry.by(&project, &Self::me());
        let seen = retraining.clone();
        self.step(retraining, move |tx| {
            models::ensure(tx, &by, &model)?;
            let number = versions::create(tx, &by, &model, &made)?;
            versions::mark_ready(tx, &by, &model, number)?;
            let version = u64::from(number.0);
            let made_content = versions::get(tx, &project, &model, number)?.map(|found| found.content);
            let next = Retraining {
                version: Some(version),
                state: State::Judging,
                ..seen.clone()
            };
            let before = match number.0.checked_sub(1).filter(|before| *before > 0) {
                Some(before) => {
                    versions::get(tx, &project, &model, VersionNumber(before))?.map(|found| found.content)
                }
                None => None,
            };
            let words = if made_content == content_now {
                let serves = champion.map_or(String::new(), |champion| format!(" as {model}@{champion}"));
                format!("{model}@{version} came out as the very model that serves already{serves}")
            } else if made_content == before {
                format!("{model}@{version} came out as the very model that was judged before it")
            } else {
                return Ok(next);
            };
            let draft = Draft {
                kind: "retraining",
                subject: format!("model:{model}@{version}"),
                outcome: Outcome::Unchanged.as_str(),
                words: words.clone(),
                evidence: json!({ "content": made_content }),
            };
            record(tx, &ids, now, &project, &Self::me(), &draft)?;
            Ok(ended(&next, Outcome::Unchanged, &words, now))
        })
        .await
    }

    /// The pipeline's model, stored, with where it came from.
    async fn read_model(&self, file: &ProjectFile, run: &PipelineRun) -> Result<NewVersion> {
        let spec = file.project.model.as_ref().ok_or_else(|| no_model(file))?;
        let made = self.made(file, Some(run));
        let found = made.model(spec.from.as_str(), &Limits::default()).await?;
        let (found, signature, task) = proven(found).await?;
        let mut files = Vec::new();
        for (path, bytes) in found.iter() {
            let stored = self.0.parts.objects.put_bytes(bytes.to_vec()).await?;
            let path = ArtifactPath::new(path).map_err(|error| Error::Damaged {
                what: "model folder",
                problem: error.to_string(),
            })?;
            files.push(ModelFile {
                path,
                hash: stored.hash,
                size_bytes: stored.size,
            });
        }
        let mut tags = BTreeMap::new();
        tags.insert("everloop.pipeline_run".to_owned(), run.summary.id.to_string());
        if let Some(profile) = self.training_profile(file, &made).await? {
            tags.insert(PROFILE_TAG.to_owned(), profile);
        }
        Ok(NewVersion {
            files,
            source: format!("pipeline-run:{}", run.summary.id),
            run: tracked_training(file, run),
            task: Some(task.to_owned()),
            flavor: "onnx".to_owned(),
            unsafe_format: false,
            signature: Some(signature),
            metrics: metrics_of(file, &made).await?,
            datasets: self.dataset_refs(run).await?,
            description: spec.description.clone().unwrap_or_default(),
            tags,
        })
    }

    /// The profile of the rows that the training stage read, as an object: what drift is measured from.
    async fn training_profile(&self, file: &ProjectFile, made: &Made<'_>) -> Result<Option<String>> {
        let trainings = file
            .project
            .stages
            .values()
            .filter(|stage| stage.action.kind() == "train");
        let path = trainings
            .flat_map(|stage| stage.reads())
            .find_map(|source| match source {
                everloop_project::Source::Path(path) => Some(path),
                everloop_project::Source::Dataset(_) => None,
            });
        let Some(path) = path else { return Ok(None) };
        if made.digest(path.as_str()).is_none() && !file.root.join(path.as_str()).exists() {
            return Ok(None);
        }
        let table = made.table(path.as_str()).await?;
        let profile = self.0.parts.tables.profile(table).await?;
        let text = serde_json::to_vec(&profile).map_err(|error| Error::Damaged {
            what: "profile",
            problem: error.to_string(),
        })?;
        Ok(Some(self.0.parts.objects.put_bytes(text).await?.hash.to_hex()))
    }

    /// The dataset versions that the stages of the run read.
    async fn dataset_refs(&self, run: &PipelineRun) -> Result<Vec<DatasetRef>> {
        let tracked: Vec<RunId> = run
            .stages
            .iter()
            .filter_map(|stage| stage.tracked_run.clone())
            .collect();
        let project = self.0.project.clone();
        let read = self
            .0
            .parts
            .db
            .read(move |tx| Ok::<_, Error>(everloop_tracking::get_many(tx, &project, &tracked)?));
        let mut refs: Vec<DatasetRef> = Vec::new();
        for input in read.await?.into_iter().flat_map(|run| run.datasets) {
            let dataset = &input.dataset;
            let (Ok(name), Some(version)) = (dataset.name.parse(), dataset.version) else {
                continue;
            };
            let found = DatasetRef {
                name,
                version,
                digest: dataset.digest.clone(),
                role: "training".to_owned(),
            };
            if !refs.contains(&found) {
                refs.push(found);
            }
        }
        Ok(refs)
    }

    async fn content_of(&self, model: &ModelName, version: Option<u64>) -> Result<Option<Hash>> {
        let Some(version) = version else { return Ok(None) };
        let found = self
            .0
            .parts
            .registry
            .version(&self.0.project, model, number_of(version))
            .await?;
        Ok(found.map(|found| found.content))
    }
}

/// Loads the model, for a version that can't be loaded never gets a number that can be routed to. Answers its files,
/// signature and task.
async fn proven(files: ModelFiles) -> Result<(ModelFiles, Value, &'static str)> {
    let load = move || {
        let loaded = Model::load(&files, &Limits::default())?;
        let (inputs, outputs) = loaded.signature().to_mlflow();
        let task = match loaded.task() {
            Task::Classification { .. } => "classification",
            Task::Regression => "regression",
        };
        Ok((files, json!({ "inputs": inputs, "outputs": outputs }), task))
    };
    tokio::task::spawn_blocking(load)
        .await
        .map_err(|_| Error::Damaged {
            what: "model",
            problem: "loading it broke off".to_owned(),
        })?
}

/// The tracked run of the stage that trains.
fn tracked_training(file: &ProjectFile, run: &PipelineRun) -> Option<RunId> {
    let mut stages = file.project.stages.iter();
    let (name, _) = stages.find(|(_, stage)| stage.action.kind() == "train")?;
    run.stage(name.as_str())?.tracked_run.clone()
}

/// The numbers in the metrics files of the stages that evaluate.
async fn metrics_of(file: &ProjectFile, made: &Made<'_>) -> Result<Map<String, Value>> {
    let mut found = Map::new();
    let evaluations = file
        .project
        .stages
        .values()
        .filter(|stage| stage.action.kind() == "evaluate");
    for written in evaluations.flat_map(|stage| stage.writes()) {
        found.extend(made.numbers(written.path.as_str()).await?);
    }
    Ok(found)
}
