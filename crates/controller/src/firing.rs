//! Firing a trigger: what it starts, or why it is held back.

use everloop_core::{Actor, Ids, ProjectName, Timestamp};
use everloop_db::{Tx, params};
use everloop_ledger::NewEvent;
use everloop_project::{Start, Trigger};
use everloop_webhooks::NOTIFY;
use serde_json::{Value, json};
use std::time::Duration;

use crate::decisions::{Draft, record};
use crate::retrainings::{self, Retraining, State};
use crate::triggers::{held_back, key_of};
use crate::{Controller, Result, runs};

/// Firings that cool-downs and budgets look back on.
const FIRINGS: usize = 1_000;

/// Fires a trigger, or records why it does not.
pub(crate) fn fire(
    tx: &mut Tx<'_>,
    ids: &Ids,
    now: Timestamp,
    project: &ProjectName,
    trigger: &Trigger,
    reason: &Value,
) -> Result<()> {
    let name = key_of(trigger);
    let fired = firings(tx, project, &name)?;
    let held = match held_back(trigger, &fired, now) {
        Some(words) => Some(words),
        None => busy(tx, project, trigger.action, &name)?,
    };
    let actor = Controller::me();
    let fires = held.is_none();
    let words = held.unwrap_or_else(|| starts(trigger.action).to_owned());
    let draft = Draft {
        kind: "trigger",
        subject: format!("trigger:{name}"),
        outcome: if fires { "fired" } else { "held_back" },
        words: format!("{name}: {words}"),
        evidence: reason.clone(),
    };
    record(tx, ids, now, project, &actor, &draft)?;
    if !fires {
        return Ok(());
    }
    // Several firings of one moment are told apart, so that a budget counts each.
    let at = match fired.first() {
        Some(last) if *last >= now => last.plus(Duration::from_millis(1)),
        _ => now,
    };
    tx.execute(
        "INSERT INTO trigger_firings (project, trigger_name, at) VALUES (?1, ?2, ?3) \
         ON CONFLICT (project, trigger_name, at) DO NOTHING",
        &params![project.as_str(), name.as_str(), at],
    )?;
    match trigger.action {
        Start::Retrain => queue(tx, ids, now, project, &actor, &name, reason).map(drop),
        Start::Run => runs::queue(tx, ids, now, project, &name, reason),
        Start::Notify => notify(tx, now, project, &actor, &name, reason),
    }
}

/// What a trigger that fires does, in words.
fn starts(action: Start) -> &'static str {
    match action {
        Start::Retrain => "the loop goes round",
        Start::Run => "the pipeline runs",
        Start::Notify => "the webhooks are told",
    }
}

/// What already does what the trigger would start; none when nothing does.
fn busy(tx: &mut Tx<'_>, project: &ProjectName, action: Start, name: &str) -> Result<Option<String>> {
    Ok(match action {
        Start::Retrain => retrainings::open(tx, project)?
            .first()
            .map(|open| format!("retraining {} is under way ({})", open.id, open.state.as_str())),
        Start::Run => runs::open(tx, project)?
            .iter()
            .find(|open| open.trigger == name)
            .map(|open| format!("its last run is not over yet ({})", open.id)),
        Start::Notify => None,
    })
}

/// A message to every webhook of the project.
fn notify(
    tx: &mut Tx<'_>,
    now: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    name: &str,
    reason: &Value,
) -> Result<()> {
    let because = reason.get("words").and_then(Value::as_str);
    let event = NewEvent {
        project: project.clone(),
        actor: actor.clone(),
        kind: NOTIFY,
        subject: format!("trigger:{name}"),
        payload: json!({ "words": because.unwrap_or(name), "trigger": name, "reason": reason }),
    };
    everloop_ledger::append(tx, now, event)?;
    Ok(())
}

/// Starts a retraining.
pub(crate) fn queue(
    tx: &mut Tx<'_>,
    ids: &Ids,
    now: Timestamp,
    project: &ProjectName,
    actor: &Actor,
    trigger: &str,
    reason: &Value,
) -> Result<Retraining> {
    let new = Retraining {
        id: ids.trigger(now).as_str().to_owned(),
        state: State::Queued,
        trigger: trigger.to_owned(),
        reason: reason.clone(),
        actor: actor.to_string(),
        pipeline_run: None,
        version: None,
        rollout: None,
        outcome: None,
        words: None,
        started_at: now,
        finished_at: None,
    };
    retrainings::insert(tx, now, project, actor, &new)?;
    Ok(new)
}

/// When a trigger fired, newest first.
fn firings(tx: &mut Tx<'_>, project: &ProjectName, name: &str) -> Result<Vec<Timestamp>> {
    let rows = tx.query(
        "SELECT at FROM trigger_firings WHERE project = ?1 AND trigger_name = ?2 ORDER BY at DESC LIMIT ?3",
        &params![project.as_str(), name, FIRINGS],
    )?;
    rows.iter().map(|row| Ok(row.get("at")?)).collect()
}
