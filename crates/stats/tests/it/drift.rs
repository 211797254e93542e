//! Drift against Evidently, NannyML, Deepchecks, frouros and SciPy.

use everloop_stats::drift::{
    Categories, Edges, Kind, Method, Rule, Sample, Verdict, chi_square, chi_square_fit, compare_categories,
    compare_numbers, energy_distance, judge, ks_statistic, ks_test, one_sample_sf, wasserstein,
};
use serde_json::Value;

use crate::fixture::{agree, agree_relative, counts, floats, hashed, load};

fn numeric(case: &Value) -> (Sample, Sample) {
    let sample = |side: &str| Sample::new(&floats(&case[side])).unwrap();
    (sample("reference"), sample("current"))
}

fn effects(case: &Value, kind: Kind, effect: impl Fn(Method) -> f64) {
    let recorded = case["effects"].as_object().unwrap();
    for method in Method::ALL.into_iter().filter(|method| method.applies_to(kind)) {
        let expected = recorded[method.name()].as_f64().unwrap();
        let what = format!("{method} of {}", case["name"]);
        let got = effect(method);
        if method == Method::HellingerEvidently {
            // Theirs is the root of 1 minus a sum, which makes 1e-8 of rounding where nothing moved.
            agree(&what, got * got, expected * expected);
        } else {
            agree(&what, got, expected);
        }
    }
}

#[test]
fn numeric_effects_equal_their_tools() {
    for case in load("drift")["numeric"].as_array().unwrap() {
        let (reference, current) = numeric(case);
        effects(case, Kind::Numeric, |method| {
            method.numeric(&reference, &current).unwrap()
        });
        agree(
            "deepchecks ks",
            ks_statistic(&reference, &current),
            case["deepchecks_ks"].as_f64().unwrap(),
        );
    }
}

#[test]
fn categorical_effects_equal_their_tools() {
    for case in load("drift")["categorical"].as_array().unwrap() {
        let (reference, current) = (counts(&case["reference"]), counts(&case["current"]));
        effects(case, Kind::Categorical, |method| {
            method.categorical(&reference, &current).unwrap()
        });
    }
}

#[test]
fn bins_equal_numpy() {
    let check = |name: &str, got: &Edges, expected: Vec<f64>| {
        assert_eq!(got.as_slice().len(), expected.len(), "{name}");
        got.as_slice()
            .iter()
            .zip(expected)
            .for_each(|(got, expected)| agree(name, *got, expected));
    };
    for case in load("drift")["numeric"].as_array().unwrap() {
        let (reference, current) = numeric(case);
        check(
            "sturges",
            &Edges::sturges(&reference, &current),
            floats(&case["sturges"]),
        );
        check("doane", &Edges::doane(&reference), floats(&case["doane"]));
    }
}

#[test]
fn chi_square_equals_nannyml_and_evidently() {
    for case in load("drift")["categorical"].as_array().unwrap() {
        let (reference, current) = (counts(&case["reference"]), counts(&case["current"]));
        let tested = chi_square(&reference, &current).unwrap();
        let expected = floats(&case["chi_square"]);
        agree("statistic", tested.statistic, expected[0]);
        agree_relative("p", tested.p_value, expected[1], 1e-9);
        let fit = chi_square_fit(&reference, &current).unwrap();
        agree_relative(
            "fit",
            fit.p_value,
            case["chi_square_fit_p"].as_f64().unwrap(),
            1e-9,
        );
    }
}

#[test]
fn exact_ks_tests_equal_scipy() {
    let recorded = load("drift");
    for case in recorded["numeric"].as_array().unwrap() {
        let (reference, current) = numeric(case);
        let (got, expected) = (ks_test(&reference, &current), floats(&case["ks"]));
        agree("statistic", got.statistic, expected[0]);
        agree_relative("p", got.p_value, expected[1], 1e-9);
        agree("evidently", got.p_value, case["evidently_ks_p"].as_f64().unwrap());
    }
    for case in recorded["exact"].as_array().unwrap() {
        let rows = counts(&case["rows"]);
        let shift = case["shift"].as_f64().unwrap();
        let reference = Sample::new(&hashed(rows[0] as usize, 5)).unwrap();
        let moved: Vec<f64> = hashed(rows[1] as usize, 6)
            .into_iter()
            .map(|u| u + shift)
            .collect();
        let (got, expected) = (
            ks_test(&reference, &Sample::new(&moved).unwrap()),
            floats(&case["ks"]),
        );
        agree("statistic", got.statistic, expected[0]);
        agree_relative(&format!("p of {rows:?}"), got.p_value, expected[1], 1e-9);
    }
}

