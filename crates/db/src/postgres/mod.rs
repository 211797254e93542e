//! Postgres: a pool of connections, each transaction on one of them, woken by `LISTEN`.

mod bind;
mod commit;
mod connect;
mod ddl;
mod decode;
mod errors;
mod listen;
pub(crate) mod migrations;
mod placeholders;
pub(crate) mod session;
mod snapshot;
pub(crate) mod target;
mod tls;
mod transaction;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use deadpool_postgres::Pool;
use everloop_core::Clock;
use parking_lot::Mutex;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::stats::Counters;
use crate::tx::Access;
use crate::wakes::Wakes;
use crate::{Error, Migration, Result, Stats, Tx};
use connect::Connector;
use listen::Listener;
pub(crate) use target::Target;

/// An open Postgres database.
pub(crate) struct Store {
    pool: Pool,
    connector: Connector,
    runtime: Handle,
    wakes: Arc<Wakes>,
    counters: Counters,
    /// Tells our own wake-ups from those of other processes.
    instance: String,
    /// The server's timeline as we knew it last.
    timeline: Mutex<Option<String>>,
    /// Started with the first subscription.
    listener: Mutex<Option<Listener>>,
    writing: AtomicUsize,
    reading: AtomicUsize,
}

impl Store {
    /// Connects, applies what is due of `migrations` and opens the pool.
    pub(crate) async fn open(target: &Target, migrations: &[Migration], clock: &Clock) -> Result<Self> {
        let connector = Connector::new(target)?;
        let server = migrations::apply(&connector, migrations, clock).await?;
        Ok(Self {
            pool: connector.pool()?,
            connector,
            runtime: Handle::current(),
            wakes: Arc::default(),
            counters: Counters::default(),
            instance: server.instance,
            timeline: Mutex::new(server.timeline),
            listener: Mutex::default(),
            writing: AtomicUsize::new(0),
            reading: AtomicUsize::new(0),
        })
    }

    pub(crate) async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let _counted = Counted::new(&self.writing);
        let done = transaction::run(self, Access::Write, f).await;
        self.counters.write(done.is_ok());
        done
    }

    pub(crate) async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let _counted = Counted::new(&self.reading);
        let done = transaction::run(self, Access::Read, f).await;
        self.counters.read();
        done
    }

    pub(crate) fn subscribe(&self, channel: &'static str) -> watch::Receiver<u64> {
        let receiver = self.wakes.subscribe(channel);
        let mut listener = self.listener.lock();
        if listener.is_none() && !self.pool.is_closed() {
            let started = Listener::start(
                &self.runtime,
                self.connector.clone(),
                self.instance.clone(),
                Arc::clone(&self.wakes),
            );
            *listener = Some(started);
        }
        receiver
    }

    pub(crate) fn stats(&self) -> Stats {
        self.counters.snapshot(
            self.writing.load(Ordering::Relaxed),
            self.reading.load(Ordering::Relaxed),
        )
    }

    /// Lets go of the connections; transactions that run now finish on theirs.
    pub(crate) fn close(&self) {
        self.pool.close();
        self.listener.lock().take();
        self.wakes.close();
    }
}

/// One more while it lives.
struct Counted<'c>(&'c AtomicUsize);

impl<'c> Counted<'c> {
    fn new(counter: &'c AtomicUsize) -> Self {
        counter.fetch_add(1, Ordering::Relaxed);
        Self(counter)
    }
}

impl Drop for Counted<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Drops the schema of `target` and the copies that were kept of it: for tests.
pub(crate) async fn drop_schema(target: &Target) -> Result<()> {
    let connector = Connector::new(target)?;
    let client = connector
        .pool()?
        .get()
        .await
        .map_err(|error| connector.failed(&error))?;
    let schema = &target.schema;
    // A test's runtime stands still meanwhile, and with it connections that hold locks.
    let others = "SELECT pg_terminate_backend(pid) FROM pg_catalog.pg_stat_activity
         WHERE application_name = $1 AND pid <> pg_backend_pid()";
    let ended = client.query(others, &[schema]).await;
    ended.map_err(|error| connector.failed(&error))?;
    let sql =
        "SELECT nspname::text AS name FROM pg_catalog.pg_namespace WHERE nspname = $1 OR nspname LIKE $2";
    let copies = format!("{schema}\\_before\\_%");
    let found = client.query(sql, &[schema, &copies]).await;
    for row in found.map_err(|error| connector.failed(&error))? {
        let sql = format!("DROP SCHEMA {} CASCADE", row.get::<_, &str>("name"));
        client
            .batch_execute(&sql)
            .await
            .map_err(|error| connector.failed(&error))?;
    }
    Ok(())
}
