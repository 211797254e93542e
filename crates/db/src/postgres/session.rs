//! Runs statements of one transaction on one connection, waiting for each.
//!
//! The closures above are plain code, so they run on a blocking thread that hands each statement to the async driver
//! and waits.

use std::pin::pin;
use std::sync::Arc;

use deadpool_postgres::Client;
use futures::future::{join, try_join_all};
use tokio::runtime::Handle;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Error as PgError, Row as PgRow, Statement};

use super::bind::{self, Bound};
use super::decode::Cell;
use super::errors::{self, Cure};
use super::placeholders::rewrite;
use crate::error::shorten;
use crate::sql::refuse_value;
use crate::tx::Access;
use crate::{Error, Result, Row, Value};

/// Changes sent before their answers are awaited: bounds memory, and hides the way to the server.
const IN_FLIGHT: usize = 256;

/// Prepared statements kept per connection; a few more than a program of ours has.
const STATEMENTS_KEPT: usize = 512;

/// One transaction's use of a connection.
pub(crate) struct Session {
    pub(crate) client: Client,
    pub(crate) runtime: Handle,
    pub(crate) access: Access,
    pub(crate) schema: String,
    /// What is still to be said before the first statement. It travels with it, to save a trip.
    due: Option<&'static str>,
    /// What would help against the failure that ended this transaction.
    pub(crate) cure: Cure,
}

impl Session {
    pub(crate) fn new(client: Client, runtime: Handle, access: Access, schema: String) -> Self {
        Self {
            client,
            runtime,
            access,
            schema,
            due: None,
            cure: Cure::None,
        }
    }

    /// Says `begin` together with the first statement. For reading only: were it to fail, that statement would run
    /// outside of a transaction.
    pub(crate) fn begin_with_first(&mut self, begin: &'static str) {
        self.due = Some(begin);
    }

    /// Sends the end of a reading transaction without waiting for the answer, which changes nothing.
    pub(crate) fn send_end(&mut self, end: &'static str) {
        if self.due.take().is_none() {
            let sending = pin!(self.client.batch_execute(end));
            // The first poll sends it; what comes next on this connection is answered after it.
            let _ = self.runtime.block_on(async { futures::poll!(sending) });
        }
    }

    pub(crate) fn query(&mut self, sql: &str, params: &[Value]) -> Result<Vec<Row>> {
        let statement = self.prepare(sql, params)?;
        let bound = bound(params);
        let refs = refs(&bound);
        let call = self.client.query(&statement, &refs);
        let answer = wait(&self.runtime, &self.client, &mut self.due, call);
        let rows = answer.map_err(|error| self.failed(&error, sql))?;
        self.read_rows(&statement, &rows, sql)
    }

