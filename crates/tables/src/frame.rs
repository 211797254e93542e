//! Between Arrow and the plain columns of [`Frame`].
//!
//! A frame has one word for missing in each kind, so nulls and NaN of a number column are the same there. Times
//! become whole milliseconds since 1970, decimals become reals, dictionaries of texts become categories.

use crate::error::{Error, Result, from_arrow};
use datafusion::arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch,
    StringArray, UInt32Array,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Field, Float64Type, Int64Type, Schema, SchemaRef, TimeUnit, UInt32Type,
};
use everloop_core::{Column, Frame, Values};
use std::collections::HashMap;
use std::sync::Arc;

/// The rows of `batches`, which must share one schema, as plain columns. No batches give a frame without columns.
///
/// # Errors
/// When a column's type has no place in a frame (lists, structs, binary), or the batches differ in columns.
pub fn to_frame(batches: &[RecordBatch]) -> Result<Frame> {
    match batches.first() {
        Some(first) => to_frame_with_schema(&first.schema(), batches),
        None => Ok(Frame::default()),
    }
}

/// As [`to_frame`]; the schema gives the columns even when there are no batches.
pub(crate) fn to_frame_with_schema(schema: &SchemaRef, batches: &[RecordBatch]) -> Result<Frame> {
    if let Some(odd) = batches
        .iter()
        .find(|batch| batch.num_columns() != schema.fields().len())
    {
        return Err(Error::DifferentColumns {
            detail: format!(
                "{} columns and {} columns",
                schema.fields().len(),
                odd.num_columns()
            ),
        });
    }
    let columns = schema
        .fields()
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let arrays: Vec<&ArrayRef> = batches.iter().map(|batch| batch.column(index)).collect();
            Ok(Column {
                name: field.name().clone(),
                values: values(field, &arrays)?,
            })
        })
        .collect::<Result<Vec<_>>>()?;
    Ok(Frame::new(columns)?)
}

fn values(field: &Field, arrays: &[&ArrayRef]) -> Result<Values> {
    match field.data_type() {
        DataType::Boolean => Ok(Values::Bool(
            arrays
                .iter()
                .flat_map(|array| array.as_boolean().iter())
                .collect(),
        )),
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => integers(arrays),
        DataType::UInt64 => big_integers(arrays),
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => times(arrays),
        DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _)
        | DataType::Null => floats(arrays),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => texts(arrays),
        DataType::Dictionary(_, value) if is_text(value) => categories(arrays),
        DataType::Dictionary(_, value) => {
            let plain = arrays
                .iter()
                .map(|array| cast(array, value).map_err(from_arrow))
                .collect::<Result<Vec<_>>>()?;
            let plain_field = Field::new(field.name(), value.as_ref().clone(), true);
            values(&plain_field, &plain.iter().collect::<Vec<_>>())
        }
        other => Err(Error::UnsupportedType {
            column: field.name().clone(),
            found: other.to_string(),
        }),
    }
}

/// Whether the type holds texts.
pub(crate) fn is_text(data_type: &DataType) -> bool {
    matches!(
        data_type,
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
    )
}

fn integers(arrays: &[&ArrayRef]) -> Result<Values> {
    let mut all = Vec::new();
    for array in arrays {
        let array = cast(array, &DataType::Int64).map_err(from_arrow)?;
        all.extend(array.as_primitive::<Int64Type>().iter());
    }
    Ok(Values::Int(all))
}

/// Unsigned 64-bit values stay whole when all fit; else the column becomes reals.
fn big_integers(arrays: &[&ArrayRef]) -> Result<Values> {
    let fits = |value: u64| i64::try_from(value).is_ok();
    let all_fit = arrays.iter().all(|array| {
        let array = array.as_primitive::<datafusion::arrow::datatypes::UInt64Type>();
        array.iter().flatten().all(fits)
    });
    if all_fit { integers(arrays) } else { floats(arrays) }
}

fn times(arrays: &[&ArrayRef]) -> Result<Values> {
    let mut all = Vec::new();
    for array in arrays {
        let array = cast(array, &DataType::Timestamp(TimeUnit::Millisecond, None)).map_err(from_arrow)?;
        let array = cast(&array, &DataType::Int64).map_err(from_arrow)?;
        all.extend(array.as_primitive::<Int64Type>().iter());
    }
    Ok(Values::Int(all))
}

fn floats(arrays: &[&ArrayRef]) -> Result<Values> {
    let mut all = Vec::new();
    for array in arrays {
        let array = cast(array, &DataType::Float64).map_err(from_arrow)?;
        let array = array.as_primitive::<Float64Type>();
        if array.null_count() == 0 {
            all.extend_from_slice(array.values());
        } else {
            all.extend(array.iter().map(|value| value.unwrap_or(f64::NAN)));
        }
    }
    Ok(Values::Float(all))
}

fn texts(arrays: &[&ArrayRef]) -> Result<Values> {
    let mut all = Vec::new();
    for array in arrays {
        let array = cast(array, &DataType::Utf8View).map_err(from_arrow)?;
        all.extend(array.as_string_view().iter().map(|text| text.map(str::to_owned)));
    }
    Ok(Values::Text(all))
}

