//! The engine: sends plans to a scheduler and reads the answers from its executors.

use crate::checks;
use async_trait::async_trait;
use ballista::prelude::{SessionConfigExt, SessionContextExt};
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use everloop_tables::{Engine, Error, Result, Source};
use std::time::Duration;
use tokio::net::TcpStream;

/// How long a scheduler may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The port of a scheduler whose URL names none.
const DEFAULT_PORT: u16 = 50_050;

/// Runs plans on the cluster whose scheduler is at `ballista://host:port`.
///
/// Files must be readable by the workers under the same paths or URLs; rows in memory cannot be sent. Plans that
/// Ballista 55 answers wrongly or never are refused before they are sent: window functions with `IGNORE NULLS`, and
/// unions with a branch that is one row, a `LIMIT` or a list of values. Unordered rows come in any order, and float
/// sums may differ from local ones in their last digits.
#[derive(Debug, Clone)]
pub struct BallistaEngine {
    name: String,
    host: String,
    port: u16,
}

impl BallistaEngine {
    /// The engine at `url`, such as `ballista://10.0.0.7:50050`. Connects with the first session.
    ///
    /// # Errors
    /// When the URL is not of this form.
    pub fn new(url: &str) -> Result<Self> {
        let invalid = || Error::InvalidPath {
            path: url.to_owned(),
            detail: "expected ballista://host:port".to_owned(),
        };
        let authority = url
            .strip_prefix("ballista://")
            .map(|rest| rest.trim_end_matches('/'))
            .ok_or_else(invalid)?;
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, port.parse().map_err(|_| invalid())?),
            None => (authority, DEFAULT_PORT),
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '[' | ']' | ':');
        if host.is_empty() || !host.chars().all(plain) {
            return Err(invalid());
        }
        Ok(Self {
            name: format!("ballista://{host}:{port}"),
            host: host.to_owned(),
            port,
        })
    }

    fn failed(&self, detail: impl ToString) -> Error {
        Error::Engine {
            engine: self.name.clone(),
            detail: detail.to_string(),
        }
    }

    /// A scheduler that is not there should say so at once, not after the client's long retries.
    async fn reach(&self) -> Result<()> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let connection = tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect((host, self.port))).await;
        match connection {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.failed(error)),
            Err(_) => Err(self.failed(format!("no answer in {CONNECT_TIMEOUT:?}"))),
        }
    }
}

#[async_trait]
impl Engine for BallistaEngine {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_remote(&self) -> bool {
        true
    }

    async fn connect(&self, mut state: SessionStateBuilder) -> Result<SessionContext> {
        self.reach().await?;
        let config = state.config().take().unwrap_or_default();
        // Ballista's own settings first: it takes a config that names one of its options for complete.
        // The adaptive planner of this release repeats rows of unions and loses jobs; the static one does not.
        let config = config
            .upgrade_for_ballista()
            .with_ballista_adaptive_query_planner(false);
        let state = state.with_config(config);
        let url = format!("df://{}:{}", self.host, self.port);
        SessionContext::remote_with_state(&url, state.build())
            .await
            .map_err(|error| self.failed(error))
    }

    fn check_source(&self, source: &Source) -> Result<()> {
        match source {
            Source::Paths { .. } | Source::Objects { .. } => Ok(()),
            Source::Batches(_) => Err(Error::Unsupported {
                what: "rows in memory cannot be sent to a Ballista cluster".to_owned(),
                hint: "write them to a Parquet file or dataset that the workers can read, or use the local engine"
                    .to_owned(),
            }),
        }
    }

    fn check(&self, plan: &LogicalPlan) -> Result<()> {
        checks::check(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_name_host_and_port() {
        let engine = BallistaEngine::new("ballista://node-1.example:7000").unwrap();
        assert_eq!((engine.host.as_str(), engine.port), ("node-1.example", 7_000));
        assert_eq!(
            BallistaEngine::new("ballista://node/").unwrap().name(),
            "ballista://node:50050"
        );
        assert_eq!(
            BallistaEngine::new("ballista://[::1]:7000").unwrap().host,
            "[::1]"
        );
        for wrong in [
            "",
            "http://x:1",
            "ballista://",
            "ballista://x:port",
            "ballista://a b:1",
            "ballista://u@h:1",
        ] {
            assert!(BallistaEngine::new(wrong).is_err(), "{wrong}");
        }
    }
}
