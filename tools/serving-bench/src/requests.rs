//! Real flights as requests, in the columns that the model reads.

use anyhow::Context as _;
use serde_json::{Map, Value, json};

use crate::servers::{Project, Server};

/// Rows of the larger requests.
const MANY: usize = 128;
/// Bodies that are sent in turn, so that no two in a row are the same.
const BODIES: usize = 128;

/// Requests of one kind.
pub struct Case {
    pub name: String,
    pub path: String,
    /// Rows of each.
    pub rows: usize,
    pub bodies: Vec<Vec<u8>>,
}

/// A column as the model's metadata has it.
struct Input {
    name: String,
    datatype: String,
}

/// What the project's model is asked: one row and many as tensors, one row and many in MLflow's form.
pub fn cases(server: &Server, project: &Project) -> anyhow::Result<Vec<Case>> {
    let endpoint = project.endpoint;
    let mut connection = server.connect()?;
    let metadata: Value = serde_json::from_slice(&connection.get(&format!("/v2/models/{endpoint}"))?)?;
    let inputs: Vec<Input> = metadata["inputs"]
        .as_array()
        .context("the model tells its inputs")?
        .iter()
        .filter_map(|input| {
            Some(Input {
                name: input["name"].as_str()?.to_owned(),
                datatype: input["datatype"].as_str()?.to_owned(),
            })
        })
        .collect();
    let columns: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    let query = format!(
        "SELECT {} FROM flights ORDER BY flight_id LIMIT {}",
        columns.join(", "),
        MANY * BODIES / 8
    );
    let answer = connection.ask(
        "/api/v1/sql",
        json!({ "query": query, "limit": MANY * BODIES })
            .to_string()
            .as_bytes(),
    )?;
    let answer: Value = serde_json::from_slice(&answer)?;
    let rows: Vec<&Map<String, Value>> = answer["rows"]
        .as_array()
        .context("the flights are there")?
        .iter()
        .filter_map(Value::as_object)
        .collect();
    let case =
        |kind: &str, path: String, rows_each: usize, body: &dyn Fn(&[&Map<String, Value>]) -> Value| {
            let bodies = rows.chunks_exact(rows_each).take(BODIES);
            Case {
                name: format!("{}{kind}", project.label),
                path,
                rows: rows_each,
                bodies: bodies.map(|rows| body(rows).to_string().into_bytes()).collect(),
            }
        };
    let infer = || format!("/v2/models/{endpoint}/infer");
    let invoke = || format!("/invocations/{endpoint}");
    let as_tensors = |rows: &[&Map<String, Value>]| tensors(&inputs, rows);
    let as_split = |rows: &[&Map<String, Value>]| split(&columns, rows);
    Ok(vec![
        case("row", infer(), 1, &as_tensors),
        case("128", infer(), MANY, &as_tensors),
        case("mlflow", invoke(), 1, &as_split),
        case("mlf128", invoke(), MANY, &as_split),
    ])
}

fn cell<'r>(row: &'r Map<String, Value>, column: &str) -> &'r Value {
    row.get(column).unwrap_or(&Value::Null)
}

fn tensors(inputs: &[Input], rows: &[&Map<String, Value>]) -> Value {
    let tensor = |input: &Input| {
        let data: Vec<&Value> = rows.iter().map(|row| cell(row, &input.name)).collect();
        json!({ "name": input.name, "shape": [rows.len()], "datatype": input.datatype, "data": data })
    };
    json!({ "inputs": inputs.iter().map(tensor).collect::<Vec<_>>() })
}

fn split(columns: &[&str], rows: &[&Map<String, Value>]) -> Value {
    let list = |row: &&Map<String, Value>| -> Value {
        columns.iter().map(|column| cell(row, column).clone()).collect()
    };
    json!({ "dataframe_split": { "columns": columns, "data": rows.iter().map(list).collect::<Vec<_>>() } })
}
