//! The Open Inference Protocol's JSON: a tensor per column, shaped `[n]` or `[n, 1]`, or one `[n, k]` over all inputs
//! of the model's signature.

use everloop_core::{Column, Frame, PredictionId, Timestamp, Values};
use everloop_runtime::{Kind, Signature};
use serde::Serialize;
use serde_json::{Map, Value};
use std::borrow::Cow;

use super::json::Reader;
use super::{answer, rows};
use crate::{Answered, Error, Result};

/// A request to predict.
#[derive(Debug, PartialEq)]
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

/// An input as the request holds it.
struct Tensor<'a> {
    name: Cow<'a, str>,
    shape: Vec<i64>,
    values: Values,
}

/// Reads a request. `signature` names the columns of a tensor that holds them all.
///
/// # Errors
/// When the bytes are no request, or shapes, types and data do not agree.
pub fn decode(bytes: &[u8], signature: &Signature) -> Result<Request> {
    let mut reader = Reader::new(bytes)?;
    let (mut id, mut parameters, mut inputs, mut outputs) = (None, None, None, None);
    reader.object(|reader, key| match &*key {
        "id" => once(reader, &key, &mut id, |reader| reader.or_null(Reader::text)),
        "parameters" => once(reader, &key, &mut parameters, |reader| match reader.value()? {
            Value::Object(parameters) => Ok(parameters),
            other => Err(reader.wrong(format!("expected an object, found {}", rows::kind(&other)))),
        }),
        "inputs" => once(reader, &key, &mut inputs, |reader| list_of(reader, tensor)),
        "outputs" => once(reader, &key, &mut outputs, |reader| list_of(reader, output)),
        _ => reader.skip(),
    })?;
    reader.end()?;
    let inputs: Vec<Tensor<'_>> = inputs.ok_or_else(|| Error::bad("\"inputs\" is missing"))?;
    let parameters: Map<String, Value> = parameters.unwrap_or_default();
    Ok(Request {
        id: id.flatten().map(Cow::into_owned),
        rows: frame(inputs, signature)?,
        sticky: parameters.get("sticky_key").map(text_of),
        event_time: parameters.get("event_time").map(moment).transpose()?,
        outputs: outputs.unwrap_or_default(),
    })
}

/// Reads the value of a key that may be there once.
fn once<'a, T>(
    reader: &mut Reader<'a>,
    key: &str,
    found: &mut Option<T>,
    read: impl FnOnce(&mut Reader<'a>) -> Result<T>,
) -> Result<()> {
    if found.is_some() {
        return Err(reader.wrong(format!("\"{key}\" is there twice")));
    }
    *found = Some(read(reader)?);
    Ok(())
}

fn list_of<'a, T>(reader: &mut Reader<'a>, read: impl Fn(&mut Reader<'a>) -> Result<T>) -> Result<Vec<T>> {
    let mut items = Vec::new();
    reader.list(|reader| {
        items.push(read(reader)?);
        Ok(())
    })?;
    Ok(items)
}

fn output(reader: &mut Reader<'_>) -> Result<String> {
    let mut name = None;
    reader.object(|reader, key| match &*key {
        "name" => once(reader, &key, &mut name, Reader::text),
        _ => reader.skip(),
    })?;
    let name = name.ok_or_else(|| reader.wrong("an output without a \"name\""))?;
    Ok(name.into_owned())
}

