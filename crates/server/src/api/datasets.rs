//! `/api/v1/datasets`: what data there is, in which versions, and what changed between them.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_core::DatasetName;
use everloop_datasets::{Dataset, Diff, Overwrite, Selector, Spec, Version};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{LARGEST_PAGE, Time};
use crate::extract::{Json, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let (read, write) = (
        Permission::read(Resource::Dataset),
        Permission::write(Resource::Dataset),
    );
    routes
        .get(
            read,
            "/api/v1/datasets",
            Doc::new("list_datasets", "All datasets.").answer::<DatasetList>(),
            list,
        )
        .get(
            read,
            "/api/v1/datasets/{name}",
            Doc::new("get_dataset", "One dataset.").answer::<DatasetBody>(),
            get,
        )
        .put(
            write,
            "/api/v1/datasets/{name}",
            Doc::new(
                "register_dataset",
                "Names a dataset, or changes where its files are.",
            )
            .body::<RegisterDataset>()
            .answer::<DatasetBody>(),
            register,
        )
        .get(
            read,
            "/api/v1/datasets/{name}/versions",
            Doc::new("list_dataset_versions", "Versions, newest first.")
                .query::<VersionsQuery>()
                .answer::<VersionPage>(),
            versions,
        )
        .post(
            write,
            "/api/v1/datasets/{name}/versions",
            Doc::new("snapshot_dataset", "Takes a snapshot of the files as they are.")
                .answer::<SnapshotBody>(),
            snapshot,
        )
        .get(
            read,
            "/api/v1/datasets/{name}/versions/{version}",
            Doc::new("get_dataset_version", "One version: a number, or `latest`.").answer::<VersionBody>(),
            version,
        )
        .delete(
            Permission::admin(Resource::Dataset),
            "/api/v1/datasets/{name}/versions/{version}",
            Doc::new(
                "delete_dataset_version",
                "Deletes a version: its row stays, its files go with the next collection.",
            )
            .answer::<VersionBody>(),
            delete,
        )
        .get(
            read,
            "/api/v1/datasets/{name}/versions/{version}/profile",
            Doc::new("get_dataset_profile", "The profile of a version."),
            profile,
        )
        .get(
            read,
            "/api/v1/datasets/{name}/versions/{version}/files",
            Doc::new("list_dataset_files", "The files of a version."),
            files,
        )
        .get(
            read,
            "/api/v1/datasets/{name}/diff",
            Doc::new("diff_dataset", "What changed between two versions.").query::<DiffQuery>(),
            diff,
        )
        .post(
            write,
            "/api/v1/datasets/{name}/versions/{version}/checkout",
            Doc::new(
                "checkout_dataset",
                "Writes a version's files back to the server's project folder.",
            )
            .body::<Checkout>()
            .answer::<CheckoutBody>(),
            checkout,
        )
}

/// All datasets.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DatasetList {
    /// By name.
    pub datasets: Vec<DatasetBody>,
}

/// A dataset.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DatasetBody {
    /// Its name.
    pub name: String,
    /// Files, folders or globs below the project's folder.
    pub paths: Vec<String>,
    /// The column that holds the time of what a row describes.
    pub time: Option<String>,
    /// Whether new files make a new version by themselves.
    pub watch: bool,
    /// The newest version; none before the first.
    pub latest_version: Option<u64>,
}

impl From<Dataset> for DatasetBody {
    fn from(dataset: Dataset) -> Self {
        Self {
            name: dataset.name.to_string(),
            paths: dataset.spec.paths,
            time: dataset.spec.time,
            watch: dataset.spec.watch,
            latest_version: dataset.latest,
        }
    }
}

/// Where a dataset's files are.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RegisterDataset {
    /// Files, folders or globs below the project's folder.
    pub paths: Vec<String>,
    /// The column that holds the time of what a row describes.
    #[serde(default)]
    pub time: Option<String>,
    /// Whether new files make a new version by themselves.
    #[serde(default)]
    pub watch: bool,
}

/// A version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct VersionBody {
    /// The dataset.
    pub dataset: String,
    /// 1, 2, 3, ...
    pub version: u64,
    /// Hash of the list of files: equal digests mean equal content.
    pub digest: String,
    /// Rows in all files.
    pub rows: u64,
    /// Length of all files in bytes.
    pub bytes: u64,
    /// Number of files.
    pub files: u64,
    /// Names and Arrow types of the columns.
    pub columns: Vec<Column>,
    /// The versions it was made from, as `flights@3`.
    pub parents: Vec<String>,
    /// The run that wrote it, if one did.
    pub run_id: Option<String>,
    /// Who took the snapshot.
    pub actor: String,
    /// When.
    pub created_at: Time,
    /// When it was deleted, if it was: then it has no files any more.
    #[serde(default)]
    pub deleted_at: Option<Time>,
}

/// A column of a version.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its Arrow type.
    #[serde(rename = "type")]
    pub kind: String,
}

impl From<Version> for VersionBody {
    fn from(version: Version) -> Self {
        Self {
            dataset: version.name.to_string(),
            version: version.number,
            digest: version.digest.to_hex(),
            rows: version.rows,
            bytes: version.bytes,
            files: version.files,
            columns: version
                .columns
                .into_iter()
                .map(|column| Column {
                    name: column.name,
                    kind: column.kind,
                })
                .collect(),
            parents: version.parents.iter().map(ToString::to_string).collect(),
            run_id: version.run.map(Into::into),
            actor: version.actor,
            created_at: version.created_at.into(),
            deleted_at: version.deleted_at.map(Into::into),
        }
    }
}

