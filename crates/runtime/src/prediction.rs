//! What a model answers for some rows.

use crate::signature::{Field, Kind};
use crate::task::{Label, Task};
use everloop_core::{Column, Frame, Values};
use std::sync::Arc;

/// The name of the output column that holds the class or value predicted.
pub const PREDICTION: &str = "prediction";

/// The name of the output column that holds the probability of `class`.
#[must_use]
pub fn probability_column(class: &Label) -> String {
    format!("probability_{class}")
}

/// What a model answers for some rows.
#[derive(Debug, Clone, PartialEq)]
pub struct Prediction {
    pub(crate) task: Arc<Task>,
    /// Rows x width, row by row: probabilities of the classes, or the values.
    pub(crate) scores: Vec<f64>,
    pub(crate) width: usize,
    /// The class predicted, per row; empty for regression.
    pub(crate) classes: Vec<u32>,
}

impl Prediction {
    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.scores.len() / self.width.max(1)
    }

    /// What the model answers.
    #[must_use]
    pub fn task(&self) -> &Task {
        &self.task
    }

    /// The class predicted per row, as an index into the task's classes; empty for regression.
    #[must_use]
    pub fn classes(&self) -> &[u32] {
        &self.classes
    }

    /// The label predicted for `row`; `None` for regression.
    #[must_use]
    pub fn label(&self, row: usize) -> Option<&Label> {
        self.task.classes().get(*self.classes.get(row)? as usize)
    }

    /// The probabilities of all classes for `row`, or its values (one, unless the model has several outputs).
    ///
    /// # Panics
    /// When `row` is out of range.
    #[must_use]
    pub fn scores(&self, row: usize) -> &[f64] {
        &self.scores[row * self.width..(row + 1) * self.width]
    }

    /// Per row the probability of the class at `index`, or the value of the output at `index`.
    ///
    /// # Panics
    /// When `index` is out of range.
    #[must_use]
    pub fn column(&self, index: usize) -> Vec<f64> {
        assert!(index < self.width, "score {index} of {}", self.width);
        self.scores[index..].iter().step_by(self.width).copied().collect()
    }

    /// Per row the one number that monitoring and metrics look at: the probability of the last class (the positive one
    /// of two), or the first value.
    #[must_use]
    pub fn main_score(&self) -> Vec<f64> {
        if self.width == 0 {
            return Vec::new();
        }
        match *self.task {
            Task::Classification { .. } => self.column(self.width - 1),
            Task::Regression => self.column(0),
        }
    }

    /// The answer as columns: `prediction` and `probability_<class>`, or `prediction` (`prediction_<i>` for a model
    /// of several outputs).
    #[must_use]
    pub fn to_frame(&self) -> Frame {
        let mut columns = Vec::with_capacity(self.width + 1);
        if let Task::Classification { classes } = &*self.task {
            columns.push(self.label_column(classes));
        }
        for (index, name) in score_names(&self.task, self.width).into_iter().enumerate() {
            columns.push(Column {
                name,
                values: Values::Float(self.column(index)),
            });
        }
        Frame::new(columns).expect("every column has one value per row")
    }

    fn label_column(&self, classes: &[Label]) -> Column {
        let label = |row: usize| classes.get(self.classes[row] as usize);
        let rows = 0..self.classes.len();
        let values = match classes.first() {
            Some(Label::Bool(_)) => Values::Bool(rows.map(|row| as_bool(label(row))).collect()),
            Some(Label::Int(_)) => Values::Int(rows.map(|row| as_int(label(row))).collect()),
            Some(Label::Text(_)) | None => Values::Category {
                codes: self.classes.clone(),
                names: Arc::new(classes.iter().map(Label::to_string).collect()),
            },
        };
        Column {
            name: PREDICTION.to_owned(),
            values,
        }
    }
}

fn as_bool(label: Option<&Label>) -> Option<bool> {
    match label {
        Some(Label::Bool(value)) => Some(*value),
        _ => None,
    }
}

fn as_int(label: Option<&Label>) -> Option<i64> {
    match label {
        Some(Label::Int(value)) => Some(*value),
        _ => None,
    }
}

fn score_names(task: &Task, width: usize) -> Vec<String> {
    match task {
        Task::Classification { classes } => classes.iter().map(probability_column).collect(),
        Task::Regression if width == 1 => vec![PREDICTION.to_owned()],
        Task::Regression => (0..width).map(|index| format!("{PREDICTION}_{index}")).collect(),
    }
}

/// The output columns of a model of this task.
pub(crate) fn output_fields(task: &Task, width: usize, score: Kind) -> Vec<Field> {
    let mut fields = Vec::with_capacity(width + 1);
    if let Task::Classification { classes } = task {
        let kind = match classes.first() {
            Some(Label::Bool(_)) => Kind::Bool,
            Some(Label::Int(_)) => Kind::Long,
            Some(Label::Text(_)) | None => Kind::String,
        };
        fields.push(Field::new(PREDICTION, kind));
    }
    let names = score_names(task, width);
    fields.extend(names.into_iter().map(|name| Field::new(name, score)));
    fields
}

/// The place of the largest score, the first of equals; NaN never wins.
pub(crate) fn argmax(scores: &[f64]) -> u32 {
    let mut best = 0;
    for (index, score) in scores.iter().enumerate() {
        if *score > scores[best] || (scores[best].is_nan() && !score.is_nan()) {
            best = index;
        }
    }
    best as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_frame_names_classes() {
        let prediction = Prediction {
            task: Arc::new(Task::Classification {
                classes: vec![Label::Bool(false), Label::Bool(true)],
            }),
            scores: vec![0.9, 0.1, 0.2, 0.8],
            width: 2,
            classes: vec![0, 1],
        };
        let frame = prediction.to_frame();
        assert_eq!(
            frame.get("prediction"),
            Some(&Values::Bool(vec![Some(false), Some(true)]))
        );
        assert_eq!(
            frame.get("probability_true"),
            Some(&Values::Float(vec![0.1, 0.8]))
        );
        assert_eq!(prediction.main_score(), [0.1, 0.8]);
        assert_eq!(prediction.label(1), Some(&Label::Bool(true)));
    }

    #[test]
    fn ties_go_to_the_first_class() {
        assert_eq!(argmax(&[0.5, 0.5]), 0);
        assert_eq!(argmax(&[f64::NAN, 0.1]), 1);
        assert_eq!(argmax(&[]), 0);
    }
}
