//! Reading the prediction log: rows of a span of event time, one row by its id, rows with their labels.

use everloop_core::{Column, EndpointName, Frame, Hash, PredictionId, ProjectName, Timestamp, Values};
use everloop_db::{Tx, params};
use everloop_tables::{ObjectFile, Source, from_frame};
use serde::Serialize;
use std::collections::HashMap;
use std::ops::Range;

use crate::log::concat;
use crate::table::Table;
use crate::{Error, Result, Serving};

/// Names of the log's own columns. The features follow under their own names.
pub mod columns {
    /// The prediction's id.
    pub const ID: &str = "_id";
    /// The model.
    pub const MODEL: &str = "_model";
    /// The version that answered.
    pub const VERSION: &str = "_version";
    /// live, shadow or pinned.
    pub const ROLE: &str = "_role";
    /// When what the row describes happened, in milliseconds.
    pub const EVENT_TIME: &str = "_event_time";
    /// When it was asked, in milliseconds.
    pub const RECEIVED_AT: &str = "_received_at";
    /// How long predicting took, in microseconds.
    pub const LATENCY_US: &str = "_latency_us";
    /// The probability of the positive class, or the value; NaN when the model failed.
    pub const SCORE: &str = "_score";
    /// The predicted class.
    pub const PREDICTION: &str = "_prediction";
    /// Why the model failed.
    pub const ERROR: &str = "_error";
    /// The true label; NaN when none came.
    pub const LABEL: &str = "_label";

    /// Whether `name` is one of these: no input may be called so, for a table has each name once.
    #[must_use]
    pub fn is_own(name: &str) -> bool {
        matches!(
            name,
            ID | MODEL
                | VERSION
                | ROLE
                | EVENT_TIME
                | RECEIVED_AT
                | LATENCY_US
                | SCORE
                | PREDICTION
                | ERROR
                | LABEL
        )
    }
}

/// Which predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PredictionFilter {
    /// Event time, from (inclusive) to (exclusive).
    pub event_time: Range<Timestamp>,
    /// live, shadow or pinned; all when none.
    pub role: Option<&'static str>,
    /// Only this version's.
    pub version: Option<u64>,
}

/// Predictions with their labels.
#[derive(Debug, Clone, PartialEq)]
pub struct Labelled {
    /// The log's columns, `_label` and the features.
    pub frame: Frame,
    /// Rows with a label.
    pub labelled: usize,
}

/// One prediction.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PredictionRow {
    /// The endpoint that answered.
    pub endpoint: EndpointName,
    /// The log's row, features included.
    pub row: serde_json::Map<String, serde_json::Value>,
    /// The true label, if one came.
    pub label: Option<f64>,
}

