//! `everloop sql`: questions over the datasets.

use clap::Args;
use everloop_server::api::sql::{SqlAnswer, SqlQuery};
use serde_json::Value;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, cell, table};

/// Ask the datasets in SQL.
///
/// Each dataset is a table by its name, in its newest version. Queries only read.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop sql 'SELECT origin, avg(y) AS late FROM flights GROUP BY origin'"
)]
pub struct SqlArgs {
    /// One statement
    query: String,
    /// Show at most so many rows
    #[arg(long, short = 'n', default_value_t = 1000)]
    limit: usize,
}

/// Asks and shows.
pub async fn run(args: &SqlArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let body = SqlQuery {
        query: args.query.clone(),
        limit: Some(args.limit),
    };
    let answer: SqlAnswer = client.post("/api/v1/sql", &body).await?;
    output.result(&answer, |answer| {
        let header: Vec<&str> = answer.columns.iter().map(|column| column.name.as_str()).collect();
        let rows = answer.rows.iter().map(|row| {
            header
                .iter()
                .map(|name| row.get(*name).map(show).unwrap_or_default())
                .collect()
        });
        table(&header, rows)
    })?;
    if answer.truncated {
        output.note(&format!(
            "there are more than {} rows; --limit shows more",
            answer.rows.len()
        ));
    }
    Ok(Exit::Done)
}

fn show(value: &Value) -> String {
    match value {
        // An empty text and no value at all look different.
        Value::Null => "null".to_owned(),
        other => cell(other),
    }
}
