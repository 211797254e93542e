//! `/api/v1/objects`: giving back what nothing refers to.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_controller::Collection;
use everloop_core::parse_duration;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::time::Duration;

use crate::extract::Json;
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

/// How old what is deleted must be, unless it is said otherwise.
const GRACE: Duration = Duration::from_secs(24 * 3_600);

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.post(
        Permission::admin(Resource::System),
        "/api/v1/objects/collection",
        Doc::new(
            "collect_objects",
            "Deletes objects that nothing refers to, and what crashes left behind; or tells what would go.",
        )
        .body::<CollectObjects>()
        .answer::<CollectionBody>(),
        collect,
    )
}

/// How to collect.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CollectObjects {
    /// Only tell what would go.
    pub dry_run: bool,
    /// What is younger stays, such as `24h` (as it is unless given). It must be longer than the longest upload takes.
    #[serde(default)]
    pub grace: Option<String>,
}

/// What was collected, or would be.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct CollectionBody {
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// Objects kept because something refers to them.
    pub live_objects: u64,
    /// Objects that nothing refers to, kept because they are young.
    pub young_objects: u64,
    /// Objects deleted.
    pub freed_objects: u64,
    /// Bytes given back.
    pub freed_bytes: u64,
    /// Dead bytes that stay inside packs that are mostly alive.
    pub wasted_bytes: u64,
    /// Files that crashes left behind, deleted.
    pub swept_files: u64,
    /// Their bytes.
    pub swept_bytes: u64,
    /// Objects that something refers to and that are not in the store.
    pub missing_objects: u64,
}

async fn collect(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CollectObjects>,
) -> ApiResult<Json<CollectionBody>> {
    let grace = body.grace.as_deref().map(parse_duration).transpose();
    let grace = grace.map_err(|error| ApiError::invalid(error.to_string()))?;
    let done = app
        .loop_of_project()
        .collect_objects(caller.actor(), grace.unwrap_or(GRACE), body.dry_run)
        .await?;
    Ok(Json(answer(body.dry_run, done)))
}

fn answer(dry_run: bool, done: Collection) -> CollectionBody {
    let found = done.collected;
    CollectionBody {
        dry_run,
        live_objects: found.live_objects,
        young_objects: found.young_objects,
        freed_objects: found.freed_objects,
        freed_bytes: found.freed_bytes,
        wasted_bytes: found.wasted_bytes,
        swept_files: found.swept.files,
        swept_bytes: found.swept.bytes,
        missing_objects: done.missing_objects,
    }
}
