//! One row at a time: the serving path.

use crate::error::{Error, Result};
use crate::model::{Engine, Model};
use crate::prediction::argmax;
use crate::task::Task;
use crate::trees::RowSpace;
use everloop_core::Values;

/// One row of inputs, to be filled and predicted again and again: the serving path. Tree models do not allocate here.
#[derive(Debug, Clone)]
pub struct Row {
    model: Model,
    /// One number per input; for tree models already encoded. NaN is missing.
    numbers: Vec<f64>,
    /// The texts of a graph's text inputs; empty for tree models.
    texts: Vec<Option<String>>,
    space: RowSpace,
    scores: Vec<f64>,
}

/// What a model answers for one row.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Answer<'r> {
    /// The class predicted, as an index into the task's classes; `None` for regression.
    pub class: Option<usize>,
    /// The probabilities of all classes, or the values.
    pub scores: &'r [f64],
}

impl Row {
    pub(crate) fn new(model: Model) -> Self {
        let inputs = model.signature().inputs.len();
        let texts = match model.engine() {
            Engine::Trees(_) => 0,
            Engine::Graph(_) => inputs,
        };
        Self {
            numbers: vec![f64::NAN; inputs],
            texts: vec![None; texts],
            space: RowSpace::default(),
            scores: Vec::new(),
            model,
        }
    }

    /// The model that this row belongs to.
    #[must_use]
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// Makes every input missing.
    pub fn clear(&mut self) {
        self.numbers.fill(f64::NAN);
        self.texts.fill(None);
    }

    /// Sets the input at `index` of the signature to a number (0 or 1 for truth values); NaN is missing.
    ///
    /// # Errors
    /// When that input holds texts, or there is none.
    pub fn set_number(&mut self, index: usize, value: f64) -> Result<()> {
        self.check(index, false)?;
        self.numbers[index] = match self.model.engine() {
            Engine::Trees(trees) => trees.encodings[index].number(value),
            Engine::Graph(_) => value,
        };
        Ok(())
    }

    /// Sets the input at `index` of the signature to a text. A text unknown to the model counts as missing.
    ///
    /// # Errors
    /// When that input holds numbers, or there is none.
    pub fn set_text(&mut self, index: usize, value: &str) -> Result<()> {
        self.check(index, true)?;
        match self.model.engine() {
            Engine::Trees(trees) => self.numbers[index] = trees.encodings[index].text(value),
            Engine::Graph(_) => self.texts[index] = Some(value.to_owned()),
        }
        Ok(())
    }

    /// Makes the input at `index` missing.
    ///
    /// # Errors
    /// When there is no such input.
    pub fn set_missing(&mut self, index: usize) -> Result<()> {
        let inputs = self.numbers.len();
        let number = self.numbers.get_mut(index).ok_or(Error::ColumnCount {
            expected: inputs,
            found: index + 1,
        })?;
        *number = f64::NAN;
        if let Some(text) = self.texts.get_mut(index) {
            *text = None;
        }
        Ok(())
    }

    fn check(&self, index: usize, text: bool) -> Result<()> {
        let inputs = &self.model.signature().inputs;
        let Some(field) = inputs.get(index) else {
            return Err(Error::ColumnCount {
                expected: inputs.len(),
                found: index + 1,
            });
        };
        if field.kind.is_text() == text {
            return Ok(());
        }
        let word = |text| if text { "texts" } else { "numbers" };
        Err(Error::WrongKind {
            column: field.name.clone(),
            expected: word(!text),
            found: word(text),
        })
    }

    /// Predicts the row as it stands.
    ///
    /// # Errors
    /// When a graph cannot be evaluated on it.
    pub fn predict(&mut self) -> Result<Answer<'_>> {
        let mut class = None;
        match self.model.engine() {
            Engine::Trees(trees) => {
                trees.predict_row(&self.numbers, &mut self.space, &mut self.scores);
                if let Task::Classification { .. } = self.model.task() {
                    class = Some(argmax(&self.scores) as usize);
                }
            }
            Engine::Graph(_) => class = self.predict_graph()?,
        }
        Ok(Answer {
            class,
            scores: &self.scores,
        })
    }

    fn predict_graph(&mut self) -> Result<Option<usize>> {
        let inputs = &self.model.signature().inputs;
        let cell = |(index, text): (usize, bool)| match text {
            true => Values::Text(vec![self.texts[index].clone()]),
            false => Values::Float(vec![self.numbers[index]]),
        };
        let cells = inputs
            .iter()
            .map(|field| field.kind.is_text())
            .enumerate()
            .map(cell);
        let cells: Vec<Values> = cells.collect();
        let columns: Vec<Option<&Values>> = cells.iter().map(Some).collect();
        let prediction = self.model.predict_columns(&columns, 1)?;
        self.scores = prediction.scores;
        Ok(prediction.classes.first().map(|class| *class as usize))
    }
}
