//! One way to ask, whether a server answers over the network or this process answers itself.
//!
//! With `EVERLOOP_URL` every command is an HTTP request; without it the same request goes to the same router in
//! process, on the project's embedded store. Nothing else differs.

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use everloop_access::Principal;
use everloop_core::{Code, Coded};
use everloop_server::App;
use futures::Stream;
use futures::StreamExt;
use http::{Method, StatusCode, header};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::pin::Pin;
use std::time::Duration;
use tower::ServiceExt;

/// All but letters, digits and the marks that are plain in every part of an address.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'~');
/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// How long an answer may stay silent: a whole way round the loop at most. Event streams say something every few
/// seconds.
const SILENCE: Duration = Duration::from_secs(3600);

/// A stream of bytes from an answer.
pub type ByteStream = Pin<Box<dyn Stream<Item = Result<Bytes, ClientError>> + Send>>;

/// Why a request got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The server said no, and why.
    #[error("{message}")]
    Refused {
        /// What a script may react to.
        code: Code,
        /// What failed.
        message: String,
        /// Where.
        location: Option<String>,
        /// How to mend it.
        hint: Option<String>,
    },
    /// The server can't be reached.
    #[error("can't reach {url}")]
    Unreachable {
        /// The address asked.
        url: String,
        /// What the connection said.
        source: reqwest::Error,
    },
    /// The answer is not what this version of the program understands.
    #[error("unexpected answer to {method} {path}: {problem}")]
    Unexpected {
        /// The method.
        method: Method,
        /// The path.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl Coded for ClientError {
    fn code(&self) -> Code {
        match self {
            Self::Refused { code, .. } => *code,
            Self::Unreachable { .. } => Code::Unavailable,
            Self::Unexpected { .. } => Code::Internal,
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Refused { location, .. } => location.clone(),
            Self::Unreachable { .. } | Self::Unexpected { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Refused { hint, .. } => hint.clone(),
            Self::Unreachable { source, .. } => Some(advice(source).to_owned()),
            Self::Unexpected { .. } => Some("are the server and this program of the same version?".into()),
        }
    }
}

/// What to do about a server that can't be reached.
fn advice(error: &reqwest::Error) -> &'static str {
    let mut words = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        words.push_str(&next.to_string());
        cause = next.source();
    }
    if words.contains("UnknownIssuer") {
        return "name the file of the authority that signed its certificate with EVERLOOP_CA_FILE";
    }
    if words.contains("CaUsedAsEndEntity") {
        return "its certificate says that it is an authority (CA:TRUE); give the server one that does not";
    }
    if words.contains("Expired") || words.contains("expired") {
        return "give the server a new certificate, and check this machine's clock";
    }
    if words.contains("certificate") {
        return "name the server as its certificate does";
    }
    if words.contains("InvalidContentType") || words.contains("corrupt message") {
        return "it does not speak TLS: use http://";
    }
    "start it with \"everloop server\", or unset EVERLOOP_URL to work on the project's own store"
}

/// Asks the server, or this process.
#[derive(Debug, Clone)]
pub enum Client {
    /// Over the network.
    Remote(Remote),
    /// In process.
    Local {
        /// The whole surface.
        router: Router,
        /// Who asks.
        principal: Principal,
    },
}

/// A server by its address.
#[derive(Debug, Clone)]
pub struct Remote {
    http: reqwest::Client,
    base: String,
    token: Option<String>,
    project: Option<String>,
}

impl Remote {
    /// The server at `base`, such as `http://127.0.0.1:5000`; `trusted` are authorities beside the public ones.
    #[must_use]
    pub fn new(
        base: &str,
        token: Option<String>,
        project: Option<String>,
        trusted: Vec<reqwest::Certificate>,
    ) -> Self {
        let builder = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE);
        let http = trusted
            .into_iter()
            .fold(builder, reqwest::ClientBuilder::add_root_certificate)
            .build();
        // Only a process without any TLS provider fails here, and `main` installs one before anything else.
        let http = http.expect("the TLS provider that main installed");
        Self {
            http,
            base: base.trim_end_matches('/').to_owned(),
            token,
            project,
        }
    }
}

impl Client {
    /// Asks the router of this very process, as `principal`.
    #[must_use]
    pub fn local(app: &App, principal: Principal) -> Self {
        Self::Local {
            router: everloop_server::router(app),
            principal,
        }
    }

