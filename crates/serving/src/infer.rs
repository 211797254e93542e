//! Asking an endpoint: choose, predict, log, answer.

use everloop_core::{Frame, ModelName, PredictionId, ProjectName, Timestamp};
use everloop_runtime::Prediction;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::routing::{LiveEndpoint, Loaded, slot_of};
use crate::wal::{Batch, Role};
use crate::{Error, Result, Serving};

/// What a caller asks.
#[derive(Debug)]
pub struct Ask<'a> {
    /// Where.
    pub project: &'a ProjectName,
    /// Of whom.
    pub endpoint: &'a str,
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
    /// The model that answered.
    pub model: ModelName,
    /// Its version.
    pub version: u64,
    /// The answers.
    pub prediction: Prediction,
    /// How long predicting took.
    pub took: Duration,
}

impl Serving {
    /// Answers `ask`. When this returns, the answer is in the log.
    ///
    /// # Errors
    /// When the endpoint or version is not there, the rows do not fit the model, or the log can't be written.
    pub async fn infer(&self, ask: Ask<'_>) -> Result<Answered> {
        let live = self.live(ask.project, ask.endpoint)?;
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
        let received_at = self.0.clock.now();
        let ids: Vec<PredictionId> = (0..rows).map(|_| self.0.ids.prediction(received_at)).collect();
        let key = ask.sticky.unwrap_or(ids[0].as_str());
        let (loaded, role) = match ask.pinned {
            Some(version) => (
                self.load(ask.project, &live.name, &live.model, version).await?,
                Role::Pinned,
            ),
            None => {
                let chosen = live.choose(key).ok_or_else(|| Error::NotReady {
                    name: live.name.clone(),
                })?;
                (Arc::clone(chosen), Role::Live)
            }
        };
        if role == Role::Live {
            self.copy_to_shadows(&ask, &live, &ids, key, received_at);
        }
        let (prediction, took) = predict(&loaded, &ask.rows);
        let batch = batch_of(&ask, &live, &loaded, role, &ids, received_at, &prediction, took);
        let prediction = match prediction {
            Ok(prediction) => prediction,
            Err(error) => {
                // Rows that do not fit are the caller's fault and no answer of the model; a model that breaks is.
                if everloop_core::Coded::code(&error) == everloop_core::Code::Internal {
                    self.0.log.append(&batch)?;
                }
                return Err(error.into());
            }
        };
        self.0.log.append(&batch)?;
        Ok(Answered {
            ids,
            model: live.model.clone(),
            version: loaded.version,
            prediction,
            took,
        })
    }

    /// Shadow versions answer the same rows on the pool for blocking work; only what is logged of it remains.
    fn copy_to_shadows(
        &self,
        ask: &Ask<'_>,
        live: &Arc<LiveEndpoint>,
        ids: &[PredictionId],
        key: &str,
        received_at: Timestamp,
    ) {
        let slot = slot_of(live.name.as_str(), key);
        for (share, loaded) in &live.shadows {
            if slot >= *share {
                continue;
            }
            let Ok(permit) = Arc::clone(&self.0.log.shadow_slots).try_acquire_owned() else {
                self.0.log.shadow_dropped();
                continue;
            };
            let (serving, live, loaded) = (self.clone(), Arc::clone(live), Arc::clone(loaded));
            let (rows, ids, project) = (ask.rows.clone(), ids.to_vec(), ask.project.clone());
            let (endpoint, event_time) = (ask.endpoint.to_owned(), ask.event_time);
            // Nobody waits for a shadow; its permit bounds how many there are.
            drop(tokio::task::spawn_blocking(move || {
                let _permit = permit;
                let (prediction, took) = predict(&loaded, &rows);
                let ask = Ask {
                    project: &project,
                    endpoint: &endpoint,
                    rows,
                    pinned: None,
                    sticky: None,
                    event_time,
                };
                let batch = batch_of(
                    &ask,
                    &live,
                    &loaded,
                    Role::Shadow,
                    &ids,
                    received_at,
                    &prediction,
                    took,
                );
                if let Err(error) = serving.0.log.append(&batch) {
                    tracing::error!(%error, "shadow answer was not logged");
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

fn batch_of(
    ask: &Ask<'_>,
    live: &LiveEndpoint,
    loaded: &Loaded,
    role: Role,
    ids: &[PredictionId],
    received_at: Timestamp,
    prediction: &everloop_runtime::Result<Prediction>,
    took: Duration,
) -> Batch {
    let (scores, labels, error) = match prediction {
        Ok(prediction) => {
            let labels =
                (0..prediction.rows()).filter_map(|row| prediction.label(row).map(ToString::to_string));
            (prediction.main_score(), labels.collect(), None)
        }
        Err(error) => (Vec::new(), Vec::new(), Some(error.to_string())),
    };
    Batch {
        project: ask.project.to_string(),
        endpoint: live.name.to_string(),
        model: live.model.to_string(),
        version: loaded.version,
        role,
        event_time: ask.event_time.unwrap_or(received_at).millis(),
        received_at: received_at.millis(),
        latency_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        ids: ids.to_vec(),
        features: ask.rows.clone(),
        scores,
        labels,
        error,
    }
}
