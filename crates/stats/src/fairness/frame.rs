//! One figure, overall and per group.

use crate::metrics::Confusion;
use crate::{Error, Result, check};

/// With what a group is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Against {
    /// The best group with the worst one.
    BetweenGroups,
    /// Each group with all rows together; the farthest counts.
    Overall,
}

/// A figure overall and per group. Groups where it is undefined (no rows, or none of the needed class) hold `None`
/// and are left out of comparisons; Fairlearn has NaN for empty groups, but 0 for a rate without rows of its class.
#[derive(Debug, Clone, PartialEq)]
pub struct Frame {
    /// The figure over all rows.
    pub overall: Option<f64>,
    /// The figure per group, by code.
    pub by_group: Vec<Option<f64>>,
    /// Rows per group, by code.
    pub rows: Vec<usize>,
}

impl Frame {
    /// Computes `figure` over all rows and over the rows of each group.
    ///
    /// `groups` has one code below `n_groups` per row. `figure` receives row numbers in ascending order. Figures
    /// that are undefined on a group become `None`. Calls `figure` once for all rows and once per group with rows.
    ///
    /// # Errors
    /// No rows, a code that is not below `n_groups`, or an error of `figure` other than an undefined figure.
    pub fn of(groups: &[u32], n_groups: usize, figure: impl Fn(&[usize]) -> Result<f64>) -> Result<Self> {
        check::non_empty("groups", groups)?;
        let members = members(groups, n_groups)?;
        let all: Vec<usize> = (0..groups.len()).collect();
        let by_group = members
            .iter()
            .map(|rows| defined(rows.is_empty(), || figure(rows)));
        Ok(Self {
            overall: defined(false, || figure(&all))?,
            by_group: by_group.collect::<Result<_>>()?,
            rows: members.iter().map(Vec::len).collect(),
        })
    }

    /// As [`Frame::of`], once per level of a control feature: each figure compares groups of equal control.
    /// The answer has `n_controls` frames, by code; a level without rows holds no figures.
    ///
    /// # Errors
    /// As [`Frame::of`], or columns of unequal length.
    pub fn by_control(
        control: &[u32],
        n_controls: usize,
        groups: &[u32],
        n_groups: usize,
        figure: impl Fn(&[usize]) -> Result<f64>,
    ) -> Result<Vec<Self>> {
        check::same_rows("control", control, "groups", groups)?;
        let empty = Self {
            overall: None,
            by_group: vec![None; n_groups],
            rows: vec![0; n_groups],
        };
        let frame = |level: &Vec<usize>| {
            if level.is_empty() {
                return Ok(empty.clone());
            }
            let codes: Vec<u32> = level.iter().map(|row| groups[*row]).collect();
            Self::of(&codes, n_groups, |rows| {
                let rows: Vec<usize> = rows.iter().map(|at| level[*at]).collect();
                figure(&rows)
            })
        };
        members(control, n_controls)?.iter().map(frame).collect()
    }

    /// The frame of a figure of counted decisions, one count per group. Counts of windows can be summed before.
    #[must_use]
    pub fn of_counts(counts: &[Confusion], figure: impl Fn(Confusion) -> Result<f64>) -> Self {
        let all = counts
            .iter()
            .copied()
            .fold(Confusion::default(), Confusion::merge);
        Self {
            overall: figure(all).ok(),
            by_group: counts.iter().map(|count| figure(*count).ok()).collect(),
            rows: counts.iter().map(|count| count.total() as usize).collect(),
        }
    }

    /// How far apart: the largest minus the smallest figure of a group, or the largest distance of a group from
    /// the overall figure. At least 0.
    ///
    /// # Errors
    /// No group has the figure, or `Overall` is asked for and is undefined.
    pub fn difference(&self, against: Against) -> Result<f64> {
        let (low, high) = self.range()?;
        Ok(match against {
            Against::BetweenGroups => high - low,
            Against::Overall => {
                let overall = self.overall.ok_or_else(nothing)?;
                (high - overall).abs().max((overall - low).abs())
            }
        })
    }

