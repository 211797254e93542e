//! The description of our API, made from the registered routes and the types they read and write.

use everloop_access::{Permission, Role};
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use crate::error::ErrorEnvelope;
use crate::routes::RouteInfo;

/// OpenAPI 3.1 of the routes under `/api/v1`; borrowed protocols have descriptions of their own.
#[must_use]
pub fn describe(routes: &[RouteInfo]) -> Value {
    let mut settings = SchemaSettings::draft2020_12();
    settings.definitions_path = "/components/schemas".into();
    let mut generator = settings.into_generator();
    let failure = generator.subschema_for::<ErrorEnvelope>();
    let mut paths = Map::new();
    for route in routes.iter().filter(|route| route.path.starts_with("/api/v1")) {
        let operation = operation(route, &mut generator, failure.as_value());
        let item = paths
            .entry(route.path.replace("{*", "{"))
            .or_insert_with(|| json!({}));
        item[route.method.as_str().to_lowercase()] = operation;
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Everloop",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "What MLflow's and the Open Inference Protocol's own routes can't say."
        },
        "paths": paths,
        "components": {
            "schemas": generator.take_definitions(true),
            "securitySchemes": {
                "token": { "type": "http", "scheme": "bearer" },
                "signature": {
                    "type": "apiKey", "in": "header", "name": "x-hub-signature-256",
                    "description": "sha256= and the HMAC-SHA256 of the body in hex, by a secret that both sides know; \
                                    GitLab sends the secret itself as x-gitlab-token."
                }
            }
        }
    })
}

fn operation(route: &RouteInfo, generator: &mut SchemaGenerator, failure: &Value) -> Value {
    let mut parameters = path_parameters(route.path);
    if let Some(query) = route.doc.query {
        parameters.extend(query_parameters(query(generator).as_value(), generator));
    }
    let mut operation = json!({
        "operationId": route.doc.id,
        "summary": route.doc.summary,
        "parameters": parameters,
        "responses": {
            "default": { "description": "What went wrong.", "content": content(failure.clone()) }
        }
    });
    operation["responses"]["200"] = match route.doc.answer {
        Some(answer) => json!({ "description": "Done.", "content": content(answer(generator).to_value()) }),
        None => json!({ "description": "Done." }),
    };
    if let Some(body) = route.doc.body {
        operation["requestBody"] =
            json!({ "required": true, "content": content(body(generator).to_value()) });
    }
    match route.permission {
        Permission::Public => {}
        Permission::Signed(_) => operation["security"] = json!([{ "signature": [] }]),
        Permission::Needs(..) => {
            operation["security"] = json!([{ "token": [] }]);
            operation["x-role"] = json!(Role::least_that_may(route.permission).as_str());
        }
    }
    operation
}

fn content(schema: Value) -> Value {
    json!({ "application/json": { "schema": schema } })
}

fn path_parameters(path: &str) -> Vec<Value> {
    path.split('/')
        .filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
        .map(|name| json!({ "name": name.trim_start_matches('*'), "in": "path", "required": true, "schema": { "type": "string" } }))
        .collect()
}

/// One parameter for each field of the query's type.
fn query_parameters(schema: &Value, generator: &SchemaGenerator) -> Vec<Value> {
    let resolved = match schema
        .get("$ref")
        .and_then(Value::as_str)
        .and_then(|path| path.rsplit('/').next())
    {
        Some(name) => generator.definitions().get(name).cloned().unwrap_or_default(),
        None => schema.clone(),
    };
    let required: Vec<&str> = resolved["required"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .collect();
    let Some(fields) = resolved["properties"].as_object() else {
        return Vec::new();
    };
    fields
        .iter()
        .map(|(name, schema)| {
            json!({ "name": name, "in": "query", "required": required.contains(&name.as_str()), "schema": schema })
        })
        .collect()
}
