//! From the sum of the leaves to probabilities and values.

use crate::math::{exp, ln, sigmoid, softmax};

/// How the sums of the leaves become what the model answers.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Link {
    /// As they are.
    Identity,
    /// One sum to a probability: `1 / (1 + exp(-scale * sum))`.
    Sigmoid { scale: f64 },
    /// `exp(sum)`.
    Exp,
    /// `ln(1 + exp(sum))`.
    SoftPlus,
    /// `sign(sum) * sum^2` (LightGBM's `reg_sqrt`).
    SignedSquare,
    /// 1 when the sum is positive, else 0 (XGBoost's hinge).
    Step,
    /// Sums of all classes to probabilities.
    Softmax,
    /// Each class on its own, not summing to 1 (LightGBM's `multiclassova`).
    EachSigmoid { scale: f64 },
}

impl Link {
    /// Turns the sums of one row into answers, in place.
    pub(crate) fn apply(self, scores: &mut [f64]) {
        match self {
            Self::Identity => {}
            Self::Softmax => softmax(scores),
            Self::Sigmoid { scale } | Self::EachSigmoid { scale } => {
                for score in scores {
                    *score = sigmoid(scale * *score);
                }
            }
            Self::Exp => scores.iter_mut().for_each(|score| *score = exp(*score)),
            Self::SoftPlus => scores.iter_mut().for_each(|score| *score = soft_plus(*score)),
            Self::SignedSquare => scores.iter_mut().for_each(|score| *score *= score.abs()),
            Self::Step => scores
                .iter_mut()
                .for_each(|score| *score = if *score > 0.0 { 1.0 } else { 0.0 }),
        }
    }
}

fn soft_plus(x: f64) -> f64 {
    x.max(0.0) + ln(1.0 + exp(-x.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_sums_stay_finite() {
        for link in [
            Link::Sigmoid { scale: 2.0 },
            Link::SoftPlus,
            Link::Softmax,
            Link::Step,
        ] {
            let mut scores = [-800.0, 800.0, 0.0];
            link.apply(&mut scores);
            assert!(
                scores.iter().all(|score| score.is_finite()),
                "{link:?}: {scores:?}"
            );
        }
    }
}
