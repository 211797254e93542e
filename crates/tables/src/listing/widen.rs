//! One schema for files whose columns have different types.
//!
//! Files of one table are often written by different tools: one writes texts as `Utf8`, another as `LargeUtf8` or as a
//! dictionary; a column of whole numbers becomes a float where one is missing. Here two types become the narrowest that
//! holds the values of both. What has no such type is refused, for a guess would change what the data says.
//!
//! | types | become |
//! |---|---|
//! | texts (`Utf8`, `LargeUtf8`, `Utf8View`) | `Utf8View` |
//! | bytes (`Binary`, `LargeBinary`, `BinaryView`) | `BinaryView` |
//! | a dictionary and anything | what its values and the other become |
//! | whole numbers | the narrowest whole number of both ranges; `UInt64` with a signed one: `Decimal128(20, 0)` |
//! | floats | the wider |
//! | a float and a whole number or decimal | `Float64` (whole numbers above 2^53 are rounded) |
//! | decimals, and a decimal with whole numbers | the decimal with the digits of both |
//! | dates | `Date64` |
//! | times of day, durations | the finer unit |
//! | timestamps, and a date with a timestamp without zone | the finer unit; of two time zones, UTC |
//! | lists | the list of what their elements become |
//! | structs | the fields of both, each as a column is |
//! | a column of nulls and anything | the other |

use datafusion::arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema, TimeUnit};
use std::collections::HashMap;
use std::sync::Arc;

/// Digits that a decimal of 128 bits holds.
const DIGITS_128: u8 = 38;
/// Digits that a decimal of 256 bits holds.
const DIGITS_256: u8 = 76;

/// The columns of the files seen so far.
#[derive(Debug, Default)]
pub(crate) struct Wide {
    columns: Vec<Wider>,
    by_name: HashMap<String, usize>,
    files: usize,
}

/// A column, and the file that gave it its type.
#[derive(Debug)]
struct Wider {
    field: Field,
    /// The place of the first file with this type.
    file: usize,
    /// How many files have it.
    seen: usize,
}

/// A column that has no common type.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Clash {
    pub(crate) column: String,
    /// The place of the file that gave the column its type until then, and the type.
    pub(crate) before: (usize, DataType),
    /// The type in the file that was added.
    pub(crate) found: DataType,
}

impl Wide {
    /// Takes in the columns of the next file.
    pub(crate) fn add(&mut self, schema: &Schema) -> Result<(), Clash> {
        for field in schema.fields() {
            match self.by_name.get(field.name()) {
                Some(&index) => self.columns[index].take(field, self.files)?,
                None => {
                    self.by_name.insert(field.name().clone(), self.columns.len());
                    self.columns.push(Wider {
                        field: Field::new(field.name(), field.data_type().clone(), field.is_nullable()),
                        file: self.files,
                        seen: 1,
                    });
                }
            }
        }
        self.files += 1;
        Ok(())
    }

    /// The columns of all files, in the order in which they were first seen. What a file lacks is null there.
    pub(crate) fn finish(self) -> Schema {
        let files = self.files;
        let fields: Vec<Field> = self
            .columns
            .into_iter()
            .map(|wider| {
                let nullable = wider.field.is_nullable() || wider.seen < files;
                wider.field.with_nullable(nullable)
            })
            .collect();
        Schema::new(fields)
    }
}

impl Wider {
    fn take(&mut self, field: &Field, file: usize) -> Result<(), Clash> {
        let (before, found) = (self.field.data_type(), field.data_type());
        let Some(wide) = widen(before, found) else {
            return Err(Clash {
                column: field.name().clone(),
                before: (self.file, before.clone()),
                found: found.clone(),
            });
        };
        if &wide != before {
            self.file = file;
        }
        let nullable = self.field.is_nullable() || field.is_nullable();
        self.field = Field::new(field.name(), wide, nullable);
        self.seen += 1;
        Ok(())
    }
}

