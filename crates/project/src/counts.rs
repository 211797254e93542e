//! Small grammars around counts: windows, confirmations, budgets, references.

use crate::hints::did_you_mean;
use crate::text::{Text, Wrong, text_type};
use crate::units::Span;
use everloop_core::DatasetName;
use std::fmt;

/// The slice of traffic that is judged at once: a span of event time (`1d`) or a number of rows (`5000 rows`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Window {
    /// A span of event time, at least a second.
    Time(Span),
    /// A number of rows.
    Rows(u64),
}

const MOST_ROWS: f64 = 1e12;

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Time(span) => span.fmt(f),
            Self::Rows(1) => f.write_str("1 row"),
            Self::Rows(rows) => write!(f, "{rows} rows"),
        }
    }
}

impl Text for Window {
    const WHAT: &'static str = "window";
    const EXPECTED: &'static str = "a span of time such as 1d or 6h, or a number of rows such as 5000 rows";
    const PATTERN: &'static str = r"^\s*[0-9].*$";
    const NUMBERS: bool = true;

    fn parse(text: &str) -> Result<Self, Wrong> {
        let rows = text.strip_suffix("rows").or_else(|| text.strip_suffix("row"));
        if let Some(rows) = rows {
            let number: f64 = rows
                .trim()
                .parse()
                .map_err(|_| Wrong::because("the rows are not a whole number"))?;
            return Self::from_number(number).unwrap_or(Err(Wrong::default()));
        }
        let span = Span::parse(text)?;
        if span < Span::seconds(1) {
            return Err(Wrong::because("it is shorter than a second"));
        }
        Ok(Self::Time(span))
    }

    fn from_number(number: f64) -> Option<Result<Self, Wrong>> {
        Some(if number.fract() == 0.0 && (1.0..=MOST_ROWS).contains(&number) {
            Ok(Self::Rows(number as u64))
        } else {
            Err(Wrong::because("the rows are not a whole number above zero"))
        })
    }
}

/// How many of the last windows must agree before there is an alert: `2 of 3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Confirm {
    /// Windows that must show it.
    pub k: u32,
    /// Out of the last so many.
    pub n: u32,
}

impl Confirm {
    /// The first window that shows it is enough.
    pub const AT_ONCE: Self = Self { k: 1, n: 1 };
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.k, self.n)
    }
}

impl Text for Confirm {
    const WHAT: &'static str = "confirmation";
    const EXPECTED: &'static str = "so many of the last so many windows, such as 2 of 3";
    const PATTERN: &'static str = r"^\s*[0-9]+\s+of\s+[0-9]+\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [k, "of", n] = parts[..] else {
            return Err(Wrong::default());
        };
        let whole = |text: &str| text.parse::<u32>().map_err(|_| Wrong::default());
        let confirm = Self {
            k: whole(k)?,
            n: whole(n)?,
        };
        if confirm.k == 0 || confirm.k > confirm.n {
            return Err(Wrong::because(format!("{k} of {n} windows can never be")));
        }
        if confirm.n > 100 {
            return Err(Wrong::because("it looks back over more than 100 windows"));
        }
        Ok(confirm)
    }
}

/// How often something may happen: `3 per day`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Budget {
    /// At most so many.
    pub times: u32,
    /// In each stretch of this length.
    pub per: Period,
}

/// The stretch that a [`Budget`] counts over. It slides: a day is the last 24 hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Period {
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
    /// 7 days.
    Week,
}

impl Period {
    /// Its length.
    #[must_use]
    pub fn span(self) -> Span {
        Span::seconds(match self {
            Self::Hour => 3_600,
            Self::Day => 86_400,
            Self::Week => 604_800,
        })
    }
}

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Hour => "hour",
            Self::Day => "day",
            Self::Week => "week",
        })
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} per {}", self.times, self.per)
    }
}

impl Text for Budget {
    const WHAT: &'static str = "budget";
    const EXPECTED: &'static str = "a number of times per hour, day or week, such as 3 per day";
    const PATTERN: &'static str = r"^\s*[0-9]+\s+per\s+(hour|day|week)\s*$";
    const NUMBERS: bool = false;

    fn parse(text: &str) -> Result<Self, Wrong> {
        let parts: Vec<&str> = text.split_whitespace().collect();
        let [times, "per", per] = parts[..] else {
            return Err(Wrong::default());
        };
        let times: u32 = times.parse().map_err(|_| Wrong::default())?;
        if !(1..=10_000).contains(&times) {
            return Err(Wrong::because("the number of times lies outside 1 to 10000"));
        }
        let per = match per {
            "hour" => Period::Hour,
            "day" => Period::Day,
            "week" => Period::Week,
            other => {
                return Err(Wrong {
                    reason: Some(format!("unknown period \"{other}\"")),
                    hint: did_you_mean(other, ["hour", "day", "week"]),
                });
            }
        };
        Ok(Self { times, per })
    }

    fn from_number(number: f64) -> Option<Result<Self, Wrong>> {
        Some(Err(
            Wrong::because("it does not say per what").hint(format!("write {number} per day"))
        ))
    }
}

/// What current data is compared with.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reference {
    /// The rows that the serving version was trained on.
    Training,
    /// The window before.
    Previous,
    /// The newest version of a dataset: `dataset:flights`.
    Dataset(DatasetName),
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Training => f.write_str("training"),
            Self::Previous => f.write_str("previous"),
            Self::Dataset(name) => write!(f, "dataset:{name}"),
        }
    }
}

impl Text for Reference {
    const WHAT: &'static str = "reference";
    const EXPECTED: &'static str = "training, previous, or a dataset such as dataset:flights";
    const PATTERN: &'static str = r"^\s*(training|previous|dataset:[A-Za-z0-9_][A-Za-z0-9_.-]*)\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "training" => Ok(Self::Training),
            "previous" => Ok(Self::Previous),
            _ => match text.strip_prefix("dataset:") {
                Some(name) => DatasetName::new(name)
                    .map(Self::Dataset)
                    .map_err(|error| Wrong::because(error.to_string())),
                None => Err(Wrong {
                    reason: None,
                    hint: did_you_mean(text, ["training", "previous"]),
                }),
            },
        }
    }
}

text_type!(Window, Confirm, Budget, Reference);
