//! The steps of a retraining: data, training, gates, approval, rollout.

use everloop_checks::{Candidate, GateResult, GateRule, Known, Reports, judge, rules_of, run_suite};
use everloop_core::{AliasName, By, DecisionId, ModelName, PipelineRunId};
use everloop_datasets::VersionRef;
use everloop_db::Tx;
use everloop_pipelines::{RunRequest, RunState};
use everloop_registry::versions::Approval;
use everloop_registry::{VersionNumber, approvals, gates, models, tags};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use crate::decisions::{Draft, record};
use crate::retrainings::{self, Outcome, Retraining, State};
use crate::{Controller, Error, ProjectFile, Result};

/// Draws of the gates' bootstraps; the same ones everywhere.
const SEED: u64 = 2_013;
/// The version's tag that names the profile of the rows it was trained on.
pub(crate) const PROFILE_TAG: &str = "everloop.training_profile";
/// The version's tag that names the profile of its answers on the rows that its gates judged: what the drift of live
/// answers is measured from.
pub(crate) const SCORES_TAG: &str = "everloop.score_profile";

impl Controller {
    /// The pipeline run that the open retraining waits for, if it does.
    pub(crate) async fn training_run(&self) -> Result<Option<PipelineRunId>> {
        let project = self.0.project.clone();
        let open = self
            .0
            .parts
            .db
            .read(move |tx| retrainings::open(tx, &project))
            .await?;
        Ok(open
            .into_iter()
            .filter(|one| one.state == State::Training)
            .find_map(|one| one.pipeline_run))
    }

