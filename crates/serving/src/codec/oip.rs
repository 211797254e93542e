//! The Open Inference Protocol's JSON: a tensor per column, shaped `[n]` or `[n, 1]`, or one `[n, k]` over all inputs
//! of the model's signature.

use everloop_core::{Column, Frame, Timestamp, Values};
use everloop_runtime::{Prediction, Signature};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use super::rows;
use crate::{Answered, Error, Result};

/// A request to predict.
#[derive(Debug)]
pub struct Request {
    /// The caller's name for it, echoed in the answer.
    pub id: Option<String>,
    /// The rows.
    pub rows: Frame,
    /// `parameters.sticky_key`.
    pub sticky: Option<String>,
    /// `parameters.event_time`, as RFC 3339 or in milliseconds.
    pub event_time: Option<Timestamp>,
    /// Names of the outputs that were asked for; all when empty.
    pub outputs: Vec<String>,
}

#[derive(Deserialize)]
struct Body<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    #[serde(borrow)]
    inputs: Vec<Tensor<'a>>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
}

#[derive(Deserialize)]
struct Tensor<'a> {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    #[serde(borrow)]
    data: &'a RawValue,
}

/// Reads a request. `signature` names the columns of a tensor that holds them all.
///
/// # Errors
/// When the bytes are no request, or shapes, types and data do not agree.
pub fn decode(bytes: &[u8], signature: &Signature) -> Result<Request> {
    let body: Body<'_> = serde_json::from_slice(bytes).map_err(|error| {
        Error::bad_at(
            error.to_string(),
            format!("line {}, column {}", error.line(), error.column()),
        )
    })?;
    let rows = match body.inputs.as_slice() {
        [] => return Err(Error::bad("\"inputs\" is empty")),
        [one] if one.shape.len() == 2 && one.shape[1] != 1 => matrix(one, signature)?,
        tensors => rows::frame(tensors.iter().map(vector).collect::<Result<_>>()?)?,
    };
    Ok(Request {
        id: body.id,
        rows,
        sticky: body.parameters.get("sticky_key").map(text_of),
        event_time: body.parameters.get("event_time").map(moment).transpose()?,
        outputs: body.outputs.into_iter().map(|output| output.name).collect(),
    })
}

fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

fn moment(value: &Value) -> Result<Timestamp> {
    match value {
        Value::Number(number) if number.is_i64() => Ok(Timestamp(number.as_i64().unwrap_or(0))),
        Value::String(text) => Timestamp::parse_rfc3339(text).map_err(|_| {
            Error::bad_at(
                format!("\"{text}\" is not an RFC 3339 time"),
                "parameters.event_time",
            )
        }),
        other => Err(Error::bad_at(
            format!("expected a time, found {}", rows::kind(other)),
            "parameters.event_time",
        )),
    }
}

/// The rows that a shape means, and how many values each holds.
fn shape(tensor: &Tensor<'_>) -> Result<(usize, usize)> {
    let place = || format!("input \"{}\"", tensor.name.chars().take(80).collect::<String>());
    let part = |size: i64| {
        usize::try_from(size)
            .ok()
            .filter(|size| *size < 1 << 31)
            .ok_or_else(|| Error::bad_at("the shape is out of range", place()))
    };
    match tensor.shape.as_slice() {
        [rows] => Ok((part(*rows)?, 1)),
        [rows, width] => Ok((part(*rows)?, part(*width)?)),
        other => Err(Error::bad_at(
            format!("expected a shape of one or two dimensions, found {}", other.len()),
            place(),
        )),
    }
}

fn vector(tensor: &Tensor<'_>) -> Result<Column> {
    let (rows, width) = shape(tensor)?;
    if width != 1 {
        return Err(Error::bad_at(
            format!("expected a shape of [n] or [n, 1] beside other inputs, found [{rows}, {width}]"),
            format!("input \"{}\"", tensor.name),
        ));
    }
    Ok(Column {
        name: tensor.name.clone(),
        values: values(tensor, rows)?,
    })
}

