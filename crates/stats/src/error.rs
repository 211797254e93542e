//! What can be wrong with a question to statistics.

use everloop_core::{Code, Coded};

/// The result of a computation here.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why there is no figure. Nothing here returns NaN where it can say this instead.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No rows at all, or none that are not missing.
    #[error("\"{what}\" holds no values")]
    Empty {
        /// The argument.
        what: &'static str,
    },
    /// Two arguments that describe the same rows differ in length.
    #[error("\"{left}\" has {left_len} values, \"{right}\" has {right_len}")]
    Lengths {
        /// One argument.
        left: &'static str,
        /// Its length.
        left_len: usize,
        /// The other.
        right: &'static str,
        /// Its length.
        right_len: usize,
    },
    /// NaN or an infinity where a number is needed.
    #[error("\"{what}\" is not a finite number")]
    NotFinite {
        /// The argument.
        what: &'static str,
        /// Position of the first such value.
        index: usize,
    },
    /// A value outside the range the method is defined on.
    #[error("\"{what}\" is {value}, outside {allowed}")]
    OutOfRange {
        /// The argument.
        what: &'static str,
        /// The value found.
        value: f64,
        /// The range, in words.
        allowed: &'static str,
        /// Its position, for a value of a list.
        index: Option<usize>,
    },
    /// Too few rows for the method.
    #[error("\"{what}\" has {found} values, at least {needed} are needed")]
    TooFew {
        /// The argument.
        what: &'static str,
        /// Least number.
        needed: usize,
        /// Number found.
        found: usize,
    },
    /// The figure has no value on these rows, for instance AUC where all rows have one class.
    #[error("{what} is not defined here: {why}")]
    Undefined {
        /// The figure.
        what: &'static str,
        /// The reason, in words.
        why: &'static str,
    },
    /// A figure that exists for another kind of task or column.
    #[error("{what} does not apply to {to}")]
    NotApplicable {
        /// The figure.
        what: &'static str,
        /// The kind of task or column.
        to: &'static str,
    },
    /// A name that stands for nothing here.
    #[error("unknown {kind} \"{found}\"")]
    UnknownName {
        /// What was named: `metric`, `drift method`.
        kind: &'static str,
        /// The text found.
        found: String,
        /// The nearest name, or the list of names.
        hint: String,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::Lengths { .. }
            | Self::NotFinite { .. }
            | Self::OutOfRange { .. }
            | Self::NotApplicable { .. }
            | Self::UnknownName { .. } => Code::InvalidArgument,
            Self::Empty { .. } | Self::TooFew { .. } | Self::Undefined { .. } => Code::FailedPrecondition,
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::NotFinite { index, .. }
            | Self::OutOfRange {
                index: Some(index), ..
            } => Some(format!("row {index}")),
            Self::Empty { .. }
            | Self::Lengths { .. }
            | Self::OutOfRange { index: None, .. }
            | Self::TooFew { .. }
            | Self::Undefined { .. }
            | Self::NotApplicable { .. }
            | Self::UnknownName { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Empty { what } => Some(format!("give \"{what}\" at least one row that is not missing")),
            Self::Lengths { .. } => Some("give one value per row to each".to_owned()),
            Self::NotFinite { what, .. } => {
                Some(format!("drop or fill the missing values of \"{what}\" first"))
            }
            Self::OutOfRange { allowed, .. } => Some(format!("use a value in {allowed}")),
            Self::TooFew { .. } => Some("wait for more rows or widen the window".to_owned()),
            Self::Undefined { .. } => Some("widen the window or choose another metric".to_owned()),
            Self::NotApplicable { to, .. } => Some(format!("choose one that is defined for {to}")),
            Self::UnknownName { hint, .. } => Some(hint.clone()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_names_the_row_and_the_cure() {
        let error = Error::NotFinite {
            what: "score",
            index: 17,
        };
        assert_eq!(error.to_string(), "\"score\" is not a finite number");
        assert_eq!(error.code(), Code::InvalidArgument);
        assert_eq!(error.location().unwrap(), "row 17");
        assert_eq!(
            error.hint().unwrap(),
            "drop or fill the missing values of \"score\" first"
        );
    }
}
