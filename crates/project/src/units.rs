//! Spans, shares and percentages: numbers that carry their unit in the file.

use crate::decode::{Cx, Decode};
use crate::node::{Kind, Node};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{deserialize_by_decode, number};
use crate::text::{Text, Wrong, text_type};
use everloop_core::ByteSize;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// A span of time, in whole microseconds, at most a hundred years: `500us`, `5ms`, `30s`, `10m`, `12h`, `1d`, `2w`,
/// and joined, `1h30m`. Unlike `everloop_core::format_duration` it prints exactly what was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

const UNITS: [(&str, u64); 7] = [
    ("w", 604_800_000_000),
    ("d", 86_400_000_000),
    ("h", 3_600_000_000),
    ("m", 60_000_000),
    ("s", 1_000_000),
    ("ms", 1_000),
    ("us", 1),
];
const LONGEST_DAYS: u64 = 36_500;

impl Span {
    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// The span as the standard library has it.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl From<Span> for Duration {
    fn from(span: Span) -> Self {
        span.0
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_micros()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        // Weeks are read but not printed: `7d` says the same and is what people expect to see again.
        for (unit, size) in UNITS.iter().skip(1) {
            if rest >= *size {
                write!(f, "{}{unit}", rest / size)?;
                rest %= size;
            }
        }
        Ok(())
    }
}

impl Text for Span {
    const WHAT: &'static str = "duration";
    const EXPECTED: &'static str =
        "a number with a unit (us, ms, s, m, h, d, w), such as 5ms, 30s, 10m, 12h or 1h30m";
    const PATTERN: &'static str = r"^\s*([0-9]+(\.[0-9]+)?\s*(us|µs|ms|s|m|min|h|d|w)\s*)+$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if text.is_empty() {
            return Err(Wrong::because("it is empty"));
        }
        let mut rest = text;
        let mut micros = 0.0_f64;
        while !rest.is_empty() {
            let (part, after) = one_part(rest)?;
            micros += part;
            rest = after;
        }
        let longest = (LONGEST_DAYS * UNITS[1].1) as f64;
        if micros > longest {
            return Err(Wrong::because("it is longer than a hundred years"));
        }
        Ok(Self(Duration::from_micros(micros.round() as u64)))
    }

    fn from_number(number: f64) -> Option<Result<Self, Wrong>> {
        Some(Err(
            Wrong::because("it has no unit").hint(format!("write {number}s for seconds"))
        ))
    }
}

/// The microseconds of the first part of `text`, and what follows it.
fn one_part(text: &str) -> Result<(f64, &str), Wrong> {
    let digits = text
        .find(|c: char| !(c.is_ascii_digit() || c == '.'))
        .unwrap_or(text.len());
    let number: f64 = text[..digits]
        .parse()
        .map_err(|_| Wrong::because(format!("{} does not start with a number", quoted(text))))?;
    let rest = &text[digits..];
    let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
    let unit = match rest[..end].trim() {
        "min" => "m",
        "µs" => "us",
        unit => unit,
    };
    match UNITS.iter().find(|(name, _)| *name == unit) {
        Some((_, size)) => Ok((number * *size as f64, &rest[end..])),
        None if unit.is_empty() => {
            Err(Wrong::because("a number has no unit")
                .hint(format!("write {}s for seconds", &text[..digits])))
        }
        None => Err(Wrong::because(format!("unknown unit {}", quoted(unit)))),
    }
}

text_type!(Span);

/// A part of a whole, from 0 to 1. Written `0.95` or `95%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Share(f64);

/// A percentage above 0 and at most 100. Written `5` or `5%`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd, Serialize)]
#[serde(transparent)]
pub struct Percent(f64);

impl Share {
    /// All of it.
    pub const ALL: Self = Self(1.0);

    /// A share.
    ///
    /// # Panics
    /// When `value` does not lie between 0 and 1.
    #[must_use]
    pub const fn new(value: f64) -> Self {
        assert!(value >= 0.0 && value <= 1.0, "a share lies between 0 and 1");
        Self(value)
    }

    /// What is left of the whole, to twelve digits (so that what remains of 0.1 is 0.9).
    #[must_use]
    pub fn complement(self) -> Self {
        Self((((1.0 - self.0) * 1e12).round() / 1e12).clamp(0.0, 1.0))
    }

    /// The share, from 0 to 1.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

impl Percent {
    /// All of it.
    pub const ALL: Self = Self(100.0);