fn tensor<'a>(reader: &mut Reader<'a>) -> Result<Tensor<'a>> {
    let (mut name, mut shape, mut datatype, mut data) = (None, None, None, None);
    reader.object(|reader, key| match &*key {
        "name" => once(reader, &key, &mut name, Reader::text),
        "shape" => once(reader, &key, &mut shape, |reader| list_of(reader, Reader::int)),
        "datatype" => once(reader, &key, &mut datatype, Reader::text),
        "data" => once(reader, &key, &mut data, |reader| match &datatype {
            Some(datatype) => values(reader, datatype).map(Data::Read),
            // Its type comes behind it: it is read when that is known.
            None => {
                let here = reader.clone();
                reader.skip()?;
                Ok(Data::Behind(here))
            }
        }),
        _ => reader.skip(),
    })?;
    let missing = |key: &str| reader.wrong(format!("an input without \"{key}\""));
    let name = name.ok_or_else(|| missing("name"))?;
    let shape = shape.ok_or_else(|| missing("shape"))?;
    let datatype: Cow<'_, str> = datatype.ok_or_else(|| missing("datatype"))?;
    let values = match data.ok_or_else(|| missing("data"))? {
        Data::Read(values) => values,
        Data::Behind(mut place) => values(&mut place, &datatype)?,
    };
    Ok(Tensor { name, shape, values })
}

/// The data of a tensor: read, or where it begins.
enum Data<'a> {
    Read(Values),
    Behind(Reader<'a>),
}

/// Reads data of a type, flat or nested.
fn values(reader: &mut Reader<'_>, datatype: &str) -> Result<Values> {
    Ok(match datatype {
        "FP32" | "FP64" => Values::Float(reader.flat_or_nested(|reader| {
            let number = reader.or_null(Reader::float)?;
            Ok(number.unwrap_or(f64::NAN))
        })?),
        "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64" => {
            Values::Int(reader.flat_or_nested(|reader| reader.or_null(Reader::int))?)
        }
        "BOOL" => Values::Bool(reader.flat_or_nested(|reader| reader.or_null(Reader::truth))?),
        "BYTES" => Values::Text(reader.flat_or_nested(|reader| {
            let text = reader.or_null(Reader::text)?;
            Ok(text.map(Cow::into_owned))
        })?),
        "FP16" | "BF16" => {
            return Err(reader.wrong(format!("{datatype} has no JSON form: send it as binary data")));
        }
        other => {
            let known = ["BOOL", "INT32", "INT64", "FP32", "FP64", "BYTES"];
            let hint = everloop_core::did_you_mean(other, known).unwrap_or_default();
            let shown: String = other.chars().take(40).collect();
            return Err(reader.wrong(format!("unknown datatype \"{shown}\"; {hint}")));
        }
    })
}

fn frame(inputs: Vec<Tensor<'_>>, signature: &Signature) -> Result<Frame> {
    match inputs.as_slice() {
        [] => Err(Error::bad("\"inputs\" is empty")),
        [one] if one.shape.len() == 2 && one.shape[1] != 1 => matrix(one, signature),
        _ => rows::frame(inputs.into_iter().map(vector).collect::<Result<_>>()?),
    }
}

pub(super) fn text_of(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), ToOwned::to_owned)
}

pub(super) fn moment(value: &Value) -> Result<Timestamp> {
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

/// The rows that a shape means, and how many values each holds; as many as there are.
fn shape(tensor: &Tensor<'_>) -> Result<(usize, usize)> {
    let part = |size: i64| {
        usize::try_from(size)
            .ok()
            .filter(|size| *size < 1 << 31)
            .ok_or_else(|| Error::bad_at("the shape is out of range", place(tensor)))
    };
    let (rows, width) = match tensor.shape.as_slice() {
        [rows] => (part(*rows)?, 1),
        [rows, width] => (part(*rows)?, part(*width)?),
        other => {
            return Err(Error::bad_at(
                format!("expected a shape of one or two dimensions, found {}", other.len()),
                place(tensor),
            ));
        }
    };
    let (expected, found) = (rows.saturating_mul(width), tensor.values.len());
    if found != expected {
        return Err(Error::bad_at(
            format!(
                "the shape {:?} asks for {expected} values, data holds {found}",
                tensor.shape
            ),
            place(tensor),
        ));
    }
    Ok((rows, width))
}

fn place(tensor: &Tensor<'_>) -> String {
    format!("input \"{}\"", tensor.name.chars().take(80).collect::<String>())
}

fn vector(tensor: Tensor<'_>) -> Result<Column> {
    let (rows, width) = shape(&tensor)?;
    if width != 1 {
        return Err(Error::bad_at(
            format!("expected a shape of [n] or [n, 1] beside other inputs, found [{rows}, {width}]"),
            place(&tensor),
        ));
    }
    Ok(Column {
        name: tensor.name.into_owned(),
        values: tensor.values,
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
            place(tensor),
        ));
    }
    let columns = signature.inputs.iter().enumerate().map(|(index, field)| {
        let picked: Vec<usize> = (0..rows).map(|row| row * width + index).collect();
        Column {
            name: field.name.clone(),
            values: tensor.values.take(&picked),
        }
    });
    rows::frame(columns.collect())
}

