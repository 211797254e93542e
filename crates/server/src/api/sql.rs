//! `/api/v1/sql`: questions over the newest versions of the datasets, each a table by its name.

use axum::extract::State;
use everloop_access::{Permission, Resource};
use everloop_datasets::{Dataset, Selector};
use everloop_tables::{Answer, RowStream, Session};
use futures::TryStreamExt;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::extract::Json;
use crate::routes::{Doc, Routes};
use crate::{ApiResult, App, Caller};

/// Rows of an answer unless it is said otherwise.
const USUAL_ROWS: usize = 1_000;
/// The most rows of an answer.
const MOST_ROWS: usize = 100_000;

pub(crate) fn routes(routes: Routes) -> Routes {
    routes.post(
        Permission::read(Resource::Dataset),
        "/api/v1/sql",
        Doc::new(
            "query",
            "Answers SQL over the newest versions of the datasets. It only reads.",
        )
        .body::<SqlQuery>()
        .answer::<SqlAnswer>(),
        query,
    )
}

/// A question.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SqlQuery {
    /// One statement that reads.
    pub query: String,
    /// At most this many rows (1000 unless given, 100,000 at most).
    pub limit: Option<usize>,
}

/// An answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SqlAnswer {
    /// The columns, in order.
    pub columns: Vec<SqlColumn>,
    /// The rows, by column name.
    pub rows: Vec<Map<String, Value>>,
    /// Whether there are more rows than these.
    pub truncated: bool,
}

/// A column of an answer.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct SqlColumn {
    /// Its name.
    pub name: String,
    /// Its Arrow type, as Arrow writes it.
    #[serde(rename = "type")]
    pub kind: String,
}

async fn query(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<SqlQuery>,
) -> ApiResult<Json<SqlAnswer>> {
    let limit = body.limit.unwrap_or(USUAL_ROWS).clamp(1, MOST_ROWS);
    let session = session(&app, &caller, &body.query).await?;
    let answer = collect(session.stream(&body.query).await?, limit + 1).await?;
    let columns = answer.schema.fields().iter().map(|field| SqlColumn {
        name: field.name().clone(),
        kind: field.data_type().to_string(),
    });
    Ok(Json(SqlAnswer {
        columns: columns.collect(),
        truncated: answer.rows() > limit,
        rows: answer.to_json(limit)?,
    }))
}

/// A session with the tables that `text` mentions; with all of them when it mentions none, so that the error about a
/// mistyped name can offer the right one.
async fn session(app: &App, caller: &Caller, text: &str) -> ApiResult<Session> {
    let mut datasets = app.datasets().list(&caller.project).await?;
    datasets.retain(|dataset| dataset.latest.is_some());
    let is_mentioned = |dataset: &Dataset| text.contains(dataset.name.as_str());
    if datasets.iter().any(is_mentioned) {
        datasets.retain(is_mentioned);
    }
    let session = app.tables().session().await?;
    for dataset in datasets {
        let version = app
            .datasets()
            .version(&caller.project, &dataset.name, Selector::Latest)
            .await?;
        let manifest = app.datasets().manifest(&version).await?;
        session.add(dataset.name.as_str(), manifest.source()).await?;
    }
    Ok(session)
}

/// The first rows of a stream; the query ends there.
async fn collect(mut stream: RowStream, rows: usize) -> ApiResult<Answer> {
    let mut answer = Answer {
        schema: stream.schema().clone(),
        batches: Vec::new(),
    };
    while answer.rows() < rows {
        match stream.try_next().await? {
            Some(batch) => answer.batches.push(batch),
            None => break,
        }
    }
    Ok(answer)
}
