//! Which values a column has and how often: exactly while they are few, by sketches when they are many.
//!
//! Up to [`EXACT_VALUES`] different values each have their own count, and every figure of the column is exact. One
//! value more, and the column turns to a sketch for ever: the distinct sketch, and counts of the frequent values by
//! Misra and Gries (1982), which give each value at most [`Values::error`] too little and never too much. Whether a
//! table ends exact or as a sketch depends on its values alone, not on their order or on how parts were merged.

use super::distinct::Distinct;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// The most different values that are counted exactly.
pub(crate) const EXACT_VALUES: usize = 512;

/// Frequent values counted while reading; a value with more than 1/512 of the weight is never lost.
const FREQUENT_VALUES: usize = 1_024;

/// Frequent values kept in a finished profile.
const KEPT_VALUES: usize = 256;

/// Takes keys as they are: they are hashes already.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 << 8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// A value and how often it came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Counted<V> {
    pub(crate) value: V,
    pub(crate) count: u64,
}

type Entries<V> = HashMap<u64, Counted<V>, BuildHasherDefault<Hashed>>;

/// What replaces exact counts when the values are many.
#[derive(Debug, Clone)]
pub(crate) struct Sketch {
    pub(crate) distinct: Distinct,
    /// A frequent value's count may be this much too low.
    pub(crate) error: u64,
}

/// The values of a column, by their hashes.
#[derive(Debug, Clone)]
pub(crate) struct Values<V> {
    entries: Entries<V>,
    /// `None` while the counts are exact.
    sketch: Option<Sketch>,
}

impl<V> Default for Values<V> {
    fn default() -> Self {
        Self {
            entries: Entries::default(),
            sketch: None,
        }
    }
}

/// One value more than can be counted exactly.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TooMany;

impl<V: Clone> Values<V> {
    /// Values read back from a stored profile.
    pub(crate) fn from_parts(
        entries: impl IntoIterator<Item = (u64, Counted<V>)>,
        sketch: Option<Sketch>,
    ) -> Self {
        Self {
            entries: entries.into_iter().collect(),
            sketch,
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        self.sketch.is_none()
    }

    pub(crate) fn sketch(&self) -> Option<&Sketch> {
        self.sketch.as_ref()
    }

    /// The counted values, in no order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&u64, &Counted<V>)> {
        self.entries.iter()
    }

    /// How often the value with this hash came: exactly, or at least.
    pub(crate) fn count_of(&self, hash: u64) -> u64 {
        self.entries.get(&hash).map_or(0, |entry| entry.count)
    }

    /// The number of different values: exact, or estimated.
    pub(crate) fn distinct(&self) -> f64 {
        match &self.sketch {
            None => self.entries.len() as f64,
            Some(sketch) => sketch.distinct.estimate(),
        }
    }

    /// A count may be this much too low.
    pub(crate) fn error(&self) -> u64 {
        self.sketch.as_ref().map_or(0, |sketch| sketch.error)
    }

