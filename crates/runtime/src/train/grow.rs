//! Grows one tree, the leaf of greatest gain first.
//!
//! Of two children only the smaller is summed row by row; the other's histogram is the difference to their parent.

use super::bins::Column;
use super::histogram::{Histograms, Layout, Sums};
use super::objective::Gradient;
use super::options::TrainOptions;
use super::split::{Rules, Split, better};
use rayon::prelude::*;
use std::cmp::Ordering;
use std::collections::BinaryHeap;
use std::ops::Range;

/// Bytes of histograms kept for leaves that may still be split; beyond, they are summed again when needed.
const KEPT_BYTES: usize = 512 << 20;

/// A grown tree over bins.
#[derive(Debug, Clone)]
pub(super) struct Grown {
    pub(super) nodes: Vec<GrownNode>,
}

#[derive(Debug, Clone)]
pub(super) enum GrownNode {
    /// The score it adds, learning rate included.
    Leaf(f32),
    Split {
        /// Index into all columns.
        column: usize,
        split: Split,
        left: usize,
        right: usize,
    },
}

impl Grown {
    /// The score this tree adds to a row.
    pub(super) fn score(&self, columns: &[Column], row: usize) -> f32 {
        let mut at = 0;
        loop {
            match &self.nodes[at] {
                GrownNode::Leaf(value) => return *value,
                GrownNode::Split {
                    column,
                    split,
                    left,
                    right,
                } => {
                    let column = &columns[*column];
                    let goes_left = split.goes_left(column.bins[row], column.kind.missing() as u8);
                    at = if goes_left { *left } else { *right };
                }
            }
        }
    }

    pub(super) fn leaves(&self) -> usize {
        self.nodes.len() / 2 + 1
    }
}

/// The place to grow trees in; memory is kept from tree to tree.
#[derive(Debug, Default)]
pub(super) struct Ground {
    /// The rows of the tree, those of each leaf together and in order.
    rows: Vec<u32>,
    aside: Vec<u32>,
    spare: Vec<Histograms>,
}

/// A leaf that can be split.
struct Open {
    node: usize,
    depth: u32,
    rows: Range<usize>,
    sums: Sums,
    histograms: Option<Histograms>,
    column: usize,
    split: Split,
}

impl PartialEq for Open {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Open {}

impl PartialOrd for Open {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// Greatest gain first, then the older node.
impl Ord for Open {
    fn cmp(&self, other: &Self) -> Ordering {
        self.split
            .gain
            .total_cmp(&other.split.gain)
            .then(other.node.cmp(&self.node))
    }
}

/// What one tree is grown from.
pub(super) struct Seeds<'a> {
    pub(super) layout: &'a Layout<'a>,
    pub(super) gradients: &'a [Gradient],
    pub(super) options: &'a TrainOptions,
}

impl Ground {
    /// Grows a tree on `rows`, and tells the rows of each leaf by `on_leaf(value, rows)`.
    pub(super) fn grow(
        &mut self,
        seeds: &Seeds<'_>,
        rows: &[u32],
        mut on_leaf: impl FnMut(f32, &[u32]),
    ) -> Grown {
        self.rows.clear();
        self.rows.extend_from_slice(rows);
        let mut growth = Growth {
            ground: self,
            seeds,
            rules: Rules::new(seeds.options),
            nodes: vec![GrownNode::Leaf(0.0)],
            leaves: 1,
            open: BinaryHeap::new(),
            closed: Vec::new(),
            kept: KEPT_BYTES / (seeds.layout.bins() * size_of::<Sums>()).max(1),
        };
        growth.plant();
        while growth.leaves < seeds.options.max_leaves {
            let Some(open) = growth.open.pop() else {
                break;
            };
            growth.split(open);
        }
        let (mut nodes, leaves) = growth.finish();
        for (node, sums, rows) in leaves {
            let value = (Rules::new(seeds.options).leaf_value(sums) * seeds.options.learning_rate) as f32;
            nodes[node] = GrownNode::Leaf(value);
            on_leaf(value, &self.rows[rows]);
        }
        Grown { nodes }
    }

