//! Predictions: the Open Inference Protocol under `/v2`, MLflow's scoring under `/invocations`, and one logged answer
//! by its id. Errors take the form of the protocol that was asked in.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use everloop_access::{Permission, Resource};
use everloop_core::{Code, PredictionId};
use everloop_runtime::Field;
use everloop_serving::codec::{mlflow, oip};
use everloop_serving::{Answered, Ask};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::extract::{Json, Large, Path};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

/// Names the answer: what feedback joins by. Of several rows, the first one's.
pub const PREDICTION_ID_HEADER: HeaderName = HeaderName::from_static("everloop-prediction-id");
/// The version that answered.
pub const MODEL_VERSION_HEADER: HeaderName = HeaderName::from_static("everloop-model-version");
/// Announces binary tensors behind the JSON.
const BINARY_HEADER: HeaderName = HeaderName::from_static("inference-header-content-length");

const JSON: HeaderValue = HeaderValue::from_static("application/json");

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.with(asking).with(describing).get(
        Permission::read(Resource::Prediction),
        "/api/v1/predictions/{id}",
        Doc::new(
            "get_prediction",
            "One logged answer, with its label once there is one.",
        )
        .answer::<PredictionBody>(),
        get,
    )
}

fn asking(routes: Routes) -> Routes {
    let ask = Permission::write(Resource::Prediction);
    routes
        .post(
            ask,
            "/v2/models/{endpoint}/infer",
            Doc::new("infer", "Answers rows, as the Open Inference Protocol has it."),
            infer,
        )
        .post(
            ask,
            "/v2/models/{endpoint}/versions/{version}/infer",
            Doc::new(
                "infer_with_version",
                "Answers rows with one version, whatever the routes say.",
            ),
            infer_with_version,
        )
        .post(
            ask,
            "/invocations/{endpoint}",
            Doc::new("invocations", "Answers rows in any of MLflow's four JSON forms."),
            invocations,
        )
}

fn describing(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Endpoint);
    routes
        .get(
            Permission::Public,
            "/v2",
            Doc::new("inference_server", "The server's name and version."),
            server,
        )
        .get(
            Permission::Public,
            "/v2/health/live",
            Doc::new("inference_live", "Answers as long as the process lives."),
            live,
        )
        .get(
            Permission::Public,
            "/v2/health/ready",
            Doc::new("inference_ready", "Answers when the stores can be reached."),
            ready,
        )
        .get(
            read,
            "/v2/models/{endpoint}",
            Doc::new("inference_model", "The columns that an endpoint reads and gives."),
            model,
        )
        .get(
            read,
            "/v2/models/{endpoint}/ready",
            Doc::new("inference_model_ready", "Whether an endpoint answers."),
            model_ready,
        )
        .get(
            Permission::Public,
            "/ping",
            Doc::new("ping", "Answers as MLflow's scoring server does."),
            ping,
        )
}

/// A logged answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PredictionBody {
    /// The endpoint that answered.
    pub endpoint: String,
    /// The log's own columns, which start with `_`, and the features.
    pub row: Map<String, Value>,
    /// The true label, if one came.
    pub label: Option<f64>,
}

async fn infer(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    headers: HeaderMap,
    Large(body): Large,
) -> ApiResult<Response> {
    answer_tensors(&app, &caller, &endpoint, None, &headers, &body).await
}

async fn infer_with_version(
    State(app): State<App>,
    caller: Caller,
    Path((endpoint, version)): Path<(String, String)>,
    headers: HeaderMap,
    Large(body): Large,
) -> ApiResult<Response> {
    let version = version
        .parse()
        .map_err(|_| ApiError::invalid("a version is a number"))?;
    answer_tensors(&app, &caller, &endpoint, Some(version), &headers, &body).await
}

async fn answer_tensors(
    app: &App,
    caller: &Caller,
    endpoint: &str,
    pinned: Option<u64>,
    headers: &HeaderMap,
    body: &[u8],
) -> ApiResult<Response> {
    if headers.contains_key(BINARY_HEADER) {
        return Err(
            ApiError::invalid("tensors as binary data are not read here").with_hint("send them as JSON")
        );
    }
    let live = app.serving().live(&caller.project, endpoint)?;
    let mut request = oip::decode(body, live.signature()?.1)?;
    let ask = Ask {
        project: &caller.project,
        rows: std::mem::take(&mut request.rows),
        pinned,
        sticky: request.sticky.as_deref(),
        event_time: request.event_time,
    };
    let answered = app.serving().infer(live, ask).await?;
    Ok(respond(oip::encode(&request, &answered), &answered))
}

async fn invocations(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    Large(body): Large,
) -> ApiResult<Response> {
    let live = app.serving().live(&caller.project, &endpoint)?;
    let ask = Ask {
        project: &caller.project,
        rows: mlflow::decode(&body, live.signature()?.1)?,
        pinned: None,
        sticky: None,
        event_time: None,
    };
    let answered = app.serving().infer(live, ask).await?;
    Ok(respond(mlflow::encode(&answered), &answered))
}

fn respond(body: Vec<u8>, answered: &Answered) -> Response {
    let mut response = Response::new(Body::from(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, JSON);
    headers.insert(MODEL_VERSION_HEADER, HeaderValue::from(answered.version()));
    let id = answered.ids.first().map(|id| HeaderValue::from_str(id.as_str()));
    if let Some(Ok(id)) = id {
        headers.insert(PREDICTION_ID_HEADER, id);
    }
    response
}

async fn server() -> Json<Value> {
    Json(json!({ "name": "everloop", "version": env!("CARGO_PKG_VERSION"), "extensions": [] }))
}

async fn live() -> Json<Value> {
    Json(json!({ "live": true }))
}

async fn ready(State(app): State<App>) -> ApiResult<Json<Value>> {
    app.reach_stores().await?;
    Ok(Json(json!({ "ready": true })))
}

async fn model(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> ApiResult<Json<Value>> {
    let live = app.serving().live(&caller.project, &endpoint)?;
    let (version, signature) = live.signature()?;
    let tensors = |fields: &[Field]| fields.iter().map(tensor).collect::<Vec<_>>();
    Ok(Json(json!({
        "name": endpoint,
        "versions": [version.to_string()],
        "platform": "everloop",
        "inputs": tensors(&signature.inputs),
        "outputs": tensors(&signature.outputs),
    })))
}

fn tensor(field: &Field) -> Value {
    json!({ "name": field.name, "datatype": oip::datatype(field.kind), "shape": [-1] })
}

async fn model_ready(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
) -> ApiResult<Json<Value>> {
    app.serving().live(&caller.project, &endpoint)?.signature()?;
    Ok(Json(json!({ "name": endpoint, "ready": true })))
}

/// An empty line, as MLflow's scoring server answers.
async fn ping() -> Response {
    ([(header::CONTENT_TYPE, JSON)], "\n").into_response()
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<PredictionBody>> {
    let wanted = PredictionId::new(id);
    let found = app.serving().prediction(&caller.project, &wanted).await?;
    let Some(found) = found else {
        let shown: String = wanted.as_str().chars().take(80).collect();
        return Err(ApiError::new(
            Code::NotFound,
            format!("no prediction has the id \"{shown}\""),
        ));
    };
    Ok(Json(PredictionBody {
        endpoint: found.endpoint.to_string(),
        row: found.row,
        label: found.label,
    }))
}
