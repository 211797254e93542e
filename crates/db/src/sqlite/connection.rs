//! Opens connections with the settings the house relies on.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::time::Duration;

use rusqlite::config::DbConfig;
use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::{Error, Result};

/// How long a connection waits while another process holds the file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);

/// Between two tries where SQLite does not wait itself.
const A_LITTLE: Duration = Duration::from_millis(50);

/// Distinct statements kept prepared per connection.
const STATEMENT_CACHE: usize = 256;

/// The connection that writes. Makes the file, readable by its owner only, when it is not there.
pub(crate) fn open_writer(path: &Path) -> Result<Connection> {
    let failed = |problem: String| Error::Open {
        database: path.display().to_string(),
        problem,
    };
    create(path).map_err(|error| failed(error.to_string()))?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(|error| failed(error.to_string()))?;
    configure(&connection)
        .and_then(|()| use_wal(&connection))
        .and_then(|()| connection.execute_batch("PRAGMA synchronous = FULL; PRAGMA cache_size = -16384;"))
        .map_err(|error| failed(error.to_string()))?;
    Ok(connection)
}

/// A connection that reads and can't write.
pub(crate) fn open_reader(path: &Path) -> Result<Connection> {
    // Read-only would do for the file, but a reader must be able to recover the WAL index after a crash.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    Connection::open_with_flags(path, flags)
        .and_then(|connection| {
            configure(&connection)?;
            connection.execute_batch("PRAGMA query_only = ON; PRAGMA cache_size = -8192;")?;
            Ok(connection)
        })
        .map_err(|error| Error::Open {
            database: path.display().to_string(),
            problem: error.to_string(),
        })
}

fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(BUSY_TIMEOUT)?;
    connection.set_prepared_statement_cache_capacity(STATEMENT_CACHE);
    // Double quotes name columns, as on Postgres; a typo must not become a text.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DML, false)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DQS_DDL, false)?;
    // A damaged or hostile file must not run functions from its schema.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_TRUSTED_SCHEMA, false)?;
    connection.execute_batch(
        "PRAGMA foreign_keys = ON;
         PRAGMA case_sensitive_like = ON;
         PRAGMA temp_store = MEMORY;
         PRAGMA journal_size_limit = 67108864;",
    )
}

/// Switching to WAL can collide with another process that does the same, which SQLite's own waiting does not cover.
fn use_wal(connection: &Connection) -> rusqlite::Result<()> {
    let mut left = BUSY_TIMEOUT;
    loop {
        match connection.query_row("PRAGMA journal_mode = WAL", [], |row| row.get::<_, String>(0)) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => {
                let text = format!("the file system offers no write-ahead log (journal mode is \"{mode}\")");
                return Err(rusqlite::Error::ToSqlConversionFailure(text.into()));
            }
            Err(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) && !left.is_zero() => {
                wait_a_little();
                left = left.saturating_sub(A_LITTLE);
            }
            Err(error) => return Err(error),
        }
    }
}

/// Waits for another process to let go of the file.
#[expect(
    clippy::disallowed_methods,
    reason = "other processes send no event; this runs on threads that may block"
)]
pub(crate) fn wait_a_little() {
    std::thread::sleep(A_LITTLE);
}

/// Makes the file before SQLite does, so that its mode is ours (SQLite gives the log files the same) and its name is
/// durable.
fn create(path: &Path) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let folder = folder_of(path);
    std::fs::create_dir_all(folder)?;
    let mut options = OpenOptions::new();
    options.create(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)?.sync_all()?;
    sync_folder(folder)
}

/// The folder that holds `path`.
pub(crate) fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder,
        _ => Path::new("."),
    }
}

/// Makes new names in a folder durable.
pub(crate) fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
