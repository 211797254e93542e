//! Rollouts: planned changes of weights, step by step, each step taken once.
//!
//! Steps are compare-and-set on the step they leave, so two servers that see the same evidence take it once. A
//! finished rollout stays finished.

use everloop_core::{Actor, EndpointName, ProjectName, Timestamp};
use everloop_db::{Row, Tx, params};
use everloop_project::AbortRule;
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::time::Duration;

use crate::store::{ALL, record, set_routes};
use crate::{Error, Mode, Result, Route};

/// How a version takes over.
#[derive(Debug, Clone, PartialEq)]
pub struct RolloutPlan {
    /// Shares in hundredths of a percent, growing, the last one all; for a shadow the share of copied requests.
    pub steps: Vec<u64>,
    /// Whether the first (and only) step answers copies unseen.
    pub shadow: bool,
    /// How long each step lasts at least, in project time.
    pub each: Duration,
    /// Answers that the new version must have given before a step ends.
    pub min_samples: u64,
    /// What ends it early.
    pub abort_if: Vec<AbortRule>,
}

/// The stored form of a plan; abort rules are kept in the words of the project file.
#[derive(Serialize, Deserialize)]
struct PlanDocument {
    steps: Vec<u64>,
    shadow: bool,
    each_ms: u64,
    min_samples: u64,
    abort_if: Vec<AbortRule>,
}

/// Where a rollout stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RolloutState {
    /// It goes on.
    Running,
    /// The version answers everything.
    Promoted,
    /// The old version answers everything again.
    RolledBack,
}

impl RolloutState {
    fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Promoted => "promoted",
            Self::RolledBack => "rolled_back",
        }
    }
}

/// A planned change of weights.
#[derive(Debug, Clone, PartialEq)]
pub struct Rollout {
    /// Names it.
    pub id: String,
    /// Where.
    pub endpoint: EndpointName,
    /// The version that is to take over.
    pub version: u64,
    /// The version that answers until then; none when it is the first.
    pub from_version: Option<u64>,
    /// How.
    pub plan: RolloutPlan,
    /// Where it stands.
    pub state: RolloutState,
    /// The step it is in, from 0.
    pub step: usize,
    /// When that step began.
    pub step_started_at: Timestamp,
    /// When it began.
    pub started_at: Timestamp,
    /// When it ended.
    pub finished_at: Option<Timestamp>,
    /// Why it ended.
    pub reason: Option<String>,
}

impl Rollout {
    /// The routes of the step it is in.
    #[must_use]
    pub fn routes(&self) -> Vec<Route> {
        let share = self.plan.steps.get(self.step).copied().unwrap_or(ALL).min(ALL);
        let new = |mode, weight| Route {
            version: self.version,
            mode,
            weight,
        };
        match self.from_version {
            None => vec![Route::all(self.version)],
            Some(old) if self.plan.shadow => vec![Route::all(old), new(Mode::Shadow, share)],
            Some(_) if share == ALL => vec![Route::all(self.version)],
            Some(old) => {
                let rest = Route {
                    version: old,
                    mode: Mode::Live,
                    weight: ALL - share,
                };
                vec![rest, new(Mode::Live, share)]
            }
        }
    }
}

/// Starts a rollout and sets the routes of its first step.
///
/// # Errors
/// [`Error::RolloutRunning`] when another one runs there, or when the database fails.
pub fn start(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    new: &Rollout,
) -> Result<()> {
    tx.lock(&format!("rollout:{project}/{}", new.endpoint))?;
    if let Some(other) = running(tx, project, &new.endpoint)? {
        return Err(Error::RolloutRunning {
            name: new.endpoint.clone(),
            version: other.version,
        });
    }
    let plan = PlanDocument {
        steps: new.plan.steps.clone(),
        shadow: new.plan.shadow,
        each_ms: u64::try_from(new.plan.each.as_millis()).unwrap_or(u64::MAX),
        min_samples: new.plan.min_samples,
        abort_if: new.plan.abort_if.clone(),
    };
    let text = serde_json::to_string(&plan).map_err(|error| damaged(&error))?;
    tx.execute(
        "INSERT INTO rollouts (project, id, endpoint, version, from_version, plan, state, step, step_started_at, \
         started_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', 0, ?7, ?7)",
        &params![
            project.as_str(),
            new.id.as_str(),
            new.endpoint.as_str(),
            new.version,
            new.from_version,
            text,
            at
        ],
    )?;
    let payload =
        json!({ "rollout": new.id, "version": new.version, "from": new.from_version, "plan": plan });
    record(tx, at, project, actor, "rollout.started", &new.endpoint, payload)?;
    set_routes(
        tx,
        at,
        project,
        actor,
        &new.endpoint,
        &new.routes(),
        json!({ "rollout": new.id, "step": 0 }),
    )
}

