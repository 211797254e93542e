//! Whether a rollout goes on, back, or to its end: pure, from the facts of both versions.
//!
//! The facts may be looked at whenever one likes: error rates and losses are compared by confidence sequences that
//! hold at every look (Howard et al. 2021; Waudby-Smith et al. 2021), so watching closely does not make false alarms.

use everloop_core::{Frame, Values};
use everloop_project::{AbortRule, Signal};
use everloop_stats::Metric;
use everloop_stats::moments::Moments;
use everloop_stats::sequential::{Arm, NormalMixture, Peeking, bounded_mean, difference};
use serde_json::{Value, json};
use std::time::Duration;

use crate::read::columns;
use crate::{Result, Rollout};

/// Chance that a rule ever ends a rollout of a version that is as good.
const ALPHA: f64 = 0.05;

/// What a version has shown since the rollout began.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ArmFacts {
    /// Rows it answered or failed to.
    pub answers: u64,
    /// Rows it failed on.
    pub errors: u64,
    /// Latencies in microseconds, ascending.
    pub latencies: Vec<u64>,
    /// Truths of the rows whose label came.
    pub truth: Vec<f64>,
    /// Scores of the same rows.
    pub scores: Vec<f64>,
}

impl ArmFacts {
    /// The facts of `version` in rows of the prediction log with labels; pinned requests do not count.
    #[must_use]
    pub fn of(frame: &Frame, version: u64) -> Self {
        let mut facts = Self::default();
        let column = |name: &str| frame.get(name);
        let (Some(versions), Some(roles)) = (column(columns::VERSION), column(columns::ROLE)) else {
            return facts;
        };
        let number =
            |name: &str, row: usize| column(name).map_or(f64::NAN, |values: &Values| values.number(row));
        for row in 0..frame.rows() {
            if versions.number(row) != version as f64 || roles.text(row) == Some("pinned") {
                continue;
            }
            facts.answers += 1;
            if column(columns::ERROR).is_some_and(|values| !values.is_missing(row)) {
                facts.errors += 1;
                continue;
            }
            facts
                .latencies
                .push(number(columns::LATENCY_US, row).max(0.0) as u64);
            let (label, score) = (number(columns::LABEL, row), number(columns::SCORE, row));
            if label.is_finite() && score.is_finite() {
                facts.truth.push(label);
                facts.scores.push(score);
            }
        }
        facts.latencies.sort_unstable();
        facts
    }

    /// The latency that this share of the answers kept, in microseconds; none without answers.
    #[must_use]
    pub fn latency(&self, quantile: f64) -> Option<u64> {
        let rank = (quantile * self.latencies.len() as f64).ceil() as usize;
        self.latencies
            .get(rank.clamp(1, self.latencies.len().max(1)) - 1)
            .copied()
    }

    /// Squared distance of score and truth per labelled row: the loss that both kinds of model share.
    fn losses(&self) -> Vec<f64> {
        self.truth
            .iter()
            .zip(&self.scores)
            .map(|(truth, score)| (truth - score).powi(2))
            .collect()
    }

    fn summary(&self) -> Value {
        let losses = Moments::of(&self.losses());
        json!({
            "answers": self.answers, "errors": self.errors, "labelled": self.truth.len(),
            "mean_squared_error": (losses.count > 0).then_some(losses.mean),
            "p50_us": self.latency(0.5), "p99_us": self.latency(0.99),
        })
    }
}

/// What to do with a rollout.
#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    /// Wait for more.
    Continue,
    /// Take the next step.
    Advance {
        /// The figures it rests on.
        evidence: Value,
    },
    /// The version takes everything.
    Promote {
        /// The figures it rests on.
        evidence: Value,
    },
    /// The old version gets everything back.
    Abort {
        /// The rule that was broken, in words.
        reason: String,
        /// The figures it rests on.
        evidence: Value,
    },
}

/// Judges a running rollout after it has been in its step for `in_step`.
///
/// # Errors
/// When a statistic can't be computed for another reason than too few rows.
pub fn judge(
    rollout: &Rollout,
    in_step: Duration,
    champion: &ArmFacts,
    canary: &ArmFacts,
) -> Result<Verdict> {
    let plan = &rollout.plan;
    let mut findings = Vec::new();
    for rule in &plan.abort_if {
        let finding = broken(rule, champion, canary, plan.min_samples)?;
        findings.push(
            json!({ "rule": rule.to_string(), "broken": finding.is_broken, "figures": finding.figures }),
        );
        if finding.is_broken {
            let evidence = evidence(rollout, champion, canary, &findings);
            return Ok(Verdict::Abort {
                reason: format!("{rule}: {}", finding.words),
                evidence,
            });
        }
    }
    if in_step < plan.each || canary.answers < plan.min_samples {
        return Ok(Verdict::Continue);
    }
    let evidence = evidence(rollout, champion, canary, &findings);
    // The last step is all of the traffic: reaching it is the end, there is nothing left to compare with.
    if rollout.step + 2 >= plan.steps.len() || plan.shadow {
        return Ok(Verdict::Promote { evidence });
    }
    Ok(Verdict::Advance { evidence })
}

