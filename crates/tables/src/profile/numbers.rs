//! The state of a column of numbers or times.

use super::hash;
use super::moments::Moments;
use super::quantiles::{Centroid, Digest};
use super::thinning::Thinning;
use super::values::{Counted, Values};

/// How the raw values of a column turn to numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Raw is the bits of an `f64`.
    Real,
    /// Raw is an `i64`.
    Whole,
    /// Raw is an `i64` of microseconds; the number is milliseconds.
    Micros,
}

impl Scale {
    pub(crate) fn number(self, raw: u64) -> f64 {
        match self {
            Self::Real => f64::from_bits(raw),
            Self::Whole => raw as i64 as f64,
            Self::Micros => raw as i64 as f64 / 1_000.0,
        }
    }

    pub(crate) fn hash(self, raw: u64) -> u64 {
        match self {
            Self::Real => hash::number(f64::from_bits(raw)),
            Self::Whole | Self::Micros => hash::integer(raw as i64),
        }
    }
}

/// Everything seen of a column of numbers. Figures are of finite values; the others are counted beside them.
#[derive(Debug, Clone)]
pub(crate) struct Numbers {
    pub(crate) scale: Scale,
    pub(crate) moments: Moments,
    pub(crate) nans: u64,
    pub(crate) infinities: u64,
    /// Raw values.
    pub(crate) values: Values<u64>,
    /// Empty while the values are exact.
    pub(crate) digest: Digest,
    thinning: Thinning,
}

/// Room for one batch of one column, used again for the next.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    pub(crate) wholes: Vec<i64>,
    pub(crate) reals: Vec<f64>,
}

impl Numbers {
    pub(crate) fn new(scale: Scale) -> Self {
        Self {
            scale,
            moments: Moments::default(),
            nans: 0,
            infinities: 0,
            values: Values::default(),
            digest: Digest::default(),
            thinning: Thinning::default(),
        }
    }

    /// A state read back from a stored profile.
    pub(crate) fn from_parts(
        scale: Scale,
        moments: Moments,
        nans: u64,
        infinities: u64,
        values: Values<u64>,
        digest: Digest,
    ) -> Self {
        Self {
            scale,
            moments,
            nans,
            infinities,
            values,
            digest,
            thinning: Thinning::default(),
        }
    }

    /// Tells how many rows the whole table has.
    pub(crate) fn expect(&mut self, rows: u64) {
        self.thinning = Thinning::expecting(rows);
    }

    /// Adds whole numbers (or microseconds); `reals` is room to work in.
    pub(crate) fn add_wholes(&mut self, wholes: &[i64], reals: &mut Vec<f64>) {
        reals.clear();
        match self.scale {
            Scale::Micros => reals.extend(wholes.iter().map(|&micros| micros as f64 / 1_000.0)),
            Scale::Whole | Scale::Real => reals.extend(wholes.iter().map(|&whole| whole as f64)),
        }
        self.moments.add(reals);
        let start = self.count_exactly(wholes.len(), |index| {
            let whole = wholes[index];
            (hash::integer(whole), whole as u64)
        });
        if start < wholes.len() {
            let distinct = self.values.distinct_sketch();
            wholes[start..]
                .iter()
                .for_each(|&whole| distinct.add(hash::integer(whole)));
            self.take(&reals[start..], |index| {
                let whole = wholes[start + index];
                (hash::integer(whole), whole as u64)
            });
        }
    }

    /// Adds real numbers.
    pub(crate) fn add_reals(&mut self, reals: &[f64], scratch: &mut Vec<f64>) {
        let before = self.moments;
        self.moments.add(reals);
        // A value that is not finite makes the mean so; huge finite values may too and lose nothing but time.
        if self.moments.mean.is_finite() && self.moments.min.is_finite() && self.moments.max.is_finite() {
            self.add_finite(reals);
            return;
        }
        self.moments = before;
        if reals.is_empty() {
            return;
        }
        let nans = reals.iter().filter(|value| value.is_nan()).count();
        let infinities = reals.iter().filter(|value| value.is_infinite()).count();
        self.nans += nans as u64;
        self.infinities += infinities as u64;
        scratch.clear();
        scratch.extend(reals.iter().copied().filter(|value| value.is_finite()));
        self.moments.add(scratch);
        self.add_finite(scratch);
    }

