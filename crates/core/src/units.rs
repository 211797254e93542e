//! Values with units, as people write them: `30s`, `12h`, `64MiB`.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// The text is not a number with a known unit.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not a {kind}: expected a number with a unit, such as {examples}")]
pub struct InvalidUnit {
    found: String,
    kind: &'static str,
    examples: &'static str,
}

/// Parses a span: `250ms`, `30s`, `10m`, `12h`, `1d`, `2w`; parts may be joined (`1h30m`).
///
/// # Errors
/// When a part lacks a number or a known unit, or the sum does not fit.
pub fn parse_duration(text: &str) -> Result<Duration, InvalidUnit> {
    let wrong = || InvalidUnit {
        found: text.chars().take(80).collect(),
        kind: "duration",
        examples: "250ms, 30s, 10m, 12h, 1d",
    };
    let mut rest = text.trim();
    if rest.is_empty() {
        return Err(wrong());
    }
    let mut millis = 0.0_f64;
    while !rest.is_empty() {
        let digits = rest
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .ok_or_else(wrong)?;
        let number: f64 = rest[..digits].parse().map_err(|_| wrong())?;
        rest = &rest[digits..];
        let unit_end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let factor = match rest[..unit_end].trim() {
            "ms" => 1.0,
            "s" => 1e3,
            "m" | "min" => 60e3,
            "h" => 3_600e3,
            "d" => 86_400e3,
            "w" => 7.0 * 86_400e3,
            _ => return Err(wrong()),
        };
        millis += number * factor;
        rest = &rest[unit_end..];
    }
    // A hundred thousand years is longer than any plan and still fits everywhere.
    if millis.is_finite() && millis < 3.2e15 {
        Ok(Duration::from_millis(millis as u64))
    } else {
        Err(wrong())
    }
}

/// The largest whole unit and one finer one: `1d`, `1h30m`, `250ms`.
#[must_use]
pub fn format_duration(span: Duration) -> String {
    const UNITS: [(&str, u128); 5] = [
        ("d", 86_400_000),
        ("h", 3_600_000),
        ("m", 60_000),
        ("s", 1_000),
        ("ms", 1),
    ];
    let millis = span.as_millis();
    let Some(first) = UNITS.iter().position(|(_, size)| millis >= *size) else {
        return "0s".to_owned();
    };
    let (unit, size) = UNITS[first];
    let mut text = format!("{}{unit}", millis / size);
    if let Some((finer, finer_size)) = UNITS.get(first + 1) {
        let rest = (millis % size) / finer_size;
        if rest > 0 {
            text.push_str(&format!("{rest}{finer}"));
        }
    }
    text
}

/// A number of bytes. Written `512`, `64KiB`, `4GiB` (powers of 1024) or `1MB` (powers of 1000).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ByteSize(pub u64);

impl FromStr for ByteSize {
    type Err = InvalidUnit;

    fn from_str(text: &str) -> Result<Self, InvalidUnit> {
        let wrong = || InvalidUnit {
            found: text.chars().take(80).collect(),
            kind: "size",
            examples: "512, 64KiB, 100MiB, 4GiB",
        };
        let trimmed = text.trim();
        let digits = trimmed
            .find(|c: char| !(c.is_ascii_digit() || c == '.'))
            .unwrap_or(trimmed.len());
        let number: f64 = trimmed[..digits].parse().map_err(|_| wrong())?;
        let factor = match trimmed[digits..].trim() {
            "" | "B" => 1.0,
            "KiB" | "Ki" => 1024.0,
            "MiB" | "Mi" => 1024.0 * 1024.0,
            "GiB" | "Gi" => 1024.0 * 1024.0 * 1024.0,
            "TiB" | "Ti" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
            "KB" | "kB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "TB" => 1e12,
            _ => return Err(wrong()),
        };
        let bytes = number * factor;
        if bytes.is_finite() && (0.0..9e18).contains(&bytes) {
            Ok(Self(bytes as u64))
        } else {
            Err(wrong())
        }
    }
}

impl TryFrom<String> for ByteSize {
    type Error = InvalidUnit;

    fn try_from(text: String) -> Result<Self, InvalidUnit> {
        text.parse()
    }
}

impl From<ByteSize> for String {
    fn from(size: ByteSize) -> Self {
        size.to_string()
    }
}

impl fmt::Display for ByteSize {
    /// Exact when it divides evenly, else with one decimal: `64KiB`, `1.5MiB`, `999B`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(&str, u64); 4] = [
            ("TiB", 1 << 40),
            ("GiB", 1 << 30),
            ("MiB", 1 << 20),
            ("KiB", 1 << 10),
        ];
        match UNITS.iter().find(|(_, size)| self.0 >= *size) {
            None => write!(f, "{}B", self.0),
            Some((unit, size)) if self.0.is_multiple_of(*size) => write!(f, "{}{unit}", self.0 / size),
            Some((unit, size)) => write!(f, "{:.1}{unit}", self.0 as f64 / *size as f64),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_parse_with_units_only() {
        assert_eq!(parse_duration("1h30m").unwrap(), Duration::from_secs(5_400));
        assert_eq!(parse_duration("250ms").unwrap(), Duration::from_millis(250));
        assert_eq!(parse_duration("1.5d").unwrap(), Duration::from_secs(129_600));
        for bad in [
            "",
            "10",
            "s",
            "3 parsecs",
            "1h30",
            "99999999999999999w",
            "1e3s",
            "-1s",
        ] {
            assert!(parse_duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn durations_print_as_people_write_them() {
        assert_eq!(format_duration(Duration::from_secs(5_400)), "1h30m");
        assert_eq!(format_duration(Duration::from_secs(86_400)), "1d");
        assert_eq!(format_duration(Duration::ZERO), "0s");
    }

    #[test]
    fn sizes_parse_and_print() {
        assert_eq!("64MiB".parse::<ByteSize>().unwrap(), ByteSize(64 << 20));
        assert_eq!("1MB".parse::<ByteSize>().unwrap(), ByteSize(1_000_000));
        assert_eq!(ByteSize(64 << 20).to_string(), "64MiB");
        assert!("12 bananas".parse::<ByteSize>().is_err());
    }
}