/// The narrowest type that holds the values of both; none when there is no such type.
fn widen(a: &DataType, b: &DataType) -> Option<DataType> {
    if a == b {
        return Some(a.clone());
    }
    match (a, b) {
        (DataType::Null, other) | (other, DataType::Null) => Some(other.clone()),
        (DataType::Dictionary(_, value), other) | (other, DataType::Dictionary(_, value)) => {
            widen(value, other)
        }
        (a, b) if is_text(a) && is_text(b) => Some(DataType::Utf8View),
        (a, b) if is_binary(a) && is_binary(b) => Some(DataType::BinaryView),
        (DataType::Struct(a), DataType::Struct(b)) => structs(a, b),
        _ => lists(a, b)
            .or_else(|| moments(a, b))
            .or_else(|| spans(a, b))
            .or_else(|| numbers(a, b)),
    }
}

fn is_text(of: &DataType) -> bool {
    matches!(of, DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View)
}

fn is_binary(of: &DataType) -> bool {
    matches!(
        of,
        DataType::Binary | DataType::LargeBinary | DataType::BinaryView
    )
}

fn structs(a: &Fields, b: &Fields) -> Option<DataType> {
    let mut wide = Wide::default();
    for fields in [a, b] {
        wide.add(&Schema::new(fields.clone())).ok()?;
    }
    Some(DataType::Struct(wide.finish().fields))
}

fn lists(a: &DataType, b: &DataType) -> Option<DataType> {
    let (a, a_is_large) = element(a)?;
    let (b, b_is_large) = element(b)?;
    let inner = widen(a.data_type(), b.data_type())?;
    let field = Arc::new(Field::new(a.name(), inner, a.is_nullable() || b.is_nullable()));
    Some(match a_is_large || b_is_large {
        true => DataType::LargeList(field),
        false => DataType::List(field),
    })
}

fn element(of: &DataType) -> Option<(&FieldRef, bool)> {
    match of {
        DataType::List(field) => Some((field, false)),
        DataType::LargeList(field) => Some((field, true)),
        _ => None,
    }
}

/// Dates and timestamps. A moment with a zone and one without are not the same kind of thing.
fn moments(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Date32, Date64, Timestamp};
    Some(match (a, b) {
        (Date32 | Date64, Date32 | Date64) => Date64,
        (Date32 | Date64, Timestamp(unit, None)) | (Timestamp(unit, None), Date32 | Date64) => {
            Timestamp(finer(*unit, TimeUnit::Millisecond), None)
        }
        (Timestamp(a, None), Timestamp(b, None)) => Timestamp(finer(*a, *b), None),
        (Timestamp(a, Some(zone_a)), Timestamp(b, Some(zone_b))) => {
            let zone = if zone_a == zone_b {
                Arc::clone(zone_a)
            } else {
                "UTC".into()
            };
            Timestamp(finer(*a, *b), Some(zone))
        }
        _ => return None,
    })
}

/// Times of day and durations.
fn spans(a: &DataType, b: &DataType) -> Option<DataType> {
    use DataType::{Duration, Time32, Time64};
    match (a, b) {
        (Duration(a), Duration(b)) => Some(Duration(finer(*a, *b))),
        (Time32(a) | Time64(a), Time32(b) | Time64(b)) => Some(match finer(*a, *b) {
            unit @ (TimeUnit::Second | TimeUnit::Millisecond) => Time32(unit),
            unit => Time64(unit),
        }),
        _ => None,
    }
}

fn finer(a: TimeUnit, b: TimeUnit) -> TimeUnit {
    // They are declared from the coarsest to the finest.
    a.max(b)
}

fn numbers(a: &DataType, b: &DataType) -> Option<DataType> {
    if let (Some(a), Some(b)) = (whole(a), whole(b)) {
        return Some(wholes(a, b));
    }
    match (float_bits(a), float_bits(b)) {
        (Some(a), Some(b)) => Some(float(a.max(b))),
        (Some(_), None) => digits(b).map(|_| DataType::Float64),
        (None, Some(_)) => digits(a).map(|_| DataType::Float64),
        (None, None) => decimal(digits(a)?, digits(b)?),
    }
}

