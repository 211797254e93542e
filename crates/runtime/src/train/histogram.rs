//! Sums of derivatives per bin: all that a split needs to know of its rows.

use super::bins::Column;
use super::objective::Gradient;
use rayon::prelude::*;
use std::ops::{Add, AddAssign, Sub};

/// Sums over some rows.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Sums {
    /// Of first derivatives.
    pub(super) first: f64,
    /// Of second derivatives.
    pub(super) second: f64,
    pub(super) rows: u32,
}

impl Add for Sums {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl AddAssign for Sums {
    fn add_assign(&mut self, other: Self) {
        self.first += other.first;
        self.second += other.second;
        self.rows += other.rows;
    }
}

impl Sub for Sums {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        Self {
            first: self.first - other.first,
            second: self.second - other.second,
            rows: self.rows - other.rows,
        }
    }
}

/// The histograms of the columns used by one tree, behind each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Histograms {
    pub(super) bins: Vec<Sums>,
}

/// Where the histogram of each used column begins.
#[derive(Debug)]
pub(super) struct Layout<'a> {
    pub(super) columns: Vec<(usize, &'a Column)>,
    starts: Vec<usize>,
}

impl<'a> Layout<'a> {
    /// A layout for the columns at `used`, in that order.
    pub(super) fn new(columns: &'a [Column], used: &[usize]) -> Self {
        let mut starts = vec![0];
        for index in used {
            starts.push(starts[starts.len() - 1] + columns[*index].kind.missing() + 1);
        }
        Self {
            columns: used.iter().map(|index| (*index, &columns[*index])).collect(),
            starts,
        }
    }

    pub(super) fn bins(&self) -> usize {
        self.starts[self.starts.len() - 1]
    }

    /// The histogram of the column at `place`.
    pub(super) fn of<'h>(&self, histograms: &'h Histograms, place: usize) -> &'h [Sums] {
        &histograms.bins[self.starts[place]..self.starts[place + 1]]
    }

    /// The histograms of `rows`. Each column is summed by one thread in the order of the rows, so the result does not
    /// depend on the number of threads.
    pub(super) fn build(&self, rows: &[u32], gradients: &[Gradient], mut reuse: Histograms) -> Histograms {
        reuse.bins.clear();
        reuse.bins.resize(self.bins(), Sums::default());
        // Gathered once, read once per column.
        let gathered: Vec<Gradient> = rows.iter().map(|row| gradients[*row as usize]).collect();
        let mut tasks = Vec::with_capacity(self.columns.len());
        let mut rest = reuse.bins.as_mut_slice();
        for (place, (_, column)) in self.columns.iter().enumerate() {
            let (own, after) = rest.split_at_mut(self.starts[place + 1] - self.starts[place]);
            rest = after;
            tasks.push((column.bins.as_slice(), own));
        }
        tasks.par_chunks_mut(2).for_each(|pair| match pair {
            [first, second] => sum_two(first, second, rows, &gathered),
            [only] => sum(only.0, rows, &gathered, only.1),
            _ => {}
        });
        reuse
    }
}

fn sum(bins: &[u8], rows: &[u32], gradients: &[Gradient], sums: &mut [Sums]) {
    for (row, gradient) in rows.iter().zip(gradients) {
        sums[bins[*row as usize] as usize].add_row(*gradient);
    }
}

/// Two columns in one pass: while one waits for its bin, the processor works on the other.
fn sum_two(
    (first, first_sums): &mut (&[u8], &mut [Sums]),
    (second, second_sums): &mut (&[u8], &mut [Sums]),
    rows: &[u32],
    gradients: &[Gradient],
) {
    for (row, gradient) in rows.iter().zip(gradients) {
        first_sums[first[*row as usize] as usize].add_row(*gradient);
        second_sums[second[*row as usize] as usize].add_row(*gradient);
    }
}

impl Sums {
    #[inline(always)]
    fn add_row(&mut self, [first, second]: Gradient) {
        self.first += f64::from(first);
        self.second += f64::from(second);
        self.rows += 1;
    }
}

impl Histograms {
    /// The histograms of a node's other child, made from the node's own in place.
    pub(super) fn minus(mut self, child: &Self) -> Self {
        for (own, child) in self.bins.iter_mut().zip(&child.bins) {
            *own = *own - *child;
        }
        self
    }
}
