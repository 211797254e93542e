//! The prediction log: from the write-ahead segment to Parquet objects, exactly once.
//!
//! A segment's rows are stored under the segment's id. When a process dies between storing and removing the segment,
//! the next one stores the same rows under the same id, which changes nothing.

use everloop_core::{Ids, Timestamp, Values};
use everloop_db::params;
use everloop_tables::arrow::array::RecordBatch;
use everloop_tables::{Source, from_frame};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;

use crate::store::CHANNEL;
use crate::table::{Table, tables};
use crate::wal::{Closed, Record, Wal, batches};
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
    /// The open segment holds enough rows to be sealed.
    full: Notify,
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
            full: Notify::new(),
            sealing: tokio::sync::Mutex::default(),
        })
    }

    /// Logs an answer; when this returns it may be given.
    pub(crate) fn append(&self, record: &Record<'_>) -> Result<()> {
        let rows = record.ids.len();
        self.wal.append(&record.encode(), rows).map_err(Error::Log)?;
        self.logged.fetch_add(rows as u64, Ordering::Relaxed);
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
    ///
    /// Side by side: sealing takes seconds, and what is answered meanwhile must be synced in time.
    pub async fn run(&self, stop: CancellationToken) {
        tokio::join!(
            self.keep_fresh(&stop),
            self.keep_synced(&stop),
            self.keep_sealed(&stop)
        );
        if let Err(error) = self.flush().await {
            tracing::error!(%error, "the last predictions stay in the write-ahead log");
        }
    }

    async fn keep_fresh(&self, stop: &CancellationToken) {
        let mut changed = self.0.db.subscribe(CHANNEL);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                // An error says that the database was closed.
                told = changed.changed() => if told.is_err() { return },
            }
            if let Err(error) = self.refresh().await {
                tracing::error!(%error, "endpoints answer as before: their routes could not be read");
            }
        }
    }

    async fn keep_synced(&self, stop: &CancellationToken) {
        let mut tick = tokio::time::interval(SYNC_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = tick.tick() => {}
            }
            if self.0.log.wal.is_synced() {
                continue;
            }
            let serving = self.clone();
            let synced = tokio::task::spawn_blocking(move || serving.0.log.wal.sync()).await;
            if let Ok(Err(error)) = synced {
                tracing::error!(%error, "the prediction log could not be synced");
            }
            if self.0.log.wal.rows() >= self.0.options.segment_rows {
                self.0.log.full.notify_one();
            }
        }
    }

    async fn keep_sealed(&self, stop: &CancellationToken) {
        let mut tick = tokio::time::interval(SEAL_EVERY);
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = self.0.log.full.notified() => {}
                _ = tick.tick() => {}
            }
            if let Err(error) = self.flush().await {
                tracing::error!(%error, "predictions wait in the write-ahead log");
            }
        }
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
        let mut rows = Vec::new();
        let mut stored = 0;
        for (part, table) in self.read(&segment.path).await?.into_iter().enumerate() {
            stored += table.rows as u64;
            rows.push(self.store_part(format!("{}-{part}", segment.id), table).await?);
        }
        let at = self.0.clock.now();
        self.0
            .db
            .write(move |tx| {
                for row in &rows {
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

    /// The rows of a segment as tables of the query engine. Away from the threads that answer: it takes a while.
    async fn read(&self, path: &Path) -> Result<Vec<Part>> {
        let path = path.to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let bytes = std::fs::read(&path).map_err(Error::Log)?;
            let tables = tables(batches(&path, &bytes));
            tables.into_iter().map(Part::of).collect::<Result<Vec<_>>>()
        });
        // When the runtime ends meanwhile the segment is left to the next process.
        read.await
            .map_err(|error| Error::Log(std::io::Error::other(error)))?
    }

    /// One Parquet object for rows of the same endpoint and columns; returns its row for the database.
    async fn store_part(&self, id: String, part: Part) -> Result<Vec<everloop_db::Value>> {
        let folder = self.0.options.folder.join("sealing");
        std::fs::create_dir_all(&folder).map_err(Error::Log)?;
        let path = folder.join(format!("{id}.parquet"));
        let session = self.0.tables.session().await?;
        session.add("rows", Source::batches(vec![part.table])).await?;
        session.write_parquet("SELECT * FROM rows", &path).await?;
        let stored = self.0.objects.put_file(&path).await?;
        std::fs::remove_file(&path).map_err(Error::Log)?;
        Ok(params![
            part.project,
            part.endpoint,
            id,
            stored.hash,
            stored.size,
            part.rows as u64,
            *part.event_times.start(),
            *part.event_times.end(),
            part.ids.start().as_str(),
            part.ids.end().as_str()
        ]
        .to_vec())
    }
}

/// Rows for one Parquet object, with what the database has to know of them.
struct Part {
    project: String,
    endpoint: String,
    rows: usize,
    event_times: RangeInclusive<i64>,
    ids: RangeInclusive<String>,
    table: RecordBatch,
}

impl Part {
    fn of(table: Table) -> Result<Self> {
        let (first, last) = table.ids().into_inner();
        Ok(Self {
            project: table.project.clone(),
            endpoint: table.endpoint.clone(),
            rows: table.rows(),
            event_times: table.event_times(),
            ids: first.to_owned()..=last.to_owned(),
            table: from_frame(&table.into_frame())?,
        })
    }
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
