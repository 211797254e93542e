//! Real databases for tests of every crate above: the same test runs on each.

use everloop_core::{Clock, Ids};
use tokio_postgres::config::Host;

use crate::url::Target;
use crate::{Db, DbUrl, Migration, postgres};

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

/// A place for a database, which is removed when this is dropped.
pub struct Place {
    /// `sqlite` or `postgres`: for messages.
    pub name: &'static str,
    /// Where a database can be made.
    pub url: DbUrl,
    _kept: Kept,
}

/// What keeps a place, and removes it when dropped.
#[expect(dead_code, reason = "held for their destructors")]
enum Kept {
    Folder(tempfile::TempDir),
    Schema(Schema),
}

/// A fresh database of each kind that can run here: always SQLite, and Postgres when [`POSTGRES_VARIABLE`] names one.
///
/// # Panics
/// When one can't be made: a test without its database must fail.
pub async fn databases(migrations: &[Migration]) -> Vec<TestDb> {
    let mut made = Vec::new();
    for place in places() {
        made.push(make(place, migrations).await);
    }
    made
}

/// A fresh SQLite database.
///
/// # Panics
/// When it can't be made.
pub async fn sqlite(migrations: &[Migration]) -> TestDb {
    make(sqlite_place(), migrations).await
}

/// A place for a database of each kind that can run here, where none was made yet.
///
/// # Panics
/// When one can't be made.
#[must_use]
pub fn places() -> Vec<Place> {
    std::iter::once(sqlite_place()).chain(postgres_place()).collect()
}

impl Place {
    /// The server's `host:port`, of a Postgres that is reached over the network.
    #[must_use]
    pub fn address(&self) -> Option<String> {
        let Target::Postgres(target) = &self.url.0 else {
            return None;
        };
        match target.config.get_hosts().first() {
            Some(Host::Tcp(host)) => {
                let port = target.config.get_ports().first().copied().unwrap_or(5432);
                Some(format!("{host}:{port}"))
            }
            _ => None,
        }
    }

    /// The same place reached at another address and with more options (`sslmode=require&pool=2`): for tests that put
    /// something in between.
    ///
    /// # Panics
    /// When this is no Postgres, or the options are wrong.
    #[must_use]
    pub fn through(&self, address: &str, options: &str) -> DbUrl {
        let Target::Postgres(target) = &self.url.0 else {
            panic!("only a Postgres can be reached at another address");
        };
        let text = format!("postgres://{address}/?schema={}&{options}", target.schema);
        let mut url: DbUrl = text.parse().unwrap_or_else(|error| panic!("{options}: {error}"));
        if let Target::Postgres(through) = &mut url.0 {
            let config = &mut through.config;
            target.config.get_user().map(|user| config.user(user));
            target
                .config
                .get_password()
                .map(|password| config.password(password));
            target.config.get_dbname().map(|name| config.dbname(name));
            target
                .config
                .get_application_name()
                .map(|name| config.application_name(name));
        }
        url
    }
}

async fn make(place: Place, migrations: &[Migration]) -> TestDb {
    let db = Db::open(&place.url, migrations, &Clock::system())
        .await
        .unwrap_or_else(|error| panic!("{}: {error}", place.url));
    TestDb {
        name: place.name,
        db,
        url: place.url.clone(),
        _place: place,
    }
}

fn sqlite_place() -> Place {
    let folder = tempfile::tempdir().expect("a folder for the test's database");
    Place {
        name: "sqlite",
        url: DbUrl::sqlite(folder.path().join("test.db")),
        _kept: Kept::Folder(folder),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "how a run of the tests is told of its Postgres"
)]
fn postgres_place() -> Option<Place> {
    let url = std::env::var(POSTGRES_VARIABLE)
        .ok()
        .filter(|url| !url.is_empty())?;
    let mut url: DbUrl = url
        .parse()
        .unwrap_or_else(|error| panic!("{POSTGRES_VARIABLE}: {error}"));
    let Target::Postgres(target) = &mut url.0 else {
        panic!("{POSTGRES_VARIABLE} does not name a Postgres");
    };
    // Half an id is unlikely enough to repeat, and leaves room for the names of copies.
    target.schema = format!("test_{}", &Ids::system().hex32()[..16]);
    // By which the test's connections are told from others.
    target.config.application_name(&target.schema);
    let schema = Schema(target.clone());
    Some(Place {
        name: "postgres",
        url,
        _kept: Kept::Schema(schema),
    })
}

/// A schema of one test.
struct Schema(Box<postgres::Target>);

impl Drop for Schema {
    /// Waits until it is gone, on a thread of its own: a test's runtime may be single-threaded or ending.
    fn drop(&mut self) {
        let target = self.0.clone();
        let dropped = std::thread::Builder::new()
            .name("drop-test-schema".to_owned())
            .spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .enable_all()
                    .build()?;
                runtime
                    .block_on(postgres::drop_schema(&target))
                    .map_err(std::io::Error::other)
            })
            .map(std::thread::JoinHandle::join);
        // A schema left behind harms nobody but the next reader of the server's list; a second panic would.
        if !matches!(dropped, Ok(Ok(Ok(())))) {
            tracing::warn!(?dropped, "a test's schema can't be dropped");
        }
    }
}
