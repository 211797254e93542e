//! JSON Schema, generated from the types: what `everloop schema` prints, and what editors complete and check by.

use crate::project::Project;
use crate::suite::Suite;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::Value;

/// The schema of `everloop.yaml`.
#[must_use]
pub fn project() -> Value {
    generate::<Project>("everloop.yaml")
}

/// The schema of a suite file.
#[must_use]
pub fn suite() -> Value {
    generate::<Suite>("Everloop check suite")
}

/// Draft 7, which every editor's YAML support understands.
fn generate<T: JsonSchema>(title: &str) -> Value {
    let mut schema = SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<T>();
    schema.insert("title".to_owned(), title.into());
    schema.to_value()
}
