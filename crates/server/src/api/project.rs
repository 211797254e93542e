//! `/api/v1/project` and `/api/v1/status`: what should happen, and where everything stands.

use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use everloop_access::{Permission, Resource};
use everloop_datasets::Selector;
use everloop_monitoring::AlertState;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::datasets::VersionBody;
use crate::api::endpoints::{self, EndpointBody};
use crate::api::monitors::AlertBody;
use crate::api::pipelines::PipelineRunBody;
use crate::api::{LARGEST_PAGE, pipelines};
use crate::extract::Json;
use crate::routes::{Doc, Routes};
use crate::{ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Project);
    routes
        .get(
            read,
            "/api/v1/project",
            Doc::new("get_project", "The project file in its canonical form."),
            get,
        )
        .get(
            read,
            "/api/v1/status",
            Doc::new("get_status", "Where everything stands.").answer::<StatusBody>(),
            status,
        )
}

/// Where everything stands.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StatusBody {
    /// The project.
    pub project: String,
    /// What is wrong with its file; none when it is valid.
    pub project_problem: Option<String>,
    /// The datasets with their newest versions.
    pub datasets: Vec<DatasetStatus>,
    /// The pipeline run that was asked for last.
    pub last_pipeline_run: Option<PipelineRunBody>,
    /// The endpoints with who answers.
    pub endpoints: Vec<EndpointBody>,
    /// Breaches that go on.
    pub open_alerts: Vec<AlertBody>,
}

/// A dataset with its newest version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DatasetStatus {
    /// The dataset.
    pub name: String,
    /// Its newest version; none before the first.
    pub latest: Option<VersionBody>,
}

async fn get(State(app): State<App>, caller: Caller) -> ApiResult<Response> {
    let project = app.project_file(&caller.project).await?;
    let json = HeaderValue::from_static("application/json");
    Ok(([(header::CONTENT_TYPE, json)], project.to_canonical_json()).into_response())
}

async fn status(State(app): State<App>, caller: Caller) -> ApiResult<Json<StatusBody>> {
    let project_problem = app.project_file(&caller.project).await.err();
    let datasets = datasets(&app, &caller).await?;
    let last_pipeline_run = pipelines::last(&app, &caller.project).await?;
    let project = caller.project.clone();
    let endpoints = app.db().read(move |tx| endpoints::all(tx, &project)).await?;
    let project = caller.project.clone();
    let alerts = app
        .db()
        .read(move |tx| everloop_monitoring::alerts(tx, &project, LARGEST_PAGE))
        .await?;
    let open = alerts.into_iter().filter(|alert| alert.state == AlertState::Open);
    Ok(Json(StatusBody {
        project: caller.project.to_string(),
        project_problem: project_problem.map(|error| error.public_message()),
        datasets,
        last_pipeline_run,
        endpoints,
        open_alerts: open.map(Into::into).collect(),
    }))
}

async fn datasets(app: &App, caller: &Caller) -> ApiResult<Vec<DatasetStatus>> {
    let mut found = Vec::new();
    for dataset in app.datasets().list(&caller.project).await? {
        let latest = match dataset.latest {
            Some(_) => {
                let version = app
                    .datasets()
                    .version(&caller.project, &dataset.name, Selector::Latest)
                    .await?;
                Some(version.into())
            }
            None => None,
        };
        found.push(DatasetStatus {
            name: dataset.name.to_string(),
            latest,
        });
    }
    Ok(found)
}
