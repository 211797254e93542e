//! The loop itself: go round, release, take back, why, and what was decided.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_controller::{Decision, Release, Retraining, Why};
use everloop_core::ModelName;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Done, LARGEST_PAGE, Time};
use crate::extract::{Json, Once, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let (read, write) = (
        Permission::read(Resource::Decision),
        Permission::write(Resource::Pipeline),
    );
    routes
        .post(
            write,
            "/api/v1/retrain",
            Doc::new("retrain", "Goes round the loop now.").body::<RetrainBody>(),
            retrain,
        )
        .get(
            read,
            "/api/v1/retrainings",
            Doc::new("list_retrainings", "Ways round the loop, newest first.").query::<Limit>(),
            retrainings,
        )
        .get(
            read,
            "/api/v1/decisions",
            Doc::new("list_decisions", "What was decided, newest first.")
                .query::<DecisionsQuery>()
                .answer::<DecisionList>(),
            decisions,
        )
        .get(
            read,
            "/api/v1/why/{subject}",
            Doc::new(
                "why",
                "The chain behind a model, version, endpoint or prediction.",
            ),
            why,
        )
        .post(
            Permission::approve(Resource::Model),
            "/api/v1/models/{name}/promote",
            Doc::new(
                "promote_model",
                "Releases a version, through its gates or past them.",
            )
            .body::<PromoteBody>(),
            promote,
        )
        .post(
            Permission::approve(Resource::Model),
            "/api/v1/models/{name}/rollback",
            Doc::new("rollback_model", "Takes the champion or a running rollout back.")
                .body::<RetrainBody>()
                .answer::<RolledBack>(),
            rollback,
        )
        .post(
            write,
            "/api/v1/loop/settle",
            Doc::new(
                "settle_loop",
                "Answers when everything that is due has been done.",
            )
            .answer::<Done>(),
            settle,
        )
        .post(
            Permission::write(Resource::Project),
            "/api/v1/project/reload",
            Doc::new("reload_project", "Reads the project's file again.").answer::<Done>(),
            reload,
        )
}

/// Why a person asks.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetrainBody {
    /// In a few words; goes into the ledger.
    #[serde(default)]
    pub why: String,
}

/// A version to release.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PromoteBody {
    /// The version.
    pub version: u64,
    /// Release it on the caller's word, whatever its gates say. The rollout still watches it.
    #[serde(default)]
    pub past_gates: bool,
}

/// The version that serves after a rollback.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct RolledBack {
    /// Its number.
    pub version: u64,
}

/// How many.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct Limit {
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Which decisions.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DecisionsQuery {
    /// About exactly this, such as `model:flight-delay@3`.
    pub subject: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Decisions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DecisionList {
    /// Newest first.
    pub decisions: Vec<DecisionBody>,
}

/// An automatic or human choice, with the numbers it rests on.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DecisionBody {
    /// Names it.
    pub id: String,
    /// What was decided about.
    pub kind: String,
    /// About what.
    pub subject: String,
    /// What was chosen.
    pub outcome: String,
    /// One sentence.
    pub words: String,
    /// The numbers.
    pub evidence: serde_json::Value,
    /// Who chose.
    pub actor: String,
    /// When.
    pub at: Time,
}

impl From<Decision> for DecisionBody {
    fn from(decision: Decision) -> Self {
        Self {
            id: decision.id.into(),
            kind: decision.kind,
            subject: decision.subject,
            outcome: decision.outcome,
            words: decision.words,
            evidence: decision.evidence,
            actor: decision.actor.to_string(),
            at: decision.at.into(),
        }
    }
}

/// Retrainings.
#[derive(Debug, Serialize, Deserialize)]
pub struct RetrainingList {
    /// Newest first.
    pub retrainings: Vec<Retraining>,
}

async fn retrain(
    State(app): State<App>,
    caller: Caller,
    Once(key): Once,
    Json(body): Json<RetrainBody>,
) -> ApiResult<Json<Retraining>> {
    Ok(Json(
        app.controller(&caller.project)?
            .retrain(caller.actor(), &body.why, key.as_ref())
            .await?,
    ))
}

async fn retrainings(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Limit>,
) -> ApiResult<Json<RetrainingList>> {
    let limit = query.limit.unwrap_or(100).min(LARGEST_PAGE);
    let project = caller.project;
    let retrainings = app
        .db()
        .read(move |tx| everloop_controller::retrainings(tx, &project, limit))
        .await?;
    Ok(Json(RetrainingList { retrainings }))
}

async fn decisions(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DecisionsQuery>,
) -> ApiResult<Json<DecisionList>> {
    let limit = query.limit.unwrap_or(100).min(LARGEST_PAGE);
    let (project, subject) = (caller.project, query.subject);
    let found = app
        .db()
        .read(move |tx| everloop_controller::decisions(tx, &project, subject.as_deref(), limit))
        .await?;
    Ok(Json(DecisionList {
        decisions: found.into_iter().map(Into::into).collect(),
    }))
}

async fn why(State(app): State<App>, caller: Caller, Path(subject): Path<String>) -> ApiResult<Json<Why>> {
    Ok(Json(app.controller(&caller.project)?.why(&subject).await?))
}

async fn promote(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Once(key): Once,
    Json(body): Json<PromoteBody>,
) -> ApiResult<Json<Retraining>> {
    let controller = app.controller(&caller.project)?;
    is_the_model(controller, &name)?;
    let how = if body.past_gates {
        Release::PastGates
    } else {
        Release::ThroughGates
    };
    let release = controller.release(caller.actor(), body.version, how, key.as_ref());
    Ok(Json(release.await?))
}

async fn rollback(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Once(key): Once,
    Json(body): Json<RetrainBody>,
) -> ApiResult<Json<RolledBack>> {
    let controller = app.controller(&caller.project)?;
    is_the_model(controller, &name)?;
    let back = controller.roll_back_now(caller.actor(), &body.why, key.as_ref());
    let version = back.await?;
    Ok(Json(RolledBack { version }))
}

async fn settle(State(app): State<App>, caller: Caller) -> ApiResult<Json<Done>> {
    app.controller(&caller.project)?.settle().await?;
    Ok(Done::YES)
}

async fn reload(State(app): State<App>, caller: Caller) -> ApiResult<Json<Done>> {
    app.reload_project(&caller.project, caller.actor()).await?;
    Ok(Done::YES)
}

/// The loop releases the project's own model.
fn is_the_model(controller: &everloop_controller::Controller, name: &str) -> ApiResult<()> {
    let wanted = ModelName::new(name).map_err(|error| ApiError::invalid(error.to_string()))?;
    let file = controller.file();
    let own = file
        .as_ref()
        .and_then(|file| file.project.model.as_ref())
        .map(|model| &model.name);
    match own {
        Some(own) if *own == wanted => Ok(()),
        Some(own) => Err(ApiError::new(
            everloop_core::Code::NotFound,
            format!("the loop releases \"{own}\", not \"{wanted}\""),
        )),
        None => Err(ApiError::new(
            everloop_core::Code::FailedPrecondition,
            "the project names no model",
        )),
    }
}
