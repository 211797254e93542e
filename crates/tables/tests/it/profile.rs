//! Profiles against exact computation, over files and batches.

use crate::support::{Folder, flights, tables, tables_with, write_flights};
use everloop_tables::arrow::array::{
    ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array, Float64Array,
    Int64Array, ListArray, NullArray, RecordBatch, StringArray, StringViewArray, TimestampMicrosecondArray,
    TimestampSecondArray, UInt64Array,
};
use everloop_tables::arrow::datatypes::{Int8Type, Int32Type};
use everloop_tables::{Error, Kind, Profile, ProfileBuilder, ProfileOptions, Source, Tables, TablesOptions};
use std::sync::Arc;

/// A repeatable stream of numbers in [0, 1).
pub fn uniform(n: usize, seed: u64) -> impl Iterator<Item = f64> {
    let mut state = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
    (0..n).map(move |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        ((state >> 11) as f64) / (1_u64 << 53) as f64
    })
}

pub fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn profile_of(batches: &[RecordBatch]) -> Profile {
    let mut builder = ProfileBuilder::new(&batches[0].schema(), &ProfileOptions::default()).unwrap();
    batches.iter().for_each(|batch| builder.push(batch).unwrap());
    builder.finish()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * a.abs().max(1.0)
}

#[tokio::test]
async fn few_values_give_exact_figures() {
    let values: Vec<Option<f64>> = uniform(5_000, 7)
        .map(|u| (u > 0.1).then(|| (u * 40.0).floor() / 4.0))
        .collect();
    let column: Float64Array = values.iter().copied().collect();
    let profile = profile_of(&[batch(vec![("x", Arc::new(column))])]);
    let x = profile.column("x").unwrap();
    let mut present: Vec<f64> = values.into_iter().flatten().collect();
    present.sort_by(f64::total_cmp);
    let n = present.len() as f64;
    let mean = present.iter().sum::<f64>() / n;
    let variance = present.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0);
    assert!(x.is_exact());
    assert_eq!(
        (x.kind(), x.rows(), x.nulls()),
        (Kind::Real, 5_000, 5_000 - present.len() as u64)
    );
    assert_eq!(
        (x.min(), x.max()),
        (present.first().copied(), present.last().copied())
    );
    assert!(close(x.mean().unwrap(), mean) && close(x.variance().unwrap(), variance));
    let mut distinct = present.clone();
    distinct.dedup();
    assert_eq!(x.distinct(), distinct.len() as f64);
    for q in [0.0, 0.01, 0.25, 0.5, 0.77, 0.99, 1.0] {
        let rank = q * (n - 1.0);
        let (low, high) = (present[rank.floor() as usize], present[rank.ceil() as usize]);
        let expected = low + (high - low) * rank.fract();
        assert!(close(x.quantile(q).unwrap(), expected), "{q}");
    }
    for at in [-1.0, 0.5, 3.3, 7.75, 100.0] {
        let expected = present.iter().filter(|&&v| v <= at).count() as f64 / n;
        assert_eq!(x.cdf(at), Some(expected), "{at}");
    }
    assert!(close(x.null_share(), 1.0 - n / 5_000.0));
    let top = &x.top(1)[0];
    let count = present.iter().filter(|v| v.to_string() == top.value).count() as u64;
    assert_eq!(
        (top.count, x.share_of(&top.value)),
        (count, count as f64 / 5_000.0)
    );
}

#[tokio::test]
async fn many_values_give_close_figures() {
    let values: Vec<f64> = uniform(300_000, 3)
        .map(|u| (-(1.0 - u).ln()).powi(2) * 50.0)
        .collect();
    let batches: Vec<_> = values
        .chunks(8_192)
        .map(|part| {
            batch(vec![(
                "x",
                Arc::new(Float64Array::from(part.to_vec())) as ArrayRef,
            )])
        })
        .collect();
    let profile = profile_of(&batches);
    let x = profile.column("x").unwrap();
    let mut sorted = values;
    sorted.sort_by(f64::total_cmp);
    assert!(!x.is_exact());
    assert!((x.distinct() / 300_000.0 - 1.0).abs() < 0.065, "{}", x.distinct());
    for i in 1..100 {
        let q = f64::from(i) / 100.0;
        let estimate = x.quantile(q).unwrap();
        let rank = sorted.partition_point(|&v| v <= estimate) as f64 / 300_000.0;
        assert!((rank - q).abs() < 0.005, "{q}: {rank}");
        assert!((x.cdf(sorted[3_000 * i as usize]).unwrap() - q).abs() < 0.005);
    }
    assert!(x.top(10).is_empty(), "no value is frequent");
}