    /// `GET path` as `T`.
    ///
    /// # Errors
    /// When the server can't be reached, refuses, or answers something else.
    pub async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::GET, path, None::<&()>).await
    }

    /// `POST path` with a JSON body, as `T`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn post<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(Method::POST, path, Some(body)).await
    }

    /// `PUT path` with a JSON body, as `T`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn put<B: Serialize, T: DeserializeOwned>(
        &self,
        path: &str,
        body: &B,
    ) -> Result<T, ClientError> {
        self.json(Method::PUT, path, Some(body)).await
    }

    /// `DELETE path`, as `T`.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn delete<T: DeserializeOwned>(&self, path: &str) -> Result<T, ClientError> {
        self.json(Method::DELETE, path, None::<&()>).await
    }

    /// `GET path` as a stream of bytes.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub async fn stream(&self, path: &str) -> Result<ByteStream, ClientError> {
        match self {
            Self::Remote(remote) => {
                let response = remote.send(Method::GET, path, Vec::new()).await?;
                if !response.status().is_success() {
                    let status = response.status();
                    let bytes = response
                        .bytes()
                        .await
                        .map_err(|source| remote.unreachable(source))?;
                    return Err(refused(&Method::GET, path, status, &bytes));
                }
                let remote = remote.clone();
                Ok(response
                    .bytes_stream()
                    .map(move |part| part.map_err(|source| remote.unreachable(source)))
                    .boxed())
            }
            Self::Local { router, principal } => {
                let response = call(router, principal, Method::GET, path, Vec::new()).await;
                if !response.status().is_success() {
                    let (status, bytes) = collect(response).await;
                    return Err(refused(&Method::GET, path, status, &bytes));
                }
                let path = path.to_owned();
                let parts = response.into_body().into_data_stream();
                Ok(parts
                    .map(move |part| {
                        part.map_err(|error| ClientError::Unexpected {
                            method: Method::GET,
                            path: path.clone(),
                            problem: error.to_string(),
                        })
                    })
                    .boxed())
            }
        }
    }

    async fn json<B: Serialize, T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<T, ClientError> {
        let unexpected = |problem: String| ClientError::Unexpected {
            method: method.clone(),
            path: path.to_owned(),
            problem,
        };
        let body = match body {
            Some(body) => serde_json::to_vec(body).map_err(|error| unexpected(error.to_string()))?,
            None => Vec::new(),
        };
        let (status, bytes) = match self {
            Self::Remote(remote) => remote.exchange(method.clone(), path, body).await?,
            Self::Local { router, principal } => {
                collect(call(router, principal, method.clone(), path, body).await).await
            }
        };
        if !status.is_success() {
            return Err(refused(&method, path, status, &bytes));
        }
        // Routes without an answer have an empty body, which reads as null.
        let text: &[u8] = if bytes.is_empty() { b"null" } else { &bytes };
        serde_json::from_slice(text).map_err(|error| unexpected(error.to_string()))
    }
}

impl Remote {
    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<reqwest::Response, ClientError> {
        let mut request = self.http.request(method, format!("{}{path}", self.base));
        if !body.is_empty() {
            request = request
                .header(header::CONTENT_TYPE, "application/json")
                .body(body);
        }
        if let Some(token) = &self.token {
            request = request.bearer_auth(token);
        }
        if let Some(project) = &self.project {
            request = request.header(everloop_server::PROJECT_HEADER, project);
        }
        request.send().await.map_err(|source| self.unreachable(source))
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<(StatusCode, Bytes), ClientError> {
        let response = self.send(method, path, body).await?;
        let status = response.status();
        let bytes = response
            .bytes()
            .await
            .map_err(|source| self.unreachable(source))?;
        Ok((status, bytes))
    }

    fn unreachable(&self, source: reqwest::Error) -> ClientError {
        ClientError::Unreachable {
            url: self.base.clone(),
            source: source.without_url(),
        }
    }
}

/// One part of a path, with what a path can't hold escaped.
#[must_use]
pub fn segment(text: &str) -> impl std::fmt::Display + '_ {
    utf8_percent_encode(text, ESCAPED)
}

/// `path` with the fields of a query that have a value.
#[must_use]
pub fn with_query(path: &str, fields: &[(&str, Option<String>)]) -> String {
    let mut text = path.to_owned();
    let given = fields
        .iter()
        .filter_map(|(name, value)| Some((name, value.as_ref()?)));
    for (place, (name, value)) in given.enumerate() {
        let sign = if place == 0 { '?' } else { '&' };
        text.push_str(&format!("{sign}{name}={}", utf8_percent_encode(value, ESCAPED)));
    }
    text
}

