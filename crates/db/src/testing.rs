//! Real databases for tests of every crate above: the same test runs on each.

use everloop_core::Clock;

use crate::{Db, DbUrl, Migration};

/// The variable that names a Postgres to test against; `tools/postgres-for-tests` starts one.
pub const POSTGRES_VARIABLE: &str = "EVERLOOP_TEST_POSTGRES";

/// A fresh database that is removed when this is dropped.
pub struct TestDb {
    /// `sqlite` or `postgres`: for messages.
    pub name: &'static str,
    /// The database, with the migrations applied.
    pub db: Db,
    /// Where it is, to open it a second time.
    pub url: DbUrl,
    _place: Place,
}

/// Keeps the database's place until its test ends.
enum Place {
    Folder(#[expect(dead_code, reason = "removes the folder when dropped")] tempfile::TempDir),
}

/// A fresh database of each kind that can run here: always SQLite, and Postgres when [`POSTGRES_VARIABLE`] names one.
///
/// # Panics
/// When one can't be made: a test without its database must fail.
pub async fn databases(migrations: &[Migration]) -> Vec<TestDb> {
    vec![sqlite(migrations).await]
}

/// A fresh SQLite database.
///
/// # Panics
/// When it can't be made.
pub async fn sqlite(migrations: &[Migration]) -> TestDb {
    let folder = tempfile::tempdir().expect("a folder for the test's database");
    let url = DbUrl::sqlite(folder.path().join("test.db"));
    let db = Db::open(&url, migrations, &Clock::system())
        .await
        .unwrap_or_else(|error| panic!("{url}: {error}"));
    TestDb {
        name: "sqlite",
        db,
        url,
        _place: Place::Folder(folder),
    }
}
