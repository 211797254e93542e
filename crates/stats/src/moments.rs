//! Count, mean and variance of a stream, mergeable.

use serde::{Deserialize, Serialize};

/// Running moments of values seen one by one (Welford 1962) or merged from parts (Chan, Golub & LeVeque 1983).
///
/// Merging is associative up to rounding. NaN would poison the sums: drop missing values before.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct Moments {
    /// Values seen.
    pub count: u64,
    /// Their mean; 0 when there are none.
    pub mean: f64,
    /// Sum of squared deviations from the mean.
    pub m2: f64,
}

impl Moments {
    /// The moments of a slice. `O(n)`, one pass.
    #[must_use]
    pub fn of(values: &[f64]) -> Self {
        let mut moments = Self::default();
        values.iter().for_each(|value| moments.push(*value));
        moments
    }

    /// The moments of `count` zeros and ones of which `hits` are ones. `hits` must not exceed `count`.
    #[must_use]
    pub fn of_rate(hits: u64, count: u64) -> Self {
        if count == 0 {
            return Self::default();
        }
        let mean = hits as f64 / count as f64;
        Self {
            count,
            mean,
            m2: hits as f64 * (1.0 - mean),
        }
    }

    /// Takes one more value.
    pub fn push(&mut self, value: f64) {
        self.count += 1;
        let delta = value - self.mean;
        self.mean += delta / self.count as f64;
        self.m2 += delta * (value - self.mean);
    }

    /// The moments of both streams together.
    #[must_use]
    pub fn merge(self, other: Self) -> Self {
        if self.count == 0 || other.count == 0 {
            return if self.count == 0 { other } else { self };
        }
        let count = self.count + other.count;
        let delta = other.mean - self.mean;
        let share = other.count as f64 / count as f64;
        Self {
            count,
            mean: self.mean + delta * share,
            m2: self.m2 + other.m2 + delta * delta * self.count as f64 * share,
        }
    }

    /// Variance with divisor `count - 1`; `None` below two values.
    #[must_use]
    pub fn sample_variance(self) -> Option<f64> {
        (self.count > 1).then(|| self.m2 / (self.count - 1) as f64)
    }

    /// Variance with divisor `count`; `None` without values.
    #[must_use]
    pub fn population_variance(self) -> Option<f64> {
        (self.count > 0).then(|| self.m2 / self.count as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_moments_of_zeros_and_ones() {
        let direct = Moments::of(&[1.0, 0.0, 0.0, 1.0, 1.0]);
        let rate = Moments::of_rate(3, 5);
        assert!((direct.mean - rate.mean).abs() < 1e-15 && (direct.m2 - rate.m2).abs() < 1e-15);
        assert_eq!(Moments::of_rate(0, 0).sample_variance(), None);
    }

    #[test]
    fn a_large_offset_does_not_cancel() {
        let moments = Moments::of(&[1e9 + 4.0, 1e9 + 7.0, 1e9 + 13.0, 1e9 + 16.0]);
        assert_eq!(moments.sample_variance(), Some(30.0));
    }
}
