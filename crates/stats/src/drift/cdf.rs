//! Distances between cumulative distributions of numbers.
//!
//! All are one walk over two sorted samples, `O(n + m)`; a [`Sample`] is finite and not empty, so little can fail.

use super::Sample;
use crate::rank::Groups;
use crate::{Error, Result};

/// Two-sample Kolmogorov-Smirnov statistic: the largest distance of the cumulative shares, in `[0, 1]`.
///
/// Ties are handled exactly; the walk counts in integers. Equals SciPy's `ks_2samp(...).statistic`.
#[must_use]
pub fn ks_statistic(reference: &Sample, current: &Sample) -> f64 {
    let (a, b) = (reference.values(), current.values());
    largest_gap(a, b) as f64 / (a.len() as f64 * b.len() as f64)
}

/// The KS statistic times `n * m`, a whole number.
pub(super) fn largest_gap(a: &[f64], b: &[f64]) -> i128 {
    if let (Ok(n), Ok(m)) = (i32::try_from(a.len()), i32::try_from(b.len())) {
        return i128::from(largest_gap_narrow(a, b, i64::from(n), i64::from(m)));
    }
    let (n, m) = (a.len() as i128, b.len() as i128);
    let (mut gap, mut largest) = (0, 0);
    for group in Groups::new(a, b) {
        gap += group.a as i128 * m - group.b as i128 * n;
        largest = largest.max(gap.abs());
    }
    largest
}

/// The same in machine words: gaps stay below `2^62` in size.
fn largest_gap_narrow(a: &[f64], b: &[f64], n: i64, m: i64) -> i64 {
    let (mut gap, mut lowest, mut highest) = (0_i64, 0_i64, 0_i64);
    for group in Groups::new(a, b) {
        gap += group.a as i64 * m - group.b as i64 * n;
        lowest = lowest.min(gap);
        highest = highest.max(gap);
    }
    highest.max(-lowest)
}

/// First Wasserstein (earth mover's) distance, in units of the column. Equals SciPy's `wasserstein_distance`.
#[must_use]
pub fn wasserstein(reference: &Sample, current: &Sample) -> f64 {
    integrate(reference.values(), current.values(), f64::abs)
}

/// Wasserstein distance over the reference's standard deviation (divisor `n`, at least 0.001), as Evidently's
/// "Wasserstein distance (normed)": free of units; 0.1 is its usual threshold.
#[must_use]
pub fn wasserstein_normed(reference: &Sample, current: &Sample) -> f64 {
    wasserstein(reference, current) / reference.std().max(0.001)
}

/// Wasserstein distance after cutting the 2.5 % tails of each sample and scaling the rest to `[0, 1]`, as
/// Deepchecks 0.19 (`margin_quantile_filter=0.025`). 0 when only one distinct value is left. In `[0, 1]`.
///
/// # Errors
/// Two distinct rows on a side: interpolated quantiles then leave nothing between them.
pub fn wasserstein_deepchecks(reference: &Sample, current: &Sample) -> Result<f64> {
    let trim = |sample: &'_ Sample| -> Vec<f64> {
        let at = |q| crate::rank::quantile_sorted(sample.values(), q);
        sample.between(at(0.025), at(0.975)).to_vec()
    };
    let (mut a, mut b) = (trim(reference), trim(current));
    let (Some(low), Some(high)) = (least(a.first(), b.first()), most(a.last(), b.last())) else {
        return Err(Error::Undefined {
            what: "trimmed distance",
            why: "trimming the tails leaves no rows",
        });
    };
    if low == high {
        return Ok(0.0);
    }
    for values in [&mut a, &mut b] {
        values.iter_mut().for_each(|v| *v = (*v - low) / (high - low));
    }
    Ok(integrate(&a, &b, f64::abs))
}

/// Energy distance: `sqrt(2)` times the L2 distance of the cumulative shares (Szekely & Rizzo 2013). Equals
/// SciPy's `energy_distance`.
#[must_use]
pub fn energy_distance(reference: &Sample, current: &Sample) -> f64 {
    (2.0 * integrate(reference.values(), current.values(), |d| d * d)).sqrt()
}

/// The integral of `cost(F - G)` over the line.
fn integrate(a: &[f64], b: &[f64], cost: impl Fn(f64) -> f64) -> f64 {
    let (n, m) = (a.len() as f64, b.len() as f64);
    let (mut seen_a, mut seen_b, mut sum) = (0_usize, 0_usize, 0.0);
    let mut previous = a[0].min(b[0]);
    for group in Groups::new(a, b) {
        sum += cost(seen_a as f64 / n - seen_b as f64 / m) * (group.value - previous);
        previous = group.value;
        seen_a += group.a;
        seen_b += group.b;
    }
    sum
}

fn least(a: Option<&f64>, b: Option<&f64>) -> Option<f64> {
    Some(a?.min(*b?))
}

fn most(a: Option<&f64>, b: Option<&f64>) -> Option<f64> {
    Some(a?.max(*b?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::new(values).unwrap()
    }

    #[test]
    fn a_shift_by_one_moves_earth_by_one() {
        let (a, b) = (sample(&[0.0, 1.0, 2.0, 3.0]), sample(&[1.0, 2.0, 3.0, 4.0]));
        assert_eq!(wasserstein(&a, &b), 1.0);
        assert_eq!(ks_statistic(&a, &b), 0.25);
        assert_eq!(energy_distance(&a, &a), 0.0);
    }

    #[test]
    fn wide_and_narrow_counting_agree() {
        let (a, b) = ([1.0, 1.0, 2.0, 5.0], [1.0, 3.0, 3.0]);
        let (n, m) = (a.len() as i128, b.len() as i128);
        let mut gap = 0;
        let mut largest = 0;
        for group in Groups::new(&a, &b) {
            gap += group.a as i128 * m - group.b as i128 * n;
            largest = i128::max(largest, gap.abs());
        }
        assert_eq!(largest_gap(&a, &b), largest);
        assert_eq!(largest, 5);
    }

    #[test]
    fn a_constant_reference_is_normed_by_a_floor() {
        assert_eq!(wasserstein_normed(&sample(&[1.0]), &sample(&[2.0])), 1000.0);
        assert_eq!(wasserstein_deepchecks(&sample(&[1.0]), &sample(&[1.0])), Ok(0.0));
        assert!(wasserstein_deepchecks(&sample(&[1.0, 2.0]), &sample(&[1.0])).is_err());
    }
}
