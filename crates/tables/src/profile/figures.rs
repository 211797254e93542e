//! What can be asked of a column's profile: figures, shares, quantiles, bins.

use super::column::{ColumnProfile, Kind, State};
use super::hash;
use super::numbers::Numbers;
use super::quantiles::Centroid;
use everloop_core::Timestamp;
use serde::{Deserialize, Serialize};

/// A frequent value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopValue {
    /// The value as text: `JFK`, `3.5`, `true`, `2013-04-01T00:00:00.000Z`.
    pub value: String,
    /// Rows that hold it; at most [`ColumnProfile::count_error`] too low, never too high by more than thinning makes it.
    pub count: u64,
    /// `count` over all rows of the column, null or not.
    pub share: f64,
}

/// A bin of a histogram: values above `from` (the first bin: from it on) up to and including `to`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Share of the column's finite values.
    pub share: f64,
}

/// How the rows of a column spread over given categories.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CategoryShares {
    /// One share per category asked for, in that order.
    pub shares: Vec<f64>,
    /// Rows with another value.
    pub other: f64,
    /// Rows without a value.
    pub null: f64,
}

/// Lengths of texts in characters (Unicode scalar values).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct TextLengths {
    /// The shortest.
    pub min: u64,
    /// The longest.
    pub max: u64,
    /// The mean.
    pub mean: f64,
    /// The standard deviation of the sample; 0 below two texts.
    pub stddev: f64,
    /// Rows with the empty text.
    pub empty: u64,
}

impl ColumnProfile {
    fn numbers(&self) -> Option<&Numbers> {
        match &self.state {
            State::Numbers(numbers) => Some(numbers),
            _ => None,
        }
    }

    /// The smallest finite value of a numeric column; `None` without one.
    #[must_use]
    pub fn min(&self) -> Option<f64> {
        self.numbers()
            .filter(|numbers| numbers.moments.count > 0)
            .map(|numbers| numbers.moments.min)
    }

    /// The largest finite value of a numeric column; `None` without one.
    #[must_use]
    pub fn max(&self) -> Option<f64> {
        self.numbers()
            .filter(|numbers| numbers.moments.count > 0)
            .map(|numbers| numbers.moments.max)
    }

    /// The mean of the finite values; of a boolean column, the share of `true`. `None` without values.
    #[must_use]
    pub fn mean(&self) -> Option<f64> {
        match &self.state {
            State::Numbers(numbers) if numbers.moments.count > 0 => Some(numbers.moments.mean),
            State::Booleans { trues } if self.rows > self.nulls => {
                Some(*trues as f64 / (self.rows - self.nulls) as f64)
            }
            _ => None,
        }
    }

    /// The variance of the sample (n - 1); `None` below two finite values.
    #[must_use]
    pub fn variance(&self) -> Option<f64> {
        let variance = self.numbers()?.moments.variance();
        (!variance.is_nan()).then_some(variance)
    }

    /// The standard deviation of the sample (n - 1); `None` below two finite values.
    #[must_use]
    pub fn stddev(&self) -> Option<f64> {
        self.variance().map(f64::sqrt)
    }

    /// Rows that hold `true`; `None` when the column is not boolean.
    #[must_use]
    pub fn trues(&self) -> Option<u64> {
        match self.state {
            State::Booleans { trues } => Some(trues),
            _ => None,
        }
    }

    /// Lengths of the texts; `None` without texts.
    #[must_use]
    pub fn lengths(&self) -> Option<TextLengths> {
        let State::Texts(texts) = &self.state else {
            return None;
        };
        let lengths = &texts.lengths;
        let variance = lengths.variance();
        (lengths.count > 0).then(|| TextLengths {
            min: lengths.min as u64,
            max: lengths.max as u64,
            mean: lengths.mean,
            stddev: if variance.is_nan() { 0.0 } else { variance.sqrt() },
            empty: texts.empty,
        })
    }

    /// The number of different values (nulls, NaN and infinities are none): exact up to 512, else an estimate with
    /// a relative standard error of 1.6 %.
    #[must_use]
    pub fn distinct(&self) -> f64 {
        let present = (self.rows - self.nulls) as f64;
        match &self.state {
            State::Numbers(numbers) => numbers.values.distinct().min(present),
            State::Texts(texts) => texts.values.distinct().min(present),
            State::Booleans { trues } => {
                let falses = self.rows - self.nulls - trues;
                f64::from(u8::from(*trues > 0) + u8::from(falses > 0))
            }
            State::Opaque => f64::NAN,
        }
    }

