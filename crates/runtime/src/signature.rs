//! The columns a model takes and gives, and MLflow's JSON for them.

use crate::error::{Error, Result};
use serde_json::{Value, json};
use std::fmt;

/// The columns a model takes and gives, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Signature {
    /// What `predict` reads.
    pub inputs: Vec<Field>,
    /// What `predict` answers.
    pub outputs: Vec<Field>,
}

/// One column of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// The column's name.
    pub name: String,
    /// The kind of its values.
    pub kind: Kind,
    /// Whether the column must be there. Single values may be missing either way.
    pub required: bool,
}

/// The kind of a column's values, as MLflow names them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// `boolean`.
    Bool,
    /// `integer`: 32 bits.
    Int,
    /// `long`: 64 bits.
    Long,
    /// `float`: 32 bits.
    Float,
    /// `double`: 64 bits.
    Double,
    /// `string`.
    String,
    /// `datetime`.
    Datetime,
}

impl Kind {
    /// MLflow's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Bool => "boolean",
            Self::Int => "integer",
            Self::Long => "long",
            Self::Float => "float",
            Self::Double => "double",
            Self::String => "string",
            Self::Datetime => "datetime",
        }
    }

    /// Whether values are texts; all other kinds are read as numbers.
    #[must_use]
    pub fn is_text(self) -> bool {
        self == Self::String
    }

    fn from_mlflow(word: &str) -> Option<Self> {
        Some(match word {
            "boolean" => Self::Bool,
            "integer" => Self::Int,
            "long" => Self::Long,
            "float" => Self::Float,
            "double" => Self::Double,
            "string" => Self::String,
            "datetime" => Self::Datetime,
            _ => return None,
        })
    }

    fn from_numpy(word: &str) -> Option<Self> {
        Some(match word {
            "bool" => Self::Bool,
            "int8" | "int16" | "int32" | "uint8" | "uint16" => Self::Int,
            "int64" | "uint32" | "uint64" => Self::Long,
            "float16" | "float32" => Self::Float,
            "float64" => Self::Double,
            "object" | "str" => Self::String,
            _ => return None,
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Field {
    /// A required column.
    #[must_use]
    pub fn new(name: impl Into<String>, kind: Kind) -> Self {
        Self {
            name: name.into(),
            kind,
            required: true,
        }
    }
}

impl Signature {
    /// The place of the input column called `name`.
    #[must_use]
    pub fn input(&self, name: &str) -> Option<usize> {
        self.inputs.iter().position(|field| field.name == name)
    }

    /// The texts of `signature.inputs` and `signature.outputs` in an MLmodel file.
    #[must_use]
    pub fn to_mlflow(&self) -> (String, String) {
        (columns_to_json(&self.inputs), columns_to_json(&self.outputs))
    }

    /// Reads the texts of an MLmodel file. One tensor of shape `[-1, n]` becomes `n` columns without names of their
    /// own (`f0`, `f1`, ...).
    ///
    /// # Errors
    /// When a text is not MLflow's schema JSON, or holds types that are not columns (arrays, objects, images).
    pub fn from_mlflow(inputs: &str, outputs: Option<&str>) -> Result<Self> {
        Ok(Self {
            inputs: columns_from_json(inputs)?,
            outputs: outputs.map_or(Ok(Vec::new()), columns_from_json)?,
        })
    }
}

fn columns_to_json(fields: &[Field]) -> String {
    let columns: Vec<Value> = fields
        .iter()
        .map(|field| json!({"type": field.kind.as_str(), "name": field.name, "required": field.required}))
        .collect();
    Value::Array(columns).to_string()
}

fn columns_from_json(text: &str) -> Result<Vec<Field>> {
    let wrong = |reason: String| Error::malformed("MLmodel", "MLflow signature", reason);
    let parsed: Value = serde_json::from_str(text).map_err(|error| wrong(error.to_string()))?;
    let Value::Array(specs) = parsed else {
        return Err(wrong("a list of columns is expected".to_owned()));
    };
    let only = specs.len() == 1;
    let mut fields = Vec::new();
    for (place, spec) in specs.iter().enumerate() {
        if spec["type"] == "tensor" {
            fields.extend(tensor_columns(spec, only)?);
        } else {
            fields.push(column(spec, place)?);
        }
    }
    Ok(fields)
}

fn column(spec: &Value, place: usize) -> Result<Field> {
    let kind = spec["type"]
        .as_str()
        .and_then(Kind::from_mlflow)
        .ok_or_else(|| Error::unsupported("MLmodel", format!("column type {}", short(&spec["type"]))))?;
    Ok(Field {
        name: spec["name"]
            .as_str()
            .map_or_else(|| format!("f{place}"), str::to_owned),
        kind,
        required: spec["required"].as_bool().unwrap_or(true),
    })
}

/// The columns of one tensor spec: `n` for shape `[-1, n]` when it is the only one, else one.
fn tensor_columns(spec: &Value, only: bool) -> Result<Vec<Field>> {
    let tensor = &spec["tensor-spec"];
    let unsupported = || Error::unsupported("MLmodel", format!("tensor {}", short(tensor)));
    let kind = tensor["dtype"]
        .as_str()
        .and_then(Kind::from_numpy)
        .ok_or_else(unsupported)?;
    let shape: Vec<i64> = tensor["shape"]
        .as_array()
        .ok_or_else(unsupported)?
        .iter()
        .filter_map(Value::as_i64)
        .collect();
    let name = spec["name"].as_str();
    match (shape.as_slice(), name) {
        ([-1] | [-1, 1], Some(name)) => Ok(vec![Field::new(name, kind)]),
        ([-1], None) => Ok(vec![Field::new("f0", kind)]),
        ([-1, width], _) if only && (1..=1_000_000).contains(width) => {
            Ok((0..*width).map(|j| Field::new(format!("f{j}"), kind)).collect())
        }
        _ => Err(unsupported()),
    }
}

fn short(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_survive_mlflow_json() {
        let kinds = [
            Kind::Bool,
            Kind::Int,
            Kind::Long,
            Kind::Float,
            Kind::Double,
            Kind::String,
            Kind::Datetime,
        ];
        let signature = Signature {
            inputs: kinds
                .iter()
                .map(|kind| Field::new(kind.as_str(), *kind))
                .collect(),
            outputs: vec![Field::new("prediction", Kind::Bool)],
        };
        let (inputs, outputs) = signature.to_mlflow();
        assert_eq!(
            Signature::from_mlflow(&inputs, Some(&outputs)).unwrap(),
            signature
        );
    }

    #[test]
    fn tensors_become_numbered_columns() {
        let text = r#"[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1, 3]}}]"#;
        let signature = Signature::from_mlflow(text, None).unwrap();
        let names: Vec<&str> = signature.inputs.iter().map(|field| field.name.as_str()).collect();
        assert_eq!(names, ["f0", "f1", "f2"]);
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in [
            "{",
            "{}",
            r#"[{"type": "array", "items": {"type": "double"}}]"#,
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 3, 224, 224]}}]"#,
            r#"[{"type": "tensor", "tensor-spec": {"dtype": "float32", "shape": [-1, 9000000000]}}]"#,
        ] {
            assert!(Signature::from_mlflow(text, None).is_err(), "{text}");
        }
    }
}
