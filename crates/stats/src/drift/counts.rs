//! Distances between two lists of counts over the same bins or categories.
//!
//! All take `reference` and `current` of the same length, each with at least one positive count, and cost `O(k)`.

use crate::{Error, Result};

/// The base of logarithms: Evidently uses nats, NannyML bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogBase {
    /// Natural; the Jensen-Shannon distance is then at most 0.8326.
    E,
    /// Binary; at most 1.
    Two,
}

/// What becomes of an empty bin, whose logarithm would be infinite. Shares are not scaled to 1 again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Zeros {
    /// 0.0001, or a millionth of the smallest share of that side when this is at most 0.0001 (Evidently 0.7).
    Evidently,
    /// Every share is at least 0.01 (Deepchecks 0.19).
    Deepchecks,
    /// The smallest normal double, 2.2e-308 (frouros 0.9): one empty bin makes the figure huge.
    Frouros,
}

/// Population stability index: `sum (r - c) ln(r / c)` over shares, at least 0; symmetric.
///
/// Common reading: below 0.1 stable, above 0.25 shifted.
///
/// # Errors
/// Unequal lengths, or a side without rows; so for all functions here.
pub fn psi(reference: &[u64], current: &[u64], zeros: Zeros) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    let (r, c) = (fill(r, zeros), fill(c, zeros));
    Ok(r.iter().zip(&c).map(|(r, c)| (r - c) * (r / c).ln()).sum())
}

/// Kullback-Leibler divergence of the reference from the current: `sum r ln(r / c)` in nats, at least 0, not
/// symmetric. Empty bins are filled as `zeros` says and both sides then scaled to 1, as Evidently does.
///
/// # Errors
/// As [`psi`].
pub fn kullback_leibler(reference: &[u64], current: &[u64], zeros: Zeros) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    let (r, c) = (scaled(fill(r, zeros)), scaled(fill(c, zeros)));
    Ok(r.iter()
        .zip(&c)
        .map(|(r, c)| r * (r / c).ln())
        .sum::<f64>()
        .max(0.0))
}

/// Jensen-Shannon distance: the square root of the divergence, a metric. Empty bins need no filling. Equals
/// SciPy's `distance.jensenshannon`.
///
/// # Errors
/// As [`psi`].
pub fn jensen_shannon(reference: &[u64], current: &[u64], base: LogBase) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    let part = |share: f64, middle: f64| {
        if share > 0.0 {
            share * (share / middle).ln()
        } else {
            0.0
        }
    };
    let both = r.iter().zip(&c).map(|(r, c)| {
        let middle = 0.5 * (r + c);
        part(*r, middle) + part(*c, middle)
    });
    let divergence = 0.5 * both.sum::<f64>().max(0.0);
    Ok(match base {
        LogBase::E => divergence.sqrt(),
        LogBase::Two => (divergence / std::f64::consts::LN_2).sqrt(),
    })
}

/// Hellinger distance `||sqrt r - sqrt c|| / sqrt 2`, a metric in `[0, 1]`.
///
/// # Errors
/// As [`psi`].
pub fn hellinger(reference: &[u64], current: &[u64]) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    let squares: f64 = r.iter().zip(&c).map(|(r, c)| (r.sqrt() - c.sqrt()).powi(2)).sum();
    Ok((0.5 * squares).sqrt().min(1.0))
}

/// Total variation distance: half the sum of absolute differences of shares, a metric in `[0, 1]`.
///
/// # Errors
/// As [`psi`].
pub fn total_variation(reference: &[u64], current: &[u64]) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    Ok((0.5 * r.iter().zip(&c).map(|(r, c)| (r - c).abs()).sum::<f64>()).min(1.0))
}

/// Largest difference of a share, a metric in `[0, 1]` (NannyML's L-infinity).
///
/// # Errors
/// As [`psi`].
pub fn l_infinity(reference: &[u64], current: &[u64]) -> Result<f64> {
    let (r, c) = shares(reference, current)?;
    Ok(r.iter().zip(&c).map(|(r, c)| (r - c).abs()).fold(0.0, f64::max))
}

