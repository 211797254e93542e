//! One open transaction: what every capability's SQL runs on.

use crate::postgres::migrations::lock_key;
use crate::postgres::session::Session;
use crate::sqlite::statements as sqlite;
use crate::{Error, Result, Row, Value, sql};

/// One open transaction, driven from an ordinary (blocking) closure.
///
/// Statements are written in the subset that both databases share: `?1 ?2` placeholders, `ON CONFLICT`, `RETURNING`,
/// CTEs, window functions, row-value comparison, `NULLS LAST`; times are `BIGINT` milliseconds, flags are `INTEGER` 0
/// or 1, JSON is `TEXT`. A parameter has the type of its [`Value`]; where a null alone must have a type, write
/// `CAST(?1 AS BIGINT)`. At most 32,000 parameters fit one statement.
///
/// After a statement failed the transaction can only be rolled back, on both databases: later statements answer
/// [`Error::Aborted`] and a closure that returns `Ok` all the same is rolled back with that error. To try something
/// that may fail, use [`attempt`](Self::attempt), or better `ON CONFLICT`.
///
/// Don't wait for the network, run user code or take a second transaction inside one: on SQLite all other writers wait
/// meanwhile, and a second one would wait for ever.
pub struct Tx<'a> {
    engine: Engine<'a>,
    access: Access,
    failed: Option<Error>,
    wakes: Vec<&'static str>,
    statements: u64,
    depth: u32,
}

/// The database a transaction runs on.
pub(crate) enum Engine<'a> {
    Sqlite(&'a rusqlite::Connection),
    Postgres(&'a mut Session),
}

/// Whether a transaction may change anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Access {
    Read,
    Write,
}

impl<'a> Tx<'a> {
    pub(crate) fn new(engine: Engine<'a>, access: Access) -> Self {
        Self {
            engine,
            access,
            failed: None,
            wakes: Vec::new(),
            statements: 0,
            depth: 0,
        }
    }

