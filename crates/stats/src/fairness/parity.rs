//! The usual criteria on counted decisions: demographic parity, equal opportunity, equalised odds.
//!
//! Each takes one [`Confusion`] per group, so that windows can be summed and groups need no raw rows.

use super::{Against, Frame};
use crate::Result;
use crate::metrics::Confusion;

/// How the two rates of equalised odds become one figure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Combine {
    /// The worse of the two.
    WorstCase,
    /// Their mean.
    Mean,
}

/// Difference of selection rates, in `[0, 1]`; 0 is parity. Fairlearn's `demographic_parity_difference`. `O(groups)`.
///
/// # Errors
/// No group has rows.
pub fn demographic_parity_difference(groups: &[Confusion], against: Against) -> Result<f64> {
    Frame::of_counts(groups, Confusion::selection_rate).difference(against)
}

/// Ratio of selection rates, in `[0, 1]`; 1 is parity, below 0.8 fails the four-fifths rule. Fairlearn's
/// `demographic_parity_ratio`. `O(groups)`.
///
/// # Errors
/// No group has rows, or nobody is selected.
pub fn demographic_parity_ratio(groups: &[Confusion], against: Against) -> Result<f64> {
    Frame::of_counts(groups, Confusion::selection_rate).ratio(against)
}

/// Difference of true positive rates, in `[0, 1]` (Hardt, Price & Srebro 2016). Fairlearn's
/// `equal_opportunity_difference`. `O(groups)`.
///
/// # Errors
/// No group has positives.
pub fn equal_opportunity_difference(groups: &[Confusion], against: Against) -> Result<f64> {
    Frame::of_counts(groups, Confusion::recall).difference(against)
}

/// Differences of true and of false positive rates combined, in `[0, 1]` (Hardt, Price & Srebro 2016). Fairlearn's
/// `equalized_odds_difference`. `O(groups)`.
///
/// # Errors
/// No group has positives, or none has negatives.
pub fn equalized_odds_difference(groups: &[Confusion], against: Against, combine: Combine) -> Result<f64> {
    let found = Frame::of_counts(groups, Confusion::recall).difference(against)?;
    let wrong = Frame::of_counts(groups, Confusion::false_positive_rate).difference(against)?;
    Ok(match combine {
        Combine::WorstCase => found.max(wrong),
        Combine::Mean => 0.5 * (found + wrong),
    })
}

/// Ratios of true and of false positive rates combined, in `[0, 1]`; the worse is the smaller. Fairlearn's
/// `equalized_odds_ratio`. `O(groups)`.
///
/// # Errors
/// As [`equalized_odds_difference`], or one of the rates is 0 in every group.
pub fn equalized_odds_ratio(groups: &[Confusion], against: Against, combine: Combine) -> Result<f64> {
    let found = Frame::of_counts(groups, Confusion::recall).ratio(against)?;
    let wrong = Frame::of_counts(groups, Confusion::false_positive_rate).ratio(against)?;
    Ok(match combine {
        Combine::WorstCase => found.min(wrong),
        Combine::Mean => 0.5 * (found + wrong),
    })
}
