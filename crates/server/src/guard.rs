//! What stands before every handler: who asks, may they, and how long did it take.

use axum::body::Body;
use axum::extract::{FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use everloop_access::{Permission, Principal, Role, Secret, Signer, TokenScope};
use everloop_core::{Actor, Code, ProjectName, RunId};
use std::sync::Arc;
use std::time::Instant;

use crate::dialect::Dialect;
use crate::error::{Answering, REQUEST};
use crate::metrics::RouteMetrics;
use crate::{ApiError, App, Mode, signed};

/// Names the request in answers and logs.
pub const REQUEST_ID_HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Names the project of a request that has no `project` in its query.
pub const PROJECT_HEADER: HeaderName = HeaderName::from_static("x-everloop-project");

/// Who asks, and in which project: what a handler acts as.
#[derive(Debug, Clone)]
pub struct Caller {
    /// The one who asks.
    pub principal: Principal,
    /// Where.
    pub project: ProjectName,
}

impl Caller {
    /// The name that ledger rows carry.
    #[must_use]
    pub fn actor(&self) -> &Actor {
        &self.principal.actor
    }

    /// Refuses a stage's token outside its own run.
    ///
    /// # Errors
    /// When the token is for another run.
    pub fn may_write_run(&self, run: &RunId) -> Result<(), ApiError> {
        Ok(self.principal.authorize_run(run)?)
    }
}

impl FromRequestParts<App> for Caller {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &App) -> Result<Self, ApiError> {
        // The guard stands before every route, so a handler without a caller can't have been registered.
        parts
            .extensions
            .get::<Self>()
            .cloned()
            .ok_or_else(|| ApiError::new(Code::Internal, "request without a caller"))
    }
}

/// One route's guard.
#[derive(Debug)]
pub(crate) struct Guard {
    app: App,
    permission: Permission,
    changes: bool,
    dialect: Dialect,
    metrics: RouteMetrics,
}

impl Guard {
    pub(crate) fn new(app: App, method: Method, path: &'static str, permission: Permission) -> Self {
        let metrics = app.metrics().route(method.as_str(), path);
        let changes = !matches!(method, Method::GET | Method::HEAD);
        Self {
            app,
            permission,
            changes,
            dialect: Dialect::of(path),
            metrics,
        }
    }

    async fn admit(
        &self,
        uri: &Uri,
        headers: &HeaderMap,
        in_process: Option<Principal>,
    ) -> Result<Caller, ApiError> {
        let project = self.project(uri, headers)?;
        let principal = match in_process {
            Some(principal) => principal,
            None => self.identify(headers).await?,
        };
        principal.authorize(self.permission, Some(&project))?;
        Ok(Caller { principal, project })
    }

    /// Lets a body in that its sender signed. It is read whole before the handler sees any of it; tokens and the
    /// person at this machine count for nothing here.
    async fn admit_signed(&self, signer: Signer, request: Request) -> Result<Request, ApiError> {
        let (mut parts, body) = request.into_parts();
        let project = self.project(&parts.uri, &parts.headers)?;
        self.refuse_foreign(&parts.headers)?;
        let body = signed::read(body).await?;
        let actor = match signer {
            Signer::Git => {
                signed::by_git(self.app.git_secret(), &parts.headers, &body)?;
                Actor::system("git")
            }
        };
        let principal = Principal {
            actor,
            role: Role::Client,
            scope: TokenScope::Project {
                project: project.clone(),
            },
        };
        parts.extensions.insert(Caller { principal, project });
        Ok(Request::from_parts(parts, Body::from(body)))
    }

    /// In local mode nobody but this machine's own programs and pages may ask.
    fn refuse_foreign(&self, headers: &HeaderMap) -> Result<(), ApiError> {
        if let Mode::Local { .. } = self.app.mode() {
            refuse_foreign_host(headers)?;
            if self.changes {
                refuse_foreign_origin(headers)?;
            }
        }
        Ok(())
    }

    async fn identify(&self, headers: &HeaderMap) -> Result<Principal, ApiError> {
        self.refuse_foreign(headers)?;
        match self.app.mode() {
            Mode::Local { login } => {
                // A stage that runs here presents its own token and is held to it.
                match bearer(headers)? {
                    Some(secret) => Ok(self.app.tokens().authenticate(&secret).await?),
                    None => Ok(Principal::local(login)),
                }
            }
            Mode::Tokens if self.permission == Permission::Public => Ok(Principal {
                actor: Actor::system("anyone"),
                ..Principal::local("anyone")
            }),
            Mode::Tokens => {
                let secret = bearer(headers)?.ok_or(everloop_access::Error::Unauthenticated)?;
                Ok(self.app.tokens().authenticate(&secret).await?)
            }
        }
    }

    fn project(&self, uri: &Uri, headers: &HeaderMap) -> Result<ProjectName, ApiError> {
        let in_query = uri.query().and_then(|query| {
            query
                .split('&')
                .find_map(|pair| pair.strip_prefix("project="))
                .map(ToOwned::to_owned)
        });
        let named = match in_query {
            Some(name) => Some(name),
            None => match headers.get(PROJECT_HEADER) {
                Some(value) => Some(
                    value
                        .to_str()
                        .map_err(|_| ApiError::invalid("project header is not text"))?
                        .to_owned(),
                ),
                None => None,
            },
        };
        match named {
            Some(name) => Ok(ProjectName::new(name).map_err(|error| ApiError::invalid(error.to_string()))?),
            None => Ok(self.app.default_project().clone()),
        }
    }
}

