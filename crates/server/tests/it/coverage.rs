//! Every registered route is tried as nobody, as the wrong one, as the right one, and from a foreign page.

use crate::house::{House, SECRET, signed_request};
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use everloop_access::{NewToken, Permission, Principal, Role, TokenScope};
use everloop_core::ProjectName;
use everloop_server::{Mode, RouteInfo, describe, route_list};
use std::collections::BTreeSet;

/// The route's path with something in place of its variables.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part.strip_prefix('{') {
        Some(name) if name.starts_with('*') => "a/b",
        Some(_) => "x",
        None => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

fn request(route: &RouteInfo, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = Request::builder()
        .method(route.method.clone())
        .uri(filled(route.path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    if matches!(route.method, Method::GET) {
        return request.body(Body::empty()).unwrap();
    }
    request
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from("{}"))
        .unwrap()
}

async fn status(house: &House, route: &RouteInfo, headers: &[(&str, &str)]) -> StatusCode {
    house.begin(request(route, headers)).await.status()
}

fn is_change(route: &RouteInfo) -> bool {
    route.method != Method::GET
}

/// Header values of tokens, by role.
struct Keys<'h>(&'h House);

impl Keys<'_> {
    async fn of(&self, role: Role, scope: TokenScope) -> String {
        let new = NewToken {
            label: format!("test {role}"),
            role,
            scope,
            lifetime: None,
        };
        let actor = Principal::local("ada").actor;
        let (_, secret) = self.0.app.tokens().create(&actor, new).await.unwrap();
        format!("Bearer {}", secret.reveal())
    }

    /// A token that must not open the route: of a role that lacks the permission, or of another project.
    async fn wrong(&self, permission: Permission) -> String {
        match Role::ALL.into_iter().find(|role| !role.may(permission)) {
            Some(role) => self.of(role, TokenScope::Everything).await,
            None => {
                let project = ProjectName::new("elsewhere").unwrap();
                self.of(Role::Admin, TokenScope::Project { project }).await
            }
        }
    }

    async fn right(&self, permission: Permission) -> String {
        self.of(Role::least_that_may(permission), TokenScope::Everything)
            .await
    }
}

#[tokio::test]
async fn every_route_asks_for_its_permission() {
    let house = House::open(Mode::Tokens).await;
    let keys = Keys(&house);
    let mut tried = BTreeSet::new();
    for route in route_list(&house.app) {
        let place = format!("{} {}", route.method, route.path);
        let nobody = status(&house, &route, &[]).await;
        if let Permission::Signed(_) = route.permission {
            asks_for_a_signature(&house, &keys, &route).await;
        } else if route.permission == Permission::Public {
            assert!(nobody.is_success(), "{place}: {nobody}");
        } else {
            assert_eq!(nobody, StatusCode::UNAUTHORIZED, "{place} as nobody");
            let forged = [("authorization", "Bearer evl_not-a-token")];
            assert_eq!(
                status(&house, &route, &forged).await,
                StatusCode::UNAUTHORIZED,
                "{place} forged"
            );
            let wrong = keys.wrong(route.permission).await;
            let wrong = status(&house, &route, &[("authorization", &wrong)]).await;
            assert_eq!(wrong, StatusCode::FORBIDDEN, "{place} as the wrong one");
            let right = keys.right(route.permission).await;
            let right = status(&house, &route, &[("authorization", &right)]).await;
            let is_let_in = right != StatusCode::UNAUTHORIZED && right != StatusCode::FORBIDDEN;
            assert!(
                is_let_in && !right.is_server_error(),
                "{place} as the right one: {right}"
            );
        }
        assert!(tried.insert(place.clone()), "{place} is registered twice");
    }
    assert_eq!(tried.len(), route_list(&house.app).len());
    insta::assert_snapshot!("routes", listing(&house));
}

