//! The MLmodel file: which flavor a model directory holds, where its file lies, and its signature.

use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::signature::Signature;
use serde_json::Value;
use std::collections::BTreeMap;

/// The file's name.
pub(crate) const MLMODEL: &str = "MLmodel";

/// Bytes of an MLmodel file; real ones have a few thousand.
const MAX_BYTES: usize = 1 << 20;

#[derive(Debug, serde::Deserialize)]
struct Document {
    #[serde(default)]
    flavors: BTreeMap<String, Value>,
    signature: Option<SignatureTexts>,
}

#[derive(Debug, serde::Deserialize)]
struct SignatureTexts {
    inputs: Option<String>,
    outputs: Option<String>,
}

/// What an MLmodel file says, as far as loading needs it.
#[derive(Debug)]
pub(crate) struct MlModel {
    flavors: BTreeMap<String, Value>,
    pub(crate) signature: Option<Signature>,
}

impl MlModel {
    /// Reads the MLmodel file of a directory; `None` when there is none.
    pub(crate) fn read(files: &ModelFiles) -> Result<Option<Self>> {
        let Some(bytes) = files.get(MLMODEL) else {
            return Ok(None);
        };
        let wrong = |reason: String| Error::malformed(MLMODEL, "MLmodel file", reason);
        if bytes.len() > MAX_BYTES {
            return Err(wrong(format!("it has {} bytes", bytes.len())));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| wrong("it is not UTF-8".to_owned()))?;
        let document: Document = serde_saphyr::from_str(text).map_err(|error| wrong(error.to_string()))?;
        let signature = match document.signature {
            Some(SignatureTexts {
                inputs: Some(inputs),
                outputs,
            }) => Some(Signature::from_mlflow(&inputs, None).map(|signature| {
                Signature {
                    // What a model answers here is told by the model itself, so foreign output types do not matter.
                    outputs: outputs
                        .and_then(|outputs| Signature::from_mlflow("[]", Some(&outputs)).ok())
                        .map_or_else(Vec::new, |signature| signature.outputs),
                    ..signature
                }
            })?),
            _ => None,
        };
        Ok(Some(Self {
            flavors: document.flavors,
            signature,
        }))
    }

    /// The file of a flavor: its `data`, or `default`. `None` when the directory does not have the flavor.
    pub(crate) fn data(&self, flavor: &str, default: &str) -> Option<String> {
        let flavor = self.flavors.get(flavor)?;
        let named = flavor["data"].as_str().or_else(|| flavor["model_path"].as_str());
        Some(named.unwrap_or(default).to_owned())
    }

    /// The names of all flavors.
    pub(crate) fn flavors(&self) -> String {
        self.flavors
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ")
    }

    /// The Python loader that the directory asks for.
    pub(crate) fn loader(&self) -> Option<&str> {
        self.flavors.get("python_function")?["loader_module"].as_str()
    }
}
