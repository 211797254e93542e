//! False-discovery control over a known list of p-values.

use crate::{Result, check};

/// Adjusted p-values (q-values) after Benjamini & Hochberg 1995: reject those at most `q` and the expected share of
/// false rejections is at most `q`, for independent or positively dependent tests.
///
/// Same length and order as `p_values`; an empty list gives an empty one. Never below the p-value itself, at most 1.
/// Equals SciPy's `false_discovery_control(method="bh")` and R's `p.adjust`. `O(m log m)`.
///
/// # Errors
/// NaN or a value outside `[0, 1]`.
///
/// ```
/// let q = everloop_stats::fdr::benjamini_hochberg(&[0.01, 0.04, 0.03, 0.5])?;
/// assert!(q[0] == 0.04 && q[3] == 0.5);
/// # Ok::<(), everloop_stats::Error>(())
/// ```
pub fn benjamini_hochberg(p_values: &[f64]) -> Result<Vec<f64>> {
    step_up(p_values, 1.0)
}

/// As [`benjamini_hochberg`], under any dependence (Benjamini & Yekutieli 2001): larger by the factor
/// `1 + 1/2 + ... + 1/m`. `O(m log m)`.
///
/// # Errors
/// As [`benjamini_hochberg`].
pub fn benjamini_yekutieli(p_values: &[f64]) -> Result<Vec<f64>> {
    let harmonic: f64 = (1..=p_values.len()).map(|i| 1.0 / i as f64).sum();
    step_up(p_values, harmonic)
}

fn step_up(p_values: &[f64], factor: f64) -> Result<Vec<f64>> {
    check::probabilities("p_values", p_values)?;
    let m = p_values.len() as f64;
    let mut adjusted = vec![1.0; p_values.len()];
    let mut least = 1.0_f64;
    // From the largest p down, a test is never believed less than a weaker one.
    for (rank, row) in crate::rank::order(p_values).into_iter().enumerate().rev() {
        let row = row as usize;
        least = least.min(p_values[row] * factor * m / (rank + 1) as f64);
        adjusted[row] = least;
    }
    Ok(adjusted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_test_stays_itself_and_none_is_none() {
        assert_eq!(benjamini_hochberg(&[0.03]).unwrap(), [0.03]);
        assert_eq!(benjamini_yekutieli(&[0.03]).unwrap(), [0.03]);
        assert!(benjamini_hochberg(&[]).unwrap().is_empty());
        assert!(benjamini_hochberg(&[f64::NAN]).is_err());
    }
}
