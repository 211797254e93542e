//! Whether the inputs of a window still look as they did in training, column by column.
//!
//! Numbers are counted in the training data's quantile bins, texts by its frequent values; what is missing has a bin
//! of its own. The effect is the population stability index, the test is chi-square on the same counts. A column has
//! drifted when the test is sure at the asked false-discovery rate over all columns (Benjamini & Hochberg 1995) *and*
//! the effect is large enough to matter: with many rows every difference is certain, and most are harmless.

use everloop_core::{Frame, Values};
use everloop_stats::drift::{Zeros, chi_square, psi};
use everloop_stats::fdr::benjamini_hochberg;
use everloop_tables::{ColumnProfile, Kind};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

use crate::Result;
use crate::reference::{Reference, SCORE};

/// Bins of a number, each with about a tenth of the training rows.
const BINS: usize = 10;
/// Frequent values of a text that have a bin of their own; the rest share one.
const CATEGORIES: usize = 30;

/// How to judge.
#[derive(Debug, Clone, PartialEq)]
pub struct DriftSettings {
    /// False-discovery rate over the columns.
    pub fdr: f64,
    /// The least effect (population stability index) that matters.
    pub min_effect: f64,
    /// Rows below which nothing is judged.
    pub min_samples: u64,
    /// Only these columns, when there are any.
    pub columns: Vec<String>,
    /// Not these.
    pub ignore: Vec<String>,
}

/// One column compared.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// The column.
    pub name: String,
    /// Population stability index, 0 and up.
    pub psi: f64,
    /// Chi-square's p-value.
    pub p_value: f64,
    /// The p-value after the correction over all columns.
    pub q_value: f64,
    /// Whether it has drifted.
    pub drifted: bool,
    /// Share of missing values in training and in the window.
    pub null_share: (f64, f64),
    /// Share of the window's texts that training never saw; none for numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unseen_share: Option<f64>,
}

/// A window's inputs against training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DriftReport {
    /// Rows of the window.
    pub rows: u64,
    /// Rows of the reference.
    pub reference_rows: u64,
    /// Whether there were enough rows to judge.
    pub judged: bool,
    /// The columns, most drifted first.
    pub columns: Vec<ColumnDrift>,
}

impl DriftReport {
    /// The columns that drifted.
    #[must_use]
    pub fn drifted(&self) -> Vec<&str> {
        self.columns
            .iter()
            .filter(|column| column.drifted)
            .map(|column| column.name.as_str())
            .collect()
    }
}

/// Compares the columns that `window` and `reference` share, and the answers ([`SCORE`]) when both have them, whatever
/// columns are asked for: drift of the predictions.
///
/// # Errors
/// When a statistic fails for another reason than an empty column.
pub fn drift(reference: &Reference, window: &Frame, settings: &DriftSettings) -> Result<DriftReport> {
    let rows = window.rows() as u64;
    let judged = rows >= settings.min_samples.max(1);
    let mut columns = Vec::new();
    if judged {
        for column in window.columns() {
            let name = column.name.as_str();
            let is_score = name == SCORE;
            let known = if is_score {
                reference.scores.as_ref()
            } else {
                Some(&reference.profile)
            };
            let Some(trained) = known.and_then(|profile| profile.column(name)) else {
                continue;
            };
            let is_asked =
                is_score || settings.columns.is_empty() || settings.columns.iter().any(|asked| asked == name);
            if !is_asked || settings.ignore.iter().any(|ignored| ignored == name) {
                continue;
            }
            columns.extend(compare(trained, &column.values)?);
        }
    }
    let p_values: Vec<f64> = columns.iter().map(|column| column.p_value).collect();
    let q_values = benjamini_hochberg(&p_values)?;
    for (column, q_value) in columns.iter_mut().zip(q_values) {
        column.q_value = q_value;
        column.drifted = q_value <= settings.fdr && column.psi >= settings.min_effect;
    }
    columns.sort_by(|a, b| b.psi.total_cmp(&a.psi).then_with(|| a.name.cmp(&b.name)));
    Ok(DriftReport {
        rows,
        reference_rows: reference.profile.rows(),
        judged,
        columns,
    })
}

