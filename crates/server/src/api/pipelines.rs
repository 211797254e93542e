//! `/api/v1/pipeline-runs`: executions of the project's stages, and `/api/v1/plan`: what one would do.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use everloop_access::{Permission, Resource};
use everloop_core::{PipelineRunId, ProjectName, StageName, parse_duration};
use everloop_pipelines::{
    LogChunk, OnFailure, OutManifest, PipelineRun, Pipelines, PlanRequest, RunRequest, RunSummary, StagePlan,
    StageRun, Verdict,
};
use futures::{Stream, StreamExt, stream};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;
use std::time::Duration;

use crate::api::{Done, Time, name, page_size};
use crate::extract::{Json, Once, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller, stages};

/// How long a request waits for the end of a run; proxies cut at a minute.
const LONGEST_WAIT: Duration = Duration::from_secs(50);

pub(crate) fn routes(routes: Routes) -> Routes {
    let (read, write) = (
        Permission::read(Resource::Pipeline),
        Permission::write(Resource::Pipeline),
    );
    routes
        .get(
            read,
            "/api/v1/plan",
            Doc::new("plan_pipeline", "What a run would do to each stage, and why.")
                .query::<PlanQuery>()
                .answer::<PlanBody>(),
            plan,
        )
        .get(
            read,
            "/api/v1/pipeline-runs",
            Doc::new("list_pipeline_runs", "Pipeline runs, newest first.")
                .query::<PipelineRunsQuery>()
                .answer::<PipelineRunPage>(),
            list,
        )
        .post(
            write,
            "/api/v1/pipeline-runs",
            Doc::new("start_pipeline_run", "Asks for a run of the project's stages.")
                .body::<StartPipelineRun>()
                .answer::<PipelineRunDetail>(),
            start,
        )
        .get(
            read,
            "/api/v1/pipeline-runs/{id}",
            Doc::new("get_pipeline_run", "One pipeline run with its stages.").answer::<PipelineRunDetail>(),
            get,
        )
        .get(
            read,
            "/api/v1/pipeline-runs/{id}/wait",
            Doc::new(
                "wait_for_pipeline_run",
                "Answers when the run has ended, or as it stands when the time is over.",
            )
            .query::<WaitQuery>()
            .answer::<PipelineRunDetail>(),
            wait,
        )
        .post(
            write,
            "/api/v1/pipeline-runs/{id}/cancel",
            Doc::new("cancel_pipeline_run", "Cancels a run; again is fine.").answer::<Done>(),
            cancel,
        )
        .get(
            read,
            "/api/v1/pipeline-runs/{id}/stages/{stage}/log",
            Doc::new("get_stage_log", "The output of a stage's last attempt, as text.").query::<LogQuery>(),
            log,
        )
}

/// What to plan for.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct PlanQuery {
    /// The stages to get done, with commas between them; all when not given.
    pub stages: Option<String>,
    /// Whether stages run even though their inputs were seen before.
    #[serde(default)]
    pub force: bool,
}

/// What would happen.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PlanBody {
    /// The stages, in order.
    pub stages: Vec<StagePlanBody>,
}

/// What would happen to a stage.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StagePlanBody {
    /// The stage.
    pub stage: String,
    /// cached, restored, run, depends or fails.
    pub verdict: String,
    /// Why it would run or fail; the outs that would be fetched; the stages that it depends on.
    pub why: Vec<String>,
}

impl From<StagePlan> for StagePlanBody {
    fn from(plan: StagePlan) -> Self {
        let (verdict, why) = match plan.verdict {
            Verdict::Cached => ("cached", Vec::new()),
            Verdict::Restored { outs } => ("restored", outs),
            Verdict::Run { why } => ("run", why),
            Verdict::Depends { on } => ("depends", on.into_iter().map(Into::into).collect()),
            Verdict::Fails { error } => ("fails", vec![error]),
        };
        Self {
            stage: plan.stage.to_string(),
            verdict: verdict.to_owned(),
            why,
        }
    }
}

/// Which runs.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct PipelineRunsQuery {
    /// The `next_page_token` of the page before.
    pub page_token: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of pipeline runs.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PipelineRunPage {
    /// Newest first.
    pub runs: Vec<PipelineRunBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<String>,
}

/// What to run.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct StartPipelineRun {
    /// The stages to get done, with all they wait for; all stages when empty.
    #[serde(default)]
    pub stages: Vec<String>,
    /// Parameters that differ from the files, by dotted name.
    #[serde(default)]
    pub params: BTreeMap<String, Value>,
    /// Whether stages run even though their inputs were seen before.
    #[serde(default)]
    pub force: bool,
    /// Whether only what waits for a failed stage is left out; else nothing new starts after a failure.
    #[serde(default)]
    pub keep_going: bool,
    /// Why, for the ledger.
    pub reason: Option<String>,
}

