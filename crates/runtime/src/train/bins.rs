//! Columns as small numbers: the learner looks at bins only.
//!
//! A number falls between two cuts; the cuts lie at equal shares of the rows, half-way between neighbouring values, and
//! are 32-bit floats as in the saved model: a row is on the same side of a cut in training and in serving. A category
//! is its code; codes follow the average target, so that categories that behave alike stand together. Missing numbers,
//! missing texts, rare texts and texts never seen share the last bin of their column.

use super::options::TrainOptions;
use everloop_core::Values;
use rand::seq::index::sample;
use rand_pcg::Pcg64Mcg;
use std::collections::HashMap;

/// Rows looked at to find the cuts of a column.
const SAMPLE: usize = 100_000;

/// How many rows of average behaviour each category is mixed with when categories are ordered.
const PRIOR_ROWS: f64 = 20.0;

/// One column as bins.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub(super) name: String,
    pub(super) kind: ColumnKind,
    /// The bin of each row. The last bin, [`ColumnKind::missing`], is that of missing values.
    pub(super) bins: Vec<u8>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum ColumnKind {
    /// Bin `i` holds the values above `cuts[i - 1]` up to `cuts[i]`.
    Numbers { cuts: Vec<f32>, truth: bool },
    /// Bin `i` holds `names[i]`.
    Categories { names: Vec<String> },
}

impl ColumnKind {
    /// The bin of missing values; the bins below hold values.
    pub(super) fn missing(&self) -> usize {
        match self {
            Self::Numbers { cuts, .. } => cuts.len() + 1,
            Self::Categories { names } => names.len(),
        }
    }

    pub(super) fn is_categories(&self) -> bool {
        matches!(self, Self::Categories { .. })
    }

    /// Finds the bins of a column. `target` is a number per row that categories are ordered by.
    pub(super) fn learn(values: &Values, target: &[f64], options: &TrainOptions, seed: u64) -> Self {
        if values.is_text() {
            return Self::Categories {
                names: categories(values, target, options),
            };
        }
        let truth = matches!(values, Values::Bool(_)) && (0..values.len()).all(|row| !values.is_missing(row));
        Self::Numbers {
            cuts: cuts(values, options.max_bins as usize, seed),
            truth,
        }
    }

    /// The bin of each row of `values`.
    pub(super) fn apply(&self, values: &Values) -> Vec<u8> {
        let missing = self.missing() as u8;
        match self {
            Self::Numbers { cuts, .. } => (0..values.len())
                .map(|row| {
                    let value = values.number(row) as f32;
                    if value.is_nan() {
                        missing
                    } else {
                        cuts.partition_point(|cut| *cut < value) as u8
                    }
                })
                .collect(),
            Self::Categories { names } => {
                let codes: HashMap<&str, u8> = names.iter().map(String::as_str).zip(0..).collect();
                let code = |text: &str| codes.get(text).copied().unwrap_or(missing);
                match values {
                    Values::Category { codes, names } => {
                        let own: Vec<u8> = names.iter().map(|name| code(name)).collect();
                        let bin = |row: &u32| own.get(*row as usize).copied().unwrap_or(missing);
                        codes.iter().map(bin).collect()
                    }
                    _ => (0..values.len())
                        .map(|row| values.text(row).map_or(missing, code))
                        .collect(),
                }
            }
        }
    }
}

/// At most `bins - 1` cuts that part the values into bins of about equal size.
fn cuts(values: &Values, bins: usize, seed: u64) -> Vec<f32> {
    let rows = values.len();
    let number = |row: usize| values.number(row) as f32;
    let mut sorted: Vec<f32> = if rows <= SAMPLE {
        (0..rows).map(number).collect()
    } else {
        let mut random = Pcg64Mcg::new(u128::from(seed) << 1 | 1);
        sample(&mut random, rows, SAMPLE).iter().map(number).collect()
    };
    sorted.retain(|value| !value.is_nan());
    sorted.sort_unstable_by(f32::total_cmp);
    let distinct = sorted.chunk_by(|a, b| a == b);
    let counts: Vec<(f32, usize)> = distinct.map(|equal| (equal[0], equal.len())).collect();
    let share = sorted.len() as f64 / bins as f64;
    let few = counts.len() <= bins;
    let (mut cuts, mut below) = (Vec::new(), 0);
    for pair in counts.windows(2) {
        let [(value, count), (next, _)] = *pair else {
            continue;
        };
        below += count;
        if few || below as f64 >= (cuts.len() + 1) as f64 * share {
            cuts.push(between(value, next));
        }
    }
    cuts.truncate(bins - 1);
    cuts
}

