//! The boosting loop: trees one after another, each on the derivatives that the ones before it left.

use super::Progress;
use super::bins::Column;
use super::grow::{Ground, Grown, GrownNode, Seeds};
use super::histogram::Layout;
use super::objective::{Labels, Objective};
use super::options::TrainOptions;
use rand::seq::index::sample;
use rand_pcg::Pcg64Mcg;
use rayon::prelude::*;

/// Rows scored at once by a thread.
const BLOCK: usize = 4_096;

/// Rows as bins, with what is to be learned.
pub(super) struct Table {
    pub(super) columns: Vec<Column>,
    pub(super) labels: Labels,
}

impl Table {
    fn rows(&self) -> usize {
        self.labels.target.len()
    }
}

/// The trees of all iterations kept, and how the training went.
pub(super) struct Boosted {
    /// What every score starts with.
    pub(super) start: Vec<f32>,
    /// Per iteration one tree for each score.
    pub(super) trees: Vec<Grown>,
    pub(super) history: Vec<Progress>,
    /// The iterations kept, from 1.
    pub(super) best_iteration: u32,
}

/// Grows trees until the iterations are done, the loss on `held` stops falling, or nothing can be split any more.
pub(super) fn boost(
    table: &Table,
    held: Option<&Table>,
    objective: Objective,
    options: &TrainOptions,
    on_progress: &mut dyn FnMut(Progress),
) -> Boosted {
    let mut boosting = Boosting::new(table, held, objective, options);
    let mut best = (f64::INFINITY, 0);
    for iteration in 1..=options.iterations {
        let grown = boosting.iterate(iteration);
        let progress = boosting.progress(iteration);
        boosting.history.push(progress);
        on_progress(progress);
        let judged = progress.validation_loss.unwrap_or(f64::NEG_INFINITY);
        let least = options.early_stopping.as_ref().map_or(0.0, |stop| stop.min_delta);
        if judged < best.0 - least || progress.validation_loss.is_none() || iteration == 1 {
            best = (judged, iteration);
        }
        let patience = options
            .early_stopping
            .as_ref()
            .map_or(u32::MAX, |stop| stop.rounds);
        if iteration - best.1 >= patience || !grown {
            break;
        }
    }
    // Without early stopping every iteration counts, held-out rows or not.
    let last = boosting.history.len() as u32;
    let best_iteration = if options.early_stopping.is_some() {
        best.1
    } else {
        last
    };
    boosting
        .trees
        .truncate(best_iteration as usize * objective.outputs());
    Boosted {
        start: boosting.start,
        trees: boosting.trees,
        history: boosting.history,
        best_iteration,
    }
}

struct Boosting<'a> {
    table: &'a Table,
    held: Option<&'a Table>,
    objective: Objective,
    options: &'a TrainOptions,
    start: Vec<f32>,
    trees: Vec<Grown>,
    history: Vec<Progress>,
    /// Rows x outputs.
    scores: Vec<f32>,
    held_scores: Vec<f32>,
    /// Per output, a gradient per row.
    gradients: Vec<[f32; 2]>,
    loss: f64,
    ground: Ground,
}

impl<'a> Boosting<'a> {
    fn new(
        table: &'a Table,
        held: Option<&'a Table>,
        objective: Objective,
        options: &'a TrainOptions,
    ) -> Self {
        let start = objective.start(&table.labels);
        let held_rows = held.map_or(0, Table::rows);
        let mut boosting = Self {
            table,
            held,
            objective,
            options,
            scores: start.repeat(table.rows()),
            held_scores: start.repeat(held_rows),
            start,
            trees: Vec::new(),
            history: Vec::new(),
            gradients: vec![[0.0; 2]; table.rows() * objective.outputs()],
            loss: 0.0,
            ground: Ground::default(),
        };
        boosting.derive();
        boosting
    }

    fn derive(&mut self) {
        self.loss = self
            .objective
            .derive(&self.table.labels, &self.scores, &mut self.gradients);
    }

