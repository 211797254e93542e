//! A tree ensemble with what stands before and after it: columns to numbers, sums to answers.

use super::{Link, Real, Trees, Vocabulary};
use crate::signature::Kind;
use crate::task::Task;
use everloop_core::Values;
use rayon::prelude::*;
use std::ops::Range;

/// Rows encoded and scored at once: enough to keep a tree in the cache, few enough for the rows to stay there too.
const BLOCK: usize = 512;

/// A tree ensemble over columns.
#[derive(Debug, Clone)]
pub(crate) struct TreeModel {
    pub(crate) trees: AnyTrees,
    /// How each feature is made of its column.
    pub(crate) encodings: Vec<Encoding>,
    /// What sums are divided by: the iterations of a random forest, else 1.
    pub(crate) divisor: f64,
    pub(crate) link: Link,
    /// One score is the probability of the second of two classes.
    pub(crate) binary: bool,
}

/// The trees, by the width of their thresholds.
#[derive(Debug, Clone)]
pub(crate) enum AnyTrees {
    F32(Trees<f32>),
    F64(Trees<f64>),
}

/// How a feature is made of its column.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Encoding {
    /// The number itself.
    Number,
    /// The code of the value.
    Category(Vocabulary),
}

impl Encoding {
    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Category(vocabulary) if vocabulary.is_text())
    }

    /// The number that trees see for a number; NaN is missing.
    pub(crate) fn number(&self, value: f64) -> f64 {
        match self {
            Self::Number => value,
            Self::Category(vocabulary) => vocabulary.code_of_number(value),
        }
    }

    /// The number that trees see for a text.
    pub(crate) fn text(&self, text: &str) -> f64 {
        match self {
            Self::Number => f64::NAN,
            Self::Category(vocabulary) => vocabulary.code_of_text(text),
        }
    }
}

impl AnyTrees {
    fn outputs(&self) -> usize {
        match self {
            Self::F32(trees) => trees.outputs(),
            Self::F64(trees) => trees.outputs(),
        }
    }

    pub(crate) fn split_counts(&self) -> Vec<u64> {
        match self {
            Self::F32(trees) => trees.split_counts(),
            Self::F64(trees) => trees.split_counts(),
        }
    }
}

/// Space for one row, so that predicting it does not allocate.
#[derive(Debug, Clone, Default)]
pub(crate) struct RowSpace {
    narrow: Vec<f32>,
    sums: Vec<f32>,
}

impl TreeModel {
    /// Scores per row: probabilities of all classes, or the values.
    pub(crate) fn width(&self) -> usize {
        self.trees.outputs() + usize::from(self.binary)
    }

    /// Answers for one row of encoded features, into `scores`.
    pub(crate) fn predict_row(&self, features: &[f64], space: &mut RowSpace, scores: &mut Vec<f64>) {
        scores.clear();
        match &self.trees {
            AnyTrees::F32(trees) => {
                space.narrow.clear();
                space.narrow.extend(features.iter().map(|value| *value as f32));
                space.sums.resize(trees.outputs(), 0.0);
                trees.score_row(&space.narrow, &mut space.sums);
                scores.extend(space.sums.iter().map(|sum| f64::from(*sum)));
            }
            AnyTrees::F64(trees) => {
                scores.resize(trees.outputs(), 0.0);
                trees.score_row(features, scores);
            }
        }
        self.finish(scores);
        if self.binary {
            scores.insert(0, 1.0 - scores[0]);
        }
    }

    /// Answers for all rows of `columns` (one per feature, checked to be of its kind), row by row.
    pub(crate) fn predict(&self, columns: &[Option<&Values>], rows: usize) -> Vec<f64> {
        match &self.trees {
            AnyTrees::F32(trees) => self.predict_with(trees, columns, rows),
            AnyTrees::F64(trees) => self.predict_with(trees, columns, rows),
        }
    }

    fn predict_with<T: Real>(&self, trees: &Trees<T>, columns: &[Option<&Values>], rows: usize) -> Vec<f64> {
        let readers: Vec<Reader<'_, T>> = columns
            .iter()
            .zip(&self.encodings)
            .map(|(values, encoding)| Reader::new(*values, encoding))
            .collect();
        let width = self.width();
        let mut answers = vec![0.0; rows * width];
        let answer_block = |(features, sums): &mut (Vec<T>, Vec<T>),
                            (block, answers): (usize, &mut [f64])| {
            let first = block * BLOCK;
            let range = first..first + answers.len() / width;
            read_block(&readers, range.clone(), features);
            sums.clear();
            sums.resize(range.len() * trees.outputs(), T::ZERO);
            trees.score_rows(features, sums);
            self.answer(sums, answers);
        };
        if rows <= BLOCK {
            // Waking other threads costs more than a block; requests are small.
            if rows > 0 {
                answer_block(&mut Default::default(), (0, &mut answers));
            }
            return answers;
        }
        let blocks = answers.par_chunks_mut(BLOCK * width).enumerate();
        blocks.for_each_init(Default::default, answer_block);
        answers
    }

