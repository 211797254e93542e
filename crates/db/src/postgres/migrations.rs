//! Brings a Postgres schema up to this program's.

use everloop_core::{Clock, Hash, Timestamp};
use futures::FutureExt;
use tokio_postgres::{Client, GenericClient, Transaction};

use super::commit::timeline;
use super::connect::Connector;
use super::errors;
use super::{ddl, snapshot};
use crate::migrate::{self, Applied, Migration};
use crate::tx::Access;
use crate::{Error, Result};

/// The oldest server that has what we use (`pg_current_xact_id`, `pg_xact_status` of 64-bit ids).
const OLDEST_SERVER: i64 = 130_000;

/// What is learnt of the server when it is opened.
pub(crate) struct Server {
    /// A name for this process, unlike any other's.
    pub instance: String,
    /// See [`timeline`].
    pub timeline: Option<String>,
}

/// Applies what is due, in one transaction under a lock of the whole schema, on a connection of its own. Answers what
/// else is to be known of the server.
pub(crate) async fn apply(connector: &Connector, given: &[Migration], clock: &Clock) -> Result<Server> {
    let known = migrate::with_own(given)?;
    let (mut client, link) = connector
        .connect()
        .await
        .map_err(|error| connector.failed(&error))?;
    // Driven beside the work and dropped with it: nothing is left running.
    let mut link = Box::pin(link.fuse());
    let work = apply_on(&mut client, connector, &known, clock.wall());
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => return done,
            ended = &mut link => {
                if let Err(error) = ended {
                    return Err(connector.failed(&error));
                }
            }
        }
    }
}

async fn apply_on(
    client: &mut Client,
    connector: &Connector,
    known: &[Migration],
    at: Timestamp,
) -> Result<Server> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::bigint AS version, gen_random_uuid()::text AS instance",
            &[],
        )
        .await
        .map_err(|error| connector.failed(&error))?;
    let version: i64 = row.get("version");
    if version < OLDEST_SERVER {
        return Err(Error::Open {
            database: connector.shown.clone(),
            problem: format!(
                "the server has version {}, 13 or newer is needed",
                version / 10_000
            ),
        });
    }
    let schema = &connector.schema;
    let is_current = match applied(client, connector).await? {
        Some(applied) => migrate::pending(known, &applied)?.is_empty(),
        None => false,
    };
    if !is_current {
        let tx = client
            .transaction()
            .await
            .map_err(|error| connector.failed(&error))?;
        apply_locked(&tx, connector, known, at).await?;
        tx.commit().await.map_err(|error| failed(&error, "COMMIT"))?;
        tracing::debug!(schema = %schema, "schema is up to date");
    }
    Ok(Server {
        instance: row.get("instance"),
        timeline: timeline(client).await,
    })
}

/// The migrations the schema has; `None` when it never had any.
async fn applied(client: &impl GenericClient, connector: &Connector) -> Result<Option<Vec<Applied>>> {
    let schema = &connector.schema;
    let sql =
        "SELECT table_name::text AS name FROM information_schema.tables WHERE table_schema = $1 ORDER BY 1";
    let tables = client
        .query(sql, &[schema])
        .await
        .map_err(|error| failed(&error, sql))?;
    let names: Vec<String> = tables.iter().map(|row| row.get("name")).collect();
    if names.iter().any(|name| name == "everloop_migrations") {
        let sql = format!(
            "SELECT component, number, name, checksum FROM {schema}.everloop_migrations ORDER BY 1, 2"
        );
        let rows = client
            .query(&sql, &[])
            .await
            .map_err(|error| failed(&error, &sql))?;
        return Ok(Some(rows.iter().map(read_applied).collect()));
    }
    match names.first() {
        None => Ok(None),
        Some(table) => Err(Error::NotOurs {
            database: connector.shown.clone(),
            table: table.clone(),
        }),
    }
}

fn read_applied(row: &tokio_postgres::Row) -> Applied {
    Applied {
        component: row.get("component"),
        number: u32::try_from(row.get::<_, i64>("number")).unwrap_or(u32::MAX),
        name: row.get("name"),
        checksum: row.get("checksum"),
    }
}

async fn apply_locked(
    tx: &Transaction<'_>,
    connector: &Connector,
    known: &[Migration],
    at: Timestamp,
) -> Result<()> {
    let schema = &connector.schema;
    // A migration may take as long as it takes.
    let lock = format!(
        "SET LOCAL statement_timeout TO 0; SELECT pg_advisory_xact_lock({})",
        lock_key(schema, "everloop_migrations")
    );
    run(tx, &lock).await?;
    let applied = applied(tx, connector).await?;
    let pending = migrate::pending(known, applied.as_deref().unwrap_or_default())?;
    if pending.is_empty() {
        return Ok(());
    }
    if connector.snapshot && applied.is_some_and(|applied| !applied.is_empty()) {
        snapshot::take(tx, schema).await?;
    }
    create_schema(tx, schema).await?;
    run(tx, &format!("SET LOCAL search_path TO {schema}")).await?;
    run(tx, &ddl::for_postgres(migrate::TABLE)).await?;
    for migration in pending {
        apply_one(tx, migration, at)
            .await
            .map_err(|error| migration.failed(&error))?;
    }
    Ok(())
}

/// Makes the schema unless it is there: `IF NOT EXISTS` would ask for the right to make it even then.
async fn create_schema(tx: &Transaction<'_>, schema: &str) -> Result<()> {
    let sql = "SELECT 1 FROM pg_catalog.pg_namespace WHERE nspname = $1";
    let found = tx
        .query_opt(sql, &[&schema])
        .await
        .map_err(|error| failed(&error, sql))?;
    match found {
        Some(_) => Ok(()),
        None => run(tx, &format!("CREATE SCHEMA {schema}")).await,
    }
}

async fn apply_one(tx: &Transaction<'_>, migration: &Migration, at: Timestamp) -> Result<()> {
    run(tx, &ddl::for_postgres(migration.sql)).await?;
    let sql = super::placeholders::rewrite(migrate::RECORD).sql;
    let number = i64::from(migration.number);
    tx.execute(
        &sql,
        &[
            &migration.component,
            &number,
            &migration.name,
            &migration.checksum(),
            &at.millis(),
        ],
    )
    .await
    .map(drop)
    .map_err(|error| failed(&error, &sql))
}

pub(crate) async fn run(tx: &Transaction<'_>, sql: &str) -> Result<()> {
    tx.batch_execute(sql).await.map_err(|error| failed(&error, sql))
}

pub(crate) fn failed(error: &tokio_postgres::Error, sql: &str) -> Error {
    errors::translate(error, Access::Write, sql).error
}

/// The number of an advisory lock; locks of the whole database server are told apart by schema and name.
pub(crate) fn lock_key(schema: &str, name: &str) -> i64 {
    let hash = Hash::of(format!("{schema}\0{name}").as_bytes());
    let mut first = [0; 8];
    first.copy_from_slice(&hash.as_bytes()[..8]);
    i64::from_le_bytes(first)
}
