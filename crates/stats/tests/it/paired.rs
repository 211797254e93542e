//! Paired comparisons against MLstatkit, SciPy and statsmodels, and against themselves.

use everloop_stats::Metric;
use everloop_stats::paired::{
    Method, Options, auc_interval, bca_interval, bootstrap, bootstrap_losses, bootstrap_metric, delong,
    mcnemar, percentile_interval,
};
use serde_json::Value;

use crate::fixture::{agree, agree_relative, flags, floats, hashed, load, within};

fn scores(recorded: &Value) -> (Vec<bool>, Vec<f64>, Vec<f64>) {
    (
        flags(&recorded["truth"]),
        floats(&recorded["champion"]),
        floats(&recorded["challenger"]),
    )
}

fn numbers(truth: &[bool]) -> Vec<f64> {
    truth.iter().map(|t| f64::from(u8::from(*t))).collect()
}

#[test]
fn delong_equals_mlstatkit() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let got = delong(&truth, &champion, &challenger, 0.95).unwrap();
    let expected = |name: &str| recorded["delong"][name].as_f64().unwrap();
    agree("z", got.difference / got.standard_error, expected("z"));
    agree("p", got.p_value, expected("p_value"));
    agree("champion", got.champion, expected("auc_a"));
    agree("challenger", got.challenger, expected("auc_b"));
    for (score, name) in [(&champion, "ci_a"), (&challenger, "ci_b")] {
        let interval = auc_interval(&truth, score, 0.95).unwrap();
        let ends = floats(&recorded["delong"][name]);
        agree(name, interval.low, ends[0]);
        agree(name, interval.high, ends[1]);
    }
}

#[test]
fn intervals_of_given_replicates_equal_scipy() {
    let recorded = &load("paired")["bootstrap"];
    let (replicates, jackknife) = (floats(&recorded["replicates"]), floats(&recorded["jackknife"]));
    let estimate = recorded["estimate"].as_f64().unwrap();
    let (bca, percentile) = (floats(&recorded["bca"]), floats(&recorded["percentile"]));
    let got = bca_interval(estimate, &replicates, &jackknife, 0.95).unwrap();
    agree("bca low", got.0, bca[0]);
    agree("bca high", got.1, bca[1]);
    let got = percentile_interval(&replicates, 0.95).unwrap();
    agree("percentile low", got.0, percentile[0]);
    agree("percentile high", got.1, percentile[1]);
}

#[test]
fn the_bootstrap_lands_where_scipy_and_delong_land() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let theirs = floats(&recorded["bootstrap"]["bca"]);
    let width = theirs[1] - theirs[0];
    let closed = delong(&truth, &champion, &challenger, 0.95).unwrap();
    for method in [Method::Bca, Method::Percentile] {
        let options = Options {
            resamples: 4000,
            method,
            ..Options::seeded(11)
        };
        let got = bootstrap(Metric::Auc, &numbers(&truth), &champion, &challenger, &options).unwrap();
        agree(
            "difference",
            got.difference,
            recorded["bootstrap"]["estimate"].as_f64().unwrap(),
        );
        // Other draws: equal up to the noise of 1,000 and 4,000 resamples.
        for (ours, theirs) in [
            (got.low, theirs[0]),
            (got.high, theirs[1]),
            (got.low, closed.low),
            (got.high, closed.high),
        ] {
            assert!(
                (ours - theirs).abs() < 0.12 * width,
                "{method:?} {got:?} {theirs}"
            );
        }
        assert!(
            (got.p_value - closed.p_value).abs() < 0.05,
            "{} {}",
            got.p_value,
            closed.p_value
        );
        assert_eq!((got.n, got.resamples), (truth.len(), 4000));
    }
}

#[test]
fn mcnemar_equals_statsmodels() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let decide = |score: &[f64]| -> Vec<bool> { score.iter().map(|s| *s >= 0.5).collect() };
    let got = mcnemar(&truth, &decide(&champion), &decide(&challenger)).unwrap();
    let expected = &recorded["mcnemar"];
    assert_eq!(got.only_champion, expected["only_champion"].as_u64().unwrap());
    assert_eq!(got.only_challenger, expected["only_challenger"].as_u64().unwrap());
    agree_relative("exact", got.p_exact, expected["p_exact"].as_f64().unwrap(), 1e-9);
    agree_relative(
        "chi-square",
        got.p_chi_square,
        expected["p_chi_square"].as_f64().unwrap(),
        1e-9,
    );
}

