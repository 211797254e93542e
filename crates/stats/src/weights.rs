//! Weights that let rare classes count as much as common ones.

use crate::{Error, Result, check};

/// Weight per class: `rows / (classes * rows of the class)`, as scikit-learn's `class_weight="balanced"`.
///
/// `truth` holds class codes below `n_classes`; the answer has `n_classes` weights, in order of code. The weights of
/// all rows sum to the number of rows. `O(n)`.
///
/// # Errors
/// No rows, a code that is not below `n_classes`, or a class without rows.
///
/// ```
/// let weights = everloop_stats::weights::balanced(&[0, 0, 0, 1], 2)?;
/// assert_eq!(weights, [4.0 / 6.0, 2.0]);
/// # Ok::<(), everloop_stats::Error>(())
/// ```
pub fn balanced(truth: &[u32], n_classes: usize) -> Result<Vec<f64>> {
    check::non_empty("truth", truth)?;
    let mut counts = vec![0_usize; n_classes];
    for (index, code) in truth.iter().enumerate() {
        let Some(count) = counts.get_mut(*code as usize) else {
            let value = f64::from(*code);
            return Err(Error::OutOfRange {
                what: "truth",
                value,
                allowed: "[0, n_classes)",
                index: Some(index),
            });
        };
        *count += 1;
    }
    if counts.contains(&0) {
        return Err(Error::Undefined {
            what: "class weight",
            why: "a class has no rows",
        });
    }
    let rows = truth.len() as f64;
    Ok(counts
        .iter()
        .map(|count| rows / (n_classes as f64 * *count as f64))
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_without_rows_has_no_weight() {
        assert!(balanced(&[0, 0], 2).is_err());
        assert!(balanced(&[0, 2], 2).is_err());
        assert!(balanced(&[], 2).is_err());
    }
}
