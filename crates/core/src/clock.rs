//! Time arrives as an argument.
//!
//! There are two times. *Project time* ([`Clock::now`]) is what ledger rows, windows, cool-downs and schedules live
//! in; a replay of old data moves it by hand. *Wall time* ([`Clock::wall`]) always runs and is what leases and
//! timeouts live in, so that a replay which jumps a month does not expire every lease.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

/// A moment: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

impl Timestamp {
    /// Milliseconds since the epoch.
    #[must_use]
    pub fn millis(self) -> i64 {
        self.0
    }

    /// This moment plus `span`, saturating at the ends of time.
    #[must_use]
    pub fn plus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_add(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// This moment less `span`, saturating at the ends of time.
    #[must_use]
    pub fn minus(self, span: Duration) -> Self {
        Self(
            self.0
                .saturating_sub(i64::try_from(span.as_millis()).unwrap_or(i64::MAX)),
        )
    }

    /// The span from `earlier` to this moment; zero when `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }

    /// RFC 3339 in UTC with milliseconds: `2013-04-01T00:00:00.000Z`.
    #[must_use]
    pub fn to_rfc3339(self) -> String {
        match chrono::DateTime::from_timestamp_millis(self.0) {
            Some(at) => at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true),
            None => format!("{}ms", self.0),
        }
    }

    /// Parses RFC 3339 with any offset.
    ///
    /// # Errors
    /// When the text is not RFC 3339.
    pub fn parse_rfc3339(text: &str) -> Result<Self, chrono::ParseError> {
        Ok(Self(
            chrono::DateTime::parse_from_rfc3339(text)?.timestamp_millis(),
        ))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_rfc3339())
    }
}

/// Tells the time. Cheap to clone; clones share the same time.
#[derive(Debug, Clone)]
pub struct Clock(Kind);

#[derive(Debug, Clone)]
enum Kind {
    System,
    /// Project time stands still until it is moved; wall time runs.
    Replay(Arc<AtomicI64>),
    /// Both times stand still until they are moved: for tests.
    Manual(Arc<AtomicI64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Kind::System)
    }

    /// Project time starts at `start` and moves only by [`advance_to`](Self::advance_to); wall time is the machine's.
    #[must_use]
    pub fn replay(start: Timestamp) -> Self {
        Self(Kind::Replay(Arc::new(AtomicI64::new(start.0))))
    }

    /// Both times start at `start` and move only by hand: for tests.
    #[must_use]
    pub fn manual(start: Timestamp) -> Self {
        Self(Kind::Manual(Arc::new(AtomicI64::new(start.0))))
    }

    /// Project time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match &self.0 {
            Kind::System => system_now(),
            Kind::Replay(at) | Kind::Manual(at) => Timestamp(at.load(Ordering::Acquire)),
        }
    }

    /// Wall time, for leases and timeouts.
    #[must_use]
    pub fn wall(&self) -> Timestamp {
        match &self.0 {
            Kind::System | Kind::Replay(_) => system_now(),
            Kind::Manual(at) => Timestamp(at.load(Ordering::Acquire)),
        }
    }

    /// Moves project time forward to `at`; a moment in the past changes nothing. The system clock ignores it.
    pub fn advance_to(&self, at: Timestamp) {
        if let Kind::Replay(now) | Kind::Manual(now) = &self.0 {
            now.fetch_max(at.0, Ordering::AcqRel);
        }
    }

    /// Moves project time forward by `span`. The system clock ignores it.
    pub fn advance(&self, span: Duration) {
        self.advance_to(self.now().plus(span));
    }

    /// Whether project time is moved by hand.
    #[must_use]
    pub fn is_replayed(&self) -> bool {
        !matches!(self.0, Kind::System)
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one place that reads the machine's clock"
)]
fn system_now() -> Timestamp {
    let since_epoch = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    Timestamp(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn project_time_moves_forward_only() {
        let clock = Clock::manual(Timestamp(1_000));
        clock.advance_to(Timestamp(500));
        assert_eq!(clock.now(), Timestamp(1_000));
        clock.advance(Duration::from_secs(1));
        assert_eq!(clock.now(), Timestamp(2_000));
    }

    #[test]
    fn replay_moves_project_time_but_not_wall_time() {
        let clock = Clock::replay(Timestamp(0));
        let wall = clock.wall();
        clock.advance(Duration::from_secs(86_400 * 365 * 1_000));
        assert!(clock.wall().since(wall) < Duration::from_secs(86_400));
    }

    #[test]
    fn rfc3339_round_trips() {
        let at = Timestamp(1_364_774_400_123);
        assert_eq!(at.to_rfc3339(), "2013-04-01T00:00:00.123Z");
        assert_eq!(
            Timestamp::parse_rfc3339("2013-04-01T02:00:00.123+02:00").unwrap(),
            at
        );
    }
}
