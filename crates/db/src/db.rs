//! The handle on an open database.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use everloop_core::Clock;
use tokio::sync::watch;

use crate::url::Target;
use crate::{DbUrl, Error, Migration, Result, Stats, Tx, postgres, sqlite};

/// An open database. Cheap to clone; clones share it.
#[derive(Clone)]
pub struct Db(Arc<Store>);

enum Store {
    Sqlite(sqlite::Store),
    Postgres(Box<postgres::Store>),
}

/// What only SQLite does.
const POSTGRES_BACKUP: Error = Error::Unsupported {
    what: "backup by Everloop (use pg_dump and pg_restore)",
    database: "Postgres",
};

/// Shows which kind it is and no more: its address may hold a password.
impl fmt::Debug for Db {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &*self.0 {
            Store::Sqlite(_) => "Db(sqlite)",
            Store::Postgres(_) => "Db(postgres)",
        })
    }
}

impl Db {
    /// Opens the database at `url`, makes it when it is not there, and applies what is due of `migrations`, in their
    /// order. Before it changes a database that has rows it keeps a snapshot beside it.
    ///
    /// # Errors
    /// When it can't be opened, when a newer program wrote it, or when a migration fails; it is then as before.
    pub async fn open(url: &DbUrl, migrations: &[Migration], clock: &Clock) -> Result<Self> {
        let store = match &url.0 {
            Target::Sqlite(path) => {
                let (path, migrations, clock) = (path.clone(), migrations.to_vec(), clock.clone());
                blocking(move || sqlite::Store::open(&path, &migrations, &clock))
                    .await
                    .map(Store::Sqlite)?
            }
            Target::Postgres(target) => {
                Store::Postgres(Box::new(postgres::Store::open(target, migrations, clock).await?))
            }
        };
        Ok(Self(Arc::new(store)))
    }

    /// Runs `f` in a reading transaction: all its statements see the same state, and none may change anything.
    ///
    /// # Errors
    /// What `f` answers; [`Error::Panicked`] when it panics; what the database says.
    pub async fn read<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &*self.0 {
            Store::Sqlite(store) => store.read(f).await,
            Store::Postgres(store) => store.read(f).await,
        }
    }

    /// Runs `f` in a writing transaction and answers after the durable commit. When `f` answers an error nothing of it
    /// is kept.
    ///
    /// `f` may be run again, after what it did was rolled back: it must not change anything but the transaction. When
    /// the caller stops waiting, the change may or may not be kept.
    ///
    /// On SQLite writing transactions run one after the other. On Postgres they run beside each other and each
    /// statement sees what others committed before it (`READ COMMITTED`): whoever reads, decides and writes does it in
    /// one statement, or under [`Tx::lock`].
    ///
    /// # Errors
    /// What `f` answers; [`Error::Panicked`] when it panics; what the database says.
    pub async fn write<T, E, F>(&self, f: F) -> Result<T, E>
    where
        F: FnMut(&mut Tx<'_>) -> Result<T, E> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        match &*self.0 {
            Store::Sqlite(store) => store.write(f).await,
            Store::Postgres(store) => store.write(f).await,
        }
    }

    /// Counts the wake-ups of `channel` ([`Tx::wake`]); wait with `changed()`, then read what you wait for.
    ///
    /// A wake-up may come without cause (another process changed something), and several may come as one; none is
    /// lost. To wait without a gap: subscribe, read, then wait.
    #[must_use]
    pub fn subscribe(&self, channel: &'static str) -> watch::Receiver<u64> {
        match &*self.0 {
            Store::Sqlite(store) => store.subscribe(channel),
            Store::Postgres(store) => store.subscribe(channel),
        }
    }

    /// Figures for `/metrics`.
    #[must_use]
    pub fn stats(&self) -> Stats {
        match &*self.0 {
            Store::Sqlite(store) => store.stats(),
            Store::Postgres(store) => store.stats(),
        }
    }

    /// Copies the database as of now to the file `target`, durably, while others go on reading and writing.
    ///
    /// # Errors
    /// When the copy can't be written; [`Error::Unsupported`] on Postgres, which has `pg_dump`.
    pub async fn backup_to(&self, target: impl AsRef<Path>) -> Result<()> {
        let (db, target) = (self.clone(), target.as_ref().to_owned());
        blocking(move || match &*db.0 {
            Store::Sqlite(store) => store.backup_to(&target),
            Store::Postgres(_) => Err(POSTGRES_BACKUP),
        })
        .await
    }

    /// Puts the backup in file `from` in the place of the database at `url`, replacing what is there. No other program
    /// may have that database open.
    ///
    /// # Errors
    /// When `from` is no whole backup, or the copy can't be written; [`Error::Unsupported`] on Postgres.
    pub async fn restore(url: &DbUrl, from: impl AsRef<Path>) -> Result<()> {
        let (target, from) = (url.0.clone(), from.as_ref().to_owned());
        blocking(move || match target {
            Target::Sqlite(path) => sqlite::restore(&from, &path),
            Target::Postgres(_) => Err(POSTGRES_BACKUP),
        })
        .await
    }

    /// Finishes what is queued and lets go of the database; later calls answer [`Error::Closed`].
    pub async fn close(&self) {
        let db = self.clone();
        let closed = blocking(move || {
            match &*db.0 {
                Store::Sqlite(store) => store.close(),
                Store::Postgres(store) => store.close(),
            }
            Ok(())
        })
        .await;
        if let Err(error) = closed {
            tracing::warn!(error = %error, "the database can't be closed in order");
        }
    }
}

/// Runs blocking work off the async threads.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => Err(Error::Panicked {
            message: error.to_string(),
        }),
    }
}
