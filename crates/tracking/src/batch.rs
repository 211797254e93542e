//! Metrics, params and tags logged together: all of them are kept or none.

use std::collections::BTreeMap;

use everloop_core::{RunId, Timestamp};
use everloop_db::Tx;

use crate::metrics::Metric;
use crate::names::{check_key, check_text, limits};
use crate::{By, Error, KeyKind, Result, metrics, params, runs, tags};

/// What becomes of a param's or tag's value that is too long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum LongValues {
    /// It is refused.
    #[default]
    Refuse,
    /// It is cut, as MLflow does unless told otherwise.
    Truncate,
}

/// What is to be logged at once. What is in it was checked on the way in.
///
/// ```
/// use everloop_core::Timestamp;
/// use everloop_tracking::Batch;
///
/// let mut batch = Batch::default();
/// batch.param("depth", "5")?.metric("auc", 0.71, Timestamp(1_364_774_400_000), 0)?;
/// assert!(batch.param("depth", "6").is_err());
/// # Ok::<(), everloop_tracking::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Batch {
    long_values: LongValues,
    metrics: Vec<Metric>,
    params: BTreeMap<String, String>,
    tags: BTreeMap<String, String>,
}

impl Batch {
    /// An empty batch with another rule for long values than to refuse them.
    #[must_use]
    pub fn with_long_values(long_values: LongValues) -> Self {
        Self {
            long_values,
            ..Self::default()
        }
    }

    /// Adds a point of a metric: any number, also NaN and the infinities.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::NegativeTimestamp`], [`Error::TooMany`].
    pub fn metric(&mut self, key: &str, value: f64, at: Timestamp, step: i64) -> Result<&mut Self> {
        check_key(KeyKind::Metric, key)?;
        if at.millis() < 0 {
            return Err(Error::NegativeTimestamp {
                key: key.to_owned(),
                found: at.millis(),
            });
        }
        self.check_room("metrics", self.metrics.len(), limits::BATCH_METRICS)?;
        self.metrics.push(Metric {
            key: key.to_owned(),
            value,
            at,
            step,
        });
        Ok(self)
    }

    /// Adds a param; its value may be empty.
    ///
    /// # Errors
    /// [`Error::DuplicateParam`], [`Error::InvalidKey`], [`Error::TooLong`], [`Error::TooMany`].
    pub fn param(&mut self, key: &str, value: &str) -> Result<&mut Self> {
        check_key(KeyKind::Param, key)?;
        let value = self.fit("param value", value, limits::PARAM_CHARS)?;
        if self.params.contains_key(key) {
            return Err(Error::DuplicateParam(key.to_owned()));
        }
        self.check_room("params", self.params.len(), limits::BATCH_PARAMS)?;
        self.params.insert(key.to_owned(), value);
        Ok(self)
    }

    /// Adds a tag; of two with one name the later counts.
    ///
    /// # Errors
    /// [`Error::InvalidKey`], [`Error::TooLong`], [`Error::TooMany`].
    pub fn tag(&mut self, key: &str, value: &str) -> Result<&mut Self> {
        check_key(KeyKind::Tag, key)?;
        let value = self.fit("tag value", value, limits::RUN_TAG_CHARS)?;
        if !self.tags.contains_key(key) {
            self.check_room("tags", self.tags.len(), limits::BATCH_TAGS)?;
        }
        self.tags.insert(key.to_owned(), value);
        Ok(self)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.total() == 0
    }

    fn total(&self) -> usize {
        self.metrics.len() + self.params.len() + self.tags.len()
    }

    fn check_room(&self, what: &'static str, held: usize, limit: usize) -> Result<()> {
        if held >= limit {
            return Err(Error::TooMany { what, limit });
        }
        if self.total() >= limits::BATCH_TOTAL {
            return Err(Error::TooMany {
                what: "metrics, params and tags",
                limit: limits::BATCH_TOTAL,
            });
        }
        Ok(())
    }

    fn fit(&self, what: &'static str, value: &str, limit: usize) -> Result<String> {
        match (check_text(what, value, limit), self.long_values) {
            (Ok(()), _) => Ok(value.to_owned()),
            (Err(Error::TooLong { .. }), LongValues::Truncate) => Ok(value.chars().take(limit).collect()),
            (Err(error), _) => Err(error),
        }
    }
}

/// Logs a batch to a run, all of it or nothing.
///
/// # Errors
/// [`Error::ParamChanged`] when a param has another value already; [`Error::NoRun`], [`Error::RunDeleted`].
pub fn log_batch(tx: &mut Tx<'_>, by: &By, run: &RunId, batch: &Batch) -> Result<()> {
    let run = runs::lock_active(tx, &by.project, run)?;
    params::write(tx, &run, &batch.params)?;
    metrics::append(tx, run.key, &batch.metrics)?;
    tags::set_stored(tx, by, &run, &batch.tags)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Timestamp = Timestamp(1_000);

    #[test]
    fn limits_are_mlflows() {
        let mut batch = Batch::default();
        for step in 0..999 {
            batch.metric("loss", 1.0, AT, step).unwrap();
        }
        batch.tag("a", "1").unwrap();
        assert!(matches!(
            batch.metric("loss", 1.0, AT, 999),
            Err(Error::TooMany { .. })
        ));
        // Replacing a tag needs no room.
        batch.tag("a", "2").unwrap();
        let mut params = Batch::default();
        for n in 0..100 {
            params.param(&format!("p{n}"), "").unwrap();
        }
        let refused = params.param("one more", "").unwrap_err().to_string();
        assert_eq!(refused, "more than 100 params in one call");
    }

    #[test]
    fn long_values_are_refused_or_cut() {
        let long = "é".repeat(6_001);
        assert!(Batch::default().param("p", &long).is_err());
        let mut cut = Batch::with_long_values(LongValues::Truncate);
        cut.param("p", &long).unwrap();
        assert_eq!(cut.params["p"].chars().count(), 6_000);
    }

    #[test]
    fn a_param_stands_once_and_time_begins_in_1970() {
        let mut batch = Batch::default();
        batch.param("p", "1").unwrap();
        assert!(matches!(batch.param("p", "1"), Err(Error::DuplicateParam(_))));
        assert!(matches!(
            batch.metric("m", 0.0, Timestamp(-1), 0),
            Err(Error::NegativeTimestamp { .. })
        ));
    }
}
