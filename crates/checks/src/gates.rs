//! Gates: what a version must show before an alias moves to it.
//!
//! Everything is judged on the same rows with known truth. A comparison of two versions is a paired bootstrap with its
//! interval; a slice with too few rows is left out and said so; a figure that is undefined (one class only) refuses,
//! for a gate that can't be shown to hold does not hold.

use everloop_core::Frame;
use everloop_project::suite::{BetterThan, Fairness, Slices};
use everloop_project::{
    Approval, Check, CheckKind, Gate, LatencyBound, MetricBound, Severity, Suite, SuiteRef,
};
use everloop_stats::fairness::{Against, Combine, demographic_parity_difference, equalized_odds_difference};
use everloop_stats::metrics::Confusion;
use everloop_stats::{Metric, paired};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::time::Duration;

use crate::slices::{Group, groups_by};
use crate::{Error, Outcome, Result};

/// Decisions of classifiers are taken at this score.
const THRESHOLD: f64 = 0.5;

/// Rows whose truth is known, on which versions are judged.
#[derive(Debug, Clone, Copy)]
pub struct Known<'a> {
    /// The truth per row: 0 or 1 for classification.
    pub truth: &'a [f64],
    /// The columns by which slices and groups are cut.
    pub frame: &'a Frame,
}

/// A version under judgement.
#[derive(Debug, Clone, Copy)]
pub struct Candidate<'a> {
    /// Its name in evidence, such as `flight-delay@3`.
    pub name: &'a str,
    /// Its score per row: the probability of the positive class, or the value.
    pub scores: &'a [f64],
    /// How long it took per row when asked for one row at a time.
    pub latencies: &'a [Duration],
}

/// One rule of a gate.
#[derive(Debug, Clone, PartialEq)]
pub enum GateRule {
    /// A metric keeps a bound.
    Metric(MetricBound),
    /// A metric is better than another version's on the same rows.
    BetterThan(BetterThan),
    /// A metric keeps a bound in every slice.
    Slices(Slices),
    /// Answers are fast enough.
    Latency(LatencyBound),
    /// Groups are treated alike.
    Fairness(Fairness),
    /// A person says yes.
    Approval(Approval),
}

/// What one rule came to, with the numbers it was decided on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct GateResult {
    /// The rule in the words of the project file.
    pub rule: String,
    /// What it came to.
    pub outcome: Outcome,
    /// Whether a failure stops the version.
    pub stops: bool,
    /// The numbers: figures, intervals, rows, thresholds.
    pub evidence: Value,
    /// One sentence for people.
    pub sentence: String,
}

impl GateResult {
    /// Whether this result keeps the version out.
    #[must_use]
    pub fn refuses(&self) -> bool {
        self.stops && self.outcome != Outcome::Pass
    }
}

/// The rules of `gates` with whether each stops. Suites in files of their own come from `suites`, in the order in
/// which the gates name them; suites in place are read from the gate.
#[must_use]
pub fn rules_of(gates: &[Gate], suites: &[Suite]) -> Vec<(GateRule, bool)> {
    let mut suites = suites.iter();
    let mut rules = Vec::new();
    for gate in gates {
        match gate {
            Gate::Metric(bound) => rules.push((GateRule::Metric(bound.clone()), true)),
            Gate::BetterThan(than) => rules.push((GateRule::BetterThan(than.clone()), true)),
            Gate::Latency(bound) => rules.push((GateRule::Latency(*bound), true)),
            Gate::Approval(approval) => rules.push((GateRule::Approval(approval.clone()), true)),
            Gate::Checks(SuiteRef::Inline(checks)) => rules.extend(rules_of_checks(checks)),
            Gate::Checks(SuiteRef::File(_)) => {
                rules.extend(
                    suites
                        .next()
                        .into_iter()
                        .flat_map(|suite| rules_of_checks(&suite.checks)),
                );
            }
        }
    }
    rules
}

fn rules_of_checks(checks: &[Check]) -> Vec<(GateRule, bool)> {
    let rule = |kind: &CheckKind| match kind {
        CheckKind::Metric(bound) => Some(GateRule::Metric(bound.clone())),
        CheckKind::BetterThan(than) => Some(GateRule::BetterThan(than.clone())),
        CheckKind::Slices(slices) => Some(GateRule::Slices(slices.clone())),
        CheckKind::Latency(bound) => Some(GateRule::Latency(*bound)),
        CheckKind::Fairness(fairness) => Some(GateRule::Fairness(fairness.clone())),
        _ => None,
    };
    let checks = checks.iter();
    checks
        .filter_map(|check| Some((rule(&check.kind)?, check.severity == Severity::Error)))
        .collect()
}

