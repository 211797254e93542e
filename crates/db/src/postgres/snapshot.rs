//! The copy of all tables that is kept before a migration: schema `NAME_before_N`, N counting up.
//!
//! Postgres has no cheap server-side snapshot, so the tables are copied row by row with their keys and references, in
//! the migration's own transaction: either both are there or neither. It needs as much room as the tables and the right
//! to create schemas; who backs up by other means turns it off with `?snapshot=off`. To go back: stop all servers,
//! `DROP SCHEMA everloop CASCADE; ALTER SCHEMA everloop_before_N RENAME TO everloop`, start the old program.

use tokio_postgres::Transaction;
use tokio_postgres::error::SqlState;

use super::migrations::{failed, run};
use crate::{Error, Result};

/// Copies that are kept; older ones are dropped.
const KEPT: usize = 2;

pub(crate) async fn take(tx: &Transaction<'_>, schema: &str) -> Result<()> {
    let mut older = snapshots(tx, schema).await?;
    let number = older.last().map_or(1, |last| last + 1);
    let copy = name(schema, number);
    copy_tables(tx, schema, &copy).await?;
    older.push(number);
    for old in &older[..older.len().saturating_sub(KEPT)] {
        run(tx, &format!("DROP SCHEMA {} CASCADE", name(schema, *old))).await?;
    }
    tracing::info!(snapshot = %copy, "database snapshot taken before migrating");
    Ok(())
}

fn name(schema: &str, number: i64) -> String {
    format!("{schema}_before_{number}")
}

/// The numbers of the copies there are, in order.
async fn snapshots(tx: &Transaction<'_>, schema: &str) -> Result<Vec<i64>> {
    let sql = "SELECT nspname::text AS name FROM pg_catalog.pg_namespace";
    let rows = tx.query(sql, &[]).await.map_err(|error| failed(&error, sql))?;
    let prefix = name(schema, 0);
    let prefix = prefix.trim_end_matches('0');
    let mut numbers: Vec<i64> = rows
        .iter()
        .filter_map(|row| row.get::<_, String>("name").strip_prefix(prefix)?.parse().ok())
        .collect();
    numbers.sort_unstable();
    Ok(numbers)
}

async fn copy_tables(tx: &Transaction<'_>, schema: &str, copy: &str) -> Result<()> {
    let sql = format!("CREATE SCHEMA {copy}");
    tx.batch_execute(&sql).await.map_err(|error| match error.code() {
        Some(code) if *code == SqlState::INSUFFICIENT_PRIVILEGE => Error::Snapshot {
            problem: "this user may not create schemas in this database".to_owned(),
        },
        _ => failed(&error, &sql),
    })?;
    let tables_sql =
        "SELECT quote_ident(tablename) AS name FROM pg_catalog.pg_tables WHERE schemaname = $1 ORDER BY 1";
    let tables = tx
        .query(tables_sql, &[&schema])
        .await
        .map_err(|error| failed(&error, tables_sql))?;
    for table in &tables {
        let table: &str = table.get("name");
        let sql = format!(
            "CREATE TABLE {copy}.{table} (LIKE {schema}.{table} INCLUDING ALL);
             INSERT INTO {copy}.{table} SELECT * FROM {schema}.{table}"
        );
        run(tx, &sql).await?;
    }
    copy_references(tx, schema, copy).await
}

/// References point within the copy, as they did within the original.
async fn copy_references(tx: &Transaction<'_>, schema: &str, copy: &str) -> Result<()> {
    // A definition names tables of the search path without their schema, and is then read on another path.
    run(tx, &format!("SET LOCAL search_path TO {schema}")).await?;
    let sql = "SELECT quote_ident(t.relname) AS name, quote_ident(c.conname) AS rule, pg_get_constraintdef(c.oid) AS rule_text
         FROM pg_catalog.pg_constraint c
         JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
         JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace
         WHERE c.contype = 'f' AND n.nspname = $1
         ORDER BY 1, 2";
    let references = tx
        .query(sql, &[&schema])
        .await
        .map_err(|error| failed(&error, sql))?;
    run(tx, &format!("SET LOCAL search_path TO {copy}")).await?;
    for reference in &references {
        let (table, rule, text): (&str, &str, &str) = (
            reference.get("name"),
            reference.get("rule"),
            reference.get("rule_text"),
        );
        run(
            tx,
            &format!("ALTER TABLE {copy}.{table} ADD CONSTRAINT {rule} {text}"),
        )
        .await?;
    }
    Ok(())
}
