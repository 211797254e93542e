//! Where queries, profiles and checks of data run: in this process, or on a cluster that is named.

use everloop_core::Code;
use everloop_tables::Engine;
use std::sync::Arc;

use crate::config::Config;
use crate::problem::Problem;

/// The engine that the settings name; none for this process.
///
/// # Errors
/// When the setting is no engine, or one that this build was made without.
pub fn engine(config: &Config) -> Result<Option<Arc<dyn Engine>>, Problem> {
    match config.text("engine") {
        None | Some("local") => Ok(None),
        Some(url) if url.starts_with("ballista://") => ballista(url, config).map(Some),
        Some(other) => Err(Problem::usage(format!("\"{other}\" is no engine"))
            .at(config.origin("engine").to_string())
            .hint("give local or ballista://HOST:PORT")),
    }
}

#[cfg(feature = "ballista")]
fn ballista(url: &str, config: &Config) -> Result<Arc<dyn Engine>, Problem> {
    let engine = everloop_ballista::BallistaEngine::new(url).map_err(|error| {
        Problem::usage(error.to_string())
            .at(config.origin("engine").to_string())
            .hint("give the scheduler's address, such as ballista://10.0.0.7:50050")
    })?;
    Ok(Arc::new(engine))
}

#[cfg(not(feature = "ballista"))]
fn ballista(url: &str, config: &Config) -> Result<Arc<dyn Engine>, Problem> {
    Err(left_out(&format!("can't use {url}")).at(config.origin("engine").to_string()))
}

/// What a build without Ballista says about everything that needs it.
#[cfg_attr(
    feature = "ballista",
    expect(dead_code, reason = "a build with everything leaves nothing out")
)]
pub fn left_out(what: &str) -> Problem {
    Problem::new(
        Code::Unsupported,
        format!("{what}: this everloop was built without Ballista"),
    )
    .hint("build it with \"cargo build --release --features ballista\", or leave --engine out")
}