/// The answer's bytes: a tensor per output column. Numbers that JSON can't say (NaN, infinities) are `null`.
#[must_use]
pub fn encode(request: &Request, answered: &Answered) -> Vec<u8> {
    let is_asked =
        |name: &str| request.outputs.is_empty() || request.outputs.iter().any(|output| output == name);
    let first = answered.ids.first().map_or("", |id| id.as_str());
    answer::to_vec(&AnswerBody {
        model_name: answered.model().as_str(),
        model_version: answer::Quoted(answered.version()),
        id: request.id.as_deref().unwrap_or(first),
        parameters: AnswerParameters {
            prediction_ids: &answered.ids,
        },
        outputs: answer::outputs(answered)
            .filter(|output| is_asked(output.name))
            .map(|output| OutputTensor {
                name: output.name,
                shape: [answered.ids.len()],
                datatype: datatype(output.kind),
                data: output,
            })
            .collect(),
    })
}

#[derive(Serialize)]
struct AnswerBody<'a> {
    model_name: &'a str,
    model_version: answer::Quoted,
    id: &'a str,
    parameters: AnswerParameters<'a>,
    outputs: Vec<OutputTensor<'a>>,
}

#[derive(Serialize)]
struct AnswerParameters<'a> {
    prediction_ids: &'a [PredictionId],
}

#[derive(Serialize)]
struct OutputTensor<'a> {
    name: &'a str,
    shape: [usize; 1],
    datatype: &'static str,
    data: answer::Output<'a>,
}

/// The protocol's word for a column's kind. Times travel as texts.
#[must_use]
pub fn datatype(kind: Kind) -> &'static str {
    match kind {
        Kind::Bool => "BOOL",
        Kind::Int => "INT32",
        Kind::Long => "INT64",
        Kind::Float => "FP32",
        Kind::Double => "FP64",
        Kind::String | Kind::Datetime => "BYTES",
    }
}

#[cfg(test)]
mod tests {
    use super::super::oracle;
    use super::*;
    use everloop_runtime::Field;
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
            ("", "expected an object, found the end"),
            ("[]", "expected an object, found a list"),
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
                "expected a number, found a text",
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

    /// Ours and the plain reading: both refuse, or both mean the same.
    fn check(body: &[u8]) {
        let (ours, plain) = (decode(body, &signature()), oracle::read(body, &signature()));
        match (&ours, &plain) {
            // Missing numbers are not equal to themselves, but their words are.
            (Ok(ours), Some(plain)) => assert_eq!(format!("{ours:?}"), format!("{plain:?}")),
            (Err(_), None) => {}
            _ => panic!("{}: {ours:?} against {plain:?}", String::from_utf8_lossy(body)),
        }
    }

