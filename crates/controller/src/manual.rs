//! What a person may ask of the loop: go round now, release this version, take it back.

use everloop_core::{Actor, ModelName};
use everloop_registry::aliases::{self, Expected, Move};
use everloop_serving::{RolloutState, Route, finish, running, set_routes};
use serde_json::json;

use crate::advance::{champion_alias, champion_in, number_of};
use crate::controller::queue;
use crate::decisions::{Draft, record};
use crate::retrainings::{self, Retraining, State};
use crate::{Controller, Error, Result};

/// How a version named by a person is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Release {
    /// Through the gates, as any other.
    ThroughGates,
    /// Past the gates, on the person's word; the rollout still watches it.
    PastGates,
}

impl Controller {
    /// Goes round now. `why` goes into the ledger.
    ///
    /// # Errors
    /// [`Error::Busy`] when a retraining is under way, or when the database fails.
    pub async fn retrain(&self, actor: &Actor, why: &str) -> Result<Retraining> {
        let (ids, now, project) = (self.0.parts.ids.clone(), self.now(), self.0.project.clone());
        let (actor, reason) = (actor.clone(), json!({ "words": why }));
        self.write(move |tx| {
            refuse_when_busy(retrainings::open(tx, &project)?)?;
            queue(tx, &ids, now, &project, &actor, "manual", &reason)
        })
        .await
    }

    /// Releases a version that is in the registry already.
    ///
    /// # Errors
    /// [`Error::NoVersion`], [`Error::Busy`], or when the database fails.
    pub async fn release(&self, actor: &Actor, version: u64, how: Release) -> Result<Retraining> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let found = self
            .0
            .parts
            .registry
            .version(&self.0.project, &model, number_of(version))
            .await?;
        if found.is_none() {
            return Err(Error::NoVersion {
                model,
                wanted: format!("version {version}"),
            });
        }
        let (ids, now, project, actor) = (
            self.0.parts.ids.clone(),
            self.now(),
            self.0.project.clone(),
            actor.clone(),
        );
        self.write(move |tx| {
            refuse_when_busy(retrainings::open(tx, &project)?)?;
            let state = match how {
                Release::ThroughGates => State::Judging,
                Release::PastGates => State::RollingOut,
            };
            let new = Retraining {
                id: ids.trigger(now).as_str().to_owned(),
                state,
                trigger: "manual".to_owned(),
                reason: json!({ "release": version, "past_gates": how == Release::PastGates }),
                actor: actor.to_string(),
                pipeline_run: None,
                version: Some(version),
                rollout: None,
                outcome: None,
                words: None,
                started_at: now,
                finished_at: None,
            };
            if how == Release::PastGates {
                let draft = Draft {
                    kind: "gates",
                    subject: format!("model:{model}@{version}"),
                    outcome: "overruled",
                    words: format!("{actor} released {model}@{version} past its gates"),
                    evidence: json!({ "retraining": new.id }),
                };
                record(tx, &ids, now, &project, &actor, &draft)?;
            }
            retrainings::insert(tx, now, &project, &actor, &new)?;
            Ok(new)
        })
        .await
    }

    /// Takes the champion back: ends a rollout that runs, or puts the version before it in its place. Answers the
    /// version that serves then.
    ///
    /// # Errors
    /// [`Error::NoVersion`] when there is nothing to go back to, or when the database fails.
    pub async fn roll_back_now(&self, actor: &Actor, why: &str) -> Result<u64> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let endpoint = file.project.serve.as_ref().map(|serve| serve.endpoint.clone());
        let (ids, now, project) = (self.0.parts.ids.clone(), self.now(), self.0.project.clone());
        let by = self.0.parts.registry.by(&project, actor);
        let (actor, why) = (actor.clone(), why.to_owned());
        let version = self
            .write(move |tx| {
                let champion = champion_in(tx, &project, &model)?.ok_or_else(|| Error::NoVersion {
                    model: model.clone(),
                    wanted: "champion".to_owned(),
                })?;
                if let Some(endpoint) = &endpoint
                    && let Some(rollout) = running(tx, &project, endpoint)?
                {
                    let draft = draft(&model, rollout.version, champion, &why);
                    record(tx, &ids, now, &project, &actor, &draft)?;
                    finish(
                        tx,
                        now,
                        &project,
                        &actor,
                        &rollout,
                        RolloutState::RolledBack,
                        &why,
                    )?;
                    return Ok(champion);
                }
                let before = previous(tx, &project, &model, champion)?;
                let decision = record(
                    tx,
                    &ids,
                    now,
                    &project,
                    &actor,
                    &draft(&model, champion, before, &why),
                )?;
                let change = Move {
                    to: number_of(before),
                    expected: Expected::Version(number_of(champion)),
                    decision: Some(decision),
                    why: why.clone(),
                };
                aliases::set(tx, &by, &model, &champion_alias(), &change)?;
                if let Some(endpoint) = &endpoint {
                    let because = json!({ "words": why });
                    set_routes(
                        tx,
                        now,
                        &project,
                        &actor,
                        endpoint,
                        &[Route::all(before)],
                        because,
                    )?;
                }
                Ok(before)
            })
            .await?;
        self.0.parts.serving.refresh().await?;
        Ok(version)
    }
}

fn draft(model: &ModelName, from: u64, to: u64, why: &str) -> Draft {
    Draft {
        kind: "rollback",
        subject: format!("model:{model}@{from}"),
        outcome: "rolled_back",
        words: format!("{model}@{from} was taken back for {model}@{to}: {why}"),
        evidence: json!({ "from": from, "to": to }),
    }
}

/// The version that served before `champion`.
fn previous(
    tx: &mut everloop_db::Tx<'_>,
    project: &everloop_core::ProjectName,
    model: &ModelName,
    champion: u64,
) -> Result<u64> {
    let history = aliases::history(tx, project, model, &champion_alias(), None, crate::why::HISTORY)?.items;
    // Newest first.
    history
        .iter()
        .map(|span| u64::from(span.version.0))
        .find(|version| *version != champion)
        .ok_or_else(|| Error::NoVersion {
            model: model.clone(),
            wanted: "version before the champion".to_owned(),
        })
}

fn refuse_when_busy(open: Vec<Retraining>) -> Result<()> {
    match open.into_iter().next() {
        Some(busy) => Err(Error::Busy {
            id: busy.id,
            state: busy.state.as_str(),
        }),
        None => Ok(()),
    }
}
