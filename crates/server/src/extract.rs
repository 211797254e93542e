//! Readers of requests. What they refuse is told in the error envelope, where axum's own would answer plain text.

use axum::extract::rejection::{JsonRejection, PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use everloop_core::IdempotencyKey;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::ApiError;

/// The most bytes of a [`Large`] body: a request of 100,000 rows with a few dozen columns.
pub const LARGEST_BODY: usize = 64 << 20;
/// The most bytes of a [`Json`] body, which is axum's own limit.
const USUAL_BODY: usize = 2 << 20;

/// A JSON body of at most 2 MiB; as an answer, a JSON body.
#[derive(Debug, Clone, Copy)]
pub struct Json<T>(pub T);

/// The variables of a path.
#[derive(Debug, Clone, Copy)]
pub struct Path<T>(pub T);

/// The fields of a query.
#[derive(Debug, Clone, Copy)]
pub struct Query<T>(pub T);

/// A body of at most [`LARGEST_BODY`] bytes, whatever it says it holds.
#[derive(Debug, Clone)]
pub struct Large(pub Bytes);

/// A JSON body of at most [`LARGEST_BODY`] bytes.
#[derive(Debug, Clone, Copy)]
pub struct LargeJson<T>(pub T);

/// A client's own name for a request, so that sending it again has one effect.
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The `idempotency-key` of a request, if it has one.
#[derive(Debug, Clone)]
pub struct Once(pub Option<IdempotencyKey>);

impl<S: Send + Sync> FromRequestParts<S> for Once {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let Some(value) = parts.headers.get(IDEMPOTENCY_KEY) else {
            return Ok(Self(None));
        };
        match value.to_str() {
            Ok(text) if (1..=128).contains(&text.len()) => Ok(Self(Some(IdempotencyKey::new(text)))),
            _ => Err(ApiError::invalid(
                "an idempotency key is 1 to 128 plain characters",
            )),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Json<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        match axum::Json::<T>::from_request(request, state).await {
            Ok(axum::Json(value)) => Ok(Self(value)),
            Err(rejection) => Err(refuse_json(&rejection)),
        }
    }
}

fn refuse_json(rejection: &JsonRejection) -> ApiError {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return ApiError::too_large(USUAL_BODY);
    }
    let error = ApiError::invalid(rejection.body_text());
    match rejection {
        JsonRejection::MissingJsonContentType(_) => {
            error.with_hint("send \"content-type: application/json\"")
        }
        _ => error,
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        match axum::extract::Path::<T>::from_request_parts(parts, state).await {
            Ok(axum::extract::Path(value)) => Ok(Self(value)),
            Err(PathRejection::MissingPathParams(_)) => Err(ApiError::new(
                everloop_core::Code::Internal,
                "a route was registered without the variables it reads",
            )),
            Err(rejection) => Err(ApiError::invalid(rejection.body_text())),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Query<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        axum::extract::Query::<T>::from_request_parts(parts, state)
            .await
            .map(|axum::extract::Query(value)| Self(value))
            .map_err(|rejection: QueryRejection| ApiError::invalid(rejection.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Large {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        match Limited::new(request.into_body(), LARGEST_BODY).collect().await {
            Ok(body) => Ok(Self(body.to_bytes())),
            Err(error) if error.is::<LengthLimitError>() => Err(ApiError::too_large(LARGEST_BODY)),
            Err(error) => Err(ApiError::invalid(format!("the body ended early: {error}"))),
        }
    }
}

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for LargeJson<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let Large(bytes) = Large::from_request(request, state).await?;
        serde_json::from_slice(&bytes).map(Self).map_err(|error| {
            ApiError::invalid(format!("the body is not what was expected: {error}")).with_location(format!(
                "line {}, column {}",
                error.line(),
                error.column()
            ))
        })
    }
}
