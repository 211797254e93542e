//! The plain way to read a request, by derived types and trees: what the reader of the hot path is compared with.

use everloop_core::{Column, Values};
use everloop_runtime::Signature;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::oip::{Request, moment, text_of};
use super::rows;

#[derive(Deserialize)]
struct Body {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    parameters: Map<String, Value>,
    inputs: Vec<Tensor>,
    #[serde(default)]
    outputs: Vec<Output>,
}

#[derive(Deserialize)]
struct Output {
    name: String,
}

#[derive(Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    data: Value,
}

/// What `bytes` mean; none when they are no request.
pub(super) fn read(bytes: &[u8], signature: &Signature) -> Option<Request> {
    let body: Body = serde_json::from_slice(bytes).ok()?;
    let columns: Vec<Column> = match body.inputs.as_slice() {
        [] => return None,
        [one] if one.shape.len() == 2 && one.shape[1] != 1 => matrix(one, signature)?,
        tensors => tensors.iter().map(vector).collect::<Option<_>>()?,
    };
    Some(Request {
        id: body.id,
        rows: rows::frame(columns).ok()?,
        sticky: body.parameters.get("sticky_key").map(text_of),
        event_time: body.parameters.get("event_time").map(moment).transpose().ok()?,
        outputs: body.outputs.into_iter().map(|output| output.name).collect(),
    })
}

fn vector(tensor: &Tensor) -> Option<Column> {
    let rows = match tensor.shape.as_slice() {
        [rows] | [rows, 1] => usize::try_from(*rows).ok()?,
        _ => return None,
    };
    let data = flat(&tensor.data)?;
    (data.len() == rows).then_some(())?;
    Some(Column {
        name: tensor.name.clone(),
        values: values(&tensor.datatype, &data)?,
    })
}

fn matrix(tensor: &Tensor, signature: &Signature) -> Option<Vec<Column>> {
    let [rows, width] = tensor.shape.as_slice() else {
        return None;
    };
    let (rows, width) = (usize::try_from(*rows).ok()?, usize::try_from(*width).ok()?);
    let data = flat(&tensor.data)?;
    (width == signature.inputs.len() && data.len() == rows.checked_mul(width)?).then_some(())?;
    let column = |index: usize| {
        let cells: Vec<&Value> = data.iter().copied().skip(index).step_by(width).collect();
        Some(Column {
            name: signature.inputs[index].name.clone(),
            values: values(&tensor.datatype, &cells)?,
        })
    };
    (0..width).map(column).collect()
}

/// The values of a list, or of a list of lists.
fn flat(data: &Value) -> Option<Vec<&Value>> {
    let items = data.as_array()?;
    if !items.first().is_some_and(Value::is_array) {
        return Some(items.iter().collect());
    }
    let lists: Option<Vec<&Vec<Value>>> = items.iter().map(Value::as_array).collect();
    Some(lists?.into_iter().flatten().collect())
}

fn values(datatype: &str, cells: &[&Value]) -> Option<Values> {
    fn all<T>(cells: &[&Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<Option<T>>> {
        let cell = |cell: &&Value| match cell {
            Value::Null => Some(None),
            other => read(other).map(Some),
        };
        cells.iter().map(cell).collect()
    }
    Some(match datatype {
        "FP32" | "FP64" => {
            let numbers = all(cells, Value::as_f64)?;
            Values::Float(
                numbers
                    .into_iter()
                    .map(|number| number.unwrap_or(f64::NAN))
                    .collect(),
            )
        }
        "INT8" | "INT16" | "INT32" | "INT64" | "UINT8" | "UINT16" | "UINT32" | "UINT64" => {
            Values::Int(all(cells, Value::as_i64)?)
        }
        "BOOL" => Values::Bool(all(cells, Value::as_bool)?),
        "BYTES" => Values::Text(all(cells, |cell| cell.as_str().map(ToOwned::to_owned))?),
        _ => return None,
    })
}
