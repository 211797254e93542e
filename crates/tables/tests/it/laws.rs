//! Laws of merging, over random tables.

use crate::profile::batch;
use everloop_tables::arrow::array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};
use everloop_tables::{ColumnProfile, Profile, ProfileBuilder, ProfileOptions};
use proptest::prelude::*;
use std::sync::Arc;

/// Rows of a table: how they spread decides whether columns end exact or as sketches.
#[derive(Debug, Clone)]
struct Rows {
    real: Vec<Option<f64>>,
    whole: Vec<Option<i64>>,
    text: Vec<Option<String>>,
    flag: Vec<Option<bool>>,
}

fn rows() -> impl Strategy<Value = Rows> {
    let row = (
        prop_oneof![
            1 => Just(None),
            1 => Just(Some(f64::NAN)),
            1 => Just(Some(f64::INFINITY)),
            3 => Just(Some(0.0)),
            10 => (-1e6..1e6_f64).prop_map(Some),
        ],
        prop::option::weighted(0.9, prop_oneof![(-5..5_i64), any::<i64>()]),
        prop::option::weighted(0.9, prop_oneof!["[a-c]", "[a-z]{0,12}"]),
        prop::option::weighted(0.9, any::<bool>()),
    );
    prop::collection::vec(row, 0..700).prop_map(|rows| Rows {
        real: rows.iter().map(|row| row.0).collect(),
        whole: rows.iter().map(|row| row.1).collect(),
        text: rows.iter().map(|row| row.2.clone()).collect(),
        flag: rows.iter().map(|row| row.3).collect(),
    })
}

impl Rows {
    fn profile(&self) -> Profile {
        let batch = batch(vec![
            (
                "real",
                Arc::new(self.real.iter().copied().collect::<Float64Array>()) as ArrayRef,
            ),
            (
                "whole",
                Arc::new(self.whole.iter().copied().collect::<Int64Array>()),
            ),
            (
                "text",
                Arc::new(self.text.iter().map(Option::as_deref).collect::<StringArray>()),
            ),
            (
                "flag",
                Arc::new(self.flag.iter().copied().collect::<BooleanArray>()),
            ),
        ]);
        let mut builder = ProfileBuilder::new(&batch.schema(), &ProfileOptions::default()).unwrap();
        builder.push(&batch).unwrap();
        builder.finish()
    }

    fn and(&self, other: &Self) -> Self {
        let mut both = self.clone();
        both.real.extend(&other.real);
        both.whole.extend(&other.whole);
        both.text.extend(other.text.iter().cloned());
        both.flag.extend(&other.flag);
        both
    }
}

fn merged(a: &Profile, b: &Profile) -> Profile {
    let mut both = a.clone();
    both.merge(b).unwrap();
    both
}

/// What no order or grouping of merges may change, and what it may change a little.
fn assert_same(a: &Profile, b: &Profile) {
    assert_eq!(a.rows(), b.rows());
    for (a, b) in a.columns().iter().zip(b.columns()) {
        assert_eq!(
            (a.name(), a.kind(), a.rows(), a.nulls()),
            (b.name(), b.kind(), b.rows(), b.nulls())
        );
        assert_eq!(
            (a.nans(), a.infinities(), a.trues()),
            (b.nans(), b.infinities(), b.trues())
        );
        assert_eq!((a.min(), a.max(), a.is_exact()), (b.min(), b.max(), b.is_exact()));
        assert_eq!(a.distinct(), b.distinct(), "{}", a.name());
        assert_close(a.mean(), b.mean(), 1e-9);
        assert_close(a.variance(), b.variance(), 1e-6);
        assert_same_distribution(a, b);
        if a.is_exact() {
            assert_eq!(a.top(600), b.top(600));
        }
    }
}

fn assert_same_distribution(a: &ColumnProfile, b: &ColumnProfile) {
    for step in 0..=20 {
        let q = f64::from(step) / 20.0;
        let (Some(x), Some(_)) = (a.quantile(q), b.quantile(q)) else {
            assert_eq!(a.quantile(q), b.quantile(q));
            continue;
        };
        let distance = (a.cdf(x).unwrap() - b.cdf(x).unwrap()).abs();
        assert!(
            distance <= if a.is_exact() { 0.0 } else { 0.015 },
            "{} at {x}: {distance}",
            a.name()
        );
    }
}

fn assert_close(a: Option<f64>, b: Option<f64>, tolerance: f64) {
    match (a, b) {
        (Some(a), Some(b)) => assert!((a - b).abs() <= tolerance * a.abs().max(1.0), "{a} and {b}"),
        (a, b) => assert_eq!(a.is_some(), b.is_some()),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn merging_is_associative_and_commutative(a in rows(), b in rows(), c in rows()) {
        let (a, b, c) = (a.profile(), b.profile(), c.profile());
        assert_same(&merged(&a, &b), &merged(&b, &a));
        assert_same(&merged(&merged(&a, &b), &c), &merged(&a, &merged(&b, &c)));
    }

    #[test]
    fn merging_parts_is_profiling_the_whole(a in rows(), b in rows()) {
        assert_same(&merged(&a.profile(), &b.profile()), &a.and(&b).profile());
    }

    #[test]
    fn nothing_is_neutral(a in rows()) {
        let nothing = Rows { real: vec![], whole: vec![], text: vec![], flag: vec![] }.profile();
        let a = a.profile();
        assert_same(&merged(&a, &nothing), &a);
        assert_same(&merged(&nothing, &a), &a);
    }

    #[test]
    fn a_stored_profile_is_the_profile(a in rows(), b in rows()) {
        let (a, b) = (a.profile(), b.profile());
        let text = serde_json::to_string(&a).unwrap();
        let read: Profile = serde_json::from_str(&text).unwrap();
        prop_assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_same(&merged(&read, &b), &merged(&a, &b));
    }

    #[test]
    fn shares_stay_in_bounds(a in rows(), x in -2e6..2e6_f64) {
        for column in a.profile().columns() {
            if let Some(share) = column.cdf(x) {
                prop_assert!((0.0..=1.0).contains(&share));
            }
            let edges = column.quantile_edges(7);
            prop_assert!(edges.is_sorted());
            if let Some(shares) = column.bin_shares(&edges) {
                prop_assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-9);
            }
            prop_assert!(column.distinct().is_nan() || column.distinct() <= (column.rows() - column.nulls()) as f64);
        }
    }
}
