//! `/api/v1/git`: commits that arrive in the project's repository, told by a command or by the git host itself.

use axum::extract::State;
use axum::http::HeaderMap;
use everloop_access::{Permission, Resource, Signer};
use everloop_controller::{Push, SeenPush};
use everloop_core::{Hash, IdempotencyKey};
use everloop_ledger::idempotency;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Time, page_size};
use crate::extract::{Json, Large, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

/// What a branch that was deleted is said to be at.
const NOWHERE: char = '0';
/// The longest name of a delivery that is kept.
const LONGEST_DELIVERY: usize = 200;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .get(
            Permission::read(Resource::Project),
            "/api/v1/git/pushes",
            Doc::new("list_pushes", "Commits that branches were seen at, newest first.")
                .query::<PushesQuery>()
                .answer::<PushList>(),
            list,
        )
        .post(
            Permission::write(Resource::Pipeline),
            "/api/v1/git/pushes",
            Doc::new("tell_push", "Tells of new commits on a branch; each counts once.")
                .body::<PushBody>()
                .answer::<PushSeen>(),
            tell,
        )
        .post(
            Permission::Signed(Signer::Git),
            "/api/v1/git/hook",
            Doc::new(
                "git_hook",
                "Takes the push messages of GitHub, GitLab, Gitea and Forgejo.",
            )
            .answer::<HookAnswer>(),
            hook,
        )
}

/// Which pushes.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct PushesQuery {
    /// Only of this branch.
    pub branch: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Commits that branches were seen at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PushList {
    /// Newest first.
    pub pushes: Vec<SeenPushBody>,
}

/// A commit that a branch was seen at.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SeenPushBody {
    /// The branch.
    pub branch: String,
    /// The commit.
    pub commit: String,
    /// Its event's place in the ledger.
    pub seq: i64,
    /// When.
    pub at: Time,
}

impl From<SeenPush> for SeenPushBody {
    fn from(push: SeenPush) -> Self {
        Self {
            branch: push.branch,
            commit: push.commit,
            seq: push.seq.0,
            at: push.at.into(),
        }
    }
}

/// New commits on a branch.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PushBody {
    /// The branch.
    pub branch: String,
    /// The commit it is at now.
    pub commit: String,
    /// The commits since it was seen last, newest first.
    #[serde(default)]
    pub commits: Vec<String>,
}

/// What became of it.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct PushSeen {
    /// The event's place in the ledger.
    pub seq: i64,
    /// Whether the branch was not seen at this commit before.
    pub new: bool,
}

/// What became of a git host's message.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct HookAnswer {
    /// The push it told of; none when it told of something else.
    pub push: Option<PushSeen>,
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PushesQuery>,
) -> ApiResult<Json<PushList>> {
    let (project, limit) = (caller.project, page_size(query.limit));
    let found = app
        .db()
        .read(move |tx| everloop_controller::pushes(tx, &project, query.branch.as_deref(), limit))
        .await?;
    Ok(Json(PushList {
        pushes: found.into_iter().map(Into::into).collect(),
    }))
}

async fn tell(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<PushBody>,
) -> ApiResult<Json<PushSeen>> {
    let push = Push::new(&body.branch, &body.commit, &body.commits)?;
    let now = app.clock().now();
    let (seq, new) = app
        .db()
        .write(move |tx| everloop_controller::record_push(tx, now, &caller.project, caller.actor(), &push))
        .await?;
    Ok(Json(PushSeen { seq: seq.0, new }))
}

/// What we read of a push message; the same fields at every host.
#[derive(Debug, Deserialize)]
struct Payload {
    #[serde(rename = "ref")]
    reference: String,
    after: String,
    #[serde(default)]
    commits: Vec<Commit>,
}

#[derive(Debug, Deserialize)]
struct Commit {
    id: String,
}

async fn hook(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    Large(body): Large,
) -> ApiResult<Json<HookAnswer>> {
    let Some(push) = push_of(&headers, &body)? else {
        return Ok(Json(HookAnswer { push: None }));
    };
    let (now, request) = (app.clock().now(), Hash::of(&body));
    let key = delivery(&headers).map(|id| IdempotencyKey::new(format!("git-hook-{id}")));
    let seen = app
        .db()
        .write(move |tx| {
            let (project, actor) = (&caller.project, caller.actor());
            let record = |tx: &mut everloop_db::Tx<'_>| {
                let (seq, new) = everloop_controller::record_push(tx, now, project, actor, &push)?;
                Ok::<_, everloop_controller::Error>(PushSeen { seq: seq.0, new })
            };
            match &key {
                Some(key) => idempotency::once(tx, project, key, request, now, record),
                None => record(tx),
            }
        })
        .await?;
    Ok(Json(HookAnswer { push: Some(seen) }))
}

/// The push that a message tells of; none when it tells of something else: a test, a tag, a branch that is gone.
fn push_of(headers: &HeaderMap, body: &[u8]) -> ApiResult<Option<Push>> {
    let kind = ["x-github-event", "x-gitea-event", "x-gitlab-event"]
        .iter()
        .find_map(|name| headers.get(*name))
        .and_then(|value| value.to_str().ok());
    if !matches!(kind, Some("push" | "Push Hook")) {
        return Ok(None);
    }
    let payload: Payload = serde_json::from_slice(body).map_err(|error| {
        ApiError::invalid(format!("the message is no push in JSON: {error}"))
            .with_hint("choose the content type application/json at the git host")
    })?;
    let is_gone = payload.after.chars().all(|c| c == NOWHERE);
    if is_gone || !payload.reference.starts_with("refs/heads/") {
        return Ok(None);
    }
    // Hosts name the oldest first.
    let commits: Vec<String> = payload
        .commits
        .into_iter()
        .rev()
        .map(|commit| commit.id)
        .collect();
    Ok(Some(Push::new(&payload.reference, &payload.after, &commits)?))
}

/// What the host calls this message, whenever it sends it.
fn delivery(headers: &HeaderMap) -> Option<&str> {
    [
        "x-github-delivery",
        "x-gitea-delivery",
        "idempotency-key",
        "x-gitlab-event-uuid",
    ]
    .iter()
    .find_map(|name| headers.get(*name)?.to_str().ok())
    .filter(|id| !id.is_empty() && id.len() <= LONGEST_DELIVERY)
}