/// Neither nobody nor the mightiest token opens it; only the right signature of the very body does.
async fn asks_for_a_signature(house: &House, keys: &Keys<'_>, route: &RouteInfo) {
    let place = format!("{} {}", route.method, route.path);
    let admin = keys.of(Role::Admin, TokenScope::Everything).await;
    let other = "0".repeat(64);
    for headers in [
        &[][..],
        &[("authorization", admin.as_str())],
        &[("x-hub-signature-256", &format!("sha256={other}"))],
        &[("x-gitlab-token", "")],
    ] {
        let refused = status(house, route, headers).await;
        assert_eq!(refused, StatusCode::UNAUTHORIZED, "{place} with {headers:?}");
    }
    let forged = signed_request(route.path, "another secret", &[], "{}");
    assert_eq!(
        house.begin(forged).await.status(),
        StatusCode::UNAUTHORIZED,
        "{place}"
    );
    let mut changed = signed_request(route.path, SECRET, &[], "{}");
    *changed.body_mut() = Body::from("{ }");
    assert_eq!(
        house.begin(changed).await.status(),
        StatusCode::UNAUTHORIZED,
        "{place}"
    );
    let right = signed_request(route.path, SECRET, &[], "{}");
    assert!(
        house.begin(right).await.status().is_success(),
        "{place} rightly signed"
    );
}

/// What each route needs, for the reader of a change.
fn listing(house: &House) -> String {
    let mut lines: Vec<String> = route_list(&house.app)
        .iter()
        .map(|route| {
            let needs = match route.permission {
                Permission::Public => "public".to_owned(),
                Permission::Signed(signer) => format!("signature: {signer:?}").to_lowercase(),
                permission => permission.to_string(),
            };
            format!("{:<6} {:<58} {needs}", route.method.as_str(), route.path)
        })
        .collect();
    lines.sort_by(|a, b| a[7..].cmp(&b[7..]));
    lines.join("\n")
}

#[tokio::test]
async fn a_foreign_host_gets_nothing_in_local_mode() {
    let house = House::local().await;
    for route in route_list(&house.app) {
        let place = format!("{} {}", route.method, route.path);
        let foreign = status(&house, &route, &[("host", "evil.example")]).await;
        assert_eq!(foreign, StatusCode::FORBIDDEN, "{place} by another name");
        let own = status(&house, &route, &[("host", "localhost:5000")]).await;
        assert_ne!(own, StatusCode::FORBIDDEN, "{place} by our name");
    }
}

#[tokio::test]
async fn a_foreign_page_changes_nothing_in_local_mode() {
    let house = House::local().await;
    let mut tried = 0;
    for route in route_list(&house.app).iter().filter(|route| is_change(route)) {
        let place = format!("{} {}", route.method, route.path);
        for foreign in [
            ("origin", "https://evil.example"),
            ("origin", "null"),
            ("sec-fetch-site", "cross-site"),
        ] {
            let refused = status(&house, route, &[foreign]).await;
            assert_eq!(refused, StatusCode::FORBIDDEN, "{place} with {foreign:?}");
        }
        let own = status(&house, route, &[("origin", "http://127.0.0.1:5000")]).await;
        assert_ne!(own, StatusCode::FORBIDDEN, "{place} from our page");
        tried += 1;
    }
    assert!(tried > 10, "only {tried} routes change anything");
}

#[tokio::test]
async fn the_description_names_every_route_of_ours() {
    let house = House::local().await;
    let list = route_list(&house.app);
    let description = describe(&list);
    let mut ids = BTreeSet::new();
    for route in &list {
        assert!(ids.insert(route.doc.id), "two routes are called {}", route.doc.id);
        if route.path.starts_with("/api/v1") {
            let path = route.path.replace("{*", "{");
            let method = route.method.as_str().to_lowercase();
            let id = &description["paths"][&path][&method]["operationId"];
            assert_eq!(id, route.doc.id, "{method} {path}");
        }
    }
}
