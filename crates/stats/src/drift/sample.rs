//! A column of numbers, sorted once.

use crate::{Error, Result, check, rank};

/// The present values of a numeric column in ascending order.
///
/// Missing values (NaN) are dropped and counted, as Evidently and NannyML do. Keep the reference's sample: each
/// comparison then sorts the current one only.
/// Values beyond [`Sample::LARGEST`] are refused, since their squares have no finite sum.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    values: Vec<f64>,
    missing: usize,
    rows: usize,
}

impl Sample {
    /// The largest size of a value. Columns that mark missing values by the largest double need cleaning first.
    pub const LARGEST: f64 = 1e140;

    /// Takes a column in any order. `O(n log n)`; long columns are sorted on all threads.
    ///
    /// # Errors
    /// No value that is present, an infinity, or a value beyond [`Sample::LARGEST`].
    pub fn new(values: &[f64]) -> Result<Self> {
        bounded("values", values)?;
        let sorted = rank::sorted_present(values);
        check::non_empty("values", &sorted)?;
        let rows = sorted.len();
        Ok(Self {
            missing: values.len() - rows,
            rows,
            values: sorted,
        })
    }

    /// Evenly spaced quantiles that stand for `rows` present values, such as those of a sketch or profile.
    ///
    /// `points[i]` should be the quantile at `(i + 0.5) / len`. Distances are then exact up to `0.5 / len` in
    /// cumulative share, and p-values use `rows`. `missing` is carried along. `O(len log len)`.
    ///
    /// # Errors
    /// No points, NaN, a value that [`Sample::new`] refuses, or fewer rows than points (take the raw values then).
    pub fn from_quantiles(points: &[f64], rows: usize, missing: usize) -> Result<Self> {
        check::non_empty("points", points)?;
        check::finite("points", points)?;
        bounded("points", points)?;
        if rows < points.len() {
            return Err(Error::TooFew {
                what: "rows",
                needed: points.len(),
                found: rows,
            });
        }
        Ok(Self {
            values: rank::sorted(points.iter().copied()),
            missing,
            rows,
        })
    }

    /// The values (or the points that stand for them), ascending.
    #[must_use]
    pub fn values(&self) -> &[f64] {
        &self.values
    }

    /// Rows with a value.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Rows without.
    #[must_use]
    pub fn missing(&self) -> usize {
        self.missing
    }

    /// Whether the values are the rows themselves and not points that stand for them.
    #[must_use]
    pub fn is_raw(&self) -> bool {
        self.rows == self.values.len()
    }

    /// Smallest value.
    #[must_use]
    pub fn min(&self) -> f64 {
        self.values[0]
    }

    /// Largest value.
    #[must_use]
    pub fn max(&self) -> f64 {
        self.values[self.values.len() - 1]
    }

    /// Mean. `O(n)`.
    #[must_use]
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len() as f64
    }

    /// Standard deviation with divisor `n`. `O(n)`, two passes.
    #[must_use]
    pub fn std(&self) -> f64 {
        let mean = self.mean();
        let squares: f64 = self.values.iter().map(|v| (v - mean) * (v - mean)).sum();
        (squares / self.values.len() as f64).sqrt()
    }

    /// The `q` quantile by linear interpolation (NumPy's default).
    ///
    /// # Errors
    /// `q` outside `[0, 1]`.
    pub fn quantile(&self, q: f64) -> Result<f64> {
        check::probabilities("q", &[q])?;
        Ok(rank::quantile_sorted(&self.values, q))
    }

    /// The distinct values when there are at most `limit`, else `None`. `O(limit log n)`.
    #[must_use]
    pub fn distinct_up_to(&self, limit: usize) -> Option<Vec<f64>> {
        let mut found = Vec::new();
        let mut rest = &self.values[..];
        while let Some(&value) = rest.first() {
            if found.len() == limit {
                return None;
            }
            found.push(value);
            rest = &rest[rest.partition_point(|v| *v <= value)..];
        }
        Some(found)
    }

    /// The part between two values, ends included.
    pub(crate) fn between(&self, low: f64, high: f64) -> &[f64] {
        let from = self.values.partition_point(|v| *v < low);
        let to = self.values.partition_point(|v| *v <= high);
        &self.values[from..to]
    }
}

fn bounded(what: &'static str, values: &[f64]) -> Result<()> {
    let Some(index) = values.iter().position(|v| v.abs() > Sample::LARGEST) else {
        return Ok(());
    };
    let value = values[index];
    if value.is_infinite() {
        return Err(Error::NotFinite { what, index });
    }
    Err(Error::OutOfRange {
        what,
        value,
        allowed: "[-1e140, 1e140]",
        index: Some(index),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_values_are_counted_and_infinities_refused() {
        let sample = Sample::new(&[2.0, f64::NAN, 1.0]).unwrap();
        assert_eq!(
            (sample.values(), sample.rows(), sample.missing()),
            (&[1.0, 2.0][..], 2, 1)
        );
        assert!(Sample::new(&[f64::NAN]).is_err());
        let sentinel = Sample::new(&[1.0, f64::MAX]).unwrap_err();
        assert!(
            matches!(sentinel, Error::OutOfRange { index: Some(1), .. }),
            "{sentinel:?}"
        );
        assert_eq!(
            Sample::new(&[1.0, f64::INFINITY]).unwrap_err(),
            Error::NotFinite {
                what: "values",
                index: 1
            }
        );
    }

    #[test]
    fn distinct_values_stop_at_the_limit() {
        let sample = Sample::new(&[3.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!(sample.distinct_up_to(3).unwrap(), [1.0, 2.0, 3.0]);
        assert_eq!(sample.distinct_up_to(2), None);
    }
}
