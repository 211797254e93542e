//! Metrics: figures over the steps of a run.
//!
//! Points only come in, never change; exact duplicates are one point. Beside the points each metric keeps its latest
//! one, which is the greatest by (step, time, value) whatever the order of arrival.
//!
//! Databases order NaN differently or can't hold it, so values that are not finite are stored as an ordinary number
//! and a mark: NaN counts as 0 and the infinities as the greatest and least number wherever points are compared, as in
//! MLflow. Readers get back what was logged.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use everloop_core::{ProjectName, RunId, Timestamp};
use everloop_db::{Row, Tx, Value, params};

use crate::sql::{IN_LIST, in_list, insert, one_more};
use crate::{Error, Page, Result, runs};

/// One point of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// The metric's name.
    pub key: String,
    /// Its value: any number, also NaN and the infinities.
    pub value: f64,
    /// When it was measured.
    pub at: Timestamp,
    /// At which step; may be negative.
    pub step: i64,
}

/// Where a history goes on: the last point, as stored.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cursor {
    at: Timestamp,
    step: i64,
    stored: Stored,
}

/// The latest point of each metric of a run, by name.
///
/// # Errors
/// [`Error::NoRun`].
pub fn latest(tx: &mut Tx<'_>, project: &ProjectName, run: &RunId) -> Result<Vec<Metric>> {
    let run = runs::existing(tx, project, run)?;
    let rows = tx.query(
        "SELECT key, value, special, step, at FROM run_metrics WHERE run = ?1 ORDER BY key",
        &params![run.key],
    )?;
    rows.iter().map(|row| point(row, row.get("key")?)).collect()
}

/// A page of a metric's points, by time, step and value; empty when the run has no such metric.
///
/// # Errors
/// [`Error::NoRun`].
pub fn history(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    run: &RunId,
    key: &str,
    after: Option<&Cursor>,
    limit: usize,
) -> Result<Page<Metric, Cursor>> {
    let run = runs::existing(tx, project, run)?.key;
    let Some(series) = series_of(tx, run, key)? else {
        return Ok(Page::cut(Vec::new(), limit, cursor));
    };
    let mut values = params![run, series, one_more(limit)].to_vec();
    let condition = match after {
        None => "",
        Some(cursor) => {
            values.extend(params![
                cursor.at,
                cursor.step,
                cursor.stored.value,
                cursor.stored.special
            ]);
            " AND (at, step, value, special) > (?4, ?5, ?6, ?7)"
        }
    };
    let rows = tx.query(
        &format!(
            "SELECT at, step, value, special FROM metric_points WHERE run = ?1 AND series = ?2{condition}
             ORDER BY at, step, value, special LIMIT ?3"
        ),
        &values,
    )?;
    let points = rows
        .iter()
        .map(|row| point(row, key.to_owned()))
        .collect::<Result<Vec<_>>>()?;
    Ok(Page::cut(points, limit, cursor))
}

/// Appends checked points to a locked run.
pub(crate) fn append(tx: &mut Tx<'_>, run: i64, points: &[Metric]) -> Result<()> {
    let latest = latest_of(points);
    if latest.is_empty() {
        return Ok(());
    }
    let series = number_series(tx, run, &latest)?;
    let heads: Vec<Vec<Value>> = latest
        .iter()
        .map(|(key, head)| {
            let stored = Stored::of(head.value);
            params![
                run,
                *key,
                series[key],
                stored.value,
                stored.special,
                head.step,
                head.at
            ]
            .to_vec()
        })
        .collect();
    insert(
        tx,
        "run_metrics (run, key, series, value, special, step, at)",
        "ON CONFLICT (run, key) DO UPDATE SET
             value = excluded.value, special = excluded.special, step = excluded.step, at = excluded.at
         WHERE (excluded.step, excluded.at, excluded.value) > (run_metrics.step, run_metrics.at, run_metrics.value)",
        &heads,
    )?;
    let rows: Vec<Vec<Value>> = points
        .iter()
        .map(|point| {
            let stored = Stored::of(point.value);
            let series = series[point.key.as_str()];
            params![run, series, point.at, point.step, stored.value, stored.special].to_vec()
        })
        .collect();
    insert(
        tx,
        "metric_points (run, series, at, step, value, special)",
        "ON CONFLICT (run, series, at, step, value, special) DO NOTHING",
        &rows,
    )?;
    Ok(())
}

/// Reads a row with `value`, `special`, `step` and `at`.
pub(crate) fn point(row: &Row, key: String) -> Result<Metric> {
    let stored = Stored {
        value: row.get("value")?,
        special: row.get("special")?,
    };
    Ok(Metric {
        key,
        value: stored.number()?,
        at: row.get("at")?,
        step: row.get("step")?,
    })
}

