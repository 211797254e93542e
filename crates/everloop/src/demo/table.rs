//! What came of it: month by month, the first model left alone against the loop.

use everloop_server::api::ledger::LedgerEvent;
use everloop_stats::metrics::{auc, log_loss};
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

use crate::exit::Exit;
use crate::output;

/// A month's truths and scores.
#[derive(Debug, Clone)]
pub struct MonthScores {
    month: String,
    truth: Vec<bool>,
    live: Vec<f64>,
    frozen: Vec<f64>,
}

impl MonthScores {
    /// No flights yet.
    pub fn new(month: &str) -> Self {
        Self {
            month: month.to_owned(),
            truth: Vec::new(),
            live: Vec::new(),
            frozen: Vec::new(),
        }
    }

    /// One more flight.
    pub fn push(&mut self, late: f64, live: f64, frozen: f64) {
        self.truth.push(late >= 0.5);
        self.live.push(live);
        self.frozen.push(frozen);
    }
}

/// Everything that the demo shows at its end.
#[derive(Debug, Default, Serialize)]
pub struct Report {
    /// The months as they were played; shown through `rows`.
    #[serde(skip)]
    pub months: Vec<MonthScores>,
    /// One line per month.
    rows: Vec<MonthRow>,
    /// Means over the months.
    mean: Option<Mean>,
    /// What was decided, in order.
    decisions: Vec<DecisionRow>,
    /// What must have happened and whether it did; for the scenario of faults.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub expectations: Vec<Expectation>,
}

/// A month.
#[derive(Debug, Serialize)]
struct MonthRow {
    month: String,
    rows: usize,
    late_rate: f64,
    frozen_auc: Option<f64>,
    everloop_auc: Option<f64>,
    frozen_log_loss: Option<f64>,
    everloop_log_loss: Option<f64>,
    drifted_columns: Vec<String>,
}

/// Means of the monthly figures.
#[derive(Debug, Serialize)]
struct Mean {
    months: usize,
    frozen_auc: f64,
    everloop_auc: f64,
}

/// A decision.
#[derive(Debug, Serialize)]
struct DecisionRow {
    at: String,
    kind: String,
    outcome: String,
    words: String,
}

/// Something that the scenario must bring about.
#[derive(Debug, Serialize)]
pub struct Expectation {
    /// What.
    pub what: String,
    /// Whether it did.
    pub held: bool,
}

impl Report {
    /// Fills in what the ledger tells.
    pub fn with_events(mut self, events: &[LedgerEvent]) -> Self {
        let drifted = drifted_by_month(events);
        self.rows = self.months.iter().map(|month| row(month, &drifted)).collect();
        let both: Vec<(f64, f64)> = self
            .rows
            .iter()
            .filter_map(|row| Some((row.frozen_auc?, row.everloop_auc?)))
            .collect();
        if !both.is_empty() {
            let mean = |values: &dyn Fn(&(f64, f64)) -> f64| {
                both.iter().map(values).sum::<f64>() / both.len() as f64
            };
            self.mean = Some(Mean {
                months: both.len(),
                frozen_auc: mean(&|pair| pair.0),
                everloop_auc: mean(&|pair| pair.1),
            });
        }
        self.decisions = events
            .iter()
            .filter(|event| event.kind == "decision")
            .filter_map(decision)
            .collect();
        self
    }

    /// The report as people read it.
    pub fn to_text(&self) -> String {
        let figure = |value: Option<f64>| value.map_or("-".to_owned(), |value| format!("{value:.4}"));
        let header = [
            "month",
            "flights",
            "late",
            "AUC frozen",
            "AUC everloop",
            "log loss frozen",
            "log loss everloop",
            "drifted",
        ];
        let rows = self.rows.iter().map(|row| {
            vec![
                row.month.clone(),
                row.rows.to_string(),
                format!("{:.1} %", row.late_rate * 100.0),
                figure(row.frozen_auc),
                figure(row.everloop_auc),
                figure(row.frozen_log_loss),
                figure(row.everloop_log_loss),
                row.drifted_columns.join(" "),
            ]
        });
        let mut text = format!("\n{}\n", output::table(&header, rows));
        if let Some(mean) = &self.mean {
            text.push_str(&format!(
                "\nMean AUC over {} months: frozen {:.4}, everloop {:.4} ({:+.4})\n",
                mean.months,
                mean.frozen_auc,
                mean.everloop_auc,
                mean.everloop_auc - mean.frozen_auc
            ));
        }
        text.push_str("\nDecisions\n");
        for decision in &self.decisions {
            let words: String = decision.words.chars().take(160).collect();
            text.push_str(&format!(
                "  {}  {:<10} {:<11} {words}\n",
                decision.at, decision.kind, decision.outcome
            ));
        }
        for expectation in &self.expectations {
            let mark = if expectation.held { "yes" } else { "NO" };
            text.push_str(&format!("\n{mark:>4}  {}", expectation.what));
        }
        text
    }

    /// What the scenario had to bring about and did not.
    pub fn unheld(&self) -> impl Iterator<Item = &str> {
        let missed = self.expectations.iter().filter(|expectation| !expectation.held);
        missed.map(|expectation| expectation.what.as_str())
    }

    /// Failed when something that the scenario must bring about did not happen.
    pub fn exit(&self) -> Exit {
        if self.unheld().next().is_none() {
            Exit::Done
        } else {
            Exit::Failed
        }
    }
}

fn row(month: &MonthScores, drifted: &BTreeMap<String, BTreeSet<String>>) -> MonthRow {
    let late = month.truth.iter().filter(|late| **late).count();
    MonthRow {
        month: month.month.clone(),
        rows: month.truth.len(),
        late_rate: late as f64 / month.truth.len().max(1) as f64,
        frozen_auc: auc(&month.truth, &month.frozen).ok(),
        everloop_auc: auc(&month.truth, &month.live).ok(),
        frozen_log_loss: log_loss(&month.truth, &month.frozen).ok(),
        everloop_log_loss: log_loss(&month.truth, &month.live).ok(),
        drifted_columns: drifted.get(&month.month).into_iter().flatten().cloned().collect(),
    }
}

/// Columns that drifted in a window which began in each month.
fn drifted_by_month(events: &[LedgerEvent]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for event in events
        .iter()
        .filter(|event| event.kind == "monitor.window" && event.payload["part"] == "drift")
    {
        let Some(month) = event.payload["window"]["start"]
            .as_str()
            .and_then(|start| start.get(..7))
        else {
            continue;
        };
        let columns = event.payload["report"]["drifted"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str);
        found
            .entry(month.to_owned())
            .or_default()
            .extend(columns.map(ToOwned::to_owned));
    }
    found
}

fn decision(event: &LedgerEvent) -> Option<DecisionRow> {
    let text = |key: &str| {
        event
            .payload
            .get(key)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    if text("outcome") == "held_back" {
        return None;
    }
    let at = event.at.0.to_rfc3339();
    Some(DecisionRow {
        at: at.get(..10).unwrap_or(&at).to_owned(),
        kind: text("kind"),
        outcome: text("outcome"),
        words: text("words"),
    })
}
