//! When a failed message is sent again: pure.

use everloop_core::Hash;
use std::time::Duration;

/// Attempts before a message is given up. With [`wait_after`] they take between two and four hours.
pub const MOST_ATTEMPTS: u64 = 10;
/// The wait after the first failure, before jitter.
pub const LEAST_WAIT: Duration = Duration::from_secs(5);
/// The longest wait, also when a receiver asks for more.
const MOST_WAIT: Duration = Duration::from_secs(3_600);

/// How long message `id` waits after its `attempt`-th failure (from 1): three times as long as before, at most an hour,
/// of which a half to the whole by chance, so that messages that failed together do not come back together. The chance
/// is a hash of id and attempt. A receiver that names a wait gets it, up to the hour.
#[must_use]
pub fn wait_after(id: &str, attempt: u64, asked: Option<Duration>) -> Duration {
    let steps = u32::try_from(attempt.saturating_sub(1))
        .unwrap_or(u32::MAX)
        .min(12);
    let whole = (LEAST_WAIT * 3_u32.pow(steps)).min(MOST_WAIT);
    let hash = Hash::of(format!("{id}/{attempt}").as_bytes());
    let draw = u16::from_str_radix(&hash.to_hex()[..4], 16).unwrap_or(0);
    let share = 0.5 + 0.5 * f64::from(draw) / f64::from(u16::MAX);
    whole.mul_f64(share).max(asked.unwrap_or_default().min(MOST_WAIT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_grow_within_their_bounds(id in "[a-z0-9_]{1,40}", attempt in 1_u64..1_000) {
            let wait = wait_after(&id, attempt, None);
            prop_assert!(wait >= LEAST_WAIT / 2 && wait <= MOST_WAIT);
            prop_assert_eq!(wait, wait_after(&id, attempt, None));
            // Three times the whole, of which at least a half, is more than the whole before it.
            if attempt < 6 {
                prop_assert!(wait_after(&id, attempt + 1, None) > wait);
            }
        }
    }

    #[test]
    fn a_receiver_may_ask_for_more_but_not_for_ever() {
        let minute = Duration::from_secs(60);
        assert_eq!(wait_after("a", 1, Some(minute)), minute);
        assert_eq!(wait_after("a", 1, Some(minute * 10_000)), MOST_WAIT);
        assert!(wait_after("a", 5, Some(Duration::ZERO)) > minute);
    }
}
