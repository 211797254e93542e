//! False-discovery control over a stream of tests whose end nobody knows.
//!
//! Each test gets a level from a wealth that sleeps while nothing is found and grows with each discovery. The states
//! are plain values that a monitor stores between windows; they grow by one number per discovery.

use serde::{Deserialize, Serialize};

use crate::{Result, check};

/// What became of one test.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The level it was held against.
    pub level: f64,
    /// Whether its p-value was at most the level.
    pub rejected: bool,
}

/// LORD++: expected share of false discoveries at most `alpha` at every time, for independent p-values.
///
/// Source: Ramdas, Yang, Wainwright & Jordan 2017, "Online control of the false discovery rate with decaying
/// memory", with the sequence of Javanmard & Montanari 2018, equation 31. Initial wealth `alpha / 2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Lord {
    alpha: f64,
    tests: u64,
    rejections: Vec<u64>,
}

impl Lord {
    /// A fresh stream.
    ///
    /// # Errors
    /// `alpha` outside `(0, 1)`.
    pub fn new(alpha: f64) -> Result<Self> {
        check::open_unit("alpha", alpha)?;
        Ok(Self {
            alpha,
            tests: 0,
            rejections: Vec::new(),
        })
    }

    /// Judges the next p-value. `O(discoveries so far)`.
    ///
    /// # Errors
    /// A p-value outside `[0, 1]`; the state is then unchanged.
    pub fn test(&mut self, p_value: f64) -> Result<Outcome> {
        check::probabilities("p_value", &[p_value])?;
        self.tests += 1;
        let level = self.level();
        let rejected = p_value <= level;
        if rejected {
            self.rejections.push(self.tests);
        }
        Ok(Outcome { level, rejected })
    }

    /// Discoveries so far.
    #[must_use]
    pub fn discoveries(&self) -> usize {
        self.rejections.len()
    }

    /// The level of test `self.tests`, which has not been judged yet.
    fn level(&self) -> f64 {
        let wealth = 0.5 * self.alpha;
        let since = |rejection: &u64| lord_gamma(self.tests - rejection);
        let first = self
            .rejections
            .first()
            .map_or(0.0, |t| (self.alpha - wealth) * since(t));
        let later: f64 = self.rejections.iter().skip(1).map(since).sum();
        lord_gamma(self.tests) * wealth + first + self.alpha * later
    }
}

/// SAFFRON: as [`Lord`], but adapts to the share of true nulls, so it finds more where many tests are real.
///
/// Source: Ramdas, Zrnic, Wainwright & Jordan 2018, with their defaults: candidates are p-values at most
/// `lambda` = 0.5, the sequence falls as `j^-1.6`, initial wealth `alpha / 2`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Saffron {
    alpha: f64,
    /// Tests so far that were no candidates; the clock of the sequence.
    waiting: u64,
    /// The clock at each discovery.
    rejections: Vec<u64>,
}

impl Saffron {
    /// P-values at most this are candidates for discovery.
    pub const LAMBDA: f64 = 0.5;

    /// A fresh stream.
    ///
    /// # Errors
    /// `alpha` outside `(0, 1)`.
    pub fn new(alpha: f64) -> Result<Self> {
        check::open_unit("alpha", alpha)?;
        Ok(Self {
            alpha,
            waiting: 0,
            rejections: Vec::new(),
        })
    }

    /// Judges the next p-value. `O(discoveries so far)`.
    ///
    /// # Errors
    /// A p-value outside `[0, 1]`; the state is then unchanged.
    pub fn test(&mut self, p_value: f64) -> Result<Outcome> {
        check::probabilities("p_value", &[p_value])?;
        let level = self.level();
        let rejected = p_value <= level;
        if p_value > Self::LAMBDA {
            self.waiting += 1;
        }
        if rejected {
            self.rejections.push(self.waiting);
        }
        Ok(Outcome { level, rejected })
    }

    /// Discoveries so far.
    #[must_use]
    pub fn discoveries(&self) -> usize {
        self.rejections.len()
    }

    fn level(&self) -> f64 {
        let wealth = 0.5 * self.alpha;
        // The index of the sequence is 1 + non-candidates since the discovery (Algorithm 1: t - tau_j - C_j+).
        let since = |clock: &u64| saffron_gamma(1 + self.waiting - clock);
        let first = self
            .rejections
            .first()
            .map_or(0.0, |t| (self.alpha - wealth) * since(t));
        let later: f64 = self.rejections.iter().skip(1).map(since).sum();
        let sum = wealth * saffron_gamma(1 + self.waiting) + first + self.alpha * later;
        ((1.0 - Self::LAMBDA) * sum).min(Self::LAMBDA)
    }
}

/// `0.07720838 log(max(j, 2)) / (j exp(sqrt(log j)))`, which sums to 1 over `j >= 1`.
fn lord_gamma(j: u64) -> f64 {
    let j = j as f64;
    0.077_208_38 * j.max(2.0).ln() / (j * j.ln().sqrt().exp())
}

/// `j^-1.6 / zeta(1.6)`.
fn saffron_gamma(j: u64) -> f64 {
    const ZETA_1_6: f64 = 2.285_765_665_680_129;
    (j as f64).powf(-1.6) / ZETA_1_6
}
