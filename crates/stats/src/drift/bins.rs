//! Edges between numbers, and counts within them.

use super::Sample;
use crate::rank::Groups;
use crate::{Error, Result, check};

/// Ascending edges of bins `[e0, e1), [e1, e2), ..., [ek-1, ek]`; the last bin is closed, as NumPy's.
#[derive(Debug, Clone, PartialEq)]
pub struct Edges(Vec<f64>);

/// Counts per bin, and what fell outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Values per bin.
    pub counts: Vec<u64>,
    /// Values below the first edge.
    pub below: u64,
    /// Values above the last edge.
    pub above: u64,
}

impl Edges {
    /// Given edges, such as those of a stored profile.
    ///
    /// # Errors
    /// Fewer than two, not finite, or not strictly ascending.
    pub fn new(edges: Vec<f64>) -> Result<Self> {
        check::at_least("edges", &edges, 2)?;
        check::finite("edges", &edges)?;
        match edges.windows(2).position(|pair| pair[0] >= pair[1]) {
            Some(at) => Err(Error::OutOfRange {
                what: "edges",
                value: edges[at + 1],
                allowed: "ascending order",
                index: Some(at + 1),
            }),
            None => Ok(Self(edges)),
        }
    }

    /// So many bins of equal width from `low` to `high`; equal ends are widened by 0.5 each way, as NumPy does.
    ///
    /// # Errors
    /// No bins, or ends that are not finite or fall.
    pub fn equal_width(low: f64, high: f64, bins: usize) -> Result<Self> {
        check::finite("edges", &[low, high])?;
        if bins == 0 || low > high {
            let value = if bins == 0 { 0.0 } else { low };
            return Err(Error::OutOfRange {
                what: "bins",
                value,
                allowed: "at least one, rising",
                index: None,
            });
        }
        let (low, high) = if low == high { around(low) } else { (low, high) };
        let step = (high - low) / bins as f64;
        let mut edges: Vec<f64> = (0..=bins).map(|i| (i as f64 * step + low).min(high)).collect();
        edges[bins] = high;
        // A range of a few ulps cannot hold many bins.
        edges.dedup();
        Ok(Self(edges))
    }

    /// NumPy's "sturges" over both samples together: `ceil(log2 n + 1)` bins of equal width (Sturges 1926).
    #[must_use]
    pub fn sturges(a: &Sample, b: &Sample) -> Self {
        let rows = a.values().len() + b.values().len();
        Self::with_width(a.min().min(b.min()), a.max().max(b.max()), sturges_bins(rows))
    }

    /// NumPy's "sturges" over the distinct values of both samples, as Evidently's Hellinger distance bins. `O(n)`.
    #[must_use]
    pub fn sturges_distinct(a: &Sample, b: &Sample) -> Self {
        let distinct = Groups::new(a.values(), b.values()).count();
        Self::with_width(a.min().min(b.min()), a.max().max(b.max()), sturges_bins(distinct))
    }

    /// NumPy's "doane" over one sample: Sturges with room for skewness (Doane 1976). `O(n)`.
    ///
    /// One or two rows, or a constant column, give one bin.
    #[must_use]
    pub fn doane(sample: &Sample) -> Self {
        Self::with_width(sample.min(), sample.max(), doane_bins(sample))
    }

    /// Quantiles of the sample as edges: about the same number of rows per bin, fewer bins where values repeat.
    /// `O(bins)`.
    ///
    /// # Errors
    /// No bins.
    pub fn quantiles(sample: &Sample, bins: usize) -> Result<Self> {
        if bins == 0 {
            return Err(Error::OutOfRange {
                what: "bins",
                value: 0.0,
                allowed: "[1, inf)",
                index: None,
            });
        }
        let quantile = |i: usize| crate::rank::quantile_sorted(sample.values(), i as f64 / bins as f64);
        let mut edges: Vec<f64> = (0..=bins).map(quantile).collect();
        edges.dedup();
        if edges.len() < 2 {
            return Self::equal_width(sample.min(), sample.max(), 1);
        }
        Ok(Self(edges))
    }

