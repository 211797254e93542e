//! The prediction log: from the write-ahead segment to Parquet objects, exactly once.
//!
//! A segment's rows are stored under the segment's id. When a process dies between storing and removing the segment,
//! the next one stores the same rows under the same id, which changes nothing.

use everloop_core::{Column, Frame, Ids, Timestamp, Values};
use everloop_db::params;
use everloop_tables::{Source, from_frame};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::read::columns;
use crate::store::CHANNEL;
use crate::wal::{Batch, Closed, Wal, read_segment};
use crate::{Error, Result, Serving};

/// How long an answer may be unsynced.
const SYNC_EVERY: Duration = Duration::from_millis(50);
/// How long a segment stays open at most.
const SEAL_EVERY: Duration = Duration::from_secs(60);

/// Shadow answers under way; more are dropped and counted.
const SHADOWS_AT_ONCE: usize = 64;

#[derive(Debug)]
pub(crate) struct PredictionLog {
    pub(crate) wal: Wal,
    logged: AtomicU64,
    sealed: AtomicU64,
    shadows_dropped: AtomicU64,
    /// Bounds the shadow answers under way.
    pub(crate) shadow_slots: Arc<Semaphore>,
    /// One sealing at a time in this process.
    sealing: tokio::sync::Mutex<()>,
}

/// Figures of the prediction log since the process started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogStats {
    /// Rows answered and logged.
    pub logged: u64,
    /// Rows stored as Parquet.
    pub sealed: u64,
    /// Rows in the open segment.
    pub open_rows: u64,
    /// Bytes in the open segment.
    pub open_bytes: u64,
    /// Copies for shadow versions that were dropped because their queue was full. Answers are never dropped.
    pub shadows_dropped: u64,
}

impl PredictionLog {
    pub(crate) fn open(folder: &Path, ids: &Ids, wall: Timestamp) -> Result<Self> {
        let wal = Wal::open(folder, &ids.ordered(wall)).map_err(Error::Log)?;
        Ok(Self {
            wal,
            logged: AtomicU64::default(),
            sealed: AtomicU64::default(),
            shadows_dropped: AtomicU64::default(),
            shadow_slots: Arc::new(Semaphore::new(SHADOWS_AT_ONCE)),
            sealing: tokio::sync::Mutex::default(),
        })
    }

    /// Logs an answer; when this returns it may be given.
    pub(crate) fn append(&self, batch: &Batch) -> Result<()> {
        self.wal
            .append(&batch.encode(), batch.ids.len())
            .map_err(Error::Log)?;
        self.logged.fetch_add(batch.ids.len() as u64, Ordering::Relaxed);
        Ok(())
    }

    pub(crate) fn shadow_dropped(&self) {
        self.shadows_dropped.fetch_add(1, Ordering::Relaxed);
    }
}

impl Serving {
    /// Figures of the prediction log.
    #[must_use]
    pub fn log_stats(&self) -> LogStats {
        let log = &self.0.log;
        LogStats {
            logged: log.logged.load(Ordering::Relaxed),
            sealed: log.sealed.load(Ordering::Relaxed),
            open_rows: log.wal.rows(),
            open_bytes: log.wal.bytes(),
            shadows_dropped: log.shadows_dropped.load(Ordering::Relaxed),
        }
    }

