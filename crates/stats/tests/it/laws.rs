//! Laws that hold for all inputs.

use everloop_stats::drift::{self, Edges, Kind, LogBase, Method, Sample, Zeros, ks_test};
use everloop_stats::fdr::{benjamini_hochberg, benjamini_yekutieli};
use everloop_stats::intervals::{clopper_pearson, newcombe, wilson};
use everloop_stats::metrics::{self, Confusion};
use everloop_stats::moments::Moments;
use everloop_stats::paired::{self, Options};
use everloop_stats::{Error, Metric, confirm::Confirm};
use proptest::collection::vec;
use proptest::prelude::*;

/// Scores with ties, and both classes present.
fn scored() -> impl Strategy<Value = (Vec<bool>, Vec<f64>)> {
    let row = (any::<bool>(), 0_u8..20);
    vec(row, 2..60).prop_map(|rows| {
        let (mut truth, score): (Vec<bool>, Vec<f64>) =
            rows.into_iter().map(|(t, s)| (t, f64::from(s) / 19.0)).unzip();
        truth[0] = true;
        truth[1] = false;
        (truth, score)
    })
}

fn sample() -> impl Strategy<Value = Vec<f64>> {
    prop_oneof![
        vec(-1e6..1e6_f64, 1..80),
        vec((-5..5_i32).prop_map(f64::from), 1..80),
    ]
}

/// The ends of what a double can hold, and plain numbers among them.
fn extreme() -> impl Strategy<Value = f64> {
    let ends = [
        0.0,
        -0.0,
        5e-324,
        1.5e-323,
        -5e-324,
        1e-300,
        1.0,
        1.0 + f64::EPSILON,
        1e16,
        1e16 + 2.0,
        1e140,
        -1e140,
    ];
    prop_oneof![
        4 => proptest::sample::select(ends.to_vec()),
        1 => -10.0..10.0_f64,
        1 => Just(f64::NAN),
        1 => proptest::sample::select(vec![f64::MAX, f64::INFINITY, 1e200, -1e160]),
    ]
}

/// Counts of the same categories on both sides, neither empty.
fn two_counts() -> impl Strategy<Value = (Vec<u64>, Vec<u64>)> {
    vec((0..500_u64, 0..500_u64), 2..12).prop_map(|mut rows| {
        rows[0].0 += 1;
        rows[1].1 += 1;
        rows.into_iter().unzip()
    })
}

