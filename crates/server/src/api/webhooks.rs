//! `/api/v1/webhooks`: who is told of what happens, and whether they were.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_webhooks::{Counts, Delivery, DeliveryState, Hook, Key};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::{Time, page_size};
use crate::extract::{Json, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let (read, write) = (
        Permission::read(Resource::Monitor),
        Permission::write(Resource::Monitor),
    );
    routes
        .get(
            read,
            "/api/v1/webhooks",
            Doc::new("list_webhooks", "Who is told of what happens.").answer::<WebhookList>(),
            list,
        )
        .get(
            read,
            "/api/v1/webhooks/deliveries",
            Doc::new("list_deliveries", "Messages to webhooks, newest first.")
                .query::<DeliveriesQuery>()
                .answer::<DeliveryList>(),
            deliveries,
        )
        .post(
            write,
            "/api/v1/webhooks/retry",
            Doc::new("retry_deliveries", "Sends messages again that were given up.")
                .body::<RetryBody>()
                .answer::<Retried>(),
            retry,
        )
}

/// Who is told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WebhookList {
    /// As the project file lists them.
    pub webhooks: Vec<WebhookBody>,
}

/// Someone who is told.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WebhookBody {
    /// Names it.
    pub id: String,
    /// Its scheme and host; the rest of the address may be a secret.
    pub target: String,
    /// What it is told of.
    pub events: Vec<String>,
    /// signed, unsigned, or what its secret lacks.
    pub signature: String,
    /// Messages that are to be sent.
    pub pending: u64,
    /// Messages that were sent.
    pub delivered: u64,
    /// Messages that were given up.
    pub dead: u64,
}

/// Which messages.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
pub struct DeliveriesQuery {
    /// pending, delivered, dead or cancelled; all when not given.
    pub state: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Messages to webhooks.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryList {
    /// Newest event first.
    pub deliveries: Vec<DeliveryBody>,
}

/// A message to a webhook.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct DeliveryBody {
    /// Names it; what its receiver knows it by.
    pub id: String,
    /// The webhook.
    pub webhook: String,
    /// Its scheme and host.
    pub target: String,
    /// What happened.
    pub event: String,
    /// The event's place in the ledger.
    pub seq: i64,
    /// pending, delivered, dead or cancelled.
    pub state: String,
    /// How often it was sent since it was asked for last.
    pub attempts: u64,
    /// When it is sent next, of a pending one; wall time.
    pub next_at: Option<Time>,
    /// The last answer's status.
    pub last_status: Option<u64>,
    /// Why the last attempt did not do.
    pub last_problem: Option<String>,
    /// When it changed last; wall time.
    pub updated_at: Time,
}

/// What to send again.
#[derive(Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RetryBody {
    /// The message; all that were given up when not given.
    #[serde(default)]
    pub delivery: Option<String>,
}

/// What is sent again.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct Retried {
    /// How many messages.
    pub deliveries: u64,
}

impl From<Delivery> for DeliveryBody {
    fn from(delivery: Delivery) -> Self {
        let is_pending = delivery.state == DeliveryState::Pending;
        Self {
            id: delivery.id,
            webhook: delivery.hook,
            target: delivery.target,
            event: delivery.topic,
            seq: delivery.seq.0,
            state: delivery.state.as_str().to_owned(),
            attempts: delivery.attempts,
            next_at: is_pending.then(|| delivery.next_at.into()),
            last_status: delivery.last_status,
            last_problem: delivery.last_problem,
            updated_at: delivery.updated_at.into(),
        }
    }
}

fn body_of(hook: &Hook, counts: Counts) -> WebhookBody {
    WebhookBody {
        id: hook.id.clone(),
        target: hook.target(),
        events: hook.events.iter().map(ToString::to_string).collect(),
        signature: match &hook.key {
            Key::None => "unsigned".to_owned(),
            Key::Secret(_) => "signed".to_owned(),
            Key::Missing(variable) => format!("{variable} is not set"),
        },
        pending: counts.pending,
        delivered: counts.delivered,
        dead: counts.dead,
    }
}

async fn list(State(app): State<App>, caller: Caller) -> ApiResult<Json<WebhookList>> {
    app.root(&caller.project)?;
    let hooks = app.outbox().hooks();
    let webhooks = app
        .db()
        .read(move |tx| {
            hooks
                .iter()
                .map(|hook| {
                    let counts = everloop_webhooks::counts(tx, &caller.project, Some(&hook.id))?;
                    Ok::<_, everloop_webhooks::Error>(body_of(hook, counts))
                })
                .collect::<Result<Vec<_>, _>>()
        })
        .await?;
    Ok(Json(WebhookList { webhooks }))
}

async fn deliveries(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<DeliveriesQuery>,
) -> ApiResult<Json<DeliveryList>> {
    let state = query.state.as_deref().map(parse_state).transpose()?;
    let limit = page_size(query.limit);
    let found = app
        .db()
        .read(move |tx| everloop_webhooks::deliveries(tx, &caller.project, state, limit))
        .await?;
    Ok(Json(DeliveryList {
        deliveries: found.into_iter().map(Into::into).collect(),
    }))
}

fn parse_state(text: &str) -> ApiResult<DeliveryState> {
    DeliveryState::ALL
        .into_iter()
        .find(|state| state.as_str() == text)
        .ok_or_else(|| {
            ApiError::invalid("there is no such state of a delivery")
                .with_hint("pending, delivered, dead or cancelled")
        })
}

async fn retry(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<RetryBody>,
) -> ApiResult<Json<Retried>> {
    let times = (app.clock().wall(), app.clock().now());
    let deliveries = app
        .db()
        .write(move |tx| {
            let id = body.delivery.as_deref();
            everloop_webhooks::retry(tx, &caller.project, caller.actor(), id, times)
        })
        .await?;
    Ok(Json(Retried { deliveries }))
}
