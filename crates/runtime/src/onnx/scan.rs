//! Counts what a file would unfold to, before it is decoded.
//!
//! An empty message takes two bytes in a file and a few hundred in memory. So the messages and texts of a file are
//! counted first, in one pass over its bytes without allocation or recursion; what is not counted here is skipped by the
//! decoder too.

use super::FORMAT;
use crate::error::{Error, Result};
use crate::limits::Limits;

/// The messages of `onnx.proto` that we decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Model,
    Graph,
    Node,
    Attribute,
    Tensor,
    Value,
    Type,
    TensorType,
    Shape,
    /// Has no messages or lists of texts inside.
    Other,
}

/// What stands in a field.
enum Field {
    Message(Kind),
    Text,
    Plain,
}

impl Kind {
    fn field(self, number: u64) -> Field {
        match (self, number) {
            (Self::Model, 7) => Field::Message(Self::Graph),
            (Self::Model, 8 | 14) | (Self::Shape, 1) => Field::Message(Self::Other),
            (Self::Graph, 1) => Field::Message(Self::Node),
            (Self::Graph, 5) | (Self::Attribute, 5) => Field::Message(Self::Tensor),
            (Self::Graph, 11 | 12) => Field::Message(Self::Value),
            (Self::Node, 5) => Field::Message(Self::Attribute),
            (Self::Value, 2) => Field::Message(Self::Type),
            (Self::Type, 1) => Field::Message(Self::TensorType),
            (Self::TensorType, 2) => Field::Message(Self::Shape),
            (Self::Model, 25)
            | (Self::Graph, 15)
            | (Self::Node, 1 | 2)
            | (Self::Attribute, 9)
            | (Self::Tensor, 6) => Field::Text,
            _ => Field::Plain,
        }
    }
}

/// Refuses a file that holds more messages or texts than the limits allow, or whose lengths lie.
pub(super) fn check(path: &str, bytes: &[u8], limits: &Limits) -> Result<()> {
    let wrong = || Error::malformed(path, FORMAT, "a field ends outside its message");
    // Each tree node has a text that names its test.
    let most_texts = limits.nodes.saturating_mul(2).saturating_add(limits.width);
    let (mut messages, mut texts) = (0, 0);
    // Where the enclosing messages end; messages nest nine deep.
    let mut open = vec![(Kind::Model, bytes.len())];
    let mut at = 0;
    while let Some((kind, end)) = open.last().copied() {
        if at == end {
            open.pop();
            continue;
        }
        let key = varint(bytes, &mut at).ok_or_else(wrong)?;
        let size = match key & 7 {
            0 => varint(bytes, &mut at).map(|_| 0),
            1 => Some(8),
            5 => Some(4),
            2 => varint(bytes, &mut at),
            _ => None,
        };
        let next = size.and_then(|size| at.checked_add(usize::try_from(size).ok()?));
        let next = next.filter(|next| *next <= end).ok_or_else(wrong)?;
        match kind.field(key >> 3) {
            Field::Message(inner) if key & 7 == 2 => {
                messages += 1;
                Limits::check(path, "number of messages", messages, limits.width)?;
                open.push((inner, next));
            }
            Field::Text if key & 7 == 2 => {
                texts += 1;
                Limits::check(path, "number of texts", texts, most_texts)?;
                at = next;
            }
            _ => at = next,
        }
    }
    Ok(())
}

fn varint(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0_u64;
    for shift in (0..64).step_by(7) {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn empty_messages_are_counted_before_they_are_made() {
        // A graph of a thousand empty nodes.
        let nodes = [0x0a, 0x00].repeat(1_000);
        let mut bytes = vec![0x3a, 0xd0, 0x0f];
        bytes.extend(nodes);
        assert!(check("m", &bytes, &Limits::default()).is_ok());
        let few = Limits {
            width: 500,
            ..Limits::default()
        };
        assert!(matches!(check("m", &bytes, &few), Err(Error::Limit { .. })));
    }

    #[test]
    fn lengths_that_lie_are_refused() {
        for bytes in [
            &[0x3a, 0x05, 0x0a][..],
            &[0x3a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01],
            &[0x3a, 0x02, 0x0a, 0x05, 0x00, 0x00, 0x00],
            &[0x0b],
            &[0xff; 12],
        ] {
            assert!(check("m", bytes, &Limits::default()).is_err(), "{bytes:x?}");
        }
    }
}
