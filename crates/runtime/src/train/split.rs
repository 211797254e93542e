//! The best split of one node on one column.
//!
//! Numbers: every cut, with missing values on either side. Categories: first as if their codes were numbers (codes
//! follow the average target), then ordered anew by their derivatives in this node, which finds the best set in two
//! (Fisher 1958; LightGBM, Ke et al. 2017, section 2), with a penalty for that freedom. Categories with few rows in the
//! node go with the nearest code that has enough: the average target of the whole table speaks for them.

use super::histogram::Sums;
use super::options::TrainOptions;

/// Rows of a category in a node from which on it is placed by its own derivatives.
const CATEGORY_ROWS: u32 = 10;

/// Second derivatives that a category's slope is shrunk by when categories are ordered.
const CATEGORY_SHRINK: f64 = 10.0;

/// Present categories up to which an order costs no penalty.
const FEW_CATEGORIES: usize = 4;

/// Gains below are rounding.
const LEAST_GAIN: f64 = 1e-9;

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Split {
    pub(super) gain: f64,
    pub(super) test: Test,
    /// Whether missing values go left.
    pub(super) missing_left: bool,
    pub(super) left: Sums,
}

#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Test {
    /// Bins up to this one go left.
    UpTo(u8),
    /// These bins go left.
    In(BinSet),
}

/// A set of bins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct BinSet([u64; 4]);

impl BinSet {
    pub(super) fn insert(&mut self, bin: usize) {
        self.0[bin / 64] |= 1 << (bin % 64);
    }

    pub(super) fn contains(&self, bin: usize) -> bool {
        self.0[bin / 64] >> (bin % 64) & 1 == 1
    }
}

impl Split {
    /// Whether rows of `bin` go left; `missing` is the bin of missing values.
    pub(super) fn goes_left(&self, bin: u8, missing: u8) -> bool {
        if bin == missing {
            return self.missing_left;
        }
        match self.test {
            Test::UpTo(last) => bin <= last,
            Test::In(set) => set.contains(bin as usize),
        }
    }
}

/// What must hold for a split, and how it is valued.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    l2: f64,
    category_l2: f64,
    min_rows: u32,
    min_second: f64,
}

impl Rules {
    pub(super) fn new(options: &TrainOptions) -> Self {
        Self {
            l2: options.l2,
            category_l2: options.category_l2,
            min_rows: options.min_child_rows.max(1),
            min_second: options.min_child_weight,
        }
    }

    /// The score that minimises the loss of some rows, before the learning rate.
    pub(super) fn leaf_value(&self, sums: Sums) -> f64 {
        let divisor = sums.second + self.l2;
        if divisor > 0.0 { -sums.first / divisor } else { 0.0 }
    }

    /// Whether both children of a node could have enough rows.
    pub(super) fn may_split(&self, all: Sums) -> bool {
        all.rows >= 2 * self.min_rows && all.second >= 2.0 * self.min_second
    }

    fn gain(&self, left: Sums, all: Sums, extra_l2: f64) -> Option<f64> {
        let right = all - left;
        // Differences of histograms may leave a second derivative at or below nothing.
        let enough = |side: Sums| side.rows >= self.min_rows && side.second >= self.min_second.max(1e-12);
        if !enough(left) || !enough(right) {
            return None;
        }
        let l2 = self.l2 + extra_l2;
        let value = |side: Sums| side.first * side.first / (side.second + l2);
        let gain = value(left) + value(right) - value(all);
        (gain > LEAST_GAIN).then_some(gain)
    }

    /// The best split on a column whose histogram is `bins`, missing last; `all` are the sums of the node.
    pub(super) fn best(&self, bins: &[Sums], categories: bool, all: Sums) -> Option<Split> {
        let ordered = self.best_ordered(bins, all);
        if !categories {
            return ordered;
        }
        better(ordered, self.best_set(bins, all))
    }

    /// Every place between two bins, with missing values right and left.
    fn best_ordered(&self, bins: &[Sums], all: Sums) -> Option<Split> {
        let (missing, values) = bins.split_last()?;
        let mut best = None;
        let mut below = Sums::default();
        for (bin, sums) in values.iter().enumerate() {
            below += *sums;
            let mut offer = |left: Sums, missing_left: bool| {
                let gain = self.gain(left, all, 0.0);
                let found = gain.map(|gain| Split {
                    gain,
                    test: Test::UpTo(bin as u8),
                    missing_left,
                    left,
                });
                best = better(best, found);
            };
            if missing.rows > 0 {
                offer(below, false);
                offer(below + *missing, true);
            } else if bin + 1 < values.len() {
                // Missing values have not been met: they go with most rows.
                offer(below, below.rows * 2 > all.rows);
            }
        }
        best
    }

