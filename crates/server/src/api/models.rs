//! `/api/v1/models`: registered models, their versions, what gates and people said of them. Aliases move by decisions
//! (`controller`); here they are only read.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_core::{AliasName, Code, ModelName};
use everloop_registry::aliases::Span;
use everloop_registry::approvals::{Verdict, Word};
use everloop_registry::gates::GateResult;
use everloop_registry::versions::ModelVersion;
use everloop_registry::{VersionNumber, aliases, approvals, files, gates, models, versions};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

use crate::api::{Time, name, page_size};
use crate::extract::{Json, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.with(model_routes).with(version_routes)
}

fn model_routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Model);
    routes
        .get(
            read,
            "/api/v1/models",
            Doc::new("list_models", "Registered models, by name.")
                .query::<ModelsQuery>()
                .answer::<ModelPage>(),
            list,
        )
        .get(
            read,
            "/api/v1/models/{name}",
            Doc::new("get_model", "One registered model.").answer::<ModelBody>(),
            get,
        )
        .get(
            read,
            "/api/v1/models/{name}/aliases",
            Doc::new("list_aliases", "Where a model's aliases point.").answer::<AliasList>(),
            list_aliases,
        )
        .get(
            read,
            "/api/v1/models/{name}/aliases/{alias}/history",
            Doc::new(
                "get_alias_history",
                "Where an alias pointed and why, newest first.",
            )
            .query::<AliasHistoryQuery>()
            .answer::<AliasPage>(),
            alias_history,
        )
}

fn version_routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Model);
    let approve = Permission::approve(Resource::Model);
    routes
        .get(
            read,
            "/api/v1/models/{name}/versions",
            Doc::new("list_model_versions", "Versions, newest first.")
                .query::<ModelVersionsQuery>()
                .answer::<ModelVersionPage>(),
            list_versions,
        )
        .get(
            read,
            "/api/v1/models/{name}/versions/{version}",
            Doc::new(
                "get_model_version",
                "One version: a number, an alias or `latest`.",
            )
            .answer::<ModelVersionBody>(),
            get_version,
        )
        .get(
            read,
            "/api/v1/models/{name}/versions/{version}/gates",
            Doc::new(
                "list_gates",
                "What gates and people said of a version, oldest first.",
            )
            .answer::<GateList>(),
            list_gates,
        )
        .get(
            read,
            "/api/v1/models/{name}/versions/{version}/files",
            Doc::new("list_model_files", "The files of a version, by path.").answer::<ModelFileList>(),
            list_files,
        )
        .post(
            approve,
            "/api/v1/models/{name}/versions/{version}/approve",
            Doc::new("approve_model_version", "Says yes to a version.")
                .body::<Comment>()
                .answer::<ModelVersionBody>(),
            say_yes,
        )
        .post(
            approve,
            "/api/v1/models/{name}/versions/{version}/reject",
            Doc::new("reject_model_version", "Says no to a version.")
                .body::<Comment>()
                .answer::<ModelVersionBody>(),
            say_no,
        )
}

/// Which models.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct ModelsQuery {
    /// The `next_page_token` of the page before.
    pub page_token: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of models.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelPage {
    /// By name.
    pub models: Vec<ModelBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<String>,
}

/// A registered model.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelBody {
    /// Its name.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Time,
    /// When it or one of its versions last changed.
    pub updated_at: Time,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// Where its aliases point.
    pub aliases: BTreeMap<String, u32>,
}

impl From<models::Model> for ModelBody {
    fn from(model: models::Model) -> Self {
        Self {
            name: model.name.to_string(),
            description: model.description,
            created_by: model.created_by,
            created_at: model.created_at.into(),
            updated_at: model.updated_at.into(),
            tags: model.tags,
            aliases: model
                .aliases
                .into_iter()
                .map(|(alias, version)| (alias, version.0))
                .collect(),
        }
    }
}

/// Which versions.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct ModelVersionsQuery {
    /// The `next_page_token` of the page before.
    pub page_token: Option<u32>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of versions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelVersionPage {
    /// Newest first.
    pub versions: Vec<ModelVersionBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<u32>,
}