    /// Counts a value exactly.
    ///
    /// # Errors
    /// When there is no room for another value; then the caller spills and goes on with the sketches.
    #[inline]
    pub(crate) fn count(&mut self, hash: u64, count: u64, value: impl FnOnce() -> V) -> Result<(), TooMany> {
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.count += count;
            return Ok(());
        }
        if self.entries.len() >= EXACT_VALUES {
            return Err(TooMany);
        }
        let value = value();
        self.entries.insert(hash, Counted { value, count });
        Ok(())
    }

    /// Turns exact counts to a sketch.
    pub(crate) fn spill(&mut self) {
        if self.sketch.is_none() {
            let mut distinct = Distinct::default();
            self.entries.keys().for_each(|&hash| distinct.add(hash));
            self.sketch = Some(Sketch { distinct, error: 0 });
        }
    }

    /// The distinct sketch. Spills first.
    #[inline]
    pub(crate) fn distinct_sketch(&mut self) -> &mut Distinct {
        self.spill();
        &mut self.sketch.as_mut().expect("spilled above").distinct
    }

    /// Counts a frequent value of a spilled column; `count` may stand for rows that were passed over.
    #[inline]
    pub(crate) fn count_frequent(&mut self, hash: u64, count: u64, value: impl FnOnce() -> V) {
        if let Some(entry) = self.entries.get_mut(&hash) {
            entry.count += count;
            return;
        }
        if self.entries.len() >= FREQUENT_VALUES {
            self.purge(FREQUENT_VALUES / 2);
        }
        let value = value();
        self.entries.insert(hash, Counted { value, count });
    }

    /// Takes from each count what the `keep + 1`st largest has, so that at most `keep` stay.
    fn purge(&mut self, keep: usize) {
        if self.entries.len() <= keep {
            return;
        }
        let mut counts: Vec<u64> = self.entries.values().map(|entry| entry.count).collect();
        let (_, &mut taken, _) = counts.select_nth_unstable_by(keep, |a, b| b.cmp(a));
        self.entries.retain(|_, entry| {
            entry.count = entry.count.saturating_sub(taken);
            entry.count > 0
        });
        if let Some(sketch) = &mut self.sketch {
            sketch.error += taken;
        }
    }

    /// Whether this and `other` are exact and stay so when merged.
    pub(crate) fn stays_exact_with(&self, other: &Self) -> bool {
        let new = other
            .entries
            .keys()
            .filter(|hash| !self.entries.contains_key(hash))
            .count();
        self.is_exact() && other.is_exact() && self.entries.len() + new <= EXACT_VALUES
    }

    /// Adds what `other` has seen; spills when the two do not stay exact.
    pub(crate) fn merge(&mut self, other: &Self) {
        if self.stays_exact_with(other) {
            for (&hash, entry) in &other.entries {
                self.add_entry(hash, entry);
            }
            return;
        }
        let distinct = self.distinct_sketch();
        match &other.sketch {
            Some(theirs) => distinct.merge(&theirs.distinct),
            None => other.entries.keys().for_each(|&hash| distinct.add(hash)),
        }
        for (&hash, entry) in &other.entries {
            self.add_entry(hash, entry);
        }
        if let Some(sketch) = &mut self.sketch {
            sketch.error += other.error();
        }
        self.purge(FREQUENT_VALUES);
    }

    fn add_entry(&mut self, hash: u64, theirs: &Counted<V>) {
        self.entries
            .entry(hash)
            .and_modify(|mine| mine.count += theirs.count)
            .or_insert_with(|| theirs.clone());
    }

    /// Drops what a reader of a sketch should not take for frequent: counts that their own error outweighs. Of the
    /// values of an identifier nothing stays, which also keeps them out of stored profiles.
    pub(crate) fn finish(&mut self) {
        let Some(sketch) = &mut self.sketch else {
            return;
        };
        let mut floor = sketch.error;
        if self.entries.len() > KEPT_VALUES {
            let mut counts: Vec<u64> = self.entries.values().map(|entry| entry.count).collect();
            let (_, &mut next, _) = counts.select_nth_unstable_by(KEPT_VALUES, |a, b| b.cmp(a));
            floor = floor.max(next);
        }
        let mut dropped = 0;
        self.entries.retain(|_, entry| {
            let keep = entry.count > floor;
            if !keep {
                dropped = dropped.max(entry.count);
            }
            keep
        });
        // A value that is gone counts as zero, so its count is the error now made.
        sketch.error += dropped;
        self.entries.shrink_to_fit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::hash;

    fn add(values: &mut Values<i64>, value: i64) {
        let hashed = hash::integer(value);
        if values.is_exact() {
            if values.count(hashed, 1, || value).is_ok() {
                return;
            }
            values.spill();
        }
        values.distinct_sketch().add(hashed);
        values.count_frequent(hashed, 1, || value);
    }

    fn of(all: impl IntoIterator<Item = i64>) -> Values<i64> {
        let mut values = Values::default();
        all.into_iter().for_each(|value| add(&mut values, value));
        values
    }

    #[test]
    fn few_values_are_counted_exactly() {
        let values = of((0..100_000).map(|i| i % 512));
        assert!(values.is_exact());
        assert_eq!(values.distinct(), 512.0);
        assert_eq!(values.count_of(hash::integer(3)), 196);
    }

    #[test]
    fn exactness_depends_on_the_values_not_on_the_merges() {
        let (a, b, c) = (of(0..300), of(200..512), of(500..513));
        let mut left = a.clone();
        left.merge(&b);
        assert!(left.is_exact());
        left.merge(&c);
        let mut right = b;
        right.merge(&c);
        let mut outer = a;
        outer.merge(&right);
        assert!(!left.is_exact() && !outer.is_exact());
        assert_eq!(left.distinct(), outer.distinct());
    }

    #[test]
    fn a_frequent_value_survives_a_flood_of_rare_ones() {
        let mut values = of((0..200_000).map(|i| if i % 50 == 0 { -1 } else { i }));
        values.finish();
        let (count, truth) = (values.count_of(hash::integer(-1)), 4_000);
        assert!(
            count <= truth && count + values.error() >= truth,
            "{count} +{}",
            values.error()
        );
        assert_eq!(values.entries().count(), 1);
    }

    #[test]
    fn counts_never_exceed_the_truth_and_miss_at_most_the_error() {
        let stream = |part: i64| (0..40_000).map(move |i| (i * i + part * 7) % 5_003 % (i % 700 + 1));
        let mut truth = HashMap::new();
        let mut merged = Values::default();
        for part in 0..5 {
            stream(part).for_each(|value| *truth.entry(value).or_insert(0_u64) += 1);
            let mut values = of(stream(part));
            values.finish();
            merged.merge(&values);
        }
        for (&value, &count) in &truth {
            let estimate = merged.count_of(hash::integer(value));
            assert!(
                estimate <= count && estimate + merged.error() >= count,
                "{value}: {estimate} of {count}"
            );
        }
    }
}
