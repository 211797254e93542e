//! MLflow's scoring JSON: exactly one of `dataframe_split`, `dataframe_records`, `instances`, `inputs`.

use everloop_core::{Frame, PredictionId};
use everloop_runtime::Signature;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::{answer, rows};
use crate::{Answered, Error, Result};

const FORMS: [&str; 4] = ["dataframe_split", "dataframe_records", "instances", "inputs"];

/// Reads the rows of a request. `signature` names the columns of rows that are plain lists.
///
/// # Errors
/// When the bytes are no request, hold no or several forms, or rows and columns do not agree.
pub fn decode(bytes: &[u8], signature: &Signature) -> Result<Frame> {
    let body: Value = serde_json::from_slice(bytes).map_err(|error| {
        Error::bad_at(
            error.to_string(),
            format!("line {}, column {}", error.line(), error.column()),
        )
    })?;
    let Value::Object(body) = body else {
        return Err(Error::bad(format!(
            "expected an object, found {}",
            rows::kind(&body)
        )));
    };
    let given: Vec<&str> = FORMS
        .into_iter()
        .filter(|form| body.contains_key(*form))
        .collect();
    let expected = "expected exactly one of dataframe_split, dataframe_records, instances, inputs";
    let [form] = given.as_slice() else {
        return Err(Error::bad(format!(
            "{expected}; found {}",
            if given.is_empty() {
                "none".into()
            } else {
                given.join(", ")
            }
        )));
    };
    if let Some(unknown) = body
        .keys()
        .find(|key| !FORMS.contains(&key.as_str()) && *key != "params")
    {
        return Err(Error::bad(format!(
            "unknown key \"{}\"; {expected}, and params",
            unknown.chars().take(80).collect::<String>()
        )));
    }
    let value = &body[*form];
    match *form {
        "dataframe_split" => split(value),
        "dataframe_records" => records(list(value, form)?),
        "instances" => instances(list(value, form)?, signature),
        _ => inputs(value, signature),
    }
}

fn list<'v>(value: &'v Value, form: &str) -> Result<&'v Vec<Value>> {
    value
        .as_array()
        .ok_or_else(|| Error::bad_at(format!("expected a list, found {}", rows::kind(value)), form))
}

fn split(value: &Value) -> Result<Frame> {
    let form = "dataframe_split";
    let part = |name: &str| {
        value
            .get(name)
            .ok_or_else(|| Error::bad_at(format!("\"{name}\" is missing"), form))
    };
    let columns = list(part("columns")?, form)?;
    let data = list(part("data")?, form)?;
    let names: Vec<String> = columns.iter().map(text_of).collect();
    lists(data, &names)
}

/// Rows that are lists, in the order of `names`.
fn lists(data: &[Value], names: &[String]) -> Result<Frame> {
    let mut parsed = Vec::with_capacity(data.len());
    for (row, value) in data.iter().enumerate() {
        let Some(values) = value.as_array().filter(|values| values.len() == names.len()) else {
            return Err(Error::bad_at(
                format!("expected a list of {} values", names.len()),
                format!("row {row}"),
            ));
        };
        parsed.push(values);
    }
    let column = |index: usize| {
        let values: Vec<&Value> = parsed.iter().map(|row| &row[index]).collect();
        rows::column(&names[index], &values)
    };
    rows::frame((0..names.len()).map(column).collect::<Result<_>>()?)
}