/// Which versions.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct VersionsQuery {
    /// The `next_page_token` of the page before.
    pub page_token: Option<u64>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of versions.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct VersionPage {
    /// Newest first.
    pub versions: Vec<VersionBody>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<u64>,
}

/// What taking a snapshot came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SnapshotBody {
    /// The version that holds the files as they are.
    pub version: VersionBody,
    /// Whether it is new; false when nothing had changed.
    pub is_new: bool,
}

/// Two versions.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DiffQuery {
    /// The older side's number; the one before `to` when not given.
    pub from: Option<u64>,
    /// The newer side's number; the newest when not given.
    pub to: Option<u64>,
}

/// How to write files back.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Checkout {
    /// Replace files that differ. Without it a difference refuses the whole checkout.
    #[serde(default)]
    pub force: bool,
}

/// What was written.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CheckoutBody {
    /// Files written, by path.
    pub written: Vec<String>,
    /// Files that were there already.
    pub unchanged: u64,
}

async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<DatasetList>> {
    let datasets = app.datasets().list(&caller.project).await?;
    Ok(Json(DatasetList {
        datasets: datasets.into_iter().map(Into::into).collect(),
    }))
}

async fn get(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<DatasetBody>> {
    let name = parse(name)?;
    Ok(Json(app.datasets().get(&caller.project, &name).await?.into()))
}

async fn register(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Json(body): Json<RegisterDataset>,
) -> ApiResult<Json<DatasetBody>> {
    let name = parse(name)?;
    let spec = Spec {
        paths: body.paths,
        time: body.time,
        watch: body.watch,
    };
    app.datasets()
        .register(&caller.project, caller.actor(), &name, &spec)
        .await?;
    Ok(Json(app.datasets().get(&caller.project, &name).await?.into()))
}

async fn versions(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<VersionsQuery>,
) -> ApiResult<Json<VersionPage>> {
    let name = parse(name)?;
    let limit = query.limit.unwrap_or(100).clamp(1, LARGEST_PAGE);
    let mut found = app
        .datasets()
        .versions(&caller.project, &name, query.page_token, limit + 1)
        .await?;
    let more = found.len() > limit;
    found.truncate(limit);
    let next_page_token = found.last().filter(|_| more).map(|version| version.number);
    Ok(Json(VersionPage {
        versions: found.into_iter().map(Into::into).collect(),
        next_page_token,
    }))
}

async fn snapshot(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
) -> ApiResult<Json<SnapshotBody>> {
    let name = parse(name)?;
    let root = app.root(&caller.project)?;
    let snapshot = app
        .datasets()
        .snapshot(&caller.project, caller.actor(), &name, &root)
        .await?;
    Ok(Json(SnapshotBody {
        version: snapshot.version.into(),
        is_new: snapshot.is_new,
    }))
}

async fn version(
    State(app): State<App>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
) -> ApiResult<Json<VersionBody>> {
    Ok(Json(find(&app, &caller, name, &wanted).await?.into()))
}

async fn delete(
    State(app): State<App>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
) -> ApiResult<Json<VersionBody>> {
    let found = find(&app, &caller, name, &wanted).await?;
    let deleted = app
        .datasets()
        .delete(&caller.project, caller.actor(), &found.reference())
        .await?;
    Ok(Json(deleted.into()))
}

async fn profile(
    State(app): State<App>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let version = find(&app, &caller, name, &wanted).await?;
    let profile = app.datasets().profile(&version).await?;
    Ok(Json(serde_json::to_value(profile).unwrap_or_default()))
}

async fn files(
    State(app): State<App>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
) -> ApiResult<Json<Value>> {
    let version = find(&app, &caller, name, &wanted).await?;
    let manifest = app.datasets().manifest(&version).await?;
    Ok(Json(serde_json::json!({ "files": manifest.files() })))
}

async fn diff(
    State(app): State<App>,
    caller: Caller,
    Path(name): Path<String>,
    Query(query): Query<DiffQuery>,
) -> ApiResult<Json<Diff>> {
    let name = parse(name)?;
    let newer = query.to.map_or(Selector::Latest, Selector::Number);
    let to = app.datasets().version(&caller.project, &name, newer).await?;
    let older = query.from.unwrap_or_else(|| to.number.saturating_sub(1));
    let from = app
        .datasets()
        .version(&caller.project, &name, Selector::Number(older))
        .await?;
    Ok(Json(app.datasets().diff(&from, &to).await?))
}

async fn checkout(
    State(app): State<App>,
    caller: Caller,
    Path((name, wanted)): Path<(String, String)>,
    Json(body): Json<Checkout>,
) -> ApiResult<Json<CheckoutBody>> {
    let version = find(&app, &caller, name, &wanted).await?;
    let root = app.root(&caller.project)?;
    let overwrite = if body.force {
        Overwrite::Replace
    } else {
        Overwrite::Refuse
    };
    let report = app.datasets().checkout(&version, &root, overwrite).await?;
    Ok(Json(CheckoutBody {
        written: report.written,
        unchanged: report.unchanged,
    }))
}

async fn find(app: &App, caller: &Caller, name: String, wanted: &str) -> ApiResult<Version> {
    let name = parse(name)?;
    let selector = match wanted {
        "latest" => Selector::Latest,
        number => Selector::Number(number.parse().map_err(|_| {
            ApiError::invalid(format!("\"{number}\" is neither a version number nor \"latest\""))
        })?),
    };
    Ok(app.datasets().version(&caller.project, &name, selector).await?)
}

fn parse(name: String) -> ApiResult<DatasetName> {
    DatasetName::new(name).map_err(|error| ApiError::invalid(error.to_string()))
}
