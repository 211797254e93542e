//! `/api/v1/runs`: tracked runs, with what was logged to them and where they came from.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use everloop_access::{Permission, Resource};
use everloop_core::{ArtifactPath, Code, ExperimentId, ProjectName, RunId, Timestamp};
use everloop_db::Tx;
use everloop_tracking::artifacts::Entry;
use everloop_tracking::inputs::{DatasetInput, Direction, ModelLink};
use everloop_tracking::metrics::Metric;
use everloop_tracking::runs::{Cursor, Filter, RunStatus};
use everloop_tracking::{Run, artifacts, experiments, get_many, metrics, provenance, runs};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::api::{Figure, Time, page_size};
use crate::extract::{Json, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

/// Points of a metric's history at most.
const MOST_POINTS: usize = 100_000;

pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Run);
    routes
        .get(
            read,
            "/api/v1/runs",
            Doc::new("list_runs", "Runs, the latest start first.")
                .query::<RunsQuery>()
                .answer::<RunPage>(),
            list,
        )
        .get(
            read,
            "/api/v1/runs/{id}",
            Doc::new("get_run", "One run with its inputs and where it came from.").answer::<RunDetail>(),
            get,
        )
        .get(
            read,
            "/api/v1/runs/{id}/metrics/{*key}",
            Doc::new("get_metric_history", "The points of a metric, by time and step.")
                .query::<HistoryQuery>()
                .answer::<HistoryBody>(),
            history,
        )
        .get(
            read,
            "/api/v1/runs/{id}/artifacts",
            Doc::new("list_artifacts", "One folder of a run's artifacts, by name.")
                .query::<ArtifactsQuery>()
                .answer::<ArtifactPage>(),
            list_artifacts,
        )
        .get(
            read,
            "/api/v1/runs/{id}/artifacts/{*path}",
            Doc::new("download_artifact", "The bytes of an artifact."),
            download,
        )
}

/// Which runs.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct RunsQuery {
    /// Of this experiment, by name or id; of all when not given.
    pub experiment: Option<String>,
    /// SCHEDULED, RUNNING, FINISHED, FAILED or KILLED.
    pub status: Option<String>,
    /// The `next_page_token` of the page before.
    pub page_token: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of runs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunPage {
    /// The latest start first.
    pub runs: Vec<RunBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<String>,
}

/// A run with what was logged to it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunBody {
    /// Its id.
    pub id: String,
    /// The id of its experiment.
    pub experiment_id: String,
    /// Its name; need not be unique.
    pub name: String,
    /// Who runs it, as the client says; may be empty.
    pub user: String,
    /// What started it: client, stage, trial or import.
    pub kind: String,
    /// What exactly; may be empty.
    pub source: String,
    /// Where it stands, in MLflow's words.
    pub status: String,
    /// When it began.
    pub started_at: Time,
    /// When it ended.
    pub ended_at: Option<Time>,
    /// When it was deleted.
    pub deleted_at: Option<Time>,
    /// Its params.
    pub params: BTreeMap<String, String>,
    /// The latest point of each metric.
    pub metrics: Vec<MetricBody>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// A point of a metric.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct MetricBody {
    /// The metric.
    pub key: String,
    /// Its value.
    pub value: Figure,
    /// When it was measured.
    pub at: Time,
    /// At which step.
    pub step: i64,
}

/// A run with its inputs and provenance.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RunDetail {
    /// The run.
    pub run: RunBody,
    /// The datasets it used.
    pub datasets: Vec<DatasetUse>,
    /// The model versions it used and made.
    pub models: Vec<ModelUse>,
    /// The code, environment and command it came from, as far as they were recorded.
    pub provenance: Option<Value>,
}

/// A dataset that a run used.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DatasetUse {
    /// The dataset.
    pub name: String,
    /// The hash of its content, as the client says.
    pub digest: String,
    /// Its version, where it is one of ours.
    pub version: Option<u64>,
    /// What for: `training`, `evaluation`; may be empty.
    pub context: String,
}

/// A model version that a run used or made.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelUse {
    /// The model.
    pub model: String,
    /// Its version.
    pub version: u32,
    /// `input` or `output`.
    pub direction: String,
}

