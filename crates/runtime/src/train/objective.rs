//! What is minimised: log loss of one or several scores, or squared error.
//!
//! Per row and score the first and second derivative of the loss. Sums over rows are taken in blocks of fixed size, so
//! that they do not depend on the number of threads.

use crate::math::{exp, ln, softmax};
use rayon::prelude::*;

/// Rows worked on at once.
const BLOCK: usize = 8_192;

/// First and second derivative of the loss at one row.
pub(super) type Gradient = [f32; 2];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Objective {
    /// Two classes, one score: the log odds of the second.
    Logistic,
    /// Several classes, one score each.
    Softmax { classes: usize },
    /// A number.
    Squared,
}

/// The rows to learn from or to judge by: targets and weights.
#[derive(Debug, Clone)]
pub(super) struct Labels {
    /// The class (as a number) or the value of each row.
    pub(super) target: Vec<f64>,
    pub(super) weight: Vec<f32>,
}

impl Labels {
    fn total_weight(&self) -> f64 {
        self.weight.iter().map(|weight| f64::from(*weight)).sum()
    }
}

impl Objective {
    /// Scores of one row.
    pub(super) fn outputs(self) -> usize {
        match self {
            Self::Logistic | Self::Squared => 1,
            Self::Softmax { classes } => classes,
        }
    }

    pub(super) fn loss_name(self) -> &'static str {
        match self {
            Self::Logistic | Self::Softmax { .. } => "log_loss",
            Self::Squared => "mean_squared_error",
        }
    }

    /// The scores that minimise the loss when nothing else is known; rounded as they are saved.
    pub(super) fn start(self, labels: &Labels) -> Vec<f32> {
        let total = labels.total_weight().max(f64::MIN_POSITIVE);
        let mean = |value: &dyn Fn(f64) -> f64| {
            let weighted = labels.target.iter().zip(&labels.weight);
            weighted
                .map(|(target, weight)| value(*target) * f64::from(*weight))
                .sum::<f64>()
                / total
        };
        match self {
            Self::Squared => vec![mean(&|target| target) as f32],
            Self::Logistic => {
                let share = mean(&|target| target).clamp(1e-12, 1.0 - 1e-12);
                vec![ln(share / (1.0 - share)) as f32]
            }
            Self::Softmax { classes } => (0..classes)
                .map(|class| ln(mean(&|target| f64::from(target == class as f64)).max(1e-12)) as f32)
                .collect(),
        }
    }

    /// The mean loss at `scores` (rows x outputs).
    pub(super) fn loss(self, labels: &Labels, scores: &[f32]) -> f64 {
        self.sum(labels, scores, &mut []) / labels.total_weight().max(f64::MIN_POSITIVE)
    }

    /// The mean loss at `scores`, and the derivatives there: `gradients[output * rows + row]`.
    pub(super) fn derive(self, labels: &Labels, scores: &[f32], gradients: &mut [Gradient]) -> f64 {
        self.sum(labels, scores, gradients) / labels.total_weight().max(f64::MIN_POSITIVE)
    }

    fn sum(self, labels: &Labels, scores: &[f32], gradients: &mut [Gradient]) -> f64 {
        let outputs = self.outputs();
        let rows = labels.target.len();
        // Block by block, each with its own part of every output's gradients.
        let mut parts: Vec<Vec<&mut [Gradient]>> = (0..rows.div_ceil(BLOCK))
            .map(|_| Vec::with_capacity(outputs))
            .collect();
        if !gradients.is_empty() {
            for output in gradients.chunks_mut(rows) {
                for (block, part) in output.chunks_mut(BLOCK).enumerate() {
                    parts[block].push(part);
                }
            }
        }
        let blocks: Vec<f64> = parts
            .into_par_iter()
            .enumerate()
            .map(|(block, mut gradients)| {
                let range = block * BLOCK..rows.min((block + 1) * BLOCK);
                let scores = &scores[range.start * outputs..range.end * outputs];
                let (target, weight) = (&labels.target[range.clone()], &labels.weight[range]);
                self.block(target, weight, scores, &mut gradients)
            })
            .collect();
        blocks.into_iter().sum()
    }

    fn block(self, target: &[f64], weight: &[f32], scores: &[f32], gradients: &mut [&mut [Gradient]]) -> f64 {
        match self {
            Self::Logistic => logistic(target, weight, scores, gradients),
            Self::Squared => squared(target, weight, scores, gradients),
            Self::Softmax { classes } => several(classes, target, weight, scores, gradients),
        }
    }
}

