//! Windows of event time, aligned so that every server cuts the same ones, and what a window is to those who judge it.

use everloop_core::Timestamp;
use std::time::Duration;

/// A window: from (inclusive) to (exclusive).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// Its first moment.
    pub start: Timestamp,
    /// The first moment after it.
    pub end: Timestamp,
}

/// A prediction's place in the order of windows of a number of rows: by event time, then by id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Its event time.
    pub at: Timestamp,
    /// Its id.
    pub id: String,
}

impl Place {
    pub(crate) fn key(&self) -> (Timestamp, &str) {
        (self.at, &self.id)
    }
}

/// A window to be judged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Slice {
    /// The event times it lies in.
    pub(crate) span: Span,
    /// Of a window of a number of rows, its first and last prediction.
    pub(crate) ends: Option<(Place, Place)>,
}

impl Slice {
    /// The id that tells windows apart which start in the same millisecond; empty for windows of time.
    pub(crate) fn first_id(&self) -> &str {
        self.ends.as_ref().map_or("", |(first, _)| &first.id)
    }
}

impl From<Span> for Slice {
    fn from(span: Span) -> Self {
        Self { span, ends: None }
    }
}

/// 1970-01-05 was a Monday: windows of a week start on Mondays, shorter ones at midnight, all in UTC.
const MONDAY: i64 = 4 * 86_400_000;

/// The windows of `length` that overlap `since..` and have closed by `now`, oldest first.
#[must_use]
pub fn closed_windows(length: Duration, since: Timestamp, now: Timestamp) -> Vec<Span> {
    let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX).max(1);
    let mut start = (since.millis() - MONDAY).div_euclid(length) * length + MONDAY;
    let mut windows = Vec::new();
    while start.saturating_add(length) <= now.millis() {
        windows.push(Span {
            start: Timestamp(start),
            end: Timestamp(start + length),
        });
        start += length;
    }
    windows
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn weeks_start_on_mondays_and_days_at_midnight() {
        let since = Timestamp::parse_rfc3339("2013-04-03T10:00:00Z").unwrap();
        let now = Timestamp::parse_rfc3339("2013-04-15T00:00:00Z").unwrap();
        let weeks = closed_windows(DAY * 7, since, now);
        assert_eq!(weeks.len(), 2);
        assert_eq!(weeks[0].start.to_rfc3339(), "2013-04-01T00:00:00.000Z");
        assert_eq!(closed_windows(DAY, since, now).len(), 12);
    }

    #[test]
    fn a_window_closes_at_its_end_and_not_before() {
        let start = Timestamp::parse_rfc3339("2013-04-01T00:00:00Z").unwrap();
        let end = start.plus(DAY);
        assert!(closed_windows(DAY, start, Timestamp(end.millis() - 1)).is_empty());
        assert_eq!(closed_windows(DAY, start, end), [Span { start, end }]);
    }
}
