//! What can go wrong with a model, its files, its input rows, or its training.

use everloop_core::{Code, Coded};

/// The result of this crate's functions.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Everything this crate refuses.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file or folder of a model directory cannot be read or written.
    #[error("cannot access \"{path}\"")]
    Io {
        /// Path inside the model directory.
        path: String,
        /// The system's answer.
        source: std::io::Error,
    },
    /// A path inside the model directory points outside it, or is not text.
    #[error("\"{path}\" is not a path inside a model directory")]
    Path {
        /// The path as it was given.
        path: String,
    },
    /// The model directory names a file that it does not hold.
    #[error("the model directory holds no \"{path}\"")]
    MissingFile {
        /// The missing file.
        path: String,
    },
    /// A file does not say what its format promises.
    #[error("{path} is not a valid {format}: {reason}")]
    Malformed {
        /// The file.
        path: String,
        /// The format it was read as.
        format: &'static str,
        /// What is wrong, and where in the file.
        reason: String,
    },
    /// A limit on model files is exceeded.
    #[error("{path}: {what} is {found}, above the limit of {limit}")]
    Limit {
        /// The file.
        path: String,
        /// What was counted.
        what: &'static str,
        /// How many the file holds or declares.
        found: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// The only way to load the model would be to run code it brings along.
    #[error("the model can only be loaded by running its own code ({loader})")]
    UnsafeFormat {
        /// The loader or format that the model asks for.
        loader: String,
    },
    /// The directory holds no model of a known kind.
    #[error("no model of a known format (found: {found})")]
    UnknownFormat {
        /// Flavors or files found.
        found: String,
    },
    /// A known format holds something that is not offered.
    #[error("{path}: {what} is not supported")]
    Unsupported {
        /// The file.
        path: String,
        /// The operator, objective or type.
        what: String,
    },
    /// A column the model needs is not among the input columns.
    #[error("column \"{column}\" is missing")]
    MissingColumn {
        /// The column.
        column: String,
        /// The column given whose name is nearest.
        nearest: Option<String>,
    },
    /// The input holds more or fewer columns than a model without column names takes.
    #[error("{found} columns given where the model takes {expected}")]
    ColumnCount {
        /// Columns the model takes.
        expected: usize,
        /// Columns given.
        found: usize,
    },
    /// A value or column is of the wrong kind.
    #[error("column \"{column}\" holds {found} where {expected} are expected")]
    WrongKind {
        /// The column.
        column: String,
        /// What the model takes.
        expected: &'static str,
        /// What was given.
        found: &'static str,
    },
    /// A graph cannot be evaluated on these rows.
    #[error("node \"{node}\": {reason}")]
    Evaluate {
        /// The node of the graph.
        node: String,
        /// Why.
        reason: String,
    },
    /// A training option makes no sense.
    #[error("training option \"{option}\": {reason}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// The rows cannot be learned from.
    #[error("cannot train on these rows: {reason}")]
    Untrainable {
        /// Why.
        reason: String,
    },
}

impl Error {
    pub(crate) fn malformed(path: &str, format: &'static str, reason: impl Into<String>) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            format,
            reason: reason.into(),
        }
    }

    pub(crate) fn unsupported(path: &str, what: impl Into<String>) -> Self {
        Self::Unsupported {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(crate) fn evaluate(node: &str, reason: impl Into<String>) -> Self {
        Self::Evaluate {
            node: node.to_owned(),
            reason: reason.into(),
        }
    }

    pub(crate) fn option(option: &'static str, reason: impl Into<String>) -> Self {
        Self::Option {
            option,
            reason: reason.into(),
        }
    }

    pub(crate) fn untrainable(reason: impl Into<String>) -> Self {
        Self::Untrainable {
            reason: reason.into(),
        }
    }
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Io { .. } => Code::Unavailable,
            Self::MissingFile { .. }
            | Self::Path { .. }
            | Self::Malformed { .. }
            | Self::MissingColumn { .. }
            | Self::ColumnCount { .. }
            | Self::WrongKind { .. }
            | Self::Evaluate { .. }
            | Self::Option { .. }
            | Self::Untrainable { .. } => Code::InvalidArgument,
            Self::Limit { .. } => Code::ResourceExhausted,
            Self::UnsafeFormat { .. } | Self::UnknownFormat { .. } | Self::Unsupported { .. } => {
                Code::Unsupported
            }
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Io { path, .. }
            | Self::Path { path }
            | Self::MissingFile { path }
            | Self::Malformed { path, .. }
            | Self::Limit { path, .. }
            | Self::Unsupported { path, .. } => Some(path.clone()),
            Self::MissingColumn { column, .. } | Self::WrongKind { column, .. } => {
                Some(format!("column \"{column}\""))
            }
            Self::Evaluate { node, .. } => Some(format!("node \"{node}\"")),
            Self::Option { option, .. } => Some((*option).to_owned()),
            Self::UnsafeFormat { .. }
            | Self::UnknownFormat { .. }
            | Self::ColumnCount { .. }
            | Self::Untrainable { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::UnsafeFormat { .. } => Some(
                "export the model to ONNX (skl2onnx, onnxmltools) or save it with mlflow.xgboost, \
                 mlflow.lightgbm or mlflow.onnx; pickles are never opened here"
                    .to_owned(),
            ),
            Self::UnknownFormat { .. } => Some(
                "save an ONNX file, XGBoost JSON or UBJSON, or LightGBM text, alone or in an MLflow model directory"
                    .to_owned(),
            ),
            Self::MissingColumn {
                nearest: Some(nearest),
                ..
            } => Some(format!("did you mean \"{nearest}\"?")),
            Self::Limit { .. } => Some("raise the model limits if the file is trusted".to_owned()),
            _ => None,
        }
    }
}