fn logistic(target: &[f64], weight: &[f32], scores: &[f32], gradients: &mut [&mut [Gradient]]) -> f64 {
    let mut loss = 0.0;
    // Logarithms of rows of weight 1 are taken together: the product of 512 numbers up to 2 is finite.
    let mut product = 1.0;
    for (row, score) in scores.iter().enumerate() {
        let (score, target, weight) = (f64::from(*score), target[row], f64::from(weight[row]));
        // One exponential serves the probability and the loss.
        let small = exp(-score.abs());
        loss += weight * (score.max(0.0) - score * target);
        if weight == 1.0 {
            product *= 1.0 + small;
            if row % 512 == 511 {
                loss += ln(product);
                product = 1.0;
            }
        } else {
            loss += weight * ln(1.0 + small);
        }
        if let Some(gradients) = gradients.first_mut() {
            let probability = if score >= 0.0 { 1.0 } else { small } / (1.0 + small);
            let second = (probability * (1.0 - probability)).max(1e-16);
            gradients[row] = [(weight * (probability - target)) as f32, (weight * second) as f32];
        }
    }
    loss + ln(product)
}

fn squared(target: &[f64], weight: &[f32], scores: &[f32], gradients: &mut [&mut [Gradient]]) -> f64 {
    let mut loss = 0.0;
    for (row, score) in scores.iter().enumerate() {
        let error = f64::from(*score) - target[row];
        loss += f64::from(weight[row]) * error * error;
        if let Some(gradients) = gradients.first_mut() {
            gradients[row] = [(f64::from(weight[row]) * error) as f32, weight[row]];
        }
    }
    loss
}

fn several(
    classes: usize,
    target: &[f64],
    weight: &[f32],
    scores: &[f32],
    gradients: &mut [&mut [Gradient]],
) -> f64 {
    let mut loss = 0.0;
    let mut probabilities = vec![0.0; classes];
    // As LightGBM scales it: the derivatives of the classes are not independent.
    let factor = classes as f64 / (classes as f64 - 1.0);
    for (row, scores) in scores.chunks_exact(classes).enumerate() {
        probabilities
            .iter_mut()
            .zip(scores)
            .for_each(|(slot, score)| *slot = f64::from(*score));
        softmax(&mut probabilities);
        let own = target[row] as usize;
        let weight = f64::from(weight[row]);
        loss -= weight * ln(probabilities[own].max(1e-300));
        for (class, gradients) in gradients.iter_mut().enumerate() {
            let probability = probabilities[class];
            let first = probability - f64::from(class == own);
            let second = (factor * probability * (1.0 - probability)).max(1e-16);
            gradients[row] = [(weight * first) as f32, (weight * second) as f32];
        }
    }
    loss
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Derivatives agree with differences of the loss.
    fn check(objective: Objective, target: Vec<f64>) {
        let rows = target.len();
        let outputs = objective.outputs();
        let labels = Labels {
            weight: (0..rows).map(|row| 1.0 + row as f32).collect(),
            target,
        };
        let total = labels.total_weight();
        let scores: Vec<f32> = (0..rows * outputs).map(|at| (at as f32 * 0.7).sin()).collect();
        let mut gradients = vec![[0.0; 2]; rows * outputs];
        let loss = objective.derive(&labels, &scores, &mut gradients);
        assert!((loss - objective.loss(&labels, &scores)).abs() < 1e-12);
        for row in 0..rows {
            for output in 0..outputs {
                let at = |step: f32| {
                    let mut moved = scores.clone();
                    moved[row * outputs + output] += step;
                    objective.loss(&labels, &moved) * total
                };
                let mut slope = (at(0.01) - at(-0.01)) / 0.02;
                if objective == Objective::Squared {
                    slope /= 2.0;
                }
                let found = f64::from(gradients[output * rows + row][0]);
                assert!(
                    (found - slope).abs() < 2e-3 * (1.0 + slope.abs()),
                    "{found} {slope}"
                );
            }
        }
    }

    #[test]
    fn derivatives_are_those_of_the_loss() {
        check(Objective::Logistic, vec![0.0, 1.0, 1.0, 0.0]);
        check(Objective::Squared, vec![0.3, -1.0, 4.0]);
        check(Objective::Softmax { classes: 3 }, vec![0.0, 2.0, 1.0, 1.0]);
    }

    #[test]
    fn the_start_is_the_best_constant() {
        let labels = Labels {
            target: vec![1.0, 1.0, 1.0, 0.0],
            weight: vec![1.0; 4],
        };
        let start = Objective::Logistic.start(&labels)[0];
        assert!((start - 3.0_f32.ln()).abs() < 1e-6);
        assert_eq!(Objective::Squared.start(&labels), [0.75]);
    }
}
