//! Names a database: `sqlite:PATH` or `postgres://...`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Result, postgres};

/// Where the database is. Shows itself without its password.
///
/// `sqlite:PATH` names a file. `postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE&...` takes libpq's options
/// (`sslmode`, `sslrootcert`, `connect_timeout`, `target_session_attrs`, several hosts, `host=/socket/folder`) and ours:
///
/// | option | meaning | default |
/// |---|---|---|
/// | `schema` | the schema that holds all our tables; made when it is not there | `everloop` |
/// | `pool` | the most connections of this process | 16 |
/// | `statement_timeout` | no statement runs longer, but for migrations | `30s` |
/// | `snapshot` | `off`: no copy of the tables before a migration | `on` |
#[derive(Clone, PartialEq, Eq)]
pub struct DbUrl(pub(crate) Target);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Sqlite(PathBuf),
    Postgres(Box<postgres::Target>),
}

impl DbUrl {
    /// The SQLite database in the file `path`.
    #[must_use]
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self(Target::Sqlite(path.as_ref().to_owned()))
    }
}

impl FromStr for DbUrl {
    type Err = Error;

    /// `sqlite:PATH` (also `sqlite://PATH`) or `postgres://USER:PASSWORD@HOST:PORT/DATABASE?...`.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(rest) = text.strip_prefix("sqlite:") {
            let path = rest.strip_prefix("//").unwrap_or(rest);
            return parse_sqlite(path);
        }
        if text.starts_with("postgres://") || text.starts_with("postgresql://") {
            return match postgres::Target::parse(text) {
                Ok(target) => Ok(Self(Target::Postgres(Box::new(target)))),
                Err(problem) => Err(Error::InvalidUrl { problem }),
            };
        }
        Err(Error::InvalidUrl {
            problem: "it starts neither with sqlite: nor with postgres://".to_owned(),
        })
    }
}

fn parse_sqlite(path: &str) -> Result<DbUrl> {
    let problem = match path {
        "" => "the path is missing after sqlite:",
        ":memory:" => "a database in memory is not offered, for its readers need the file",
        _ => return Ok(DbUrl::sqlite(path)),
    };
    Err(Error::InvalidUrl {
        problem: problem.to_owned(),
    })
}

impl fmt::Display for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Target::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Target::Postgres(target) => f.write_str(&target.shown()),
        }
    }
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({self})")
    }
}