#[tokio::test]
async fn millions_of_rows_are_thinned_within_the_promised_error() {
    let mut builder: Option<ProfileBuilder> = None;
    let rows = 3_000_000;
    let mut state = uniform(rows, 11);
    let mut below = [0_u64; 9];
    loop {
        let part: Vec<f64> = state.by_ref().take(65_536).map(|u| u * u).collect();
        if part.is_empty() {
            break;
        }
        for (index, count) in below.iter_mut().enumerate() {
            let edge = (index as f64 + 1.0) / 10.0;
            *count += part.iter().filter(|&&v| v <= edge).count() as u64;
        }
        let batch = batch(vec![("x", Arc::new(Float64Array::from(part)) as ArrayRef)]);
        builder
            .get_or_insert_with(|| ProfileBuilder::new(&batch.schema(), &ProfileOptions::default()).unwrap())
            .push(&batch)
            .unwrap();
    }
    let profile = builder.unwrap().finish();
    let x = profile.column("x").unwrap();
    assert_eq!(x.rows(), rows as u64);
    for (index, &count) in below.iter().enumerate() {
        let edge = (index as f64 + 1.0) / 10.0;
        let error = x.cdf(edge).unwrap() - count as f64 / rows as f64;
        assert!(error.abs() < 0.005, "{edge}: {error}");
    }
}

#[tokio::test]
async fn a_frequent_value_among_many_is_found() {
    let texts: StringArray = uniform(60_000, 5)
        .enumerate()
        .map(|(i, u)| {
            Some(if u < 0.2 {
                "same".to_owned()
            } else {
                format!("user{i}@example.com")
            })
        })
        .collect();
    let truth = texts.iter().flatten().filter(|text| *text == "same").count() as u64;
    let profile = profile_of(&[batch(vec![("t", Arc::new(texts))])]);
    let t = profile.column("t").unwrap();
    let top = t.top(10);
    assert_eq!(top.len(), 1, "identifiers are not kept: {top:?}");
    assert_eq!(top[0].value, "same");
    assert!(top[0].count <= truth && top[0].count + t.count_error() >= truth);
    assert_eq!(t.share_of("user7@example.com"), 0.0);
}

#[tokio::test]
async fn each_type_has_its_kind() {
    let dictionary: DictionaryArray<Int8Type> = [Some("a"), None, Some("b"), Some("a")].into_iter().collect();
    let numbers = DictionaryArray::<Int8Type>::new(
        vec![Some(0), Some(1), Some(1), None].into(),
        Arc::new(Int64Array::from(vec![10, 20])),
    );
    let list =
        ListArray::from_iter_primitive::<Int32Type, _, _>([Some(vec![Some(1)]), None, None, Some(vec![])]);
    let rows = batch(vec![
        (
            "int",
            Arc::new(Int64Array::from(vec![Some(i64::MAX), Some(-1), None, Some(-1)])),
        ),
        (
            "big",
            Arc::new(UInt64Array::from(vec![Some(u64::MAX), None, Some(1), Some(1)])),
        ),
        (
            "real",
            Arc::new(Float32Array::from(vec![
                Some(0.5),
                Some(f32::NAN),
                Some(f32::INFINITY),
                None,
            ])),
        ),
        (
            "money",
            Arc::new(
                Decimal128Array::from(vec![100, 250, 250, 100])
                    .with_precision_and_scale(9, 2)
                    .unwrap(),
            ),
        ),
        (
            "when",
            Arc::new(TimestampMicrosecondArray::from(vec![
                Some(1_500_000),
                None,
                Some(-500),
                Some(0),
            ])),
        ),
        (
            "day",
            Arc::new(Date32Array::from(vec![Some(1), Some(2), None, None])),
        ),
        (
            "flag",
            Arc::new(BooleanArray::from(vec![
                Some(true),
                Some(false),
                None,
                Some(true),
            ])),
        ),
        (
            "text",
            Arc::new(StringViewArray::from(vec![
                Some("é"),
                Some(""),
                None,
                Some("long enough for a view"),
            ])),
        ),
        ("code", Arc::new(dictionary)),
        ("coded", Arc::new(numbers)),
        ("list", Arc::new(list)),
        ("none", Arc::new(NullArray::new(4))),
    ]);
    let profile = profile_of(&[rows]);
    let column = |name: &str| profile.column(name).unwrap();
    let kinds: Vec<Kind> = profile.columns().iter().map(|column| column.kind()).collect();
    use Kind::{Boolean, Integer, Other, Real, Text, Time};
    assert_eq!(
        kinds,
        [
            Integer, Real, Real, Real, Time, Time, Boolean, Text, Text, Integer, Other, Other
        ]
    );
    assert_eq!(column("int").top(1)[0].value, "-1");
    assert_eq!(column("int").share_of(&i64::MAX.to_string()), 0.25);
    assert_eq!(column("big").max(), Some(u64::MAX as f64));
    assert_eq!(
        (
            column("real").nans(),
            column("real").infinities(),
            column("real").max()
        ),
        (1, 1, Some(0.5))
    );
    assert_eq!(column("money").mean(), Some(1.75));
    assert_eq!(
        (column("when").min(), column("when").max()),
        (Some(-0.5), Some(1_500.0))
    );
    assert_eq!(column("when").share_of("1970-01-01T00:00:00.000Z"), 0.25);
    assert_eq!(column("day").max(), Some(172_800_000.0));
    assert_eq!(
        (column("flag").trues(), column("flag").share_of("false")),
        (Some(2), 0.25)
    );
    assert_eq!(column("flag").mean(), Some(2.0 / 3.0));
    let lengths = column("text").lengths().unwrap();
    assert_eq!((lengths.min, lengths.max, lengths.empty), (0, 22, 1));
    assert_eq!(
        (
            column("code").distinct(),
            column("code").nulls(),
            column("code").share_of("a")
        ),
        (2.0, 1, 0.5)
    );
    assert_eq!(
        (column("coded").mean(), column("coded").nulls()),
        (Some(50.0 / 3.0), 1)
    );
    assert_eq!((column("list").nulls(), column("none").nulls()), (2, 4));
    assert!(column("none").quantile(0.5).is_none() && column("text").quantile(0.5).is_none());
}