fn evidence(rollout: &Rollout, champion: &ArmFacts, canary: &ArmFacts, findings: &[Value]) -> Value {
    json!({
        "rollout": rollout.id, "step": rollout.step, "share": rollout.plan.steps.get(rollout.step),
        "champion": champion.summary(), "canary": canary.summary(), "rules": findings,
        "method": "confidence sequences, valid at every look", "alpha": ALPHA,
    })
}

struct Finding {
    is_broken: bool,
    words: String,
    figures: Value,
}

impl Finding {
    fn too_few() -> Self {
        Self {
            is_broken: false,
            words: String::new(),
            figures: json!("too few rows to tell"),
        }
    }
}

fn broken(rule: &AbortRule, champion: &ArmFacts, canary: &ArmFacts, min_samples: u64) -> Result<Finding> {
    match rule {
        AbortRule::ErrorRate { comparison, value } => rate_bound(*comparison, *value, canary),
        AbortRule::Latency {
            percentile,
            comparison,
            value,
        } => {
            if canary.answers < min_samples {
                return Ok(Finding::too_few());
            }
            let Some(found) = canary.latency(percentile.quantile()) else {
                return Ok(Finding::too_few());
            };
            let bound = value.get().as_micros() as f64;
            Ok(Finding {
                is_broken: comparison.holds(found as f64, bound),
                words: format!("{percentile} is {found} us over {} answers", canary.answers),
                figures: json!({ "micros": found, "bound_micros": bound }),
            })
        }
        AbortRule::Metric {
            metric,
            comparison,
            value,
        } => {
            if (canary.truth.len() as u64) < min_samples {
                return Ok(Finding::too_few());
            }
            let Ok(metric) = metric.name().parse::<Metric>() else {
                return Ok(Finding::too_few());
            };
            // One class only: there is nothing to tell yet.
            let Ok(found) = metric.compute(&canary.truth, &canary.scores) else {
                return Ok(Finding::too_few());
            };
            Ok(Finding {
                is_broken: comparison.holds(found, *value),
                words: format!(
                    "{} is {found:.4} on {} labelled rows",
                    metric.name(),
                    canary.truth.len()
                ),
                figures: json!({ "value": found, "bound": value, "rows": canary.truth.len() }),
            })
        }
        AbortRule::Worse(signal) => worse(*signal, champion, canary),
    }
}

/// Broken once the confidence sequence of the rate lies on the wrong side of the bound as a whole.
fn rate_bound(comparison: everloop_project::Comparison, bound: f64, canary: &ArmFacts) -> Result<Finding> {
    if canary.answers == 0 {
        return Ok(Finding::too_few());
    }
    let moments = Moments::of_rate(canary.errors, canary.answers);
    // Tightest at a thousand rows of a rare event; sound at any.
    let mixture = NormalMixture::tightest_at(1_000.0 * 0.25, ALPHA)?;
    let interval = bounded_mean(moments, 0.0, 1.0, mixture)?;
    let nearest = if comparison.is_upper() {
        interval.high
    } else {
        interval.low
    };
    Ok(Finding {
        is_broken: comparison.holds(nearest, bound),
        words: format!("{} errors in {} answers", canary.errors, canary.answers),
        figures: json!({ "rate": moments.mean, "low": interval.low, "high": interval.high, "bound": bound }),
    })
}

