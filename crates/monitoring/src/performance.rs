//! How right the predictions of a window were, once their labels came.

use everloop_stats::{Metric, paired};
use serde::{Deserialize, Serialize};

/// Level of the interval that a breach is judged by.
const LEVEL: f64 = 0.95;
/// Draws of the interval; the same ones everywhere.
const SEED: u64 = 0x5eed;

/// A window's performance.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PerformanceReport {
    /// The metric.
    pub metric: String,
    /// Its value; none when it is undefined, with the reason in `problem`.
    pub value: Option<f64>,
    /// Lower end of its 95 % bootstrap interval.
    pub low: Option<f64>,
    /// Upper end.
    pub high: Option<f64>,
    /// Rows of the window.
    pub rows: u64,
    /// Rows whose label came.
    pub labelled: u64,
    /// Share of rows whose label came.
    pub coverage: f64,
    /// The least (or most) it may be.
    pub bound: Option<f64>,
    /// Whether the whole interval lies on the wrong side of the bound.
    pub breached: bool,
    /// Why it could not be judged.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// Measures `metric` on the labelled rows (`truth` and `score` of the same rows, out of `rows` in the window).
/// `floor` is the least and `ceiling` the most it may be; below `min_samples` labels or `min_coverage` nothing is judged.
#[must_use]
pub fn performance(
    metric: Metric,
    truth: &[f64],
    score: &[f64],
    rows: u64,
    (floor, ceiling): (Option<f64>, Option<f64>),
    (min_samples, min_coverage): (u64, f64),
) -> PerformanceReport {
    let labelled = truth.len() as u64;
    let coverage = if rows == 0 {
        0.0
    } else {
        labelled as f64 / rows as f64
    };
    let mut report = PerformanceReport {
        metric: metric.name().to_owned(),
        value: None,
        low: None,
        high: None,
        rows,
        labelled,
        coverage,
        bound: floor.or(ceiling),
        breached: false,
        problem: None,
    };
    if labelled < min_samples || coverage < min_coverage {
        report.problem = Some(format!(
            "{labelled} labels of {rows} rows: asked at least {min_samples} and {:.0} %",
            min_coverage * 100.0
        ));
        return report;
    }
    let options = paired::Options {
        level: LEVEL,
        ..paired::Options::seeded(SEED)
    };
    match metric.compute(truth, score).and_then(|value| {
        let interval = paired::bootstrap_metric(metric, truth, score, &options)?;
        Ok((value, interval))
    }) {
        Ok((value, interval)) => {
            report.value = Some(value);
            report.low = Some(interval.low);
            report.high = Some(interval.high);
            report.breached = floor.is_some_and(|floor| interval.high < floor)
                || ceiling.is_some_and(|ceiling| interval.low > ceiling);
        }
        Err(problem) => report.problem = Some(problem.to_string()),
    }
    report
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(count: usize) -> (Vec<f64>, Vec<f64>) {
        let truth: Vec<f64> = (0..count).map(|row| f64::from(u8::from(row % 3 == 0))).collect();
        let score = (0..count)
            .map(|row| if row % 3 == 0 { 0.6 } else { 0.4 } + (row % 11) as f64 * 0.03)
            .collect();
        (truth, score)
    }

    #[test]
    fn a_breach_needs_the_whole_interval() {
        let (truth, score) = rows(2_000);
        let judge = |floor| {
            performance(
                Metric::Auc,
                &truth,
                &score,
                2_000,
                (Some(floor), None),
                (100, 0.5),
            )
        };
        let fine = judge(0.5);
        let value = fine.value.unwrap();
        assert!(!fine.breached);
        assert!(
            !judge(value + 1e-4).breached,
            "a hair below the bound is not sure"
        );
        assert!(judge(0.99).breached);
    }

    #[test]
    fn too_few_labels_and_one_class_are_said_so() {
        let (truth, score) = rows(50);
        let few = performance(Metric::Auc, &truth, &score, 2_000, (Some(0.9), None), (100, 0.5));
        assert!(few.problem.is_some() && !few.breached);
        let one = performance(
            Metric::Auc,
            &[1.0; 200],
            &[0.5; 200],
            200,
            (Some(0.9), None),
            (100, 0.5),
        );
        assert!(one.problem.is_some() && !one.breached);
    }
}
