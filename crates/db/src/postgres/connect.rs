//! Opens connections with the settings the house relies on.

use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio_postgres::tls::MakeTlsConnect;
use tokio_postgres::{Client, Config, Connection, Socket};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::errors;
use super::target::Target;
use super::tls;
use crate::{Error, Result};

/// A transaction whose closure hangs lets go of its locks after this.
const IDLE_TIMEOUT: Duration = Duration::from_secs(60);

/// Nobody waits longer for a connection of the pool.
const POOL_WAIT: Duration = Duration::from_secs(10);

/// A TLS connection or a plain one: the connector decides with the server.
pub(crate) type Link = Connection<Socket, <MakeRustlsConnect as MakeTlsConnect<Socket>>::Stream>;

/// Makes connections to one database.
#[derive(Clone)]
pub(crate) struct Connector {
    config: Config,
    tls: MakeRustlsConnect,
    pool: usize,
    setup: String,
    pub schema: String,
    pub shown: String,
    pub snapshot: bool,
}

impl Connector {
    pub(crate) fn new(target: &Target) -> Result<Self> {
        let tls = tls::connector(target.verify, &target.roots).map_err(|problem| Error::Open {
            database: target.shown(),
            problem,
        })?;
        // Not as start-up options: poolers between us and the server refuse those.
        let setup = format!(
            "SET search_path TO {};
             SET statement_timeout TO {};
             SET idle_in_transaction_session_timeout TO {};
             SET client_encoding TO 'UTF8';
             SET standard_conforming_strings TO on",
            target.schema,
            target.statement_timeout.as_millis(),
            IDLE_TIMEOUT.as_millis(),
        );
        Ok(Self {
            config: target.config.clone(),
            tls,
            pool: target.pool,
            setup,
            schema: target.schema.clone(),
            shown: target.shown(),
            snapshot: target.snapshot,
        })
    }

    /// One connection outside the pool; the caller drives its second half.
    pub(crate) async fn connect(&self) -> Result<(Client, Link), tokio_postgres::Error> {
        self.config.connect(self.tls.clone()).await
    }

    pub(crate) fn pool(&self) -> Result<Pool> {
        let config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let manager = Manager::from_config(self.config.clone(), self.tls.clone(), config);
        let setup = self.setup.clone();
        Pool::builder(manager)
            .max_size(self.pool)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_WAIT))
            .post_create(Hook::async_fn(move |client, _| {
                let setup = setup.clone();
                Box::pin(async move { client.batch_execute(&setup).await.map_err(HookError::Backend) })
            }))
            .build()
            .map_err(|error| self.failed(&error))
    }

    /// Why the database can't be opened.
    pub(crate) fn failed(&self, error: &dyn std::error::Error) -> Error {
        Error::Open {
            database: self.shown.clone(),
            problem: errors::chain(error),
        }
    }
}
