//! Fairness against Fairlearn.

use everloop_stats::fairness::{
    Against, Combine, Frame, demographic_parity_difference, demographic_parity_ratio,
    equal_opportunity_difference, equalized_odds_difference, equalized_odds_ratio,
};
use everloop_stats::metrics::Confusion;
use everloop_stats::{Error, Result};

use crate::fixture::{agree, codes, flags, floats, load};

const METHODS: [(Against, &str); 2] = [
    (Against::BetweenGroups, "between_groups"),
    (Against::Overall, "to_overall"),
];

/// Accuracy over some rows of two columns.
fn accuracy(truth: &[bool], predicted: &[bool], rows: &[usize]) -> Result<f64> {
    let pick = |column: &[bool]| -> Vec<bool> { rows.iter().map(|row| column[*row]).collect() };
    Confusion::of(&pick(truth), &pick(predicted))?.accuracy()
}

#[test]
fn parity_figures_equal_fairlearn() {
    let recorded = load("fairness");
    let (groups, truth, predicted) = (
        codes(&recorded["groups"]),
        flags(&recorded["truth"]),
        flags(&recorded["predicted"]),
    );
    let counts: Vec<Confusion> = (0..3)
        .map(|group| {
            let rows: Vec<usize> = (0..groups.len()).filter(|row| groups[*row] == group).collect();
            let pick = |column: &[bool]| -> Vec<bool> { rows.iter().map(|row| column[*row]).collect() };
            Confusion::of(&pick(&truth), &pick(&predicted)).unwrap()
        })
        .collect();
    for (against, name) in METHODS {
        let figures = &recorded["figures"][name];
        let expected = |figure: &str| figures[figure].as_f64().unwrap();
        let got = demographic_parity_difference(&counts, against).unwrap();
        agree(name, got, expected("demographic_parity_difference"));
        agree(
            name,
            demographic_parity_ratio(&counts, against).unwrap(),
            expected("demographic_parity_ratio"),
        );
        let got = equal_opportunity_difference(&counts, against).unwrap();
        agree(name, got, expected("equal_opportunity_difference"));
        for (combine, agg) in [(Combine::WorstCase, "worst_case"), (Combine::Mean, "mean")] {
            let got = equalized_odds_difference(&counts, against, combine).unwrap();
            agree(
                agg,
                got,
                figures["equalized_odds_difference"][agg].as_f64().unwrap(),
            );
            let got = equalized_odds_ratio(&counts, against, combine).unwrap();
            agree(agg, got, figures["equalized_odds_ratio"][agg].as_f64().unwrap());
        }
    }
}

#[test]
fn metric_frames_equal_fairlearn() {
    let recorded = load("fairness");
    let (groups, truth, predicted) = (
        codes(&recorded["groups"]),
        flags(&recorded["truth"]),
        flags(&recorded["predicted"]),
    );
    let frame = Frame::of(&groups, 3, |rows| accuracy(&truth, &predicted, rows)).unwrap();
    let expected = &recorded["accuracy"];
    agree(
        "overall",
        frame.overall.unwrap(),
        expected["overall"].as_f64().unwrap(),
    );
    for (got, expected) in frame.by_group.iter().zip(floats(&expected["by_group"])) {
        agree("group", got.unwrap(), expected);
    }
    assert_eq!(frame.rows.iter().sum::<usize>(), groups.len());
    for (against, name) in METHODS {
        let recorded = |figure: &str| expected[format!("{figure}_{name}")].as_f64().unwrap();
        agree(name, frame.difference(against).unwrap(), recorded("difference"));
        agree(name, frame.ratio(against).unwrap(), recorded("ratio"));
    }
}

#[test]
fn control_features_condition_every_figure() {
    let recorded = load("fairness");
    let (groups, control) = (codes(&recorded["groups"]), codes(&recorded["control"]));
    let (truth, predicted) = (flags(&recorded["truth"]), flags(&recorded["predicted"]));
    let frames =
        Frame::by_control(&control, 2, &groups, 3, |rows| accuracy(&truth, &predicted, rows)).unwrap();
    let expected = |figure: &str, level: usize| recorded["by_control"][figure][level].as_f64().unwrap();
    for (level, frame) in frames.iter().enumerate() {
        agree("overall", frame.overall.unwrap(), expected("overall", level));
        agree(
            "difference",
            frame.difference(Against::Overall).unwrap(),
            expected("difference", level),
        );
        agree(
            "ratio",
            frame.ratio(Against::BetweenGroups).unwrap(),
            expected("ratio", level),
        );
    }
}

#[test]
fn a_failing_figure_is_an_error_and_not_a_hole() {
    let broken = |_: &[usize]| {
        Err(Error::NotFinite {
            what: "score",
            index: 3,
        })
    };
    assert_eq!(
        Frame::of(&[0, 1], 2, broken).unwrap_err(),
        Error::NotFinite {
            what: "score",
            index: 3
        }
    );
    let undefined = |_: &[usize]| {
        Err(Error::Undefined {
            what: "auc",
            why: "one class",
        })
    };
    assert_eq!(Frame::of(&[0, 1], 2, undefined).unwrap().by_group, [None, None]);
}
