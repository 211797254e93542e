//! Tensors: a shape and a flat vector of one of six kinds.
//!
//! Small and unsigned integers are widened to the next kind that holds them; half floats are refused.

use super::proto::{self, TensorProto};
use everloop_core::Values;

/// What operators answer; the text says what is wrong with the node.
pub(super) type OpResult<T> = Result<T, String>;

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tensor {
    pub(super) shape: Vec<usize>,
    pub(super) data: Data,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Data {
    F32(Vec<f32>),
    F64(Vec<f64>),
    I32(Vec<i32>),
    I64(Vec<i64>),
    Bool(Vec<bool>),
    Text(Vec<String>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Type {
    F32,
    F64,
    I32,
    I64,
    Bool,
    Text,
}

impl Type {
    /// The kind that holds values of an ONNX element type.
    pub(super) fn from_onnx(code: i32) -> Option<Self> {
        Some(match code {
            proto::TYPE_FLOAT => Self::F32,
            proto::TYPE_DOUBLE => Self::F64,
            proto::TYPE_UINT8
            | proto::TYPE_INT8
            | proto::TYPE_UINT16
            | proto::TYPE_INT16
            | proto::TYPE_INT32 => Self::I32,
            proto::TYPE_INT64 | proto::TYPE_UINT32 | proto::TYPE_UINT64 => Self::I64,
            proto::TYPE_BOOL => Self::Bool,
            proto::TYPE_STRING => Self::Text,
            _ => return None,
        })
    }
}

/// Longest other axes of a tensor without elements: they cost no memory, but loops would run along them.
const MAX_EMPTY: usize = 1 << 22;

/// Number of elements of a shape; `None` when it does not fit.
pub(super) fn elements(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1_usize, |product, size| product.checked_mul(*size))
}

impl Tensor {
    /// A tensor whose data must have as many elements as its shape.
    pub(super) fn new(shape: Vec<usize>, data: Data) -> OpResult<Self> {
        if elements(&shape) != Some(data.len()) {
            return Err(format!("{} values for shape {shape:?}", data.len()));
        }
        let full: Vec<usize> = shape.iter().map(|size| (*size).max(1)).collect();
        if data.len() == 0 && elements(&full).is_none_or(|count| count > MAX_EMPTY) {
            return Err(format!("an empty tensor of shape {shape:?}"));
        }
        Ok(Self { shape, data })
    }

    pub(super) fn f32(shape: Vec<usize>, data: Vec<f32>) -> OpResult<Self> {
        Self::new(shape, Data::F32(data))
    }

    pub(super) fn i64(shape: Vec<usize>, data: Vec<i64>) -> OpResult<Self> {
        Self::new(shape, Data::I64(data))
    }

    pub(super) fn len(&self) -> usize {
        self.data.len()
    }

    /// Rows and columns; a vector is one row, as ONNX-ML's operators take it.
    pub(super) fn rows_and_columns(&self) -> OpResult<(usize, usize)> {
        match self.shape.as_slice() {
            [columns] => Ok((1, *columns)),
            [rows, columns] => Ok((*rows, *columns)),
            shape => Err(format!("a matrix is expected, not shape {shape:?}")),
        }
    }

    /// The elements at `places`, in that order.
    pub(super) fn pick(&self, shape: Vec<usize>, places: &[usize]) -> OpResult<Self> {
        Self::new(shape, self.data.pick(places))
    }

    /// Whole numbers, such as axes, shapes and indices.
    pub(super) fn to_i64(&self) -> OpResult<Vec<i64>> {
        match &self.data {
            Data::I64(values) => Ok(values.clone()),
            Data::I32(values) => Ok(values.iter().map(|value| i64::from(*value)).collect()),
            other => Err(format!("whole numbers are expected, not {}", other.kind())),
        }
    }

    /// Numbers as 32-bit floats, as ONNX-ML's operators compute.
    pub(super) fn to_f32(&self) -> OpResult<Vec<f32>> {
        Ok(match &self.data {
            Data::F32(values) => values.clone(),
            Data::F64(values) => values.iter().map(|value| *value as f32).collect(),
            Data::I32(values) => values.iter().map(|value| *value as f32).collect(),
            Data::I64(values) => values.iter().map(|value| *value as f32).collect(),
            Data::Bool(values) => values.iter().map(|value| f32::from(u8::from(*value))).collect(),
            Data::Text(_) => return Err("numbers are expected, not texts".to_owned()),
        })
    }

    /// Numbers as 64-bit floats.
    pub(super) fn to_f64(&self) -> OpResult<Vec<f64>> {
        Ok(match &self.data {
            Data::F64(values) => values.clone(),
            Data::I64(values) => values.iter().map(|value| *value as f64).collect(),
            _ => self.to_f32()?.into_iter().map(f64::from).collect(),
        })
    }

    /// Reads a constant. Its declared shape must match the data that is there.
    pub(super) fn from_proto(tensor: &TensorProto) -> OpResult<Self> {
        if tensor.data_location == Some(1) {
            return Err("the data of a constant lies in another file".to_owned());
        }
        let shape: Result<Vec<usize>, _> = tensor.dims.iter().map(|dim| usize::try_from(*dim)).collect();
        let shape = shape.map_err(|_| format!("shape {:?}", tensor.dims))?;
        let data = match &tensor.raw_data {
            Some(raw) if !raw.is_empty() => raw_data(tensor, raw)?,
            _ => listed_data(tensor)?,
        };
        Self::new(shape, data)
    }
}

fn unsupported_type(tensor: &TensorProto) -> String {
    format!("element type {}", tensor.data_type.unwrap_or(0))
}

fn raw_data(tensor: &TensorProto, raw: &[u8]) -> OpResult<Data> {
    fn chunks<const N: usize, T>(raw: &[u8], read: impl Fn([u8; N]) -> T) -> OpResult<Vec<T>> {
        if !raw.len().is_multiple_of(N) {
            return Err(format!("{} bytes are no multiple of {N}", raw.len()));
        }
        let values = raw
            .chunks_exact(N)
            .map(|chunk| read(chunk.try_into().expect("chunks of N")));
        Ok(values.collect())
    }
    Ok(match tensor.data_type.unwrap_or(0) {
        proto::TYPE_FLOAT => Data::F32(chunks(raw, f32::from_le_bytes)?),
        proto::TYPE_DOUBLE => Data::F64(chunks(raw, f64::from_le_bytes)?),
        proto::TYPE_INT32 => Data::I32(chunks(raw, i32::from_le_bytes)?),
        proto::TYPE_INT64 => Data::I64(chunks(raw, i64::from_le_bytes)?),
        proto::TYPE_UINT8 => Data::I32(chunks(raw, |[byte]| i32::from(byte))?),
        proto::TYPE_INT8 => Data::I32(chunks(raw, |byte| i32::from(i8::from_le_bytes(byte)))?),
        proto::TYPE_UINT16 => Data::I32(chunks(raw, |bytes| i32::from(u16::from_le_bytes(bytes)))?),
        proto::TYPE_INT16 => Data::I32(chunks(raw, |bytes| i32::from(i16::from_le_bytes(bytes)))?),
        proto::TYPE_UINT32 => Data::I64(chunks(raw, |bytes| i64::from(u32::from_le_bytes(bytes)))?),
        proto::TYPE_BOOL => Data::Bool(chunks(raw, |[byte]| byte != 0)?),
        _ => return Err(unsupported_type(tensor)),
    })
}

fn listed_data(tensor: &TensorProto) -> OpResult<Data> {
    Ok(match tensor.data_type.unwrap_or(0) {
        proto::TYPE_FLOAT => Data::F32(tensor.float_data.clone()),
        proto::TYPE_DOUBLE => Data::F64(tensor.double_data.clone()),
        proto::TYPE_INT64 => Data::I64(tensor.int64_data.clone()),
        proto::TYPE_UINT32 => Data::I64(tensor.uint64_data.iter().map(|value| *value as i64).collect()),
        proto::TYPE_BOOL => Data::Bool(tensor.int32_data.iter().map(|value| *value != 0).collect()),
        proto::TYPE_STRING => Data::Text(
            tensor
                .string_data
                .iter()
                .map(|text| to_text(text))
                .collect::<Result<_, _>>()?,
        ),
        proto::TYPE_INT32 | proto::TYPE_UINT8 | proto::TYPE_INT8 | proto::TYPE_UINT16 | proto::TYPE_INT16 => {
            Data::I32(tensor.int32_data.clone())
        }
        _ => return Err(unsupported_type(tensor)),
    })
}

/// The text of some bytes.
pub(super) fn to_text(bytes: &[u8]) -> OpResult<String> {
    String::from_utf8(bytes.to_vec()).map_err(|_| "a text is not UTF-8".to_owned())
}

impl Data {
    /// The elements at `places`, in that order.
    pub(super) fn pick(&self, places: &[usize]) -> Self {
        fn chosen<T: Clone>(values: &[T], places: &[usize]) -> Vec<T> {
            places.iter().map(|place| values[*place].clone()).collect()
        }
        match self {
            Self::F32(values) => Self::F32(chosen(values, places)),
            Self::F64(values) => Self::F64(chosen(values, places)),
            Self::I32(values) => Self::I32(chosen(values, places)),
            Self::I64(values) => Self::I64(chosen(values, places)),
            Self::Bool(values) => Self::Bool(chosen(values, places)),
            Self::Text(values) => Self::Text(chosen(values, places)),
        }
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(values) => values.len(),
        }
    }

    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::F32(_) => "32-bit floats",
            Self::F64(_) => "64-bit floats",
            Self::I32(_) => "32-bit integers",
            Self::I64(_) => "64-bit integers",
            Self::Bool(_) => "truth values",
            Self::Text(_) => "texts",
        }
    }

    /// `count` values of one kind, made from columns: `cell(row, column)` in rows x columns order. A missing number is
    /// NaN (0 or false where the kind has none), a missing text is empty.
    pub(super) fn from_columns(kind: Type, columns: &[Option<&Values>], rows: usize) -> Self {
        let number =
            |row: usize, column: usize| columns[column].map_or(f64::NAN, |values| values.number(row));
        let text =
            |row: usize, column: usize| columns[column].and_then(|values| values.text(row)).unwrap_or("");
        let width = columns.len();
        let cells = (0..rows * width).map(|cell| (cell / width, cell % width));
        match kind {
            Type::F32 => Self::F32(cells.map(|(row, column)| number(row, column) as f32).collect()),
            Type::F64 => Self::F64(cells.map(|(row, column)| number(row, column)).collect()),
            Type::I32 => Self::I32(cells.map(|(row, column)| number(row, column) as i32).collect()),
            Type::I64 => Self::I64(cells.map(|(row, column)| number(row, column) as i64).collect()),
            Type::Bool => {
                let truth = |value: f64| value != 0.0 && !value.is_nan();
                Self::Bool(cells.map(|(row, column)| truth(number(row, column))).collect())
            }
            Type::Text => Self::Text(cells.map(|(row, column)| text(row, column).to_owned()).collect()),
        }
    }
}
