//! HTTP: decode, authorise, call one capability, encode.
//!
//! There are no rules here. [`App`] holds the capabilities, [`Routes`] is the only way to register a route (and it
//! asks for a permission), [`router`] gives the whole surface, [`serve`] binds it. A command line without a server
//! calls the same router in process.

#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod api;
mod app;
mod background;
mod dialect;
mod error;
mod extract;
mod figures;
mod guard;
mod listen;
mod metrics;
mod model_source;
mod open_error;
mod openapi;
mod project_file;
mod routes;
mod signed;
mod stages;
mod system;
mod tls;

pub use app::{App, AppOptions, Mode, migrations};
pub use background::Background;
pub use error::{ApiError, ApiResult, ErrorBody, ErrorEnvelope, status_of};
pub use guard::{Caller, PROJECT_HEADER, REQUEST_ID_HEADER};
pub use listen::{ListenError, Listener, serve};
pub use metrics::Metrics;
pub use model_source::RegisteredModels;
pub use open_error::OpenError;
pub use openapi::describe;
pub use project_file::PROJECT_FILE;
pub use routes::{Doc, RouteInfo, Routes};
pub use signed::GIT_SECRET_VARIABLE;
pub use tls::{Tls, TlsError};

use axum::Router;

/// Every route of this program.
#[must_use]
pub fn route_list(app: &App) -> Vec<RouteInfo> {
    routes_of(app).finish().1
}

/// The whole surface, ready to answer.
pub fn router(app: &App) -> Router {
    let (router, list) = routes_of(app).finish();
    app.describe(describe(&list));
    router.fallback(system::no_such_route).with_state(app.clone())
}

fn routes_of(app: &App) -> Routes {
    Routes::new(app.clone()).with(system::routes).with(api::routes)
}