fn worse(signal: Signal, champion: &ArmFacts, canary: &ArmFacts) -> Result<Finding> {
    let arms = match signal {
        Signal::ErrorRate => {
            if champion.answers == 0 || canary.answers == 0 {
                return Ok(Finding::too_few());
            }
            let old = Arm::of_rate(champion.errors, champion.answers)?;
            (
                old,
                Arm::of_rate(canary.errors, canary.answers)?,
                "error rate",
                0.02,
            )
        }
        Signal::Latency(_) => {
            let logs = |facts: &ArmFacts| -> Vec<f64> {
                facts
                    .latencies
                    .iter()
                    .map(|micros| (*micros as f64 + 1.0).ln())
                    .collect()
            };
            match values(&logs(champion), &logs(canary))? {
                Some((old, new)) => (old, new, "log latency", 0.2),
                None => return Ok(Finding::too_few()),
            }
        }
        Signal::Score | Signal::Metric(_) => match values(&champion.losses(), &canary.losses())? {
            Some((old, new)) => (old, new, "squared error", 0.02),
            None => return Ok(Finding::too_few()),
        },
    };
    let (old, new, what, tau) = arms;
    // Two arms without any spread (no error anywhere) tell nothing.
    let Ok(Some(found)) = difference(
        old,
        new,
        &Peeking {
            alpha: ALPHA,
            ..Peeking::for_difference(tau)
        },
    ) else {
        return Ok(Finding::too_few());
    };
    Ok(Finding {
        is_broken: found.is_above(0.0),
        words: format!(
            "{what} is higher by {:.4} [{:.4}, {:.4}]",
            found.difference, found.low, found.high
        ),
        figures: json!({ "what": what, "difference": found.difference, "low": found.low, "high": found.high, "p_value": found.p_value }),
    })
}

fn values(old: &[f64], new: &[f64]) -> Result<Option<(Arm, Arm)>> {
    if old.len() < 2 || new.len() < 2 {
        return Ok(None);
    }
    Ok(Some((
        Arm::of_values(Moments::of(old))?,
        Arm::of_values(Moments::of(new))?,
    )))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{RolloutPlan, RolloutState};
    use everloop_core::{EndpointName, Timestamp};

    fn rollout(step: usize) -> Rollout {
        let signal = AbortRule::Worse(Signal::Score);
        let errors = AbortRule::ErrorRate {
            comparison: everloop_project::Comparison::Above,
            value: 0.01,
        };
        Rollout {
            id: "r".to_owned(),
            endpoint: EndpointName::new("e").unwrap(),
            version: 2,
            from_version: Some(1),
            plan: RolloutPlan {
                steps: vec![500, 2_500, 10_000],
                shadow: false,
                each: Duration::from_secs(60),
                min_samples: 500,
                abort_if: vec![errors, signal],
            },
            state: RolloutState::Running,
            step,
            step_started_at: Timestamp(0),
            started_at: Timestamp(0),
            finished_at: None,
            reason: None,
        }
    }

    /// Rows whose truth is 1 every third time; the score is off by `miss`, jittered by the row.
    fn facts(rows: usize, errors: u64, miss: f64) -> ArmFacts {
        let truth: Vec<f64> = (0..rows)
            .map(|row| if row % 3 == 0 { 1.0 } else { 0.0 })
            .collect();
        let jitter = |row: usize| (row % 7) as f64 * 0.01;
        let scores = truth
            .iter()
            .enumerate()
            .map(|(row, truth)| (truth - miss - jitter(row)).abs())
            .collect();
        ArmFacts {
            answers: rows as u64,
            errors,
            latencies: vec![10; rows],
            truth,
            scores,
        }
    }

    const LONG: Duration = Duration::from_secs(61);

    #[test]
    fn a_good_canary_goes_step_by_step() {
        let (old, new) = (facts(5_000, 0, 0.3), facts(600, 0, 0.3));
        assert!(matches!(
            judge(&rollout(0), LONG, &old, &new).unwrap(),
            Verdict::Advance { .. }
        ));
        assert!(matches!(
            judge(&rollout(1), LONG, &old, &new).unwrap(),
            Verdict::Promote { .. }
        ));
        assert_eq!(
            judge(&rollout(0), Duration::ZERO, &old, &new).unwrap(),
            Verdict::Continue
        );
        assert_eq!(
            judge(&rollout(0), LONG, &old, &facts(499, 0, 0.3)).unwrap(),
            Verdict::Continue
        );
    }

    #[test]
    fn a_bad_canary_is_taken_back_before_its_step_ends() {
        let old = facts(5_000, 0, 0.3);
        let verdict = judge(&rollout(0), Duration::ZERO, &old, &facts(600, 0, 0.7)).unwrap();
        let Verdict::Abort { reason, .. } = verdict else {
            panic!("{verdict:?}")
        };
        assert!(reason.contains("squared error"), "{reason}");
        let verdict = judge(&rollout(0), Duration::ZERO, &old, &facts(600, 300, 0.3)).unwrap();
        assert!(matches!(verdict, Verdict::Abort { .. }), "{verdict:?}");
    }

    #[test]
    fn nothing_is_judged_on_nothing() {
        let nothing = ArmFacts::default();
        assert_eq!(
            judge(&rollout(0), LONG, &nothing, &nothing).unwrap(),
            Verdict::Continue
        );
    }
}
