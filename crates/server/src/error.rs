//! One table from the house's error codes to HTTP, and the envelope that carries them.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use everloop_core::{Code, Coded};
use schemars::JsonSchema;
use serde::Serialize;

use crate::dialect::Dialect;

tokio::task_local! {
    /// The request being answered; set by the guard around every handler.
    pub(crate) static REQUEST: Answering;
}

/// What an error must know of the request it answers.
#[derive(Debug, Clone)]
pub(crate) struct Answering {
    /// The request's id.
    pub(crate) id: String,
    /// The dialect that the caller speaks.
    pub(crate) dialect: Dialect,
}

/// The result of a handler.
pub type ApiResult<T> = Result<T, ApiError>;

/// A failure on its way to a caller.
#[derive(Debug, Clone)]
pub struct ApiError {
    code: Code,
    /// Set where HTTP tells more apart than the house's codes do.
    status: Option<StatusCode>,
    message: String,
    location: Option<String>,
    hint: Option<String>,
}

/// The body of every failed answer under `/api/v1`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorEnvelope {
    /// What went wrong.
    pub error: ErrorBody,
}

/// What went wrong, where, and how to mend it.
#[derive(Debug, Serialize, JsonSchema)]
pub struct ErrorBody {
    /// A stable code, such as `not_found`.
    pub code: &'static str,
    /// What failed, as a short fragment.
    pub message: String,
    /// Where: a file with line and column, a row, a field.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub location: Option<String>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Names this answer in the server's log.
    pub request_id: String,
}

impl ApiError {
    /// An error without a crate's type behind it.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            status: None,
            message: message.into(),
            location: None,
            hint: None,
        }
    }

    /// Says how to mend it.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says where.
    #[must_use]
    pub fn with_location(mut self, location: impl Into<String>) -> Self {
        self.location = Some(location.into());
        self
    }

    /// The body holds more than `most` bytes.
    #[must_use]
    pub fn too_large(most: usize) -> Self {
        let mut error = Self::new(
            Code::ResourceExhausted,
            format!("the body holds more than {most} bytes"),
        );
        error.status = Some(StatusCode::PAYLOAD_TOO_LARGE);
        error.with_hint("send less at a time")
    }

    /// The request itself is wrong.
    #[must_use]
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// What a caller may react to.
    #[must_use]
    pub fn code(&self) -> Code {
        self.code
    }

    /// Where.
    #[must_use]
    pub fn location(&self) -> Option<&str> {
        self.location.as_deref()
    }

    /// How to mend it.
    #[must_use]
    pub fn hint(&self) -> Option<&str> {
        self.hint.as_deref()
    }

    /// What failed. Failures of ours are told in general words; the log has the particulars.
    #[must_use]
    pub fn public_message(&self) -> String {
        match self.code {
            Code::Internal => {
                "internal error; the server's log has the particulars under this request id".to_owned()
            }
            _ => self.message.clone(),
        }
    }

    /// The HTTP status of this error.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.status.unwrap_or_else(|| status_of(self.code))
    }

    /// The answer in our own dialect.
    pub(crate) fn envelope(self) -> Response {
        let status = self.status();
        let body = ErrorBody {
            code: self.code.as_str(),
            message: self.public_message(),
            location: self.location,
            hint: self.hint,
            request_id: request_id(),
        };
        (status, Json(ErrorEnvelope { error: body })).into_response()
    }
}

impl<E: Coded> From<E> for ApiError {
    fn from(error: E) -> Self {
        Self {
            code: error.code(),
            status: None,
            message: error.to_string(),
            location: error.location(),
            hint: error.hint(),
        }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        log(self.code, &self.message);
        let dialect = REQUEST.try_with(|request| request.dialect).unwrap_or_default();
        dialect.refuse(self)
    }
}

/// The id of the request being answered; empty outside a request.
pub(crate) fn request_id() -> String {
    REQUEST.try_with(|request| request.id.clone()).unwrap_or_default()
}

pub(crate) fn log(code: Code, message: &str) {
    match code {
        Code::Internal | Code::DataLoss | Code::StorageFull => {
            tracing::error!(
                request.id = request_id(),
                code = code.as_str(),
                error = message,
                "request failed"
            );
        }
        _ => tracing::debug!(
            request.id = request_id(),
            code = code.as_str(),
            error = message,
            "request refused"
        ),
    }
}

/// The one table from codes to HTTP.
#[must_use]
pub fn status_of(code: Code) -> StatusCode {
    match code {
        Code::InvalidArgument => StatusCode::BAD_REQUEST,
        Code::Unauthenticated => StatusCode::UNAUTHORIZED,
        Code::PermissionDenied => StatusCode::FORBIDDEN,
        Code::NotFound => StatusCode::NOT_FOUND,
        Code::AlreadyExists | Code::Conflict => StatusCode::CONFLICT,
        Code::FailedPrecondition => StatusCode::PRECONDITION_FAILED,
        Code::Refused => StatusCode::UNPROCESSABLE_ENTITY,
        Code::ResourceExhausted => StatusCode::TOO_MANY_REQUESTS,
        Code::StorageFull => StatusCode::INSUFFICIENT_STORAGE,
        Code::DeadlineExceeded => StatusCode::GATEWAY_TIMEOUT,
        // What nginx says of a caller that went away; there is no registered status.
        Code::Cancelled => StatusCode::from_u16(499).unwrap_or(StatusCode::BAD_REQUEST),
        Code::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        Code::Unsupported => StatusCode::NOT_IMPLEMENTED,
        Code::DataLoss | Code::Internal => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
