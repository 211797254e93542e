//! Gates let through what is shown to hold, and nothing else.

use everloop_checks::{Candidate, GateResult, Known, Outcome, judge, rules_of};
use everloop_core::{Column, Frame, Values};
use everloop_project::{Scope, Suite};
use std::collections::BTreeMap;
use std::time::Duration;

const ROWS: usize = 2_000;

/// A truth, a good score, and a score that is no better than a coin; two groups of equal size.
struct World {
    truth: Vec<f64>,
    good: Vec<f64>,
    coin: Vec<f64>,
    frame: Frame,
}

fn world() -> World {
    // A small linear congruential generator keeps the numbers the same for ever.
    let mut state = 42_u64;
    let mut draw = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / f64::from(1_u32 << 31)
    };
    let truth: Vec<f64> = (0..ROWS).map(|_| if draw() < 0.4 { 1.0 } else { 0.0 }).collect();
    let good = truth
        .iter()
        .map(|truth| (0.3 * truth + 0.7 * draw()).clamp(0.01, 0.99))
        .collect();
    let coin = truth.iter().map(|_| draw().clamp(0.01, 0.99)).collect();
    let group = (0..ROWS)
        .map(|row| Some(if row % 2 == 0 { "a" } else { "b" }.to_owned()))
        .collect();
    let frame = Frame::new(vec![Column {
        name: "group".to_owned(),
        values: Values::Text(group),
    }])
    .unwrap();
    World {
        truth,
        good,
        coin,
        frame,
    }
}

fn run(world: &World, scores: &[f64], champion: Option<&[f64]>, checks: &str) -> Vec<GateResult> {
    let text = format!("checks:\n{checks}");
    let suite = Suite::parse("model.yaml", text.as_bytes(), Scope::Model)
        .unwrap_or_else(|invalid| panic!("{}", invalid.render()));
    let gates = everloop_project::Gate::Checks(everloop_project::SuiteRef::Inline(suite.checks.clone()));
    let rules = rules_of(&[gates], &[]);
    let latencies = [Duration::from_micros(10); 100];
    let candidate = Candidate {
        name: "m@2",
        scores,
        latencies: &latencies,
    };
    let others: BTreeMap<String, Candidate<'_>> = champion
        .map(|scores| {
            (
                "champion".to_owned(),
                Candidate {
                    name: "m@1",
                    scores,
                    latencies: &[],
                },
            )
        })
        .into_iter()
        .collect();
    judge(
        &rules,
        Known {
            truth: &world.truth,
            frame: &world.frame,
        },
        candidate,
        &others,
        7,
    )
    .unwrap()
}

#[test]
fn a_better_model_passes_and_a_worse_one_does_not() {
    let world = world();
    let than = "  - { better_than: champion, metric: auc }\n";
    let up = run(&world, &world.good, Some(&world.coin), than);
    assert_eq!(up[0].outcome, Outcome::Pass, "{}", up[0].sentence);
    assert!(up[0].evidence["low"].as_f64().unwrap() > 0.0);
    assert_eq!(up[0].evidence["rows"], ROWS);
    let down = run(&world, &world.coin, Some(&world.good), than);
    assert!(down[0].refuses(), "{}", down[0].sentence);
    let first = run(&world, &world.good, None, than);
    assert_eq!(
        first[0].outcome,
        Outcome::Pass,
        "there is nothing to be better than"
    );
}

#[test]
fn the_same_model_is_not_better_than_itself_but_is_within_a_margin() {
    let world = world();
    let strict = run(
        &world,
        &world.good,
        Some(&world.good),
        "  - { better_than: champion, metric: auc }\n",
    );
    assert!(strict[0].refuses());
    let margin = run(
        &world,
        &world.good,
        Some(&world.good),
        "  - { better_than: champion, metric: auc, margin: -0.01 }\n",
    );
    assert_eq!(margin[0].outcome, Outcome::Pass);
}

#[test]
fn bounds_slices_latency_and_fairness_are_held() {
    let world = world();
    for (check, outcome) in [
        ("  - metric: auc >= 0.6\n", Outcome::Pass),
        ("  - metric: auc >= 0.99\n", Outcome::Fail),
        ("  - metric: revenue >= 1\n", Outcome::Error),
        (
            "  - slices: { by: group, metric: auc, min: 0.6 }\n",
            Outcome::Pass,
        ),
        (
            "  - slices: { by: group, metric: auc, min: 0.99 }\n",
            Outcome::Fail,
        ),
        (
            "  - slices: { by: grup, metric: auc, min: 0.6 }\n",
            Outcome::Error,
        ),
        ("  - latency: p99 <= 1ms\n", Outcome::Pass),
        ("  - latency: p99 <= 5us\n", Outcome::Fail),
        (
            "  - fairness: { sensitive: group, demographic_parity: 0.2, equalised_odds: 0.2 }\n",
            Outcome::Pass,
        ),
    ] {
        let results = run(&world, &world.good, None, check);
        assert_eq!(results[0].outcome, outcome, "{check}: {}", results[0].sentence);
    }
}

#[test]
fn slices_too_small_to_judge_are_left_out_and_said_so() {
    let world = world();
    let check = "  - slices: { by: group, metric: auc, min: 0.99, min_samples: 100000 }\n";
    let results = run(&world, &world.good, None, check);
    assert_eq!(results[0].outcome, Outcome::Pass);
    assert_eq!(results[0].evidence["too_small"], 2);
}

#[test]
fn verdicts_repeat() {
    let world = world();
    let than = "  - { better_than: champion, metric: log_loss }\n";
    let once = run(&world, &world.good, Some(&world.coin), than);
    assert_eq!(once, run(&world, &world.good, Some(&world.coin), than));
}
