//! Sequential inference: formulas against the papers by other roads, error rates by simulation with continuous peeking.

use everloop_stats::moments::Moments;
use everloop_stats::sequential::{
    Alternative, Arm, Block, NormalMixture, Peeking, RateTest, asymptotic_mean, bounded_mean, difference,
};

use crate::fixture::{agree, counts, floats, hashed, load};

#[test]
fn mixtures_equal_lambert_and_quadrature() {
    for case in load("sequential")["mixture"].as_array().unwrap() {
        let [alpha, best_at, v, rho, boundary, ln_e] = floats(case)[..] else {
            panic!("{case}")
        };
        let mixture = NormalMixture::tightest_at(best_at, alpha).unwrap();
        agree("rho", mixture.rho(), rho);
        agree("boundary", mixture.boundary(v), boundary);
        agree("ln e", mixture.ln_e(boundary, v), ln_e);
        agree("1 / alpha", mixture.ln_e(mixture.boundary(v), v), -alpha.ln());
    }
}

#[test]
fn differences_equal_the_formula_of_msprt() {
    for case in load("sequential")["arms"].as_array().unwrap() {
        let r = floats(case);
        let arm = |at: usize| Arm::of_rate(r[at] as u64, r[at + 1] as u64).unwrap();
        let got = difference(arm(0), arm(2), &Peeking::for_difference(r[4]))
            .unwrap()
            .unwrap();
        agree("difference", got.difference, r[5]);
        agree("low", got.low, r[6]);
        agree("high", got.high, r[7]);
        agree("ln e", got.ln_e, r[8]);
    }
}

#[test]
fn asymptotic_means_equal_the_paper() {
    for case in load("sequential")["means"].as_array().unwrap() {
        let [n, mean, variance, rho, low, high] = floats(case)[..] else {
            panic!("{case}")
        };
        let moments = Moments {
            count: n as u64,
            mean,
            m2: variance * (n - 1.0),
        };
        // The paper's rho^2 is the inverse of the mixture's, in units of rows.
        let got = asymptotic_mean(moments, NormalMixture::new(1.0 / (rho * rho), 0.05).unwrap()).unwrap();
        agree("low", got.low, low);
        agree("high", got.high, high);
    }
}

#[test]
fn rate_tests_equal_likelihoods_of_binomials() {
    let recorded = load("sequential");
    let mut test = RateTest::new(Alternative::Different);
    let mut largest = 0.0_f64;
    for (block, ln_e) in recorded["blocks"]
        .as_array()
        .unwrap()
        .iter()
        .zip(floats(&recorded["ln_e"]))
    {
        let [a_rows, a_hits, b_rows, b_hits] = counts(block)[..] else {
            panic!("{block}")
        };
        test.observe(Block {
            a_rows,
            a_hits,
            b_rows,
            b_hits,
        })
        .unwrap();
        agree("ln e", test.ln_e(), ln_e);
        largest = largest.max(ln_e);
    }
    agree("p", test.p_value(), (-largest).exp());
    let stored: RateTest = serde_json::from_str(&serde_json::to_string(&test).unwrap()).unwrap();
    assert_eq!(stored, test);
}

const RUNS: u64 = 2000;
const LOOKS: usize = 1000;

/// The share of runs in which `stops` says so at any of a thousand looks, each after one more row for either arm.
fn stopped(seed: u64, mut stops: impl FnMut(u64, &[f64], &[f64]) -> bool) -> f64 {
    let runs = (0..RUNS).filter(|run| {
        let rows = hashed(2 * LOOKS, seed + run);
        stops(*run, &rows[..LOOKS], &rows[LOOKS..])
    });
    runs.count() as f64 / RUNS as f64
}

/// Looks at the difference of two rates after every row.
fn rates_stop(a: &[f64], b: &[f64], rate_a: f64, rate_b: f64, peeking: &Peeking) -> bool {
    let (mut hits_a, mut hits_b) = (0, 0);
    a.iter().zip(b).zip(1..).any(|((a, b), n)| {
        hits_a += u64::from(*a < rate_a);
        hits_b += u64::from(*b < rate_b);
        let arms = (Arm::of_rate(hits_a, n).unwrap(), Arm::of_rate(hits_b, n).unwrap());
        let now = difference(arms.0, arms.1, peeking).unwrap();
        now.is_some_and(|now| now.is_above(0.0) || now.is_below(0.0))
    })
}

#[test]
fn peeking_at_equal_rates_errs_below_five_percent() {
    for (seed, rate) in [(1 << 20, 0.5), (2 << 20, 0.1), (3 << 20, 0.02)] {
        for peeking in [Peeking::for_difference(0.05), Peeking::for_rows(2000)] {
            let errors = stopped(seed, |_, a, b| rates_stop(a, b, rate, rate, &peeking));
            assert!(errors < 0.05, "{rate} {peeking:?}: {errors}");
        }
    }
}