    fn add_finite(&mut self, reals: &[f64]) {
        let start = self.count_exactly(reals.len(), |index| {
            let real = reals[index] + 0.0;
            (hash::number(real), real.to_bits())
        });
        if start < reals.len() {
            let distinct = self.values.distinct_sketch();
            reals[start..]
                .iter()
                .for_each(|&real| distinct.add(hash::number(real)));
            self.take(&reals[start..], |index| {
                let real = reals[start + index] + 0.0;
                (hash::number(real), real.to_bits())
            });
        }
    }

    /// Counts values exactly as long as there is room; answers how many it counted.
    fn count_exactly(&mut self, len: usize, value: impl Fn(usize) -> (u64, u64)) -> usize {
        if !self.values.is_exact() {
            return 0;
        }
        for index in 0..len {
            let (hashed, raw) = value(index);
            if self.values.count(hashed, 1, || raw).is_err() {
                self.spill();
                return index;
            }
        }
        len
    }

    /// Feeds the digest and the frequent values of a spilled column.
    fn take(&mut self, reals: &[f64], value: impl Fn(usize) -> (u64, u64)) {
        for (index, weight) in self.thinning.take(reals.len()) {
            let (hashed, raw) = value(index);
            self.digest.add(reals[index] + 0.0, weight);
            self.values.count_frequent(hashed, weight, || raw);
        }
    }

    fn spill(&mut self) {
        if self.values.is_exact() {
            self.digest.add_weighted(weighted(&self.values, self.scale));
            self.values.spill();
        }
    }

    /// Adds what `other`, which is finished, has seen. Whole and real numbers become real.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.scale != other.scale {
            self.become_real();
            let mut real = other.clone();
            real.become_real();
            self.merge_same(&real);
        } else {
            self.merge_same(other);
        }
    }

    fn merge_same(&mut self, other: &Self) {
        self.moments.merge(&other.moments);
        self.nans += other.nans;
        self.infinities += other.infinities;
        if !self.values.stays_exact_with(&other.values) {
            self.spill();
            if other.values.is_exact() {
                self.digest.add_weighted(weighted(&other.values, other.scale));
            } else {
                self.digest.merge(&other.digest);
            }
        }
        self.values.merge(&other.values);
    }

    /// Takes whole numbers for the reals they equal. Times stay: they are never merged with plain numbers.
    fn become_real(&mut self) {
        if self.scale != Scale::Whole {
            return;
        }
        let sketch = self.values.sketch().cloned();
        let entries: Vec<_> = self
            .values
            .entries()
            .map(|(_, entry)| {
                let real = entry.value as i64 as f64;
                (
                    hash::number(real),
                    Counted {
                        value: real.to_bits(),
                        count: entry.count,
                    },
                )
            })
            .collect();
        self.values = Values::from_parts(entries, sketch);
        self.scale = Scale::Real;
    }

    /// Ends reading: flushes and lets go of working memory.
    pub(crate) fn finish(&mut self) {
        self.digest.finish();
        self.values.finish();
    }

    /// The finite values with their counts, sorted, when all are known.
    pub(crate) fn exact(&self) -> Option<Vec<Centroid>> {
        if !self.values.is_exact() {
            return None;
        }
        let mut all = weighted(&self.values, self.scale);
        all.sort_unstable_by(|a, b| a.mean.total_cmp(&b.mean));
        Some(all)
    }
}

fn weighted(values: &Values<u64>, scale: Scale) -> Vec<Centroid> {
    values
        .entries()
        .map(|(_, entry)| Centroid {
            mean: scale.number(entry.value),
            weight: entry.count,
        })
        .collect()
}