/// One tensor over all inputs of the signature, row by row.
fn matrix(tensor: &Tensor<'_>, signature: &Signature) -> Result<Frame> {
    let (rows, width) = shape(tensor)?;
    if width != signature.inputs.len() {
        return Err(Error::bad_at(
            format!(
                "the model reads {} columns, found {width}",
                signature.inputs.len()
            ),
            format!("input \"{}\"", tensor.name),
        ));
    }
    let all = values(tensor, rows.saturating_mul(width))?;
    let columns = signature.inputs.iter().enumerate().map(|(index, field)| {
        let picked: Vec<usize> = (0..rows).map(|row| row * width + index).collect();
        Column {
            name: field.name.clone(),
            values: all.take(&picked),
        }
    });
    rows::frame(columns.collect())
}

fn values(tensor: &Tensor<'_>, expected: usize) -> Result<Values> {
    let place = || format!("input \"{}\"", tensor.name.chars().take(80).collect::<String>());
    let text = tensor.data.get();
    let wrong = |error: serde_json::Error| {
        Error::bad_at(format!("data does not fit {}: {error}", tensor.datatype), place())
    };
    let found = match tensor.datatype.as_str() {
        "FP32" | "FP64" => Values::Float(numbers(text).map_err(wrong)?),
        "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64" => {
            Values::Int(flat::<i64>(text).map_err(wrong)?)
        }
        "BOOL" => Values::Bool(flat::<bool>(text).map_err(wrong)?),
        "BYTES" => Values::Text(flat::<String>(text).map_err(wrong)?),
        "FP16" | "BF16" => {
            return Err(Error::bad_at(
                format!("{} has no JSON form: send it as binary data", tensor.datatype),
                place(),
            ));
        }
        other => {
            let known = ["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"];
            let hint = everloop_core::did_you_mean(other, known).unwrap_or_default();
            return Err(Error::bad_at(
                format!("unknown datatype \"{other}\"; {hint}"),
                place(),
            ));
        }
    };
    if found.len() != expected {
        return Err(Error::bad_at(
            format!(
                "the shape {:?} asks for {expected} values, data holds {}",
                tensor.shape,
                found.len()
            ),
            place(),
        ));
    }
    Ok(found)
}

/// Flat data first, which is what clients send; nested data is read as rows of it.
fn flat<T: for<'de> Deserialize<'de>>(text: &str) -> serde_json::Result<Vec<Option<T>>> {
    match serde_json::from_str(text) {
        Ok(values) => Ok(values),
        Err(flat) => match serde_json::from_str::<Vec<Vec<Option<T>>>>(text) {
            Ok(nested) => Ok(nested.into_iter().flatten().collect()),
            Err(_) => Err(flat),
        },
    }
}

fn numbers(text: &str) -> serde_json::Result<Vec<f64>> {
    Ok(flat::<f64>(text)?
        .into_iter()
        .map(|number| number.unwrap_or(f64::NAN))
        .collect())
}

/// The answer's bytes: a tensor per output column.
#[must_use]
pub fn encode(request: &Request, answered: &Answered) -> Vec<u8> {
    let frame = answered.prediction.to_frame();
    let is_asked =
        |name: &str| request.outputs.is_empty() || request.outputs.iter().any(|output| output == name);
    let outputs: Vec<Value> = frame
        .columns()
        .iter()
        .filter(|column| is_asked(&column.name))
        .map(tensor)
        .collect();
    let ids: Vec<&str> = answered.ids.iter().map(|id| id.as_str()).collect();
    let id = request
        .id
        .as_deref()
        .unwrap_or_else(|| ids.first().copied().unwrap_or_default());
    let body = json!({
        "model_name": answered.model.as_str(), "model_version": answered.version.to_string(), "id": id,
        "parameters": { "prediction_ids": ids }, "outputs": outputs,
    });
    serde_json::to_vec(&body).unwrap_or_default()
}

