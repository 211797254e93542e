//! Persistence: a breach counts when `k` of the last `n` windows show it.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// `k of n`. One noisy window then raises no alarm: with a false-alarm rate `a` per independent window, `2 of 3`
/// fires at about `3 a^2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub struct Confirm {
    k: usize,
    n: usize,
}

impl Confirm {
    /// Every breach counts at once.
    pub const AT_ONCE: Self = Self { k: 1, n: 1 };

    /// `k` of the last `n` windows.
    ///
    /// # Errors
    /// Unless `1 <= k <= n <= 1000`.
    pub fn new(k: usize, n: usize) -> Result<Self> {
        if k >= 1 && k <= n && n <= 1000 {
            return Ok(Self { k, n });
        }
        Err(Error::OutOfRange {
            what: "k of n",
            value: k as f64,
            allowed: "1 <= k <= n <= 1000",
            index: None,
        })
    }

    /// How many breaches are needed.
    #[must_use]
    pub fn k(self) -> usize {
        self.k
    }

    /// Among how many windows.
    #[must_use]
    pub fn n(self) -> usize {
        self.n
    }

    /// Whether the latest windows confirm. `history` runs from the oldest to the newest judged window, `true` for a
    /// breach; windows that could not be judged (too few rows) are left out by the caller. Only the last `n` count,
    /// and the newest must itself be a breach, so that a mended column does not alarm again. `O(n)`.
    #[must_use]
    pub fn holds(self, history: &[bool]) -> bool {
        let recent = &history[history.len().saturating_sub(self.n)..];
        recent.last() == Some(&true) && recent.iter().filter(|breach| **breach).count() >= self.k
    }
}

impl fmt::Display for Confirm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} of {}", self.k, self.n)
    }
}

impl From<Confirm> for String {
    fn from(confirm: Confirm) -> Self {
        confirm.to_string()
    }
}

impl FromStr for Confirm {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let read = || {
            let (k, n) = text.split_once(" of ")?;
            Self::new(k.trim().parse().ok()?, n.trim().parse().ok()?).ok()
        };
        read().ok_or_else(|| Error::UnknownName {
            kind: "confirmation",
            found: text.chars().take(80).collect(),
            hint: "write \"k of n\" with 1 <= k <= n <= 1000, such as \"2 of 3\"".to_owned(),
        })
    }
}

impl TryFrom<String> for Confirm {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_needs_a_second_breach_that_is_recent() {
        let rule: Confirm = "2 of 3".parse().unwrap();
        assert!(!rule.holds(&[true]));
        assert!(rule.holds(&[true, false, true]));
        assert!(!rule.holds(&[true, true, false]));
        assert!(!rule.holds(&[true, false, false, true]));
        assert!(Confirm::AT_ONCE.holds(&[false, true]) && !Confirm::AT_ONCE.holds(&[]));
    }

    #[test]
    fn nonsense_is_refused() {
        for text in ["3 of 2", "0 of 3", "2/3", "two of three", ""] {
            assert!(text.parse::<Confirm>().is_err(), "{text}");
        }
        assert_eq!("2 of 3".parse::<Confirm>().unwrap().to_string(), "2 of 3");
    }
}
