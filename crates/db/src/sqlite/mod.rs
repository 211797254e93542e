//! SQLite: one writer thread with group commit, a few readers, one file.

mod backup;
mod connection;
mod errors;
mod migrations;
mod queue;
mod reader;
pub(crate) mod statements;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::JoinHandle;

use everloop_core::Clock;
use parking_lot::Mutex;
use tokio::sync::watch;

pub(crate) use backup::restore;

use crate::stats::Counters;
use crate::wakes::Wakes;
use crate::{Error, Migration, Result, Stats, Tx};
use queue::Queue;

/// Waiting requests beyond these make callers wait before they queue.
const WRITE_QUEUE: usize = 4_096;
const READ_QUEUE: usize = 4_096;

/// An open SQLite database.
pub(crate) struct Store {
    path: PathBuf,
    shared: Arc<Shared>,
    writes: Queue,
    reads: Queue,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// What the database threads and their callers both see.
#[derive(Default)]
pub(crate) struct Shared {
    wakes: Wakes,
    counters: Counters,
}

impl Store {
    /// Opens (and makes, when it is not there) the database at `path`, applies what is due of `migrations` and starts
    /// the threads. Blocks.
    pub(crate) fn open(path: &Path, migrations: &[Migration], clock: &Clock) -> Result<Self> {
        let writer = connection::open_writer(path)?;
        migrations::apply(&writer, path, migrations, clock)?;
        let shared = Arc::new(Shared::default());
        let (writes, write_jobs) = Queue::new(WRITE_QUEUE);
        let (reads, read_jobs) = Queue::new(READ_QUEUE);
        let mut threads = vec![writer::start(writer, write_jobs, Arc::clone(&shared))?];
        for number in 0..reader_count() {
            let connection = connection::open_reader(path)?;
            threads.push(reader::start(
                number,
                connection,
                read_jobs.clone(),
                Arc::clone(&shared),
            )?);
        }
        Ok(Self {
            path: path.to_owned(),
            shared,
            writes,
            reads,
            threads: Mutex::new(threads),
        })
    }

    pub(crate) async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.writes.call(f).await
    }

    pub(crate) async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        self.reads.call(f).await
    }

    pub(crate) fn subscribe(&self, channel: &'static str) -> watch::Receiver<u64> {
        let receiver = self.shared.wakes.subscribe(channel);
        // The writer may sleep without a timer because nobody waited; now somebody does.
        self.writes.nudge();
        receiver
    }

    pub(crate) fn stats(&self) -> Stats {
        self.shared
            .counters
            .snapshot(self.writes.depth(), self.reads.depth())
    }

    /// Copies the database as of now to `target`, durably; writers go on meanwhile. Blocks.
    pub(crate) fn backup_to(&self, target: &Path) -> Result<()> {
        backup::backup(&connection::open_reader(&self.path)?, target)
    }

    /// Finishes what is queued and ends the threads. Blocks.
    pub(crate) fn close(&self) {
        self.writes.close();
        self.reads.close();
        self.shared.wakes.close();
        let threads = std::mem::take(&mut *self.threads.lock());
        for thread in threads {
            // Its panic was already reported by the panic hook, and there is nothing left to save.
            let _ = thread.join();
        }
    }
}

fn reader_count() -> usize {
    std::thread::available_parallelism().map_or(4, |cores| cores.get().clamp(2, 8))
}
