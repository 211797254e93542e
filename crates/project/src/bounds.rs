//! Thresholds: `auc >= 0.68`, `p99 <= 5ms`, and the conditions that abort a rollout.

use crate::hints::near;
use crate::metric::{Better, Metric, MetricName};
use crate::problem::quoted;
use crate::text::{Text, Wrong, parse_text, text_type};
use crate::units::{Span, share_text};
use std::fmt;

/// How a figure is compared with its bound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Comparison {
    /// `>=`
    AtLeast,
    /// `>`
    Above,
    /// `<=`
    AtMost,
    /// `<`
    Below,
}

impl Comparison {
    /// Whether `figure` compares so with `bound`; never, when either is NaN.
    #[must_use]
    pub fn holds(self, figure: f64, bound: f64) -> bool {
        match self {
            Self::AtLeast => figure >= bound,
            Self::Above => figure > bound,
            Self::AtMost => figure <= bound,
            Self::Below => figure < bound,
        }
    }

    /// Whether the bound limits the figure from above.
    #[must_use]
    pub fn is_upper(self) -> bool {
        matches!(self, Self::AtMost | Self::Below)
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AtLeast => ">=",
            Self::Above => ">",
            Self::AtMost => "<=",
            Self::Below => "<",
        })
    }
}

/// `auc >= 0.68` cut into its three parts.
fn split(text: &str) -> Result<(&str, Comparison, &str), Wrong> {
    let is_sign = |c: char| matches!(c, '<' | '>' | '=' | '!' | '≤' | '≥');
    let Some(start) = text.find(is_sign) else {
        return Err(Wrong::because("there is no comparison in it"));
    };
    let rest = &text[start..];
    let end = rest.find(|c: char| !is_sign(c)).unwrap_or(rest.len());
    let comparison = match &rest[..end] {
        ">=" | "≥" => Comparison::AtLeast,
        ">" => Comparison::Above,
        "<=" | "≤" => Comparison::AtMost,
        "<" => Comparison::Below,
        other => {
            let meant = match other {
                "=>" => "write >=",
                "=<" => "write <=",
                _ => "use one of >=, >, <=, <",
            };
            return Err(Wrong::because(format!("unknown comparison {}", quoted(other))).hint(meant));
        }
    };
    Ok((text[..start].trim(), comparison, rest[end..].trim()))
}

/// `0.68`, `-0.002`, `68%`.
fn figure(text: &str) -> Result<f64, Wrong> {
    if let Some(share) = share_text(text) {
        return Ok(share);
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => Ok(value),
        _ if text.is_empty() => Err(Wrong::because("there is no number after the comparison")),
        _ => Err(Wrong::because(format!("{} is not a number", quoted(text)))),
    }
}

fn metric_name(text: &str) -> Result<MetricName, Wrong> {
    if text.is_empty() {
        return Err(Wrong::because("there is no metric before the comparison"));
    }
    parse_text::<MetricName>(text)
        .map_err(|_| Wrong::because(format!("{} is not a metric name", quoted(text))))
}

/// A bound that a metric must keep: `auc >= 0.68`, `log_loss < 0.4`, `accuracy >= 95%`.
#[derive(Debug, Clone, PartialEq)]
pub struct MetricBound {
    /// The metric.
    pub metric: MetricName,
    /// How it is compared.
    pub comparison: Comparison,
    /// With what.
    pub value: f64,
}

impl MetricBound {
    /// Whether `figure` keeps the bound.
    #[must_use]
    pub fn holds(&self, figure: f64) -> bool {
        self.comparison.holds(figure, self.value)
    }
}

impl fmt::Display for MetricBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.metric, self.comparison, self.value)
    }
}

impl Text for MetricBound {
    const WHAT: &'static str = "threshold";
    const EXPECTED: &'static str =
        "a metric, a comparison and a number, such as auc >= 0.68 or log_loss < 0.4";
    const PATTERN: &'static str = r"^[^<>=≤≥]+(>=|>|<=|<|≤|≥)\s*-?[0-9.][0-9.eE+-]*\s*%?\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (name, comparison, value) = split(text)?;
        let bound = Self {
            metric: metric_name(name)?,
            comparison,
            value: figure(value)?,
        };
        if let Some(metric) = bound.metric.known() {
            in_range(metric, bound.value)?;
            right_way(metric, &bound)?;
        }
        Ok(bound)
    }
}

text_type!(MetricBound);

