//! Postgres's cells as our values.

use std::error::Error as StdError;

use tokio_postgres::types::{FromSql, Type};

use crate::Value;

/// A cell of an answer.
pub(crate) struct Cell(pub Value);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        let value = match *kind {
            Type::INT8 => Value::Int(i64::from_sql(kind, raw)?),
            Type::INT4 => Value::Int(i32::from_sql(kind, raw)?.into()),
            Type::INT2 => Value::Int(i16::from_sql(kind, raw)?.into()),
            Type::OID => Value::Int(u32::from_sql(kind, raw)?.into()),
            Type::BOOL => Value::from(bool::from_sql(kind, raw)?),
            Type::FLOAT8 => Value::Real(f64::from_sql(kind, raw)?),
            Type::FLOAT4 => Value::Real(f32::from_sql(kind, raw)?.into()),
            Type::NUMERIC => numeric(raw).ok_or("a numeric value that can't be read")?,
            Type::BYTEA => Value::Bytes(raw.to_vec()),
            Type::VOID => Value::Null,
            _ => Value::Text(std::str::from_utf8(raw)?.to_owned()),
        };
        Ok(Self(value))
    }

    fn from_sql_null(_: &Type) -> Result<Self, Box<dyn StdError + Sync + Send>> {
        Ok(Self(Value::Null))
    }

    fn accepts(kind: &Type) -> bool {
        let read = [
            Type::INT8,
            Type::INT4,
            Type::INT2,
            Type::OID,
            Type::BOOL,
            Type::FLOAT8,
            Type::FLOAT4,
            Type::NUMERIC,
            Type::BYTEA,
            Type::VOID,
            Type::TEXT,
            Type::VARCHAR,
            Type::BPCHAR,
            Type::NAME,
            Type::UNKNOWN,
            Type::JSON,
        ];
        read.contains(kind)
    }
}

/// Sums of integers are `numeric` on Postgres and integers on SQLite; averages are `numeric` and reals. The scale tells
/// them apart.
fn numeric(raw: &[u8]) -> Option<Value> {
    let word = |index: usize| -> Option<u16> {
        let bytes = raw.get(index * 2..index * 2 + 2)?;
        Some(u16::from_be_bytes([bytes[0], bytes[1]]))
    };
    let (digits, weight, sign, scale) = (word(0)?, word(1)?.cast_signed(), word(2)?, word(3)?);
    let sign = match sign {
        0x0000 => "",
        0x4000 => "-",
        0xC000 => return Some(Value::Real(f64::NAN)),
        0xD000 => return Some(Value::Real(f64::INFINITY)),
        0xF000 => return Some(Value::Real(f64::NEG_INFINITY)),
        _ => return None,
    };
    // Digits of base 10,000, the first of which stands for 10,000^weight.
    let mut text = String::from(sign);
    for index in 0..usize::from(digits) {
        text.push_str(&format!("{:04}", word(4 + index)?));
    }
    let exponent = 4 * (i32::from(weight) + 1 - i32::from(digits));
    let real = || format!("{text}e{exponent}").parse().ok().map(Value::Real);
    if digits == 0 {
        return Some(if scale == 0 {
            Value::Int(0)
        } else {
            Value::Real(0.0)
        });
    }
    if scale == 0 {
        let whole = format!("{text}{}", "0".repeat(exponent.try_into().ok()?));
        return whole.parse().ok().map(Value::Int).or_else(real);
    }
    real()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(words: &[u16], expected: Value) {
        let raw: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
        assert_eq!(numeric(&raw).unwrap(), expected);
    }

    #[test]
    fn whole_numerics_are_integers_and_others_reals() {
        check(&[0, 0, 0, 0], Value::Int(0));
        check(&[1, 0, 0, 0, 7], Value::Int(7));
        check(&[2, 1, 0x4000, 0, 12, 34], Value::Int(-120_034));
        // 10,000^2: one digit with two groups of zeros left out.
        check(&[1, 2, 0, 0, 3], Value::Int(300_000_000));
        check(&[2, 0, 0, 1, 1, 5_000], Value::Real(1.5));
        check(&[1, 0xFFFF, 0, 4, 25], Value::Real(0.0025));
        check(&[0, 0, 0, 2], Value::Real(0.0));
        // 2^63 does not fit.
        check(
            &[5, 4, 0, 0, 922, 3372, 368, 5477, 5808],
            Value::Real(9.223_372_036_854_776e18),
        );
    }

    #[test]
    fn cut_numerics_are_refused() {
        assert!(numeric(&[0, 1, 0, 0]).is_none());
        assert!(numeric(&[0, 2, 0, 0, 0, 0, 0, 0, 0, 1]).is_none());
    }
}
