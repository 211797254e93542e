//! Intervals against statsmodels and SciPy.

use everloop_stats::intervals::{clopper_pearson, mean_normal, mean_t, newcombe, quantile, wilson};
use everloop_stats::moments::Moments;

use crate::fixture::{agree, floats, load};

#[test]
fn rate_intervals_equal_statsmodels() {
    for case in load("intervals")["rates"].as_array().unwrap() {
        let recorded = floats(case);
        let (hits, n, level) = (recorded[0] as u64, recorded[1] as u64, recorded[2]);
        for (got, ends) in [
            (wilson(hits, n, level).unwrap(), &recorded[3..5]),
            (clopper_pearson(hits, n, level).unwrap(), &recorded[5..7]),
        ] {
            agree(&format!("low {case}"), got.low, ends[0]);
            agree(&format!("high {case}"), got.high, ends[1]);
        }
    }
}

#[test]
fn differences_of_rates_equal_statsmodels() {
    for case in load("intervals")["differences"].as_array().unwrap() {
        let recorded = floats(case);
        let [a, n, b, m] = [0, 1, 2, 3].map(|at| recorded[at] as u64);
        let got = newcombe(a, n, b, m, 0.95).unwrap();
        agree("low", got.low, recorded[4]);
        agree("high", got.high, recorded[5]);
        assert!(got.contains(got.estimate));
    }
}

#[test]
fn mean_intervals_equal_statsmodels() {
    for case in load("intervals")["means"].as_array().unwrap() {
        let moments = Moments::of(&floats(&case[0]));
        let expected = |at: usize| case[at].as_f64().unwrap();
        let (t, z) = (
            mean_t(moments, 0.95).unwrap(),
            mean_normal(moments, 0.95).unwrap(),
        );
        agree("t low", t.low, expected(2));
        agree("t high", t.high, expected(3));
        agree("z low", z.low, expected(4));
        agree("z high", z.high, expected(5));
    }
}

#[test]
fn quantile_intervals_equal_scipy() {
    let recorded = load("intervals");
    let values = floats(&recorded["quantile_values"]);
    for case in recorded["quantiles"].as_array().unwrap() {
        let [q, level, estimate, low, high] = floats(case)[..] else {
            panic!("{case}")
        };
        let got = quantile(&values, q, level).unwrap();
        agree("estimate", got.estimate, estimate);
        agree(&format!("low {case}"), got.low, low);
        agree(&format!("high {case}"), got.high, high);
    }
}
