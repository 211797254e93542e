//! The monitor's windows, read from the prediction log, and what they are compared with.

use async_trait::async_trait;
use everloop_core::{Coded, DatasetName, EndpointName, Frame, Hash, ModelName, ProjectName, Timestamp};
use everloop_datasets::Selector;
use everloop_db::params;
use everloop_monitoring::{Place, Reference, Span, WindowSource};
use everloop_project::Reference as Kind;
use everloop_serving::{PredictionFilter, Serving, Stretch};
use everloop_tables::Profile;

use crate::advance::{PROFILE_TAG, SCORES_TAG, number_of};
use crate::{Controller, Result};

impl Controller {
    /// Judges the windows that have closed.
    pub(crate) async fn watch(&self) -> Result<usize> {
        let Some(file) = self.file() else { return Ok(0) };
        let (Some(monitor), Some(serve), Some(model)) =
            (&file.project.monitor, &file.project.serve, &file.project.model)
        else {
            return Ok(0);
        };
        let source = LogWindows {
            controller: self,
            endpoint: &serve.endpoint,
            model: &model.name,
        };
        let found = self
            .0
            .parts
            .monitoring
            .evaluate(
                &self.0.project,
                &serve.endpoint,
                monitor,
                file.quality.as_ref(),
                &source,
                self.now(),
            )
            .await?;
        Ok(found.results.len())
    }
}

/// How far the next window of a number of rows was from being full when it was looked at last.
#[derive(Debug)]
pub(crate) struct Waiting {
    after: Option<Place>,
    rows: u64,
    /// Rows that were sealed before that look.
    sealed: u64,
    /// Rows that were missing after it.
    missing: u64,
}

/// Windows of one endpoint's live predictions.
struct LogWindows<'a> {
    controller: &'a Controller,
    endpoint: &'a EndpointName,
    model: &'a ModelName,
}

impl LogWindows<'_> {
    fn project(&self) -> &ProjectName {
        &self.controller.0.project
    }

    fn serving(&self) -> &Serving {
        &self.controller.0.parts.serving
    }
}

impl LogWindows<'_> {
    /// The profile that a tag of a version names.
    async fn kept_profile(&self, tag: Option<&String>) -> everloop_monitoring::Result<Option<Profile>> {
        let Some(hash) = tag.and_then(|text| text.parse::<Hash>().ok()) else {
            return Ok(None);
        };
        let objects = &self.controller.0.parts.objects;
        let bytes = objects.get_bytes(&hash).await.map_err(failed("profile"))?;
        let profile = serde_json::from_slice(&bytes).map_err(everloop_monitoring::Error::Damaged)?;
        Ok(Some(profile))
    }

    /// The profile of a dataset's newest version.
    async fn dataset_profile(&self, name: &DatasetName) -> everloop_monitoring::Result<(String, Profile)> {
        let datasets = &self.controller.0.parts.datasets;
        let version = datasets
            .version(self.project(), name, Selector::Latest)
            .await
            .map_err(failed("dataset"))?;
        let profile = datasets.profile(&version).await.map_err(failed("dataset"))?;
        Ok((version.reference().to_string(), profile))
    }

    /// The event time of the first prediction that is stored as Parquet.
    async fn first_sealed(&self) -> everloop_monitoring::Result<Option<Timestamp>> {
        let (project, endpoint) = (self.project().clone(), self.endpoint.clone());
        self.controller
            .0
            .parts
            .db
            .read(move |tx| {
                let row = tx.query_one(
                    "SELECT MIN(min_event_time) AS since FROM prediction_segments WHERE project = ?1 AND endpoint = ?2",
                    &params![project.as_str(), endpoint.as_str()],
                )?;
                row.get::<Option<Timestamp>>("since")
            })
            .await
            .map_err(failed("prediction log"))
    }
}

fn failed<E: Coded>(what: &'static str) -> impl Fn(E) -> everloop_monitoring::Error {
    move |error| everloop_monitoring::Error::Source {
        what,
        problem: error.to_string(),
        code: error.code(),
    }
}

#[async_trait]
impl WindowSource for LogWindows<'_> {
    async fn since(&self) -> everloop_monitoring::Result<Option<Timestamp>> {
        if let Some(since) = self.first_sealed().await? {
            return Ok(Some(since));
        }
        // The first predictions may still be in the open segment.
        if self.serving().log_stats().open_rows == 0 {
            return Ok(None);
        }
        self.serving().flush().await.map_err(failed("prediction log"))?;
        self.first_sealed().await
    }

    async fn next_rows(
        &self,
        after: Option<&Place>,
        rows: u64,
    ) -> everloop_monitoring::Result<Option<(Place, Place)>> {
        let (serving, project) = (self.serving(), self.project());
        let log = failed("prediction log");
        // In this order a row that is sealed meanwhile counts twice, not never.
        let open = serving.log_stats().open_rows;
        let sealed = serving.rows_sealed(project, self.endpoint).await.map_err(&log)?;
        let too_early = {
            let waiting = self.controller.0.waiting.lock();
            waiting.as_ref().is_some_and(|last| {
                last.after.as_ref() == after
                    && last.rows == rows
                    && open + sealed.saturating_sub(last.sealed) < last.missing
            })
        };
        if too_early {
            return Ok(None);
        }
        let before = after.map(|place| everloop_serving::Place {
            event_time: place.at,
            id: place.id.clone(),
        });
        let found = serving
            .stretch(project, self.endpoint, before.as_ref(), rows)
            .await
            .map_err(&log)?;
        let place = |place: everloop_serving::Place| Place {
            at: place.event_time,
            id: place.id,
        };
        match found {
            Stretch::Whole { first, last } => Ok(Some((place(first), place(last)))),
            Stretch::Short { missing } => {
                *self.controller.0.waiting.lock() = Some(Waiting {
                    after: after.cloned(),
                    rows,
                    sealed,
                    missing,
                });
                Ok(None)
            }
        }
    }

    async fn rows(&self, span: Span) -> everloop_monitoring::Result<Frame> {
        let filter = PredictionFilter {
            event_time: span.start..span.end,
            role: Some("live"),
            version: None,
        };
        let found = self
            .serving()
            .labelled(self.project(), self.endpoint, &filter)
            .await;
        Ok(found.map_err(failed("prediction log"))?.frame)
    }

    async fn reference(&self, kind: &Kind) -> everloop_monitoring::Result<Option<Reference>> {
        let champion = self
            .controller
            .champion(self.model)
            .await
            .map_err(failed("registry"))?;
        let Some(champion) = champion else { return Ok(None) };
        let found = self
            .controller
            .0
            .parts
            .registry
            .version(self.project(), self.model, number_of(champion))
            .await;
        let tags = found
            .map_err(failed("registry"))?
            .map(|version| version.tags)
            .unwrap_or_default();
        let scores = self.kept_profile(tags.get(SCORES_TAG)).await?;
        let (words, profile) = match kind {
            Kind::Dataset(name) => self.dataset_profile(name).await?,
            Kind::Training | Kind::Previous => {
                let Some(profile) = self.kept_profile(tags.get(PROFILE_TAG)).await? else {
                    return Ok(None);
                };
                (format!("training data of {}@{champion}", self.model), profile)
            }
        };
        Ok(Some(Reference {
            words,
            profile,
            scores,
        }))
    }
}
