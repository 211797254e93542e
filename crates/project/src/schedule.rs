//! Schedules: cron expressions in a time zone.

use crate::hints::{did_you_mean, near};
use crate::text::{Text, Wrong, text_type};
use chrono::{DateTime, TimeZone as _};
use croner::Cron as Pattern;
use croner::parser::{CronParser, Seconds, Year};
use everloop_core::Timestamp;
use std::fmt;

/// A cron expression of five fields (minute, hour, day of month, month, day of week) or six (seconds first), or
/// `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Cron(String);

/// A time zone by its IANA name, such as `Europe/Berlin`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Zone(chrono_tz::Tz);

impl Cron {
    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The first moment after `at` at which the clocks of `zone` show a matching time; `None` when there is none
    /// before the year 5000 or `at` lies outside the calendar.
    ///
    /// When clocks jump forward over a fixed time, it fires at the first moment after the jump; when they fall back,
    /// it fires once.
    #[must_use]
    pub fn next_after(&self, at: Timestamp, zone: Zone) -> Option<Timestamp> {
        let start = zone.0.timestamp_millis_opt(at.millis()).single()?;
        let next = pattern(&self.0).ok()?.find_next_occurrence(&start, false).ok()?;
        Some(Timestamp(next.timestamp_millis()))
    }
}

fn pattern(text: &str) -> Result<Pattern, croner::errors::CronError> {
    CronParser::builder()
        .seconds(Seconds::Optional)
        .year(Year::Disallowed)
        .build()
        .parse(text)
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Text for Cron {
    const WHAT: &'static str = "schedule";
    const EXPECTED: &'static str =
        "a cron expression: minute hour day-of-month month day-of-week, such as \"0 3 * * 1\"";
    const PATTERN: &'static str =
        r"^\s*(@(yearly|annually|monthly|weekly|daily|hourly)|\S+(\s+\S+){4,5})\s*$";
    const LONGEST: usize = 200;

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(nickname) = text.strip_prefix('@') {
            const KNOWN: [&str; 6] = ["yearly", "annually", "monthly", "weekly", "daily", "hourly"];
            if !KNOWN.contains(&nickname) {
                let near = near(nickname, KNOWN).unwrap_or("daily");
                return Err(Wrong::because("unknown nickname").hint(format!("did you mean \"@{near}\"?")));
            }
            return Ok(Self(text.to_owned()));
        }
        let fields = text.split_whitespace().count();
        if !(5..=6).contains(&fields) {
            let plural = if fields == 1 { "" } else { "s" };
            return Err(Wrong::because(format!(
                "it has {fields} field{plural}, not 5 or 6"
            )));
        }
        let pattern = pattern(text).map_err(|error| Wrong::because(reason(&error)))?;
        // From the start of 2024 every day of a leap cycle lies ahead.
        let start = DateTime::from_timestamp_millis(1_704_067_200_000).unwrap_or_default();
        if pattern.find_next_occurrence(&start, false).is_err() {
            return Err(Wrong::because("it never fires").hint("check the day of the month against the month"));
        }
        Ok(Self(text.to_owned()))
    }
}

/// The library's words, in our form: no capital, no final stop.
fn reason(error: &croner::errors::CronError) -> String {
    use croner::errors::CronError;
    let said = match error {
        CronError::InvalidPattern(said)
        | CronError::IllegalCharacters(said)
        | CronError::ComponentError(said) => said.clone(),
        other => other.to_string(),
    };
    let said = said.trim_end_matches('.');
    let mut letters = said.chars();
    match letters.next() {
        Some(first) => format!("{}{}", first.to_lowercase(), letters.as_str()),
        None => "it can't be read".to_owned(),
    }
}

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Self = Self(chrono_tz::Tz::UTC);
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.name())
    }
}

impl Text for Zone {
    const WHAT: &'static str = "time zone";
    const EXPECTED: &'static str = "an IANA time zone such as UTC, Europe/Berlin or America/New_York";
    const PATTERN: &'static str = r"^\s*[A-Za-z0-9_+/-]+\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        text.parse().map(Self).map_err(|_| Wrong {
            reason: None,
            hint: did_you_mean(text, chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name())),
        })
    }
}

text_type!(Cron, Zone);
