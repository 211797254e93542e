//! `/api/v1/checks`: suites over data, and what they came to.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_checks::{Reports, StoredReport, run_suite};
use everloop_core::{Code, DatasetName};
use everloop_datasets::Selector;
use everloop_project::{Scope, Suite, SuiteRef};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Time, name, page_size};
use crate::extract::{Json, Query};
use crate::project_file::refused;
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .post(
            Permission::write(Resource::Check),
            "/api/v1/checks/data",
            Doc::new(
                "check_data",
                "Runs a suite over a version of a dataset and keeps the report.",
            )
            .body::<CheckData>()
            .answer::<CheckBody>(),
            check_data,
        )
        .get(
            Permission::read(Resource::Check),
            "/api/v1/checks",
            Doc::new("list_checks", "Kept reports, newest first.")
                .query::<ChecksQuery>()
                .answer::<CheckList>(),
            list,
        )
}

/// Data to check.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CheckData {
    /// The dataset.
    pub dataset: String,
    /// Its version; the newest when not given.
    pub version: Option<u64>,
    /// The suite as YAML; the one that the project file names for the dataset when not given.
    pub suite: Option<String>,
}

/// What a suite came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckBody {
    /// Names the report.
    pub id: String,
    /// What was checked, such as `dataset:flights@3`.
    pub subject: String,
    /// Whether nothing failed that stops.
    pub passed: bool,
    /// Each check with what was observed and expected.
    pub report: Value,
    /// When.
    pub at: Time,
}

impl From<StoredReport> for CheckBody {
    fn from(stored: StoredReport) -> Self {
        Self {
            id: stored.id,
            subject: stored.subject,
            passed: stored.report.passed,
            report: serde_json::to_value(&stored.report).unwrap_or_default(),
            at: stored.at.into(),
        }
    }
}

/// Which reports.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct ChecksQuery {
    /// About exactly this, such as `dataset:flights@3`.
    pub subject: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Kept reports.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckList {
    /// Newest first.
    pub checks: Vec<CheckBody>,
}

async fn check_data(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CheckData>,
) -> ApiResult<Json<CheckBody>> {
    let dataset: DatasetName = name(body.dataset)?;
    let suite = match body.suite {
        Some(text) => Suite::parse("suite", text.as_bytes(), Scope::Data).map_err(|error| refused(&error))?,
        None => own_suite(&app, &caller, &dataset).await?,
    };
    let wanted = body.version.map_or(Selector::Latest, Selector::Number);
    let version = app.datasets().version(&caller.project, &dataset, wanted).await?;
    let source = app.datasets().manifest(&version).await?.source();
    let at = app.clock().now();
    let report = run_suite(app.tables(), &suite, source, at).await?;
    let stored = StoredReport {
        id: app.ids().ordered(at),
        subject: format!("dataset:{}", version.reference()),
        report,
        at,
    };
    let (kept, project, actor) = (stored.clone(), caller.project.clone(), caller.actor().clone());
    app.db()
        .write(move |tx| Reports::keep(tx, at, &project, &actor, &kept.id, &kept.subject, &kept.report))
        .await?;
    Ok(Json(stored.into()))
}

/// The suite that the project file names for `dataset`.
async fn own_suite(app: &App, caller: &Caller, dataset: &DatasetName) -> ApiResult<Suite> {
    let project = app.project_file(&caller.project).await?;
    let checks = project
        .datasets
        .get(dataset)
        .and_then(|dataset| dataset.checks.as_ref());
    match checks {
        None => Err(ApiError::new(
            Code::FailedPrecondition,
            format!("the project file names no checks for dataset \"{dataset}\""),
        )
        .with_hint("name a suite under datasets, or send one")),
        Some(SuiteRef::Inline(checks)) => Ok(Suite {
            name: Some(dataset.to_string()),
            description: None,
            checks: checks.clone(),
        }),
        Some(SuiteRef::File(path)) => {
            let file = path.as_str();
            let bytes = tokio::fs::read(app.root(&caller.project)?.join(file))
                .await
                .map_err(|error| {
                    ApiError::new(
                        Code::FailedPrecondition,
                        format!("can't read suite \"{file}\": {error}"),
                    )
                })?;
            Suite::parse(file, &bytes, Scope::Data).map_err(|error| refused(&error))
        }
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ChecksQuery>,
) -> ApiResult<Json<CheckList>> {
    let found = app
        .reports()
        .list(&caller.project, query.subject.as_deref(), page_size(query.limit))
        .await?;
    Ok(Json(CheckList {
        checks: found.into_iter().map(Into::into).collect(),
    }))
}
