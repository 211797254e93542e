//! Takes batches, one column after the other.

use super::column::{ColumnProfile, Kind, State};
use super::numbers::{Numbers, Scale, Scratch};
use super::texts::Texts;
use super::{Profile, ProfileOptions};
use crate::error::{Error, Result, from_arrow};
use crate::frame::is_text;
use datafusion::arrow::array::{
    Array, ArrayRef, ArrowPrimitiveType, AsArray, BooleanArray, PrimitiveArray, RecordBatch,
};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Date32Type, Date64Type, Field, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, Schema, TimeUnit, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type,
};

const MICROS_PER_DAY: i64 = 86_400_000_000;

/// Builds a profile from batches of one schema. Memory is bounded per column, however many rows come.
#[derive(Debug)]
pub struct ProfileBuilder {
    rows: u64,
    /// Indices of the columns in the batches.
    indices: Vec<usize>,
    columns: Vec<ColumnProfile>,
    scratch: Scratch,
}

impl ProfileBuilder {
    /// A builder for batches of `schema`.
    ///
    /// # Errors
    /// When `options` name a column that is not there.
    pub fn new(schema: &Schema, options: &ProfileOptions) -> Result<Self> {
        let indices: Vec<usize> = match &options.columns {
            None => (0..schema.fields().len()).collect(),
            Some(names) => {
                if let Some(unknown) = names.iter().find(|name| schema.column_with_name(name).is_none()) {
                    return Err(Error::UnknownColumn {
                        column: unknown.clone(),
                        known: schema.fields().iter().map(|field| field.name().clone()).collect(),
                        place: None,
                    });
                }
                let wanted = |index: &usize| names.contains(schema.field(*index).name());
                (0..schema.fields().len()).filter(wanted).collect()
            }
        };
        let columns = indices.iter().map(|&index| empty(schema.field(index))).collect();
        Ok(Self {
            rows: 0,
            indices,
            columns,
            scratch: Scratch::default(),
        })
    }

    /// Tells how many rows the whole table has of which this builder sees a part.
    pub(crate) fn expecting(mut self, rows: u64) -> Self {
        for column in &mut self.columns {
            match &mut column.state {
                State::Numbers(numbers) => numbers.expect(rows),
                State::Texts(texts) => texts.expect(rows),
                State::Booleans { .. } | State::Opaque => {}
            }
        }
        self
    }

    /// A builder for another part of the same table. Only for builders that have seen nothing.
    pub(crate) fn fresh(&self) -> Self {
        Self {
            rows: 0,
            indices: self.indices.clone(),
            columns: self.columns.clone(),
            scratch: Scratch::default(),
        }
    }

    /// Indices of the profiled columns in the batches.
    pub(crate) fn indices(&self) -> &[usize] {
        &self.indices
    }

    /// About how many bytes this builder holds.
    pub(crate) fn memory(&self) -> usize {
        // A column that is a sketch: registers, frequent values, digest and its buffer.
        const COLUMN_BYTES: usize = 96 << 10;
        self.columns.len() * COLUMN_BYTES
    }

    /// Rows seen so far.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Adds the rows of `batch`.
    ///
    /// # Errors
    /// When the batch has another schema.
    pub fn push(&mut self, batch: &RecordBatch) -> Result<()> {
        self.push_columns(batch.columns(), batch.num_rows())
    }

    /// As [`push`](Self::push), with the columns of a batch and its rows.
    pub(crate) fn push_columns(&mut self, columns: &[ArrayRef], rows: usize) -> Result<()> {
        for (&index, column) in self.indices.iter().zip(&mut self.columns) {
            let Some(array) = columns.get(index) else {
                return Err(Error::DifferentColumns {
                    detail: format!("column \"{}\" is missing in a batch", column.name),
                });
            };
            push(column, array, &mut self.scratch)?;
        }
        self.rows += rows as u64;
        Ok(())
    }

    /// The profile of all rows seen.
    #[must_use]
    pub fn finish(mut self) -> Profile {
        self.columns.iter_mut().for_each(ColumnProfile::finish);
        Profile::from_parts(self.rows, self.columns)
    }
}

