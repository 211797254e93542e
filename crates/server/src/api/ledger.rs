//! `/api/v1/ledger` in pages, `/api/v1/events` as it happens, and whether the chain holds.

use axum::extract::State;
use axum::response::Sse;
use axum::response::sse::{Event as SseEvent, KeepAlive};
use everloop_access::{Permission, Resource};
use everloop_ledger::{Event, Filter, Seq, Tail};
use futures::Stream;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::convert::Infallible;

use crate::api::{LARGEST_PAGE, Time};
use crate::extract::{Json, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Ledger);
    routes
        .get(
            read,
            "/api/v1/ledger",
            Doc::new("list_ledger", "What happened, newest first.")
                .query::<LedgerQuery>()
                .answer::<LedgerPage>(),
            list,
        )
        .get(
            read,
            "/api/v1/events",
            Doc::new("stream_events", "What happens, as server-sent events.").query::<EventsQuery>(),
            events,
        )
        .get(
            read,
            "/api/v1/ledger/verification",
            Doc::new(
                "verify_ledger",
                "Whether the hash chains and their anchors agree.",
            )
            .answer::<VerificationBody>(),
            verify,
        )
}

/// Which rows of the ledger.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct LedgerQuery {
    /// Kinds that start with this text, such as `alias.`.
    pub kind: Option<String>,
    /// About exactly this, such as `dataset:flights@3`.
    pub subject: Option<String>,
    /// The `next_page_token` of the page before.
    pub page_token: Option<i64>,
    /// At most this many rows (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// One page of the ledger.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct LedgerPage {
    /// The rows, newest first.
    pub events: Vec<LedgerEvent>,
    /// Asks for the next page; none on the last.
    pub next_page_token: Option<i64>,
}

/// One thing that happened.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct LedgerEvent {
    /// Its place over all projects.
    pub seq: i64,
    /// When, in project time.
    pub at: Time,
    /// Who, such as `local:ada`.
    pub actor: String,
    /// Where.
    pub project: String,
    /// What, such as `dataset.version`.
    pub kind: String,
    /// About what, such as `dataset:flights@3`.
    pub subject: String,
    /// The particulars.
    pub payload: Value,
    /// Hash of this row over the row before it in its project.
    pub hash: String,
}

impl From<Event> for LedgerEvent {
    fn from(event: Event) -> Self {
        Self {
            seq: event.seq.0,
            at: event.at.into(),
            actor: event.actor.to_string(),
            project: event.project.to_string(),
            kind: event.kind,
            subject: event.subject,
            payload: event.payload,
            hash: event.hash.to_hex(),
        }
    }
}

async fn list(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<LedgerQuery>,
) -> ApiResult<Json<LedgerPage>> {
    let filter = Filter {
        project: Some(caller.project),
        kind: query.kind,
        subject: query.subject,
    };
    let limit = query.limit.unwrap_or(100).min(LARGEST_PAGE);
    let before = query.page_token.map(Seq);
    let page = app
        .db()
        .read(move |tx| everloop_ledger::page(tx, before, limit, &filter))
        .await?;
    Ok(Json(LedgerPage {
        events: page.events.into_iter().map(Into::into).collect(),
        next_page_token: page.next.map(|seq| seq.0),
    }))
}

/// Where to start listening.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct EventsQuery {
    /// Start after this place; now when it is not given.
    pub after: Option<i64>,
    /// Only kinds that start with this text.
    pub kind: Option<String>,
}

async fn events(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<EventsQuery>,
) -> ApiResult<Sse<impl Stream<Item = Result<SseEvent, Infallible>>>> {
    let after = match query.after {
        Some(after) => Seq(after),
        None => app.db().read(everloop_ledger::head).await?,
    };
    let filter = Filter {
        project: Some(caller.project),
        kind: query.kind,
        subject: None,
    };
    let tail = Tail::new(app.db(), after, filter);
    let stream = futures::stream::unfold(
        (tail, Vec::new().into_iter()),
        |(mut tail, mut ready)| async move {
            loop {
                if let Some(event) = ready.next() {
                    return Some((Ok(encode(event)), (tail, ready)));
                }
                match tail.next(100).await {
                    Ok(more) => ready = more.into_iter(),
                    // The client reconnects with the last id it saw and misses nothing.
                    Err(error) => {
                        tracing::warn!(%error, "event stream ended");
                        return None;
                    }
                }
            }
        },
    );
    let stop = app.stopping();
    let stream = futures::StreamExt::take_until(stream, async move { stop.cancelled().await });
    Ok(Sse::new(stream).keep_alive(KeepAlive::default()))
}

fn encode(event: Event) -> SseEvent {
    let id = event.seq.0.to_string();
    let kind = event.kind.clone();
    let body = serde_json::to_string(&LedgerEvent::from(event)).unwrap_or_default();
    SseEvent::default().id(id).event(kind).data(body)
}

/// What verifying came to.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct VerificationBody {
    /// Whether every row and anchor holds.
    pub ok: bool,
    /// Rows that are as they were written.
    pub rows: u64,
    /// Anchors that agree with them.
    pub anchors: u64,
    /// The first row that does not hold, and what is wrong with it.
    pub problem: Option<String>,
}

async fn verify(State(app): State<App>) -> ApiResult<Json<VerificationBody>> {
    Ok(Json(app.verify_ledger().await?))
}