/// None when the column can't be compared: no values in training, or kinds that differ.
fn compare(trained: &ColumnProfile, values: &Values) -> Result<Option<ColumnDrift>> {
    let counts = match trained.kind() {
        Kind::Text | Kind::Boolean => by_category(trained, values),
        kind if kind.is_numeric() && !values.is_text() => by_bin(trained, values),
        _ => None,
    };
    let Some(Counts {
        reference,
        current,
        unseen_share,
    }) = counts
    else {
        return Ok(None);
    };
    let effect = psi(&reference, &current, Zeros::Evidently)?;
    // Bins that are empty on both sides tell nothing, and chi-square can't have them.
    let (reference, current): (Vec<u64>, Vec<u64>) = reference
        .into_iter()
        .zip(current)
        .filter(|(a, b)| a + b > 0)
        .unzip();
    // One bin only: every row is alike on both sides.
    let p_value = if reference.len() < 2 {
        1.0
    } else {
        chi_square(&reference, &current)?.p_value
    };
    let missing = (0..values.len()).filter(|&row| values.is_missing(row)).count();
    Ok(Some(ColumnDrift {
        name: trained.name().to_owned(),
        psi: effect,
        p_value,
        q_value: 1.0,
        drifted: false,
        null_share: (trained.null_share(), missing as f64 / values.len().max(1) as f64),
        unseen_share,
    }))
}

/// Rows per bin on both sides; the last bin holds what is missing.
struct Counts {
    reference: Vec<u64>,
    current: Vec<u64>,
    unseen_share: Option<f64>,
}

fn by_bin(trained: &ColumnProfile, values: &Values) -> Option<Counts> {
    let edges = trained.quantile_edges(BINS);
    let shares = trained.bin_shares(&edges)?;
    let there = (1.0 - trained.null_share() - trained.nan_share()).max(0.0);
    let rows = trained.rows() as f64;
    let mut reference: Vec<u64> = shares
        .iter()
        .map(|share| (share * there * rows).round() as u64)
        .collect();
    reference.push(((1.0 - there) * rows).round() as u64);
    let mut current = vec![0_u64; edges.len() + 2];
    for row in 0..values.len() {
        let number = values.number(row);
        // Training's bins hold values at most their edge.
        let bin = if number.is_nan() {
            edges.len() + 1
        } else {
            edges.partition_point(|edge| *edge < number)
        };
        current[bin] += 1;
    }
    Some(Counts {
        reference,
        current,
        unseen_share: None,
    })
}

