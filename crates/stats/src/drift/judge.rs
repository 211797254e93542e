//! Which columns of a window have drifted.

use serde::{Deserialize, Serialize};

use super::ColumnDrift;
use crate::fdr::{benjamini_hochberg, benjamini_yekutieli};
use crate::{Result, check};

/// What it takes to call a column drifted: all three.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Rows with a value that each side must have; with fewer there is no verdict.
    pub min_samples: u64,
    /// Least effect that matters, in units of the column's method.
    pub min_effect: f64,
    /// Bound on the expected share of false alarms among the columns called drifted.
    pub fdr: f64,
    /// How the columns' p-values may depend on each other.
    pub dependence: Dependence,
}

/// What is assumed of the joint distribution of p-values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Dependence {
    /// Independent or positively dependent: Benjamini-Hochberg.
    Positive,
    /// Anything: Benjamini-Yekutieli, with less power.
    Arbitrary,
}

/// The answer for one column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Too few rows to say.
    TooFewRows,
    /// No shift, or one too small to matter.
    Stable,
    /// A shift that matters and that chance does not explain.
    Drifted,
}

/// A verdict and its adjusted p-value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Judged {
    /// The answer.
    pub verdict: Verdict,
    /// The p-value adjusted over the columns with enough rows; `None` without enough rows.
    pub q_value: Option<f64>,
}

impl Default for Rule {
    /// 100 rows, effect 0.1, false-discovery rate 0.05, positive dependence.
    fn default() -> Self {
        Self {
            min_samples: 100,
            min_effect: 0.1,
            fdr: 0.05,
            dependence: Dependence::Positive,
        }
    }
}

/// Judges the columns of one window together, in their order. Columns without enough rows neither drift nor weigh
/// on the others. `O(columns log columns)`.
///
/// # Errors
/// A rate outside `(0, 1)`, a negative effect, or a p-value outside `[0, 1]`.
pub fn judge(columns: &[ColumnDrift], rule: &Rule) -> Result<Vec<Judged>> {
    check::open_unit("fdr", rule.fdr)?;
    check::finite("min_effect", &[rule.min_effect])?;
    let enough = |column: &&ColumnDrift| column.least_rows() >= rule.min_samples;
    let p_values: Vec<f64> = columns
        .iter()
        .filter(enough)
        .map(|column| column.p_value)
        .collect();
    let mut q_values = match rule.dependence {
        Dependence::Positive => benjamini_hochberg(&p_values)?,
        Dependence::Arbitrary => benjamini_yekutieli(&p_values)?,
    }
    .into_iter();
    let judged = columns.iter().map(|column| {
        let q_value = if enough(&column) { q_values.next() } else { None };
        let verdict = match q_value {
            None => Verdict::TooFewRows,
            Some(q) if q <= rule.fdr && column.effect >= rule.min_effect => Verdict::Drifted,
            Some(_) => Verdict::Stable,
        };
        Judged { verdict, q_value }
    });
    Ok(judged.collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drift::{Method, Test};

    fn column(effect: f64, p_value: f64, n_current: u64) -> ColumnDrift {
        ColumnDrift {
            method: Method::Ks,
            effect,
            test: Test::Ks,
            statistic: effect,
            p_value,
            n_reference: 1000,
            n_current,
        }
    }

    #[test]
    fn effect_significance_and_rows_are_all_needed() {
        let columns = [
            column(0.5, 1e-9, 1000),
            column(0.05, 1e-9, 1000),
            column(0.5, 0.9, 1000),
            column(0.5, 1e-9, 99),
        ];
        let verdicts: Vec<Verdict> = judge(&columns, &Rule::default())
            .unwrap()
            .iter()
            .map(|judged| judged.verdict)
            .collect();
        assert_eq!(
            verdicts,
            [
                Verdict::Drifted,
                Verdict::Stable,
                Verdict::Stable,
                Verdict::TooFewRows
            ]
        );
    }

    #[test]
    fn columns_with_few_rows_do_not_weigh_on_others() {
        let alone = judge(&[column(0.5, 0.04, 1000)], &Rule::default()).unwrap();
        let mut many = vec![column(0.5, 0.5, 10); 30];
        many.push(column(0.5, 0.04, 1000));
        assert_eq!(judge(&many, &Rule::default()).unwrap()[30], alone[0]);
        assert_eq!(alone[0].q_value, Some(0.04));
    }
}