    /// Whether every value is counted, so that each figure is exact.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        match &self.state {
            State::Numbers(numbers) => numbers.values.is_exact(),
            State::Texts(texts) => texts.values.is_exact(),
            State::Booleans { .. } => true,
            State::Opaque => false,
        }
    }

    /// How much the count of a frequent value may be too low; 0 while counts are exact.
    #[must_use]
    pub fn count_error(&self) -> u64 {
        match &self.state {
            State::Numbers(numbers) => numbers.values.error(),
            State::Texts(texts) => texts.values.error(),
            State::Booleans { .. } | State::Opaque => 0,
        }
    }

    /// Up to `limit` frequent values, the most frequent first; equal counts by the value's text.
    #[must_use]
    pub fn top(&self, limit: usize) -> Vec<TopValue> {
        let mut all: Vec<TopValue> = match &self.state {
            State::Numbers(numbers) => numbers
                .values
                .entries()
                .map(|(_, entry)| self.top_value(self.shown(numbers, entry.value), entry.count))
                .collect(),
            State::Texts(texts) => texts
                .values
                .entries()
                .map(|(_, entry)| self.top_value(entry.value.to_string(), entry.count))
                .collect(),
            State::Booleans { trues } => [("true", *trues), ("false", self.rows - self.nulls - trues)]
                .into_iter()
                .filter(|(_, count)| *count > 0)
                .map(|(value, count)| self.top_value(value.to_owned(), count))
                .collect(),
            State::Opaque => Vec::new(),
        };
        all.sort_unstable_by(|a, b| b.count.cmp(&a.count).then_with(|| a.value.cmp(&b.value)));
        all.truncate(limit);
        all
    }

    fn top_value(&self, value: String, count: u64) -> TopValue {
        TopValue {
            value,
            count,
            share: count as f64 / self.rows as f64,
        }
    }

    fn shown(&self, numbers: &Numbers, raw: u64) -> String {
        match self.kind {
            Kind::Integer => (raw as i64).to_string(),
            Kind::Time => Timestamp((raw as i64).div_euclid(1_000)).to_rfc3339(),
            _ => numbers.scale.number(raw).to_string(),
        }
    }

    /// The share of rows that hold `value`, written as [`top`](Self::top) writes it; 0 when it was not seen or is not
    /// frequent (see [`count_error`](Self::count_error)).
    #[must_use]
    pub fn share_of(&self, value: &str) -> f64 {
        if self.rows == 0 {
            return 0.0;
        }
        let count = match &self.state {
            State::Numbers(numbers) => match self.kind {
                Kind::Time => Timestamp::parse_rfc3339(value).map_or(0, |at| {
                    numbers
                        .values
                        .count_of(hash::integer(at.millis().saturating_mul(1_000)))
                }),
                Kind::Integer => value
                    .parse()
                    .map_or(0, |whole| numbers.values.count_of(hash::integer(whole))),
                _ => value
                    .parse()
                    .map_or(0, |real| numbers.values.count_of(hash::number(real))),
            },
            State::Texts(texts) => texts.values.count_of(hash::text(value.as_bytes())),
            State::Booleans { trues } => match value {
                "true" => *trues,
                "false" => self.rows - self.nulls - trues,
                _ => 0,
            },
            State::Opaque => 0,
        };
        count as f64 / self.rows as f64
    }

    /// The shares of rows that hold each of `categories`, of those that hold something else, and of those without a
    /// value; together 1. Counts that are too low (see [`count_error`](Self::count_error)) appear under `other`.
    #[must_use]
    pub fn category_shares<S: AsRef<str>>(&self, categories: &[S]) -> CategoryShares {
        let shares: Vec<f64> = categories
            .iter()
            .map(|category| self.share_of(category.as_ref()))
            .collect();
        let null = self.null_share();
        let rest = 1.0 - null - shares.iter().sum::<f64>();
        CategoryShares {
            shares,
            other: if self.rows == 0 { 0.0 } else { rest.max(0.0) },
            null,
        }
    }

    /// The share of rows without a value; 0 without rows.
    #[must_use]
    pub fn null_share(&self) -> f64 {
        self.share_of_rows(self.nulls)
    }

    /// The share of rows whose value is NaN; 0 without rows.
    #[must_use]
    pub fn nan_share(&self) -> f64 {
        self.share_of_rows(self.nans())
    }

    fn share_of_rows(&self, count: u64) -> f64 {
        if self.rows == 0 {
            0.0
        } else {
            count as f64 / self.rows as f64
        }
    }

    /// The quantile at `q` in [0, 1] of the finite values: exact columns interpolate between order statistics as
    /// NumPy does by default, others by the digest. `None` when the column is not numeric or has no finite value.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        let numbers = self.numbers().filter(|numbers| numbers.moments.count > 0)?;
        let (min, max) = (numbers.moments.min, numbers.moments.max);
        match numbers.exact() {
            Some(sorted) => Some(exact_quantile(&sorted, q)),
            None => numbers.digest.quantile(q, min, max),
        }
    }

    /// The share of the finite values that are at most `x`. `None` when the column is not numeric or has none.
    #[must_use]
    pub fn cdf(&self, x: f64) -> Option<f64> {
        Some(self.distribution()?.cdf(x))
    }

    /// `bins` bins of equal width from the smallest to the largest finite value; one bin when those are equal.
    /// Empty when the column is not numeric, has no finite value, or `bins` is 0.
    #[must_use]
    pub fn histogram(&self, bins: usize) -> Vec<Bin> {
        let (Some(min), Some(max)) = (self.min(), self.max()) else {
            return Vec::new();
        };
        if bins == 0 {
            return Vec::new();
        }
        let edges: Vec<f64> = if min == max {
            Vec::new()
        } else {
            (1..bins)
                .map(|i| min + (max - min) * (i as f64 / bins as f64))
                .collect()
        };
        let shares = self.bin_shares(&edges).unwrap_or_default();
        let froms = std::iter::once(min).chain(edges.iter().copied());
        let tos = edges.iter().copied().chain(std::iter::once(max));
        froms
            .zip(tos)
            .zip(shares)
            .map(|((from, to), share)| Bin { from, to, share })
            .collect()
    }

    /// The inner edges of up to `bins` bins that hold about equal shares: the quantiles, without repeats. A column
    /// with few values, or with one very frequent value, gets fewer bins. Empty when not numeric or without values.
    #[must_use]
    pub fn quantile_edges(&self, bins: usize) -> Vec<f64> {
        let mut edges: Vec<f64> = (1..bins)
            .filter_map(|i| self.quantile(i as f64 / bins as f64))
            .collect();
        edges.dedup();
        // Nothing is above the maximum, so an edge there would only make an empty bin.
        edges.retain(|&edge| Some(edge) < self.max());
        edges
    }

    /// Shares of the finite values in the bins that `edges` (inner edges, ascending) cut: at most the first edge,
    /// above it up to the second, ..., above the last. They sum to 1. `None` when not numeric or without values.
    #[must_use]
    pub fn bin_shares(&self, edges: &[f64]) -> Option<Vec<f64>> {
        let distribution = self.distribution()?;
        let mut before = 0.0;
        let mut shares: Vec<f64> = edges
            .iter()
            .map(|&edge| {
                let upto = distribution.cdf(edge).max(before);
                let share = upto - before;
                before = upto;
                share
            })
            .collect();
        shares.push((1.0 - before).max(0.0));
        Some(shares)
    }

    fn distribution(&self) -> Option<Distribution<'_>> {
        let numbers = self.numbers().filter(|numbers| numbers.moments.count > 0)?;
        Some(match numbers.exact() {
            Some(sorted) => Distribution::exact(sorted),
            None => Distribution::Sketch(numbers),
        })
    }
}