proptest! {
    #[test]
    fn auc_ignores_monotone_transforms_and_flips_with_the_score((truth, score) in scored()) {
        let auc = metrics::auc(&truth, &score).unwrap();
        prop_assert!((0.0..=1.0).contains(&auc));
        let stretched: Vec<f64> = score.iter().map(|s| (5.0 * s).exp() - 3.0).collect();
        prop_assert_eq!(metrics::auc(&truth, &stretched).unwrap(), auc);
        let negated: Vec<f64> = score.iter().map(|s| -s).collect();
        prop_assert!((metrics::auc(&truth, &negated).unwrap() - (1.0 - auc)).abs() < 1e-12);
        let flipped: Vec<bool> = truth.iter().map(|t| !t).collect();
        prop_assert!((metrics::auc(&flipped, &score).unwrap() - (1.0 - auc)).abs() < 1e-12);
    }

    #[test]
    fn auc_counts_pairs((truth, score) in scored()) {
        let (mut right, mut pairs) = (0.0, 0.0);
        for (t, s) in truth.iter().zip(&score) {
            for (u, r) in truth.iter().zip(&score) {
                if *t && !*u {
                    pairs += 1.0;
                    right += if s > r { 1.0 } else if s == r { 0.5 } else { 0.0 };
                }
            }
        }
        prop_assert!((metrics::auc(&truth, &score).unwrap() - right / pairs).abs() < 1e-12);
    }

    #[test]
    fn row_order_changes_no_metric((truth, score) in scored(), by in 1..60_usize) {
        let turn = |values: &[f64]| -> Vec<f64> {
            let by = by % values.len();
            [&values[by..], &values[..by]].concat()
        };
        let truth: Vec<f64> = truth.iter().map(|t| f64::from(u8::from(*t))).collect();
        for metric in Metric::ALL {
            match (metric.compute(&truth, &score), metric.compute(&turn(&truth), &turn(&score))) {
                (Ok(a), Ok(b)) => prop_assert!((a - b).abs() <= 1e-12 * a.abs().max(1.0), "{} {} {}", metric, a, b),
                (a, b) => prop_assert_eq!(a, b),
            }
        }
    }

    #[test]
    fn no_metric_is_ever_nan(truth in vec(prop_oneof![Just(0.0), Just(1.0), Just(f64::NAN)], 0..6),
                             score in vec(prop_oneof![Just(0.0), Just(0.5), Just(1.0), Just(f64::INFINITY)], 0..6)) {
        for metric in Metric::ALL {
            if let Ok(figure) = metric.compute(&truth, &score) {
                prop_assert!(figure.is_finite(), "{} {}", metric, figure);
            }
        }
    }

    #[test]
    fn confusions_merge_like_the_rows_they_count((truth, score) in scored(), at in 0..60_usize) {
        let at = 1 + at % (truth.len() - 1);
        let part = |from: usize, to: usize| Confusion::at(&truth[from..to], &score[from..to], 0.5).unwrap();
        prop_assert_eq!(part(0, at).merge(part(at, truth.len())), part(0, truth.len()));
    }

    #[test]
    fn moments_merge_in_any_grouping(a in sample(), b in sample(), c in sample()) {
        let [x, y, z] = [&a, &b, &c].map(|values| Moments::of(values));
        let all = Moments::of(&[a.clone(), b.clone(), c.clone()].concat());
        for merged in [x.merge(y).merge(z), x.merge(y.merge(z)), z.merge(x).merge(y), all.merge(Moments::default())] {
            prop_assert_eq!(merged.count, all.count);
            prop_assert!((merged.mean - all.mean).abs() <= 1e-9 * (1.0 + all.mean.abs()));
            prop_assert!((merged.m2 - all.m2).abs() <= 1e-9 * (1.0 + all.m2));
        }
    }

    #[test]
    fn distances_of_numbers_are_distances(a in sample(), b in sample(), c in sample()) {
        let [a, b, c] = [&a, &b, &c].map(|values| Sample::new(values).unwrap());
        for method in Method::ALL.into_iter().filter(|m| m.applies_to(Kind::Numeric)) {
            // Trimming may leave nothing of two rows.
            let Ok(there) = method.numeric(&a, &b) else { continue };
            prop_assert!(there.is_finite() && there >= 0.0, "{} {}", method, there);
            if let Ok(none) = method.numeric(&a, &a) {
                prop_assert!(none.abs() < 1e-7, "{} {}", method, none);
            }
        }
        for distance in [drift::wasserstein, drift::energy_distance, drift::ks_statistic] {
            prop_assert_eq!(distance(&a, &b), distance(&b, &a));
            prop_assert!(distance(&a, &c) <= (distance(&a, &b) + distance(&b, &c)) * (1.0 + 1e-12) + 1e-12);
        }
    }

    #[test]
    fn a_shift_moves_earth_by_its_size(a in sample(), by in -1000..1000_i32) {
        let moved: Vec<f64> = a.iter().map(|v| v + f64::from(by)).collect();
        let got = drift::wasserstein(&Sample::new(&a).unwrap(), &Sample::new(&moved).unwrap());
        prop_assert!((got - f64::from(by.abs())).abs() < 1e-6);
    }

    #[test]
    fn ks_p_values_are_probabilities_that_fall_with_distance(a in sample(), b in sample()) {
        let (a, b) = (Sample::new(&a).unwrap(), Sample::new(&b).unwrap());
        let (there, back) = (ks_test(&a, &b), ks_test(&b, &a));
        prop_assert!((0.0..=1.0).contains(&there.p_value) && (0.0..=1.0).contains(&there.statistic));
        prop_assert!((there.p_value - back.p_value).abs() < 1e-12);
        prop_assert!((ks_test(&a, &a).p_value - 1.0).abs() < 1e-12);
    }

    #[test]
    fn distances_of_counts_are_distances((a, b) in two_counts()) {
        for method in Method::ALL.into_iter().filter(|m| m.applies_to(Kind::Categorical)) {
            if let Ok(there) = method.categorical(&a, &b) {
                prop_assert!(there.is_finite() && there >= 0.0, "{} {}", method, there);
            }
        }
        let bounded = [
            drift::hellinger(&a, &b), drift::hellinger(&b, &a),
            drift::total_variation(&a, &b), drift::total_variation(&b, &a),
            drift::l_infinity(&a, &b), drift::l_infinity(&b, &a),
            drift::kolmogorov(&a, &b), drift::kolmogorov(&b, &a),
            drift::jensen_shannon(&a, &b, LogBase::Two), drift::jensen_shannon(&b, &a, LogBase::Two),
            drift::cramers_v(&a, &b), drift::cramers_v(&b, &a),
        ];
        for pair in bounded.chunks(2) {
            let (there, back) = (pair[0].clone().unwrap(), pair[1].clone().unwrap());
            prop_assert!((0.0..=1.0 + 1e-12).contains(&there));
            prop_assert!((there - back).abs() < 1e-12);
        }
        for zeros in [Zeros::Evidently, Zeros::Deepchecks, Zeros::Frouros] {
            let (there, back) = (drift::psi(&a, &b, zeros).unwrap(), drift::psi(&b, &a, zeros).unwrap());
            prop_assert!((there - back).abs() <= 1e-12 * (1.0 + there));
        }
        let tested = drift::chi_square(&a, &b).unwrap();
        prop_assert!((0.0..=1.0).contains(&tested.p_value) && tested.statistic >= 0.0);
    }

    #[test]
    fn scaling_counts_changes_no_distance((a, b) in two_counts(), by in 1..50_u64) {
        let scaled: Vec<u64> = b.iter().map(|count| count * by).collect();
        for distance in [drift::hellinger, drift::total_variation, drift::l_infinity, drift::kolmogorov] {
            prop_assert!((distance(&a, &b).unwrap() - distance(&a, &scaled).unwrap()).abs() < 1e-12);
        }
    }

    #[test]
    fn every_value_has_one_bin(a in sample(), b in sample(), bins in 1..30_usize) {
        let (a, b) = (Sample::new(&a).unwrap(), Sample::new(&b).unwrap());
        let edges = [Edges::sturges(&a, &b), Edges::sturges_distinct(&a, &b), Edges::doane(&a), Edges::quantiles(&a, bins).unwrap()];
        for edges in edges {
            prop_assert!(edges.as_slice().windows(2).all(|pair| pair[0] < pair[1]));
            for side in [&a, &b] {
                let counted = edges.count(side);
                let inside: u64 = counted.counts.iter().sum();
                prop_assert_eq!(inside + counted.below + counted.above, side.rows() as u64);
                prop_assert_eq!(edges.count_open(side).iter().sum::<u64>(), side.rows() as u64);
            }
            prop_assert_eq!(edges.count(&a).below + edges.count(&a).above, 0);
        }
    }

    #[test]
    fn extreme_values_give_figures_or_errors(a in vec(extreme(), 1..12), b in vec(extreme(), 1..12)) {
        let (Ok(r), Ok(c)) = (Sample::new(&a), Sample::new(&b)) else {
            let beyond = |values: &[f64]| values.iter().all(|v| v.is_nan()) || values.iter().any(|v| v.abs() > 1e140);
            prop_assert!(beyond(&a) || beyond(&b));
            return Ok(());
        };
        for method in Method::ALL.into_iter().filter(|m| m.applies_to(Kind::Numeric)) {
            if let Ok(effect) = method.numeric(&r, &c) {
                prop_assert!(effect.is_finite() && effect >= 0.0, "{} {}", method, effect);
            }
        }
        prop_assert!((0.0..=1.0).contains(&ks_test(&r, &c).p_value));
        for edges in [Edges::sturges(&r, &c), Edges::doane(&r), Edges::quantiles(&r, 7).unwrap()] {
            prop_assert!(edges.as_slice().windows(2).all(|pair| pair[0] < pair[1]), "{:?}", edges);
            prop_assert_eq!(edges.count(&r).counts.iter().sum::<u64>(), r.rows() as u64);
        }
        if a.len() == b.len() {
            for metric in Metric::ALL {
                if let Ok(figure) = metric.compute(&a, &b) {
                    prop_assert!(figure.is_finite(), "{} {}", metric, figure);
                }
            }
        }
    }

    #[test]
    fn adjusted_p_values_dominate_and_keep_order(p in vec(0.0..=1.0_f64, 0..50)) {
        let (bh, by) = (benjamini_hochberg(&p).unwrap(), benjamini_yekutieli(&p).unwrap());
        for i in 0..p.len() {
            prop_assert!(p[i] <= bh[i] + 1e-15 && bh[i] <= by[i] + 1e-15 && by[i] <= 1.0);
            for j in 0..p.len() {
                prop_assert!(p[i] > p[j] || bh[i] <= bh[j]);
            }
        }
    }

    #[test]
    fn intervals_hold_their_estimate(hits in 0..200_u64, misses in 0..200_u64, other in 0..100_u64, level in 0.5..0.999_f64) {
        prop_assume!(hits + misses > 0);
        let n = hits + misses;
        let (score, exact) = (wilson(hits, n, level).unwrap(), clopper_pearson(hits, n, level).unwrap());
        for interval in [score, exact] {
            prop_assert!(interval.contains(interval.estimate));
            prop_assert!(0.0 <= interval.low && interval.high <= 1.0);
        }
        let gap = newcombe(hits, n, other, 100, level).unwrap();
        let back = newcombe(other, 100, hits, n, level).unwrap();
        prop_assert!((gap.low + back.high).abs() < 1e-12 && gap.contains(gap.estimate));
        prop_assert!(-1.0 - 1e-12 <= gap.low && gap.high <= 1.0 + 1e-12);
    }

    #[test]
    fn more_breaches_never_calm_an_alarm(history in vec(any::<bool>(), 0..12), at in 0..12_usize, k in 1..5_usize, more in 0..5_usize) {
        let rule = Confirm::new(k, k + more).unwrap();
        let mut worse = history.clone();
        if let Some(window) = worse.get_mut(at) {
            *window = true;
        }
        prop_assert!(!rule.holds(&history) || rule.holds(&worse));
        prop_assert_eq!(rule.to_string().parse::<Confirm>().unwrap(), rule);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn swapping_the_models_mirrors_the_interval((truth, score) in scored(), seed in any::<u64>()) {
        let truth: Vec<f64> = truth.iter().map(|t| f64::from(u8::from(*t))).collect();
        let other: Vec<f64> = score.iter().enumerate().map(|(i, s)| (s + f64::from(i as u32 % 7)) / 8.0).collect();
        let options = Options { resamples: 60, method: paired::Method::Percentile, ..Options::seeded(seed) };
        for metric in [Metric::Auc, Metric::Brier, Metric::Accuracy] {
            let there = paired::bootstrap(metric, &truth, &score, &other, &options);
            let back = paired::bootstrap(metric, &truth, &other, &score, &options);
            match (there, back) {
                (Ok(there), Ok(back)) => {
                    prop_assert!((there.low + back.high).abs() < 1e-12 && (there.high + back.low).abs() < 1e-12);
                    prop_assert!(there.low <= there.high && there.p_value == back.p_value);
                    prop_assert!(there.p_value > 0.0 && there.p_value <= 1.0);
                }
                // Hardly any rows of one class.
                (there, back) => {
                    prop_assert!(matches!(there, Err(Error::Undefined { .. })), "{:?}", there);
                    prop_assert_eq!(there, back);
                }
            }
        }
    }
}
