//! Count, mean, variance and extremes in one pass.
//!
//! Each slice is summed in two vectorised passes over the cache and joined by the parallel update of Chan, Golub and
//! LeVeque (1979), so that a mean of 1e9 with a deviation of 1 keeps its digits. All figures are of finite values.

use serde::{Deserialize, Serialize};

/// Count, mean, sum of squared deviations and extremes of the values seen.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub(crate) struct Moments {
    pub(crate) count: u64,
    pub(crate) mean: f64,
    /// Sum of squared deviations from the mean.
    pub(crate) m2: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            count: 0,
            mean: 0.0,
            m2: 0.0,
            min: f64::INFINITY,
            max: f64::NEG_INFINITY,
        }
    }
}

/// Independent sums, so that additions do not wait for each other.
const LANES: usize = 8;

impl Moments {
    /// Adds `values`, all finite.
    pub(crate) fn add(&mut self, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let (sum, min, max) = sum_and_range(values);
        let mean = sum / values.len() as f64;
        self.merge(&Self {
            count: values.len() as u64,
            mean,
            m2: squares_around(values, mean),
            min,
            max,
        });
    }

    /// Adds `value` `count` times.
    pub(crate) fn add_repeated(&mut self, value: f64, count: u64) {
        if count > 0 {
            self.merge(&Self {
                count,
                mean: value,
                m2: 0.0,
                min: value,
                max: value,
            });
        }
    }

    /// Adds what `other` has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        let (a, b) = (self.count as f64, other.count as f64);
        let delta = other.mean - self.mean;
        self.count += other.count;
        self.mean += delta * (b / (a + b));
        self.m2 += other.m2 + delta * delta * (a * (b / (a + b)));
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
    }

    /// Variance of the sample (n - 1); NaN below two values.
    pub(crate) fn variance(&self) -> f64 {
        if self.count < 2 {
            f64::NAN
        } else {
            self.m2 / (self.count - 1) as f64
        }
    }
}

fn sum_and_range(values: &[f64]) -> (f64, f64, f64) {
    let mut sums = [0.0; LANES];
    let mut mins = [f64::INFINITY; LANES];
    let mut maxs = [f64::NEG_INFINITY; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            let value = chunk[lane];
            sums[lane] += value;
            mins[lane] = if value < mins[lane] { value } else { mins[lane] };
            maxs[lane] = if value > maxs[lane] { value } else { maxs[lane] };
        }
    }
    for (lane, &value) in chunks.remainder().iter().enumerate() {
        sums[lane] += value;
        mins[lane] = mins[lane].min(value);
        maxs[lane] = maxs[lane].max(value);
    }
    (
        sums.iter().sum(),
        mins.into_iter().fold(f64::INFINITY, f64::min),
        maxs.into_iter().fold(f64::NEG_INFINITY, f64::max),
    )
}

fn squares_around(values: &[f64], mean: f64) -> f64 {
    let mut sums = [0.0; LANES];
    let mut chunks = values.chunks_exact(LANES);
    for chunk in &mut chunks {
        for lane in 0..LANES {
            let off = chunk[lane] - mean;
            sums[lane] += off * off;
        }
    }
    for (lane, &value) in chunks.remainder().iter().enumerate() {
        sums[lane] += (value - mean) * (value - mean);
    }
    sums.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_far_mean_keeps_the_digits_of_the_variance() {
        let values: Vec<f64> = (0..10_000).map(|i| 1e9 + f64::from(i % 2)).collect();
        let mut parts = Moments::default();
        values.chunks(37).for_each(|part| parts.add(part));
        assert!((parts.variance() - 0.25).abs() < 1e-4, "{}", parts.variance());
        assert_eq!((parts.min, parts.max), (1e9, 1e9 + 1.0));
    }

    #[test]
    fn nothing_is_neutral() {
        let mut moments = Moments::default();
        moments.add(&[1.0, 3.0]);
        let before = moments;
        moments.merge(&Moments::default());
        moments.add(&[]);
        assert_eq!(moments, before);
        assert!(Moments::default().variance().is_nan());
    }
}