/// Moves a rollout from the step it is in to the next.
///
/// # Errors
/// [`Error::RolloutMoved`] when someone else did, or when the database fails.
pub fn step(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    rollout: &Rollout,
    evidence: &serde_json::Value,
) -> Result<Rollout> {
    let next = Rollout {
        step: rollout.step + 1,
        step_started_at: at,
        ..rollout.clone()
    };
    let moved = tx.execute(
        "UPDATE rollouts SET step = ?4, step_started_at = ?5 \
         WHERE project = ?1 AND id = ?2 AND state = 'running' AND step = ?3",
        &params![project.as_str(), rollout.id.as_str(), rollout.step, next.step, at],
    )?;
    if moved == 0 {
        return Err(Error::RolloutMoved {
            id: rollout.id.clone(),
        });
    }
    let payload =
        json!({ "rollout": rollout.id, "version": rollout.version, "step": next.step, "evidence": evidence });
    record(
        tx,
        at,
        project,
        actor,
        "rollout.stepped",
        &rollout.endpoint,
        payload,
    )?;
    let because = json!({ "rollout": rollout.id, "step": next.step });
    set_routes(tx, at, project, actor, &rollout.endpoint, &next.routes(), because)?;
    Ok(next)
}

/// Ends a rollout: the new version takes all of the traffic, or the old one gets it back.
///
/// # Errors
/// [`Error::RolloutMoved`] when it is not running any more, or when the database fails.
pub fn finish(
    tx: &mut Tx<'_>,
    at: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    rollout: &Rollout,
    state: RolloutState,
    reason: &str,
) -> Result<()> {
    let moved = tx.execute(
        "UPDATE rollouts SET state = ?3, finished_at = ?4, reason = ?5 \
         WHERE project = ?1 AND id = ?2 AND state = 'running'",
        &params![project.as_str(), rollout.id.as_str(), state.as_str(), at, reason],
    )?;
    if moved == 0 {
        return Err(Error::RolloutMoved {
            id: rollout.id.clone(),
        });
    }
    let winner = match (state, rollout.from_version) {
        (RolloutState::RolledBack, Some(old)) => old,
        _ => rollout.version,
    };
    let payload = json!({
        "rollout": rollout.id, "version": rollout.version, "from": rollout.from_version,
        "state": state.as_str(), "reason": reason,
    });
    record(
        tx,
        at,
        project,
        actor,
        "rollout.finished",
        &rollout.endpoint,
        payload,
    )?;
    let because = json!({ "rollout": rollout.id, "state": state.as_str(), "reason": reason });
    set_routes(
        tx,
        at,
        project,
        actor,
        &rollout.endpoint,
        &[Route::all(winner)],
        because,
    )
}

/// The rollout that runs on an endpoint, if one does.
///
/// # Errors
/// When the database fails or a plan does not read.
pub fn running(tx: &mut Tx<'_>, project: &ProjectName, endpoint: &EndpointName) -> Result<Option<Rollout>> {
    let row = tx.query_opt(
        "SELECT * FROM rollouts WHERE project = ?1 AND endpoint = ?2 AND state = 'running'",
        &params![project.as_str(), endpoint.as_str()],
    )?;
    row.as_ref().map(read).transpose()
}

/// The rollout with this id, if there is one.
///
/// # Errors
/// When the database fails or the plan does not read.
pub fn find_rollout(tx: &mut Tx<'_>, project: &ProjectName, id: &str) -> Result<Option<Rollout>> {
    let row = tx.query_opt(
        "SELECT * FROM rollouts WHERE project = ?1 AND id = ?2",
        &params![project.as_str(), id],
    )?;
    row.as_ref().map(read).transpose()
}

fn read(row: &Row) -> Result<Rollout> {
    let plan: PlanDocument =
        serde_json::from_str(&row.get::<String>("plan")?).map_err(|error| damaged(&error))?;
    let endpoint = EndpointName::new(row.get::<String>("endpoint")?).map_err(|error| Error::Damaged {
        what: "rollout",
        problem: error.to_string(),
    })?;
    let state = match row.get::<String>("state")?.as_str() {
        "running" => RolloutState::Running,
        "promoted" => RolloutState::Promoted,
        _ => RolloutState::RolledBack,
    };
    Ok(Rollout {
        id: row.get("id")?,
        endpoint,
        version: row.get("version")?,
        from_version: row.get("from_version")?,
        plan: RolloutPlan {
            steps: plan.steps,
            shadow: plan.shadow,
            each: Duration::from_millis(plan.each_ms),
            min_samples: plan.min_samples,
            abort_if: plan.abort_if,
        },
        state,
        step: row.get("step")?,
        step_started_at: row.get("step_started_at")?,
        started_at: row.get("started_at")?,
        finished_at: row.get("finished_at")?,
        reason: row.get("reason")?,
    })
}

fn damaged(error: &serde_json::Error) -> Error {
    Error::Damaged {
        what: "rollout plan",
        problem: error.to_string(),
    }
}