    /// The percentage, from 0 (excluded) to 100.
    #[must_use]
    pub const fn get(self) -> f64 {
        self.0
    }
}

/// The number before a percent sign.
fn percent_text(text: &str) -> Option<f64> {
    let number = text.trim().strip_suffix('%')?.trim_end();
    number.parse().ok().filter(|value: &f64| value.is_finite())
}

/// The share that a percentage means. Shifted in decimal, so that 99.9% is 0.999 and not the double beside it.
pub(crate) fn share_text(text: &str) -> Option<f64> {
    let percent = percent_text(text)?;
    let digits = text.trim().trim_end_matches('%').trim_end();
    let shifted = format!("{digits}e-2").parse();
    Some(shifted.unwrap_or(percent / 100.0))
}

impl Decode for Share {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const EXPECTED: &str = "a share between 0 and 1, such as 0.95 or 95%";
        if let Kind::Text(text) = &node.kind {
            if let Some(share) = share_text(text).filter(|share| (0.0..=1.0).contains(share)) {
                return Some(Self(share));
            }
            cx.bad_value(node, "not a valid share", EXPECTED);
            return None;
        }
        let share = number(node, EXPECTED, cx, |_| true)?;
        if (0.0..=1.0).contains(&share) {
            return Some(Self(share));
        }
        let hint = (1.0..=100.0)
            .contains(&share)
            .then(|| format!("write {share}% for percent"));
        cx.push(
            Problem::new(ProblemKind::BadValue, node.at, "not a valid share")
                .found(node.describe())
                .expected(EXPECTED)
                .maybe_hint(hint),
        );
        None
    }
}

impl Decode for Percent {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        const EXPECTED: &str = "a percentage above 0 and at most 100, such as 5 or 5%";
        let value = match &node.kind {
            Kind::Text(text) => percent_text(text),
            Kind::Int(value) => Some(*value as f64),
            Kind::Float(value) => Some(*value),
            _ => {
                cx.wrong_type(node, EXPECTED);
                return None;
            }
        };
        let Some(value) = value.filter(|value| *value > 0.0 && *value <= 100.0) else {
            cx.bad_value(node, "not a valid percentage", EXPECTED);
            return None;
        };
        Some(Self(value))
    }
}

deserialize_by_decode!(Share, Percent);

const PERCENT_PATTERN: &str = r"^\s*[0-9.]+\s*%\s*$";

impl JsonSchema for Share {
    fn schema_name() -> Cow<'static, str> {
        "Share".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A share of the whole: a number from 0 to 1, or a percentage such as 95%.",
            "type": ["number", "string"],
            "minimum": 0,
            "maximum": 1,
            "pattern": PERCENT_PATTERN,
        })
    }
}

impl JsonSchema for Percent {
    fn schema_name() -> Cow<'static, str> {
        "Percent".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A percentage above 0 and at most 100: 5 or 5%.",
            "type": ["number", "string"],
            "exclusiveMinimum": 0,
            "maximum": 100,
            "pattern": PERCENT_PATTERN,
        })
    }
}

/// An amount of memory. Written `512MiB`, `4GiB` (powers of 1024), `1GB` (powers of 1000), or as plain bytes.
///
/// Prints with the largest unit that divides it, so that nothing is rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory(pub ByteSize);

impl fmt::Display for Memory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        let bytes = self.0.0;
        match UNITS
            .iter()
            .find(|(_, size)| bytes >= *size && bytes.is_multiple_of(*size))
        {
            Some((unit, size)) => write!(f, "{}{unit}", bytes / size),
            None => write!(f, "{bytes}B"),
        }
    }
}

impl Text for Memory {
    const WHAT: &'static str = "size";
    const EXPECTED: &'static str = "a number of bytes with a unit, such as 512MiB or 4GiB";
    const PATTERN: &'static str = r"^\s*[0-9.]+\s*(B|Ki|KiB|Mi|MiB|Gi|GiB|Ti|TiB|kB|KB|MB|GB|TB)?\s*$";
    const NUMBERS: bool = true;

    fn parse(text: &str) -> Result<Self, Wrong> {
        let size: ByteSize = text.parse().map_err(|_| Wrong::default())?;
        if size.0 == 0 {
            return Err(Wrong::because("it is zero"));
        }
        Ok(Self(size))
    }

    fn from_number(number: f64) -> Option<Result<Self, Wrong>> {
        let whole = number.fract() == 0.0 && (1.0..9e15).contains(&number);
        Some(if whole {
            Ok(Self(ByteSize(number as u64)))
        } else {
            Err(Wrong::because("it is not a whole number of bytes"))
        })
    }
}

text_type!(Memory);

/// A name as the house allows it, for schemas only.
pub(crate) struct NameText;

impl JsonSchema for NameText {
    fn schema_name() -> Cow<'static, str> {
        "Name".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A name: letters, digits, \"_\", \"-\" and \".\"; it starts with a letter, a digit or \"_\".",
            "type": "string",
            "maxLength": 128,
            "pattern": "^[A-Za-z0-9_][A-Za-z0-9_.-]*$",
        })
    }
}
