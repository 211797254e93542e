//! Asking an endpoint: choose, predict, log, answer.
//!
//! A request is answered on the thread that read it. Waking another one costs more than a few rows; a model spreads
//! many rows over the machine by itself.

use everloop_core::{Code, Coded, Frame, ModelName, PredictionId, ProjectName, Timestamp};
use everloop_runtime::{Field, Label, Prediction};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::read::columns::is_own;
use crate::routing::{LiveEndpoint, Loaded, slot_of};
use crate::wal::{Record, Role};
use crate::{Error, Result, Serving};

/// What a caller asks.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Where.
    pub project: &'a ProjectName,
    /// The rows, a column per input.
    pub rows: Frame,
    /// A version that must answer, whatever the routes say.
    pub pinned: Option<u64>,
    /// Requests with the same key get the same version while the shares allow; by default each is on its own.
    pub sticky: Option<&'a str>,
    /// When what the rows describe happened; now when it is not given.
    pub event_time: Option<Timestamp>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answered {
    /// One per row: the key that feedback joins by.
    pub ids: Vec<PredictionId>,
    /// The answers.
    pub prediction: Prediction,
    /// How long predicting took.
    pub took: Duration,
    endpoint: Arc<LiveEndpoint>,
    loaded: Arc<Loaded>,
}

impl Answered {
    /// The model that answered.
    #[must_use]
    pub fn model(&self) -> &ModelName {
        &self.endpoint.model
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.loaded.version
    }

    /// The columns of the answer: of a classification first the class, then the probability of each.
    #[must_use]
    pub fn outputs(&self) -> &[Field] {
        &self.loaded.model.signature().outputs
    }
}

impl Serving {
    /// Answers `ask`. When this returns, the answer is in the log.
    ///
    /// # Errors
    /// When the version is not there, the rows do not fit the model, or the log can't be written.
    pub async fn infer(&self, endpoint: Arc<LiveEndpoint>, ask: Ask<'_>) -> Result<Answered> {
        let rows = ask.rows.rows();
        if rows == 0 {
            return Err(Error::bad("the request holds no rows"));
        }
        if rows > self.0.options.most_rows {
            return Err(Error::TooManyRows {
                rows,
                most: self.0.options.most_rows,
            });
        }
        if let Some(own) = ask.rows.columns().iter().find(|column| is_own(&column.name)) {
            return Err(Error::bad_at(
                "an input can't have the name of one of the prediction log's own columns",
                format!("input \"{}\"", own.name),
            ));
        }
        let received_at = self.0.clock.now();
        let ids: Vec<PredictionId> = (0..rows).map(|_| self.0.ids.prediction(received_at)).collect();
        let key = ask.sticky.unwrap_or(ids[0].as_str());
        let (loaded, role) = match ask.pinned {
            Some(version) => {
                let (name, model) = (&endpoint.name, &endpoint.model);
                (self.load(ask.project, name, model, version).await?, Role::Pinned)
            }
            None => {
                let chosen = endpoint.choose(key).ok_or_else(|| Error::NotReady {
                    name: endpoint.name.clone(),
                })?;
                (Arc::clone(chosen), Role::Live)
            }
        };
        let asked = Asked {
            project: ask.project,
            endpoint: &endpoint,
            ids: &ids,
            rows: &ask.rows,
            event_time: ask.event_time.unwrap_or(received_at),
            received_at,
        };
        if role == Role::Live {
            self.copy_to_shadows(&asked, key);
        }
        let (prediction, took) = self.answer(&asked, &loaded, role)?;
        Ok(Answered {
            ids,
            prediction,
            took,
            endpoint,
            loaded,
        })
    }

    /// Predicts and logs.
    fn answer(&self, asked: &Asked<'_>, loaded: &Loaded, role: Role) -> Result<(Prediction, Duration)> {
        let (prediction, took) = predict(loaded, asked.rows);
        let record = asked.record(loaded, role, took);
        match prediction {
            Ok(prediction) => {
                let labels = (0..prediction.rows()).filter_map(|row| prediction.label(row).map(text_of));
                self.0.log.append(&Record {
                    scores: prediction.main_score(),
                    labels: labels.collect(),
                    ..record
                })?;
                Ok((prediction, took))
            }
            Err(error) => {
                // Rows that do not fit are the caller's fault and no answer of the model; a model that breaks is.
                if role == Role::Shadow || error.code() == Code::Internal {
                    self.0.log.append(&Record {
                        error: Some(&error.to_string()),
                        ..record
                    })?;
                }
                Err(error.into())
            }
        }
    }

    /// Shadow versions answer the same rows on the pool for blocking work; only what is logged of it remains.
    fn copy_to_shadows(&self, asked: &Asked<'_>, key: &str) {
        if asked.endpoint.shadows.is_empty() {
            return;
        }
        let slot = slot_of(asked.endpoint.name.as_str(), key);
        for (share, loaded) in &asked.endpoint.shadows {
            if slot >= *share {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.0.log.shadow_slots).try_acquire_owned() else {
                self.0.log.shadow_dropped();
                continue;
            };
            let (serving, endpoint, loaded) = (self.clone(), Arc::clone(asked.endpoint), Arc::clone(loaded));
            let (rows, ids, project) = (asked.rows.clone(), asked.ids.to_vec(), asked.project.clone());
            let (event_time, received_at) = (asked.event_time, asked.received_at);
            // Nobody waits for a shadow; its permit bounds how many there are.
            drop(tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let asked = Asked {
                    project: &project,
                    endpoint: &endpoint,
                    ids: &ids,
                    rows: &rows,
                    event_time,
                    received_at,
                };
                match serving.answer(&asked, &loaded, Role::Shadow) {
                    // A shadow that can't answer is a row of the log, to be judged like any other.
                    Ok(_) | Err(Error::Model(_)) => {}
                    Err(error) => tracing::error!(%error, "shadow answer was not logged"),
                }
            }));
        }
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "latency is a fact about the machine, not the project"
)]
fn predict(loaded: &Loaded, rows: &Frame) -> (everloop_runtime::Result<Prediction>, Duration) {
    let started = Instant::now();
    let prediction = loaded.model.predict(rows);
    (prediction, started.elapsed())
}

/// A request as the log keeps it.
struct Asked<'a> {
    project: &'a ProjectName,
    endpoint: &'a Arc<LiveEndpoint>,
    ids: &'a [PredictionId],
    rows: &'a Frame,
    event_time: Timestamp,
    received_at: Timestamp,
}

impl<'a> Asked<'a> {
    /// Its record, still without what came of it.
    fn record(&self, loaded: &Loaded, role: Role, took: Duration) -> Record<'a> {
        Record {
            project: self.project.as_str(),
            endpoint: self.endpoint.name.as_str(),
            model: self.endpoint.model.as_str(),
            version: loaded.version,
            role,
            event_time: self.event_time.millis(),
            received_at: self.received_at.millis(),
            latency_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
            ids: self.ids,
            features: self.rows,
            scores: Vec::new(),
            labels: Vec::new(),
            error: None,
        }
    }
}

/// The class as text, made only when it is none.
fn text_of(label: &Label) -> Cow<'_, str> {
    match label {
        Label::Text(text) => Cow::Borrowed(text),
        Label::Bool(true) => Cow::Borrowed("true"),
        Label::Bool(false) => Cow::Borrowed("false"),
        Label::Int(number) => Cow::Owned(number.to_string()),
    }
}
