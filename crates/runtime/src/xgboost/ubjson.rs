//! UBJSON as XGBoost writes it (draft 12, typed arrays), as a serde deserializer.
//!
//! Reads from a slice; every declared length is checked against the bytes left before anything is made of it, and
//! nesting is bounded.

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Containers within containers; XGBoost's own files nest about seven deep.
const MAX_DEPTH: usize = 64;

/// What is wrong, and at which byte.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct UbjsonError(String);

impl de::Error for UbjsonError {
    fn custom<T: fmt::Display>(message: T) -> Self {
        Self(message.to_string())
    }
}

type Result<T> = std::result::Result<T, UbjsonError>;

/// Parses a whole document.
pub(crate) fn from_slice<'de, T: de::Deserialize<'de>>(input: &'de [u8]) -> Result<T> {
    let mut reader = Reader {
        input,
        at: 0,
        depth: 0,
    };
    T::deserialize(&mut reader).map_err(|error| UbjsonError(format!("{error} (byte {})", reader.at)))
}

/// Whether the bytes look like UBJSON and not like JSON: a `{` whose next byte is the marker of a key's length.
pub(crate) fn is_ubjson(input: &[u8]) -> bool {
    matches!(input, [b'{', b'i' | b'U' | b'I' | b'l' | b'L' | b'$' | b'#', ..])
}

struct Reader<'de> {
    input: &'de [u8],
    at: usize,
    depth: usize,
}

impl<'de> Reader<'de> {
    fn take(&mut self, count: usize) -> Result<&'de [u8]> {
        let end = self.at.checked_add(count);
        let bytes = end.and_then(|end| self.input.get(self.at..end));
        let bytes = bytes.ok_or_else(|| UbjsonError("ends too early".to_owned()))?;
        self.at += count;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let bytes = self.take(N)?;
        Ok(bytes.try_into().expect("as many bytes as were taken"))
    }

    /// The next marker; no-ops are skipped.
    fn marker(&mut self) -> Result<u8> {
        loop {
            let [marker] = self.array()?;
            if marker != b'N' {
                return Ok(marker);
            }
        }
    }

    fn peek(&self) -> Option<u8> {
        self.input.get(self.at).copied()
    }

    fn whole(&mut self, marker: u8) -> Result<i64> {
        Ok(match marker {
            b'i' => i64::from(i8::from_be_bytes(self.array()?)),
            b'U' => i64::from(u8::from_be_bytes(self.array()?)),
            b'I' => i64::from(i16::from_be_bytes(self.array()?)),
            b'l' => i64::from(i32::from_be_bytes(self.array()?)),
            b'L' => i64::from_be_bytes(self.array()?),
            _ => return Err(unexpected(marker, "a whole number")),
        })
    }

    fn length(&mut self) -> Result<usize> {
        let marker = self.marker()?;
        let length = self.whole(marker)?;
        usize::try_from(length).map_err(|_| UbjsonError(format!("length {length}")))
    }

    fn text(&mut self) -> Result<&'de str> {
        let length = self.length()?;
        let bytes = self.take(length)?;
        std::str::from_utf8(bytes).map_err(|_| UbjsonError("a text is not UTF-8".to_owned()))
    }

    fn value<V: Visitor<'de>>(&mut self, marker: u8, visitor: V) -> Result<V::Value> {
        match marker {
            b'Z' => visitor.visit_unit(),
            b'T' => visitor.visit_bool(true),
            b'F' => visitor.visit_bool(false),
            b'd' => visitor.visit_f32(f32::from_be_bytes(self.array()?)),
            b'D' => visitor.visit_f64(f64::from_be_bytes(self.array()?)),
            b'S' | b'H' => visitor.visit_borrowed_str(self.text()?),
            b'C' => visitor.visit_char(char::from(self.array::<1>()?[0])),
            b'[' => self.nested(b']', |items| visitor.visit_seq(items)),
            b'{' => self.nested(b'}', |items| visitor.visit_map(items)),
            whole => visitor.visit_i64(self.whole(whole)?),
        }
    }

    fn nested<T>(&mut self, close: u8, read: impl FnOnce(&mut Items<'_, 'de>) -> Result<T>) -> Result<T> {
        if self.depth == MAX_DEPTH {
            return Err(UbjsonError(format!("nested deeper than {MAX_DEPTH}")));
        }
        self.depth += 1;
        let (kind, left) = self.container()?;
        let mut items = Items {
            reader: self,
            close,
            kind,
            left,
        };
        let read = read(&mut items)?;
        let complete = items.is_at_end()?;
        self.depth -= 1;
        if !complete {
            return Err(UbjsonError("more items than expected".to_owned()));
        }
        Ok(read)
    }

    /// The type and count that may open a container.
    fn container(&mut self) -> Result<(Option<u8>, Option<usize>)> {
        let mut kind = None;
        if self.peek() == Some(b'$') {
            self.at += 1;
            kind = Some(self.marker()?);
        }
        if self.peek() != Some(b'#') {
            return match kind {
                None => Ok((None, None)),
                Some(_) => Err(UbjsonError("a typed container without a count".to_owned())),
            };
        }
        self.at += 1;
        let count = self.length()?;
        let size = match kind {
            Some(b'd' | b'l') => 4,
            Some(b'D' | b'L') => 8,
            Some(b'I') => 2,
            // Items without bytes of their own would let a few bytes declare billions of them.
            Some(b'Z' | b'N' | b'T' | b'F') => {
                return Err(UbjsonError("a container of empty items".to_owned()));
            }
            Some(_) | None => 1,
        };
        if count
            .checked_mul(size)
            .is_none_or(|bytes| bytes > self.input.len() - self.at)
        {
            return Err(UbjsonError(format!(
                "{count} items declared, too many for the bytes left"
            )));
        }
        Ok((kind, Some(count)))
    }
}

