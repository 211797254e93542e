//! Passes over rows when there are very many, so that sorting and counting cost little per row.
//!
//! Of each block of 2^k values one is taken, at a place that a fixed sequence chooses, and it stands for the whole
//! block. Blocks grow so that none is more than 2^-18 of the values expected or seen in the whole table, nor more than
//! 2^-12 of those seen in this part of it. The error this adds to a rank is about `sqrt(2^-18 / 4)`, 0.1 % of the
//! rows (one standard deviation) and less than the digest's own. Counts, moments, extremes and the distinct sketch
//! see every row; so do tables below half a million rows, and columns with few values however many rows there are.

use super::hash::mix;

/// A block is at most 2^-this of the whole table.
const LOG_TABLE: u32 = 18;

/// A block is at most 2^-this of what this part of the table has shown so far.
const LOG_PART: u32 = 12;

/// Where a column stands in its blocks.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Thinning {
    seen: u64,
    /// Rows of the whole table, when known.
    expected: u64,
}

/// The values of a slice that are taken: indices, and how many values each stands for.
pub(crate) struct Taken {
    next: u64,
    start: u64,
    end: u64,
    expected: u64,
}

impl Thinning {
    /// For one part of a table of `expected` rows; 0 when they are not known.
    pub(crate) fn expecting(expected: u64) -> Self {
        Self { seen: 0, expected }
    }

    /// The values to take of the next `len`.
    #[inline]
    pub(crate) fn take(&mut self, len: usize) -> Taken {
        let start = self.seen;
        self.seen += len as u64;
        let log = log_block(start, self.expected);
        Taken {
            next: start >> log << log,
            start,
            end: self.seen,
            expected: self.expected,
        }
    }
}

/// Blocks that start at `position` have 2^this values. Every position where this changes starts a block.
#[inline]
fn log_block(position: u64, expected: u64) -> u32 {
    let table = (position.max(expected) >> LOG_TABLE).checked_ilog2().unwrap_or(0);
    let part = (position >> LOG_PART).checked_ilog2().unwrap_or(0);
    table.min(part)
}

impl Iterator for Taken {
    type Item = (usize, u64);

    #[inline]
    fn next(&mut self) -> Option<(usize, u64)> {
        while self.next < self.end {
            let block = self.next;
            let log = log_block(block, self.expected);
            self.next = block + (1 << log);
            let place = block + (mix(block) & ((1 << log) - 1));
            if place >= self.start && place < self.end {
                return Some(((place - self.start) as usize, 1 << log));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(mut thinning: Thinning, rows: usize, cuts: &[usize]) -> Vec<(usize, u64)> {
        let mut taken = Vec::new();
        let mut start = 0;
        for &len in cuts.iter().cycle() {
            let len = len.min(rows - start);
            taken.extend(thinning.take(len).map(|(index, weight)| (start + index, weight)));
            start += len;
            if start == rows {
                break;
            }
        }
        taken
    }

    #[test]
    fn the_first_half_million_are_all_taken() {
        let taken = all(Thinning::default(), 1 << 19, &[1 << 19]);
        assert_eq!(taken.len(), 1 << 19);
        assert!(
            taken
                .iter()
                .enumerate()
                .all(|(i, &(index, weight))| index == i && weight == 1)
        );
    }

    #[test]
    fn how_the_rows_are_cut_does_not_matter() {
        for expected in [0, 40_000_000] {
            let rows = 5_000_000;
            let at_once = all(Thinning::expecting(expected), rows, &[rows]);
            let cut = all(Thinning::expecting(expected), rows, &[1, 8_192, 3, 1_000_003]);
            assert_eq!(at_once, cut);
            let weight: u64 = at_once.iter().map(|(_, weight)| weight).sum();
            assert!(weight.abs_diff(rows as u64) <= 128, "{weight}");
            assert!(at_once.len() < 2_000_000);
        }
    }
}
