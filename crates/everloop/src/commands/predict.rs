//! `everloop predict`: ask an endpoint.

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use std::io::Read;

use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::output::{Output, cell, table};
use crate::problem::Problem;

/// The keys of MLflow's request forms.
const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// Ask an endpoint for predictions.
///
/// Records are JSON objects, one a row, on the command line or in a file (an array of them, or any of MLflow's request
/// forms). Each answer has an id that feedback joins by.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop predict flight-delay '{\"carrier\": \"UA\", \"origin\": \"EWR\", \"hour\": 17}'\n  everloop predict flight-delay --json-file rows.json"
)]
pub struct PredictArgs {
    /// Name of the endpoint
    endpoint: String,
    /// Rows as JSON objects
    #[arg(
        value_name = "RECORD",
        required_unless_present = "json_file",
        conflicts_with = "json_file"
    )]
    records: Vec<String>,
    /// File with rows as JSON; - reads stdin
    #[arg(long, value_name = "FILE")]
    json_file: Option<String>,
}

/// Asks and shows.
pub async fn run(args: &PredictArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let body = match &args.json_file {
        Some(file) => request(parse(&read(file)?, file)?),
        None => {
            let rows = args
                .records
                .iter()
                .map(|text| parse(text, "record"))
                .collect::<Result<Vec<_>, _>>()?;
            request(Value::Array(rows))
        }
    };
    let answer: Value = client
        .post(&format!("/invocations/{}", segment(&args.endpoint)), &body)
        .await?;
    output.result(&answer, show)?;
    Ok(Exit::Done)
}

fn read(file: &str) -> anyhow::Result<String> {
    if file == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text)?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("can't read \"{file}\""))
}

fn parse(text: &str, place: &str) -> Result<Value, Problem> {
    serde_json::from_str(text).map_err(|error| {
        Problem::usage(format!("not JSON: {error}"))
            .at(place)
            .hint("give rows as {\"column\": value, ...}")
    })
}

/// A request as MLflow's servers take it, from any of its forms, a list of rows, or one row.
fn request(given: Value) -> Value {
    match given {
        Value::Array(rows) => json!({ "dataframe_records": rows }),
        Value::Object(fields) if FORMS.iter().any(|form| fields.contains_key(*form)) => Value::Object(fields),
        row => json!({ "dataframe_records": [row] }),
    }
}

fn show(answer: &Value) -> String {
    let list = |key: &str| answer[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let (rows, ids) = (list("predictions"), list("prediction_ids"));
    let first = rows.first().and_then(Value::as_object);
    let columns: Vec<&str> = first
        .map(|row| row.keys().map(String::as_str).collect())
        .unwrap_or_default();
    let cells = rows.iter().enumerate().map(|(place, row)| {
        let mut line: Vec<String> = columns.iter().map(|column| cell(&row[*column])).collect();
        line.push(ids.get(place).map(cell).unwrap_or_default());
        line
    });
    let mut header = columns.clone();
    header.push("prediction id");
    let by = format!(
        "answered by {}@{}",
        cell(&answer["model_name"]),
        cell(&answer["model_version"])
    );
    format!("{}\n\n{by}", table(&header, cells))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_become_a_request_and_requests_stay() {
        let one = json!({"dataframe_records": [{"a": 1}]});
        assert_eq!(request(json!({"a": 1})), one);
        assert_eq!(request(json!([{"a": 1}])), one);
        assert_eq!(request(one.clone()), one);
        let split = json!({"dataframe_split": {"columns": ["a"], "data": [[1]]}});
        assert_eq!(request(split.clone()), split);
    }
}