/// A canary at 5 %: for each of its rows the other arm has nineteen. With each arm's own variance this errs in 7 %.
#[test]
fn peeking_at_a_small_canary_errs_below_five_percent() {
    let peeking = Peeking::for_difference(0.05);
    for (seed, rate) in [(12 << 20, 0.1), (13 << 20, 0.02)] {
        let errors = (0..RUNS).filter(|run| {
            let hits: Vec<u64> = hashed(20 * LOOKS, seed + run)
                .iter()
                .map(|u| u64::from(*u < rate))
                .collect();
            let (mut hits_a, mut hits_b) = (0, 0);
            hits.chunks_exact(20).zip(1..).any(|(rows, n)| {
                hits_b += rows[0];
                hits_a += rows[1..].iter().sum::<u64>();
                let arms = (
                    Arm::of_rate(hits_a, 19 * n).unwrap(),
                    Arm::of_rate(hits_b, n).unwrap(),
                );
                let now = difference(arms.0, arms.1, &peeking).unwrap();
                now.is_some_and(|now| now.is_above(0.0) || now.is_below(0.0))
            })
        });
        let errors = errors.count() as f64 / RUNS as f64;
        assert!(errors < 0.05, "{rate}: {errors}");
    }
}

#[test]
fn peeking_at_equal_means_errs_below_five_percent() {
    // Exponential waiting times: skewed, as latencies are.
    let peeking = Peeking::for_difference(0.2);
    let errors = stopped(4 << 20, |_, a, b| {
        let (mut left, mut right) = (Moments::default(), Moments::default());
        a.iter().zip(b).any(|(a, b)| {
            left.push(-(1.0 - a).ln());
            right.push(-(1.0 - b).ln());
            if left.count < 100 {
                return false;
            }
            let arms = (Arm::of_values(left).unwrap(), Arm::of_values(right).unwrap());
            let now = difference(arms.0, arms.1, &peeking).unwrap().unwrap();
            now.is_above(0.0) || now.is_below(0.0)
        })
    });
    assert!(errors < 0.05, "{errors}");
}

#[test]
fn the_exact_test_errs_below_five_percent_even_on_rare_events() {
    for (seed, rate, alternative) in [
        (5 << 20, 0.5, Alternative::Different),
        (6 << 20, 0.01, Alternative::Different),
        (7 << 20, 0.1, Alternative::BHigher),
        (8 << 20, 0.1, Alternative::BLower),
    ] {
        let errors = stopped(seed, |_, a, b| exact_stops(a, b, rate, rate, alternative));
        assert!(errors < 0.05, "{rate} {alternative:?}: {errors}");
    }
}

fn exact_stops(a: &[f64], b: &[f64], rate_a: f64, rate_b: f64, alternative: Alternative) -> bool {
    let mut test = RateTest::new(alternative);
    a.iter().zip(b).any(|(a, b)| {
        let (a_hits, b_hits) = (u64::from(*a < rate_a), u64::from(*b < rate_b));
        test.observe(Block {
            a_rows: 1,
            a_hits,
            b_rows: 1,
            b_hits,
        })
        .unwrap();
        test.p_value() <= 0.05
    })
}

/// What the others are measured against: the same data looked at with a fixed-sample test.
#[test]
fn a_fixed_sample_test_looked_at_continuously_is_wrong_a_third_of_the_time() {
    let errors = stopped(1 << 20, |_, a, b| {
        let (mut hits_a, mut hits_b) = (0, 0);
        a.iter().zip(b).zip(1_u64..).any(|((a, b), n)| {
            hits_a += u64::from(*a < 0.5);
            hits_b += u64::from(*b < 0.5);
            let (p, q) = (hits_a as f64 / n as f64, hits_b as f64 / n as f64);
            let deviation = ((p * (1.0 - p) + q * (1.0 - q)) / n as f64).sqrt();
            n >= 100 && (p - q).abs() > 1.96 * deviation
        })
    });
    assert!(errors > 0.25, "{errors}");
}

#[test]
fn real_differences_are_found() {
    let peeking = Peeking::for_difference(0.1);
    let found = stopped(9 << 20, |_, a, b| rates_stop(a, b, 0.10, 0.20, &peeking));
    assert!(found > 0.95, "confidence sequence {found}");
    let found = stopped(9 << 20, |_, a, b| {
        exact_stops(a, b, 0.10, 0.20, Alternative::BHigher)
    });
    assert!(found > 0.95, "exact test {found}");
    // A bad canary on rare errors: 1 % against 5 %.
    let found = stopped(10 << 20, |_, a, b| {
        exact_stops(a, b, 0.01, 0.05, Alternative::BHigher)
    });
    assert!(found > 0.9, "rare errors {found}");
}

#[test]
fn a_bounded_mean_is_covered_at_all_times() {
    let mixture = NormalMixture::tightest_at(250.0, 0.05).unwrap();
    let misses = stopped(11 << 20, |_, a, _| {
        let mut moments = Moments::default();
        a.iter().any(|u| {
            moments.push(f64::from(u8::from(*u < 0.5)));
            !bounded_mean(moments, 0.0, 1.0, mixture).unwrap().contains(0.5)
        })
    });
    assert!(misses < 0.05, "{misses}");
}
