//! True labels that arrive later, by prediction id: late, twice, out of order.
//!
//! The label with the latest `at` wins whatever order they arrive in; the same one again changes nothing. A label may
//! come before its prediction is readable: it waits.

use everloop_core::{EndpointName, PredictionId, ProjectName, Timestamp};
use everloop_db::{Value, params};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Serving};

/// A true label.
#[derive(Debug, Clone, PartialEq)]
pub struct Feedback {
    /// The prediction it is the truth of.
    pub id: PredictionId,
    /// The truth: 0 or 1 for classification, the value for regression. Finite.
    pub label: f64,
    /// When the label became true; now when it is not given. A later one wins.
    pub at: Option<Timestamp>,
}

/// What became of some labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackReport {
    /// Labels that were received.
    pub received: u64,
    /// Labels that are new or replaced an older one; the rest were there already or older than what is there.
    pub changed: u64,
}

/// Longer ids are none of ours.
const LONGEST_ID: usize = 64;

impl Serving {
    /// Keeps labels. When this returns they are durable.
    ///
    /// # Errors
    /// When a label is not finite or an id can't be one of ours (nothing is kept then), or the database fails.
    pub async fn feedback(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        labels: Vec<Feedback>,
    ) -> Result<FeedbackReport> {
        for (index, label) in labels.iter().enumerate() {
            let place = || format!("label {index}");
            if !label.label.is_finite() {
                return Err(Error::bad_at("a label must be a finite number", place()));
            }
            if label.id.as_str().is_empty() || label.id.as_str().len() > LONGEST_ID {
                return Err(Error::bad_at("this is not a prediction id", place()));
            }
        }
        // Refuses endpoints that are not there before anything is kept.
        self.live(project, endpoint.as_str())?;
        let received = labels.len() as u64;
        let now = self.0.clock.now();
        let rows: Vec<Vec<Value>> = labels
            .iter()
            .map(|label| {
                let at = label.at.unwrap_or(now);
                params![
                    project.as_str(),
                    endpoint.as_str(),
                    label.id.as_str(),
                    label.label,
                    at,
                    now
                ]
                .to_vec()
            })
            .collect();
        let changed = self
            .0
            .db
            .write(move |tx| {
                Ok::<_, Error>(tx.execute_many(
                    "INSERT INTO feedback (project, endpoint, prediction_id, label, at, received_at, revisions) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0) \
                     ON CONFLICT (project, endpoint, prediction_id) DO UPDATE SET label = excluded.label, \
                     at = excluded.at, received_at = excluded.received_at, revisions = feedback.revisions + 1 \
                     WHERE excluded.at > feedback.at \
                     OR (excluded.at = feedback.at AND excluded.label <> feedback.label)",
                    &rows,
                )?)
            })
            .await?;
        Ok(FeedbackReport { received, changed })
    }
}