fn tensor(column: &Column) -> Value {
    let rows = column.values.len();
    let (datatype, data): (&str, Value) = match &column.values {
        Values::Float(values) => ("FP64", json!(values)),
        Values::Int(values) => ("INT64", json!(values)),
        Values::Bool(values) => ("BOOL", json!(values)),
        Values::Text(_) | Values::Category { .. } => {
            ("BYTES", (0..rows).map(|row| column.values.text(row)).collect())
        }
    };
    json!({ "name": column.name, "shape": [rows], "datatype": datatype, "data": data })
}

/// The names of the outputs that a prediction holds, for the model's metadata.
#[must_use]
pub fn output_names(prediction: &Prediction) -> Vec<String> {
    prediction
        .to_frame()
        .columns()
        .iter()
        .map(|column| column.name.clone())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_runtime::{Field, Kind};
    use proptest::prelude::*;

    fn signature() -> Signature {
        let inputs = vec![Field::new("a", Kind::Double), Field::new("b", Kind::Double)];
        Signature {
            inputs,
            outputs: Vec::new(),
        }
    }

    fn read(body: &str) -> Result<Request> {
        decode(body.as_bytes(), &signature())
    }

    #[test]
    fn columns_matrices_and_nested_data_mean_the_same() {
        let columns = r#"{"inputs":[{"name":"a","shape":[2],"datatype":"FP64","data":[1,2]},
            {"name":"b","shape":[2,1],"datatype":"FP32","data":[[3],[null]]}]}"#;
        let matrix = r#"{"inputs":[{"name":"x","shape":[2,2],"datatype":"FP64","data":[1,3,2,null]}]}"#;
        let (columns, matrix) = (read(columns).unwrap().rows, read(matrix).unwrap().rows);
        assert_eq!(
            format!("{columns:?}"),
            format!("{matrix:?}"),
            "NaN is not equal to itself"
        );
    }

    #[test]
    fn parameters_and_outputs_are_read() {
        let request = read(
            r#"{"id":"q","parameters":{"sticky_key":"u1","event_time":"2013-04-01T00:00:00Z"},
            "inputs":[{"name":"a","shape":[1],"datatype":"INT64","data":[1]}],"outputs":[{"name":"prediction"}]}"#,
        )
        .unwrap();
        assert_eq!(request.id.as_deref(), Some("q"));
        assert_eq!(request.sticky.as_deref(), Some("u1"));
        assert_eq!(request.event_time, Some(Timestamp(1_364_774_400_000)));
        assert_eq!(request.outputs, ["prediction"]);
    }

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (body, word) in [
            ("", "EOF"),
            ("[]", "invalid"),
            (r#"{"inputs":[]}"#, "empty"),
            (
                r#"{"inputs":[{"name":"a","shape":[3],"datatype":"FP64","data":[1,2]}]}"#,
                "asks for 3",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[-1],"datatype":"FP64","data":[1]}]}"#,
                "out of range",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP46","data":[1]}]}"#,
                "FP64",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP16","data":[1]}]}"#,
                "binary",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":["x"]}]}"#,
                "does not fit",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1,1,1],"datatype":"FP64","data":[1]}]}"#,
                "dimensions",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1,3],"datatype":"FP64","data":[1,2,3]}]}"#,
                "2 columns",
            ),
            (
                r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1]},
                {"name":"a","shape":[1],"datatype":"FP64","data":[1]}]}"#,
                "twice",
            ),
        ] {
            let error = read(body).unwrap_err().to_string();
            assert!(error.contains(word), "{body}: {error}");
        }
    }

    proptest! {
        #[test]
        fn damaged_requests_never_panic(at in 0_usize..130, byte: u8) {
            let mut body = br#"{"id":"q","inputs":[{"name":"a","shape":[2],"datatype":"FP64","data":[1,2]},{"name":"b","shape":[2],"datatype":"BYTES","data":["x",null]}]}"#.to_vec();
            let length = body.len();
            body[at % length] = byte;
            let _ = decode(&body, &signature());
        }
    }
}