#[test]
fn long_samples_equal_scipy() {
    for case in load("drift")["long"].as_array().unwrap() {
        let rows = counts(&case["rows"]);
        let [scale, shift] = ["scale", "shift"].map(|name| case[name].as_f64().unwrap());
        let reference = Sample::new(&hashed(rows[0] as usize, 1)).unwrap();
        let moved: Vec<f64> = hashed(rows[1] as usize, 2)
            .into_iter()
            .map(|u| u * scale + shift)
            .collect();
        let current = Sample::new(&moved).unwrap();
        let (got, expected) = (ks_test(&reference, &current), floats(&case["ks"]));
        agree("statistic", got.statistic, expected[0]);
        agree_relative(&format!("p of {rows:?}"), got.p_value, expected[1], 1e-9);
        agree(
            "wasserstein",
            wasserstein(&reference, &current),
            case["wasserstein"].as_f64().unwrap(),
        );
        agree(
            "energy",
            energy_distance(&reference, &current),
            case["energy"].as_f64().unwrap(),
        );
    }
}

#[test]
fn one_sample_tails_equal_scipy_in_every_region() {
    let recorded = load("drift")["one_sample"].as_array().unwrap().clone();
    assert!(recorded.len() > 100);
    for case in recorded {
        let [n, d, expected] = floats(&case)[..] else {
            panic!("{case}")
        };
        let got = one_sample_sf(n as u64, d);
        // A tail near 1 is the complement of a small figure: agree to 1e-9 absolutely, small tails relatively.
        agree(&format!("n {n} d {d}"), got, expected);
        if expected < 0.01 {
            agree_relative(&format!("n {n} d {d}"), got, expected, 1e-9);
        }
    }
}

#[test]
fn quantile_points_stand_for_the_rows_they_came_from() {
    let values: Vec<f64> = hashed(50_000, 3).into_iter().map(|u| u * u).collect();
    let moved: Vec<f64> = hashed(20_000, 4).into_iter().map(|u| u * u + 0.01).collect();
    let (raw, current) = (Sample::new(&values).unwrap(), Sample::new(&moved).unwrap());
    let points: Vec<f64> = (0..2000)
        .map(|i| raw.quantile((f64::from(i) + 0.5) / 2000.0).unwrap())
        .collect();
    let sketch = Sample::from_quantiles(&points, raw.rows(), 0).unwrap();
    assert_eq!(
        (sketch.rows(), sketch.is_raw(), raw.is_raw()),
        (50_000, false, true)
    );
    let (exact, near) = (ks_test(&raw, &current), ks_test(&sketch, &current));
    assert!(
        (exact.statistic - near.statistic).abs() <= 0.5 / 2000.0 + 1e-12,
        "{exact:?} {near:?}"
    );
    assert!(
        (exact.p_value.ln() / near.p_value.ln() - 1.0).abs() < 0.1,
        "{exact:?} {near:?}"
    );
    let distance = (wasserstein(&raw, &current) - wasserstein(&sketch, &current)).abs();
    assert!(distance < 1e-3, "{distance}");
    assert!(Sample::from_quantiles(&points, 10, 0).is_err());
}

/// 80 windows of 40 columns without drift, and the same with 3 columns moved by a third of a deviation.
#[test]
fn windows_without_drift_stay_quiet_and_real_drift_is_found() {
    let rule = Rule {
        min_samples: 100,
        min_effect: 0.1,
        fdr: 0.05,
        ..Rule::default()
    };
    let (mut false_windows, mut found, mut false_found) = (0, 0, 0);
    for window in 0..80_u64 {
        let column = |at: u64, shift: f64| {
            let seed = 50_000 + window * 80 + at * 2;
            let current: Vec<f64> = hashed(800, seed).into_iter().map(|u| u + shift).collect();
            let reference = Sample::new(&hashed(2000, seed + 1)).unwrap();
            compare_numbers(
                Method::WassersteinNormed,
                &reference,
                &Sample::new(&current).unwrap(),
            )
            .unwrap()
        };
        let quiet: Vec<_> = (0..40).map(|at| column(at, 0.0)).collect();
        let drifted = |columns: &[_]| -> Vec<usize> {
            let judged = judge(columns, &rule).unwrap();
            (0..40)
                .filter(|at| judged[*at].verdict == Verdict::Drifted)
                .collect()
        };
        false_windows += usize::from(!drifted(&quiet).is_empty());
        // A third of the deviation of a uniform variable.
        let mut moved = quiet;
        (0..3).for_each(|at| moved[at as usize] = column(at, 0.0962));
        let flagged = drifted(&moved);
        found += flagged.iter().filter(|at| **at < 3).count();
        false_found += flagged.iter().filter(|at| **at >= 3).count();
    }
    // False alarms in 5 % of the quiet windows by design; 4 plus three binomial deviations is 10.
    assert!(false_windows <= 10, "{false_windows}");
    assert!(found >= 238 && false_found <= 24, "{found} {false_found}");
}

#[test]
fn categories_of_any_name_are_aligned_and_compared() {
    let categories = Categories::align(
        [("UA", 500), ("DL", 400), ("9E", 100)],
        [("DL", 90), ("UA", 100), ("MQ", 60)],
    );
    let got = compare_categories(Method::LInfinity, &categories.reference, &categories.current).unwrap();
    agree("largest gap", got.effect, 60.0 / 250.0);
    assert_eq!(
        (got.n_reference, got.n_current, got.kind()),
        (1000, 250, Kind::Categorical)
    );
    assert!(got.p_value < 1e-9 && got.p_value > 0.0);
}