fn by_category(trained: &ColumnProfile, values: &Values) -> Option<Counts> {
    let top = trained.top(CATEGORIES);
    if top.is_empty() {
        return None;
    }
    let place: HashMap<&str, usize> = top
        .iter()
        .enumerate()
        .map(|(index, value)| (value.value.as_str(), index))
        .collect();
    let known: u64 = top.iter().map(|value| value.count).sum();
    let mut reference: Vec<u64> = top.iter().map(|value| value.count).collect();
    let missing = trained.nulls();
    reference.push(trained.rows().saturating_sub(known + missing));
    reference.push(missing);
    let mut current = vec![0_u64; top.len() + 2];
    let mut unseen = 0_u64;
    for row in 0..values.len() {
        let truth;
        let text = match values {
            Values::Bool(truths) => {
                truth = truths[row].map(|value| value.to_string());
                truth.as_deref()
            }
            other => other.text(row),
        };
        match text {
            None => current[top.len() + 1] += 1,
            Some(text) => match place.get(text) {
                Some(index) => current[*index] += 1,
                None => {
                    current[top.len()] += 1;
                    unseen += u64::from(trained.is_exact() && trained.share_of(text) == 0.0);
                }
            },
        }
    }
    let unseen_share = Some(unseen as f64 / values.len().max(1) as f64);
    Some(Counts {
        reference,
        current,
        unseen_share,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_core::Column;
    use everloop_tables::{Profile, ProfileBuilder, ProfileOptions, from_frame};

    fn frame(numbers: Vec<f64>, texts: &[&str]) -> Frame {
        let texts = texts
            .iter()
            .map(|text| (!text.is_empty()).then(|| (*text).to_owned()))
            .collect();
        Frame::new(vec![
            Column {
                name: "x".to_owned(),
                values: Values::Float(numbers),
            },
            Column {
                name: "t".to_owned(),
                values: Values::Text(texts),
            },
        ])
        .unwrap()
    }

    fn profile(frame: &Frame) -> Profile {
        let batch = from_frame(frame).unwrap();
        let mut builder = ProfileBuilder::new(&batch.schema(), &ProfileOptions::default()).unwrap();
        builder.push(&batch).unwrap();
        builder.finish()
    }

    fn reference(inputs: &Frame) -> Reference {
        Reference {
            words: "training".to_owned(),
            profile: profile(inputs),
            scores: None,
        }
    }

    fn settings() -> DriftSettings {
        DriftSettings {
            fdr: 0.05,
            min_effect: 0.1,
            min_samples: 100,
            columns: Vec::new(),
            ignore: Vec::new(),
        }
    }

    fn training() -> Frame {
        let texts: Vec<&str> = (0..2_000).map(|row| ["EWR", "JFK", "LGA"][row % 3]).collect();
        frame((0..2_000).map(|row| f64::from(row % 100)).collect(), &texts)
    }

    #[test]
    fn the_same_distribution_does_not_drift_and_another_does() {
        let reference = reference(&training());
        let same = drift(
            &reference,
            &training().take(&(0..600).collect::<Vec<_>>()),
            &settings(),
        )
        .unwrap();
        assert!(same.drifted().is_empty(), "{same:?}");
        let texts: Vec<&str> = (0..600)
            .map(|row| if row % 2 == 0 { "EWR" } else { "BOS" })
            .collect();
        let moved = frame((0..600).map(|row| f64::from(row % 100) + 50.0).collect(), &texts);
        let moved = drift(&reference, &moved, &settings()).unwrap();
        assert_eq!(moved.drifted().len(), 2, "{moved:?}");
        let unseen = moved
            .columns
            .iter()
            .find(|column| column.name == "t")
            .unwrap()
            .unseen_share;
        assert_eq!(unseen, Some(0.5));
    }

    #[test]
    fn nulls_are_a_drift_of_their_own() {
        let reference = reference(&training());
        let mut numbers: Vec<f64> = (0..600).map(|row| f64::from(row % 100)).collect();
        numbers.iter_mut().take(300).for_each(|number| *number = f64::NAN);
        let texts: Vec<&str> = (0..600).map(|row| ["EWR", "JFK", "LGA"][row % 3]).collect();
        let report = drift(&reference, &frame(numbers, &texts), &settings()).unwrap();
        assert_eq!(report.drifted(), ["x"]);
        assert_eq!(report.columns[0].null_share, (0.0, 0.5));
    }

    #[test]
    fn too_few_rows_and_ignored_columns_are_not_judged() {
        let reference = reference(&training());
        let few = drift(&reference, &training().take(&[0, 1, 2]), &settings()).unwrap();
        assert!(!few.judged && few.columns.is_empty());
        let ignoring = DriftSettings {
            ignore: vec!["x".to_owned()],
            ..settings()
        };
        let report = drift(&reference, &training(), &ignoring).unwrap();
        assert_eq!(report.columns.len(), 1);
    }

    #[test]
    fn answers_drift_whatever_columns_are_asked_for() {
        let scored = |from: f64| {
            let values = (0..1_000).map(|row| from + f64::from(row % 50) / 100.0).collect();
            let columns = vec![Column {
                name: SCORE.to_owned(),
                values: Values::Float(values),
            }];
            Frame::new(columns).unwrap()
        };
        let asked = DriftSettings {
            columns: vec!["x".to_owned()],
            ..settings()
        };
        let known = Reference {
            scores: Some(profile(&scored(0.0))),
            ..reference(&training())
        };
        let same = drift(&known, &scored(0.0), &asked).unwrap();
        assert!(same.drifted().is_empty() && same.columns.len() == 1, "{same:?}");
        assert_eq!(drift(&known, &scored(0.4), &asked).unwrap().drifted(), [SCORE]);
        let unknown = drift(&reference(&training()), &scored(0.4), &asked).unwrap();
        assert!(unknown.columns.is_empty(), "{unknown:?}");
    }
}
