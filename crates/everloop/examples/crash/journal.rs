//! What the server acknowledged, and what was asked without an answer.

use serde_json::Value;
use std::collections::{BTreeMap, HashMap};

/// A prediction that was answered.
#[derive(Debug, Clone)]
pub struct Prediction {
    pub id: String,
    pub version: u64,
    pub score: f64,
}

/// A label that was sent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Label {
    pub at: i64,
    pub value: f64,
    pub acknowledged: bool,
}

/// A kind of request that must have one effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Pipeline,
    Retrain,
    Promote,
    Rollback,
}

/// What became of a request that has an effect.
#[derive(Debug, Clone)]
pub enum Fate {
    /// Nobody knows.
    Lost,
    /// It was done; this was the answer.
    Done(Value),
    /// It was refused.
    Refused,
}

/// A request that has an effect. Its token is found in the effect.
#[derive(Debug, Clone)]
pub struct Request {
    pub kind: Kind,
    pub path: String,
    pub body: Value,
    /// Sent again under this key until it is answered; without one it is sent once.
    pub key: Option<String>,
    pub fate: Fate,
}

/// What is remembered of all answers.
#[derive(Debug, Default)]
pub struct Journal {
    pub predictions: Vec<Prediction>,
    /// By prediction.
    pub labels: HashMap<String, Vec<Label>>,
    /// Versions of the dataset: number and digest.
    pub versions: BTreeMap<u64, String>,
    /// By token.
    pub requests: BTreeMap<String, Request>,
    /// Final states seen of pipeline runs.
    pub ended: HashMap<String, String>,
    /// Answers of each kind.
    pub counts: BTreeMap<String, u64>,
    /// What is wrong.
    pub wrong: Vec<String>,
}

impl Journal {
    pub fn count(&mut self, what: &str, rows: u64) {
        *self.counts.entry(what.to_owned()).or_default() += rows;
    }

    pub fn wrong(&mut self, what: impl Into<String>) {
        let what = what.into();
        println!("WRONG: {what}");
        self.wrong.push(what);
    }

    /// Requests of a kind that were done, with their answers.
    pub fn done(&self, kind: Kind) -> impl Iterator<Item = (&String, &Value)> {
        self.requests
            .iter()
            .filter(move |(_, request)| request.kind == kind)
            .filter_map(|(token, request)| match &request.fate {
                Fate::Done(answer) => Some((token, answer)),
                Fate::Lost | Fate::Refused => None,
            })
    }

    /// How many requests of a kind may have been done without anybody knowing.
    pub fn lost(&self, kind: Kind) -> usize {
        let is_lost = |request: &&Request| request.kind == kind && matches!(request.fate, Fate::Lost);
        self.requests.values().filter(is_lost).count()
    }

    /// Ids of acknowledged pipeline runs.
    pub fn runs(&self) -> Vec<String> {
        self.done(Kind::Pipeline)
            .filter_map(|(_, answer)| Some(answer["run"]["id"].as_str()?.to_owned()))
            .collect()
    }

    /// What is wrong with the label that is stored of a prediction.
    pub fn judge_label(&self, id: &str, stored: Option<(Option<i64>, f64)>) -> Option<String> {
        let sent = self.labels.get(id).map(Vec::as_slice).unwrap_or_default();
        let newest = sent
            .iter()
            .filter(|label| label.acknowledged)
            .map(|label| label.at)
            .max();
        let Some((at, value)) = stored else {
            return newest.map(|_| format!("the label of {id} was lost"));
        };
        let fits = |label: &&Label| {
            label.value == value
                && at.is_none_or(|at| label.at == at)
                && newest.is_none_or(|newest| label.at >= newest)
        };
        match sent.iter().any(|label| fits(&label)) {
            true => None,
            false => Some(format!(
                "the label of {id} is {value} at {at:?}, but {sent:?} were sent"
            )),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn journal(labels: &[(i64, f64, bool)]) -> Journal {
        let mut journal = Journal::default();
        let label = |&(at, value, acknowledged): &(i64, f64, bool)| Label {
            at,
            value,
            acknowledged,
        };
        journal
            .labels
            .insert("p".to_owned(), labels.iter().map(label).collect());
        journal
    }

    #[test]
    fn the_newest_acknowledged_label_or_a_later_one_is_right() {
        let journal = journal(&[(1, 0.0, true), (3, 1.0, true), (2, 0.0, true), (4, 0.0, false)]);
        assert_eq!(journal.judge_label("p", Some((Some(3), 1.0))), None);
        assert_eq!(journal.judge_label("p", Some((Some(4), 0.0))), None);
        for wrong in [Some((Some(2), 0.0)), Some((Some(3), 0.0)), None] {
            assert!(journal.judge_label("p", wrong).is_some(), "{wrong:?}");
        }
        assert!(journal.judge_label("q", Some((Some(1), 1.0))).is_some());
    }
}
