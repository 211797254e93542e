//! Quantiles of any number of values in a few kilobytes: a merging t-digest.
//!
//! After Dunning and Ertl, "Computing extremely accurate quantiles using t-digests" (2019), with the scale function
//! k1 (arcsine). It is our own because values come with weights here (repeated values, thinned streams), which the
//! library's digest does not take; the tests hold both against exact quantiles. Nothing in it is random: the same
//! values in the same order give the same digest.

use std::f64::consts::PI;

/// No more centroids than this are kept. One in the middle holds at most 0.63 % of the weight, one at p99.9 0.04 %.
const COMPRESSION: f64 = 500.0;

/// Values that wait to be sorted in.
const BUFFER: usize = 2_048;

/// Some values that lie together: their mean and how many they are.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Centroid {
    pub(crate) mean: f64,
    pub(crate) weight: u64,
}

/// Sketch of a distribution of finite values.
#[derive(Debug, Clone, Default)]
pub(crate) struct Digest {
    /// Sorted by mean.
    centroids: Vec<Centroid>,
    /// Sum of the centroids' weights.
    weight: u64,
    buffer: Vec<f64>,
    /// The weight that each value of the buffer stands for.
    buffer_weight: u64,
}

impl Digest {
    /// A digest of these centroids, sorted by mean.
    pub(crate) fn from_centroids(centroids: Vec<Centroid>) -> Self {
        Self {
            weight: centroids.iter().map(|centroid| centroid.weight).sum(),
            centroids,
            buffer: Vec::new(),
            buffer_weight: 0,
        }
    }

    /// Adds one finite value that stands for `weight` values.
    #[inline]
    pub(crate) fn add(&mut self, value: f64, weight: u64) {
        if self.buffer.len() >= BUFFER || (weight != self.buffer_weight && !self.buffer.is_empty()) {
            self.flush();
        }
        self.buffer_weight = weight;
        self.buffer.push(value);
    }

    /// Adds weighted values in any order, sorted here.
    pub(crate) fn add_weighted(&mut self, mut values: Vec<Centroid>) {
        self.flush();
        values.sort_unstable_by(|a, b| a.mean.total_cmp(&b.mean));
        self.absorb(&values);
    }

    /// Adds what `other` has seen; it must be flushed.
    pub(crate) fn merge(&mut self, other: &Self) {
        debug_assert!(other.buffer.is_empty(), "a digest is flushed before it is merged");
        self.flush();
        self.absorb(&other.centroids);
    }

    /// Sorts in what waits.
    pub(crate) fn flush(&mut self) {
        if self.buffer.is_empty() {
            return;
        }
        let mut values = std::mem::take(&mut self.buffer);
        values.sort_unstable_by(f64::total_cmp);
        let weight = self.buffer_weight;
        let sorted: Vec<Centroid> = values.iter().map(|&mean| Centroid { mean, weight }).collect();
        self.absorb(&sorted);
        values.clear();
        self.buffer = values;
    }

    /// Flushes and gives back the memory for buffering.
    pub(crate) fn finish(&mut self) {
        self.flush();
        self.buffer = Vec::new();
        self.centroids.shrink_to_fit();
    }

    /// The centroids, sorted by mean. The digest must be flushed.
    pub(crate) fn centroids(&self) -> &[Centroid] {
        debug_assert!(self.buffer.is_empty(), "a digest is flushed before it is read");
        &self.centroids
    }

    fn absorb(&mut self, sorted: &[Centroid]) {
        let added: u64 = sorted.iter().map(|centroid| centroid.weight).sum();
        if added == 0 {
            return;
        }
        self.weight += added;
        let total = self.weight as f64;
        let old = std::mem::take(&mut self.centroids);
        let mut kept: Vec<Centroid> = Vec::with_capacity(old.len().max(COMPRESSION as usize));
        let mut before = 0.0;
        let mut limit = total * q_limit(0.0);
        let mut current: Option<Centroid> = None;
        for next in Merged::new(&old, sorted) {
            let Some(open) = &mut current else {
                current = Some(next);
                continue;
            };
            let joined = (open.weight + next.weight) as f64;
            if before + joined <= limit {
                open.weight += next.weight;
                // The form that stays between the two means, whatever rounding does.
                open.mean += (next.mean - open.mean) * (next.weight as f64 / joined);
            } else {
                before += open.weight as f64;
                kept.push(*open);
                limit = total * q_limit(before / total);
                *open = next;
            }
        }
        kept.extend(current);
        self.centroids = kept;
    }