async fn call(router: &Router, principal: &Principal, method: Method, path: &str, body: Vec<u8>) -> Response {
    let mut request = Request::new(Body::from(body));
    *request.method_mut() = method;
    request.headers_mut().insert(
        header::CONTENT_TYPE,
        header::HeaderValue::from_static("application/json"),
    );
    request.extensions_mut().insert(principal.clone());
    match path.parse() {
        Ok(uri) => *request.uri_mut() = uri,
        Err(_) => {
            let mut response = Response::new(Body::from("the path is not a valid address"));
            *response.status_mut() = StatusCode::BAD_REQUEST;
            return response;
        }
    }
    match router.clone().oneshot(request).await {
        Ok(response) => response,
        Err(never) => match never {},
    }
}

async fn collect(response: Response) -> (StatusCode, Bytes) {
    let status = response.status();
    let bytes = http_body_util::BodyExt::collect(response.into_body()).await;
    (
        status,
        bytes.map(http_body_util::Collected::to_bytes).unwrap_or_default(),
    )
}

/// Reads our envelope, or the errors of the protocols for predictions; another server's words are passed on.
fn refused(method: &Method, path: &str, status: StatusCode, bytes: &[u8]) -> ClientError {
    let body: Value = serde_json::from_slice(bytes).unwrap_or_default();
    let error = &body["error"];
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    if let (Ok(code), Some(message)) = (
        serde_json::from_value(error["code"].clone()),
        text(&error["message"]),
    ) {
        let (location, hint) = (text(&error["location"]), text(&error["hint"]));
        return ClientError::Refused {
            code,
            message,
            location,
            hint,
        };
    }
    // The Open Inference Protocol has a text as its error, MLflow a message.
    if let (Some(code), Some(message)) = (code_of(status), text(error).or_else(|| text(&body["message"]))) {
        return ClientError::Refused {
            code,
            message,
            location: None,
            hint: None,
        };
    }
    let text: String = String::from_utf8_lossy(bytes).chars().take(300).collect();
    ClientError::Unexpected {
        method: method.clone(),
        path: path.to_owned(),
        problem: format!("{status} {text}"),
    }
}

/// What a status means in the protocols that have no codes of ours.
fn code_of(status: StatusCode) -> Option<Code> {
    Some(match status {
        StatusCode::BAD_REQUEST | StatusCode::PAYLOAD_TOO_LARGE => Code::InvalidArgument,
        StatusCode::UNAUTHORIZED => Code::Unauthenticated,
        StatusCode::FORBIDDEN => Code::PermissionDenied,
        StatusCode::NOT_FOUND => Code::NotFound,
        StatusCode::CONFLICT => Code::Conflict,
        StatusCode::PRECONDITION_FAILED => Code::FailedPrecondition,
        StatusCode::UNPROCESSABLE_ENTITY => Code::Refused,
        StatusCode::TOO_MANY_REQUESTS => Code::ResourceExhausted,
        StatusCode::NOT_IMPLEMENTED => Code::Unsupported,
        StatusCode::SERVICE_UNAVAILABLE => Code::Unavailable,
        StatusCode::GATEWAY_TIMEOUT => Code::DeadlineExceeded,
        StatusCode::INTERNAL_SERVER_ERROR => Code::Internal,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_typed_stays_one_part_of_the_path() {
        assert_eq!(segment("flights").to_string(), "flights");
        assert_eq!(segment("a/../b?c d").to_string(), "a%2F..%2Fb%3Fc%20d");
    }

    #[test]
    fn every_protocols_errors_are_read() {
        let read = |status: u16, body: &str| {
            refused(
                &Method::POST,
                "/x",
                StatusCode::from_u16(status).unwrap(),
                body.as_bytes(),
            )
        };
        let ours = read(
            404,
            r#"{"error":{"code":"not_found","message":"no such thing","hint":"look"}}"#,
        );
        assert_eq!(
            (ours.code(), ours.to_string(), ours.hint()),
            (Code::NotFound, "no such thing".into(), Some("look".into()))
        );
        let mlflow = read(
            400,
            r#"{"error_code":"BAD_REQUEST","message":"column \"temp\" is missing"}"#,
        );
        assert_eq!(
            (mlflow.code(), mlflow.to_string()),
            (Code::InvalidArgument, "column \"temp\" is missing".into())
        );
        let inference = read(503, r#"{"error":"not ready"}"#);
        assert_eq!(
            (inference.code(), inference.to_string()),
            (Code::Unavailable, "not ready".into())
        );
        assert_eq!(read(502, "<html>").code(), Code::Internal);
    }

    #[test]
    fn only_given_fields_are_asked_for() {
        let path = with_query(
            "/x",
            &[("a", None), ("b", Some("1&2".into())), ("c", Some("3".into()))],
        );
        assert_eq!(path, "/x?b=1%262&c=3");
        assert_eq!(with_query("/x", &[("a", None)]), "/x");
    }
}