    /// The edges.
    #[must_use]
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// Counts a sample. `O(bins log n)`.
    #[must_use]
    pub fn count(&self, sample: &Sample) -> Histogram {
        let values = sample.values();
        let last = self.0.len() - 1;
        // Values below each edge; the last edge belongs to the last bin.
        let below = |(i, edge): (usize, &f64)| {
            values.partition_point(|v| if i == last { v <= edge } else { v < edge }) as u64
        };
        let ranks: Vec<u64> = self.0.iter().enumerate().map(below).collect();
        Histogram {
            counts: ranks.windows(2).map(|pair| pair[1] - pair[0]).collect(),
            below: ranks[0],
            above: values.len() as u64 - ranks[last],
        }
    }

    /// Counts a sample with the ends open, so that every value has a bin. `O(bins log n)`.
    #[must_use]
    pub fn count_open(&self, sample: &Sample) -> Vec<u64> {
        let Histogram {
            mut counts,
            below,
            above,
        } = self.count(sample);
        let last = counts.len() - 1;
        counts[0] += below;
        counts[last] += above;
        counts
    }

    /// NumPy turns a real-valued wish for bins into a width and the width into whole bins.
    fn with_width(low: f64, high: f64, wish: f64) -> Self {
        let bins = if low == high {
            1.0
        } else {
            // Within the last few doubles above 0 the width underflows and the quotient does not end.
            ((high - low) / ((high - low) / wish))
                .ceil()
                .min(wish.ceil() + 1.0)
        };
        // Infallible: samples are finite and not empty, and a wish is at least 1.
        Self::equal_width(low, high, bins.max(1.0) as usize)
            .unwrap_or_else(|_| Self(vec![around(low).0, around(high).1]))
    }
}

/// Half a unit each way, or one double where half a unit is lost in rounding.
fn around(value: f64) -> (f64, f64) {
    (
        (value - 0.5).min(value.next_down()),
        (value + 0.5).max(value.next_up()),
    )
}

fn sturges_bins(rows: usize) -> f64 {
    (rows as f64).log2() + 1.0
}

fn doane_bins(sample: &Sample) -> f64 {
    let n = sample.values().len() as f64;
    let sigma = sample.std();
    if n <= 2.0 || sigma == 0.0 {
        return 1.0;
    }
    let mean = sample.mean();
    let cubes: f64 = sample.values().iter().map(|v| ((v - mean) / sigma).powi(3)).sum();
    let spread = (6.0 * (n - 2.0) / ((n + 1.0) * (n + 3.0))).sqrt();
    1.0 + n.log2() + ((cubes / n).abs() / spread).ln_1p() / std::f64::consts::LN_2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(values: &[f64]) -> Sample {
        Sample::new(values).unwrap()
    }

    #[test]
    fn the_last_bin_is_closed_and_strays_are_counted() {
        let edges = Edges::new(vec![0.0, 1.0, 2.0]).unwrap();
        let got = edges.count(&sample(&[-1.0, 0.0, 1.0, 2.0, 2.5, 3.0]));
        assert_eq!(
            got,
            Histogram {
                counts: vec![1, 2],
                below: 1,
                above: 2
            }
        );
        assert_eq!(
            edges.count_open(&sample(&[-1.0, 0.0, 1.0, 2.0, 2.5, 3.0])),
            [2, 4]
        );
    }

    #[test]
    fn a_constant_column_has_one_bin() {
        let constant = sample(&[3.0; 5]);
        for edges in [
            Edges::doane(&constant),
            Edges::sturges(&constant, &constant),
            Edges::quantiles(&constant, 10).unwrap(),
        ] {
            assert_eq!(edges.count(&constant).counts.iter().sum::<u64>(), 5, "{edges:?}");
        }
        assert_eq!(Edges::quantiles(&constant, 10).unwrap().as_slice(), [2.5, 3.5]);
    }

    #[test]
    fn the_ends_of_doubles_can_be_binned() {
        // Half a unit is lost beside 1e16; a width of 5e-324 cannot be divided.
        for values in [vec![1e16], vec![0.0, 5e-324], vec![-1e140, 1e140]] {
            let extreme = sample(&values);
            for edges in [Edges::sturges(&extreme, &extreme), Edges::doane(&extreme)] {
                assert_eq!(
                    edges.count(&extreme).counts.iter().sum::<u64>(),
                    values.len() as u64,
                    "{edges:?}"
                );
            }
        }
    }

    #[test]
    fn edges_must_rise() {
        assert!(Edges::new(vec![0.0, 0.0]).is_err());
        assert!(Edges::new(vec![0.0]).is_err());
        assert!(Edges::equal_width(1.0, 0.0, 3).is_err());
        assert!(Edges::equal_width(0.0, 1.0, 0).is_err());
    }
}