/// Largest difference of cumulative shares over ordered bins: the KS statistic of binned numbers, in `[0, 1]`,
/// never above that of the raw ones.
///
/// # Errors
/// As [`psi`].
pub fn kolmogorov(reference: &[u64], current: &[u64]) -> Result<f64> {
    let (n, m) = (total(reference, "reference")?, total(current, "current")?);
    same_bins(reference, current)?;
    // In integers: cumulative counts times the other total.
    let (mut gap, mut largest) = (0_i128, 0_i128);
    for (r, c) in reference.iter().zip(current) {
        gap += i128::from(*r) * i128::from(m) - i128::from(*c) * i128::from(n);
        largest = largest.max(gap.abs());
    }
    Ok(largest as f64 / (n as f64 * m as f64))
}

/// Both lists as shares of their totals.
pub(super) fn shares(reference: &[u64], current: &[u64]) -> Result<(Vec<f64>, Vec<f64>)> {
    same_bins(reference, current)?;
    let of = |counts: &[u64], total: u64| counts.iter().map(|count| *count as f64 / total as f64).collect();
    let (n, m) = (total(reference, "reference")?, total(current, "current")?);
    Ok((of(reference, n), of(current, m)))
}

pub(super) fn same_bins(reference: &[u64], current: &[u64]) -> Result<()> {
    if reference.len() == current.len() {
        return Ok(());
    }
    Err(Error::Lengths {
        left: "reference",
        left_len: reference.len(),
        right: "current",
        right_len: current.len(),
    })
}

pub(super) fn total(counts: &[u64], what: &'static str) -> Result<u64> {
    let sum = counts
        .iter()
        .try_fold(0_u64, |sum, count| sum.checked_add(*count));
    match sum {
        Some(0) => Err(Error::Empty { what }),
        Some(sum) => Ok(sum),
        None => Err(Error::OutOfRange {
            what,
            value: f64::INFINITY,
            allowed: "[0, 2^64)",
            index: None,
        }),
    }
}

fn fill(mut shares: Vec<f64>, zeros: Zeros) -> Vec<f64> {
    match zeros {
        Zeros::Deepchecks => shares.iter_mut().for_each(|share| *share = share.max(0.01)),
        Zeros::Evidently => {
            let smallest = shares
                .iter()
                .copied()
                .filter(|share| *share > 0.0)
                .fold(1.0, f64::min);
            replace_zeros(
                &mut shares,
                if smallest <= 0.0001 {
                    smallest / 1e6
                } else {
                    0.0001
                },
            );
        }
        Zeros::Frouros => replace_zeros(&mut shares, f64::MIN_POSITIVE),
    }
    shares
}

fn replace_zeros(shares: &mut [f64], by: f64) {
    shares
        .iter_mut()
        .filter(|share| **share == 0.0)
        .for_each(|share| *share = by);
}

fn scaled(mut shares: Vec<f64>) -> Vec<f64> {
    let sum: f64 = shares.iter().sum();
    shares.iter_mut().for_each(|share| *share /= sum);
    shares
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn disjoint_counts_are_as_far_apart_as_can_be() {
        let (a, b) = ([5, 0], [0, 7]);
        assert_eq!(jensen_shannon(&a, &b, LogBase::Two).unwrap(), 1.0);
        assert_eq!(hellinger(&a, &b).unwrap(), 1.0);
        assert_eq!(total_variation(&a, &b).unwrap(), 1.0);
        assert_eq!(l_infinity(&a, &b).unwrap(), 1.0);
        assert_eq!(kolmogorov(&a, &b).unwrap(), 1.0);
        assert!(psi(&a, &b, Zeros::Frouros).unwrap() > 1000.0);
    }

    #[test]
    fn sides_must_match_and_hold_rows() {
        assert!(matches!(
            psi(&[1], &[1, 2], Zeros::Evidently),
            Err(Error::Lengths { .. })
        ));
        assert_eq!(
            total_variation(&[0], &[1]),
            Err(Error::Empty { what: "reference" })
        );
        assert_eq!(kolmogorov(&[1], &[0]), Err(Error::Empty { what: "current" }));
    }
}