#[tokio::test]
async fn times_of_different_units_merge() {
    let micros = TimestampMicrosecondArray::from(vec![1_364_774_400_000_000, 0]);
    let seconds = TimestampSecondArray::from(vec![1_364_774_400, 60]);
    let mut profile = profile_of(&[batch(vec![("at", Arc::new(micros))])]);
    profile
        .merge(&profile_of(&[batch(vec![("at", Arc::new(seconds))])]))
        .unwrap();
    let at = profile.column("at").unwrap();
    assert_eq!((at.distinct(), at.max()), (3.0, Some(1_364_774_400_000.0)));
    assert_eq!(at.top(1)[0].value, "2013-04-01T00:00:00.000Z");
}

#[tokio::test]
async fn integers_and_reals_join_and_texts_do_not() {
    let whole = profile_of(&[batch(vec![("x", Arc::new(Int64Array::from(vec![1, 2, 2])))])]);
    let real = profile_of(&[batch(vec![("x", Arc::new(Float64Array::from(vec![2.0, 2.5])))])]);
    let none = profile_of(&[batch(vec![("x", Arc::new(NullArray::new(3)))])]);
    let text = profile_of(&[batch(vec![("x", Arc::new(StringArray::from(vec!["2"])))])]);
    for (mut a, b) in [(whole.clone(), &real), (real.clone(), &whole)] {
        a.merge(b).unwrap();
        a.merge(&none).unwrap();
        let x = a.column("x").unwrap();
        assert_eq!(
            (x.kind(), x.rows(), x.nulls(), x.distinct()),
            (Kind::Real, 8, 3, 3.0)
        );
        assert_eq!(x.share_of("2"), 3.0 / 8.0);
    }
    let mut first = none.clone();
    first.merge(&whole).unwrap();
    assert_eq!(first.column("x").unwrap().kind(), Kind::Integer);
    let mut kept = whole.clone();
    let error = kept.merge(&text).unwrap_err();
    assert!(matches!(error, Error::DifferentColumns { .. }), "{error:?}");
    assert_eq!(kept.rows(), 3, "nothing changed");
}

#[tokio::test]
async fn bins_for_drift_sum_to_one_and_hold_equal_shares() {
    let values: Float64Array = uniform(50_000, 9).map(|u| Some(u * u * 10.0)).collect();
    let profile = profile_of(&[batch(vec![("x", Arc::new(values))])]);
    let x = profile.column("x").unwrap();
    let edges = x.quantile_edges(10);
    assert_eq!(edges.len(), 9);
    let shares = x.bin_shares(&edges).unwrap();
    assert!(close(shares.iter().sum(), 1.0));
    assert!(
        shares.iter().all(|share| (share - 0.1).abs() < 0.005),
        "{shares:?}"
    );
    let histogram = x.histogram(20);
    assert_eq!(histogram.len(), 20);
    assert!(close(histogram.iter().map(|bin| bin.share).sum(), 1.0));
    assert_eq!(
        (histogram[0].from, histogram[19].to),
        (x.min().unwrap(), x.max().unwrap())
    );
    assert!(histogram[0].share > 0.2, "squares crowd near zero");
}

#[tokio::test]
async fn categories_others_and_nulls_sum_to_one() {
    let texts: StringArray = (0..100)
        .map(|i| match i % 10 {
            0 => None,
            1..=3 => Some("EWR"),
            4..=8 => Some("JFK"),
            _ => Some("XXX"),
        })
        .collect();
    let profile = profile_of(&[batch(vec![("dest", Arc::new(texts))])]);
    let shares = profile
        .column("dest")
        .unwrap()
        .category_shares(&["JFK", "EWR", "LGA"]);
    assert_eq!(shares.shares, [0.5, 0.3, 0.0]);
    assert!(close(shares.other, 0.1) && close(shares.null, 0.1), "{shares:?}");
}