/// Whether it has a sign, and its bits.
fn whole(of: &DataType) -> Option<(bool, u8)> {
    Some(match of {
        DataType::Int8 => (true, 8),
        DataType::Int16 => (true, 16),
        DataType::Int32 => (true, 32),
        DataType::Int64 => (true, 64),
        DataType::UInt8 => (false, 8),
        DataType::UInt16 => (false, 16),
        DataType::UInt32 => (false, 32),
        DataType::UInt64 => (false, 64),
        _ => return None,
    })
}

fn wholes((a_signed, a): (bool, u8), (b_signed, b): (bool, u8)) -> DataType {
    if a_signed == b_signed {
        return if a_signed {
            signed(a.max(b))
        } else {
            unsigned(a.max(b))
        };
    }
    let (with_sign, without) = if a_signed { (a, b) } else { (b, a) };
    // The next size holds the sign too.
    match without.saturating_mul(2).max(with_sign) {
        bits @ ..=64 => signed(bits),
        _ => DataType::Decimal128(20, 0),
    }
}

fn signed(bits: u8) -> DataType {
    match bits {
        8 => DataType::Int8,
        16 => DataType::Int16,
        32 => DataType::Int32,
        _ => DataType::Int64,
    }
}

fn unsigned(bits: u8) -> DataType {
    match bits {
        8 => DataType::UInt8,
        16 => DataType::UInt16,
        32 => DataType::UInt32,
        _ => DataType::UInt64,
    }
}

fn float_bits(of: &DataType) -> Option<u8> {
    Some(match of {
        DataType::Float16 => 16,
        DataType::Float32 => 32,
        DataType::Float64 => 64,
        _ => return None,
    })
}

fn float(bits: u8) -> DataType {
    match bits {
        16 => DataType::Float16,
        32 => DataType::Float32,
        _ => DataType::Float64,
    }
}

/// Digits before and after the point of a decimal or a whole number.
fn digits(of: &DataType) -> Option<(i16, i16)> {
    if let Some((_, bits)) = whole(of) {
        let before = match bits {
            8 => 3,
            16 => 5,
            32 => 10,
            _ => 20,
        };
        return Some((before, 0));
    }
    match of {
        DataType::Decimal32(precision, scale)
        | DataType::Decimal64(precision, scale)
        | DataType::Decimal128(precision, scale)
        | DataType::Decimal256(precision, scale) => {
            Some((i16::from(*precision) - i16::from(*scale), i16::from(*scale)))
        }
        _ => None,
    }
}

fn decimal(a: (i16, i16), b: (i16, i16)) -> Option<DataType> {
    let (before, after) = (a.0.max(b.0), a.1.max(b.1));
    let precision = u8::try_from(before + after).ok()?;
    let scale = i8::try_from(after).ok()?;
    if precision <= DIGITS_128 {
        return Some(DataType::Decimal128(precision, scale));
    }
    (precision <= DIGITS_256).then_some(DataType::Decimal256(precision, scale))
}

#[cfg(test)]
mod tests {
    use super::*;
    use DataType::*;

    fn dictionary(value: DataType) -> DataType {
        Dictionary(Box::new(Int32), Box::new(value))
    }

    fn check(a: DataType, b: DataType, expected: Option<DataType>) {
        assert_eq!(widen(&a, &b), expected, "{a} and {b}");
        assert_eq!(widen(&b, &a), expected, "{b} and {a}");
    }

    #[test]
    fn texts_and_bytes_differ_in_layout_only() {
        for text in [Utf8, LargeUtf8, Utf8View] {
            check(text.clone(), text.clone(), Some(text.clone()));
            check(text.clone(), dictionary(text.clone()), Some(text));
        }
        check(Utf8, LargeUtf8, Some(Utf8View));
        check(dictionary(LargeUtf8), Utf8, Some(Utf8View));
        check(
            dictionary(Utf8),
            Dictionary(Box::new(Int8), Box::new(Utf8)),
            Some(Utf8),
        );
        check(Binary, LargeBinary, Some(BinaryView));
        check(Utf8, Binary, None);
        check(Utf8, Int64, None);
    }

