//! Metrics against scikit-learn.

use everloop_stats::metrics::{self, Binning, Multiclass};
use everloop_stats::{Metric, weights};
use serde_json::Value;

use crate::fixture::{agree, codes, counts, flags, floats, load};

/// Every metric of a case, by its own name.
fn check(case: &Value) {
    let (truth, score) = (floats(&case["truth"]), floats(&case["score"]));
    for (name, expected) in case["metrics"].as_object().unwrap() {
        let metric: Metric = name.parse().unwrap();
        agree(
            name,
            metric.compute(&truth, &score).unwrap(),
            expected.as_f64().unwrap(),
        );
    }
}

#[test]
fn binary_metrics_equal_scikit_learn() {
    let cases = load("metrics")["binary"].as_array().unwrap().clone();
    assert_eq!(cases.len(), 3);
    cases.iter().for_each(check);
}

#[test]
fn regression_metrics_equal_scikit_learn() {
    check(&load("metrics")["regression"]);
}

#[test]
fn every_metric_has_a_recorded_figure() {
    let recorded = load("metrics");
    for metric in Metric::ALL {
        let places = [
            &recorded["binary"][0]["metrics"],
            &recorded["regression"]["metrics"],
        ];
        assert!(
            places.iter().any(|place| place.get(metric.name()).is_some()),
            "{metric}"
        );
    }
}

#[test]
fn multiclass_metrics_equal_scikit_learn() {
    let case = &load("metrics")["multiclass"];
    let n_classes = case["n_classes"].as_u64().unwrap() as usize;
    let (truth, table) = (codes(&case["truth"]), floats(&case["probabilities"]));
    let scored = Multiclass::new(&table, n_classes).unwrap();
    for (name, expected) in case["metrics"].as_object().unwrap() {
        let metric: Metric = name.parse().unwrap();
        agree(
            name,
            scored.compute(metric, &truth).unwrap(),
            expected.as_f64().unwrap(),
        );
    }
    let losses = scored.log_losses(&truth).unwrap();
    let mean = losses.iter().sum::<f64>() / losses.len() as f64;
    agree(
        "mean of losses",
        mean,
        case["metrics"]["log_loss"].as_f64().unwrap(),
    );
    let expected = floats(&load("metrics")["balanced_weights"]);
    let got = weights::balanced(&truth, n_classes).unwrap();
    got.iter()
        .zip(expected)
        .for_each(|(got, expected)| agree("weight", *got, expected));
}

#[test]
fn reliability_diagrams_equal_scikit_learn() {
    for case in load("metrics")["binary"].as_array().unwrap() {
        let (truth, score) = (flags(&case["truth"]), floats(&case["score"]));
        for (binning, name) in [
            (Binning::Uniform(10), "uniform"),
            (Binning::Quantile(5), "quantile"),
        ] {
            let got = metrics::calibration(&truth, &score, binning).unwrap();
            let expected = &case["calibration"][name];
            let (means, rates) = (floats(&expected[0]), floats(&expected[1]));
            assert_eq!(got.bins.len(), means.len(), "{name}");
            for (bin, (mean, rate)) in got.bins.iter().zip(means.into_iter().zip(rates)) {
                agree(name, bin.mean_score, mean);
                agree(name, bin.base_rate, rate);
            }
            if name == "uniform" {
                let rows: Vec<u64> = got.bins.iter().map(|bin| bin.count as u64).collect();
                assert_eq!(rows, counts(&expected[2]));
            }
        }
    }
}

/// Names are stored in ledger rows, suites and monitors: they must read back for ever.
#[test]
fn names_survive_json() {
    for metric in Metric::ALL {
        let text = serde_json::to_string(&metric).unwrap();
        assert_eq!(text, format!("\"{metric}\""));
        assert_eq!(serde_json::from_str::<Metric>(&text).unwrap(), metric);
    }
    for method in everloop_stats::drift::Method::ALL {
        let text = serde_json::to_string(&method).unwrap();
        assert_eq!(text, format!("\"{method}\""));
        assert_eq!(
            serde_json::from_str::<everloop_stats::drift::Method>(&text).unwrap(),
            method
        );
    }
    let rule: everloop_stats::confirm::Confirm = serde_json::from_str("\"2 of 3\"").unwrap();
    assert_eq!(serde_json::to_string(&rule).unwrap(), "\"2 of 3\"");
    let error = serde_json::from_str::<Metric>("\"acuracy\"")
        .unwrap_err()
        .to_string();
    assert!(error.contains("unknown metric \"acuracy\""), "{error}");
}
