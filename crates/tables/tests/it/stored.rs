//! The stored form of profiles: readable, versioned, refused when it lies.

use crate::profile::{batch, uniform};
use everloop_core::{Code, Coded};
use everloop_tables::arrow::array::{ArrayRef, Float64Array, StringArray};
use everloop_tables::{Error, Profile, ProfileBuilder, ProfileOptions};
use serde_json::{Value, json};
use std::sync::Arc;

fn profile() -> Profile {
    let many: Float64Array = uniform(5_000, 1).map(Some).collect();
    let few: StringArray = uniform(5_000, 2)
        .map(|u| Some(if u < 0.3 { "JFK" } else { "EWR" }))
        .collect();
    let rows = batch(vec![("many", Arc::new(many) as ArrayRef), ("few", Arc::new(few))]);
    let mut builder = ProfileBuilder::new(&rows.schema(), &ProfileOptions::default()).unwrap();
    builder.push(&rows).unwrap();
    builder.finish()
}

#[test]
fn people_can_read_it() {
    let document = serde_json::to_value(profile()).unwrap();
    assert_eq!(document["version"], 1);
    assert_eq!(document["rows"], 5_000);
    let many = &document["columns"][0];
    assert_eq!(
        (
            many["name"].as_str(),
            many["type"].as_str(),
            many["kind"].as_str()
        ),
        (Some("many"), Some("Float64"), Some("real"))
    );
    let median = many["numbers"]["quantiles"]["p50"].as_f64().unwrap();
    assert!((median - 0.5).abs() < 0.03, "{median}");
    let few = &document["columns"][1];
    assert_eq!(few["texts"]["values"][0][0], "EWR");
    assert_eq!(few["exact"], true);
}

#[test]
fn a_column_takes_kilobytes_however_many_rows() {
    let length = serde_json::to_string(&profile()).unwrap().len();
    assert!(length < 24 << 10, "{length}");
}

/// Written by the first release. It stays readable, with these figures, for ever.
#[test]
fn profiles_of_every_release_are_read() {
    let stored = include_str!("../data/profile-v1.json");
    let profile = Profile::from_json(stored).unwrap();
    assert_eq!((profile.rows(), profile.columns().len()), (5_000, 2));
    let many = profile.column("many").unwrap();
    assert_eq!((many.is_exact(), many.distinct().round()), (false, V1_DISTINCT));
    assert!(
        (many.quantile(0.5).unwrap() - V1_MEDIAN).abs() < 1e-12,
        "{:?}",
        many.quantile(0.5)
    );
    let few = profile.column("few").unwrap();
    assert_eq!(few.share_of("JFK"), V1_JFK);
    // It still merges with what is profiled today: the same rows change no set of values.
    let mut merged = profile.clone();
    merged.merge(&self::profile()).unwrap();
    assert_eq!(
        merged.column("many").unwrap().distinct(),
        many.distinct(),
        "hashes have not changed"
    );
    assert_eq!(merged.column("few").unwrap().share_of("JFK"), V1_JFK);
}

const V1_DISTINCT: f64 = 4962.0;
const V1_MEDIAN: f64 = 0.5047462480345437;
const V1_JFK: f64 = 0.2968;

fn refused(change: impl Fn(&mut Value)) {
    let mut document = serde_json::to_value(profile()).unwrap();
    change(&mut document);
    let read: Result<Profile, _> = serde_json::from_value(document);
    assert!(read.is_err());
}

#[test]
fn lies_are_refused() {
    refused(|document| document["version"] = json!(2));
    refused(|document| document["rows"] = json!(4_999));
    refused(|document| document["columns"][0]["nulls"] = json!(5_001));
    refused(|document| document["columns"][0]["numbers"]["nans"] = json!(1));
    refused(|document| document["columns"][0]["numbers"]["digest"] = json!("AAAA"));
    refused(|document| document["columns"][0]["numbers"]["digest"] = json!("not base64!"));
    refused(|document| document["columns"][0]["numbers"]["digest"] = json!("A".repeat(1 << 20)));
    refused(|document| document["columns"][0]["numbers"]["digest"] = json!(null));
    refused(|document| document["columns"][0]["numbers"]["sketch"]["distinct"] = json!("/".repeat(4_096)));
    refused(|document| document["columns"][0]["numbers"]["scale"] = json!("micros"));
    refused(|document| document["columns"][0]["numbers"]["moments"]["min"] = json!(null));
    refused(|document| document["columns"][1]["texts"]["values"][0][1] = json!(u64::MAX));
    refused(|document| document["columns"][1]["texts"]["values"] = json!([["x", 1]]));
    refused(|document| document["columns"][1]["texts"] = json!(null));
    let many: Vec<Value> = (0..10_000).map(|i| json!([format!("{i}"), 1])).collect();
    refused(|document| document["columns"][1]["texts"]["values"] = json!(many));
}

#[test]
fn the_reason_is_a_typed_error() {
    let mut document = serde_json::to_value(profile()).unwrap();
    document["version"] = json!(9);
    let text = document.to_string();
    let error = Profile::from_json(&text).unwrap_err();
    assert!(
        matches!(&error, Error::InvalidProfile { detail } if detail.contains("version 9")),
        "{error:?}"
    );
    assert_eq!(error.code(), Code::DataLoss);
    assert!(Profile::from_json("{").is_err());
    assert_eq!(Profile::from_json(&profile().to_json()).unwrap().rows(), 5_000);
}