/// A pipeline run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PipelineRunBody {
    /// Its id.
    pub id: String,
    /// pending, running, succeeded, failed or cancelled.
    pub state: String,
    /// Who asked for it.
    pub actor: String,
    /// Why it was started.
    pub reason: Value,
    /// The hash of the project document it was started from.
    pub definition: String,
    /// The tracked run that those of its stages are nested in.
    pub tracked_run_id: Option<String>,
    /// What went wrong first.
    pub error: Option<String>,
    /// When it was asked for.
    pub created_at: Time,
    /// When a worker first took it.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
}

/// A pipeline run with its stages.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PipelineRunDetail {
    /// The run.
    pub run: PipelineRunBody,
    /// Its stages, each after those it waits for.
    pub stages: Vec<StageBody>,
}

/// A stage of a run.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct StageBody {
    /// The stage.
    pub stage: String,
    /// cmd, sql, train or evaluate.
    pub kind: String,
    /// pending, running, succeeded, cached, failed, skipped or cancelled.
    pub state: String,
    /// Attempts started.
    pub attempt: u32,
    /// Why it ran, or why it did not.
    pub reason: Option<String>,
    /// The tracked run of its last attempt, or of the run that wrote its outs when it is cached.
    pub tracked_run_id: Option<String>,
    /// What it wrote.
    pub outs: Vec<OutBody>,
    /// Length of its log.
    pub log_bytes: u64,
    /// What its last command ended with.
    pub exit_code: Option<i32>,
    /// The signal that ended its last command.
    pub exit_signal: Option<i32>,
    /// What went wrong in its last attempt.
    pub error: Option<String>,
    /// What kind of trouble it was.
    pub error_code: Option<String>,
    /// How to mend it.
    pub hint: Option<String>,
    /// When its last attempt began.
    pub started_at: Option<Time>,
    /// When it ended.
    pub finished_at: Option<Time>,
    /// How long the last attempt took by the clock on the wall.
    pub elapsed_ms: Option<u64>,
}

/// What a stage wrote.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct OutBody {
    /// Where it lies in the project's folder.
    pub path: String,
    /// The hash of its content.
    pub digest: String,
    /// Number of files.
    pub files: u64,
    /// Their length.
    pub size_bytes: u64,
}

impl From<RunSummary> for PipelineRunBody {
    fn from(run: RunSummary) -> Self {
        Self {
            id: run.id.into(),
            state: run.state.as_str().to_owned(),
            actor: run.actor,
            reason: run.reason,
            definition: run.definition.to_hex(),
            tracked_run_id: run.tracked_run.map(Into::into),
            error: run.error,
            created_at: run.created_at.into(),
            started_at: run.started_at.map(Into::into),
            finished_at: run.finished_at.map(Into::into),
        }
    }
}

impl From<PipelineRun> for PipelineRunDetail {
    fn from(run: PipelineRun) -> Self {
        Self {
            run: run.summary.into(),
            stages: run.stages.into_iter().map(Into::into).collect(),
        }
    }
}

impl From<StageRun> for StageBody {
    fn from(stage: StageRun) -> Self {
        Self {
            stage: stage.stage.to_string(),
            kind: stage.kind,
            state: stage.state.as_str().to_owned(),
            attempt: stage.attempt,
            reason: stage.reason,
            tracked_run_id: stage.tracked_run.map(Into::into),
            outs: stage.outs.iter().map(Into::into).collect(),
            log_bytes: stage.log_size,
            exit_code: stage.exit_code,
            exit_signal: stage.exit_signal,
            error: stage.error,
            error_code: stage.error_code,
            hint: stage.hint,
            started_at: stage.started_at.map(Into::into),
            finished_at: stage.finished_at.map(Into::into),
            elapsed_ms: stage.elapsed_ms,
        }
    }
}

impl From<&OutManifest> for OutBody {
    fn from(out: &OutManifest) -> Self {
        Self {
            path: out.path.clone(),
            digest: out.digest().to_hex(),
            files: out.files.len() as u64,
            size_bytes: out.files.iter().map(|file| file.size).sum(),
        }
    }
}

/// How long to wait.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct WaitQuery {
    /// Such as `10s`; 50 seconds at most, which is also what holds when it is not given.
    pub timeout: Option<String>,
}

/// Which part of a log.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct LogQuery {
    /// The first byte; 0 when not given. Not together with `follow`.
    pub offset: Option<u64>,
    /// Whether the answer goes on until the stage has ended.
    #[serde(default)]
    pub follow: bool,
}

async fn plan(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PlanQuery>,
) -> ApiResult<Json<PlanBody>> {
    let project = app.project_file(&caller.project).await?;
    let listed = query.stages.unwrap_or_default();
    let named = listed.split(',').filter(|stage| !stage.is_empty());
    let mut request = PlanRequest::new(project, app.root(&caller.project)?);
    request.targets = named
        .map(|stage| name(stage.to_owned()))
        .collect::<ApiResult<_>>()?;
    request.force = query.force;
    request.env = stages::worker_options(&app).env;
    let plans = app.pipelines().plan(request).await?;
    Ok(Json(PlanBody {
        stages: plans.into_iter().map(Into::into).collect(),
    }))
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PipelineRunsQuery>,
) -> ApiResult<Json<PipelineRunPage>> {
    let limit = page_size(query.limit);
    let before = query.page_token.map(PipelineRunId::new);
    let mut found = app
        .pipelines()
        .list(&caller.project, before.as_ref(), limit + 1)
        .await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_page_token = found.last().filter(|_| more).map(|run| run.id.to_string());
    Ok(Json(PipelineRunPage {
        runs: found.into_iter().map(Into::into).collect(),
        next_page_token,
    }))
}