/// A bound outside the metric's range always holds or never does: a slip such as `auc >= 68`.
fn in_range(metric: Metric, value: f64) -> Result<(), Wrong> {
    let (low, high) = metric.range();
    if (low..=high).contains(&value) {
        return Ok(());
    }
    let reason = if high.is_infinite() {
        format!("{metric} is never below {low}")
    } else {
        format!("{metric} lies between {low} and {high}")
    };
    let wrong = Wrong::because(reason);
    Err(if (1.0..=100.0).contains(&value) && high == 1.0 {
        wrong.hint(format!("write {value}% or {}", value / 100.0))
    } else {
        wrong
    })
}

/// `auc <= 0.68` would let only bad models through.
fn right_way(metric: Metric, bound: &MetricBound) -> Result<(), Wrong> {
    let (better, sign, upper) = match metric.better() {
        Better::Higher => ("higher", ">=", false),
        Better::Lower => ("lower", "<=", true),
        // A signed figure may be bounded from either side.
        Better::NearerZero => return Ok(()),
    };
    if bound.comparison.is_upper() == upper {
        return Ok(());
    }
    Err(Wrong::because(format!("{metric} is better when {better}"))
        .hint(format!("did you mean \"{metric} {sign} {}\"?", bound.value)))
}

/// A percentile: `p50`, `p99`, `p99.9`.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Percentile(f64);

impl Percentile {
    /// From 0 to 100, both excluded: 99 for `p99`.
    #[must_use]
    pub fn percent(self) -> f64 {
        self.0
    }

    /// From 0 to 1, both excluded: 0.99 for `p99`.
    #[must_use]
    pub fn quantile(self) -> f64 {
        self.0 / 100.0
    }

    fn parse(text: &str) -> Option<Self> {
        let percent: f64 = text.strip_prefix('p')?.parse().ok()?;
        (percent > 0.0 && percent < 100.0).then_some(Self(percent))
    }
}

impl fmt::Display for Percentile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "p{}", self.0)
    }
}

fn span(text: &str) -> Result<Span, Wrong> {
    parse_text::<Span>(text)
        .map_err(|error| Wrong::because(error.to_string()).hint("give a unit: 500us, 5ms, 2s"))
}

/// A bound on the time that a prediction takes: `p99 <= 5ms`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LatencyBound {
    /// Which percentile of the times.
    pub percentile: Percentile,
    /// The longest it may take.
    pub most: Span,
}

impl fmt::Display for LatencyBound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} <= {}", self.percentile, self.most)
    }
}

impl Text for LatencyBound {
    const WHAT: &'static str = "latency threshold";
    const EXPECTED: &'static str = "a percentile, <= and a time, such as p99 <= 5ms";
    const PATTERN: &'static str = r"^\s*p[0-9.]+\s*(<=|≤)\s*[0-9].*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        let (name, comparison, most) = split(text)?;
        let percentile = Percentile::parse(name).ok_or_else(|| {
            Wrong::because(format!("{} is not a percentile", quoted(name))).hint("use p50, p95, p99 or p99.9")
        })?;
        if comparison != Comparison::AtMost {
            return Err(
                Wrong::because(format!("a time is bounded by <=, not by {comparison}"))
                    .hint(format!("write \"{name} <= {most}\"")),
            );
        }
        Ok(Self {
            percentile,
            most: span(most)?,
        })
    }
}

text_type!(LatencyBound);

/// What a rollout watches.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Signal {
    /// Share of requests that fail.
    ErrorRate,
    /// The metric of `monitor.performance` on labelled predictions (without one: log loss or root mean squared
    /// error, by the model's task).
    Score,
    /// Time of a prediction.
    Latency(Percentile),
    /// Any metric of ours on labelled predictions.
    Metric(Metric),
}

impl Signal {
    fn parse(text: &str) -> Result<Self, Wrong> {
        match text {
            "error_rate" => return Ok(Self::ErrorRate),
            "score" => return Ok(Self::Score),
            _ => {}
        }
        if let Some(percentile) = Percentile::parse(text) {
            return Ok(Self::Latency(percentile));
        }
        if let Some(metric) = Metric::by_name(text) {
            return Ok(Self::Metric(metric));
        }
        let names = Metric::ALL.iter().map(|metric| metric.name());
        let near = near(text, names.chain(["error_rate", "score", "p99"]));
        let wrong = Wrong::because(format!("{} is not something a rollout can watch", quoted(text)));
        Err(wrong.hint(match near {
            Some(near) => format!("did you mean \"{near}\"?"),
            None => "use error_rate, score, a percentile such as p99, or a metric".to_owned(),
        }))
    }
}

