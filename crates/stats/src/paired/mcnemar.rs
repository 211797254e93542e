//! Accuracy of two models on the same rows.

use serde::{Deserialize, Serialize};

use crate::special::{binomial_cdf, chi2_sf};
use crate::{Result, check};

/// Rows on which exactly one model is right, and whether their split could be chance.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows only the champion got right.
    pub only_champion: u64,
    /// Rows only the challenger got right.
    pub only_challenger: u64,
    /// Rows.
    pub n: usize,
    /// Two-sided exact binomial p-value, 1 when no row differs.
    pub p_exact: f64,
    /// Chi-square p-value with Edwards' continuity correction.
    pub p_chi_square: f64,
}

/// McNemar's test (1947) on decisions: `champion` and `challenger` predict `truth`, one value per row.
///
/// Equals statsmodels' `mcnemar(exact=True)` and `mcnemar(exact=False, correction=True)`. `O(n)`.
///
/// # Errors
/// Unequal lengths or no rows.
pub fn mcnemar<T: PartialEq>(truth: &[T], champion: &[T], challenger: &[T]) -> Result<McNemar> {
    check::same_rows("truth", truth, "champion", champion)?;
    check::same_rows("truth", truth, "challenger", challenger)?;
    let (mut b, mut c) = (0_u64, 0_u64);
    for ((truth, champion), challenger) in truth.iter().zip(champion).zip(challenger) {
        match (champion == truth, challenger == truth) {
            (true, false) => b += 1,
            (false, true) => c += 1,
            _ => {}
        }
    }
    Ok(McNemar {
        only_champion: b,
        only_challenger: c,
        n: truth.len(),
        p_exact: (2.0 * binomial_cdf(b.min(c), b + c, 0.5)).min(1.0),
        p_chi_square: chi_square(b, c),
    })
}

fn chi_square(b: u64, c: u64) -> f64 {
    if b + c == 0 {
        return 1.0;
    }
    let corrected = b.abs_diff(c) as f64 - 1.0;
    chi2_sf(corrected * corrected / (b + c) as f64, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn models_that_never_differ_are_equal() {
        let got = mcnemar(&[1, 2, 3], &[1, 2, 0], &[1, 2, 9]).unwrap();
        assert_eq!(
            (
                got.only_champion,
                got.only_challenger,
                got.p_exact,
                got.p_chi_square
            ),
            (0, 0, 1.0, 1.0)
        );
    }

    #[test]
    fn seven_against_none_is_one_in_sixty_four() {
        let got = mcnemar(
            &[true; 8],
            &[false, false, false, false, false, false, true, false],
            &[true; 8],
        );
        let got = got.unwrap();
        assert_eq!((got.only_champion, got.only_challenger), (0, 7));
        assert!((got.p_exact - 2.0 / 128.0).abs() < 1e-15);
    }
}
