//! Our own API, `/api/v1`: one file per resource. Plural nouns, `snake_case`, RFC 3339 times, keyset pages.

pub mod checks;
pub mod controller;
pub mod datasets;
pub mod endpoints;
pub mod feedback;
pub mod git;
pub mod ledger;
pub mod models;
pub mod monitors;
pub mod objects;
pub mod pipelines;
pub mod predictions;
pub mod project;
pub mod runs;
pub mod sql;
pub mod tokens;
pub mod webhooks;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::routes::Routes;
use crate::{ApiError, ApiResult};

/// Registers every resource.
pub(crate) fn routes(routes: Routes) -> Routes {
    routes
        .with(project::routes)
        .with(datasets::routes)
        .with(sql::routes)
        .with(checks::routes)
        .with(pipelines::routes)
        .with(runs::routes)
        .with(models::routes)
        .with(endpoints::routes)
        .with(predictions::routes)
        .with(feedback::routes)
        .with(monitors::routes)
        .with(webhooks::routes)
        .with(controller::routes)
        .with(git::routes)
        .with(ledger::routes)
        .with(objects::routes)
        .with(tokens::routes)
}

/// The most rows a page holds, whatever was asked for.
pub(crate) const LARGEST_PAGE: usize = 1_000;

/// The rows of a page, from what was asked for.
pub(crate) fn page_size(asked: Option<usize>) -> usize {
    asked.unwrap_or(100).clamp(1, LARGEST_PAGE)
}

/// Parses a name that came in a path or body.
pub(crate) fn name<N>(text: String) -> ApiResult<N>
where
    N: TryFrom<String>,
    N::Error: std::fmt::Display,
{
    N::try_from(text).map_err(|error| ApiError::invalid(error.to_string()))
}

/// A number in bodies; those that JSON can't say are the texts `NaN`, `Infinity` and `-Infinity`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figure(pub f64);

impl Serialize for Figure {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if self.0.is_finite() {
            serializer.serialize_f64(self.0)
        } else if self.0.is_nan() {
            serializer.serialize_str("NaN")
        } else if self.0 > 0.0 {
            serializer.serialize_str("Infinity")
        } else {
            serializer.serialize_str("-Infinity")
        }
    }
}

impl<'de> Deserialize<'de> for Figure {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Form {
            Number(f64),
            Text(String),
        }
        match Form::deserialize(deserializer)? {
            Form::Number(number) => Ok(Self(number)),
            Form::Text(text) => match text.as_str() {
                "NaN" => Ok(Self(f64::NAN)),
                "Infinity" => Ok(Self(f64::INFINITY)),
                "-Infinity" => Ok(Self(f64::NEG_INFINITY)),
                _ => Err(serde::de::Error::custom(
                    "expected a number, \"NaN\", \"Infinity\" or \"-Infinity\"",
                )),
            },
        }
    }
}

impl schemars::JsonSchema for Figure {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Figure".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "oneOf": [{ "type": "number" }, { "type": "string", "enum": ["NaN", "Infinity", "-Infinity"] }]
        })
    }
}

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
    pub(crate) const YES: crate::extract::Json<Self> = crate::extract::Json(Self { done: true });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_travel_whole() {
        for (figure, text) in [
            (1.5, "1.5"),
            (f64::NAN, "\"NaN\""),
            (f64::INFINITY, "\"Infinity\""),
            (f64::NEG_INFINITY, "\"-Infinity\""),
        ] {
            assert_eq!(serde_json::to_string(&Figure(figure)).unwrap(), text);
            let back: Figure = serde_json::from_str(text).unwrap();
            assert_eq!(back.0.total_cmp(&figure), std::cmp::Ordering::Equal, "{text}");
        }
        assert!(serde_json::from_str::<Figure>("\"nan\"").is_err());
    }
}
