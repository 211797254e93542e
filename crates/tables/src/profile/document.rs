//! The stored form of a profile: JSON that people and other programs can read, with the states that merging needs.
//!
//! Figures that follow from the states (mean, quantiles, ...) are written for readers and not read back. The version
//! is the document's own: readers refuse a version they do not know, and profiles written by any release stay
//! readable.

use super::column::{ColumnProfile, Kind, State};
use super::distinct::Distinct;
use super::moments::Moments;
use super::numbers::{Numbers, Scale};
use super::quantiles::{Centroid, Digest};
use super::texts::Texts;
use super::values::{Counted, Sketch, Values};
use super::{Profile, TextLengths, hash};
use crate::error::{Error, Result};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// The version written.
const VERSION: u32 = 1;

/// No honest profile has more values or centroids in one column; a hostile one is refused before it costs memory.
const MAX_ITEMS: usize = 4_096;

/// Quantiles written for readers.
const SHOWN_QUANTILES: [(&str, f64); 9] = [
    ("p01", 0.01),
    ("p05", 0.05),
    ("p10", 0.1),
    ("p25", 0.25),
    ("p50", 0.5),
    ("p75", 0.75),
    ("p90", 0.9),
    ("p95", 0.95),
    ("p99", 0.99),
];

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ProfileDocument {
    version: u32,
    rows: u64,
    columns: Vec<ColumnDocument>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct ColumnDocument {
    name: String,
    #[serde(rename = "type")]
    type_name: String,
    kind: Kind,
    rows: u64,
    nulls: u64,
    /// For readers.
    #[serde(default, skip_deserializing)]
    distinct: Option<f64>,
    /// For readers.
    #[serde(default, skip_deserializing)]
    exact: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    numbers: Option<NumbersDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    texts: Option<TextsDocument>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trues: Option<u64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct NumbersDocument {
    scale: ScaleDocument,
    #[serde(default)]
    nans: u64,
    #[serde(default)]
    infinities: u64,
    moments: MomentsDocument,
    /// For readers.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    stddev: Option<f64>,
    /// For readers.
    #[serde(default, skip_deserializing, skip_serializing_if = "BTreeMap::is_empty")]
    quantiles: BTreeMap<&'static str, f64>,
    /// Frequent or all values, ascending: whole numbers, reals, or microseconds.
    values: Vec<(RawDocument, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sketch: Option<SketchDocument>,
    /// Centroids of the digest in base64: mean as little-endian `f64`, weight as LEB128.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    digest: Option<String>,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ScaleDocument {
    Real,
    Whole,
    Micros,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
#[serde(untagged)]
enum RawDocument {
    Whole(i64),
    Real(f64),
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct TextsDocument {
    empty: u64,
    /// Of the lengths in characters.
    moments: MomentsDocument,
    /// For readers.
    #[serde(default, skip_deserializing, skip_serializing_if = "Option::is_none")]
    lengths: Option<TextLengths>,
    /// Frequent or all texts, by count and then by text.
    values: Vec<(String, u64)>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sketch: Option<SketchDocument>,
}

/// JSON has no infinities: an absent figure is not finite.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct MomentsDocument {
    count: u64,
    mean: Option<f64>,
    m2: Option<f64>,
    min: Option<f64>,
    max: Option<f64>,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct SketchDocument {
    /// 4,096 registers of a HyperLogLog, six bits each, in base64.
    distinct: String,
    /// How much the counts of frequent values may be too low.
    count_error: u64,
}

impl From<Profile> for ProfileDocument {
    fn from(profile: Profile) -> Self {
        Self {
            version: VERSION,
            rows: profile.rows,
            columns: profile.columns.iter().map(write_column).collect(),
        }
    }
}

impl TryFrom<ProfileDocument> for Profile {
    type Error = Error;

    fn try_from(document: ProfileDocument) -> Result<Self> {
        if document.version != VERSION {
            return Err(invalid(format!(
                "version {} is not known here (this release reads {VERSION})",
                document.version
            )));
        }
        let rows = document.rows;
        let columns = document
            .columns
            .into_iter()
            .map(|column| {
                if column.rows != rows || column.nulls > rows {
                    return Err(invalid(format!(
                        "the rows of column \"{}\" do not add up",
                        column.name
                    )));
                }
                read_column(column)
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self { rows, columns })
    }
}

fn invalid(detail: impl Into<String>) -> Error {
    Error::InvalidProfile {
        detail: detail.into(),
    }
}

fn write_column(column: &ColumnProfile) -> ColumnDocument {
    let distinct = column.distinct();
    ColumnDocument {
        name: column.name.clone(),
        type_name: column.type_name.clone(),
        kind: column.kind,
        rows: column.rows,
        nulls: column.nulls,
        distinct: distinct.is_finite().then_some(distinct),
        exact: column.is_exact(),
        numbers: match &column.state {
            State::Numbers(numbers) => Some(write_numbers(column, numbers)),
            _ => None,
        },
        texts: match &column.state {
            State::Texts(texts) => Some(write_texts(column, texts)),
            _ => None,
        },
        trues: column.trues(),
    }
}

fn write_numbers(column: &ColumnProfile, numbers: &Numbers) -> NumbersDocument {
    let mut values: Vec<(RawDocument, u64)> = Vec::new();
    let mut entries: Vec<&Counted<u64>> = numbers.values.entries().map(|(_, entry)| entry).collect();
    entries.sort_unstable_by(|a, b| {
        numbers
            .scale
            .number(a.value)
            .total_cmp(&numbers.scale.number(b.value))
            .then(a.value.cmp(&b.value))
    });
    for entry in entries {
        let raw = match numbers.scale {
            Scale::Real => RawDocument::Real(f64::from_bits(entry.value)),
            Scale::Whole | Scale::Micros => RawDocument::Whole(entry.value as i64),
        };
        values.push((raw, entry.count));
    }
    let digest = numbers.digest.centroids();
    NumbersDocument {
        scale: match numbers.scale {
            Scale::Real => ScaleDocument::Real,
            Scale::Whole => ScaleDocument::Whole,
            Scale::Micros => ScaleDocument::Micros,
        },
        nans: numbers.nans,
        infinities: numbers.infinities,
        moments: write_moments(&numbers.moments),
        stddev: column.stddev().filter(|stddev| stddev.is_finite()),
        quantiles: SHOWN_QUANTILES
            .iter()
            .filter_map(|&(name, q)| Some((name, column.quantile(q)?)))
            .collect(),
        values,
        sketch: numbers.values.sketch().map(write_sketch),
        digest: (!digest.is_empty()).then(|| BASE64.encode(write_centroids(digest))),
    }
}

fn write_texts(column: &ColumnProfile, texts: &Texts) -> TextsDocument {
    let mut values: Vec<(String, u64)> = texts
        .values
        .entries()
        .map(|(_, entry)| (entry.value.to_string(), entry.count))
        .collect();
    values.sort_unstable_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    TextsDocument {
        empty: texts.empty,
        moments: write_moments(&texts.lengths),
        lengths: column.lengths(),
        values,
        sketch: texts.values.sketch().map(write_sketch),
    }
}

fn write_moments(moments: &Moments) -> MomentsDocument {
    let finite = |figure: f64| figure.is_finite().then_some(figure);
    MomentsDocument {
        count: moments.count,
        mean: finite(moments.mean),
        m2: finite(moments.m2),
        min: finite(moments.min),
        max: finite(moments.max),
    }
}

fn write_sketch(sketch: &Sketch) -> SketchDocument {
    SketchDocument {
        distinct: BASE64.encode(sketch.distinct.to_bytes()),
        count_error: sketch.error,
    }
}

fn write_centroids(centroids: &[Centroid]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(centroids.len() * 10);
    for centroid in centroids {
        bytes.extend_from_slice(&centroid.mean.to_le_bytes());
        let mut weight = centroid.weight;
        while weight >= 0x80 {
            bytes.push((weight as u8) | 0x80);
            weight >>= 7;
        }
        bytes.push(weight as u8);
    }
    bytes
}

fn read_column(document: ColumnDocument) -> Result<ColumnProfile> {
    let present = document.rows - document.nulls;
    let state = match document.kind {
        Kind::Integer | Kind::Real | Kind::Time => {
            let numbers = document
                .numbers
                .ok_or_else(|| missing(&document.name, "numbers"))?;
            State::Numbers(Box::new(read_numbers(document.kind, numbers, present)?))
        }
        Kind::Text => {
            let texts = document.texts.ok_or_else(|| missing(&document.name, "texts"))?;
            State::Texts(Box::new(read_texts(texts, present)?))
        }
        Kind::Boolean => {
            let trues = document.trues.ok_or_else(|| missing(&document.name, "trues"))?;
            if trues > present {
                return Err(invalid(format!(
                    "column \"{}\" has more trues than values",
                    document.name
                )));
            }
            State::Booleans { trues }
        }
        Kind::Other => State::Opaque,
    };
    Ok(ColumnProfile {
        name: document.name,
        type_name: document.type_name,
        kind: document.kind,
        rows: document.rows,
        nulls: document.nulls,
        state,
    })
}

fn missing(column: &str, part: &str) -> Error {
    invalid(format!("column \"{column}\" has no \"{part}\""))
}

fn read_numbers(kind: Kind, document: NumbersDocument, present: u64) -> Result<Numbers> {
    let scale = match document.scale {
        ScaleDocument::Real => Scale::Real,
        ScaleDocument::Whole => Scale::Whole,
        ScaleDocument::Micros => Scale::Micros,
    };
    if (kind == Kind::Time) != (scale == Scale::Micros) || (kind == Kind::Integer && scale == Scale::Real) {
        return Err(invalid("the scale does not fit the kind"));
    }
    let moments = read_moments(&document.moments)?;
    let accounted = moments
        .count
        .checked_add(document.nans)
        .and_then(|sum| sum.checked_add(document.infinities));
    if accounted != Some(present) {
        return Err(invalid("the values of a column do not add up"));
    }
    limit(document.values.len())?;
    let mut entries = Vec::with_capacity(document.values.len());
    for (raw, count) in document.values {
        let raw = match (scale, raw) {
            (Scale::Real, RawDocument::Real(real)) if real.is_finite() => real.to_bits(),
            (Scale::Real, RawDocument::Whole(whole)) => (whole as f64).to_bits(),
            (Scale::Whole | Scale::Micros, RawDocument::Whole(whole)) => whole as u64,
            _ => return Err(invalid("a value does not fit its scale")),
        };
        entries.push((scale.hash(raw), Counted { value: raw, count }));
    }
    let values = read_values(entries, document.sketch, moments.count)?;
    let digest = match document.digest {
        Some(text) => read_centroids(&text)?,
        None => Vec::new(),
    };
    let has_digest = !digest.is_empty();
    if has_digest == values.is_exact() {
        return Err(invalid("a digest belongs to a sketch and to nothing else"));
    }
    Ok(Numbers::from_parts(
        scale,
        moments,
        document.nans,
        document.infinities,
        values,
        Digest::from_centroids(digest),
    ))
}

fn read_texts(document: TextsDocument, present: u64) -> Result<Texts> {
    let lengths = read_moments(&document.moments)?;
    if lengths.count != present || document.empty > present {
        return Err(invalid("the texts of a column do not add up"));
    }
    limit(document.values.len())?;
    let entries = document.values.into_iter().map(|(text, count)| {
        let value: Box<str> = text.into();
        (hash::text(value.as_bytes()), Counted { value, count })
    });
    let values = read_values(entries.collect(), document.sketch, present)?;
    Ok(Texts::from_parts(lengths, document.empty, values))
}

fn read_values<V: Clone>(
    entries: Vec<(u64, Counted<V>)>,
    sketch: Option<SketchDocument>,
    present: u64,
) -> Result<Values<V>> {
    let mut counted = 0_u64;
    for (_, entry) in &entries {
        counted = counted
            .checked_add(entry.count)
            .ok_or_else(|| invalid("the counts of values overflow"))?;
    }
    let sketch = sketch.map(|sketch| read_sketch(&sketch)).transpose()?;
    if sketch.is_none() && (counted != present || entries.len() > super::values::EXACT_VALUES) {
        return Err(invalid("the counts of values do not add up"));
    }
    Ok(Values::from_parts(entries, sketch))
}

fn read_sketch(document: &SketchDocument) -> Result<Sketch> {
    let bytes = decode(&document.distinct)?;
    let distinct = Distinct::from_bytes(&bytes).ok_or_else(|| invalid("the distinct sketch is damaged"))?;
    Ok(Sketch {
        distinct,
        error: document.count_error,
    })
}

fn read_moments(document: &MomentsDocument) -> Result<Moments> {
    if document.count == 0 {
        return Ok(Moments::default());
    }
    let (Some(min), Some(max)) = (document.min, document.max) else {
        return Err(invalid("extremes are missing"));
    };
    if !(min.is_finite() && max.is_finite() && min <= max) {
        return Err(invalid("extremes are not in order"));
    }
    Ok(Moments {
        count: document.count,
        mean: document.mean.unwrap_or(f64::INFINITY),
        m2: document.m2.unwrap_or(f64::INFINITY).max(0.0),
        min,
        max,
    })
}

fn read_centroids(text: &str) -> Result<Vec<Centroid>> {
    let damaged = || invalid("the digest is damaged");
    let bytes = decode(text)?;
    let mut rest = bytes.as_slice();
    let mut centroids: Vec<Centroid> = Vec::new();
    let mut total = 0_u64;
    while !rest.is_empty() {
        let (mean, after) = rest.split_first_chunk::<8>().ok_or_else(damaged)?;
        let mean = f64::from_le_bytes(*mean);
        let (weight, after) = read_weight(after).ok_or_else(damaged)?;
        rest = after;
        total = total.checked_add(weight).ok_or_else(damaged)?;
        let sorted = centroids.last().is_none_or(|last| last.mean <= mean);
        if !mean.is_finite() || weight == 0 || !sorted {
            return Err(damaged());
        }
        centroids.push(Centroid { mean, weight });
        limit(centroids.len())?;
    }
    Ok(centroids)
}

/// One LEB128 number and what follows it.
fn read_weight(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut weight = 0_u64;
    for (index, &byte) in bytes.iter().enumerate().take(10) {
        let part = u64::from(byte & 0x7f);
        weight |= part
            .checked_shl(7 * index as u32)
            .filter(|shifted| shifted >> (7 * index) == part)?;
        if byte & 0x80 == 0 {
            return Some((weight, &bytes[index + 1..]));
        }
    }
    None
}

fn decode(text: &str) -> Result<Vec<u8>> {
    // Ten bytes a centroid, four letters for three bytes, and some room.
    if text.len() > MAX_ITEMS * 32 {
        return Err(invalid("a sketch is too long"));
    }
    BASE64.decode(text).map_err(|_| invalid("a sketch is not base64"))
}

fn limit(items: usize) -> Result<()> {
    if items > MAX_ITEMS {
        return Err(invalid(format!("a column has more than {MAX_ITEMS} values")));
    }
    Ok(())
}
