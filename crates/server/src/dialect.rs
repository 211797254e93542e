//! How each protocol says no: one error, three bodies.

use axum::Json;
use axum::response::{IntoResponse, Response};
use everloop_core::Code;
use serde_json::json;

use crate::ApiError;

/// The protocol that a caller speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Dialect {
    /// Ours, under `/api/v1`.
    #[default]
    Own,
    /// The Open Inference Protocol.
    Inference,
    /// MLflow's.
    Mlflow,
}

impl Dialect {
    /// The dialect of a route.
    pub(crate) fn of(path: &str) -> Self {
        let below = |root: &str| {
            path.strip_prefix(root)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        if below("/v2") {
            Self::Inference
        } else if below("/invocations") || below("/ping") {
            Self::Mlflow
        } else {
            Self::Own
        }
    }

    /// The error as this dialect's clients expect it.
    pub(crate) fn refuse(self, error: ApiError) -> Response {
        let status = error.status();
        match self {
            Self::Own => error.envelope(),
            Self::Inference => (status, Json(json!({ "error": sentence(&error) }))).into_response(),
            Self::Mlflow => {
                let body = json!({ "error_code": mlflow_code(error.code()), "message": sentence(&error) });
                (status, Json(body)).into_response()
            }
        }
    }
}

/// Message, place and hint in one line, for bodies that have room for one text.
fn sentence(error: &ApiError) -> String {
    let mut text = error.public_message();
    if let Some(location) = error.location() {
        text.push_str(&format!(" (at {location})"));
    }
    if let Some(hint) = error.hint() {
        text.push_str(&format!("; hint: {hint}"));
    }
    text
}

/// MLflow's word for a code, as its scoring server and its store use them.
pub(crate) fn mlflow_code(code: Code) -> &'static str {
    match code {
        Code::InvalidArgument => "BAD_REQUEST",
        Code::Unauthenticated => "UNAUTHENTICATED",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::NotFound => "RESOURCE_DOES_NOT_EXIST",
        Code::AlreadyExists => "RESOURCE_ALREADY_EXISTS",
        Code::Conflict => "RESOURCE_CONFLICT",
        Code::FailedPrecondition | Code::Refused => "INVALID_STATE",
        Code::ResourceExhausted => "RESOURCE_LIMIT_EXCEEDED",
        Code::StorageFull => "RESOURCE_EXHAUSTED",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::Cancelled => "CANCELLED",
        Code::Unavailable => "TEMPORARILY_UNAVAILABLE",
        Code::Unsupported => "NOT_IMPLEMENTED",
        Code::DataLoss => "DATA_LOSS",
        Code::Internal => "INTERNAL_ERROR",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_tell_the_dialect() {
        for (path, expected) in [
            ("/v2", Dialect::Inference),
            ("/v2/models/{endpoint}/infer", Dialect::Inference),
            ("/v20", Dialect::Own),
            ("/invocations/{endpoint}", Dialect::Mlflow),
            ("/ping", Dialect::Mlflow),
            ("/api/v1/datasets", Dialect::Own),
        ] {
            assert_eq!(Dialect::of(path), expected, "{path}");
        }
    }
}