fn records(data: &[Value]) -> Result<Frame> {
    let mut objects = Vec::with_capacity(data.len());
    for (row, value) in data.iter().enumerate() {
        let object = value.as_object();
        objects.push(object.ok_or_else(|| {
            Error::bad_at(
                format!("expected an object, found {}", rows::kind(value)),
                format!("row {row}"),
            )
        })?);
    }
    let mut names: Vec<&String> = Vec::new();
    for name in objects.iter().flat_map(|object| object.keys()) {
        // A key that some rows lack is missing there, as pandas reads records.
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let column = |name: &&String| {
        let values: Vec<&Value> = objects
            .iter()
            .map(|object| object.get(*name).unwrap_or(&Value::Null))
            .collect();
        rows::column(name, &values)
    };
    rows::frame(names.iter().map(column).collect::<Result<_>>()?)
}

fn instances(data: &[Value], signature: &Signature) -> Result<Frame> {
    match data.first() {
        Some(Value::Object(_)) => records(data),
        Some(Value::Array(_)) => lists(data, &names_of(signature)),
        _ => Err(Error::bad_at(
            "expected a list of objects or of lists",
            "instances",
        )),
    }
}

fn inputs(value: &Value, signature: &Signature) -> Result<Frame> {
    match value {
        Value::Object(columns) => columnar(columns),
        Value::Array(data) => instances(data, signature),
        other => Err(Error::bad_at(
            format!("expected an object or a list, found {}", rows::kind(other)),
            "inputs",
        )),
    }
}

fn columnar(columns: &Map<String, Value>) -> Result<Frame> {
    let column = |(name, values): (&String, &Value)| {
        let place = format!("inputs.{}", name.chars().take(80).collect::<String>());
        let values = values
            .as_array()
            .ok_or_else(|| Error::bad_at("expected a list", place))?;
        rows::column(name, &values.iter().collect::<Vec<_>>())
    };
    rows::frame(columns.iter().map(column).collect::<Result<_>>()?)
}

fn names_of(signature: &Signature) -> Vec<String> {
    signature.inputs.iter().map(|field| field.name.clone()).collect()
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

/// The answer's bytes: `predictions` as MLflow writes a frame, with the ids that feedback joins by beside it. Numbers
/// that JSON can't say (NaN, infinities) are `null`.
#[must_use]
pub fn encode(answered: &Answered) -> Vec<u8> {
    answer::to_vec(&AnswerBody {
        predictions: Records {
            outputs: answer::outputs(answered).collect(),
            rows: answered.ids.len(),
        },
        prediction_ids: &answered.ids,
        model_name: answered.model().as_str(),
        model_version: answer::Quoted(answered.version()),
    })
}

#[derive(Serialize)]
struct AnswerBody<'a> {
    predictions: Records<'a>,
    prediction_ids: &'a [PredictionId],
    model_name: &'a str,
    model_version: answer::Quoted,
}

/// Rows as objects.
struct Records<'a> {
    outputs: Vec<answer::Output<'a>>,
    rows: usize,
}

impl Serialize for Records<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let outputs = self.outputs.as_slice();
        serializer.collect_seq((0..self.rows).map(|row| Record { outputs, row }))
    }
}

struct Record<'a> {
    outputs: &'a [answer::Output<'a>],
    row: usize,
}

impl Serialize for Record<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(
            self.outputs
                .iter()
                .map(|output| (output.name, output.cell(self.row))),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_runtime::{Field, Kind};
    use proptest::prelude::*;

    fn signature() -> Signature {
        let inputs = vec![Field::new("a", Kind::Double), Field::new("b", Kind::String)];
        Signature {
            inputs,
            outputs: Vec::new(),
        }
    }

    fn read(body: &str) -> Result<Frame> {
        decode(body.as_bytes(), &signature())
    }

    #[test]
    fn the_four_forms_mean_the_same() {
        let split =
            read(r#"{"dataframe_split":{"columns":["a","b"],"data":[[1.5,"x"],[2.5,null]]}}"#).unwrap();
        for same in [
            r#"{"dataframe_records":[{"a":1.5,"b":"x"},{"a":2.5}]}"#,
            r#"{"instances":[{"a":1.5,"b":"x"},{"a":2.5,"b":null}]}"#,
            r#"{"instances":[[1.5,"x"],[2.5,null]]}"#,
            r#"{"inputs":{"a":[1.5,2.5],"b":["x",null]},"params":{}}"#,
        ] {
            assert_eq!(read(same).unwrap(), split, "{same}");
        }
    }

    #[test]
    fn mistakes_are_told() {
        for (body, word) in [
            ("{}", "found none"),
            (r#"{"inputs":{},"instances":[]}"#, "found instances, inputs"),
            (r#"{"dataframe_splitt":{}}"#, "found none"),
            (r#"{"inputs":{"a":[1]},"extra":1}"#, "unknown key"),
            (
                r#"{"dataframe_split":{"columns":["a"],"data":[[1,2]]}}"#,
                "1 values",
            ),
            (r#"{"dataframe_records":[1]}"#, "found a number"),
            (r#"{"inputs":{"a":[1,"x"]}}"#, "mixes"),
            (r#"{"inputs":{"a":[1],"b":["x","y"]}}"#, "2 rows"),
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn damaged_requests_never_panic(at in 0_usize..80, byte: u8) {
            let mut body = br#"{"dataframe_split":{"columns":["a","b"],"data":[[1.5,"x"],[2.5,null]]}}"#.to_vec();
            let length = body.len();
            body[at % length] = byte;
            let _ = decode(&body, &signature());
        }
    }
}
