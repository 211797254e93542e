//! An exact sequential test of two rates.

use serde::{Deserialize, Serialize};

use crate::{Error, Result};

/// Both arms count as having shown so much of either outcome before the first row (Turner, Ly & Grunwald 2021).
const PRIOR: f64 = 0.18;

/// What would count as a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Alternative {
    /// The rates differ; the null is equality.
    Different,
    /// b's rate is higher; the null is "at most a's".
    BHigher,
    /// b's rate is lower; the null is "at least a's".
    BLower,
}

/// Rows seen since the last look. How many is up to the caller as long as it does not depend on their outcomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Block {
    /// Rows of arm a.
    pub a_rows: u64,
    /// Hits among them.
    pub a_hits: u64,
    /// Rows of arm b.
    pub b_rows: u64,
    /// Hits among them.
    pub b_hits: u64,
}

/// A running bet against "the rates are equal". Wealth above `1 / alpha` rejects at level `alpha`, at any time, for
/// any rates and sample sizes: nothing is approximated.
///
/// Each block multiplies the wealth by the likelihood of its rows under the rates estimated *before* it, over their
/// likelihood under the rates' mean weighted by rows; under the null that ratio has mean at most 1, by the inequality
/// of means. Source: Turner, Ly & Grunwald 2021, "Generic E-variables for exact sequential k-sample tests that allow
/// for optional stopping", theorem 1. A plain value, stored between looks. Each look costs `O(1)`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct RateTest {
    alternative: Alternative,
    seen: Block,
    ln_e: f64,
    ln_e_max: f64,
}

impl RateTest {
    /// A test that has seen nothing.
    #[must_use]
    pub fn new(alternative: Alternative) -> Self {
        Self {
            alternative,
            seen: Block::default(),
            ln_e: 0.0,
            ln_e_max: 0.0,
        }
    }

    /// Takes the rows since the last look. Small blocks learn faster; a block with rows of one arm only teaches the
    /// rates and moves no wealth.
    ///
    /// # Errors
    /// More hits than rows; the state is then unchanged.
    pub fn observe(&mut self, block: Block) -> Result<()> {
        for (hits, rows) in [(block.a_hits, block.a_rows), (block.b_hits, block.b_rows)] {
            if hits > rows {
                let value = hits as f64;
                return Err(Error::OutOfRange {
                    what: "hits",
                    value,
                    allowed: "[0, rows]",
                    index: None,
                });
            }
        }
        self.ln_e += self.ln_bet(block);
        self.ln_e_max = self.ln_e_max.max(self.ln_e);
        self.seen = Block {
            a_rows: self.seen.a_rows + block.a_rows,
            a_hits: self.seen.a_hits + block.a_hits,
            b_rows: self.seen.b_rows + block.b_rows,
            b_hits: self.seen.b_hits + block.b_hits,
        };
        Ok(())
    }

    /// Always-valid p-value: the inverse of the largest wealth so far, in `(0, 1]`; never rises.
    #[must_use]
    pub fn p_value(&self) -> f64 {
        (-self.ln_e_max).exp()
    }

    /// Logarithm of the wealth now.
    #[must_use]
    pub fn ln_e(&self) -> f64 {
        self.ln_e
    }

    /// All rows so far.
    #[must_use]
    pub fn seen(&self) -> Block {
        self.seen
    }

    fn ln_bet(&self, block: Block) -> f64 {
        let rate = |hits: u64, rows: u64| (hits as f64 + PRIOR) / (rows as f64 + 2.0 * PRIOR);
        let a = rate(self.seen.a_hits, self.seen.a_rows);
        let b = rate(self.seen.b_hits, self.seen.b_rows);
        let bets = match self.alternative {
            Alternative::Different => true,
            Alternative::BHigher => b > a,
            Alternative::BLower => b < a,
        };
        if !bets || block.a_rows == 0 || block.b_rows == 0 {
            return 0.0;
        }
        let (rows_a, rows_b) = (block.a_rows as f64, block.b_rows as f64);
        let null = (rows_a * a + rows_b * b) / (rows_a + rows_b);
        let ln_ratio = |hits: u64, rows: f64, rate: f64| {
            let hits = hits as f64;
            hits * (rate / null).ln() + (rows - hits) * ((1.0 - rate) / (1.0 - null)).ln()
        };
        ln_ratio(block.a_hits, rows_a, a) + ln_ratio(block.b_hits, rows_b, b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The mean of one bet over all outcomes of a block is at most 1 under every null.
    #[test]
    fn every_bet_is_fair_under_the_null() {
        let binomial = |n: u64, k: u64| (0..k).map(|i| (n - i) as f64 / (i + 1) as f64).product::<f64>();
        let chance =
            |n: u64, k: u64, p: f64| binomial(n, k) * p.powi(k as i32) * (1.0 - p).powi((n - k) as i32);
        let before = Block {
            a_rows: 50,
            a_hits: 5,
            b_rows: 20,
            b_hits: 9,
        };
        for (alternative, shift) in [(Alternative::Different, 0.0), (Alternative::BHigher, 0.1)] {
            let test = RateTest {
                seen: before,
                ..RateTest::new(alternative)
            };
            for p in [0.01, 0.2, 0.5, 0.85] {
                let mut mean = 0.0;
                for a_hits in 0..=7 {
                    for b_hits in 0..=4 {
                        let block = Block {
                            a_rows: 7,
                            a_hits,
                            b_rows: 4,
                            b_hits,
                        };
                        // A one-sided null lets a's rate be higher.
                        let weight = chance(7, a_hits, p + shift) * chance(4, b_hits, p);
                        mean += weight * test.ln_bet(block).exp();
                    }
                }
                assert!(mean <= 1.0 + 1e-12, "{alternative:?} {p} {mean}");
            }
        }
    }

    #[test]
    fn nothing_is_bet_on_one_arm_or_against_the_alternative() {
        let mut test = RateTest::new(Alternative::BHigher);
        test.observe(Block {
            a_rows: 100,
            a_hits: 50,
            ..Block::default()
        })
        .unwrap();
        test.observe(Block {
            b_rows: 100,
            b_hits: 10,
            ..Block::default()
        })
        .unwrap();
        test.observe(Block {
            a_rows: 100,
            a_hits: 50,
            b_rows: 100,
            b_hits: 10,
        })
        .unwrap();
        assert_eq!((test.ln_e(), test.p_value()), (0.0, 1.0));
        assert!(
            test.observe(Block {
                a_rows: 1,
                a_hits: 2,
                ..Block::default()
            })
            .is_err()
        );
    }
}
