//! Our own API, `/api/v1`: one file per resource. Plural nouns, `snake_case`, RFC 3339 times, keyset pages.

pub mod datasets;
pub mod ledger;
pub mod tokens;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::routes::Routes;

/// Registers every resource.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(datasets::routes)
        .with(ledger::routes)
        .with(tokens::routes)
}

/// The most rows a page holds, whatever was asked for.
pub(crate) const LARGEST_PAGE: usize = 1_000;

/// A time as RFC 3339 text in bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Time(pub everloop_core::Timestamp);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        everloop_core::Timestamp::parse_rfc3339(&text)
            .map(Self)
            .map_err(serde::de::Error::custom)
    }
}

impl schemars::JsonSchema for Time {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Time".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "format": "date-time" })
    }
}

impl From<everloop_core::Timestamp> for Time {
    fn from(at: everloop_core::Timestamp) -> Self {
        Self(at)
    }
}

/// The answer of a request that has nothing to tell but that it was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, schemars::JsonSchema)]
pub struct Done {
    /// Always true.
    pub done: bool,
}

impl Done {
    pub(crate) const YES: axum::Json<Self> = axum::Json(Self { done: true });
}