impl Serving {
    /// The predictions of `endpoint` that match `filter`, ordered by event time and id. Sees everything answered so
    /// far by this process, and what other servers have sealed.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn predictions(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        filter: &PredictionFilter,
    ) -> Result<Frame> {
        self.flush().await?;
        let files = self.segments(project, endpoint, filter).await?;
        let mut frames = Vec::with_capacity(files.len());
        // Versions may read other features, so each file is its own table.
        for file in files {
            let session = self.0.tables.session().await?;
            session.add("log", Source::objects(vec![file])).await?;
            let answer = session.sql(&sql_of(filter)).await?;
            if answer.rows() > 0 {
                frames.push(answer.to_frame()?);
            }
        }
        Ok(ordered(&union(&frames)))
    }

    /// As [`predictions`](Self::predictions), with the label of each row.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn labelled(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        filter: &PredictionFilter,
    ) -> Result<Labelled> {
        let frame = self.predictions(project, endpoint, filter).await?;
        let ids: Vec<String> = match frame.get(columns::ID) {
            Some(values) => (0..values.len())
                .filter_map(|row| values.text(row).map(ToOwned::to_owned))
                .collect(),
            None => Vec::new(),
        };
        let labels = self.labels(project, endpoint, &ids).await?;
        let column: Vec<f64> = ids
            .iter()
            .map(|id| labels.get(id).copied().unwrap_or(f64::NAN))
            .collect();
        let labelled = column.iter().filter(|label| !label.is_nan()).count();
        let mut all = frame.columns().to_vec();
        all.push(Column {
            name: columns::LABEL.to_owned(),
            values: Values::Float(column),
        });
        let frame = Frame::new(all).map_err(|error| Error::Damaged {
            what: "prediction log",
            problem: error.to_string(),
        })?;
        Ok(Labelled { frame, labelled })
    }

    /// The prediction with this id, if it was logged. Only reads: it works on a full disk too.
    ///
    /// # Errors
    /// When a store fails.
    pub async fn prediction(
        &self,
        project: &ProjectName,
        id: &PredictionId,
    ) -> Result<Option<PredictionRow>> {
        if let Some(found) = self.sealed(project, id).await? {
            return Ok(Some(found));
        }
        if let Some(found) = self.unsealed(project, id).await? {
            return Ok(Some(found));
        }
        // Its segment may have been sealed between the two looks.
        self.sealed(project, id).await
    }

    /// Looks among what is stored as Parquet.
    async fn sealed(&self, project: &ProjectName, id: &PredictionId) -> Result<Option<PredictionRow>> {
        let (wanted, owner) = (id.clone(), project.clone());
        let found = self
            .0
            .db
            .read(move |tx| {
                let rows = tx.query(
                    "SELECT endpoint, object, size, id FROM prediction_segments \
                     WHERE project = ?1 AND min_prediction <= ?2 AND max_prediction >= ?2 ORDER BY id",
                    &params![owner.as_str(), wanted.as_str()],
                )?;
                rows.iter()
                    .map(|row| Ok((row.get::<String>("endpoint")?, read_file(row)?)))
                    .collect::<Result<Vec<_>>>()
            })
            .await?;
        for (endpoint, file) in found {
            if let Some(row) = self.row_of(Source::objects(vec![file]), id).await? {
                return self.with_label(project, endpoint, row, id).await.map(Some);
            }
        }
        Ok(None)
    }

    /// Looks into the write-ahead log.
    async fn unsealed(&self, project: &ProjectName, id: &PredictionId) -> Result<Option<PredictionRow>> {
        let (serving, wanted, owner) = (self.clone(), id.clone(), project.clone());
        let searched = tokio::task::spawn_blocking(move || {
            let found = serving.0.log.wal.find(|batch| {
                let is_wanted = batch.project == owner.as_str() && batch.ids.contains(&wanted.as_str());
                is_wanted.then(|| Table::of(batch))
            });
            found.map_err(Error::Log)
        });
        let tables = match searched.await {
            Ok(tables) => tables?,
            Err(_) => return Ok(None),
        };
        for table in tables {
            let endpoint = table.endpoint.clone();
            let rows = from_frame(&table.into_frame())?;
            if let Some(row) = self.row_of(Source::batches(vec![rows]), id).await? {
                return self.with_label(project, endpoint, row, id).await.map(Some);
            }
        }
        Ok(None)
    }

    /// The row of a prediction in a part of the log, if it is there. Shadows answered the same id unseen.
    async fn row_of(
        &self,
        part: Source,
        id: &PredictionId,
    ) -> Result<Option<serde_json::Map<String, serde_json::Value>>> {
        let session = self.0.tables.session().await?;
        session.add("log", part).await?;
        let text = id.as_str().replace('\'', "''");
        let answer = session
            .sql(&format!(
                "SELECT * FROM log WHERE \"{}\" = '{text}' AND \"{}\" <> 'shadow'",
                columns::ID,
                columns::ROLE
            ))
            .await?;
        Ok(answer.to_json(1)?.pop())
    }

    async fn with_label(
        &self,
        project: &ProjectName,
        endpoint: String,
        row: serde_json::Map<String, serde_json::Value>,
        id: &PredictionId,
    ) -> Result<PredictionRow> {
        let endpoint = EndpointName::new(endpoint).map_err(|error| Error::Damaged {
            what: "prediction segment",
            problem: error.to_string(),
        })?;
        let labels = self.labels(project, &endpoint, &[id.to_string()]).await?;
        Ok(PredictionRow {
            endpoint,
            row,
            label: labels.get(id.as_str()).copied(),
        })
    }

    pub(crate) async fn segments(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        filter: &PredictionFilter,
    ) -> Result<Vec<ObjectFile>> {
        let (project, endpoint, span) = (project.clone(), endpoint.clone(), filter.event_time.clone());
        self.0
            .db
            .read(move |tx: &mut Tx<'_>| {
                let rows = tx.query(
                    "SELECT object, size, id FROM prediction_segments WHERE project = ?1 AND endpoint = ?2 \
                     AND max_event_time >= ?3 AND min_event_time < ?4 ORDER BY id",
                    &params![project.as_str(), endpoint.as_str(), span.start, span.end],
                )?;
                rows.iter().map(read_file).collect()
            })
            .await
    }

    /// Labels by prediction id.
    async fn labels(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        ids: &[String],
    ) -> Result<HashMap<String, f64>> {
        let (Some(first), Some(last)) = (ids.iter().min().cloned(), ids.iter().max().cloned()) else {
            return Ok(HashMap::new());
        };
        let (project, endpoint) = (project.clone(), endpoint.clone());
        self.0
            .db
            .read(move |tx| {
                // Ids are ordered by time, so the rows of a window lie together.
                let rows = tx.query(
                    "SELECT prediction_id, label FROM feedback WHERE project = ?1 AND endpoint = ?2 \
                     AND prediction_id >= ?3 AND prediction_id <= ?4",
                    &params![project.as_str(), endpoint.as_str(), first.as_str(), last.as_str()],
                )?;
                rows.iter()
                    .map(|row| Ok((row.get("prediction_id")?, row.get("label")?)))
                    .collect()
            })
            .await
    }
}

