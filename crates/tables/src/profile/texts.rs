//! The state of a column of texts.

use super::hash;
use super::moments::Moments;
use super::thinning::Thinning;
use super::values::Values;

/// Longer texts are no categories: they are measured and counted as different, but never kept.
const LONGEST_KEPT: usize = 256;

/// Everything seen of a column of texts.
#[derive(Debug, Clone, Default)]
pub(crate) struct Texts {
    /// Of the lengths, in characters.
    pub(crate) lengths: Moments,
    pub(crate) empty: u64,
    pub(crate) values: Values<Box<str>>,
    thinning: Thinning,
}

impl Texts {
    /// A state read back from a stored profile.
    pub(crate) fn from_parts(lengths: Moments, empty: u64, values: Values<Box<str>>) -> Self {
        Self {
            lengths,
            empty,
            values,
            thinning: Thinning::default(),
        }
    }

    /// Tells how many rows the whole table has.
    pub(crate) fn expect(&mut self, rows: u64) {
        self.thinning = Thinning::expecting(rows);
    }

    /// Adds texts, each `counts[i]` times (once without `counts`); `scratch` is room to work in.
    pub(crate) fn add<'a>(&mut self, texts: impl Iterator<Item = (&'a str, u64)>, scratch: &mut Vec<f64>) {
        scratch.clear();
        for (text, count) in texts {
            let length = characters(text);
            if count == 1 {
                scratch.push(length);
            } else {
                self.lengths.add_repeated(length, count);
            }
            self.empty += if text.is_empty() { count } else { 0 };
            self.add_value(text, count);
        }
        self.lengths.add(scratch);
    }

    #[inline]
    fn add_value(&mut self, text: &str, count: u64) {
        let hashed = hash::text(text.as_bytes());
        let long = text.len() > LONGEST_KEPT;
        if self.values.is_exact() {
            if !long && self.values.count(hashed, count, || text.into()).is_ok() {
                return;
            }
            self.values.spill();
        }
        self.values.distinct_sketch().add(hashed);
        if !long {
            self.count_frequent(text, hashed, count);
        }
    }

    #[inline]
    fn count_frequent(&mut self, text: &str, hashed: u64, count: u64) {
        if count > 1 {
            self.values.count_frequent(hashed, count, || text.into());
            return;
        }
        for (_, weight) in self.thinning.take(1) {
            self.values.count_frequent(hashed, weight, || text.into());
        }
    }

    /// Adds what `other`, which is finished, has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        self.lengths.merge(&other.lengths);
        self.empty += other.empty;
        self.values.merge(&other.values);
    }

    /// Ends reading.
    pub(crate) fn finish(&mut self) {
        self.values.finish();
    }
}

/// Unicode scalar values: bytes that do not continue another.
#[inline]
fn characters(text: &str) -> f64 {
    text.bytes().filter(|byte| (*byte as i8) >= -0x40).count() as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn add(texts: &mut Texts, all: &[&str]) {
        texts.add(all.iter().map(|text| (*text, 1)), &mut Vec::new());
    }

    #[test]
    fn lengths_are_in_characters() {
        let mut texts = Texts::default();
        add(&mut texts, &["", "né", "日本語"]);
        assert_eq!((texts.lengths.min, texts.lengths.max, texts.empty), (0.0, 3.0, 1));
    }

    #[test]
    fn a_long_text_is_counted_but_not_kept() {
        let mut texts = Texts::default();
        let long = "x".repeat(300);
        add(&mut texts, &[&long, &long, "y"]);
        assert!(!texts.values.is_exact());
        assert_eq!(texts.values.distinct().round(), 2.0);
        assert_eq!(texts.values.count_of(hash::text(long.as_bytes())), 0);
    }
}