/// Judges `candidate` by each rule but approvals, which are a person's. `others` are the versions that rules compare
/// with, by alias; a rule whose other version does not exist yet passes and says so.
///
/// # Errors
/// [`Error::Unequal`] when scores and truths differ in number.
pub fn judge(
    rules: &[(GateRule, bool)],
    known: Known<'_>,
    candidate: Candidate<'_>,
    others: &BTreeMap<String, Candidate<'_>>,
    seed: u64,
) -> Result<Vec<GateResult>> {
    for side in std::iter::once(&candidate).chain(others.values()) {
        if side.scores.len() != known.truth.len() {
            return Err(Error::Unequal {
                what: side.name.to_owned(),
                found: side.scores.len(),
                expected: known.truth.len(),
            });
        }
    }
    let judged = rules.iter().filter_map(|(rule, stops)| {
        let finding = match rule {
            GateRule::Metric(bound) => metric(bound, known, candidate),
            GateRule::BetterThan(than) => better_than(than, known, candidate, others, seed),
            GateRule::Slices(rule) => slices(rule, known, candidate),
            GateRule::Latency(bound) => latency(*bound, candidate),
            GateRule::Fairness(rule) => fairness(rule, known, candidate),
            GateRule::Approval(_) => return None,
        };
        Some(finding.into_result(*stops))
    });
    Ok(judged.collect())
}

/// What a rule found.
struct Finding {
    rule: String,
    outcome: Outcome,
    evidence: Value,
    sentence: String,
}

impl Finding {
    fn of(rule: String, holds: bool, evidence: Value, sentence: String) -> Self {
        Self {
            rule,
            outcome: if holds { Outcome::Pass } else { Outcome::Fail },
            evidence,
            sentence,
        }
    }

    fn undefined(rule: String, problem: &str, rows: usize) -> Self {
        let sentence = format!("{rule}: {problem}");
        Self {
            rule,
            outcome: Outcome::Error,
            evidence: json!({ "problem": problem, "rows": rows }),
            sentence,
        }
    }

    fn into_result(self, stops: bool) -> GateResult {
        GateResult {
            rule: self.rule,
            outcome: self.outcome,
            stops,
            evidence: self.evidence,
            sentence: self.sentence,
        }
    }
}

fn metric(bound: &MetricBound, known: Known<'_>, candidate: Candidate<'_>) -> Finding {
    let rule = bound.to_string();
    let rows = known.truth.len();
    let Some(metric) = bound.metric.known().map(statistic) else {
        return Finding::undefined(
            rule,
            &format!("\"{}\" is not a metric that gates can compute", bound.metric),
            rows,
        );
    };
    match metric.compute(known.truth, candidate.scores) {
        Ok(figure) => {
            let evidence = json!({
                "metric": metric.name(), "value": figure, "bound": bound.value, "rows": rows,
                "version": candidate.name,
            });
            let sentence = format!("{} is {figure:.4} on {rows} rows, asked {rule}", metric.name());
            Finding::of(rule, bound.holds(figure), evidence, sentence)
        }
        Err(problem) => Finding::undefined(rule, &problem.to_string(), rows),
    }
}

fn better_than(
    than: &BetterThan,
    known: Known<'_>,
    candidate: Candidate<'_>,
    others: &BTreeMap<String, Candidate<'_>>,
    seed: u64,
) -> Finding {
    let metric = statistic(than.metric);
    let rows = known.truth.len();
    let rule = format!(
        "better_than {} by {} with margin {}",
        than.than,
        metric.name(),
        than.margin
    );
    let Some(other) = others.get(than.than.as_str()) else {
        let sentence = format!("there is no {} yet to be better than", than.than);
        return Finding::of(rule, true, json!({ "rows": rows, "other": null }), sentence);
    };
    let options = paired::Options {
        level: than.level,
        ..paired::Options::seeded(seed)
    };
    match paired::bootstrap(metric, known.truth, other.scores, candidate.scores, &options) {
        Ok(found) => {
            let gain = found.improvement();
            let holds = found.beats_by(than.margin);
            let evidence = json!({
                "metric": metric.name(), "rows": rows, "champion": other.name, "challenger": candidate.name,
                "champion_value": found.champion, "challenger_value": found.challenger,
                "improvement": gain.estimate, "low": gain.low, "high": gain.high, "level": found.level,
                "margin": than.margin, "p_value": found.p_value, "resamples": options.resamples,
                "method": "paired bootstrap, BCa", "seed": seed,
            });
            let sentence = format!(
                "{} {:.4} against {:.4} of {}: improvement {:+.4} [{:+.4}, {:+.4}] on {rows} rows, asked above {:+}",
                metric.name(),
                found.challenger,
                found.champion,
                other.name,
                gain.estimate,
                gain.low,
                gain.high,
                than.margin
            );
            Finding::of(rule, holds, evidence, sentence)
        }
        Err(problem) => Finding::undefined(rule, &problem.to_string(), rows),
    }
}