/// Batches may bring dictionaries of their own; names are numbered in the order they first appear in them.
fn categories(arrays: &[&ArrayRef]) -> Result<Values> {
    let mut names: Vec<String> = Vec::new();
    let mut known: HashMap<String, u32> = HashMap::new();
    let mut codes = Vec::new();
    for array in arrays {
        let dictionary = array.as_any_dictionary();
        let texts = cast(dictionary.values(), &DataType::Utf8View).map_err(from_arrow)?;
        let renumbered: Vec<u32> = texts
            .as_string_view()
            .iter()
            .map(|text| match text {
                Some(text) => *known.entry(text.to_owned()).or_insert_with(|| {
                    names.push(text.to_owned());
                    (names.len() - 1) as u32
                }),
                None => Values::MISSING,
            })
            .collect();
        let keys = cast(&dictionary.keys().slice(0, array.len()), &DataType::UInt32).map_err(from_arrow)?;
        let keys = keys.as_primitive::<UInt32Type>();
        codes.extend(
            keys.iter()
                .map(|key| key.map_or(Values::MISSING, |key| renumbered[key as usize])),
        );
    }
    Ok(Values::Category {
        codes,
        names: Arc::new(names),
    })
}

/// The columns of `frame` as one batch. A missing value (NaN too) becomes null; categories become a dictionary.
///
/// # Errors
/// When the frame has a category code without a name.
pub fn from_frame(frame: &Frame) -> Result<RecordBatch> {
    let mut fields = Vec::new();
    let mut arrays = Vec::new();
    for column in frame.columns() {
        let array = array(column)?;
        fields.push(Field::new(&column.name, array.data_type().clone(), true));
        arrays.push(array);
    }
    let options =
        datafusion::arrow::record_batch::RecordBatchOptions::new().with_row_count(Some(frame.rows()));
    RecordBatch::try_new_with_options(Arc::new(Schema::new(fields)), arrays, &options).map_err(from_arrow)
}

fn array(column: &Column) -> Result<ArrayRef> {
    Ok(match &column.values {
        Values::Float(values) => Arc::new(
            values
                .iter()
                .map(|&value| (!value.is_nan()).then_some(value))
                .collect::<Float64Array>(),
        ),
        Values::Int(values) => Arc::new(values.iter().copied().collect::<Int64Array>()),
        Values::Bool(values) => Arc::new(values.iter().copied().collect::<BooleanArray>()),
        Values::Text(values) => Arc::new(values.iter().map(Option::as_deref).collect::<StringArray>()),
        Values::Category { codes, names } => {
            let keys: UInt32Array = codes
                .iter()
                .map(|&code| (code != Values::MISSING).then_some(code))
                .collect();
            let texts: StringArray = names.iter().map(|name| Some(name.as_str())).collect();
            Arc::new(DictionaryArray::<UInt32Type>::try_new(keys, Arc::new(texts)).map_err(from_arrow)?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use datafusion::arrow::array::{Decimal128Array, TimestampMicrosecondArray, UInt64Array};

    #[test]
    fn a_frame_survives_the_way_there_and_back() {
        let frame = Frame::new(vec![
            Column {
                name: "n".to_owned(),
                values: Values::Float(vec![1.5, -2.0]),
            },
            Column {
                name: "i".to_owned(),
                values: Values::Int(vec![Some(i64::MAX), None]),
            },
            Column {
                name: "b".to_owned(),
                values: Values::Bool(vec![None, Some(true)]),
            },
            Column {
                name: "t".to_owned(),
                values: Values::Text(vec![Some("é".to_owned()), None]),
            },
            Column {
                name: "c".to_owned(),
                values: Values::Category {
                    codes: vec![1, Values::MISSING],
                    names: Arc::new(vec!["EWR".to_owned(), "JFK".to_owned()]),
                },
            },
        ])
        .unwrap();
        let batch = from_frame(&frame).unwrap();
        assert_eq!(to_frame(&[batch]).unwrap(), frame);
    }

    #[test]
    fn missing_numbers_become_null_and_nan_again() {
        let frame = Frame::new(vec![Column {
            name: "n".to_owned(),
            values: Values::Float(vec![f64::NAN, 1.0]),
        }])
        .unwrap();
        let batch = from_frame(&frame).unwrap();
        assert_eq!(batch.column(0).null_count(), 1);
        assert!(to_frame(&[batch]).unwrap().get("n").unwrap().number(0).is_nan());
    }

    fn one(array: ArrayRef) -> Values {
        let schema = Schema::new(vec![Field::new("x", array.data_type().clone(), true)]);
        let batch = RecordBatch::try_new(Arc::new(schema), vec![array]).unwrap();
        to_frame(&[batch]).unwrap().get("x").unwrap().clone()
    }

    #[test]
    fn times_decimals_and_big_numbers_find_their_kind() {
        let times = TimestampMicrosecondArray::from(vec![Some(1_500_000), None]);
        assert_eq!(one(Arc::new(times)), Values::Int(vec![Some(1_500), None]));
        let money = Decimal128Array::from(vec![1_234])
            .with_precision_and_scale(10, 2)
            .unwrap();
        assert_eq!(one(Arc::new(money)), Values::Float(vec![12.34]));
        assert_eq!(
            one(Arc::new(UInt64Array::from(vec![7]))),
            Values::Int(vec![Some(7)])
        );
        let big = one(Arc::new(UInt64Array::from(vec![u64::MAX])));
        assert_eq!(big, Values::Float(vec![u64::MAX as f64]));
    }

    #[test]
    fn dictionaries_of_several_batches_share_their_names() {
        let batch = |names: [&str; 2]| {
            let array: DictionaryArray<UInt32Type> = names.into_iter().collect();
            RecordBatch::try_from_iter([("c", Arc::new(array) as ArrayRef)]).unwrap()
        };
        let frame = to_frame(&[batch(["a", "b"]), batch(["b", "c"])]).unwrap();
        let values = frame.get("c").unwrap();
        let texts: Vec<_> = (0..4).map(|row| values.text(row).unwrap()).collect();
        assert_eq!(texts, ["a", "b", "b", "c"]);
    }
}