    #[test]
    fn bodies_mean_what_serde_reads() {
        for body in [
            r#" { "inputs" : [ { "data" : [ 1 , -2.5e-3 , null ] , "shape" : [ 3 ] , "name" : "a" , "datatype" : "FP64" } ] } "#,
            r#"{"inputs":[{"name":"é\n\u00e9\"","shape":[1],"datatype":"BYTES","data":["\ud83d\ude00\\"]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"BYTES","data":["\ud83d"]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"BYTES","data":["\x"]}]}"#,
            "{\"inputs\":[{\"name\":\"a\",\"shape\":[1],\"datatype\":\"BYTES\",\"data\":[\"a\tb\"]}]}",
            r#"{"inputs":[{"name":"a","shape":[2,1],"datatype":"INT64","data":[[9223372036854775807],[-9223372036854775808]]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT64","data":[9223372036854775808]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"INT64","data":[1.0]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[2],"datatype":"FP64","data":[[1],2]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[2],"datatype":"FP64","data":[1,[2]]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[[[1]]]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1e400]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1e-400]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[01]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1.]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[+1]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[NaN]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"FP64","data":[1,]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[0],"datatype":"BOOL","data":[]}]}"#,
            r#"{"inputs":[{"name":"a","shape":[0],"datatype":"BOOL","data":[]}],"inputs":[]}"#,
            r#"{"inputs":[{"name":"a","name":"b","shape":[1],"datatype":"BOOL","data":[true]}]}"#,
            r#"{"x":{"y":[{}]},"inputs":[{"z":1,"name":"a","shape":[1],"datatype":"BOOL","data":[false]}],"id":null}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"BOOL","data":[true]}]}}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"BOOL","data":[true]}],"parameters":null}"#,
            r#"{"inputs":[{"name":"a","shape":[1],"datatype":"BOOL","data":[true]}],"id":7}"#,
            r#"{"inputs":[{"name":"m","shape":[1,2],"datatype":"BYTES","data":[["x",null]]}]}"#,
        ] {
            check(body.as_bytes());
        }
        check(b"{\"inputs\":[{\"name\":\"\xff\",\"shape\":[1],\"datatype\":\"BOOL\",\"data\":[true]}]}");
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        check(deep.as_bytes());
    }

    /// Any JSON value, so that structure is wrong in every place.
    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop::collection::vec(inner, 0..4).prop_map(Value::from)
        })
    }

    fn any_tensor() -> impl Strategy<Value = Value> {
        let floats = prop::collection::vec(prop::option::of(any::<f64>()), 0..5)
            .prop_map(|data| ("FP64", data.len(), Value::from(data)));
        let ints = prop::collection::vec(prop::option::of(any::<i64>()), 0..5)
            .prop_map(|data| ("INT64", data.len(), Value::from(data)));
        let truths = prop::collection::vec(prop::option::of(any::<bool>()), 0..5)
            .prop_map(|data| ("BOOL", data.len(), Value::from(data)));
        let texts = prop::collection::vec(prop::option::of(any::<String>()), 0..5)
            .prop_map(|data| ("BYTES", data.len(), Value::from(data)));
        let wrong = any_value().prop_map(|data| ("FP64", 1, data));
        let data = prop_oneof![4 => floats, 4 => ints, 4 => truths, 4 => texts, 1 => wrong];
        (any::<String>(), data).prop_map(|(name, (datatype, rows, data))| {
            serde_json::json!({ "name": name, "shape": [rows], "datatype": datatype, "data": data })
        })
    }

    proptest! {
        #[test]
        fn any_request_means_what_serde_reads(
            tensors in prop::collection::vec(any_tensor(), 0..4), id: Option<String>, extra in any_value(), pretty: bool,
        ) {
            let body = serde_json::json!({ "id": id, "inputs": tensors, "extra": extra });
            let text = if pretty { serde_json::to_string_pretty(&body) } else { serde_json::to_string(&body) };
            check(text.unwrap().as_bytes());
        }

        #[test]
        fn damaged_requests_are_read_as_serde_reads_them(at in 0_usize..200, byte: u8, cut in 0_usize..400) {
            let mut body = br#"{"id":"q","inputs":[{"name":"a","shape":[2],"datatype":"FP64","data":[1.5,-2e3]},{"name":"b","shape":[2],"data":["x",null],"datatype":"BYTES"},{"name":"c","shape":[2],"datatype":"INT64","data":[17,-8]}]}"#.to_vec();
            let length = body.len();
            body[at % length] = byte;
            body.truncate(cut.max(1));
            check(&body);
        }
    }
}