/// How much of a metric's history.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct HistoryQuery {
    /// At most this many points, the oldest first (1000 unless given, 100,000 at most).
    pub limit: Option<usize>,
}

/// The history of a metric.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HistoryBody {
    /// By time, step and value.
    pub points: Vec<MetricBody>,
    /// Whether there are more.
    pub truncated: bool,
}

/// Which folder.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct ArtifactsQuery {
    /// The folder; the top one when not given.
    pub path: Option<String>,
    /// The `next_page_token` of the page before.
    pub page_token: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of a folder.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactPage {
    /// By name.
    pub artifacts: Vec<ArtifactBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<String>,
}

/// A file or folder of a run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ArtifactBody {
    /// Where it lies in the run.
    pub path: String,
    /// Whether it is a folder.
    pub is_folder: bool,
    /// The hash of a file's bytes.
    pub hash: Option<String>,
    /// A file's length.
    pub size_bytes: Option<u64>,
    /// When a file was last written.
    pub written_at: Option<Time>,
}

impl From<&Run> for RunBody {
    fn from(run: &Run) -> Self {
        let info = run.info.clone();
        Self {
            id: info.id.into(),
            experiment_id: info.experiment.into(),
            name: info.name,
            user: info.user,
            kind: info.kind.as_str().to_owned(),
            source: info.source,
            status: info.status.as_str().to_owned(),
            started_at: info.started_at.into(),
            ended_at: info.ended_at.map(Into::into),
            deleted_at: info.deleted_at.map(Into::into),
            params: run.params.clone(),
            metrics: run.metrics.iter().cloned().map(Into::into).collect(),
            tags: run.tags.clone(),
        }
    }
}

impl From<Metric> for MetricBody {
    fn from(metric: Metric) -> Self {
        Self {
            key: metric.key,
            value: Figure(metric.value),
            at: metric.at.into(),
            step: metric.step,
        }
    }
}

impl From<DatasetInput> for DatasetUse {
    fn from(input: DatasetInput) -> Self {
        Self {
            name: input.dataset.name.clone(),
            digest: input.dataset.digest.clone(),
            version: input.dataset.version,
            context: input.context,
        }
    }
}

impl From<ModelLink> for ModelUse {
    fn from(link: ModelLink) -> Self {
        let direction = match link.direction {
            Direction::Input => "input",
            Direction::Output => "output",
        };
        Self {
            model: link.model.to_string(),
            version: link.version,
            direction: direction.to_owned(),
        }
    }
}