    /// Brings the rows of `range` that go left to its beginning, both sides in order; answers where right begins.
    fn part(&mut self, range: &Range<usize>, column: &Column, split: &Split) -> usize {
        let missing = column.kind.missing() as u8;
        let mut left = range.start;
        self.aside.clear();
        for at in range.clone() {
            let row = self.rows[at];
            if split.goes_left(column.bins[row as usize], missing) {
                self.rows[left] = row;
                left += 1;
            } else {
                self.aside.push(row);
            }
        }
        self.rows[left..range.end].copy_from_slice(&self.aside);
        left
    }
}

struct Growth<'g, 's> {
    ground: &'g mut Ground,
    seeds: &'s Seeds<'s>,
    rules: Rules,
    nodes: Vec<GrownNode>,
    leaves: u32,
    open: BinaryHeap<Open>,
    /// Leaves that cannot be split: node, sums, rows.
    closed: Vec<(usize, Sums, Range<usize>)>,
    /// Histograms that may be kept at once.
    kept: usize,
}

/// A leaf of which not more is known than its rows.
struct Bare {
    node: usize,
    depth: u32,
    rows: Range<usize>,
}

impl Growth<'_, '_> {
    fn plant(&mut self) {
        let rows = 0..self.ground.rows.len();
        let histograms = self.sum(&rows);
        let sums = match self.seeds.layout.columns.first() {
            Some(_) => self
                .seeds
                .layout
                .of(&histograms, 0)
                .iter()
                .fold(Sums::default(), |all, bin| all + *bin),
            None => Sums::default(),
        };
        let bare = Bare {
            node: 0,
            depth: 0,
            rows,
        };
        self.leaf(bare, sums, histograms);
    }

    fn sum(&mut self, rows: &Range<usize>) -> Histograms {
        let spare = self.ground.spare.pop().unwrap_or_default();
        let rows = &self.ground.rows[rows.clone()];
        self.seeds.layout.build(rows, self.seeds.gradients, spare)
    }

    /// Opens or closes a new leaf.
    fn leaf(&mut self, leaf: Bare, sums: Sums, histograms: Histograms) {
        let max_depth = self.seeds.options.max_depth;
        let deep = max_depth > 0 && leaf.depth >= max_depth;
        let best = if deep || !self.rules.may_split(sums) {
            None
        } else {
            self.best(&histograms, sums)
        };
        let Some((column, split)) = best else {
            self.ground.spare.push(histograms);
            self.closed.push((leaf.node, sums, leaf.rows));
            return;
        };
        let kept = self.open.len() < self.kept;
        self.open.push(Open {
            node: leaf.node,
            depth: leaf.depth,
            rows: leaf.rows,
            sums,
            histograms: kept.then_some(histograms),
            column,
            split,
        });
    }

    /// The best split of a node over all columns, the first column of equals.
    fn best(&self, histograms: &Histograms, sums: Sums) -> Option<(usize, Split)> {
        let layout = self.seeds.layout;
        let splits: Vec<Option<Split>> = layout
            .columns
            .par_iter()
            .enumerate()
            .with_min_len(4)
            .map(|(place, (_, column))| {
                self.rules
                    .best(layout.of(histograms, place), column.kind.is_categories(), sums)
            })
            .collect();
        let best = splits.iter().copied().fold(None, better)?;
        let place = splits.iter().position(|split| *split == Some(best))?;
        Some((place, best))
    }

    fn split(&mut self, open: Open) {
        let (column_index, column) = self.seeds.layout.columns[open.column];
        let middle = self.ground.part(&open.rows, column, &open.split);
        let (left, right) = (self.nodes.len(), self.nodes.len() + 1);
        self.nodes.extend([GrownNode::Leaf(0.0), GrownNode::Leaf(0.0)]);
        self.nodes[open.node] = GrownNode::Split {
            column: column_index,
            split: open.split,
            left,
            right,
        };
        self.leaves += 1;
        let bare = |node, rows| Bare {
            node,
            depth: open.depth + 1,
            rows,
        };
        let children = [
            (bare(left, open.rows.start..middle), open.split.left),
            (bare(right, middle..open.rows.end), open.sums - open.split.left),
        ];
        let [first, second] = children;
        let first_is_smaller = first.0.rows.len() <= second.0.rows.len();
        let (small, large) = if first_is_smaller {
            (first, second)
        } else {
            (second, first)
        };
        let small_histograms = self.sum(&small.0.rows);
        let large_histograms = match open.histograms {
            Some(parent) => parent.minus(&small_histograms),
            None => self.sum(&large.0.rows),
        };
        self.leaf(small.0, small.1, small_histograms);
        self.leaf(large.0, large.1, large_histograms);
    }

    /// All nodes, and every leaf with its sums and rows.
    fn finish(mut self) -> (Vec<GrownNode>, Vec<(usize, Sums, Range<usize>)>) {
        let mut leaves = std::mem::take(&mut self.closed);
        for open in std::mem::take(&mut self.open) {
            self.ground.spare.extend(open.histograms);
            leaves.push((open.node, open.sums, open.rows));
        }
        leaves.sort_by_key(|(node, ..)| *node);
        (self.nodes, leaves)
    }
}