#[test]
fn threads_do_not_change_the_answer() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let truth = numbers(&truth);
    for metric in [
        Metric::Auc,
        Metric::LogLoss,
        Metric::F1,
        Metric::R2,
        Metric::CalibrationError,
    ] {
        let answers: Vec<_> = [1, 2, 5]
            .into_iter()
            .map(|threads| {
                let pool = rayon::ThreadPoolBuilder::new()
                    .num_threads(threads)
                    .build()
                    .unwrap();
                let run = || bootstrap(metric, &truth, &champion, &challenger, &Options::seeded(3)).unwrap();
                pool.install(run)
            })
            .collect();
        assert!(
            answers.windows(2).all(|pair| pair[0] == pair[1]),
            "{metric} {answers:?}"
        );
    }
}

/// A pinned answer: a new release of the generator, or a change in how rows are drawn, must not pass unseen, since
/// stored decisions are replayed.
#[test]
fn a_seed_means_the_same_for_ever() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let options = Options {
        method: Method::Percentile,
        ..Options::seeded(2024)
    };
    let got = bootstrap(Metric::Brier, &numbers(&truth), &champion, &challenger, &options).unwrap();
    within("low", got.low, PINNED.0, 1e-13);
    within("high", got.high, PINNED.1, 1e-13);
}

const PINNED: (f64, f64) = (-0.026_205_947_187_500_05, 0.001_789_464_062_500_076_2);

#[test]
fn losses_of_any_kind_are_compared_like_the_metric_they_average_to() {
    let recorded = load("paired");
    let (truth, champion, challenger) = scores(&recorded);
    let truth = numbers(&truth);
    let loss =
        |score: &[f64]| -> Vec<f64> { truth.iter().zip(score).map(|(t, s)| (s - t) * (s - t)).collect() };
    let options = Options::seeded(5);
    let by_loss = bootstrap_losses(&loss(&champion), &loss(&challenger), &options).unwrap();
    let by_metric = bootstrap(Metric::Brier, &truth, &champion, &challenger, &options).unwrap();
    assert_eq!(by_loss, by_metric);
    assert_eq!(by_loss.improvement().estimate, -by_loss.difference);
}

/// 400 experiments in which the challenger differs by chance only: a 90 % interval misses 0 about 40 times, and the
/// p-value falls below 0.1 as often.
#[test]
fn intervals_cover_at_their_level() {
    for metric in [Metric::Auc, Metric::Rmse] {
        let (mut missed, mut small_p) = (0, 0);
        for run in 0..400_u64 {
            let noise = hashed(3 * 150, 1000 + run);
            let truth: Vec<f64> = noise[..150]
                .iter()
                .map(|u| f64::from(u8::from(*u < 0.4)))
                .collect();
            let score = |from: usize| -> Vec<f64> {
                truth
                    .iter()
                    .zip(&noise[from..])
                    .map(|(t, u)| 0.7 * u + 0.15 * t)
                    .collect()
            };
            let options = Options {
                level: 0.9,
                resamples: 400,
                ..Options::seeded(run)
            };
            let got = bootstrap(metric, &truth, &score(150), &score(300), &options).unwrap();
            missed += i32::from(got.low > 0.0 || got.high < 0.0);
            small_p += i32::from(got.p_value < 0.1);
        }
        // Three binomial deviations are 18.
        assert!(
            (22..=58).contains(&missed) && (22..=58).contains(&small_p),
            "{metric} {missed} {small_p}"
        );
    }
}

#[test]
fn one_model_has_an_interval_too() {
    let recorded = load("paired");
    let (truth, champion, _) = scores(&recorded);
    let closed = auc_interval(&truth, &champion, 0.95).unwrap();
    let got = bootstrap_metric(Metric::Auc, &numbers(&truth), &champion, &Options::seeded(9)).unwrap();
    assert!(
        (got.low - closed.low).abs() < 0.02 && (got.high - closed.high).abs() < 0.02,
        "{got:?} {closed:?}"
    );
    agree("estimate", got.estimate, closed.estimate);
}