impl From<Entry> for ArtifactBody {
    fn from(entry: Entry) -> Self {
        let path = entry.path().to_string();
        match entry {
            Entry::Folder(_) => Self {
                path,
                is_folder: true,
                hash: None,
                size_bytes: None,
                written_at: None,
            },
            Entry::File(file, at) => Self {
                path,
                is_folder: false,
                hash: Some(file.hash.to_hex()),
                size_bytes: Some(file.size_bytes),
                written_at: Some(at.into()),
            },
        }
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<RunsQuery>,
) -> ApiResult<Json<RunPage>> {
    let limit = page_size(query.limit);
    let after = query.page_token.as_deref().map(parse_cursor).transpose()?;
    let status = query.status.as_deref().map(parse_status).transpose()?;
    let page = app
        .db()
        .read(move |tx| {
            let mut filter = Filter {
                status,
                ..Filter::default()
            };
            if let Some(wanted) = &query.experiment {
                filter.experiments = vec![experiment(tx, &caller.project, wanted)?];
            }
            let page = runs::list(tx, &caller.project, &filter, after.as_ref(), limit)?;
            let ids: Vec<RunId> = page.items.into_iter().map(|run| run.id).collect();
            let whole = get_many(tx, &caller.project, &ids)?;
            Ok::<_, ApiError>((whole, page.next))
        })
        .await?;
    Ok(Json(RunPage {
        runs: page.0.iter().map(Into::into).collect(),
        next_page_token: page
            .1
            .map(|cursor| format!("{}.{}", cursor.started_at.millis(), cursor.id)),
    }))
}

/// The experiment called `wanted`, or else with this id.
fn experiment(tx: &mut Tx<'_>, project: &ProjectName, wanted: &str) -> ApiResult<ExperimentId> {
    if let Some(found) = experiments::get_by_name(tx, project, wanted)? {
        return Ok(found.id);
    }
    let is_number = !wanted.is_empty() && wanted.bytes().all(|byte| byte.is_ascii_digit());
    let found = match is_number {
        true => experiments::get(tx, project, &ExperimentId::new(wanted))?,
        false => None,
    };
    found.map(|found| found.id).ok_or_else(|| {
        let shown: String = wanted.chars().take(80).collect();
        ApiError::new(Code::NotFound, format!("no experiment is called \"{shown}\""))
    })
}

fn parse_status(text: &str) -> ApiResult<RunStatus> {
    RunStatus::parse(text).ok_or_else(|| {
        ApiError::invalid("this is not a run's status")
            .with_hint("SCHEDULED, RUNNING, FINISHED, FAILED or KILLED")
    })
}

fn parse_cursor(text: &str) -> ApiResult<Cursor> {
    let parts = text
        .split_once('.')
        .and_then(|(at, id)| Some((at.parse::<i64>().ok()?, id)));
    let (at, id) = parts.ok_or_else(|| ApiError::invalid("this is not a page token of ours"))?;
    Ok(Cursor {
        started_at: Timestamp(at),
        id: RunId::new(id),
    })
}

async fn get(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<RunDetail>> {
    let id = RunId::new(id);
    let detail = app
        .db()
        .read(move |tx| {
            // Says that the run is not there, where it is not.
            let provenance = provenance::get(tx, &caller.project, &id)?;
            let found = get_many(tx, &caller.project, std::slice::from_ref(&id))?;
            Ok::<_, everloop_tracking::Error>(found.into_iter().next().map(|run| (run, provenance)))
        })
        .await?;
    let (run, provenance) = detail.ok_or_else(|| ApiError::new(Code::NotFound, "there is no such run"))?;
    Ok(Json(RunDetail {
        run: (&run).into(),
        datasets: run.datasets.into_iter().map(Into::into).collect(),
        models: run.models.into_iter().map(Into::into).collect(),
        provenance: provenance.map(|found| serde_json::to_value(found).unwrap_or_default()),
    }))
}

async fn history(
    State(app): State<App>,
    caller: Caller,
    Path((id, key)): Path<(String, String)>,
    Query(query): Query<HistoryQuery>,
) -> ApiResult<Json<HistoryBody>> {
    let id = RunId::new(id);
    let limit = query.limit.unwrap_or(1_000).clamp(1, MOST_POINTS);
    let page = app
        .db()
        .read(move |tx| metrics::history(tx, &caller.project, &id, &key, None, limit))
        .await?;
    Ok(Json(HistoryBody {
        truncated: page.next.is_some(),
        points: page.items.into_iter().map(Into::into).collect(),
    }))
}

async fn list_artifacts(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<ArtifactsQuery>,
) -> ApiResult<Json<ArtifactPage>> {
    let (id, limit) = (RunId::new(id), page_size(query.limit));
    let folder = query
        .path
        .filter(|path| !path.is_empty())
        .map(parse_path)
        .transpose()?;
    let after = query.page_token;
    let page = app
        .db()
        .read(move |tx| artifacts::list(tx, &caller.project, &id, folder.as_ref(), after.as_deref(), limit))
        .await?;
    Ok(Json(ArtifactPage {
        artifacts: page.items.into_iter().map(Into::into).collect(),
        next_page_token: page.next,
    }))
}

async fn download(
    State(app): State<App>,
    caller: Caller,
    Path((id, path)): Path<(String, String)>,
) -> ApiResult<Response> {
    let (id, path) = (RunId::new(id), parse_path(path)?);
    let (file, bytes) = app.tracking().get_stream(&caller.project, &id, &path).await?;
    let mut response = Response::new(Body::from_stream(bytes));
    let headers = response.headers_mut();
    // A run's HTML must not run as a page of ours.
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    headers.insert(header::CONTENT_LENGTH, HeaderValue::from(file.size_bytes));
    Ok(response)
}

fn parse_path(text: String) -> ApiResult<ArtifactPath> {
    ArtifactPath::new(text).map_err(|error| ApiError::invalid(error.to_string()))
}
