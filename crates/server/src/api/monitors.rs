//! `/api/v1/monitors` and `/api/v1/alerts`: what the windows of an endpoint showed, and which breaches were confirmed.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_core::EndpointName;
use everloop_monitoring::{Alert, AlertState, Part, WindowResult};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::{Time, name, page_size};
use crate::extract::{Json, Path, Query};
use crate::routes::{Doc, Routes};
use crate::{ApiError, ApiResult, App, Caller};

pub(crate) fn routes(routes: Routes) -> Routes {
    let read = Permission::read(Resource::Monitor);
    routes
        .get(
            read,
            "/api/v1/monitors/{endpoint}/windows",
            Doc::new(
                "list_windows",
                "What the windows of an endpoint showed, newest first.",
            )
            .query::<WindowsQuery>()
            .answer::<WindowList>(),
            windows,
        )
        .get(
            read,
            "/api/v1/alerts",
            Doc::new("list_alerts", "Confirmed breaches, newest first.")
                .query::<AlertsQuery>()
                .answer::<AlertList>(),
            alerts,
        )
}

/// Which windows.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct WindowsQuery {
    /// drift, performance or quality; all when not given.
    pub part: Option<String>,
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// What windows showed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowList {
    /// Newest first.
    pub windows: Vec<WindowBody>,
}

/// What one part of one window showed.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct WindowBody {
    /// Its first moment.
    pub start: Time,
    /// The first moment after it.
    pub end: Time,
    /// drift, performance or quality.
    pub part: String,
    /// Rows of the window.
    pub rows: u64,
    /// Whether this window alone shows a breach.
    pub breached: bool,
    /// Whether enough of the last windows do.
    pub confirmed: bool,
    /// The figures.
    pub report: Value,
    /// When it was judged.
    pub evaluated_at: Time,
}

impl From<WindowResult> for WindowBody {
    fn from(result: WindowResult) -> Self {
        Self {
            start: result.span.start.into(),
            end: result.span.end.into(),
            part: result.part.as_str().to_owned(),
            rows: result.rows,
            breached: result.breached,
            confirmed: result.confirmed,
            report: result.report,
            evaluated_at: result.evaluated_at.into(),
        }
    }
}

/// Which alerts.
#[derive(Debug, Default, Deserialize, Serialize, JsonSchema)]
pub struct AlertsQuery {
    /// At most this many (100 unless given, 1000 at most).
    pub limit: Option<usize>,
}

/// Confirmed breaches.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertList {
    /// Newest first.
    pub alerts: Vec<AlertBody>,
}

/// A confirmed breach.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct AlertBody {
    /// Names it.
    pub id: String,
    /// drift, performance or quality.
    pub kind: String,
    /// open or resolved.
    pub state: String,
    /// What happened, in a sentence.
    pub message: String,
    /// The start of the window that confirmed it.
    pub window_start: Time,
    /// When.
    pub opened_at: Time,
    /// When it ended.
    pub resolved_at: Option<Time>,
}

impl From<Alert> for AlertBody {
    fn from(alert: Alert) -> Self {
        let state = match alert.state {
            AlertState::Open => "open",
            AlertState::Resolved => "resolved",
        };
        Self {
            id: alert.id,
            kind: alert.kind,
            state: state.to_owned(),
            message: alert.words,
            window_start: alert.window_start.into(),
            opened_at: alert.opened_at.into(),
            resolved_at: alert.resolved_at.map(Into::into),
        }
    }
}

async fn windows(
    State(app): State<App>,
    caller: Caller,
    Path(endpoint): Path<String>,
    Query(query): Query<WindowsQuery>,
) -> ApiResult<Json<WindowList>> {
    let endpoint: EndpointName = name(endpoint)?;
    let part = query.part.as_deref().map(parse_part).transpose()?;
    let limit = page_size(query.limit);
    let found = app
        .db()
        .read(move |tx| everloop_monitoring::results(tx, &caller.project, &endpoint, part, limit))
        .await?;
    Ok(Json(WindowList {
        windows: found.into_iter().map(Into::into).collect(),
    }))
}

fn parse_part(text: &str) -> ApiResult<Part> {
    Part::ALL
        .into_iter()
        .find(|part| part.as_str() == text)
        .ok_or_else(|| {
            ApiError::invalid("there is no such part of a window").with_hint("drift, performance or quality")
        })
}

async fn alerts(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<AlertsQuery>,
) -> ApiResult<Json<AlertList>> {
    let limit = page_size(query.limit);
    let found = app
        .db()
        .read(move |tx| everloop_monitoring::alerts(tx, &caller.project, limit))
        .await?;
    Ok(Json(AlertList {
        alerts: found.into_iter().map(Into::into).collect(),
    }))
}
