//! The only way to register a route, and it asks for a permission.
//!
//! [`Routes`] keeps the list of what it registered: the OpenAPI description and the test that tries every route as
//! nobody, as the wrong role and as the right one are both made from it.

use axum::Router;
use axum::extract::Request;
use axum::handler::Handler;
use axum::http::Method;
use axum::middleware::{Next, from_fn};
use axum::routing::{MethodFilter, MethodRouter, on};
use everloop_access::Permission;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use std::sync::Arc;

use crate::App;
use crate::guard::{Guard, guard};

/// A route as the API description and the tests see it.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    /// `GET`, `POST`, ...
    pub method: Method,
    /// The path with `{name}` for its variables.
    pub path: &'static str,
    /// What it needs.
    pub permission: Permission,
    /// What it does, in words and types.
    pub doc: Doc,
}

/// What a route does.
#[derive(Debug, Clone)]
pub struct Doc {
    /// A stable name for generated clients, such as `list_datasets`.
    pub id: &'static str,
    /// One sentence.
    pub summary: &'static str,
    /// The shape of the query, if it reads one.
    pub query: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The shape of the body, if it reads one.
    pub body: Option<fn(&mut SchemaGenerator) -> Schema>,
    /// The shape of a successful answer, if it is JSON of ours.
    pub answer: Option<fn(&mut SchemaGenerator) -> Schema>,
}

impl Doc {
    /// A route called `id` that does what `summary` says.
    #[must_use]
    pub const fn new(id: &'static str, summary: &'static str) -> Self {
        Self {
            id,
            summary,
            query: None,
            body: None,
            answer: None,
        }
    }

    /// Reads a query of type `T`.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// Reads a JSON body of type `T`.
    #[must_use]
    pub fn body<T: JsonSchema>(mut self) -> Self {
        self.body = Some(|generator| generator.subschema_for::<T>());
        self
    }

    /// Answers JSON of type `T`.
    #[must_use]
    pub fn answer<T: JsonSchema>(mut self) -> Self {
        self.answer = Some(|generator| generator.subschema_for::<T>());
        self
    }
}

/// Routes on their way into the server.
#[derive(Debug)]
pub struct Routes {
    app: App,
    router: Router<App>,
    list: Vec<RouteInfo>,
}

macro_rules! methods {
    ($($(#[$doc:meta])* $name:ident, $method:ident;)*) => {$(
        $(#[$doc])*
        #[must_use]
        pub fn $name<H, T>(self, permission: Permission, path: &'static str, doc: Doc, handler: H) -> Self
        where
            H: Handler<T, App>,
            T: 'static,
        {
            self.add(Method::$method, MethodFilter::$method, permission, path, doc, handler)
        }
    )*};
}

impl Routes {
    /// No routes yet, for `app`.
    #[must_use]
    pub fn new(app: App) -> Self {
        Self {
            app,
            router: Router::new(),
            list: Vec::new(),
        }
    }

    methods! {
        /// Registers a `GET`.
        get, GET;
        /// Registers a `POST`.
        post, POST;
        /// Registers a `PUT`.
        put, PUT;
        /// Registers a `PATCH`.
        patch, PATCH;
        /// Registers a `DELETE`.
        delete, DELETE;
    }

    /// Adds what `more` registers.
    #[must_use]
    pub fn with(self, more: impl FnOnce(Self) -> Self) -> Self {
        more(self)
    }

    /// The routes as a list, and as a router that still lacks its state.
    pub fn finish(self) -> (Router<App>, Vec<RouteInfo>) {
        (self.router, self.list)
    }

    fn add<H, T>(
        mut self,
        method: Method,
        filter: MethodFilter,
        permission: Permission,
        path: &'static str,
        doc: Doc,
        handler: H,
    ) -> Self
    where
        H: Handler<T, App>,
        T: 'static,
    {
        let keeper = Arc::new(Guard::new(self.app.clone(), method.clone(), path, permission));
        let route: MethodRouter<App> =
            on(filter, handler).layer(from_fn(move |request: Request, next: Next| {
                guard(Arc::clone(&keeper), request, next)
            }));
        self.router = self.router.route(path, route);
        self.list.push(RouteInfo {
            method,
            path,
            permission,
            doc,
        });
        self
    }
}
