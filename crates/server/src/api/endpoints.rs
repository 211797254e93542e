//! `/api/v1/endpoints`: who answers predictions.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_core::{Code, EndpointName, ModelName, ProjectName};
use everloop_db::Tx;
use everloop_registry::versions::State as VersionState;
use everloop_registry::{VersionNumber, versions};
use everloop_serving::{Endpoint, Mode, Rollout, RolloutState, Route};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::api::{Time, name};
use crate::extract::{Json, Path};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Endpoint);
    routes
        .get(
            read,
            "/api/v1/endpoints",
            Doc::new("list_endpoints", "All endpoints, with who answers.").answer::<EndpointList>(),
            list,
        )
        .get(
            read,
            "/api/v1/endpoints/{name}",
            Doc::new("get_endpoint", "One endpoint, with who answers.").answer::<EndpointBody>(),
            get,
        )
        .put(
            Permission::write(Resource::Endpoint),
            "/api/v1/endpoints/{name}",
            Doc::new(
                "deploy",
                "Lets one version answer everything, now and without gates.",
            )
            .body::<Deploy>()
            .answer::<EndpointBody>(),
            deploy,
        )
}

/// All endpoints.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointList {
    /// By name.
    pub endpoints: Vec<EndpointBody>,
    /// The prediction log of the server that was asked.
    pub log: LogBody,
}

/// A name that answers predictions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct EndpointBody {
    /// Its name.
    pub name: String,
    /// The registered model behind it.
    pub model: String,
    /// Who answers.
    pub routes: Vec<RouteBody>,
    /// The rollout that runs, if one does.
    pub rollout: Option<RolloutBody>,
}

/// A version behind an endpoint.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RouteBody {
    /// The model's version.
    pub version: u64,
    /// `live` answers its share, `shadow` answers copies unseen.
    pub mode: String,
    /// Its share in percent.
    pub percent: f64,
}

/// A planned change of shares.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RolloutBody {
    /// Names it.
    pub id: String,
    /// The version that takes over.
    pub version: u64,
    /// The version that answered before.
    pub from_version: Option<u64>,
    /// running, promoted or rolled_back.
    pub state: String,
    /// The step it is at, from 0.
    pub step: usize,
    /// Its shares in percent, step by step.
    pub steps: Vec<f64>,
    /// When the step began.
    pub step_started_at: Time,
    /// When it began.
    pub started_at: Time,
}

/// Figures of a prediction log since its server started.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LogBody {
    /// Rows answered and logged.
    pub logged: u64,
    /// Rows stored as Parquet.
    pub sealed: u64,
    /// Rows in the open segment.
    pub open_rows: u64,
    /// Bytes in the open segment.
    pub open_bytes: u64,
    /// Copies for shadow versions that were dropped; answers never are.
    pub shadows_dropped: u64,
}

/// What shall answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Deploy {
    /// The registered model.
    pub model: String,
    /// Its version.
    pub version: u32,
}

impl EndpointBody {
    fn new(endpoint: Endpoint, rollout: Option<Rollout>) -> Self {
        Self {
            name: endpoint.name.to_string(),
            model: endpoint.model.to_string(),
            routes: endpoint.routes.into_iter().map(Into::into).collect(),
            rollout: rollout.map(Into::into),
        }
    }
}

impl From<Route> for RouteBody {
    fn from(route: Route) -> Self {
        let mode = match route.mode {
            Mode::Live => "live",
            Mode::Shadow => "shadow",
        };
        Self {
            version: route.version,
            mode: mode.to_owned(),
            percent: percent(route.weight),
        }
    }
}

impl From<Rollout> for RolloutBody {
    fn from(rollout: Rollout) -> Self {
        let state = match rollout.state {
            RolloutState::Running => "running",
            RolloutState::Promoted => "promoted",
            RolloutState::RolledBack => "rolled_back",
        };
        Self {
            id: rollout.id,
            version: rollout.version,
            from_version: rollout.from_version,
            state: state.to_owned(),
            step: rollout.step,
            steps: rollout.plan.steps.into_iter().map(percent).collect(),
            step_started_at: rollout.step_started_at.into(),
            started_at: rollout.started_at.into(),
        }
    }
}

