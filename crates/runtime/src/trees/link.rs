//! From the sum of the leaves to probabilities and values.

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
            Self::Exp => scores.iter_mut().for_each(|score| *score = score.exp()),
            Self::SoftPlus => scores.iter_mut().for_each(|score| *score = soft_plus(*score)),
            Self::SignedSquare => scores.iter_mut().for_each(|score| *score *= score.abs()),
            Self::Step => scores
                .iter_mut()
                .for_each(|score| *score = if *score > 0.0 { 1.0 } else { 0.0 }),
        }
    }
}

pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

fn soft_plus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

pub(crate) fn softmax(scores: &mut [f64]) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = (*score - highest).exp();
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn extreme_sums_stay_finite() {
        for x in [-800.0, 800.0, 0.0] {
            assert!(sigmoid(x).is_finite());
            assert!(soft_plus(x).is_finite());
        }
        let mut scores = [1000.0, 1000.0, -1000.0];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
    }
}