/// The profile of no rows of a column.
pub(crate) fn empty(field: &Field) -> ColumnProfile {
    let (kind, state) = start(field.data_type());
    ColumnProfile {
        name: field.name().clone(),
        type_name: field.data_type().to_string(),
        kind,
        rows: 0,
        nulls: 0,
        state,
    }
}

fn start(data_type: &DataType) -> (Kind, State) {
    let numbers = |kind, scale| (kind, State::Numbers(Box::new(Numbers::new(scale))));
    match data_type {
        DataType::Int8
        | DataType::Int16
        | DataType::Int32
        | DataType::Int64
        | DataType::UInt8
        | DataType::UInt16
        | DataType::UInt32 => numbers(Kind::Integer, Scale::Whole),
        // Unsigned 64-bit numbers do not fit whole ones; as reals none is lost, if rounded.
        DataType::UInt64
        | DataType::Float16
        | DataType::Float32
        | DataType::Float64
        | DataType::Decimal32(_, _)
        | DataType::Decimal64(_, _)
        | DataType::Decimal128(_, _)
        | DataType::Decimal256(_, _) => numbers(Kind::Real, Scale::Real),
        DataType::Timestamp(_, _) | DataType::Date32 | DataType::Date64 => numbers(Kind::Time, Scale::Micros),
        DataType::Boolean => (Kind::Boolean, State::Booleans { trues: 0 }),
        text if is_text(text) => (Kind::Text, State::Texts(Box::default())),
        DataType::Dictionary(_, value) => start(value),
        _ => (Kind::Other, State::Opaque),
    }
}

/// Adds `array` to the state of its column.
pub(crate) fn push(column: &mut ColumnProfile, array: &ArrayRef, scratch: &mut Scratch) -> Result<()> {
    let expected = start(array.data_type()).0;
    if expected != column.kind {
        return Err(Error::DifferentColumns {
            detail: format!("column \"{}\" became {}", column.name, array.data_type()),
        });
    }
    column.rows += array.len() as u64;
    column.nulls += array.logical_null_count() as u64;
    match &mut column.state {
        State::Numbers(numbers) => push_numbers(numbers, array, scratch),
        State::Texts(texts) => push_texts(texts, array, scratch),
        State::Booleans { trues } => {
            *trues += true_count(array)?;
            Ok(())
        }
        State::Opaque => Ok(()),
    }
}

fn true_count(array: &ArrayRef) -> Result<u64> {
    let plain = match array.data_type() {
        DataType::Boolean => array.clone(),
        _ => cast(array, &DataType::Boolean).map_err(from_arrow)?,
    };
    let booleans: &BooleanArray = plain.as_boolean();
    Ok(booleans.true_count() as u64)
}

fn push_numbers(numbers: &mut Numbers, array: &ArrayRef, scratch: &mut Scratch) -> Result<()> {
    match array.data_type() {
        DataType::Int8 => wholes::<Int8Type>(numbers, array, scratch, i64::from),
        DataType::Int16 => wholes::<Int16Type>(numbers, array, scratch, i64::from),
        DataType::Int32 => wholes::<Int32Type>(numbers, array, scratch, i64::from),
        DataType::Int64 => wholes::<Int64Type>(numbers, array, scratch, |value| value),
        DataType::UInt8 => wholes::<UInt8Type>(numbers, array, scratch, i64::from),
        DataType::UInt16 => wholes::<UInt16Type>(numbers, array, scratch, i64::from),
        DataType::UInt32 => wholes::<UInt32Type>(numbers, array, scratch, i64::from),
        DataType::Float64 => reals(numbers, array.as_primitive(), scratch),
        DataType::Float32 => {
            let array = array
                .as_primitive::<Float32Type>()
                .unary::<_, Float64Type>(f64::from);
            reals(numbers, &array, scratch);
        }
        DataType::Date32 => {
            wholes::<Date32Type>(numbers, array, scratch, |days| i64::from(days) * MICROS_PER_DAY);
        }
        DataType::Date64 => {
            wholes::<Date64Type>(numbers, array, scratch, |millis| millis.saturating_mul(1_000))
        }
        DataType::Timestamp(unit, _) => times(numbers, array, scratch, *unit),
        DataType::Dictionary(_, value) => {
            let plain = cast(array, value).map_err(from_arrow)?;
            push_numbers(numbers, &plain, scratch)?;
        }
        _ => {
            let array = cast(array, &DataType::Float64).map_err(from_arrow)?;
            reals(numbers, array.as_primitive(), scratch);
        }
    }
    Ok(())
}

