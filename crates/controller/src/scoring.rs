//! Versions asked about rows whose truth is known.

use everloop_core::{Column, Frame, ModelName, PipelineRunId, Values};
use everloop_monitoring::SCORE;
use everloop_project::Source as ProjectSource;
use everloop_registry::{VersionNumber, files};
use everloop_runtime::{Limits, Model, ModelFiles};
use everloop_tables::{Source, from_frame};
use std::time::{Duration, Instant};

use crate::made::Made;
use crate::{Controller, Error, ProjectFile, Result};

/// Rows on which latency is measured, one at a time.
const LATENCY_ROWS: usize = 500;

/// Rows with their truth.
#[derive(Debug)]
pub(crate) struct TestRows {
    pub frame: Frame,
    pub truth: Vec<f64>,
    pub words: String,
}

/// What a version says about them.
#[derive(Debug)]
pub(crate) struct Scores {
    pub name: String,
    pub scores: Vec<f64>,
    pub latencies: Vec<Duration>,
}

impl Controller {
    /// The rows that the project's gates judge on: of a table that the pipeline writes, those that `run` wrote.
    pub(crate) async fn test_rows(
        &self,
        file: &ProjectFile,
        run: Option<&PipelineRunId>,
    ) -> Result<TestRows> {
        let model = file.project.model.as_ref();
        let words = |source: &ProjectSource| source.to_string();
        let wrong = |name: String, problem: String| Error::TestRows {
            source_name: name,
            problem,
        };
        let test = model.and_then(|model| model.test.as_ref());
        let test = test.ok_or_else(|| wrong("test".to_owned(), "the model names no test rows".to_owned()))?;
        let target = model.and_then(|model| model.target.as_ref());
        let target =
            target.ok_or_else(|| wrong(words(test), "the model names no target column".to_owned()))?;
        let run = match run {
            Some(run) => Some(self.0.parts.pipelines.status(&self.0.project, run).await?),
            None => None,
        };
        let (source, from) = self.source_of(&self.made(file, run.as_ref()), test).await?;
        let session = self.0.parts.tables.session().await?;
        session.add("rows", source).await?;
        let frame = session.sql("SELECT * FROM rows").await?.to_frame()?;
        let truth = frame.get(target.as_str()).map(Values::to_numbers);
        let truth = truth.ok_or_else(|| wrong(words(test), format!("there is no column \"{target}\"")))?;
        let keep: Vec<usize> = (0..truth.len()).filter(|&row| truth[row].is_finite()).collect();
        if keep.is_empty() {
            return Err(wrong(words(test), format!("no row has a value of \"{target}\"")));
        }
        let truth = keep.iter().map(|&row| truth[row]).collect();
        Ok(TestRows {
            frame: frame.take(&keep),
            truth,
            words: from,
        })
    }

    /// The rows of `source`, and what content they are.
    async fn source_of(&self, made: &Made<'_>, source: &ProjectSource) -> Result<(Source, String)> {
        match source {
            ProjectSource::Dataset(name) => {
                let datasets = &self.0.parts.datasets;
                let version = datasets
                    .version(&self.0.project, name, everloop_datasets::Selector::Latest)
                    .await?;
                let rows = datasets.manifest(&version).await?.source();
                Ok((rows, version.reference().to_string()))
            }
            ProjectSource::Path(path) => {
                let content = made.digest(path.as_str());
                let content = content.map_or(String::new(), |hash| format!(" (blake3 {hash})"));
                Ok((made.table(path.as_str()).await?, format!("{path}{content}")))
            }
        }
    }

    /// Loads a version and asks it about every row, then about some one at a time.
    pub(crate) async fn score(&self, model: &ModelName, version: u64, rows: &TestRows) -> Result<Scores> {
        let loaded = self.load(model, version).await?;
        let frame = rows.frame.clone();
        let asked = tokio::task::spawn_blocking(move || ask(&loaded, &frame)).await;
        let (scores, latencies) = asked.map_err(|_| Error::Damaged {
            what: "model",
            problem: "it broke off while it was asked".to_owned(),
        })??;
        Ok(Scores {
            name: format!("{model}@{version}"),
            scores,
            latencies,
        })
    }

    /// The profile of what a version answered, as an object.
    pub(crate) async fn score_profile(&self, scores: &Scores) -> Result<String> {
        let column = Column {
            name: SCORE.to_owned(),
            values: Values::Float(scores.scores.clone()),
        };
        let frame = Frame::new(vec![column]).expect("one column has as many rows as itself");
        let rows = Source::batches(vec![from_frame(&frame)?]);
        let profile = self.0.parts.tables.profile(rows).await?;
        let text = serde_json::to_vec(&profile).map_err(|error| Error::Damaged {
            what: "profile",
            problem: error.to_string(),
        })?;
        Ok(self.0.parts.objects.put_bytes(text).await?.hash.to_hex())
    }

    /// Loads a version from its files.
    pub(crate) async fn load(&self, model: &ModelName, version: u64) -> Result<Model> {
        let files = self.model_files(model, version).await?;
        let loaded = tokio::task::spawn_blocking(move || Model::load(&files, &Limits::default())).await;
        loaded
            .map_err(|_| Error::Damaged {
                what: "model",
                problem: "loading it broke off".to_owned(),
            })?
            .map_err(Into::into)
    }

    async fn model_files(&self, model: &ModelName, version: u64) -> Result<ModelFiles> {
        let (project, name) = (self.0.project.clone(), model.clone());
        let number = VersionNumber(u32::try_from(version).unwrap_or(u32::MAX));
        let list = self
            .0
            .parts
            .db
            .read(move |tx| files::all(tx, &project, &name, number))
            .await?;
        let mut found = ModelFiles::new();
        for file in list {
            let bytes = self.0.parts.objects.get_bytes(&file.hash).await?;
            found.insert(file.path.as_str(), bytes.to_vec())?;
        }
        Ok(found)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "latency is a fact about the machine, not the project"
)]
fn ask(model: &Model, frame: &Frame) -> Result<(Vec<f64>, Vec<Duration>)> {
    let scores = model.predict(frame)?.main_score();
    let mut latencies = Vec::new();
    // Evenly over the rows, so that no part of the table is left out.
    let step = (frame.rows() / LATENCY_ROWS).max(1);
    for row in (0..frame.rows()).step_by(step) {
        let one = frame.take(&[row]);
        let started = Instant::now();
        model.predict(&one)?;
        latencies.push(started.elapsed());
    }
    Ok((scores, latencies))
}
