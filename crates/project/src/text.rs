//! Values written as a short text with a grammar of its own: `auc >= 0.68`, `2 of 3`, `1h30m`.
//!
//! Such a type is parsed once, at the door, and prints exactly what parses to it again.

use crate::decode::Cx;
use crate::limits;
use crate::node::{Kind, Node};
use crate::problem::{Problem, ProblemKind, quoted};
use everloop_core::{Code, Coded};
use std::fmt;

/// A text that does not follow the grammar of its type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidText {
    what: &'static str,
    found: String,
    expected: &'static str,
    reason: Option<String>,
    hint: Option<String>,
}

impl fmt::Display for InvalidText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is not a valid {}", self.found, self.what)?;
        match &self.reason {
            Some(reason) => write!(f, ": {reason}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for InvalidText {}

impl Coded for InvalidText {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }

    fn hint(&self) -> Option<String> {
        Some(self.hint.clone().unwrap_or(format!("expected {}", self.expected)))
    }
}

/// Why a text was refused: a reason and a hint, where we know them.
#[derive(Debug, Default)]
pub(crate) struct Wrong {
    pub reason: Option<String>,
    pub hint: Option<String>,
}

impl Wrong {
    pub fn because(reason: impl Into<String>) -> Self {
        Self {
            reason: Some(reason.into()),
            hint: None,
        }
    }

    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A type with a text grammar.
pub(crate) trait Text: Sized + fmt::Display {
    /// "threshold"
    const WHAT: &'static str;
    /// "a metric, a comparison and a number, such as auc >= 0.68"
    const EXPECTED: &'static str;
    /// For the JSON Schema: loose, it only has to accept everything that parses.
    const PATTERN: &'static str;
    /// Longest text worth looking at, in bytes.
    const LONGEST: usize = limits::TEXT;

    fn parse(text: &str) -> Result<Self, Wrong>;

    /// Whether a plain number may stand in place of a text.
    const NUMBERS: bool = false;

    /// Reads a plain number, for grammars where one makes sense.
    fn from_number(_number: f64) -> Option<Result<Self, Wrong>> {
        None
    }
}

pub(crate) fn parse_text<T: Text>(text: &str) -> Result<T, InvalidText> {
    let parsed = if text.len() > T::LONGEST {
        Err(Wrong::because(format!("it is longer than {} bytes", T::LONGEST)))
    } else {
        T::parse(text.trim())
    };
    parsed.map_err(|wrong| InvalidText {
        what: T::WHAT,
        found: quoted(text),
        expected: T::EXPECTED,
        reason: wrong.reason,
        hint: wrong.hint,
    })
}

pub(crate) fn decode_text<T: Text>(node: &Node, cx: &mut Cx) -> Option<T> {
    let (found, wrong) = match &node.kind {
        Kind::Text(text) => match parse_text::<T>(text) {
            Ok(value) => return Some(value),
            Err(invalid) => (
                invalid.found,
                Wrong {
                    reason: invalid.reason,
                    hint: invalid.hint,
                },
            ),
        },
        Kind::Int(_) | Kind::Float(_) => match from_number::<T>(node) {
            Some(Ok(value)) => return Some(value),
            Some(Err(wrong)) => (node.describe(), wrong),
            None => (node.describe(), Wrong::default()),
        },
        _ => {
            cx.wrong_type(node, T::EXPECTED);
            return None;
        }
    };
    let found = match wrong.reason {
        Some(reason) => format!("{found} ({reason})"),
        None => found,
    };
    cx.push(
        Problem::new(ProblemKind::BadValue, node.at, format!("not a valid {}", T::WHAT))
            .found(found)
            .expected(T::EXPECTED)
            .maybe_hint(wrong.hint),
    );
    None
}

fn from_number<T: Text>(node: &Node) -> Option<Result<T, Wrong>> {
    match node.kind {
        Kind::Int(value) => T::from_number(value as f64),
        Kind::Float(value) => T::from_number(value),
        _ => None,
    }
}

pub(crate) fn text_schema<T: Text>() -> schemars::Schema {
    let kinds = if T::NUMBERS {
        serde_json::json!(["string", "number"])
    } else {
        serde_json::json!("string")
    };
    schemars::json_schema!({
        "type": kinds,
        "pattern": T::PATTERN,
        "description": format!("{}{}.", T::EXPECTED[..1].to_uppercase(), &T::EXPECTED[1..]),
    })
}

/// Gives a [`Text`] type what it needs to stand in files, documents, schemas and code.
macro_rules! text_type {
    ($($name:ident),* $(,)?) => {$(
        impl std::str::FromStr for $name {
            type Err = crate::text::InvalidText;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                crate::text::parse_text(text)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl crate::decode::Decode for $name {
            fn decode(node: &crate::node::Node, cx: &mut crate::decode::Cx) -> Option<Self> {
                crate::text::decode_text(node, cx)
            }
        }

        impl schemars::JsonSchema for $name {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                crate::text::text_schema::<Self>()
            }
        }

        crate::scalars::deserialize_by_decode!($name);
    )*};
}

pub(crate) use text_type;