    /// Moves every open retraining as far as it goes.
    pub(crate) async fn advance_all(&self) -> Result<usize> {
        let project = self.0.project.clone();
        let open = self
            .0
            .parts
            .db
            .read(move |tx| retrainings::open(tx, &project))
            .await?;
        let mut steps = 0;
        for retraining in open {
            let moved = match retraining.state {
                State::Queued => self.begin(&retraining).await,
                State::Training => self.trained(&retraining).await,
                State::Judging => self.judge(&retraining).await,
                State::Waiting => self.heard(&retraining).await,
                State::RollingOut => self.roll(&retraining).await,
                State::Done => Ok(false),
            };
            match moved {
                Ok(moved) => steps += usize::from(moved),
                // Another server, or a person, took the step.
                Err(error) if is_lost_race(&error) => {}
                // What can't be mended by trying again ends the retraining, with its reason.
                Err(error) if !is_passing(&error) => {
                    let words = everloop_words(&error);
                    self.end(&retraining, Outcome::Failed, "retraining", &words, Value::Null)
                        .await?;
                    steps += 1;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(steps)
    }

    /// Checks the data and starts the pipeline.
    async fn begin(&self, retraining: &Retraining) -> Result<bool> {
        // Both would write the same files.
        if self.triggered_run().await?.is_some() {
            return Ok(false);
        }
        let file = self.need_file()?;
        if let Some((subject, failures)) = self.bad_data(&file).await? {
            let words = format!("{subject} failed its checks: {}", failures.join("; "));
            let evidence = json!({ "subject": subject, "failures": failures });
            return self
                .end(retraining, Outcome::RefusedData, "data", &words, evidence)
                .await;
        }
        let mut request = RunRequest::new(std::sync::Arc::clone(&file.project), &file.root);
        request.reason = json!({ "retraining": retraining.id, "trigger": retraining.trigger });
        request.idempotency_key = Some(everloop_core::IdempotencyKey::new(format!(
            "retraining-{}",
            retraining.id
        )));
        let run = self.0.parts.pipelines.submit(&Self::me(), request).await?;
        let next = Retraining {
            state: State::Training,
            pipeline_run: Some(run),
            ..retraining.clone()
        };
        self.move_on(retraining, next).await
    }

    /// Takes a snapshot of every dataset that the stages read; the first that fails its checks, with its failures.
    async fn bad_data(&self, file: &ProjectFile) -> Result<Option<(String, Vec<String>)>> {
        for name in file.project.datasets.keys() {
            let snapshot = self
                .0
                .parts
                .datasets
                .snapshot(&self.0.project, &Self::me(), name, &file.root)
                .await?;
            let Some(suite) = file.data.get(name) else {
                continue;
            };
            let version = snapshot.version.reference();
            let subject = format!("dataset:{version}");
            let source = self.0.parts.datasets.manifest(&snapshot.version).await?.source();
            let report = run_suite(self.0.parts.datasets.tables(), suite, source, self.now()).await?;
            let failures: Vec<String> = report
                .failures()
                .into_iter()
                .filter(|result| result.is_stopping())
                .map(|result| result.sentence())
                .collect();
            let (project, at, id) = (
                self.0.project.clone(),
                self.now(),
                report_id(&version, &report.suite),
            );
            let about = subject.clone();
            self.0
                .parts
                .db
                .write(move |tx| Reports::keep(tx, at, &project, &Self::me(), &id, &about, &report))
                .await?;
            if !failures.is_empty() {
                return Ok(Some((subject, failures)));
            }
        }
        Ok(None)
    }

    /// Registers what the pipeline made.
    async fn trained(&self, retraining: &Retraining) -> Result<bool> {
        let Some(id) = &retraining.pipeline_run else {
            return Err(Error::Damaged {
                what: "retraining",
                problem: "it has no pipeline run".to_owned(),
            });
        };
        let run = self.0.parts.pipelines.status(&self.0.project, id).await?;
        match run.summary.state {
            RunState::Pending | RunState::Running => Ok(false),
            RunState::Failed | RunState::Cancelled => {
                let words = run
                    .summary
                    .error
                    .clone()
                    .unwrap_or_else(|| run.summary.state.to_string());
                let evidence = json!({ "pipeline_run": id });
                self.end(retraining, Outcome::Failed, "retraining", &words, evidence)
                    .await
            }
            RunState::Succeeded => self.register(retraining, &run).await,
        }
    }

    /// Puts the version before the gates.
    async fn judge(&self, retraining: &Retraining) -> Result<bool> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let version = version_of(retraining)?;
        let spec = file.project.model.as_ref().ok_or_else(|| no_model(&file))?;
        let rules = rules_of(&spec.gates, &file.gates);
        let champion = self.champion(&model).await?;
        let rows = self.test_rows(&file, retraining.pipeline_run.as_ref()).await?;
        let challenger = self.score(&model, version, &rows).await?;
        let other = match champion {
            Some(champion) => Some(self.score(&model, champion, &rows).await?),
            None => None,
        };
        let mut others = BTreeMap::new();
        if let Some(other) = &other {
            let side = Candidate {
                name: &other.name,
                scores: &other.scores,
                latencies: &other.latencies,
            };
            others.insert("champion".to_owned(), side);
        }
        let known = Known {
            truth: &rows.truth,
            frame: &rows.frame,
        };
        let side = Candidate {
            name: &challenger.name,
            scores: &challenger.scores,
            latencies: &challenger.latencies,
        };
        let results = judge(&rules, known, side, &others, SEED)?;
        let scores = self.score_profile(&challenger).await?;
        let wants_word = rules.iter().any(|(rule, _)| match rule {
            GateRule::Approval(approval) => {
                approval.when == everloop_project::ApprovalWhen::Always
                    || (file.project.serve.is_some() && champion.is_some())
            }
            _ => false,
        });
        let judged = Judged {
            results,
            wants_word,
            rows: rows.words,
            scores,
        };
        self.after_gates(retraining, &model, version, judged).await
    }

    async fn after_gates(
        &self,
        retraining: &Retraining,
        model: &ModelName,
        version: u64,
        judged: Judged,
    ) -> Result<bool> {
        let Judged {
            results,
            wants_word,
            rows,
            scores,
        } = judged;
        let refusals: Vec<String> = results
            .iter()
            .filter(|result| result.refuses())
            .map(|result| result.sentence.clone())
            .collect();
        let passed = refusals.is_empty();
        let words = if passed {
            let all: Vec<&str> = results.iter().map(|result| result.sentence.as_str()).collect();
            format!("{model}@{version} passed its gates: {}", all.join("; "))
        } else {
            format!("{model}@{version} did not pass: {}", refusals.join("; "))
        };
        let draft = Draft {
            kind: "gates",
            subject: format!("model:{model}@{version}"),
            outcome: if passed { "passed" } else { "refused" },
            words: words.clone(),
            evidence: json!({ "rows": rows, "gates": results }),
        };
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let by = self.0.parts.registry.by(&project, &Self::me());
        let (seen, model, number) = (retraining.clone(), model.clone(), number_of(version));
        self.step(retraining, move |tx| {
            let decision = record(tx, &ids, now, &project, &Self::me(), &draft)?;
            for result in &results {
                keep_gate(tx, &by, &model, number, result, &decision)?;
            }
            tags::set_on_version(tx, &by, &model, number, SCORES_TAG, &scores)?;
            Ok(match (passed, wants_word) {
                (false, _) => ended(&seen, Outcome::Refused, &words, now),
                (true, true) => {
                    approvals::ask(tx, &by, &model, number)?;
                    Retraining {
                        state: State::Waiting,
                        ..seen.clone()
                    }
                }
                (true, false) => Retraining {
                    state: State::RollingOut,
                    ..seen.clone()
                },
            })
        })
        .await
    }

    /// Goes on when a person has said yes or no.
    async fn heard(&self, retraining: &Retraining) -> Result<bool> {
        let file = self.need_file()?;
        let model = self.model(&file)?;
        let version = version_of(retraining)?;
        let number = number_of(version);
        let found = self
            .0
            .parts
            .registry
            .version(&self.0.project, &model, number)
            .await?;
        match found.map(|found| found.approval) {
            Some(Approval::Approved) => {
                let next = Retraining {
                    state: State::RollingOut,
                    ..retraining.clone()
                };
                self.move_on(retraining, next).await
            }
            Some(Approval::Rejected) => {
                let words = format!("a person said no to {model}@{version}");
                self.end(retraining, Outcome::Refused, "approval", &words, Value::Null)
                    .await
            }
            _ => Ok(false),
        }
    }

    /// Ends a retraining with a decision.
    pub(crate) async fn end(
        &self,
        retraining: &Retraining,
        outcome: Outcome,
        kind: &'static str,
        words: &str,
        evidence: Value,
    ) -> Result<bool> {
        let draft = Draft {
            kind,
            subject: format!("retraining:{}", retraining.id),
            outcome: outcome.as_str(),
            words: words.to_owned(),
            evidence,
        };
        let (project, ids, now) = (self.0.project.clone(), self.0.parts.ids.clone(), self.now());
        let (seen, words) = (retraining.clone(), words.to_owned());
        self.step(retraining, move |tx| {
            record(tx, &ids, now, &project, &Self::me(), &draft)?;
            Ok(ended(&seen, outcome, &words, now))
        })
        .await
    }

    pub(crate) async fn move_on(&self, seen: &Retraining, next: Retraining) -> Result<bool> {
        self.step(seen, move |_| Ok(next.clone())).await
    }

    /// The project's model.
    pub(crate) fn model(&self, file: &ProjectFile) -> Result<ModelName> {
        let spec = file.project.model.as_ref().ok_or_else(|| no_model(file))?;
        Ok(spec.name.clone())
    }

    /// The version that serves, if one does.
    pub(crate) async fn champion(&self, model: &ModelName) -> Result<Option<u64>> {
        let (project, model) = (self.0.project.clone(), model.clone());
        self.0
            .parts
            .db
            .read(move |tx| champion_in(tx, &project, &model))
            .await
    }
}

/// The alias of the version that serves.
pub(crate) fn champion_alias() -> AliasName {
    AliasName::new("champion").expect("a constant name")
}

pub(crate) fn champion_in(
    tx: &mut Tx<'_>,
    project: &everloop_core::ProjectName,
    model: &ModelName,
) -> Result<Option<u64>> {
    if models::get(tx, project, model)?.is_none() {
        return Ok(None);
    }
    let found = everloop_registry::aliases::get(tx, project, model, &champion_alias())?;
    Ok(found.map(|version| u64::from(version.version.0)))
}

pub(crate) fn ended(
    seen: &Retraining,
    outcome: Outcome,
    words: &str,
    now: everloop_core::Timestamp,
) -> Retraining {
    Retraining {
        state: State::Done,
        outcome: Some(outcome),
        words: Some(words.to_owned()),
        finished_at: Some(now),
        ..seen.clone()
    }
}

/// What came of the gates.
struct Judged {
    results: Vec<GateResult>,
    /// Whether a person must agree.
    wants_word: bool,
    /// Which rows were judged on, in words.
    rows: String,
    /// The profile of the version's answers on them, an object.
    scores: String,
}

/// What a gate said, beside the version.
fn keep_gate(
    tx: &mut Tx<'_>,
    by: &By,
    model: &ModelName,
    number: VersionNumber,
    result: &GateResult,
    decision: &DecisionId,
) -> Result<()> {
    let outcome = match result.outcome {
        everloop_checks::Outcome::Pass => gates::Outcome::Passed,
        everloop_checks::Outcome::Fail => gates::Outcome::Failed,
        everloop_checks::Outcome::Error => gates::Outcome::Broken,
    };
    let gate: String = result.rule.chars().take(200).collect();
    gates::record(
        tx,
        by,
        model,
        number,
        &gate,
        outcome,
        &result.evidence,
        Some(decision),
    )?;
    Ok(())
}

pub(crate) fn number_of(version: u64) -> VersionNumber {
    VersionNumber(u32::try_from(version).unwrap_or(u32::MAX))
}

pub(crate) fn version_of(retraining: &Retraining) -> Result<u64> {
    retraining.version.ok_or_else(|| Error::Damaged {
        what: "retraining",
        problem: "it has no version".to_owned(),
    })
}

pub(crate) fn no_model(file: &ProjectFile) -> Error {
    Error::NoModel {
        project: file.project.project.to_string(),
    }
}

fn report_id(version: &VersionRef, suite: &str) -> String {
    format!(
        "{version}-{}",
        everloop_core::Hash::of(suite.as_bytes()).to_hex().split_at(8).0
    )
}

/// Whether someone else moved the rollout or the alias first.
fn is_lost_race(error: &Error) -> bool {
    matches!(
        error,
        Error::Serving(everloop_serving::Error::RolloutMoved { .. })
    )
}

/// Whether trying again later may help.
pub(crate) fn is_passing(error: &Error) -> bool {
    use everloop_core::{Code, Coded};
    matches!(
        error.code(),
        Code::Unavailable | Code::Conflict | Code::StorageFull | Code::DeadlineExceeded
    )
}

pub(crate) fn everloop_words(error: &Error) -> String {
    use everloop_core::Coded;
    match error.hint() {
        Some(hint) => format!("{error} ({hint})"),
        None => error.to_string(),
    }
}
