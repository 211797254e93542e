//! Chi-square tests on counts, and the effect size that goes with them.

use serde::{Deserialize, Serialize};

use super::categories::merge_rare;
use super::counts::{same_bins, total};
use crate::special::chi2_sf;
use crate::{Error, Result};

/// A test's statistic and p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Tested {
    /// In units of the test.
    pub statistic: f64,
    /// In `[0, 1]`.
    pub p_value: f64,
}

/// Chi-square test that both samples come from the same distribution (a 2 x k contingency table).
///
/// Two categories get Yates' correction; categories absent on both sides are left out; one category alone gives
/// statistic 0 and p 1. Equals SciPy's `chi2_contingency` and so NannyML's figure. `O(k)`.
///
/// # Errors
/// Unequal lengths, or a side without rows.
pub fn chi_square(reference: &[u64], current: &[u64]) -> Result<Tested> {
    same_bins(reference, current)?;
    total(reference, "reference")?;
    total(current, "current")?;
    let table: Vec<[f64; 2]> = filled(reference, current)
        .map(|(r, c)| [r as f64, c as f64])
        .collect();
    Ok(contingency(&table))
}

/// Chi-square goodness of fit of the current counts to the reference's shares, taken as known: smaller p-values
/// than [`chi_square`], since the reference's own noise is ignored. Equals Evidently's "chisquare".
///
/// A category that only the current sample has gives an infinite statistic and p 0. `O(k)`.
///
/// # Errors
/// Unequal lengths, or a side without rows.
pub fn chi_square_fit(reference: &[u64], current: &[u64]) -> Result<Tested> {
    same_bins(reference, current)?;
    let scale = total(current, "current")? as f64 / total(reference, "reference")? as f64;
    let (mut statistic, mut cells) = (0.0, 0_usize);
    for (r, c) in filled(reference, current) {
        let expected = r as f64 * scale;
        statistic += (c as f64 - expected).powi(2) / expected;
        cells += 1;
    }
    let p_value = if cells > 1 {
        chi2_sf(statistic, (cells - 1) as f64)
    } else {
        1.0
    };
    Ok(Tested { statistic, p_value })
}

/// Bias-corrected Cramer's V of the 2 x k table (Bergsma 2013): an effect size in `[0, 1]` that stays near 0 without
/// drift, whatever the number of rows and categories. `O(k)`.
///
/// # Errors
/// Unequal lengths, or a side without rows.
pub fn cramers_v(reference: &[u64], current: &[u64]) -> Result<f64> {
    same_bins(reference, current)?;
    total(reference, "reference")?;
    total(current, "current")?;
    let table: Vec<[f64; 2]> = filled(reference, current)
        .map(|(r, c)| [r as f64, c as f64])
        .collect();
    Ok(corrected_v(&table))
}

/// [`cramers_v`] as Deepchecks 0.19 computes it: categories below 1 % of the reference merged, the larger side
/// scaled down to the size of the smaller and rounded. `O(k)`.
///
/// # Errors
/// Unequal lengths, a side without rows, or a side of which merging and rounding leave nothing.
pub fn cramers_v_deepchecks(reference: &[u64], current: &[u64]) -> Result<f64> {
    let (reference, current) = merge_rare(reference, current, 0.01)?;
    let (n, m) = (sum(&reference), sum(&current));
    let scaled = |counts: &[u64], by: f64| -> Vec<f64> {
        counts
            .iter()
            .map(|count| (*count as f64 * by).round_ties_even())
            .collect()
    };
    let (by_reference, by_current) = if n > m { (m / n, 1.0) } else { (1.0, n / m) };
    let (r, c) = (scaled(&reference, by_reference), scaled(&current, by_current));
    if r.iter().sum::<f64>() == 0.0 || c.iter().sum::<f64>() == 0.0 {
        return Err(Error::Undefined {
            what: "cramers v",
            why: "no category of one side is frequent enough",
        });
    }
    let table: Vec<[f64; 2]> = r
        .into_iter()
        .zip(c)
        .map(|(r, c)| [r, c])
        .filter(|row| row[0] + row[1] > 0.0)
        .collect();
    Ok(corrected_v(&table))
}

/// Categories that occur at all.
fn filled<'a>(reference: &'a [u64], current: &'a [u64]) -> impl Iterator<Item = (u64, u64)> + 'a {
    reference
        .iter()
        .copied()
        .zip(current.iter().copied())
        .filter(|(r, c)| *r > 0 || *c > 0)
}

fn sum(counts: &[u64]) -> f64 {
    counts.iter().map(|count| *count as f64).sum()
}

/// Pearson's statistic of a table without empty rows or columns.
fn contingency(table: &[[f64; 2]]) -> Tested {
    if table.len() < 2 {
        return Tested {
            statistic: 0.0,
            p_value: 1.0,
        };
    }
    let sides = table
        .iter()
        .fold([0.0; 2], |sums, row| [sums[0] + row[0], sums[1] + row[1]]);
    let all = sides[0] + sides[1];
    // Yates 1934: with one degree of freedom counts move half a unit towards what is expected.
    let correction = if table.len() == 2 { 0.5 } else { 0.0 };
    let mut statistic = 0.0;
    for row in table {
        for (observed, side) in row.iter().zip(sides) {
            let expected = (row[0] + row[1]) * side / all;
            let distance = (observed - expected).abs();
            statistic += (distance - f64::min(correction, distance)).powi(2) / expected;
        }
    }
    Tested {
        statistic,
        p_value: chi2_sf(statistic, (table.len() - 1) as f64),
    }
}

fn corrected_v(table: &[[f64; 2]]) -> f64 {
    if table.len() < 2 {
        return 0.0;
    }
    let n: f64 = table.iter().map(|row| row[0] + row[1]).sum();
    let k = table.len() as f64;
    let phi2 = contingency(table).statistic / n;
    let corrected = (phi2 - (k - 1.0) / (n - 1.0)).max(0.0);
    let rows = 2.0 - 1.0 / (n - 1.0);
    let columns = k - (k - 1.0).powi(2) / (n - 1.0);
    let smaller = (rows - 1.0).min(columns - 1.0);
    // With a handful of rows the corrected sizes vanish; there is then nothing to measure.
    if smaller <= 0.0 {
        0.0
    } else {
        (corrected / smaller).sqrt().min(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_shares_show_no_effect() {
        let tested = chi_square(&[10, 20, 30], &[100, 200, 300]).unwrap();
        assert!(tested.statistic < 1e-12 && (tested.p_value - 1.0).abs() < 1e-12);
        assert_eq!(cramers_v(&[10, 20, 30], &[100, 200, 300]).unwrap(), 0.0);
        assert_eq!(
            chi_square(&[10, 0], &[3, 0]).unwrap(),
            Tested {
                statistic: 0.0,
                p_value: 1.0
            }
        );
    }

    #[test]
    fn an_unseen_category_is_certain_drift_for_a_fit() {
        let tested = chi_square_fit(&[10, 0], &[9, 1]).unwrap();
        assert_eq!((tested.statistic, tested.p_value), (f64::INFINITY, 0.0));
    }

    #[test]
    fn disjoint_categories_have_full_effect() {
        assert!(cramers_v(&[500, 0], &[0, 500]).unwrap() > 0.99);
        assert!(cramers_v_deepchecks(&[500, 0], &[0, 500]).is_ok());
        assert_eq!(cramers_v(&[1, 0], &[0, 1]).unwrap(), 0.0);
    }
}