/// A version of a model.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelVersionBody {
    /// The model.
    pub model: String,
    /// Its number.
    pub version: u32,
    /// Whether it can be used: pending, ready or failed.
    pub state: String,
    /// Why it can't be; empty unless failed.
    pub state_message: String,
    /// What people said about it.
    pub approval: String,
    /// Where it came from; may be empty.
    pub source: String,
    /// The run that made it.
    pub run_id: Option<String>,
    /// What it does.
    pub task: Option<String>,
    /// What kind of model it is.
    pub flavor: String,
    /// Whether loading it would run code of its own.
    pub unsafe_format: bool,
    /// The hash over its files.
    pub content: String,
    /// The length of its files.
    pub size_bytes: u64,
    /// Its inputs and outputs, in MLflow's form.
    pub signature: Option<Value>,
    /// How good it is.
    pub metrics: Map<String, Value>,
    /// What it was made from.
    pub datasets: Vec<DatasetVersion>,
    /// A note; may be empty.
    pub description: String,
    /// Who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: Time,
    /// When it last changed.
    pub updated_at: Time,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The aliases that point at it.
    pub aliases: Vec<String>,
}

/// A dataset version that a model was made from.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DatasetVersion {
    /// The dataset.
    pub name: String,
    /// Its version.
    pub version: u64,
    /// The hash of the version's content.
    pub digest: String,
    /// What for.
    pub role: String,
}

impl From<ModelVersion> for ModelVersionBody {
    fn from(found: ModelVersion) -> Self {
        let datasets = found.datasets.into_iter().map(|dataset| DatasetVersion {
            name: dataset.name.to_string(),
            version: dataset.version,
            digest: dataset.digest,
            role: dataset.role,
        });
        Self {
            model: found.model.to_string(),
            version: found.version.0,
            state: found.state.as_str().to_owned(),
            state_message: found.state_message,
            approval: found.approval.as_str().to_owned(),
            source: found.source,
            run_id: found.run.map(Into::into),
            task: found.task,
            flavor: found.flavor,
            unsafe_format: found.unsafe_format,
            content: found.content.to_hex(),
            size_bytes: found.size_bytes,
            signature: found.signature,
            metrics: found.metrics,
            datasets: datasets.collect(),
            description: found.description,
            created_by: found.created_by,
            created_at: found.created_at.into(),
            updated_at: found.updated_at.into(),
            tags: found.tags,
            aliases: found.aliases,
        }
    }
}

/// Where aliases point.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AliasList {
    /// By name.
    pub aliases: Vec<AliasBody>,
}

/// How much of an alias' history.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct AliasHistoryQuery {
    /// The `next_page_token` of the page before.
    pub page_token: Option<i64>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of an alias' history.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AliasPage {
    /// Newest first.
    pub history: Vec<AliasBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<i64>,
}

/// A span in which an alias pointed at one version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AliasBody {
    /// The alias.
    pub alias: String,
    /// Where it pointed.
    pub version: u32,
    /// From when.
    pub from: Time,
    /// Until when; none while it does.
    pub to: Option<Time>,
    /// Who moved it there.
    pub actor: String,
    /// Why.
    pub why: String,
    /// The decision behind it.
    pub decision_id: Option<String>,
}

impl From<Span> for AliasBody {
    fn from(span: Span) -> Self {
        Self {
            alias: span.alias.to_string(),
            version: span.version.0,
            from: span.from.into(),
            to: span.to.map(Into::into),
            actor: span.actor.to_string(),
            why: span.why,
            decision_id: span.decision.map(Into::into),
        }
    }
}

/// What gates and people said of a version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GateList {
    /// What gates said, oldest first.
    pub gates: Vec<GateBody>,
    /// What people said, oldest first.
    pub approvals: Vec<ApprovalBody>,
}

/// What a gate said.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct GateBody {
    /// The gate, as the project file names it.
    pub gate: String,
    /// passed, failed, broken or skipped.
    pub outcome: String,
    /// The figures it said it on.
    pub evidence: Value,
    /// The decision it was asked for.
    pub decision_id: Option<String>,
    /// Who asked.
    pub actor: String,
    /// When.
    pub at: Time,
    /// The ledger row that records it.
    pub seq: i64,
}