fn slices(rule: &Slices, known: Known<'_>, candidate: Candidate<'_>) -> Finding {
    let metric = statistic(rule.metric);
    let columns: Vec<&str> = rule.by.iter().map(|column| column.as_str()).collect();
    let (low, high) = (rule.min, rule.max);
    let words = format!(
        "slices by {}: {} {}",
        columns.join(", "),
        metric.name(),
        bound_words(low, high)
    );
    let mut judged = Vec::new();
    let mut worst: Option<String> = None;
    let mut left_out = 0_usize;
    for column in &columns {
        let groups = match groups_by(known.frame, column) {
            Ok(groups) => groups,
            Err(problem) => return Finding::undefined(words, &problem, known.truth.len()),
        };
        for Group { name, rows } in groups {
            if (rows.len() as u64) < rule.min_samples {
                left_out += 1;
                continue;
            }
            let pick = |values: &[f64]| -> Vec<f64> { rows.iter().map(|&row| values[row]).collect() };
            let Ok(figure) = metric.compute(&pick(known.truth), &pick(candidate.scores)) else {
                left_out += 1;
                continue;
            };
            let holds = low.is_none_or(|low| figure >= low) && high.is_none_or(|high| figure <= high);
            if !holds && worst.is_none() {
                worst = Some(format!(
                    "{column} = {name}: {} {figure:.4} on {} rows",
                    metric.name(),
                    rows.len()
                ));
            }
            judged.push(json!({ "slice": format!("{column}={name}"), "value": figure, "rows": rows.len(), "holds": holds }));
        }
    }
    let holds = worst.is_none();
    let sentence =
        worst.unwrap_or_else(|| format!("{} slices hold, {left_out} too small to judge", judged.len()));
    let evidence = json!({ "metric": metric.name(), "slices": judged, "too_small": left_out, "min_samples": rule.min_samples });
    Finding::of(words, holds, evidence, sentence)
}

fn latency(bound: LatencyBound, candidate: Candidate<'_>) -> Finding {
    let rule = format!("latency {bound}");
    let mut micros: Vec<u128> = candidate.latencies.iter().map(Duration::as_micros).collect();
    if micros.is_empty() {
        return Finding::undefined(rule, "no latency was measured", 0);
    }
    micros.sort_unstable();
    // The smallest latency that at least this share of the answers kept.
    let rank = (bound.percentile.quantile() * micros.len() as f64).ceil() as usize;
    let found = micros[rank.clamp(1, micros.len()) - 1];
    let evidence = json!({
        "percentile": bound.percentile.to_string(), "micros": found as u64,
        "bound_micros": bound.most.get().as_micros() as u64, "answers": micros.len(),
    });
    let sentence = format!(
        "{} is {found} us over {} answers of one row",
        bound.percentile,
        micros.len()
    );
    Finding::of(rule, found <= bound.most.get().as_micros(), evidence, sentence)
}

fn fairness(rule: &Fairness, known: Known<'_>, candidate: Candidate<'_>) -> Finding {
    let words = format!("fairness over {}", rule.sensitive);
    let rows = known.truth.len();
    let groups = match groups_by(known.frame, rule.sensitive.as_str()) {
        Ok(groups) => groups,
        Err(problem) => return Finding::undefined(words, &problem, rows),
    };
    let confusion = |group: &Group| {
        let truth: Vec<bool> = group.rows.iter().map(|&row| known.truth[row] >= 0.5).collect();
        let scores: Vec<f64> = group.rows.iter().map(|&row| candidate.scores[row]).collect();
        Confusion::at(&truth, &scores, THRESHOLD)
    };
    let counts = match groups.iter().map(confusion).collect::<Result<Vec<_>, _>>() {
        Ok(counts) => counts,
        Err(problem) => return Finding::undefined(words, &problem.to_string(), rows),
    };
    let parity = demographic_parity_difference(&counts, Against::BetweenGroups);
    let odds = equalized_odds_difference(&counts, Against::BetweenGroups, Combine::WorstCase);
    let mut holds = true;
    let mut parts = Vec::new();
    for (name, limit, found) in [
        ("demographic parity", rule.demographic_parity, parity),
        ("equalised odds", rule.equalised_odds, odds),
    ] {
        let Some(limit) = limit else { continue };
        match found {
            Ok(figure) => {
                holds &= figure <= limit.get();
                parts.push(format!(
                    "{name} difference {figure:.4}, asked at most {}",
                    limit.get()
                ));
            }
            Err(problem) => return Finding::undefined(words, &problem.to_string(), rows),
        }
    }
    let sizes: BTreeMap<&str, usize> = groups
        .iter()
        .map(|group| (group.name.as_str(), group.rows.len()))
        .collect();
    Finding::of(
        words,
        holds,
        json!({ "findings": parts, "groups": sizes, "rows": rows }),
        parts.join("; "),
    )
}

fn bound_words(low: Option<f64>, high: Option<f64>) -> String {
    match (low, high) {
        (Some(low), _) => format!(">= {low}"),
        (None, Some(high)) => format!("<= {high}"),
        (None, None) => String::new(),
    }
}

/// The project file's metrics are those of the statistics, by name; `every_metric_is_known` holds them together.
fn statistic(metric: everloop_project::Metric) -> Metric {
    metric
        .name()
        .parse()
        .expect("every metric of the project file is one of the statistics")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_metric_is_known() {
        for metric in everloop_project::Metric::ALL {
            assert_eq!(statistic(*metric).name(), metric.name());
        }
    }
}