impl fmt::Display for Signal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErrorRate => f.write_str("error_rate"),
            Self::Score => f.write_str("score"),
            Self::Latency(percentile) => percentile.fmt(f),
            Self::Metric(metric) => metric.fmt(f),
        }
    }
}

/// What ends a rollout early: `error_rate > 1%`, `p99 > 50ms`, `auc < 0.6`, `score worse`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum AbortRule {
    /// The share of failed requests crosses a bound.
    ErrorRate {
        /// How it is compared: above or at least.
        comparison: Comparison,
        /// With what share, from 0 to 1.
        value: f64,
    },
    /// A percentile of the time that predictions take crosses a bound.
    Latency {
        /// Which percentile.
        percentile: Percentile,
        /// How it is compared: above or at least.
        comparison: Comparison,
        /// With what time.
        value: Span,
    },
    /// A metric on labelled predictions crosses a bound, on its bad side.
    Metric {
        /// Which metric.
        metric: Metric,
        /// How it is compared.
        comparison: Comparison,
        /// With what.
        value: f64,
    },
    /// The challenger's figure is worse than the champion's, by a test that stays valid when looked at all the time.
    Worse(Signal),
}

impl fmt::Display for AbortRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ErrorRate { comparison, value } => write!(f, "error_rate {comparison} {value}"),
            Self::Latency {
                percentile,
                comparison,
                value,
            } => write!(f, "{percentile} {comparison} {value}"),
            Self::Metric {
                metric,
                comparison,
                value,
            } => write!(f, "{metric} {comparison} {value}"),
            Self::Worse(signal) => write!(f, "{signal} worse"),
        }
    }
}

impl Text for AbortRule {
    const WHAT: &'static str = "abort condition";
    const EXPECTED: &'static str =
        "a bound such as error_rate > 1% or p99 > 50ms, or a comparison such as score worse";
    const PATTERN: &'static str = r"^\s*[a-z][a-z0-9_.]*\s*((>=|>|<=|<|≤|≥)\s*-?[0-9].*|\s+worse)\s*$";

    fn parse(text: &str) -> Result<Self, Wrong> {
        if let Some(subject) = text.strip_suffix("worse") {
            return Ok(Self::Worse(Signal::parse(subject.trim())?));
        }
        let (subject, comparison, value) = split(text)?;
        let rule = match Signal::parse(subject)? {
            Signal::ErrorRate => {
                let value = figure(value)?;
                if !(0.0..=1.0).contains(&value) {
                    return Err(Wrong::because("a rate lies between 0 and 1").hint("write 1% or 0.01"));
                }
                Self::ErrorRate { comparison, value }
            }
            Signal::Latency(percentile) => Self::Latency {
                percentile,
                comparison,
                value: span(value)?,
            },
            Signal::Metric(metric) => {
                let value = figure(value)?;
                in_range(metric, value)?;
                Self::Metric {
                    metric,
                    comparison,
                    value,
                }
            }
            Signal::Score => {
                return Err(Wrong::because("a score has no scale of its own")
                    .hint("write \"score worse\", or name a metric: auc < 0.6"));
            }
        };
        rule.on_the_bad_side(subject)?;
        Ok(rule)
    }
}

impl AbortRule {
    /// Aborting because things go well (`error_rate < 1%`) is a slip.
    fn on_the_bad_side(&self, subject: &str) -> Result<(), Wrong> {
        let (comparison, bad_is_low) = match self {
            Self::ErrorRate { comparison, .. } | Self::Latency { comparison, .. } => (*comparison, false),
            Self::Metric {
                metric, comparison, ..
            } => match metric.better() {
                Better::Higher => (*comparison, true),
                Better::Lower => (*comparison, false),
                Better::NearerZero => return Ok(()),
            },
            Self::Worse(_) => return Ok(()),
        };
        if comparison.is_upper() == bad_is_low {
            return Ok(());
        }
        let sign = if bad_is_low { "<" } else { ">" };
        Err(
            Wrong::because(format!("{subject} {comparison} would abort when things go well"))
                .hint(format!("write \"{subject} {sign} ...\"")),
        )
    }
}

text_type!(AbortRule);
