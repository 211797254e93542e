//! Routes about the server itself: is it alive, can it work, what does it measure, what does it offer.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use everloop_access::{Permission, Resource};
use schemars::JsonSchema;
use serde::Serialize;

use crate::extract::Json;
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App};

/// Registers the routes.
pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Ledger);
    routes
        .get(
            Permission::Public,
            "/health",
            Doc::new("health", "Answers as long as the process lives."),
            health,
        )
        .get(
            Permission::Public,
            "/ready",
            Doc::new("ready", "Answers when the stores can be reached."),
            ready,
        )
        .get(
            Permission::Public,
            "/version",
            Doc::new("version", "The program's version."),
            version,
        )
        .get(
            read,
            "/metrics",
            Doc::new("metrics", "Figures in Prometheus form."),
            metrics,
        )
        .get(
            Permission::Public,
            "/api/v1/openapi.json",
            Doc::new("openapi", "This description."),
            openapi,
        )
}

#[derive(Debug, Serialize, JsonSchema)]
struct Health {
    status: &'static str,
}

async fn health() -> Json<Health> {
    Json(Health { status: "ok" })
}

async fn ready(State(app): State<App>) -> ApiResult<Json<Health>> {
    app.reach_stores().await?;
    Ok(Json(Health { status: "ready" }))
}

async fn version() -> Response {
    (json_type(), env!("CARGO_PKG_VERSION")).into_response()
}

async fn metrics(State(app): State<App>) -> ApiResult<Response> {
    app.read_waiting().await?;
    let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], app.metrics().encode()).into_response())
}

async fn openapi(State(app): State<App>) -> Json<serde_json::Value> {
    Json(app.description().clone())
}

/// MLflow's clients expect the bare version under this type.
fn json_type() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))]
}

/// Answers what no route does.
pub(crate) async fn no_such_route(method: axum::http::Method, uri: axum::http::Uri) -> ApiError {
    let path: String = uri.path().chars().take(200).collect();
    ApiError::new(
        everloop_core::Code::NotFound,
        format!("there is no route {method} {path}"),
    )
    .with_hint("GET /api/v1/openapi.json lists the routes")
}
