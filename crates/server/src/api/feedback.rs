//! `/api/v1/feedback`: true labels that come later, by prediction id.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_core::{EndpointName, PredictionId};
use everloop_serving::Feedback;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Time, name};
use crate::extract::{Json, LargeJson};
use crate::routes::{Doc, Routes};
use crate::{ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.post(
        Permission::write(Resource::Feedback),
        "/api/v1/feedback",
        Doc::new(
            "send_feedback",
            "Keeps true labels; the latest of each prediction counts, the same again changes nothing.",
        )
        .body::<SendFeedback>()
        .answer::<FeedbackBody>(),
        send,
    )
}

/// True labels of an endpoint's answers.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SendFeedback {
    /// The endpoint that answered.
    pub endpoint: String,
    /// The labels.
    pub labels: Vec<LabelBody>,
}

/// The truth about one prediction.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LabelBody {
    /// The prediction.
    pub prediction_id: String,
    /// 0 or 1 for classification, the value for regression.
    pub label: f64,
    /// When it became true; now when it is not given. A later label wins.
    pub at: Option<Time>,
}

/// What became of the labels.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct FeedbackBody {
    /// Labels that were received; all of them are durable.
    pub received: u64,
    /// Labels that are new or replaced an older one.
    pub changed: u64,
}

async fn send(
    State(app): State<App>,
    caller: Caller,
    LargeJson(body): LargeJson<SendFeedback>,
) -> ApiResult<Json<FeedbackBody>> {
    let endpoint: EndpointName = name(body.endpoint)?;
    let labels = body.labels.into_iter().map(|label| Feedback {
        id: PredictionId::new(label.prediction_id),
        label: label.label,
        at: label.at.map(|at| at.0),
    });
    let report = app
        .serving()
        .feedback(&caller.project, &endpoint, labels.collect())
        .await?;
    Ok(Json(FeedbackBody {
        received: report.received,
        changed: report.changed,
    }))
}