impl From<GateResult> for GateBody {
    fn from(result: GateResult) -> Self {
        Self {
            gate: result.gate,
            outcome: result.outcome.as_str().to_owned(),
            evidence: result.evidence,
            decision_id: result.decision.map(Into::into),
            actor: result.actor.to_string(),
            at: result.at.into(),
            seq: result.seq,
        }
    }
}

/// What somebody said.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ApprovalBody {
    /// approved or rejected.
    pub verdict: String,
    /// Who.
    pub actor: String,
    /// When.
    pub at: Time,
    /// In their words; may be empty.
    pub comment: String,
    /// The ledger row that records it.
    pub seq: i64,
}

impl From<Word> for ApprovalBody {
    fn from(word: Word) -> Self {
        let verdict = match word.verdict {
            Verdict::Approved => "approved",
            Verdict::Rejected => "rejected",
        };
        Self {
            verdict: verdict.to_owned(),
            actor: word.actor.to_string(),
            at: word.at.into(),
            comment: word.comment,
            seq: word.seq,
        }
    }
}

/// The files of a version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelFileList {
    /// By path.
    pub files: Vec<ModelFileBody>,
}

/// A file of a version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct ModelFileBody {
    /// Where it lies in the model's folder.
    pub path: String,
    /// The hash of its bytes.
    pub hash: String,
    /// Its length.
    pub size_bytes: u64,
}

/// Why somebody says yes or no.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Comment {
    /// In their words; may be empty.
    #[serde(default)]
    pub comment: String,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ModelsQuery>,
) -> ApiResult<Json<ModelPage>> {
    let limit = page_size(query.limit);
    let after: Option<ModelName> = query.page_token.map(name).transpose()?;
    let page = app
        .db()
        .read(move |tx| models::list(tx, &caller.project, after.as_ref(), limit))
        .await?;
    Ok(Json(ModelPage {
        models: page.items.into_iter().map(Into::into).collect(),
        next_page_token: page.next.map(Into::into),
    }))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(model): Path<String>,
) -> ApiResult<Json<ModelBody>> {
    let model: ModelName = name(model)?;
    let found = app.registry().model(&caller.project, &model).await?;
    match found {
        Some(found) => Ok(Json(found.into())),
        None => Err(no_model(&model)),
    }
}

fn no_model(model: &ModelName) -> ApiError {
    ApiError::new(Code::NotFound, format!("no model is called \"{model}\""))
        .with_hint("GET /api/v1/models lists them")
}

async fn list_aliases(
    State(app): State<App>,
    caller: Caller,
    Path(model): Path<String>,
) -> ApiResult<Json<AliasList>> {
    let model: ModelName = name(model)?;
    let found = app
        .db()
        .read(move |tx| aliases::all(tx, &caller.project, &model))
        .await?;
    Ok(Json(AliasList {
        aliases: found.into_iter().map(Into::into).collect(),
    }))
}

async fn alias_history(
    State(app): State<App>,
    caller: Caller,
    Path((model, alias)): Path<(String, String)>,
    Query(query): Query<AliasHistoryQuery>,
) -> ApiResult<Json<AliasPage>> {
    let (model, alias): (ModelName, AliasName) = (name(model)?, name(alias)?);
    let limit = page_size(query.limit);
    let page = app
        .db()
        .read(move |tx| aliases::history(tx, &caller.project, &model, &alias, query.page_token, limit))
        .await?;
    Ok(Json(AliasPage {
        history: page.items.into_iter().map(Into::into).collect(),
        next_page_token: page.next,
    }))
}

async fn list_versions(
    State(app): State<App>,
    caller: Caller,
    Path(model): Path<String>,
    Query(query): Query<ModelVersionsQuery>,
) -> ApiResult<Json<ModelVersionPage>> {
    let model: ModelName = name(model)?;
    let limit = page_size(query.limit);
    let before = query.page_token.map(VersionNumber);
    let page = app
        .db()
        .read(move |tx| versions::list(tx, &caller.project, &model, before, limit))
        .await?;
    Ok(Json(ModelVersionPage {
        versions: page.items.into_iter().map(Into::into).collect(),
        next_page_token: page.next.map(|version| version.0),
    }))
}