    /// Sums of the trees to answers, row by row.
    fn answer<T: Real>(&self, sums: &[T], answers: &mut [f64]) {
        let outputs = self.trees.outputs();
        let rows = sums
            .chunks_exact(outputs)
            .zip(answers.chunks_exact_mut(self.width()));
        for (sums, answer) in rows {
            let scores = &mut answer[usize::from(self.binary)..];
            for (score, sum) in scores.iter_mut().zip(sums) {
                *score = sum.to_f64();
            }
            self.finish(scores);
            if self.binary {
                answer[0] = 1.0 - answer[1];
            }
        }
    }

    fn finish(&self, scores: &mut [f64]) {
        if self.divisor != 1.0 {
            scores.iter_mut().for_each(|score| *score /= self.divisor);
        }
        self.link.apply(scores);
    }
}

/// Reads one column as numbers, with the work that does not depend on the row done once.
enum Reader<'a, T> {
    Missing,
    Numbers(&'a Values),
    Listed(&'a Values, &'a Vocabulary),
    Texts(&'a [Option<String>], &'a Vocabulary),
    /// Codes of the frame's own categories to those of the model.
    Codes(&'a [u32], Vec<T>),
}

impl<'a, T: Real> Reader<'a, T> {
    fn new(values: Option<&'a Values>, encoding: &'a Encoding) -> Self {
        let Some(values) = values else {
            return Self::Missing;
        };
        match (values, encoding) {
            (Values::Float(_) | Values::Int(_) | Values::Bool(_), Encoding::Number) => Self::Numbers(values),
            (Values::Float(_) | Values::Int(_) | Values::Bool(_), Encoding::Category(vocabulary)) => {
                Self::Listed(values, vocabulary)
            }
            (Values::Text(texts), Encoding::Category(vocabulary)) => Self::Texts(texts, vocabulary),
            (Values::Category { codes, names }, Encoding::Category(vocabulary)) => {
                let code = |name: &String| T::from_f64(vocabulary.code_of_text(name));
                Self::Codes(codes, names.iter().map(code).collect())
            }
            (Values::Text(_) | Values::Category { .. }, Encoding::Number) => Self::Missing,
        }
    }

    fn read(&self, rows: Range<usize>, mut put: impl FnMut(usize, T)) {
        let missing = T::from_f64(f64::NAN);
        let cells = rows.enumerate();
        match self {
            Self::Missing => cells.for_each(|(at, _)| put(at, missing)),
            Self::Numbers(Values::Float(values)) => {
                cells.for_each(|(at, row)| put(at, T::from_f64(values[row])));
            }
            Self::Numbers(values) => cells.for_each(|(at, row)| put(at, T::from_f64(values.number(row)))),
            Self::Listed(values, vocabulary) => {
                cells.for_each(|(at, row)| {
                    put(at, T::from_f64(vocabulary.code_of_number(values.number(row))))
                });
            }
            Self::Texts(texts, vocabulary) => cells.for_each(|(at, row)| {
                let code = texts[row]
                    .as_deref()
                    .map_or(f64::NAN, |text| vocabulary.code_of_text(text));
                put(at, T::from_f64(code));
            }),
            Self::Codes(codes, own) => cells.for_each(|(at, row)| {
                put(at, own.get(codes[row] as usize).copied().unwrap_or(missing));
            }),
        }
    }
}

/// The features of `rows`, row by row.
fn read_block<T: Real>(readers: &[Reader<'_, T>], rows: Range<usize>, features: &mut Vec<T>) {
    features.clear();
    features.resize(rows.len() * readers.len(), T::ZERO);
    for (feature, reader) in readers.iter().enumerate() {
        reader.read(rows.clone(), |at, value| {
            features[at * readers.len() + feature] = value
        });
    }
}

/// A tree model as a file tells of it, before a signature names its columns and kinds.
#[derive(Debug)]
pub(crate) struct LoadedTrees {
    pub(crate) model: TreeModel,
    /// One per feature.
    pub(crate) names: Vec<String>,
    /// One per feature, as the file tells it; [`Kind::Double`] where it does not.
    pub(crate) kinds: Vec<Kind>,
    /// Whether the names come from the file, not from us.
    pub(crate) named: bool,
    pub(crate) task: Task,
    /// Sum of loss reductions per feature, where the format keeps them.
    pub(crate) gains: Option<Vec<f64>>,
}