#[tokio::test]
async fn columns_without_spread_have_one_bin() {
    let constant = Arc::new(Float64Array::from(vec![4.0; 10]));
    let empty = Arc::new(Float64Array::from(vec![None; 10]));
    let skewed: Float64Array = (0..100)
        .map(|i| Some(if i < 95 { 0.0 } else { f64::from(i) }))
        .collect();
    let rows = batch(vec![("c", constant), ("e", empty)]);
    let profile = profile_of(&[rows]);
    let c = profile.column("c").unwrap();
    assert!(c.quantile_edges(10).is_empty());
    assert_eq!(c.bin_shares(&[]), Some(vec![1.0]));
    assert_eq!(c.histogram(5).len(), 1);
    let e = profile.column("e").unwrap();
    assert!(
        e.histogram(5).is_empty()
            && e.bin_shares(&[]).is_none()
            && e.mean().is_none()
            && e.variance().is_none()
    );
    let profile = profile_of(&[batch(vec![("s", Arc::new(skewed))])]);
    let s = profile.column("s").unwrap();
    let edges = s.quantile_edges(10);
    assert_eq!(edges, [0.0]);
    assert_eq!(s.bin_shares(&edges).unwrap(), [0.95, 0.050000000000000044]);
}

#[tokio::test]
async fn files_and_batches_and_threads_give_the_same_profile() {
    let folder = Folder::new();
    for file in 0..5 {
        write_flights(
            &tables(),
            &folder.file(&format!("{file}.parquet")),
            file * 40_000,
            40_000,
        )
        .await;
    }
    let source = Source::paths([folder.glob("*.parquet")]);
    let mut first = None;
    for threads in [1, 2, 5] {
        let tables = Tables::new(TablesOptions {
            threads,
            ..TablesOptions::default()
        })
        .unwrap();
        let text = serde_json::to_string(&tables.profile(source.clone()).await.unwrap()).unwrap();
        assert!(
            *first.get_or_insert_with(|| text.clone()) == text,
            "{threads} threads"
        );
    }
    let whole = profile_of(&[flights(0, 200_000)]);
    let parts: Profile = serde_json::from_str(&first.unwrap()).unwrap();
    for column in whole.columns() {
        let same = parts.column(column.name()).unwrap();
        assert_eq!(
            (column.rows(), column.nulls(), column.min()),
            (same.rows(), same.nulls(), same.min())
        );
        assert_eq!(column.distinct(), same.distinct());
        assert!(close(column.mean().unwrap_or(0.0), same.mean().unwrap_or(0.0)));
    }
}

#[tokio::test]
async fn a_source_without_rows_has_a_profile() {
    let folder = Folder::new();
    let tables = tables();
    write_flights(&tables, &folder.file("none.parquet"), 0, 0).await;
    let profile = tables
        .profile(Source::paths([folder.glob("none.parquet")]))
        .await
        .unwrap();
    assert_eq!((profile.rows(), profile.columns().len()), (0, 3));
    let delay = profile.column("delay").unwrap();
    assert_eq!(
        (delay.min(), delay.null_share(), delay.distinct()),
        (None, 0.0, 0.0)
    );
}

#[tokio::test]
async fn only_the_columns_asked_for_are_read() {
    let tables = tables_with(TablesOptions::default());
    let options = ProfileOptions {
        columns: Some(vec!["dest".to_owned(), "id".to_owned()]),
    };
    let source = Source::batches(vec![flights(0, 10)]);
    let profile = tables.profile_with(source.clone(), options).await.unwrap();
    let names: Vec<_> = profile.columns().iter().map(|column| column.name()).collect();
    assert_eq!(names, ["id", "dest"]);
    let unknown = ProfileOptions {
        columns: Some(vec!["dset".to_owned()]),
    };
    let error = tables.profile_with(source, unknown).await.unwrap_err();
    assert_eq!(
        everloop_core::Coded::hint(&error).unwrap(),
        "did you mean \"dest\"?"
    );
}

#[tokio::test]
async fn a_batch_of_another_schema_is_refused() {
    let first = batch(vec![("x", Arc::new(Int64Array::from(vec![1])) as ArrayRef)]);
    let mut builder = ProfileBuilder::new(&first.schema(), &ProfileOptions::default()).unwrap();
    builder.push(&first).unwrap();
    let other = batch(vec![("x", Arc::new(StringArray::from(vec!["1"])) as ArrayRef)]);
    assert!(matches!(
        builder.push(&other),
        Err(Error::DifferentColumns { .. })
    ));
}