/// The distribution of the finite values of a column.
enum Distribution<'a> {
    /// Values, and how many are at most each.
    Exact(Vec<(f64, u64)>),
    Sketch(&'a Numbers),
}

impl Distribution<'_> {
    fn exact(sorted: Vec<Centroid>) -> Self {
        let mut upto = 0;
        Self::Exact(
            sorted
                .into_iter()
                .map(|centroid| {
                    upto += centroid.weight;
                    (centroid.mean, upto)
                })
                .collect(),
        )
    }

    fn cdf(&self, x: f64) -> f64 {
        match self {
            Self::Exact(upto) => {
                let total = upto.last().map_or(0, |(_, count)| *count);
                let below = upto.partition_point(|(value, _)| *value <= x);
                let count = below.checked_sub(1).map_or(0, |index| upto[index].1);
                count as f64 / total as f64
            }
            Self::Sketch(numbers) => numbers.digest.cdf(x, numbers.moments.min, numbers.moments.max),
        }
    }
}

/// Linear interpolation between order statistics (Hyndman and Fan's type 7, NumPy's default).
fn exact_quantile(sorted: &[Centroid], q: f64) -> f64 {
    let total: u64 = sorted.iter().map(|centroid| centroid.weight).sum();
    let rank = q.clamp(0.0, 1.0) * total.saturating_sub(1) as f64;
    let low = rank.floor();
    let (a, b) = (
        order_statistic(sorted, low as u64),
        order_statistic(sorted, rank.ceil() as u64),
    );
    let share = rank - low;
    if a == b { a } else { a * (1.0 - share) + b * share }
}

fn order_statistic(sorted: &[Centroid], rank: u64) -> f64 {
    let mut before = 0;
    for centroid in sorted {
        before += centroid.weight;
        if rank < before {
            return centroid.mean;
        }
    }
    sorted.last().map_or(f64::NAN, |centroid| centroid.mean)
}