/// A number from `low` on and below `high`, half-way where floats allow.
fn between(low: f32, high: f32) -> f32 {
    let middle = low + (high - low) / 2.0;
    if middle.is_finite() && low <= middle && middle < high {
        middle
    } else {
        low
    }
}

/// The texts worth telling apart, ordered by their average target; texts of the same average by name.
fn categories(values: &Values, target: &[f64], options: &TrainOptions) -> Vec<String> {
    let mut sums: HashMap<&str, (f64, f64)> = HashMap::new();
    let (mut total, mut rows) = (0.0, 0.0);
    for (row, target) in target.iter().enumerate() {
        if let Some(text) = values.text(row) {
            let (sum, count) = sums.entry(text).or_default();
            *sum += target;
            *count += 1.0;
            total += target;
            rows += 1.0;
        }
    }
    let average = if rows > 0.0 { total / rows } else { 0.0 };
    let mut kept: Vec<(&str, f64, f64)> = sums
        .into_iter()
        .filter(|(_, (_, count))| *count >= f64::from(options.min_category_rows))
        .map(|(text, (sum, count))| (text, (sum + PRIOR_ROWS * average) / (count + PRIOR_ROWS), count))
        .collect();
    kept.sort_by(|a, b| b.2.total_cmp(&a.2).then(a.0.cmp(b.0)));
    kept.truncate(options.max_bins as usize);
    kept.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.cmp(b.0)));
    let mut names: Vec<String> = kept.into_iter().map(|(text, ..)| text.to_owned()).collect();
    if names.is_empty() {
        // Saved tables of codes may not be empty.
        names.push(String::new());
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn learn(values: &Values, target: &[f64]) -> ColumnKind {
        let options = TrainOptions {
            max_bins: 4,
            min_category_rows: 2,
            ..TrainOptions::new("y")
        };
        ColumnKind::learn(values, target, &options, 7)
    }

    #[test]
    fn few_values_have_a_bin_each_and_missing_the_last() {
        let values = Values::Float(vec![2.0, 1.0, f64::NAN, 4.0, 1.0]);
        let kind = learn(&values, &[0.0; 5]);
        assert_eq!(
            kind,
            ColumnKind::Numbers {
                cuts: vec![1.5, 3.0],
                truth: false
            }
        );
        assert_eq!(kind.apply(&values), [1, 0, 3, 2, 0]);
        let extreme = Values::Float(vec![f64::INFINITY, f64::NEG_INFINITY, 3.0]);
        assert_eq!(kind.apply(&extreme), [2, 0, 1]);
    }

    #[test]
    fn many_values_share_bins_evenly() {
        let values = Values::Float((0..1000).map(f64::from).collect());
        let kind = learn(&values, &[0.0; 1000]);
        let bins = kind.apply(&values);
        for bin in 0..4_u8 {
            let count = bins.iter().filter(|own| **own == bin).count();
            assert!((240..=260).contains(&count), "bin {bin} has {count} rows");
        }
    }

    #[test]
    fn a_cut_is_never_the_value_above() {
        for (low, high) in [
            (1.0_f32, 1.0_f32.next_up()),
            (f32::NEG_INFINITY, 0.0),
            (f32::MAX, f32::INFINITY),
            (f32::MIN, f32::MAX),
            (-0.0, f32::MIN_POSITIVE),
        ] {
            let cut = between(low, high);
            assert!(low <= cut && cut < high, "{low} {cut} {high}");
        }
    }

    #[test]
    fn categories_follow_the_target_and_rare_ones_are_missing() {
        let texts = ["b", "a", "b", "a", "c", "d", "d"].map(|text| Some(text.to_owned()));
        let values = Values::Text(texts.to_vec());
        let kind = learn(&values, &[1.0, 0.0, 1.0, 0.0, 1.0, 0.5, 0.5]);
        let names = ["a", "d", "b"].map(str::to_owned).to_vec();
        assert_eq!(kind, ColumnKind::Categories { names });
        assert_eq!(kind.apply(&values), [2, 0, 2, 0, 3, 1, 1]);
    }
}