    /// The value below which the share `q` of the values lies. `min` and `max` are the exact extremes.
    /// `None` when the digest is empty.
    pub(crate) fn quantile(&self, q: f64, min: f64, max: f64) -> Option<f64> {
        if self.weight == 0 {
            return None;
        }
        let rank = q.clamp(0.0, 1.0) * self.weight as f64;
        let mut left = (0.0, min);
        for right in self.points(max) {
            if rank < right.0 {
                return Some(between(left, right, rank).clamp(min, max));
            }
            left = right;
        }
        Some(max)
    }

    /// The share of values that are at most `x`. NaN when the digest is empty.
    pub(crate) fn cdf(&self, x: f64, min: f64, max: f64) -> f64 {
        if self.weight == 0 {
            return f64::NAN;
        }
        if x < min {
            return 0.0;
        }
        let mut left = (0.0, min);
        for right in self.points(max) {
            if x < right.1 {
                return rank_between(left, right, x) / self.weight as f64;
            }
            left = right;
        }
        1.0
    }

    /// The distribution as a line through points (rank, value), after (0, min). A centroid lies at its middle rank;
    /// one that is heavier than joining allows holds a single repeated value, and the line rises there in one step.
    fn points(&self, max: f64) -> impl Iterator<Item = (f64, f64)> {
        let total = self.weight as f64;
        let mut before = 0.0;
        let inner = self.centroids().iter().flat_map(move |centroid| {
            let (start, weight) = (before, centroid.weight as f64);
            before += weight;
            let repeated = before > total * q_limit(start / total);
            let (first, last) = if repeated {
                (start, before)
            } else {
                (start + weight / 2.0, start + weight / 2.0)
            };
            [(first, centroid.mean), (last, centroid.mean)]
        });
        inner.chain(std::iter::once((total, max)))
    }
}

/// The share of the weight up to which a centroid may grow that starts at the share `q0`: one step of k1.
fn q_limit(q0: f64) -> f64 {
    let k = COMPRESSION / (2.0 * PI) * (2.0 * q0.clamp(0.0, 1.0) - 1.0).asin() + 1.0;
    let angle = k * 2.0 * PI / COMPRESSION;
    if angle >= PI / 2.0 {
        1.0
    } else {
        f64::midpoint(angle.sin(), 1.0)
    }
}

/// The value at `rank` on the line through two points (rank, value).
fn between(left: (f64, f64), right: (f64, f64), rank: f64) -> f64 {
    let span = right.0 - left.0;
    if span <= 0.0 {
        return right.1;
    }
    let share = (rank - left.0) / span;
    // Two products instead of a difference: the distance of two finite values may overflow.
    left.1 * (1.0 - share) + right.1 * share
}

/// The rank of `x` on the line through two points (rank, value).
fn rank_between(left: (f64, f64), right: (f64, f64), x: f64) -> f64 {
    let span = right.1 - left.1;
    if span <= 0.0 || !span.is_finite() {
        return left.0;
    }
    left.0 + (right.0 - left.0) * ((x - left.1) / span)
}

/// Two sorted lists as one, equal means joined. A repeated value thereby stays a centroid of its own, however heavy,
/// instead of leaking into its neighbours.
struct Merged<'a> {
    a: &'a [Centroid],
    b: &'a [Centroid],
}

impl<'a> Merged<'a> {
    fn new(a: &'a [Centroid], b: &'a [Centroid]) -> Self {
        Self { a, b }
    }

    fn take(&mut self) -> Option<Centroid> {
        let from_a = match (self.a.first(), self.b.first()) {
            (Some(a), Some(b)) => a.mean <= b.mean,
            (Some(_), None) => true,
            (None, Some(_)) => false,
            (None, None) => return None,
        };
        let list = if from_a { &mut self.a } else { &mut self.b };
        let (first, rest) = list.split_first()?;
        *list = rest;
        Some(*first)
    }

    fn next_is(&self, mean: f64) -> bool {
        let first = |list: &[Centroid]| list.first().is_some_and(|centroid| centroid.mean == mean);
        first(self.a) || first(self.b)
    }
}