fn read_file(row: &everloop_db::Row) -> Result<ObjectFile> {
    let id: String = row.get("id")?;
    Ok(ObjectFile {
        hash: row.get::<Hash>("object")?,
        name: format!("{id}.parquet"),
        size: row.get("size")?,
    })
}

fn sql_of(filter: &PredictionFilter) -> String {
    let (from, to) = (filter.event_time.start.millis(), filter.event_time.end.millis());
    let mut sql = format!(
        "SELECT * FROM log WHERE \"{time}\" >= {from} AND \"{time}\" < {to}",
        time = columns::EVENT_TIME
    );
    if let Some(role) = filter.role {
        sql.push_str(&format!(" AND \"{}\" = '{role}'", columns::ROLE));
    }
    if let Some(version) = filter.version {
        sql.push_str(&format!(" AND \"{}\" = {version}", columns::VERSION));
    }
    sql
}

/// All rows of some frames; a column that a frame lacks is missing there.
fn union(frames: &[Frame]) -> Frame {
    let mut names: Vec<&str> = Vec::new();
    for column in frames.iter().flat_map(Frame::columns) {
        if !names.contains(&column.name.as_str()) {
            names.push(&column.name);
        }
    }
    let columns = names.iter().map(|name| {
        let like = frames.iter().find_map(|frame| frame.get(name));
        let parts: Vec<Values> = frames
            .iter()
            .map(|frame| match frame.get(name) {
                Some(values) => values.clone(),
                None => missing_like(like, frame.rows()),
            })
            .collect();
        Column {
            name: (*name).to_owned(),
            values: concat(parts.iter()),
        }
    });
    Frame::new(columns.collect()).unwrap_or_default()
}

fn missing_like(like: Option<&Values>, rows: usize) -> Values {
    match like {
        Some(Values::Int(_)) => Values::Int(vec![None; rows]),
        Some(Values::Bool(_)) => Values::Bool(vec![None; rows]),
        Some(Values::Text(_) | Values::Category { .. }) => Values::Text(vec![None; rows]),
        Some(Values::Float(_)) | None => Values::Float(vec![f64::NAN; rows]),
    }
}

fn ordered(frame: &Frame) -> Frame {
    let (Some(times), Some(ids)) = (frame.get(columns::EVENT_TIME), frame.get(columns::ID)) else {
        return frame.clone();
    };
    let mut rows: Vec<usize> = (0..frame.rows()).collect();
    rows.sort_by(|&a, &b| {
        times
            .number(a)
            .total_cmp(&times.number(b))
            .then_with(|| ids.text(a).cmp(&ids.text(b)))
    });
    frame.take(&rows)
}