/// The run that was asked for last.
pub(crate) async fn last(app: &App, project: &ProjectName) -> ApiResult<Option<PipelineRunBody>> {
    let found = app.pipelines().list(project, None, 1).await?;
    Ok(found.into_iter().next().map(Into::into))
}

async fn start(
    State(app): State<App>,
    caller: Caller,
    Once(key): Once,
    Json(body): Json<StartPipelineRun>,
) -> ApiResult<Json<PipelineRunDetail>> {
    let project = app.project_file(&caller.project).await?;
    let mut request = RunRequest::new(project, app.root(&caller.project)?);
    request.targets = body.stages.into_iter().map(name).collect::<ApiResult<_>>()?;
    request.params = body.params;
    request.force = body.force;
    if body.keep_going {
        request.on_failure = OnFailure::KeepGoing;
    }
    request.reason = body.reason.map_or(Value::Null, Value::String);
    request.idempotency_key = key;
    let id = app.pipelines().submit(caller.actor(), request).await?;
    let run = app.pipelines().status(&caller.project, &id).await?;
    Ok(Json(run.into()))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
) -> ApiResult<Json<PipelineRunDetail>> {
    let run = app
        .pipelines()
        .status(&caller.project, &PipelineRunId::new(id))
        .await?;
    Ok(Json(run.into()))
}

async fn wait(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<String>,
    Query(query): Query<WaitQuery>,
) -> ApiResult<Json<PipelineRunDetail>> {
    let timeout = query.timeout.as_deref().map(parse_duration).transpose();
    let timeout = timeout.map_err(|error| ApiError::invalid(error.to_string()))?;
    let timeout = timeout.unwrap_or(LONGEST_WAIT).min(LONGEST_WAIT);
    let (id, stop) = (PipelineRunId::new(id), app.stopping());
    let run = tokio::select! {
        ended = app.pipelines().wait(&caller.project, &id) => ended?,
        () = tokio::time::sleep(timeout) => app.pipelines().status(&caller.project, &id).await?,
        () = stop.cancelled() => app.pipelines().status(&caller.project, &id).await?,
    };
    Ok(Json(run.into()))
}

async fn cancel(State(app): State<App>, caller: Caller, Path(id): Path<String>) -> ApiResult<Json<Done>> {
    app.pipelines()
        .cancel(&caller.project, &PipelineRunId::new(id), caller.actor())
        .await?;
    Ok(Done::YES)
}

async fn log(
    State(app): State<App>,
    caller: Caller,
    Path((id, stage)): Path<(String, String)>,
    Query(query): Query<LogQuery>,
) -> ApiResult<Response> {
    let wanted = Wanted {
        pipelines: app.pipelines().clone(),
        project: caller.project,
        run: PipelineRunId::new(id),
        stage: name(stage)?,
    };
    // Says what is wrong before the answer begins.
    let first = wanted.chunk(query.offset.unwrap_or(0)).await?;
    let body = if query.follow {
        let stop = app.stopping();
        let tail = wanted.follow().take_until(async move { stop.cancelled().await });
        Body::from_stream(tail)
    } else {
        Body::from_stream(wanted.rest(first))
    };
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    let text = HeaderValue::from_static("text/plain; charset=utf-8");
    headers.insert(header::CONTENT_TYPE, text);
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(response)
}

/// The log that was asked for.
struct Wanted {
    pipelines: Pipelines,
    project: ProjectName,
    run: PipelineRunId,
    stage: StageName,
}

type Piece = Result<Bytes, everloop_pipelines::Error>;

impl Wanted {
    async fn chunk(&self, offset: u64) -> everloop_pipelines::Result<LogChunk> {
        self.pipelines
            .logs(&self.project, &self.run, &self.stage, offset)
            .await
    }

    /// What there is from `first` on.
    fn rest(self, first: LogChunk) -> impl Stream<Item = Piece> {
        stream::try_unfold((self, Some(first)), |(wanted, chunk)| async move {
            let Some(chunk) = chunk.filter(|chunk| !chunk.bytes.is_empty()) else {
                return Ok(None);
            };
            let next = match chunk.is_complete {
                true => None,
                false => Some(wanted.chunk(chunk.next).await?),
            };
            Ok(Some((Bytes::from(chunk.bytes), (wanted, next))))
        })
    }

    /// What there is and what comes.
    fn follow(self) -> impl Stream<Item = Piece> {
        let tail = self.pipelines.follow(&self.project, &self.run, &self.stage);
        stream::try_unfold(tail, |mut tail| async move {
            Ok(tail.next().await?.map(|bytes| (Bytes::from(bytes), tail)))
        })
    }
}
