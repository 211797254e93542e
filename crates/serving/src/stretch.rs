//! The log by count: where the next so many predictions begin and end.

use everloop_core::{EndpointName, ProjectName, Timestamp};
use everloop_db::params;
use everloop_tables::Source;

use crate::read::columns;
use crate::{Error, PredictionFilter, Result, Serving};

/// Before any event time; its negative is still a number for the query engine.
const BEGINNING: Timestamp = Timestamp(i64::MIN / 2);

/// A prediction's place in the order of the log: by event time, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// When what it describes happened.
    pub event_time: Timestamp,
    /// Its id.
    pub id: String,
}

/// The next so many predictions, or how many are missing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stretch {
    /// All are there.
    Whole {
        /// The first of them.
        first: Place,
        /// The last of them.
        last: Place,
    },
    /// At least so many more rows must be logged before they can be.
    Short {
        /// How many; at least one.
        missing: u64,
    },
}

/// A sealed part of the log: how far it reaches, and its rows.
struct Extent {
    until: Timestamp,
    rows: u64,
}

impl Serving {
    /// Rows of every role that are sealed of `endpoint`. It never falls, so that a caller can tell when it pays to look
    /// for a [`stretch`](Self::stretch) again.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn rows_sealed(&self, project: &ProjectName, endpoint: &EndpointName) -> Result<u64> {
        let extents = self.extents(project, endpoint, BEGINNING).await?;
        Ok(extents.iter().map(|extent| extent.rows).sum())
    }

    /// The first and the last of the next `rows` live predictions after `after`, in the order of event time and id.
    /// Reads about as much of the log as it answers.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn stretch(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        after: Option<&Place>,
        rows: u64,
    ) -> Result<Stretch> {
        let rows = rows.max(1);
        let from = after.map_or(BEGINNING, |place| place.event_time);
        self.flush().await?;
        let extents = self.extents(project, endpoint, from).await?;
        let mut wanted = rows;
        loop {
            let horizon = horizon(&extents, wanted);
            let Some(until) = horizon.until else {
                return Ok(Stretch::Short { missing: rows });
            };
            let places = self.places(project, endpoint, from, until).await?;
            let begin = after.map_or(0, |after| places.partition_point(|place| place <= after));
            let found = &places[begin..];
            let have = found.len() as u64;
            if have >= rows {
                let last = usize::try_from(rows).unwrap_or(usize::MAX) - 1;
                return Ok(Stretch::Whole {
                    first: found[0].clone(),
                    last: found[last].clone(),
                });
            }
            if horizon.is_everything {
                return Ok(Stretch::Short { missing: rows - have });
            }
            // Shadow answers and rows before `after` filled it; doubling keeps the reading within a small factor.
            wanted = wanted.saturating_mul(2);
        }
    }

    /// The sealed parts that reach to `from` or beyond, by how far they reach.
    async fn extents(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        from: Timestamp,
    ) -> Result<Vec<Extent>> {
        let (project, endpoint) = (project.clone(), endpoint.clone());
        self.0
            .db
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT max_event_time, rows_count FROM prediction_segments WHERE project = ?1 AND endpoint = ?2 \
                     AND max_event_time >= ?3 ORDER BY max_event_time",
                    &params![project.as_str(), endpoint.as_str(), from],
                )?;
                rows.iter()
                    .map(|row| {
                        Ok(Extent {
                            until: row.get("max_event_time")?,
                            rows: row.get("rows_count")?,
                        })
                    })
                    .collect()
            })
            .await
    }

    /// The places of the live predictions from `from` to `until`, both inclusive, in order.
    async fn places(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        from: Timestamp,
        until: Timestamp,
    ) -> Result<Vec<Place>> {
        let filter = PredictionFilter {
            event_time: from..Timestamp(until.millis().saturating_add(1)),
            role: Some("live"),
            version: None,
        };
        let mut places = Vec::new();
        for file in self.segments(project, endpoint, &filter).await? {
            let session = self.0.tables.session().await?;
            session.add("log", Source::objects(vec![file])).await?;
            let sql = format!(
                "SELECT \"{time}\", \"{id}\" FROM log WHERE \"{time}\" >= {from} AND \"{time}\" <= {until} \
                 AND \"{role}\" = 'live'",
                time = columns::EVENT_TIME,
                id = columns::ID,
                role = columns::ROLE,
                from = from.millis(),
                until = until.millis(),
            );
            let frame = session.sql(&sql).await?.to_frame()?;
            let (Some(times), Some(ids)) = (frame.get(columns::EVENT_TIME), frame.get(columns::ID)) else {
                continue;
            };
            for row in 0..frame.rows() {
                let id = ids.text(row).ok_or_else(|| Error::Damaged {
                    what: "prediction log",
                    problem: "a row has no id".to_owned(),
                })?;
                places.push(Place {
                    event_time: Timestamp(times.number(row) as i64),
                    id: id.to_owned(),
                });
            }
        }
        places.sort_unstable();
        Ok(places)
    }
}

/// How far one must read for so many rows.
struct Horizon {
    /// The event time; none when there are no rows at all.
    until: Option<Timestamp>,
    /// Whether there is nothing beyond it.
    is_everything: bool,
}

/// The least event time up to which whole parts hold `wanted` rows. Every row up to it lies in a part that starts
/// before it, so that a read up to it misses none.
fn horizon(extents: &[Extent], wanted: u64) -> Horizon {
    let mut rows = 0_u64;
    for (at, extent) in extents.iter().enumerate() {
        rows = rows.saturating_add(extent.rows);
        if rows >= wanted {
            return Horizon {
                until: Some(extent.until),
                is_everything: at + 1 == extents.len(),
            };
        }
    }
    Horizon {
        until: extents.last().map(|extent| extent.until),
        is_everything: true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_horizon_is_the_least_that_may_hold_enough() {
        let extents: Vec<Extent> = [(10, 5), (20, 5), (30, 5)]
            .into_iter()
            .map(|(until, rows)| Extent {
                until: Timestamp(until),
                rows,
            })
            .collect();
        for (wanted, until, is_everything) in [
            (1, 10, false),
            (5, 10, false),
            (6, 20, false),
            (11, 30, true),
            (99, 30, true),
        ] {
            let found = horizon(&extents, wanted);
            assert_eq!(found.until, Some(Timestamp(until)), "{wanted}");
            assert_eq!(found.is_everything, is_everything, "{wanted}");
        }
        let none = horizon(&[], 1);
        assert!(none.until.is_none() && none.is_everything);
    }
}
