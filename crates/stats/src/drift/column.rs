//! One column compared: effect, test, and the rows behind both.

use serde::{Deserialize, Serialize};

use super::{Kind, Method, Sample, chi_square, ks_test};
use crate::Result;

/// Which test gave a p-value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// Two-sample Kolmogorov-Smirnov.
    Ks,
    /// Chi-square of the contingency table.
    ChiSquare,
}

/// How far a column has moved and how surely. All figures are finite.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// What `effect` measures.
    pub method: Method,
    /// How far, by `method`; 0 for no drift.
    pub effect: f64,
    /// Where `p_value` comes from.
    pub test: Test,
    /// The test's statistic.
    pub statistic: f64,
    /// Chance of such a statistic without drift.
    pub p_value: f64,
    /// Reference rows with a value.
    pub n_reference: u64,
    /// Current rows with a value.
    pub n_current: u64,
}

impl ColumnDrift {
    /// The kind of column compared.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.test {
            Test::Ks => Kind::Numeric,
            Test::ChiSquare => Kind::Categorical,
        }
    }

    /// The smaller of the two sample sizes.
    #[must_use]
    pub fn least_rows(&self) -> u64 {
        self.n_reference.min(self.n_current)
    }
}

/// Compares two numeric samples: the effect by `method`, the p-value by KS. `O(n + m)`, see [`ks_test`].
///
/// # Errors
/// A method for categories only, or one undefined on these rows.
pub fn compare_numbers(method: Method, reference: &Sample, current: &Sample) -> Result<ColumnDrift> {
    let tested = ks_test(reference, current);
    Ok(ColumnDrift {
        method,
        effect: method.numeric(reference, current)?,
        test: Test::Ks,
        statistic: tested.statistic,
        p_value: tested.p_value,
        n_reference: reference.rows() as u64,
        n_current: current.rows() as u64,
    })
}

/// Compares counts of the same categories: the effect by `method`, the p-value by chi-square. `O(k)`.
///
/// # Errors
/// Unequal lengths, a side without rows, or a method for numbers only.
pub fn compare_categories(method: Method, reference: &[u64], current: &[u64]) -> Result<ColumnDrift> {
    let tested = chi_square(reference, current)?;
    Ok(ColumnDrift {
        method,
        effect: method.categorical(reference, current)?,
        test: Test::ChiSquare,
        statistic: tested.statistic,
        p_value: tested.p_value,
        n_reference: reference.iter().sum(),
        n_current: current.iter().sum(),
    })
}