    #[test]
    fn numbers_become_wide_enough_for_both() {
        check(Int32, Int64, Some(Int64));
        check(UInt8, UInt32, Some(UInt32));
        check(UInt8, Int8, Some(Int16));
        check(UInt32, Int8, Some(Int64));
        check(UInt64, Int8, Some(Decimal128(20, 0)));
        check(Float32, Float64, Some(Float64));
        check(Int8, Float32, Some(Float64));
        check(Decimal128(10, 2), Decimal128(12, 6), Some(Decimal128(14, 6)));
        check(Decimal128(10, 2), Int32, Some(Decimal128(12, 2)));
        check(Decimal128(38, 0), Decimal128(38, 38), Some(Decimal256(76, 38)));
        check(Decimal256(76, 0), Decimal256(76, 70), None);
        check(Decimal128(10, 2), Float32, Some(Float64));
        check(Boolean, Int8, None);
        check(Null, Boolean, Some(Boolean));
    }

    #[test]
    fn moments_keep_the_finer_unit_and_never_gain_or_lose_a_zone() {
        let stamp = |unit, zone: Option<&str>| Timestamp(unit, zone.map(Into::into));
        use TimeUnit::*;
        check(
            stamp(Millisecond, None),
            stamp(Nanosecond, None),
            Some(stamp(Nanosecond, None)),
        );
        check(Date32, stamp(Second, None), Some(stamp(Millisecond, None)));
        check(Date32, Date64, Some(Date64));
        check(
            stamp(Second, Some("UTC")),
            stamp(Microsecond, Some("Europe/Berlin")),
            Some(stamp(Microsecond, Some("UTC"))),
        );
        check(stamp(Second, Some("UTC")), stamp(Second, None), None);
        check(Date32, stamp(Second, Some("UTC")), None);
        check(Time32(Second), Time64(Nanosecond), Some(Time64(Nanosecond)));
        check(Time32(Second), Time32(Millisecond), Some(Time32(Millisecond)));
        check(
            Duration(Second),
            Duration(Microsecond),
            Some(Duration(Microsecond)),
        );
        check(Duration(Second), Int64, None);
    }

    #[test]
    fn what_lies_inside_is_widened_too() {
        let list = |inner| List(Arc::new(Field::new("item", inner, true)));
        check(list(Int32), list(Int64), Some(list(Int64)));
        check(list(Utf8), list(Int64), None);
        let one = Struct(vec![Field::new("a", Int32, false)].into());
        let two = Struct(vec![Field::new("a", Int64, false), Field::new("b", Utf8, false)].into());
        let both = Struct(vec![Field::new("a", Int64, false), Field::new("b", Utf8, true)].into());
        assert_eq!(widen(&one, &two), Some(both));
    }

    #[test]
    fn a_column_that_a_file_lacks_may_be_null_and_a_clash_names_its_files() {
        let schema = |fields: &[(&str, DataType)]| {
            Schema::new(
                fields
                    .iter()
                    .map(|(name, kind)| Field::new(*name, kind.clone(), false))
                    .collect::<Vec<_>>(),
            )
        };
        let mut wide = Wide::default();
        wide.add(&schema(&[("id", Int32)])).unwrap();
        wide.add(&schema(&[("id", Int64), ("late", Boolean)])).unwrap();
        wide.add(&schema(&[("id", Int32), ("late", Boolean)])).unwrap();
        let clash = wide.add(&schema(&[("id", Utf8)])).unwrap_err();
        assert_eq!((clash.before, clash.found), ((1, Int64), Utf8));
        let mut wide = Wide::default();
        wide.add(&schema(&[("id", Int32)])).unwrap();
        wide.add(&schema(&[("id", Int64), ("late", Boolean)])).unwrap();
        let merged = wide.finish();
        let expected = [Field::new("id", Int64, false), Field::new("late", Boolean, true)];
        assert_eq!(merged, Schema::new(expected.to_vec()));
    }
}