/// A value as it lies in the database.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored {
    value: f64,
    special: i32,
}

impl Stored {
    fn of(number: f64) -> Self {
        let (value, special) = if number.is_nan() {
            (0.0, 1)
        } else if number == f64::INFINITY {
            (f64::MAX, 2)
        } else if number == f64::NEG_INFINITY {
            (f64::MIN, 3)
        } else {
            (number, 0)
        };
        Self { value, special }
    }

    fn number(self) -> Result<f64> {
        match self.special {
            0 => Ok(self.value),
            1 => Ok(f64::NAN),
            2 => Ok(f64::INFINITY),
            3 => Ok(f64::NEG_INFINITY),
            other => Err(Error::Damaged {
                what: "metric".to_owned(),
                problem: format!("unknown mark {other}"),
            }),
        }
    }
}

fn cursor(last: &Metric) -> Cursor {
    Cursor {
        at: last.at,
        step: last.step,
        stored: Stored::of(last.value),
    }
}

/// The latest point of each metric among `points`, by name.
fn latest_of(points: &[Metric]) -> BTreeMap<&str, &Metric> {
    let mut latest = BTreeMap::new();
    for point in points {
        match latest.entry(point.key.as_str()) {
            Entry::Vacant(place) => {
                place.insert(point);
            }
            Entry::Occupied(mut place) => {
                if is_later(point, place.get()) {
                    place.insert(point);
                }
            }
        }
    }
    latest
}

fn is_later(a: &Metric, b: &Metric) -> bool {
    (a.step, a.at, Stored::of(a.value).value) > (b.step, b.at, Stored::of(b.value).value)
}

fn series_of(tx: &mut Tx<'_>, run: i64, key: &str) -> Result<Option<i64>> {
    let row = tx.query_opt(
        "SELECT series FROM run_metrics WHERE run = ?1 AND key = ?2",
        &params![run, key],
    )?;
    Ok(row.map(|row| row.get("series")).transpose()?)
}

/// The number of each metric in its run: the one it has, or the next free one. The run is locked, so nobody else takes
/// it.
fn number_series<'k>(
    tx: &mut Tx<'_>,
    run: i64,
    metrics: &BTreeMap<&'k str, &Metric>,
) -> Result<BTreeMap<&'k str, i64>> {
    let mut numbers = BTreeMap::new();
    let keys: Vec<&'k str> = metrics.keys().copied().collect();
    for part in keys.chunks(IN_LIST) {
        let (places, names) = in_list(1, part.iter().map(|key| Value::from(*key)).collect());
        let mut values = params![run].to_vec();
        values.extend(names);
        let rows = tx.query(
            &format!("SELECT key, series FROM run_metrics WHERE run = ?1 AND key IN {places}"),
            &values,
        )?;
        for row in rows {
            let name: String = row.get("key")?;
            if let Ok(found) = part.binary_search(&name.as_str()) {
                numbers.insert(part[found], row.get("series")?);
            }
        }
    }
    if numbers.len() < keys.len() {
        let row = tx.query_one(
            "SELECT COALESCE(MAX(series), 0) AS last FROM run_metrics WHERE run = ?1",
            &params![run],
        )?;
        let mut last: i64 = row.get("last")?;
        for key in keys {
            if let Entry::Vacant(place) = numbers.entry(key) {
                last += 1;
                place.insert(last);
            }
        }
    }
    Ok(numbers)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metric(key: &str, value: f64, at: i64, step: i64) -> Metric {
        Metric {
            key: key.to_owned(),
            value,
            at: Timestamp(at),
            step,
        }
    }

    #[test]
    fn special_numbers_return_and_compare_as_mlflow_does() {
        for number in [0.0, -1.5, f64::MAX, f64::INFINITY, f64::NEG_INFINITY] {
            assert_eq!(Stored::of(number).number().unwrap(), number);
        }
        assert!(Stored::of(f64::NAN).number().unwrap().is_nan());
        assert_eq!(Stored::of(f64::NAN).value, 0.0);
    }

    #[test]
    fn the_latest_is_the_greatest_by_step_time_and_value() {
        let points = [
            metric("a", 9.0, 50, 1),
            metric("a", 1.0, 10, 2),
            metric("a", 2.0, 10, 2),
            metric("a", f64::NAN, 10, 2),
            metric("b", -1.0, 0, 0),
            metric("b", f64::NAN, 0, 0),
        ];
        let latest = latest_of(&points);
        assert_eq!(latest["a"].value, 2.0);
        assert!(latest["b"].value.is_nan(), "NaN counts as 0, which is above -1");
    }
}