    pub(crate) fn batch(&mut self, statements: &[(&str, &[Value])]) -> Result<Vec<Vec<Row>>> {
        let calls = statements
            .iter()
            .map(|(sql, params)| Ok((self.prepare(sql, params)?, bound(params))))
            .collect::<Result<Vec<(Statement, Vec<Bound<'_>>)>>>()?;
        let client = &self.client;
        let sent = calls
            .iter()
            .map(|(statement, bound)| async move { client.query(statement, &refs(bound)).await });
        let answers = wait(&self.runtime, client, &mut self.due, try_join_all(sent));
        // Which of them failed the server does not say; its words do.
        let all = || {
            statements
                .iter()
                .map(|(sql, _)| *sql)
                .collect::<Vec<_>>()
                .join("; ")
        };
        let answers = answers.map_err(|error| self.failed(&error, &all()))?;
        answers
            .iter()
            .zip(calls.iter().zip(statements))
            .map(|(rows, ((statement, _), (sql, _)))| self.read_rows(statement, rows, sql))
            .collect()
    }

    pub(crate) fn execute(&mut self, sql: &str, params: &[Value]) -> Result<u64> {
        let statement = self.prepare(sql, params)?;
        let bound = bound(params);
        let refs = refs(&bound);
        let call = self.client.execute(&statement, &refs);
        let done = wait(&self.runtime, &self.client, &mut self.due, call);
        done.map_err(|error| self.failed(&error, sql))
    }

    pub(crate) fn execute_many(&mut self, sql: &str, rows: &[Vec<Value>]) -> Result<u64> {
        let mut changed = 0;
        for chunk in rows.chunks(IN_FLIGHT) {
            let calls = chunk
                .iter()
                .map(|row| Ok((self.prepare(sql, row)?, bound(row))))
                .collect::<Result<Vec<(Statement, Vec<Bound<'_>>)>>>()?;
            let client = &self.client;
            let calls = calls
                .iter()
                .map(|(statement, bound)| async move { client.execute(statement, &refs(bound)).await });
            let answers = wait(&self.runtime, client, &mut self.due, try_join_all(calls));
            let counts = answers.map_err(|error| self.failed(&error, sql))?;
            changed += counts.iter().sum::<u64>();
        }
        Ok(changed)
    }

    /// Runs statements of ours that steer the transaction itself.
    pub(crate) fn control(&mut self, sql: &str) -> Result<()> {
        let call = self.client.batch_execute(sql);
        let done = wait(&self.runtime, &self.client, &mut self.due, call);
        done.map_err(|error| self.failed(&error, sql))
    }

    /// Forgets prepared statements when there are too many: code that makes texts of its own must not fill the server.
    pub(crate) fn tidy(&self) {
        if self.client.statement_cache.size() > STATEMENTS_KEPT {
            self.client.statement_cache.clear();
        }
    }

    fn read_rows(&mut self, statement: &Statement, rows: &[PgRow], sql: &str) -> Result<Vec<Row>> {
        let columns: Arc<[String]> = statement
            .columns()
            .iter()
            .map(|column| column.name().to_owned())
            .collect();
        rows.iter()
            .map(|row| {
                let values = (0..row.len())
                    .map(|index| row.try_get(index).map(|cell: Cell| cell.0))
                    .collect::<Result<Vec<Value>, _>>()
                    .map_err(|error| self.failed(&error, sql))?;
                Ok(Row::new(Arc::clone(&columns), values))
            })
            .collect()
    }

    fn prepare(&mut self, sql: &str, params: &[Value]) -> Result<Statement> {
        let rewritten = rewrite(sql);
        if rewritten.parameters != params.len() {
            return Err(Error::Parameters {
                expected: rewritten.parameters,
                found: params.len(),
                sql: shorten(sql),
            });
        }
        params.iter().try_for_each(refuse_value)?;
        let types = bind::types(params);
        let prepared = self
            .runtime
            .block_on(self.client.prepare_typed_cached(&rewritten.sql, &types));
        prepared.map_err(|error| self.failed(&error, sql))
    }

    pub(crate) fn failed(&mut self, error: &PgError, sql: &str) -> Error {
        let failure = errors::translate(error, self.access, sql);
        self.cure = failure.cure;
        failure.error
    }
}

/// Waits for `call`, with what is due sent before it.
fn wait<T>(
    runtime: &Handle,
    client: &Client,
    due: &mut Option<&'static str>,
    call: impl Future<Output = Result<T, PgError>>,
) -> Result<T, PgError> {
    match due.take() {
        None => runtime.block_on(call),
        Some(begin) => runtime.block_on(async {
            // Polled in this order, so sent in this order.
            let (begun, done) = join(client.batch_execute(begin), call).await;
            begun.and(done)
        }),
    }
}

fn bound(params: &[Value]) -> Vec<Bound<'_>> {
    params.iter().map(Bound).collect()
}

fn refs<'b>(bound: &'b [Bound<'b>]) -> Vec<&'b (dyn ToSql + Sync)> {
    bound.iter().map(|value| value as &(dyn ToSql + Sync)).collect()
}
