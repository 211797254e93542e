//! Releasing a version that passed: at once, or step by step, back at once when it is not good.

use everloop_core::ModelName;
use everloop_project::Rollout as Plan;
use everloop_registry::aliases::{self, Expected, Move};
use everloop_serving::{
    ArmFacts, PredictionFilter, Rollout, RolloutPlan, RolloutState, Route, Verdict, create_endpoint, finish,
    judge, running, set_routes, start, step,
};
use serde_json::{Value, json};
use std::time::Duration;

use crate::advance::{champion_alias, champion_in, ended, number_of, version_of};
use crate::decisions::{Draft, record};
use crate::retrainings::{Outcome, Retraining};
use crate::{Controller, ProjectFile, Result};

/// Rows between two looks at a rollout before its step is over.
const ROWS_BETWEEN_LOOKS: u64 = 200;

impl Controller {
    /// Takes the next step of a release.
    pub(crate) async fn roll(&self, retraining: &Retraining) -> Result<bool> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let version = version_of(retraining)?;
        let Some(serve) = &file.project.serve else {
            return self
                .promote(retraining, &file, &model, version, None, Value::Null)
                .await;
        };
        let champion = self.champion(&model).await?;
        if champion == Some(version) {
            let words = format!("{model}@{version} serves already");
            return self
                .end(retraining, Outcome::Unchanged, "retraining", &words, Value::Null)
                .await;
        }
        let plan = plan_of(&serve.rollout);
        // The first version has nobody to be compared with.
        let (Some(champion), Some(plan)) = (champion, plan) else {
            return self
                .promote(retraining, &file, &model, version, None, Value::Null)
                .await;
        };
        let (project, endpoint) = (self.0.project.clone(), serve.endpoint.clone());
        let under_way = self
            .0
            .parts
            .db
            .read(move |tx| running(tx, &project, &endpoint))
            .await?;
        match under_way {
            Some(rollout) if rollout.version == version => {
                self.look(retraining, &file, &model, &rollout).await
            }
            _ if retraining.rollout.is_some() => self.aborted(retraining).await,
            _ => {
                self.start_rollout(retraining, &file, &model, champion, version, plan)
                    .await
            }
        }
    }

    /// A person ended the rollout.
    async fn aborted(&self, retraining: &Retraining) -> Result<bool> {
        let words = "the rollout was ended by hand";
        self.end(retraining, Outcome::RolledBack, "rollback", words, Value::Null)
            .await
    }

    async fn start_rollout(
        &self,
        retraining: &Retraining,
        file: &ProjectFile,
        model: &ModelName,
        champion: u64,
        version: u64,
        plan: RolloutPlan,
    ) -> Result<bool> {
        let Some(serve) = &file.project.serve else {
            return Ok(false);
        };
        let now = self.now();
        let rollout = Rollout {
            id: self.0.parts.ids.trigger(now).as_str().to_owned(),
            endpoint: serve.endpoint.clone(),
            version,
            from_version: Some(champion),
            plan,
            state: RolloutState::Running,
            step: 0,
            step_started_at: now,
            started_at: now,
            finished_at: None,
            reason: None,
        };
        let draft = Draft {
            kind: "rollout",
            subject: format!("model:{model}@{version}"),
            outcome: "started",
            words: format!(
                "{model}@{version} gets {} of the traffic of {}, {model}@{champion} the rest",
                percent(rollout.plan.steps.first()),
                serve.endpoint
            ),
            evidence: json!({ "rollout": rollout.id, "from": champion, "steps": rollout.plan.steps }),
        };
        let (project, ids, seen, model) = (
            self.0.project.clone(),
            self.0.parts.ids.clone(),
            retraining.clone(),
            model.clone(),
        );
        let step = self.step(retraining, move |tx| {
            create_endpoint(tx, now, &project, &Self::me(), &rollout.endpoint, &model)?;
            start(tx, now, &project, &Self::me(), &rollout)?;
            record(tx, &ids, now, &project, &Self::me(), &draft)?;
            Ok(Retraining {
                rollout: Some(rollout.id.clone()),
                ..seen.clone()
            })
        });
        self.routed(step.await?).await
    }

    /// Judges a running rollout, when there is something new to judge.
    async fn look(
        &self,
        retraining: &Retraining,
        file: &ProjectFile,
        model: &ModelName,
        rollout: &Rollout,
    ) -> Result<bool> {
        let now = self.now();
        let in_step = now.since(rollout.step_started_at);
        let logged = self.0.parts.serving.log_stats().logged;
        {
            let mut last = self.0.judged_at.lock();
            let seen = last
                .as_ref()
                .filter(|(id, _)| *id == rollout.id)
                .map_or(0, |(_, rows)| *rows);
            if in_step < rollout.plan.each && logged < seen + ROWS_BETWEEN_LOOKS {
                return Ok(false);
            }
            if logged == seen {
                return Ok(false);
            }
            *last = Some((rollout.id.clone(), logged));
        }
        let filter = PredictionFilter {
            event_time: rollout.started_at..now.plus(Duration::from_millis(1)),
            role: None,
            version: None,
        };
        let rows = self
            .0
            .parts
            .serving
            .labelled(&self.0.project, &rollout.endpoint, &filter)
            .await?;
        let champion = ArmFacts::of(&rows.frame, rollout.from_version.unwrap_or(0));
        let canary = ArmFacts::of(&rows.frame, rollout.version);
        match judge(rollout, in_step, &champion, &canary)? {
            Verdict::Continue => Ok(false),
            Verdict::Advance { evidence } => self.next_step(retraining, model, rollout, evidence).await,
            Verdict::Promote { evidence } => {
                self.promote(retraining, file, model, rollout.version, Some(rollout), evidence)
                    .await
            }
            Verdict::Abort { reason, evidence } => {
                self.roll_back(retraining, model, rollout, &reason, evidence)
                    .await
            }
        }
    }

    async fn next_step(
        &self,
        retraining: &Retraining,
        model: &ModelName,
        rollout: &Rollout,
        evidence: Value,
    ) -> Result<bool> {
        let draft = Draft {
            kind: "rollout",
            subject: format!("model:{model}@{}", rollout.version),
            outcome: "stepped",
            words: format!(
                "{model}@{} did well and gets {} of the traffic",
                rollout.version,
                percent(rollout.plan.steps.get(rollout.step + 1))
            ),
            evidence: evidence.clone(),
        };
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let (seen, rollout) = (retraining.clone(), rollout.clone());
        let step = self.step(retraining, move |tx| {
            step(tx, now, &project, &Self::me(), &rollout, &evidence)?;
            record(tx, &ids, now, &project, &Self::me(), &draft)?;
            Ok(seen.clone())
        });
        self.routed(step.await?).await
    }

    async fn promote(
        &self,
        retraining: &Retraining,
        file: &ProjectFile,
        model: &ModelName,
        version: u64,
        rollout: Option<&Rollout>,
        evidence: Value,
    ) -> Result<bool> {
        let words = format!("{model}@{version} serves");
        let draft = Draft {
            kind: "promotion",
            subject: format!("model:{model}@{version}"),
            outcome: Outcome::Promoted.as_str(),
            words: words.clone(),
            evidence,
        };
        let serve = file.project.serve.clone();
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let by = self.0.parts.registry.by(&project, &Self::me());
        let (seen, model, rollout) = (retraining.clone(), model.clone(), rollout.cloned());
        let step = self.step(retraining, move |tx| {
            let me = Self::me();
            let decision = record(tx, &ids, now, &project, &me, &draft)?;
            let before = champion_in(tx, &project, &model)?;
            let change = Move {
                to: number_of(version),
                expected: before.map_or(Expected::Nothing, |before| Expected::Version(number_of(before))),
                decision: Some(decision),
                why: words.clone(),
            };
            aliases::set(tx, &by, &model, &champion_alias(), &change)?;
            match (&rollout, &serve) {
                (Some(rollout), _) => {
                    finish(tx, now, &project, &me, rollout, RolloutState::Promoted, &words)?;
                }
                (None, Some(serve)) => {
                    create_endpoint(tx, now, &project, &me, &serve.endpoint, &model)?;
                    let because = json!({ "words": words });
                    let routes = [Route::all(version)];
                    set_routes(tx, now, &project, &me, &serve.endpoint, &routes, because)?;
                }
                (None, None) => {}
            }
            Ok(ended(&seen, Outcome::Promoted, &words, now))
        });
        self.routed(step.await?).await
    }

    /// After a step that may have changed routes: this server knows them before it goes on.
    async fn routed(&self, moved: bool) -> Result<bool> {
        self.0.parts.serving.refresh().await?;
        Ok(moved)
    }

    async fn roll_back(
        &self,
        retraining: &Retraining,
        model: &ModelName,
        rollout: &Rollout,
        reason: &str,
        evidence: Value,
    ) -> Result<bool> {
        let words = format!("{model}@{} was taken back: {reason}", rollout.version);
        let draft = Draft {
            kind: "rollback",
            subject: format!("model:{model}@{}", rollout.version),
            outcome: Outcome::RolledBack.as_str(),
            words: words.clone(),
            evidence,
        };
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let (seen, rollout) = (retraining.clone(), rollout.clone());
        let step = self.step(retraining, move |tx| {
            let me = Self::me();
            record(tx, &ids, now, &project, &me, &draft)?;
            finish(tx, now, &project, &me, &rollout, RolloutState::RolledBack, &words)?;
            Ok(ended(&seen, Outcome::RolledBack, &words, now))
        });
        self.routed(step.await?).await
    }
}

/// The serving form of a plan; none for a release at once.
fn plan_of(plan: &Plan) -> Option<RolloutPlan> {
    let hundredths = |share: f64| (share * 100.0).round() as u64;
    match plan {
        Plan::Direct => None,
        Plan::Canary(canary) => Some(RolloutPlan {
            steps: canary.steps.iter().map(|step| hundredths(step.get())).collect(),
            shadow: false,
            each: canary.each.get(),
            min_samples: canary.min_samples,
            abort_if: canary.abort_if.clone(),
        }),
        Plan::Shadow(shadow) => Some(RolloutPlan {
            steps: vec![hundredths(shadow.share.get())],
            shadow: true,
            each: shadow.each.get(),
            min_samples: shadow.min_samples,
            abort_if: shadow.abort_if.clone(),
        }),
    }
}

fn percent(hundredths: Option<&u64>) -> String {
    format!("{} %", hundredths.copied().unwrap_or(10_000) as f64 / 100.0)
}