/// Shares are kept in hundredths of a percent.
#[expect(clippy::cast_precision_loss, reason = "at most 10000")]
fn percent(hundredths: u64) -> f64 {
    hundredths as f64 / 100.0
}

/// All endpoints of a project with their rollouts.
pub(crate) fn all(tx: &mut Tx<'_>, project: &ProjectName) -> everloop_serving::Result<Vec<EndpointBody>> {
    let mut bodies = Vec::new();
    for endpoint in everloop_serving::endpoints(tx, project)? {
        let rollout = everloop_serving::running(tx, project, &endpoint.name)?;
        bodies.push(EndpointBody::new(endpoint, rollout));
    }
    Ok(bodies)
}

async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<EndpointList>> {
    let endpoints = app.db().read(move |tx| all(tx, &caller.project)).await?;
    let stats = app.serving().log_stats();
    Ok(Json(EndpointList {
        endpoints,
        log: LogBody {
            logged: stats.logged,
            sealed: stats.sealed,
            open_rows: stats.open_rows,
            open_bytes: stats.open_bytes,
            shadows_dropped: stats.shadows_dropped,
        },
    }))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(wanted): Path<String>,
) -> ApiResult<Json<EndpointBody>> {
    let wanted: EndpointName = name(wanted)?;
    Ok(Json(find(&app, &caller.project, &wanted).await?))
}

async fn find(app: &App, project: &ProjectName, wanted: &EndpointName) -> ApiResult<EndpointBody> {
    let (project, wanted) = (project.clone(), wanted.clone());
    app.db()
        .read(move |tx| {
            let Some(endpoint) = everloop_serving::endpoint(tx, &project, &wanted)? else {
                let known = everloop_serving::endpoints(tx, &project)?;
                return Err(ApiError::from(everloop_serving::Error::NoSuchEndpoint {
                    name: wanted.to_string(),
                    known: known.iter().map(|endpoint| endpoint.name.to_string()).collect(),
                }));
            };
            let rollout = everloop_serving::running(tx, &project, &wanted)?;
            Ok(EndpointBody::new(endpoint, rollout))
        })
        .await
}

async fn deploy(
    State(app): State<App>,
    caller: Caller,
    Path(wanted): Path<String>,
    Json(body): Json<Deploy>,
) -> ApiResult<Json<EndpointBody>> {
    let endpoint: EndpointName = name(wanted)?;
    let model: ModelName = name(body.model)?;
    let (project, actor, at) = (caller.project.clone(), caller.actor().clone(), app.clock().now());
    let (target, version) = (endpoint.clone(), VersionNumber(body.version));
    let (looked_in, looked_for) = (project.clone(), model.clone());
    app.db()
        .read(move |tx| refuse_unready(tx, &looked_in, &looked_for, version))
        .await?;
    app.try_loading(&caller.project, &model, body.version).await?;
    app.db()
        .write(move |tx| {
            refuse_unready(tx, &project, &model, version)?;
            if let Some(rollout) = everloop_serving::running(tx, &project, &target)? {
                return Err(ApiError::from(everloop_serving::Error::RolloutRunning {
                    name: target.clone(),
                    version: rollout.version,
                }));
            }
            everloop_serving::create_endpoint(tx, at, &project, &actor, &target, &model)?;
            let routes = [Route::all(u64::from(version.0))];
            let because = json!({ "manual": true });
            everloop_serving::set_routes(tx, at, &project, &actor, &target, &routes, because)?;
            Ok(())
        })
        .await?;
    // The next request to this server finds it; other servers are woken by the commit.
    app.serving().refresh().await?;
    Ok(Json(find(&app, &caller.project, &endpoint).await?))
}

fn refuse_unready(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    model: &ModelName,
    version: VersionNumber,
) -> ApiResult<()> {
    let Some(found) = versions::get(tx, project, model, version)? else {
        return Err(ApiError::new(
            Code::NotFound,
            format!("model \"{model}\" has no version {version}"),
        ));
    };
    if found.state == VersionState::Ready {
        return Ok(());
    }
    Err(ApiError::new(
        Code::FailedPrecondition,
        format!(
            "version {version} of model \"{model}\" is {}",
            found.state.as_str()
        ),
    )
    .with_hint("only ready versions can serve"))
}
