//! Names a database: `sqlite:PATH` or `postgres://...`.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::{Error, Result};

/// Where the database is. Shows itself without its password.
#[derive(Clone, PartialEq, Eq)]
pub struct DbUrl(pub(crate) Target);

#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Target {
    Sqlite(PathBuf),
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
        }
    }
}

impl fmt::Debug for DbUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DbUrl({self})")
    }
}