    /// Keeps routes fresh and the log synced and sealed until `stop`; then seals what is left.
    pub async fn run(&self, stop: CancellationToken) {
        let mut changed = self.0.db.subscribe(CHANNEL);
        let mut sync = tokio::time::interval(SYNC_EVERY);
        let mut seal = tokio::time::interval(SEAL_EVERY);
        loop {
            let outcome = tokio::select! {
                () = stop.cancelled() => break,
                told = changed.changed() => match told {
                    Ok(()) => self.refresh().await,
                    // The database was closed.
                    Err(_) => break,
                },
                _ = sync.tick() => self.keep_log().await,
                _ = seal.tick() => self.flush().await,
            };
            if let Err(error) = outcome {
                tracing::error!(%error, "serving could not keep up its tables or log");
            }
        }
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last predictions stay in the write-ahead log");
        }
    }

    async fn keep_log(&self) -> Result<()> {
        let serving = self.clone();
        let synced = tokio::task::spawn_blocking(move || serving.0.log.wal.sync()).await;
        match synced {
            Ok(outcome) => outcome.map_err(Error::Log)?,
            Err(_) => return Ok(()),
        }
        if self.0.log.wal.rows() >= self.0.options.segment_rows {
            self.flush().await?;
        }
        Ok(())
    }

    /// Stores everything that was answered so far as Parquet, for readers.
    ///
    /// # Errors
    /// When the log or a store fails; nothing is lost, the next call tries again.
    pub async fn flush(&self) -> Result<()> {
        let id = self.0.ids.ordered(self.0.clock.wall());
        self.0.log.wal.rotate(&id).map_err(Error::Log)?;
        self.seal().await
    }

    /// Stores the segments that nobody writes any more.
    pub(crate) async fn seal(&self) -> Result<()> {
        let _one = self.0.log.sealing.lock().await;
        for segment in self.0.log.wal.closed().map_err(Error::Log)? {
            self.seal_one(segment).await?;
        }
        Ok(())
    }

    async fn seal_one(&self, segment: Closed) -> Result<()> {
        let path = segment.path.clone();
        let batches = tokio::task::spawn_blocking(move || read_segment(&path)).await;
        let batches = match batches {
            Ok(batches) => batches.map_err(Error::Log)?,
            Err(_) => return Ok(()),
        };
        let mut rows = Vec::new();
        for (part, (key, group)) in group(batches).into_iter().enumerate() {
            rows.push(self.store_part(&segment.id, part, &key, &group).await?);
        }
        let stored: u64 = rows.iter().map(|row| row.1).sum();
        let at = self.0.clock.now();
        self.0
            .db
            .write(move |tx| {
                for (row, _) in &rows {
                    let mut values = row.clone();
                    values.push(at.into());
                    tx.execute(
                        "INSERT INTO prediction_segments (project, endpoint, id, object, size, rows_count, \
                         min_event_time, max_event_time, min_prediction, max_prediction, created_at) \
                         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11) \
                         ON CONFLICT (project, endpoint, id) DO NOTHING",
                        &values,
                    )?;
                }
                Ok::<_, Error>(())
            })
            .await?;
        self.0.log.sealed.fetch_add(stored, Ordering::Relaxed);
        segment.remove().map_err(Error::Log)
    }

    /// One Parquet object for rows of the same endpoint and columns; returns its row for the database.
    async fn store_part(
        &self,
        segment: &str,
        part: usize,
        key: &GroupKey,
        group: &[Batch],
    ) -> Result<(Vec<everloop_db::Value>, u64)> {
        let frame = to_frame(group);
        let rows = frame.rows() as u64;
        let folder = self.0.options.folder.join("sealing");
        std::fs::create_dir_all(&folder).map_err(Error::Log)?;
        let path = folder.join(format!("{segment}-{part}.parquet"));
        let session = self.0.tables.session().await?;
        session
            .add("rows", Source::batches(vec![from_frame(&frame)?]))
            .await?;
        session.write_parquet("SELECT * FROM rows", &path).await?;
        let stored = self.0.objects.put_file(&path).await?;
        std::fs::remove_file(&path).map_err(Error::Log)?;
        let times = || group.iter().map(|batch| batch.event_time);
        let ids = || group.iter().flat_map(|batch| batch.ids.iter());
        let values = params![
            key.project.as_str(),
            key.endpoint.as_str(),
            format!("{segment}-{part}"),
            stored.hash,
            stored.size,
            rows,
            times().min().unwrap_or(0),
            times().max().unwrap_or(0),
            ids().min().map(|id| id.as_str()).unwrap_or_default(),
            ids().max().map(|id| id.as_str()).unwrap_or_default()
        ];
        Ok((values.to_vec(), rows))
    }
}

/// Rows that fit one table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct GroupKey {
    project: String,
    endpoint: String,
    /// Names and kinds of the features.
    columns: Vec<(String, u8)>,
}

