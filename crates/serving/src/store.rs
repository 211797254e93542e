//! Endpoints and routes as rows.

use everloop_core::{Actor, EndpointName, Hash, ModelName, ProjectName, Timestamp};
use everloop_db::{Migration, Row, Tx, params};
use everloop_ledger::NewEvent;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Error, Result};

/// The tables of this crate.
pub const MIGRATIONS: &[Migration] = &[Migration {
    component: "serving",
    number: 1,
    name: "serving",
    sql: include_str!("../migrations/0001_serving.sql"),
}];

/// Wakes every server when who answers has changed.
pub(crate) const CHANNEL: &str = "serving";

/// All of the traffic, in hundredths of a percent.
pub(crate) const ALL: u64 = 10_000;

/// A name that answers predictions.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// Its name.
    pub name: EndpointName,
    /// The registered model behind it.
    pub model: ModelName,
    /// Who answers, by version.
    pub routes: Vec<Route>,
}

/// How a route answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Its share of the requests.
    Live,
    /// Copies of requests, unseen.
    Shadow,
}

/// A version behind an endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Route {
    /// The model's version.
    pub version: u64,
    /// How it answers.
    pub mode: Mode,
    /// Its share in hundredths of a percent; live routes sum to 10000.
    pub weight: u64,
}

impl Route {
    /// The version that answers everything.
    #[must_use]
    pub fn all(version: u64) -> Self {
        Self {
            version,
            mode: Mode::Live,
            weight: ALL,
        }
    }
}

/// Makes an endpoint for `model`; again with the same model changes nothing.
///
/// # Errors
/// When the database fails.
pub fn create_endpoint(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    name: &EndpointName,
    model: &ModelName,
) -> Result<()> {
    let made = tx.execute(
        "INSERT INTO endpoints (project, name, model, created_at) VALUES (?1, ?2, ?3, ?4) \
         ON CONFLICT (project, name) DO UPDATE SET model = excluded.model WHERE endpoints.model <> excluded.model",
        &params![project.as_str(), name.as_str(), model.as_str(), at],
    )?;
    if made > 0 {
        tx.wake(CHANNEL);
        record(
            tx,
            at,
            project,
            actor,
            "endpoint.created",
            name,
            json!({ "model": model }),
        )?;
    }
    Ok(())
}

/// Says who answers from now on. `because` goes into the ledger: the decision's id and words.
///
/// # Errors
/// [`Error::BadWeights`] when live routes do not sum to all of the traffic, or when the database fails.
pub fn set_routes(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    name: &EndpointName,
    routes: &[Route],
    because: serde_json::Value,
) -> Result<()> {
    let sum: u64 = routes
        .iter()
        .filter(|route| route.mode == Mode::Live)
        .map(|route| route.weight)
        .sum();
    if sum != ALL {
        return Err(Error::BadWeights {
            name: name.clone(),
            sum,
        });
    }
    tx.lock(&format!("endpoint:{project}/{name}"))?;
    let before = routes_of(tx, project, name)?;
    tx.execute(
        "DELETE FROM endpoint_routes WHERE project = ?1 AND endpoint = ?2",
        &params![project.as_str(), name.as_str()],
    )?;
    for route in routes {
        let mode = if route.mode == Mode::Live {
            "live"
        } else {
            "shadow"
        };
        tx.execute(
            "INSERT INTO endpoint_routes (project, endpoint, version, mode, weight) VALUES (?1, ?2, ?3, ?4, ?5)",
            &params![project.as_str(), name.as_str(), route.version, mode, route.weight],
        )?;
    }
    tx.wake(CHANNEL);
    let payload = json!({ "before": before, "after": routes, "because": because });
    record(tx, at, project, actor, "route.changed", name, payload)
}

/// The endpoint called `name`, if there is one.
///
/// # Errors
/// When the database fails.
pub fn endpoint(tx: &mut Tx<'_>, project: &ProjectName, name: &EndpointName) -> Result<Option<Endpoint>> {
    let row = tx.query_opt(
        "SELECT name, model FROM endpoints WHERE project = ?1 AND name = ?2",
        &params![project.as_str(), name.as_str()],
    )?;
    let Some(row) = row else { return Ok(None) };
    read_endpoint(tx, project, &row).map(Some)
}

/// All endpoints of a project, by name.
///
/// # Errors
/// When the database fails.
pub fn endpoints(tx: &mut Tx<'_>, project: &ProjectName) -> Result<Vec<Endpoint>> {
    let rows = tx.query(
        "SELECT name, model FROM endpoints WHERE project = ?1 ORDER BY name",
        &params![project.as_str()],
    )?;
    rows.iter().map(|row| read_endpoint(tx, project, row)).collect()
}

/// Every endpoint of every project.
pub(crate) fn all_endpoints(tx: &mut Tx<'_>) -> Result<Vec<(ProjectName, Endpoint)>> {
    let rows = tx.query(
        "SELECT project, name, model FROM endpoints ORDER BY project, name",
        &[],
    )?;
    rows.iter()
        .map(|row| {
            let project =
                ProjectName::new(row.get::<String>("project")?).map_err(|error| Error::Damaged {
                    what: "endpoint row",
                    problem: error.to_string(),
                })?;
            let endpoint = read_endpoint(tx, &project, row)?;
            Ok((project, endpoint))
        })
        .collect()
}

/// Objects that the prediction log names.
///
/// # Errors
/// When the database fails.
pub fn live_objects(tx: &mut Tx<'_>) -> Result<Vec<Hash>> {
    let rows = tx.query("SELECT DISTINCT object FROM prediction_segments", &[])?;
    rows.iter().map(|row| Ok(row.get("object")?)).collect()
}

fn read_endpoint(tx: &mut Tx<'_>, project: &ProjectName, row: &Row) -> Result<Endpoint> {
    let damaged = |problem: String| Error::Damaged {
        what: "endpoint row",
        problem,
    };
    let name = EndpointName::new(row.get::<String>("name")?).map_err(|error| damaged(error.to_string()))?;
    let model = ModelName::new(row.get::<String>("model")?).map_err(|error| damaged(error.to_string()))?;
    let routes = routes_of(tx, project, &name)?;
    Ok(Endpoint { name, model, routes })
}

fn routes_of(tx: &mut Tx<'_>, project: &ProjectName, name: &EndpointName) -> Result<Vec<Route>> {
    let rows = tx.query(
        "SELECT version, mode, weight FROM endpoint_routes WHERE project = ?1 AND endpoint = ?2 ORDER BY version",
        &params![project.as_str(), name.as_str()],
    )?;
    rows.iter()
        .map(|row| {
            let mode: String = row.get("mode")?;
            let mode = if mode == "live" { Mode::Live } else { Mode::Shadow };
            Ok(Route {
                version: row.get("version")?,
                mode,
                weight: row.get("weight")?,
            })
        })
        .collect()
}

pub(crate) fn record(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    kind: &'static str,
    name: &EndpointName,
    payload: serde_json::Value,
) -> Result<()> {
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind,
        subject: format!("endpoint:{name}"),
        payload,
    };
    everloop_ledger::append(tx, at, event)?;
    Ok(())
}