impl Iterator for Merged<'_> {
    type Item = Centroid;

    fn next(&mut self) -> Option<Centroid> {
        let mut joined = self.take()?;
        while self.next_is(joined.mean) {
            joined.weight += self.take()?.weight;
        }
        Some(joined)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Values with a skew, an atom at zero and a long tail.
    fn values(n: u32) -> Vec<f64> {
        (0..n)
            .map(|i| {
                let u = (f64::from(i.wrapping_mul(2_654_435_761)) + 0.5) / f64::from(u32::MAX);
                if u < 0.3 { 0.0 } else { -(1.0 - u).ln() * 40.0 }
            })
            .collect()
    }

    fn digest(values: &[f64]) -> Digest {
        let mut digest = Digest::default();
        values.iter().for_each(|&value| digest.add(value, 1));
        digest.flush();
        digest
    }

    fn extremes(values: &[f64]) -> (f64, f64) {
        let min = values.iter().copied().fold(f64::INFINITY, f64::min);
        (min, values.iter().copied().fold(f64::NEG_INFINITY, f64::max))
    }

    /// The largest distance between the digest's idea of `P(X <= x)` and the truth, over many x.
    fn worst_rank_error(digest: &Digest, values: &[f64]) -> f64 {
        let (min, max) = extremes(values);
        let mut sorted = values.to_vec();
        sorted.sort_unstable_by(f64::total_cmp);
        (0..=1_000)
            .map(|i| {
                let x = sorted[(sorted.len() - 1) * i / 1_000];
                let truth = sorted.partition_point(|&value| value <= x) as f64 / sorted.len() as f64;
                (digest.cdf(x, min, max) - truth).abs()
            })
            .fold(0.0, f64::max)
    }

    #[test]
    fn ranks_are_right_to_a_third_of_a_percent() {
        let values = values(200_000);
        let digest = digest(&values);
        assert!(
            digest.centroids().len() <= COMPRESSION as usize,
            "{}",
            digest.centroids().len()
        );
        let worst = worst_rank_error(&digest, &values);
        assert!(worst < 0.0033, "{worst}");
    }

    #[test]
    fn merging_many_parts_is_as_good() {
        let values = values(200_000);
        let mut merged = Digest::default();
        for part in values.chunks(1_234) {
            merged.merge(&digest(part));
        }
        assert_eq!(merged.weight, 200_000);
        let worst = worst_rank_error(&merged, &values);
        assert!(worst < 0.0033, "{worst}");
    }

    #[test]
    fn tails_are_sharper_than_the_middle() {
        let values = values(200_000);
        let digest = digest(&values);
        let (min, max) = extremes(&values);
        let mut sorted = values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        for q in [0.99, 0.999, 0.9999] {
            let estimate = digest.quantile(q, min, max).unwrap();
            let rank = sorted.partition_point(|&value| value <= estimate) as f64 / sorted.len() as f64;
            assert!((rank - q).abs() < 0.1 * (1.0 - q) + 1e-5, "{q}: {rank}");
        }
        assert_eq!(digest.quantile(0.0, min, max), Some(min));
        assert_eq!(digest.quantile(1.0, min, max), Some(max));
    }

    #[test]
    fn the_librarys_digest_agrees() {
        let values = values(50_000);
        let ours = digest(&values);
        let mut theirs = datasketches::tdigest::TDigestMut::new(500).unwrap();
        values.iter().for_each(|&value| theirs.update(value));
        let (min, max) = extremes(&values);
        for q in [0.35, 0.5, 0.75, 0.9, 0.99] {
            let a = ours.quantile(q, min, max).unwrap();
            let b = theirs.quantile(q).unwrap().unwrap();
            assert!((a - b).abs() <= 0.01 * b.abs(), "{q}: {a} and {b}");
        }
    }

    #[test]
    fn weights_stand_for_repeats() {
        let mut digest = Digest::default();
        digest.add_weighted(vec![
            Centroid {
                mean: 5.0,
                weight: 900,
            },
            Centroid {
                mean: 1.0,
                weight: 100,
            },
        ]);
        assert!((digest.cdf(1.0, 1.0, 5.0) - 0.1).abs() < 1e-9);
        assert_eq!(digest.quantile(0.5, 1.0, 5.0), Some(5.0));
    }

    #[test]
    fn a_repeated_value_is_a_step() {
        let values = values(100_000);
        let digest = digest(&values);
        let (min, max) = extremes(&values);
        assert_eq!(digest.quantile(0.01, min, max), Some(0.0));
        assert_eq!(digest.quantile(0.29, min, max), Some(0.0));
        assert!(digest.quantile(0.31, min, max).unwrap() > 0.0);
        assert!((digest.cdf(0.0, min, max) - 0.3).abs() < 0.001);
    }

    #[test]
    fn an_empty_digest_has_no_quantiles() {
        assert_eq!(Digest::default().quantile(0.5, 0.0, 0.0), None);
        assert!(Digest::default().cdf(0.0, 0.0, 0.0).is_nan());
    }

    #[test]
    fn values_at_the_ends_of_the_reals_do_not_overflow() {
        let mut digest = digest(&[f64::MIN, f64::MAX]);
        digest.merge(&digest.clone());
        let median = digest.quantile(0.5, f64::MIN, f64::MAX).unwrap();
        assert!(median.is_finite());
    }
}