fn group(batches: Vec<Batch>) -> BTreeMap<GroupKey, Vec<Batch>> {
    let mut groups: BTreeMap<GroupKey, Vec<Batch>> = BTreeMap::new();
    for batch in batches {
        let columns = batch
            .features
            .columns()
            .iter()
            .map(|column| (column.name.clone(), kind(&column.values)));
        let key = GroupKey {
            project: batch.project.clone(),
            endpoint: batch.endpoint.clone(),
            columns: columns.collect(),
        };
        groups.entry(key).or_default().push(batch);
    }
    groups
}

fn kind(values: &Values) -> u8 {
    match values {
        Values::Float(_) => 0,
        Values::Int(_) => 1,
        Values::Bool(_) => 2,
        Values::Text(_) | Values::Category { .. } => 3,
    }
}

/// The rows of batches with the same columns as one table: ours first (their names start with `_`), then the features.
pub(crate) fn to_frame(batches: &[Batch]) -> Frame {
    let repeat = |value: &dyn Fn(&Batch) -> String| -> Values {
        Values::Text(
            batches
                .iter()
                .flat_map(|batch| vec![Some(value(batch)); batch.ids.len()])
                .collect(),
        )
    };
    let numbers = |value: &dyn Fn(&Batch) -> i64| -> Values {
        Values::Int(
            batches
                .iter()
                .flat_map(|batch| vec![Some(value(batch)); batch.ids.len()])
                .collect(),
        )
    };
    let ids = batches
        .iter()
        .flat_map(|batch| batch.ids.iter().map(|id| Some(id.to_string())));
    let scores = batches
        .iter()
        .flat_map(|batch| (0..batch.ids.len()).map(|row| *batch.scores.get(row).unwrap_or(&f64::NAN)));
    let labels = batches
        .iter()
        .flat_map(|batch| (0..batch.ids.len()).map(|row| batch.labels.get(row).cloned()));
    let errors = batches
        .iter()
        .flat_map(|batch| vec![batch.error.clone(); batch.ids.len()]);
    let mut all = vec![
        (columns::ID, Values::Text(ids.collect())),
        (columns::MODEL, repeat(&|batch| batch.model.clone())),
        (columns::VERSION, numbers(&|batch| batch.version.cast_signed())),
        (columns::ROLE, repeat(&|batch| batch.role.as_str().to_owned())),
        (columns::EVENT_TIME, numbers(&|batch| batch.event_time)),
        (columns::RECEIVED_AT, numbers(&|batch| batch.received_at)),
        (columns::LATENCY_US, numbers(&|batch| i64::from(batch.latency_us))),
        (columns::SCORE, Values::Float(scores.collect())),
        (columns::PREDICTION, Values::Text(labels.collect())),
        (columns::ERROR, Values::Text(errors.collect())),
    ]
    .into_iter()
    .map(|(name, values)| Column {
        name: name.to_owned(),
        values,
    })
    .collect::<Vec<_>>();
    let width = batches.first().map_or(0, |batch| batch.features.columns().len());
    for index in 0..width {
        let parts = batches.iter().map(|batch| &batch.features.columns()[index]);
        let name = batches[0].features.columns()[index].name.clone();
        all.push(Column {
            name,
            values: concat(parts.map(|column| &column.values)),
        });
    }
    Frame::new(all).expect("every column has one value per row")
}

/// Values of the same kind, one after the other.
pub(crate) fn concat<'a>(parts: impl Iterator<Item = &'a Values>) -> Values {
    let parts: Vec<&Values> = parts.collect();
    match parts.first() {
        None => Values::Float(Vec::new()),
        Some(Values::Float(_)) => Values::Float(parts.iter().flat_map(|part| part.to_numbers()).collect()),
        Some(Values::Int(_)) => Values::Int(
            parts
                .iter()
                .flat_map(|part| match part {
                    Values::Int(numbers) => numbers.clone(),
                    other => vec![None; other.len()],
                })
                .collect(),
        ),
        Some(Values::Bool(_)) => Values::Bool(
            parts
                .iter()
                .flat_map(|part| match part {
                    Values::Bool(truths) => truths.clone(),
                    other => vec![None; other.len()],
                })
                .collect(),
        ),
        Some(Values::Text(_) | Values::Category { .. }) => Values::Text(
            parts
                .iter()
                .flat_map(|part| (0..part.len()).map(|row| part.text(row).map(ToOwned::to_owned)))
                .collect(),
        ),
    }
}