async fn get_version(
    State(app): State<App>,
    caller: Caller,
    Path((model, wanted)): Path<(String, String)>,
) -> ApiResult<Json<ModelVersionBody>> {
    let model: ModelName = name(model)?;
    Ok(Json(find(&app, &caller, &model, &wanted).await?.into()))
}

/// A version by its number, an alias, or `latest`.
async fn find(app: &App, caller: &Caller, model: &ModelName, wanted: &str) -> ApiResult<ModelVersion> {
    let (project, registry) = (&caller.project, app.registry());
    let found = if let Ok(number) = wanted.parse() {
        registry.version(project, model, number).await?
    } else if wanted == "latest" {
        let (project, model) = (project.clone(), model.clone());
        app.db()
            .read(move |tx| versions::latest(tx, &project, &model, None))
            .await?
    } else {
        registry
            .by_alias(project, model, &name(wanted.to_owned())?)
            .await?
    };
    found.ok_or_else(|| {
        let shown: String = wanted.chars().take(80).collect();
        ApiError::new(
            Code::NotFound,
            format!("model \"{model}\" has no version \"{shown}\""),
        )
        .with_hint("give a number, an alias, or \"latest\"")
    })
}

async fn list_gates(
    State(app): State<App>,
    caller: Caller,
    Path((model, wanted)): Path<(String, String)>,
) -> ApiResult<Json<GateList>> {
    let model: ModelName = name(model)?;
    let version = find(&app, &caller, &model, &wanted).await?.version;
    let (gates, approvals) = app
        .db()
        .read(move |tx| {
            let gates = gates::all(tx, &caller.project, &model, version)?;
            let words = approvals::all(tx, &caller.project, &model, version)?;
            Ok::<_, everloop_registry::Error>((gates, words))
        })
        .await?;
    Ok(Json(GateList {
        gates: gates.into_iter().map(Into::into).collect(),
        approvals: approvals.into_iter().map(Into::into).collect(),
    }))
}

async fn list_files(
    State(app): State<App>,
    caller: Caller,
    Path((model, wanted)): Path<(String, String)>,
) -> ApiResult<Json<ModelFileList>> {
    let model: ModelName = name(model)?;
    let version = find(&app, &caller, &model, &wanted).await?.version;
    let found = app
        .db()
        .read(move |tx| files::all(tx, &caller.project, &model, version))
        .await?;
    let files = found.into_iter().map(|file| ModelFileBody {
        path: file.path.to_string(),
        hash: file.hash.to_hex(),
        size_bytes: file.size_bytes,
    });
    Ok(Json(ModelFileList {
        files: files.collect(),
    }))
}

async fn say_yes(
    State(app): State<App>,
    caller: Caller,
    Path(version): Path<(String, String)>,
    Json(body): Json<Comment>,
) -> ApiResult<Json<ModelVersionBody>> {
    give(&app, &caller, version, Verdict::Approved, body.comment).await
}

async fn say_no(
    State(app): State<App>,
    caller: Caller,
    Path(version): Path<(String, String)>,
    Json(body): Json<Comment>,
) -> ApiResult<Json<ModelVersionBody>> {
    give(&app, &caller, version, Verdict::Rejected, body.comment).await
}

async fn give(
    app: &App,
    caller: &Caller,
    (model, wanted): (String, String),
    verdict: Verdict,
    comment: String,
) -> ApiResult<Json<ModelVersionBody>> {
    let model: ModelName = name(model)?;
    let version = find(app, caller, &model, &wanted).await?.version;
    let by = app.registry().by(&caller.project, caller.actor());
    let given = model.clone();
    app.db()
        .write(move |tx| approvals::give(tx, &by, &given, version, verdict, &comment))
        .await?;
    Ok(Json(
        find(app, caller, &model, &version.to_string()).await?.into(),
    ))
}