    /// The best set of categories: a beginning of their order by slope in this node.
    fn best_set(&self, bins: &[Sums], all: Sums) -> Option<Split> {
        let missing = bins.len() - 1;
        let mut order: Vec<usize> = (0..bins.len())
            .filter(|bin| bins[*bin].rows >= CATEGORY_ROWS)
            .collect();
        let slope = |bin: usize| bins[bin].first / (bins[bin].second + CATEGORY_SHRINK);
        order.sort_by(|a, b| slope(*a).total_cmp(&slope(*b)).then(a.cmp(b)));
        let extra_l2 = if order.len() <= FEW_CATEGORIES {
            0.0
        } else {
            self.category_l2
        };
        let mut best: Option<(f64, usize)> = None;
        let mut left = Sums::default();
        for (place, bin) in order.iter().enumerate().take(order.len().saturating_sub(1)) {
            left += bins[*bin];
            if let Some(gain) = self.gain(left, all, extra_l2)
                && best.is_none_or(|(most, _)| gain > most)
            {
                best = Some((gain, place + 1));
            }
        }
        let (_, length) = best?;
        let mut side = vec![None; bins.len()];
        for (place, bin) in order.iter().enumerate() {
            side[*bin] = Some(place < length);
        }
        let missing_side = side[missing];
        fill(&mut side[..missing]);
        let mut set = BinSet::default();
        let mut left = Sums::default();
        for bin in (0..missing).filter(|bin| side[*bin] == Some(true)) {
            set.insert(bin);
            left += bins[bin];
        }
        let missing_left = missing_side.unwrap_or(left.rows * 2 > all.rows);
        if missing_left {
            left += bins[missing];
        }
        Some(Split {
            gain: self.gain(left, all, extra_l2)?,
            test: Test::In(set),
            missing_left,
            left,
        })
    }
}

/// Gives each open place the side of the nearest known one; of two as near, the lower.
fn fill(sides: &mut [Option<bool>]) {
    let known: Vec<(usize, bool)> = sides
        .iter()
        .enumerate()
        .filter_map(|(place, side)| side.map(|side| (place, side)))
        .collect();
    for (place, side) in sides.iter_mut().enumerate().filter(|(_, side)| side.is_none()) {
        let above = known.partition_point(|(other, _)| *other < place);
        let low = above.checked_sub(1).map(|at| known[at]);
        let high = known.get(above).copied();
        *side = match (low, high) {
            (Some((low, a)), Some((high, b))) => Some(if place - low <= high - place { a } else { b }),
            (Some((_, side)), None) | (None, Some((_, side))) => Some(side),
            (None, None) => Some(false),
        };
    }
}

/// The split of greater gain, the first of equals.
pub(super) fn better(first: Option<Split>, second: Option<Split>) -> Option<Split> {
    match (first, second) {
        (Some(a), Some(b)) => Some(if b.gain > a.gain { b } else { a }),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules() -> Rules {
        Rules::new(&TrainOptions {
            l2: 0.0,
            category_l2: 1.0,
            min_child_rows: 1,
            ..TrainOptions::new("y")
        })
    }

    fn sums(first: f64, rows: u32) -> Sums {
        Sums {
            first,
            second: f64::from(rows),
            rows,
        }
    }

    fn best(bins: &[Sums], categories: bool) -> Split {
        let all = bins.iter().fold(Sums::default(), |all, bin| all + *bin);
        rules().best(bins, categories, all).unwrap()
    }

    #[test]
    fn the_cut_with_the_most_gain_wins() {
        let split = best(
            &[sums(-10.0, 10), sums(-9.0, 10), sums(12.0, 10), sums(0.0, 0)],
            false,
        );
        assert_eq!(split.test, Test::UpTo(1));
        assert!(
            split.missing_left,
            "missing was never met and goes with most rows"
        );
        let expected = 19.0 * 19.0 / 20.0 + 12.0 * 12.0 / 10.0 - 7.0 * 7.0 / 30.0;
        assert!((split.gain - expected).abs() < 1e-9);
    }

    #[test]
    fn missing_values_learn_their_side() {
        let split = best(&[sums(-10.0, 10), sums(10.0, 10), sums(-5.0, 5)], false);
        assert!(split.missing_left);
        let split = best(&[sums(-10.0, 10), sums(10.0, 10), sums(5.0, 5)], false);
        assert!(!split.missing_left);
        // Alone against all others.
        let split = best(&[sums(-10.0, 10), sums(-10.0, 10), sums(15.0, 5)], false);
        assert_eq!((split.test, split.missing_left), (Test::UpTo(1), false));
    }

    #[test]
    fn categories_part_into_sets() {
        let bins = [
            sums(-20.0, 20),
            sums(20.0, 20),
            sums(-20.0, 20),
            sums(20.0, 20),
            sums(0.0, 0),
            sums(1.0, 2),
        ];
        let split = best(&bins, true);
        let Test::In(set) = split.test else {
            panic!("{split:?}");
        };
        let members: Vec<usize> = (0..5).filter(|bin| set.contains(*bin)).collect();
        // The empty category 4 goes with 3, its neighbour.
        assert_eq!(members, [0, 2]);
        assert_eq!(split.left, sums(-40.0, 40));
    }

    #[test]
    fn children_without_enough_rows_are_refused() {
        let strict = Rules::new(&TrainOptions {
            min_child_rows: 11,
            ..TrainOptions::new("y")
        });
        let bins = [sums(-10.0, 10), sums(10.0, 30), sums(0.0, 0)];
        assert_eq!(strict.best(&bins, false, sums(0.0, 40)), None);
        assert!(!strict.may_split(sums(0.0, 21)));
    }
}
