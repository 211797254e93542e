//! Categories counted on both sides, in one order.

use std::collections::BTreeMap;

use super::counts;
use crate::Result;

/// Counts of the same categories in reference and current, in order of name; a category that one side lacks
/// counts 0 there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Categories<K> {
    /// The categories.
    pub names: Vec<K>,
    /// Rows of each in the reference.
    pub reference: Vec<u64>,
    /// Rows of each in the current sample.
    pub current: Vec<u64>,
}

impl<K: Ord> Categories<K> {
    /// Aligns two lists of counts by name; a name given twice adds up. `O(k log k)`.
    pub fn align(
        reference: impl IntoIterator<Item = (K, u64)>,
        current: impl IntoIterator<Item = (K, u64)>,
    ) -> Self {
        let mut counts: BTreeMap<K, (u64, u64)> = BTreeMap::new();
        reference
            .into_iter()
            .for_each(|(name, rows)| counts.entry(name).or_default().0 += rows);
        current
            .into_iter()
            .for_each(|(name, rows)| counts.entry(name).or_default().1 += rows);
        let mut aligned = Self {
            names: Vec::new(),
            reference: Vec::new(),
            current: Vec::new(),
        };
        for (name, (in_reference, in_current)) in counts {
            aligned.names.push(name);
            aligned.reference.push(in_reference);
            aligned.current.push(in_current);
        }
        aligned
    }

    /// Counts raw values, one per row; leave missing ones out. `O(n log k)`.
    pub fn tally(reference: impl IntoIterator<Item = K>, current: impl IntoIterator<Item = K>) -> Self {
        Self::align(
            reference.into_iter().map(|name| (name, 1)),
            current.into_iter().map(|name| (name, 1)),
        )
    }
}

/// Merges categories below `least_share` of the reference into one last category, as Deepchecks does; when that one
/// holds no more than `least_share` of either side it is dropped. Returns reference and current counts.
///
/// # Errors
/// Unequal lengths, or a side without rows.
pub fn merge_rare(reference: &[u64], current: &[u64], least_share: f64) -> Result<(Vec<u64>, Vec<u64>)> {
    counts::same_bins(reference, current)?;
    let n = counts::total(reference, "reference")? as f64;
    let m = counts::total(current, "current")? as f64;
    let (mut kept_reference, mut kept_current) = (Vec::new(), Vec::new());
    let (mut other_reference, mut other_current) = (0, 0);
    for (r, c) in reference.iter().zip(current) {
        if (*r as f64) < n * least_share {
            other_reference += r;
            other_current += c;
        } else {
            kept_reference.push(*r);
            kept_current.push(*c);
        }
    }
    if other_reference as f64 > least_share * n || other_current as f64 > least_share * m {
        kept_reference.push(other_reference);
        kept_current.push(other_current);
    }
    Ok((kept_reference, kept_current))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_and_vanished_categories_count_zero() {
        let got = Categories::tally(["b", "a", "b"], ["c", "a"]);
        assert_eq!(got.names, ["a", "b", "c"]);
        assert_eq!((got.reference, got.current), (vec![1, 2, 0], vec![1, 0, 1]));
    }

    #[test]
    fn rare_categories_merge_or_vanish() {
        let got = merge_rare(&[100, 90, 1, 1], &[100, 90, 0, 5], 0.01).unwrap();
        assert_eq!(got, (vec![100, 90, 2], vec![100, 90, 5]));
        let got = merge_rare(&[100, 90, 1], &[100, 90, 1], 0.01).unwrap();
        assert_eq!(got, (vec![100, 90], vec![100, 90]));
    }
}