    /// The smallest figure of a group over the largest, or the least of each group's ratio to the overall figure,
    /// turned to be at most 1. For figures at least 0; then in `[0, 1]`.
    ///
    /// # Errors
    /// As [`Frame::difference`], or the figures compared are all 0.
    pub fn ratio(&self, against: Against) -> Result<f64> {
        let (low, high) = self.range()?;
        let ratio = match against {
            Against::BetweenGroups => low / high,
            Against::Overall => {
                let overall = self.overall.ok_or_else(nothing)?;
                (low / overall).min(overall / high)
            }
        };
        if ratio.is_nan() {
            return Err(Error::Undefined {
                what: "ratio",
                why: "the figure is 0 in every group",
            });
        }
        Ok(ratio)
    }

    fn range(&self) -> Result<(f64, f64)> {
        let figures = self.by_group.iter().flatten();
        figures
            .fold(None, |range: Option<(f64, f64)>, figure| {
                let (low, high) = range.unwrap_or((*figure, *figure));
                Some((low.min(*figure), high.max(*figure)))
            })
            .ok_or_else(nothing)
    }
}

fn nothing() -> Error {
    Error::Undefined {
        what: "group comparison",
        why: "no group has the figure",
    }
}

/// Row numbers per code.
fn members(codes: &[u32], n_codes: usize) -> Result<Vec<Vec<usize>>> {
    let mut members = vec![Vec::new(); n_codes];
    for (row, code) in codes.iter().enumerate() {
        let Some(rows) = members.get_mut(*code as usize) else {
            let value = f64::from(*code);
            return Err(Error::OutOfRange {
                what: "groups",
                value,
                allowed: "[0, n_groups)",
                index: Some(row),
            });
        };
        rows.push(row);
    }
    Ok(members)
}

fn defined(empty: bool, figure: impl FnOnce() -> Result<f64>) -> Result<Option<f64>> {
    if empty {
        return Ok(None);
    }
    match figure() {
        Ok(figure) => Ok(Some(figure)),
        Err(Error::Undefined { .. }) => Ok(None),
        Err(other) => Err(other),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(overall: f64, by_group: &[Option<f64>]) -> Frame {
        Frame {
            overall: Some(overall),
            by_group: by_group.to_vec(),
            rows: vec![1; by_group.len()],
        }
    }

    #[test]
    fn undefined_groups_are_left_out() {
        let frame = frame(0.5, &[Some(0.4), None, Some(0.8)]);
        assert!((frame.difference(Against::BetweenGroups).unwrap() - 0.4).abs() < 1e-15);
        assert!((frame.difference(Against::Overall).unwrap() - 0.3).abs() < 1e-15);
        assert_eq!(frame.ratio(Against::BetweenGroups).unwrap(), 0.5);
        assert_eq!(frame.ratio(Against::Overall).unwrap(), 0.625);
    }

    #[test]
    fn no_figures_is_an_error() {
        assert!(
            frame(0.5, &[None, None])
                .difference(Against::BetweenGroups)
                .is_err()
        );
        assert!(
            frame(0.0, &[Some(0.0), Some(0.0)])
                .ratio(Against::BetweenGroups)
                .is_err()
        );
    }

    #[test]
    fn a_control_compares_only_its_own_rows() {
        let score = [1.0, 2.0, 10.0, 30.0];
        let mean = |rows: &[usize]| Ok(rows.iter().map(|row| score[*row]).sum::<f64>() / rows.len() as f64);
        let frames = Frame::by_control(&[0, 0, 1, 1], 3, &[0, 1, 0, 1], 2, mean).unwrap();
        assert_eq!(frames[0].difference(Against::BetweenGroups).unwrap(), 1.0);
        assert_eq!(frames[1].difference(Against::BetweenGroups).unwrap(), 20.0);
        assert_eq!(frames[2].overall, None);
    }
}