/// All times are kept in microseconds, so that files with different units merge.
fn times(numbers: &mut Numbers, array: &ArrayRef, scratch: &mut Scratch, unit: TimeUnit) {
    match unit {
        TimeUnit::Second => {
            wholes::<TimestampSecondType>(numbers, array, scratch, |at| at.saturating_mul(1_000_000))
        }
        TimeUnit::Millisecond => {
            wholes::<TimestampMillisecondType>(numbers, array, scratch, |at| at.saturating_mul(1_000));
        }
        TimeUnit::Microsecond => wholes::<TimestampMicrosecondType>(numbers, array, scratch, |at| at),
        TimeUnit::Nanosecond => {
            wholes::<TimestampNanosecondType>(numbers, array, scratch, |at| at.div_euclid(1_000))
        }
    }
}

fn wholes<T: ArrowPrimitiveType>(
    numbers: &mut Numbers,
    array: &ArrayRef,
    scratch: &mut Scratch,
    widen: impl Fn(T::Native) -> i64,
) {
    let array: &PrimitiveArray<T> = array.as_primitive();
    let Scratch { wholes, reals } = scratch;
    wholes.clear();
    match array.nulls() {
        None => wholes.extend(array.values().iter().map(|&value| widen(value))),
        Some(nulls) => {
            let values = array.values();
            wholes.extend(nulls.valid_indices().map(|index| widen(values[index])));
        }
    }
    numbers.add_wholes(wholes, reals);
}

fn reals(numbers: &mut Numbers, array: &PrimitiveArray<Float64Type>, scratch: &mut Scratch) {
    match array.nulls() {
        None => numbers.add_reals(array.values(), &mut scratch.reals),
        Some(nulls) => {
            let values = array.values();
            let mut valid: Vec<f64> = nulls.valid_indices().map(|index| values[index]).collect();
            numbers.add_reals(&valid, &mut scratch.reals);
            valid.clear();
        }
    }
}

fn push_texts(texts: &mut Texts, array: &ArrayRef, scratch: &mut Scratch) -> Result<()> {
    let room = &mut scratch.reals;
    match array.data_type() {
        DataType::Utf8View => texts.add(array.as_string_view().iter().flatten().map(once), room),
        DataType::Utf8 => texts.add(array.as_string::<i32>().iter().flatten().map(once), room),
        DataType::LargeUtf8 => texts.add(array.as_string::<i64>().iter().flatten().map(once), room),
        _ => {
            let dictionary = array.as_any_dictionary();
            let counts = code_counts(array);
            let names = cast(dictionary.values(), &DataType::Utf8View).map_err(from_arrow)?;
            let counted = names
                .as_string_view()
                .iter()
                .zip(counts)
                .filter_map(|(name, count)| name.filter(|_| count > 0).map(|name| (name, count)));
            texts.add(counted, room);
        }
    }
    Ok(())
}

fn once(text: &str) -> (&str, u64) {
    (text, 1)
}

/// How often each entry of a dictionary is used.
fn code_counts(array: &ArrayRef) -> Vec<u64> {
    let dictionary = array.as_any_dictionary();
    let mut counts = vec![0_u64; dictionary.values().len()];
    if counts.is_empty() {
        return counts;
    }
    let keys = dictionary.normalized_keys();
    match dictionary.keys().nulls() {
        None => keys.iter().for_each(|&key| counts[key] += 1),
        Some(nulls) => nulls.valid_indices().for_each(|index| counts[keys[index]] += 1),
    }
    counts
}