/// Runs a route's handler when the one who asks may; counts and times every answer.
pub(crate) async fn guard(keeper: Arc<Guard>, request: Request, next: Next) -> Response {
    #[allow(
        clippy::disallowed_methods,
        reason = "request latency is a fact about the machine, not the project"
    )]
    let started = Instant::now();
    let id = request_id(&keeper.app, request.headers());
    let header = HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("invalid"));
    let in_flight = keeper.metrics.enter();
    let answering = Answering {
        id,
        dialect: keeper.dialect,
    };
    let mut response = REQUEST
        .scope(answering, async {
            match admitted(&keeper, request).await {
                Ok(request) => next.run(request).await,
                Err(error) => refuse(&keeper, error).await,
            }
        })
        .await;
    response.headers_mut().insert(REQUEST_ID_HEADER, header);
    drop(in_flight);
    keeper.metrics.observe(response.status(), started.elapsed());
    response
}

/// The request with its caller. It travels in parts: a body can't be looked at from two threads.
async fn admitted(keeper: &Guard, request: Request) -> Result<Request, ApiError> {
    if let Permission::Signed(signer) = keeper.permission {
        return keeper.admit_signed(signer, request).await;
    }
    let (mut parts, body) = request.into_parts();
    // Put there by an in-process caller; the network can't reach a request's extensions.
    let in_process = parts.extensions.get::<Principal>().cloned();
    let caller = keeper.admit(&parts.uri, &parts.headers, in_process).await?;
    parts.extensions.insert(caller);
    Ok(Request::from_parts(parts, body))
}

/// Denials are recorded: whoever tries doors is a fact that an auditor asks for.
async fn refuse(keeper: &Guard, error: ApiError) -> Response {
    if matches!(error.code(), Code::PermissionDenied | Code::Unauthenticated) {
        keeper.metrics.denied();
        tracing::info!(code = error.code().as_str(), permission = %keeper.permission, "request denied");
    }
    error.into_response()
}

fn request_id(app: &App, headers: &HeaderMap) -> String {
    let given = headers
        .get(REQUEST_ID_HEADER)
        .and_then(|value| value.to_str().ok());
    match given {
        Some(id)
            if (8..=64).contains(&id.len()) && id.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') =>
        {
            id.to_owned()
        }
        _ => app.ids().hex32(),
    }
}

fn bearer(headers: &HeaderMap) -> Result<Option<Secret>, ApiError> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let Some(first) = values.next() else {
        return Ok(None);
    };
    let refused = || ApiError::from(everloop_access::Error::Unauthenticated);
    if values.next().is_some() {
        return Err(refused());
    }
    let text = first.to_str().map_err(|_| refused())?;
    if let Some(token) = text.strip_prefix("Bearer ") {
        return Ok(Some(Secret::new(token.trim())));
    }
    // Clients that only know user and password (MLflow's) send the token as the password.
    let encoded = text.strip_prefix("Basic ").ok_or_else(refused)?;
    let decoded = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, encoded.trim())
        .map_err(|_| refused())?;
    let pair = String::from_utf8(decoded).map_err(|_| refused())?;
    let (_, password) = pair.split_once(':').ok_or_else(refused)?;
    Ok(Some(Secret::new(password)))
}

/// A page of another site whose name was re-bound to 127.0.0.1 sends its own name as `Host`.
fn refuse_foreign_host(headers: &HeaderMap) -> Result<(), ApiError> {
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok());
    match host {
        // HTTP/2 carries the authority elsewhere; browsers speak HTTP/1.1 to plain loopback addresses.
        None => Ok(()),
        Some(host) if is_loopback_name(host) => Ok(()),
        Some(_) => Err(ApiError::new(
            Code::PermissionDenied,
            "this server answers to loopback names only",
        )
        .with_hint("use http://127.0.0.1:PORT, or bind another address and use a token")),
    }
}

fn refuse_foreign_origin(headers: &HeaderMap) -> Result<(), ApiError> {
    let foreign = match headers.get(header::ORIGIN).map(|value| value.to_str()) {
        None => false,
        Some(Ok(origin)) => {
            let authority = origin
                .strip_prefix("http://")
                .or_else(|| origin.strip_prefix("https://"));
            !authority.is_some_and(is_loopback_name)
        }
        Some(Err(_)) => true,
    };
    let cross_site = headers
        .get("sec-fetch-site")
        .is_some_and(|site| site == "cross-site");
    if foreign || cross_site {
        return Err(ApiError::new(
            Code::PermissionDenied,
            "a page of another origin may not change anything here",
        ));
    }
    Ok(())
}

fn is_loopback_name(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|b| b.is_ascii_digit()) && !port.is_empty() => host,
        _ => authority,
    };
    host.eq_ignore_ascii_case("localhost")
        || host == "[::1]"
        || host
            .parse::<std::net::Ipv4Addr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_names_pass() {
        for good in [
            "localhost",
            "LOCALHOST:5000",
            "127.0.0.1:5000",
            "127.1.2.3",
            "[::1]:80",
            "[::1]",
        ] {
            assert!(is_loopback_name(good), "{good}");
        }
        for bad in [
            "evil.example",
            "127.0.0.1.evil.example",
            "localhost.evil",
            "0.0.0.0:5000",
            "",
            "10.0.0.1",
            "::1x",
        ] {
            assert!(!is_loopback_name(bad), "{bad}");
        }
    }

    #[test]
    fn credentials_are_read_strictly() {
        let read = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
            bearer(&headers)
        };
        assert_eq!(read("Bearer evl_x").unwrap().unwrap().reveal(), "evl_x");
        assert_eq!(read("Basic dTpldmxfeDp5").unwrap().unwrap().reveal(), "evl_x:y");
        for bad in ["Basic !!", "Basic dQ==", "Digest x", "Bearer"] {
            assert!(read(bad).is_err(), "{bad}");
        }
        assert!(bearer(&HeaderMap::new()).unwrap().is_none());
    }
}
