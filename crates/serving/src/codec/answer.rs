//! An answer on its way to bytes: its columns, value by value, without a table between.

use everloop_runtime::{Field, Kind, Label, Prediction, Task};
use serde::{Serialize, Serializer};

use crate::Answered;

/// One output column of an answer; as JSON the list of its values.
#[derive(Debug, Clone, Copy)]
pub(super) struct Output<'a> {
    pub(super) name: &'a str,
    pub(super) kind: Kind,
    prediction: &'a Prediction,
    what: What,
}

#[derive(Debug, Clone, Copy)]
enum What {
    /// The class predicted.
    Class,
    /// The probability or value at this place.
    Score(usize),
}

/// One value of an output column.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
pub(super) enum Cell<'a> {
    Class(Option<&'a Label>),
    /// JSON has no NaN and no infinities: they are `null`.
    Score(f64),
}

/// The output columns, as the model's signature names them.
pub(super) fn outputs(answered: &Answered) -> impl Iterator<Item = Output<'_>> {
    let prediction = &answered.prediction;
    let classes = usize::from(matches!(prediction.task(), Task::Classification { .. }));
    answered.outputs().iter().enumerate().map(move |(index, field)| {
        let Field { name, kind, .. } = field;
        Output {
            name,
            kind: *kind,
            prediction,
            what: match index.checked_sub(classes) {
                None => What::Class,
                Some(score) => What::Score(score),
            },
        }
    })
}

impl<'a> Output<'a> {
    pub(super) fn cell(&self, row: usize) -> Cell<'a> {
        match self.what {
            What::Class => Cell::Class(self.prediction.label(row)),
            What::Score(index) => Cell::Score(self.prediction.scores(row)[index]),
        }
    }
}

impl Serialize for Output<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((0..self.prediction.rows()).map(|row| self.cell(row)))
    }
}

/// A number as text.
#[derive(Debug, Clone, Copy)]
pub(super) struct Quoted(pub(super) u64);

impl Serialize for Quoted {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

/// The bytes of a body of ours.
pub(super) fn to_vec(body: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(body).expect("texts, numbers and lists of them have a JSON form")
}