    fn progress(&self, iteration: u32) -> Progress {
        let held = self
            .held
            .map(|held| self.objective.loss(&held.labels, &self.held_scores));
        Progress {
            iteration,
            iterations: self.options.iterations,
            train_loss: self.loss,
            validation_loss: held,
        }
    }

    /// Grows one tree for each score; answers whether any could be split.
    fn iterate(&mut self, iteration: u32) -> bool {
        let rows = self.table.rows();
        let outputs = self.objective.outputs();
        // Each iteration draws from a stream of its own.
        let mut random = Pcg64Mcg::new(u128::from(self.options.seed) << 64 | u128::from(iteration) << 1 | 1);
        let sampled = drawn(&mut random, rows, self.options.row_sample);
        let used = drawn(&mut random, self.table.columns.len(), self.options.column_sample);
        let used: Vec<usize> = used.into_iter().map(|column| column as usize).collect();
        let layout = Layout::new(&self.table.columns, &used);
        let mut any = false;
        for output in 0..outputs {
            let seeds = Seeds {
                layout: &layout,
                gradients: &self.gradients[output * rows..(output + 1) * rows],
                options: self.options,
            };
            let scores = &mut self.scores;
            let tree = self.ground.grow(&seeds, &sampled, |value, rows| {
                rows.iter()
                    .for_each(|row| scores[*row as usize * outputs + output] += value);
            });
            if sampled.len() < rows {
                add_unsampled(&tree, self.table, &sampled, scores, (outputs, output));
            }
            if let Some(held) = self.held {
                add(&tree, held, &mut self.held_scores, (outputs, output));
            }
            any |= tree.nodes.len() > 1;
            self.trees.push(tree);
        }
        self.derive();
        any
    }
}

/// A share of `0..count` in order, at least one.
fn drawn(random: &mut Pcg64Mcg, count: usize, share: f64) -> Vec<u32> {
    if share >= 1.0 {
        return (0..count as u32).collect();
    }
    let amount = ((count as f64 * share).round() as usize).clamp(1, count);
    let mut drawn: Vec<u32> = sample(random, count, amount)
        .iter()
        .map(|index| index as u32)
        .collect();
    drawn.sort_unstable();
    drawn
}

/// Adds a tree to the scores of all rows of a table.
fn add(tree: &Grown, table: &Table, scores: &mut [f32], (outputs, output): (usize, usize)) {
    let blocks = scores.par_chunks_mut(BLOCK * outputs).enumerate();
    blocks.for_each(|(block, scores)| {
        for (at, row) in scores.chunks_exact_mut(outputs).enumerate() {
            row[output] += tree.score(&table.columns, block * BLOCK + at);
        }
    });
}

/// Adds a tree to the scores of the rows that it was not grown on.
fn add_unsampled(
    tree: &Grown,
    table: &Table,
    sampled: &[u32],
    scores: &mut [f32],
    (outputs, output): (usize, usize),
) {
    let blocks = scores.par_chunks_mut(BLOCK * outputs).enumerate();
    blocks.for_each(|(block, scores)| {
        let first = block * BLOCK;
        let mut next = sampled.partition_point(|row| (*row as usize) < first);
        for (at, row) in scores.chunks_exact_mut(outputs).enumerate() {
            if sampled.get(next) == Some(&((first + at) as u32)) {
                next += 1;
            } else {
                row[output] += tree.score(&table.columns, first + at);
            }
        }
    });
}

impl Boosted {
    /// Sum of gains per column.
    pub(super) fn gains(&self, columns: usize) -> Vec<f64> {
        let mut gains = vec![0.0; columns];
        for node in self.trees.iter().flat_map(|tree| &tree.nodes) {
            if let GrownNode::Split { column, split, .. } = node {
                gains[*column] += split.gain;
            }
        }
        gains
    }

    pub(super) fn leaves(&self) -> usize {
        self.trees.iter().map(Grown::leaves).sum()
    }
}