fn unexpected(marker: u8, expected: &str) -> UbjsonError {
    UbjsonError(format!("marker 0x{marker:02x} where {expected} is expected"))
}

/// The items of one container.
struct Items<'r, 'de> {
    reader: &'r mut Reader<'de>,
    close: u8,
    kind: Option<u8>,
    left: Option<usize>,
}

impl Items<'_, '_> {
    /// Whether there are no more items; takes the closing marker.
    fn is_at_end(&mut self) -> Result<bool> {
        if let Some(left) = self.left {
            return Ok(left == 0);
        }
        while self.reader.peek() == Some(b'N') {
            self.reader.at += 1;
        }
        if self.reader.peek() == Some(self.close) {
            self.reader.at += 1;
            self.left = Some(0);
            return Ok(true);
        }
        Ok(false)
    }

    fn one_less(&mut self) {
        self.left = self.left.map(|left| left - 1);
    }

    fn item_marker(&mut self) -> Result<u8> {
        match self.kind {
            Some(kind) => Ok(kind),
            None => self.reader.marker(),
        }
    }
}

impl<'de> SeqAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjsonError;

    fn next_element_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<Option<T::Value>> {
        if self.is_at_end()? {
            return Ok(None);
        }
        self.one_less();
        let marker = self.item_marker()?;
        seed.deserialize(Marked {
            reader: self.reader,
            marker,
        })
        .map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.left
    }
}

impl<'de> MapAccess<'de> for &mut Items<'_, 'de> {
    type Error = UbjsonError;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>> {
        if self.is_at_end()? {
            return Ok(None);
        }
        self.one_less();
        let key = self.reader.text()?;
        seed.deserialize(de::value::BorrowedStrDeserializer::new(key))
            .map(Some)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value> {
        let marker = self.item_marker()?;
        seed.deserialize(Marked {
            reader: self.reader,
            marker,
        })
    }
}

/// A value whose marker has been read.
struct Marked<'r, 'de> {
    reader: &'r mut Reader<'de>,
    marker: u8,
}

impl<'de> Deserializer<'de> for Marked<'_, 'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        self.reader.value(self.marker, visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        if self.marker == b'Z' {
            return visitor.visit_none();
        }
        visitor.visit_some(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = UbjsonError;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value> {
        let marker = self.marker()?;
        self.value(marker, visitor)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    #[test]
    fn typed_counted_and_open_containers_are_read() {
        let check = |bytes: &[u8], expected: Value| {
            assert_eq!(from_slice::<Value>(bytes).unwrap(), expected);
        };
        check(
            b"{i\x01a[$U#i\x02\x05\xffi\x01bSi\x02hi}",
            json!({"a": [5, 255], "b": "hi"}),
        );
        check(b"[NTFZ[#U\x01i\x07]", json!([true, false, null, [7]]));
        check(b"{#i\x01i\x01xd\x3f\x80\x00\x00", json!({"x": 1.0}));
        check(
            b"[$L#L\x00\x00\x00\x00\x00\x00\x00\x01\xff\xff\xff\xff\xff\xff\xff\xff",
            json!([-1]),
        );
    }

    #[test]
    fn lies_are_refused() {
        let check = |bytes: &[u8], expected: &str| {
            let error = from_slice::<Value>(bytes).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        };
        check(b"[$d#L\x7f\xff\xff\xff\xff\xff\xff\xff", "too many");
        check(b"[$Z#L\x00\x00\x00\xff\xff\xff\xff\xff", "empty items");
        check(b"Sl\x7f\xff\xff\xffabc", "ends too early");
        check(b"[#i\xff", "length -1");
        check(b"Si\x01\xff", "not UTF-8");
        check(b"[$U", "without a count");
        check(b"[$Ui\x01", "without a count");
        check(&b"[".repeat(100_000), "nested deeper");
    }
}
