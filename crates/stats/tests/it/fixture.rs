//! Reading what `tests/fixtures/make.py` recorded.

use serde_json::Value;

/// A recorded file, by topic.
pub fn load(topic: &str) -> Value {
    let path = format!("{}/tests/fixtures/{topic}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    serde_json::from_str(&text).unwrap()
}

/// Numbers; `null` is NaN.
pub fn floats(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_f64().unwrap_or(f64::NAN))
        .collect()
}

pub fn counts(value: &Value) -> Vec<u64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item.as_u64().unwrap())
        .collect()
}

pub fn codes(value: &Value) -> Vec<u32> {
    counts(value)
        .into_iter()
        .map(|code| u32::try_from(code).unwrap())
        .collect()
}

pub fn flags(value: &Value) -> Vec<bool> {
    counts(value).into_iter().map(|code| code == 1).collect()
}

/// Agreement to 1e-9, relative to figures above 1.
#[track_caller]
pub fn agree(what: &str, got: f64, expected: f64) {
    within(what, got, expected, 1e-9);
}

#[track_caller]
pub fn within(what: &str, got: f64, expected: f64, tolerance: f64) {
    let bound = tolerance * expected.abs().max(1.0);
    assert!(
        (got - expected).abs() <= bound,
        "{what}: got {got:e}, recorded {expected:e}"
    );
}

/// Agreement of small p-values too: 1e-9 of themselves, down to 1e-290.
#[track_caller]
pub fn agree_relative(what: &str, got: f64, expected: f64, tolerance: f64) {
    let bound = tolerance * expected.abs().max(1e-290);
    assert!(
        (got - expected).abs() <= bound,
        "{what}: got {got:e}, recorded {expected:e}"
    );
}

/// Numbers in `[0, 1)` that `make.py` makes bit by bit alike (SplitMix64's finaliser over a counter).
pub fn hashed(n: usize, seed: u64) -> Vec<f64> {
    let one = |i: u64| {
        let z = i.wrapping_add(seed << 32).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..n as u64).map(one).collect()
}