    /// All rows of the answer.
    ///
    /// # Errors
    /// When the statement fails; the transaction is then over (see [`Tx`]).
    pub fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        self.run(sql, |engine, access| match engine {
            Engine::Sqlite(connection) => sqlite::query(connection, access, sql, params),
            Engine::Postgres(session) => session.query(sql, params),
        })
    }

    /// The only row of the answer, if there is one.
    ///
    /// # Errors
    /// As [`query`](Self::query), and [`Error::TooManyRows`].
    pub fn query_opt(&mut self, sql: &str, params: &[Value]) -> Result<Option<Row>> {
        let mut rows = self.query(sql, params)?;
        match rows.len() {
            0 | 1 => Ok(rows.pop()),
            _ => Err(Error::TooManyRows {
                sql: crate::error::shorten(sql),
            }),
        }
    }

    /// The only row of the answer.
    ///
    /// # Errors
    /// As [`query_opt`](Self::query_opt), and [`Error::NoRow`].
    pub fn query_one(&mut self, sql: &str, params: &[Value]) -> Result<Row> {
        self.query_opt(sql, params)?.ok_or_else(|| Error::NoRow {
            sql: crate::error::shorten(sql),
        })
    }

    /// Runs a change and answers how many rows it touched.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        self.run(sql, |engine, access| match engine {
            Engine::Sqlite(connection) => sqlite::execute(connection, access, sql, params),
            Engine::Postgres(session) => session.execute(sql, params),
        })
    }

    /// Runs several statements in order and answers the rows of each; on Postgres in one trip. None of them can use
    /// what another answered.
    ///
    /// # Errors
    /// As [`query`](Self::query), for the first that fails.
    pub fn batch(&mut self, statements: &[(&str, &[Value])]) -> Result<Vec<Vec<Row>>> {
        self.refuse_if_failed()?;
        self.statements += statements.len() as u64;
        let access = self.access;
        let checked = statements
            .iter()
            .try_for_each(|(sql, _)| sql::refuse_control(sql));
        let done = checked.and_then(|()| match &mut self.engine {
            Engine::Sqlite(connection) => statements
                .iter()
                .map(|(sql, params)| sqlite::query(connection, access, sql, params))
                .collect(),
            Engine::Postgres(session) => session.batch(statements),
        });
        done.inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Runs one change for each of `rows` and answers how many rows they touched; on Postgres without waiting for one
    /// answer before sending the next.
    ///
    /// # Errors
    /// As [`query`](Self::query), for the first of `rows` that fails.
    pub fn execute_many(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<u64> {
        self.run(sql, |engine, access| match engine {
            Engine::Sqlite(connection) => sqlite::execute_many(connection, access, sql, rows),
            Engine::Postgres(session) => session.execute_many(sql, rows),
        })
    }

    /// Wakes whoever waits on [`Db::subscribe`](crate::Db::subscribe) for `channel`, in this and in other processes,
    /// once this transaction is committed. A reading transaction wakes nobody.
    pub fn wake(&mut self, channel: &'static str) {
        if !self.wakes.contains(&channel) {
            self.wakes.push(channel);
        }
    }

    /// Lets only one writing transaction at a time pass with this `key`; held until the transaction ends.
    ///
    /// SQLite has one writer anyway. On Postgres statements see what others committed meanwhile, so a transaction that
    /// reads, decides and writes needs this, or one compare-and-set statement.
    ///
    /// # Errors
    /// As [`query`](Self::query); [`Error::ReadOnly`] in a reading transaction.
    pub fn lock(&mut self, key: &str) -> Result<()> {
        if self.access == Access::Read {
            return Err(Error::ReadOnly {
                sql: format!("lock \"{key}\""),
            });
        }
        match &mut self.engine {
            Engine::Sqlite(_) => Ok(()),
            Engine::Postgres(session) => {
                let sql = format!("SELECT pg_advisory_xact_lock({})", lock_key(&session.schema, key));
                self.control(&sql)
            }
        }
    }

    /// Tries `f`: when it fails, what it changed is taken back and the transaction goes on.
    ///
    /// # Errors
    /// What `f` answers; or a failure of a statement in it that it passed over in silence.
    pub fn attempt<T, E: From<Error>>(&mut self, f: impl FnOnce(&mut Self) -> Result<T, E>) -> Result<T, E> {
        self.depth += 1;
        let point = format!("attempt_{}", self.depth);
        let wakes = self.wakes.len();
        self.control(&format!("SAVEPOINT {point}"))?;
        let outcome = f(self);
        let failed = self.failed.take();
        let kept = outcome.is_ok() && failed.is_none();
        if !kept {
            self.wakes.truncate(wakes);
            self.control(&format!("ROLLBACK TO SAVEPOINT {point}"))?;
        }
        self.control(&format!("RELEASE SAVEPOINT {point}"))?;
        self.depth -= 1;
        match (outcome, failed) {
            (Ok(_), Some(error)) => Err(E::from(error)),
            (outcome, _) => outcome,
        }
    }

    /// SQL that is true where `expression` matches the pattern in parameter `placeholder`, case mattering: `%` stands
    /// for any text, `_` for one character, `\` takes the next character as it is.
    #[must_use]
    pub fn like(&self, expression: &str, placeholder: &str) -> String {
        match self.engine {
            Engine::Sqlite(_) => sql::sqlite_like(expression, placeholder),
            Engine::Postgres(_) => sql::postgres_like(expression, placeholder),
        }
    }

    /// As [`like`](Self::like), with ASCII letters matching in either case.
    #[must_use]
    pub fn ilike(&self, expression: &str, placeholder: &str) -> String {
        match self.engine {
            Engine::Sqlite(_) => sql::sqlite_ilike(expression, placeholder),
            Engine::Postgres(_) => sql::postgres_ilike(expression, placeholder),
        }
    }

    /// What failed in this transaction, if anything did.
    pub(crate) fn failure(&self) -> Option<&Error> {
        self.failed.as_ref()
    }

    /// Who is to be woken after the commit.
    pub(crate) fn take_wakes(&mut self) -> Vec<&'static str> {
        std::mem::take(&mut self.wakes)
    }

    pub(crate) fn statements(&self) -> u64 {
        self.statements
    }

    /// Runs a statement of ours that steers the transaction itself.
    fn control(&mut self, sql: &str) -> Result<()> {
        self.refuse_if_failed()?;
        let done = match &mut self.engine {
            Engine::Sqlite(connection) => sqlite::control(connection, self.access, sql),
            Engine::Postgres(session) => session.control(sql),
        };
        done.inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn run<R>(&mut self, sql: &str, f: impl FnOnce(&mut Engine<'a>, Access) -> Result<R>) -> Result<R> {
        self.refuse_if_failed()?;
        self.statements += 1;
        sql::refuse_control(sql)
            .and_then(|()| f(&mut self.engine, self.access))
            .inspect_err(|error| self.failed = Some(error.clone()))
    }

    fn refuse_if_failed(&self) -> Result<()> {
        match &self.failed {
            Some(earlier) => Err(Error::Aborted {
                earlier: earlier.to_string(),
            }),
            None => Ok(()),
        }
    }
}
