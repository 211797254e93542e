//! What a person may ask of the loop: go round now, release this version, take it back.

use everloop_core::{
    Actor, By, DecisionId, EndpointName, Hash, IdempotencyKey, Ids, ModelName, ProjectName, Timestamp,
};
use everloop_db::Tx;
use everloop_registry::aliases::{self, Expected, Move};
use everloop_serving::{RolloutState, Route, finish, running, set_routes};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::advance::{champion_alias, champion_in, number_of};
use crate::decisions::{Draft, record};
use crate::firing::queue;
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
    /// Goes round now. `why` goes into the ledger. A request that comes again with its `key` has one effect and gets
    /// the same answer.
    ///
    /// # Errors
    /// [`Error::Busy`] when a retraining is under way, when the key came with another request, or when the database
    /// fails.
    pub async fn retrain(
        &self,
        actor: &Actor,
        why: &str,
        key: Option<&IdempotencyKey>,
    ) -> Result<Retraining> {
        let (ids, now, project) = (self.0.parts.ids.clone(), self.now(), self.0.project.clone());
        let (actor, reason, key) = (actor.clone(), json!({ "words": why }), key.cloned());
        let request = json!({ "retrain": reason });
        self.write(move |tx| {
            once(tx, &project, key.as_ref(), &request, now, |tx| {
                refuse_when_busy(retrainings::open(tx, &project)?)?;
                queue(tx, &ids, now, &project, &actor, "manual", &reason)
            })
        })
        .await
    }

    /// Releases a version that is in the registry already. A request that comes again with its `key` has one effect
    /// and gets the same answer.
    ///
    /// # Errors
    /// [`Error::NoVersion`], [`Error::Busy`], when the key came with another request, or when the database fails.
    pub async fn release(
        &self,
        actor: &Actor,
        version: u64,
        how: Release,
        key: Option<&IdempotencyKey>,
    ) -> Result<Retraining> {
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
        let (ids, now, project, actor, key) = (
            self.0.parts.ids.clone(),
            self.now(),
            self.0.project.clone(),
            actor.clone(),
            key.cloned(),
        );
        let reason = json!({ "release": version, "past_gates": how == Release::PastGates });
        self.write(move |tx| {
            once(tx, &project, key.as_ref(), &reason, now, |tx| {
                refuse_when_busy(retrainings::open(tx, &project)?)?;
                let new = Retraining {
                    id: ids.trigger(now).as_str().to_owned(),
                    state: match how {
                        Release::ThroughGates => State::Judging,
                        Release::PastGates => State::RollingOut,
                    },
                    trigger: "manual".to_owned(),
                    reason: reason.clone(),
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
        })
        .await
    }

    /// Takes the champion back: ends a rollout that runs, or puts the version before it in its place. Answers the
    /// version that serves then. A request that comes again with its `key` has one effect and gets the same answer:
    /// without one, a second request would take the next version back.
    ///
    /// # Errors
    /// [`Error::NoVersion`] when there is nothing to go back to, when the key came with another request, or when the
    /// database fails.
    pub async fn roll_back_now(&self, actor: &Actor, why: &str, key: Option<&IdempotencyKey>) -> Result<u64> {
        let file = self.need_file()?;
        let back = Back {
            model: self.model(&file)?,
            endpoint: file.project.serve.as_ref().map(|serve| serve.endpoint.clone()),
            project: self.0.project.clone(),
            actor: actor.clone(),
            why: why.to_owned(),
            at: self.now(),
            ids: self.0.parts.ids.clone(),
        };
        let key = key.cloned();
        let version = self
            .write(move |tx| {
                let request = json!({ "roll_back": back.why });
                once(tx, &back.project, key.as_ref(), &request, back.at, |tx| {
                    back.take(tx)
                })
            })
            .await?;
        self.0.parts.serving.refresh().await?;
        Ok(version)
    }
}

/// A person's wish to go back.
struct Back {
    model: ModelName,
    endpoint: Option<EndpointName>,
    project: ProjectName,
    actor: Actor,
    why: String,
    at: Timestamp,
    ids: Ids,
}

impl Back {
    /// Ends the rollout that runs, or moves the champion to the version before it.
    fn take(&self, tx: &mut Tx<'_>) -> Result<u64> {
        let champion = champion_in(tx, &self.project, &self.model)?.ok_or_else(|| Error::NoVersion {
            model: self.model.clone(),
            wanted: "champion".to_owned(),
        })?;
        if let Some(endpoint) = &self.endpoint
            && let Some(rollout) = running(tx, &self.project, endpoint)?
        {
            self.decide(tx, rollout.version, champion)?;
            let state = RolloutState::RolledBack;
            finish(
                tx,
                self.at,
                &self.project,
                &self.actor,
                &rollout,
                state,
                &self.why,
            )?;
            return Ok(champion);
        }
        let before = previous(tx, &self.project, &self.model, champion)?;
        let change = Move {
            to: number_of(before),
            expected: Expected::Version(number_of(champion)),
            decision: Some(self.decide(tx, champion, before)?),
            why: self.why.clone(),
        };
        let by = By {
            project: self.project.clone(),
            actor: self.actor.clone(),
            at: self.at,
        };
        aliases::set(tx, &by, &self.model, &champion_alias(), &change)?;
        if let Some(endpoint) = &self.endpoint {
            let (routes, because) = ([Route::all(before)], json!({ "words": self.why }));
            set_routes(
                tx,
                self.at,
                &self.project,
                &self.actor,
                endpoint,
                &routes,
                because,
            )?;
        }
        Ok(before)
    }

    fn decide(&self, tx: &mut Tx<'_>, from: u64, to: u64) -> Result<DecisionId> {
        let draft = draft(&self.model, from, to, &self.why);
        record(tx, &self.ids, self.at, &self.project, &self.actor, &draft)
    }
}

/// Does `effect`; of requests with the same key only the first one's, whose answer the others get.
fn once<T: Serialize + DeserializeOwned>(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    key: Option<&IdempotencyKey>,
    request: &Value,
    at: Timestamp,
    effect: impl FnOnce(&mut Tx<'_>) -> Result<T>,
) -> Result<T> {
    let Some(key) = key else { return effect(tx) };
    let request = Hash::of(request.to_string().as_bytes());
    everloop_ledger::idempotency::once(tx, project, key, request, at, effect)
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
