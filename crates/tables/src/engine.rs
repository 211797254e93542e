//! Where plans run.
//!
//! The contract: a plan made from the same sources gives the same rows on every engine, up to the order of unordered
//! rows and the last digits of float sums. An engine that cannot promise that for a plan refuses it in
//! [`Engine::check`], before anything is sent.

use crate::error::Result;
use crate::ordered;
use crate::source::Source;
use async_trait::async_trait;
use datafusion::execution::session_state::SessionStateBuilder;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::SessionContext;
use std::fmt;
use std::sync::Arc;

/// Plans and runs queries somewhere.
#[async_trait]
pub trait Engine: fmt::Debug + Send + Sync {
    /// What people call it: `local`, or the cluster's URL.
    fn name(&self) -> &str;

    /// Whether plans leave this process. Such an engine profiles a table by running
    /// [`profile_function`](crate::profile_function) where the rows are.
    fn is_remote(&self) -> bool;

    /// A session whose queries this engine runs, started from `state`.
    ///
    /// # Errors
    /// When the engine does not answer.
    async fn connect(&self, state: SessionStateBuilder) -> Result<SessionContext>;

    /// Refuses a source that the engine's workers cannot read.
    ///
    /// # Errors
    /// With a hint what to do instead.
    fn check_source(&self, source: &Source) -> Result<()>;

    /// Refuses a plan that the engine would answer wrongly.
    ///
    /// # Errors
    /// With a hint how to write it otherwise.
    fn check(&self, plan: &LogicalPlan) -> Result<()>;
}

/// Makes local answers the same every time.
fn in_order(mut state: SessionStateBuilder) -> SessionStateBuilder {
    if let Some(config) = state.config() {
        ordered::settings(config.options_mut());
    }
    state.with_physical_optimizer_rule(Arc::new(ordered::KeepOrder))
}

/// Runs plans in this process. The same statement over the same files gives the same rows in the same order.
#[derive(Debug, Clone, Copy, Default)]
pub struct LocalEngine;

#[async_trait]
impl Engine for LocalEngine {
    fn name(&self) -> &str {
        "local"
    }

    fn is_remote(&self) -> bool {
        false
    }

    async fn connect(&self, state: SessionStateBuilder) -> Result<SessionContext> {
        Ok(SessionContext::new_with_state(in_order(state).build()))
    }

    fn check_source(&self, _source: &Source) -> Result<()> {
        Ok(())
    }

    fn check(&self, _plan: &LogicalPlan) -> Result<()> {
        Ok(())
    }
}
