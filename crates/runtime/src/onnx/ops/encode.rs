//! ONNX-ML's operators between categories and numbers.

use super::{Inputs, Operator};
use crate::onnx::attributes::Attributes;
use crate::onnx::tensor::{Data, OpResult, Tensor};
use crate::task::Label;
use std::collections::HashMap;

pub(super) fn read(kind: &str, attributes: &Attributes<'_>) -> Option<OpResult<Box<dyn Operator>>> {
    match kind {
        "LabelEncoder" => Some(label_encoder(attributes)),
        "CategoryMapper" => Some(category_mapper(attributes)),
        "OneHotEncoder" => Some(one_hot(attributes)),
        "FeatureVectorizer" => Some(feature_vectorizer(attributes)),
        "ArrayFeatureExtractor" => Some(Ok(Box::new(ArrayFeatureExtractor))),
        "ZipMap" => {
            let labels = class_labels(attributes, "classlabels_strings", "classlabels_int64s");
            Some(labels.map(|labels| Box::new(ZipMap(labels)) as Box<dyn Operator>))
        }
        _ => None,
    }
}

/// The classes that an operator names, as texts or as whole numbers.
pub(super) fn class_labels(attributes: &Attributes<'_>, texts: &str, integers: &str) -> OpResult<Vec<Label>> {
    let texts = attributes.texts(texts)?;
    let integers = attributes.ints(integers);
    if texts.is_empty() && integers.is_empty() {
        return Err("no classes".to_owned());
    }
    if texts.is_empty() {
        return Ok(integers.iter().map(|label| Label::Int(*label)).collect());
    }
    Ok(texts.into_iter().map(Label::Text).collect())
}

/// The labels of the classes at `winners`, one per row.
pub(super) fn label_tensor(labels: &[Label], winners: &[usize]) -> OpResult<Tensor> {
    let texts = labels.iter().any(|label| matches!(label, Label::Text(_)));
    let label = |winner: &usize| labels.get(*winner).ok_or("a class without a name");
    let data = if texts {
        Data::Text(
            winners
                .iter()
                .map(|winner| label(winner).map(Label::to_string))
                .collect::<Result<_, _>>()?,
        )
    } else {
        let integer = |label: &Label| match label {
            Label::Int(value) => *value,
            Label::Bool(value) => i64::from(*value),
            Label::Text(_) => 0,
        };
        Data::I64(
            winners
                .iter()
                .map(|winner| label(winner).map(integer))
                .collect::<Result<_, _>>()?,
        )
    };
    Tensor::new(vec![winners.len()], data)
}

/// A value that can be a key: floats by their bits, all NaN alike.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Key {
    Text(String),
    Int(i64),
    Float(u64),
}

impl Key {
    fn float(value: f64) -> Self {
        let value = if value.is_nan() { f64::NAN } else { value + 0.0 };
        Self::Float(value.to_bits())
    }
}

fn keys(data: &Data) -> OpResult<Vec<Key>> {
    Ok(match data {
        Data::Text(values) => values.iter().cloned().map(Key::Text).collect(),
        Data::I64(values) => values.iter().copied().map(Key::Int).collect(),
        Data::I32(values) => values.iter().map(|value| Key::Int(i64::from(*value))).collect(),
        Data::F32(values) => values.iter().map(|value| Key::float(f64::from(*value))).collect(),
        Data::F64(values) => values.iter().map(|value| Key::float(*value)).collect(),
        other @ Data::Bool(_) => return Err(format!("{} are no keys", other.kind())),
    })
}

/// Keys to values; what is not among the keys becomes the last value.
#[derive(Debug)]
struct Mapping {
    places: HashMap<Key, usize>,
    /// The values, and the default at the end.
    values: Tensor,
}

impl Mapping {
    fn new(keys: Vec<Key>, mut values: Data, default: &Data) -> OpResult<Self> {
        if keys.len() != values.len() || default.len() != 1 {
            return Err(format!("{} keys for {} values", keys.len(), values.len()));
        }
        let mut places = HashMap::with_capacity(keys.len());
        for (place, key) in keys.into_iter().enumerate() {
            places.entry(key).or_insert(place);
        }
        values = super::shape::append(&[&values, default])?;
        let values = Tensor {
            shape: Vec::new(),
            data: values,
        };
        Ok(Self { places, values })
    }

    fn apply(&self, x: &Tensor) -> OpResult<Tensor> {
        let default = self.values.len() - 1;
        let places: Vec<usize> = keys(&x.data)?
            .iter()
            .map(|key| self.places.get(key).copied().unwrap_or(default))
            .collect();
        self.values.pick(x.shape.clone(), &places)
    }
}

/// Texts or numbers to texts or numbers, by a list of pairs.
#[derive(Debug)]
struct LabelEncoder(Mapping);

impl Operator for LabelEncoder {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        Ok(vec![self.0.apply(inputs.require(0)?)?])
    }
}

fn label_encoder(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let classes = attributes.texts("classes_strings")?;
    if !classes.is_empty() {
        return both_ways(classes.clone(), (0..classes.len() as i64).collect(), attributes);
    }
    let keys = keys(&list(attributes, "keys")?)?;
    let values = list(attributes, "values")?;
    let default = match attributes.tensor("default_tensor")? {
        Some(default) => default.data,
        None => match &values {
            Data::Text(_) => Data::Text(vec![attributes.text_or("default_string", "_Unused")?]),
            Data::F32(_) => Data::F32(vec![attributes.float_or("default_float", -0.0)]),
            Data::I64(_) => Data::I64(vec![attributes.int_or("default_int64", -1)]),
            other => return Err(format!("no default for {}", other.kind())),
        },
    };
    Ok(Box::new(LabelEncoder(Mapping::new(keys, values, &default)?)))
}

/// The list called `name_strings`, `name_int64s`, `name_floats` or `name_tensor`.
fn list(attributes: &Attributes<'_>, name: &str) -> OpResult<Data> {
    if let Some(tensor) = attributes.tensor(&format!("{name}_tensor"))? {
        return Ok(tensor.data);
    }
    if attributes.has(&format!("{name}_strings")) {
        return Ok(Data::Text(attributes.texts(&format!("{name}_strings"))?));
    }
    if attributes.has(&format!("{name}_int64s")) {
        return Ok(Data::I64(attributes.ints(&format!("{name}_int64s")).to_vec()));
    }
    if attributes.has(&format!("{name}_floats")) {
        return Ok(Data::F32(attributes.floats(&format!("{name}_floats")).to_vec()));
    }
    Err(format!("{name} are missing"))
}

/// Texts to whole numbers and back, whichever the input holds.
#[derive(Debug)]
struct BothWays {
    to_integers: Mapping,
    to_texts: Mapping,
}

fn both_ways(
    texts: Vec<String>,
    integers: Vec<i64>,
    attributes: &Attributes<'_>,
) -> OpResult<Box<dyn Operator>> {
    let (texts, integers) = (Data::Text(texts), Data::I64(integers));
    let integer = Data::I64(vec![attributes.int_or("default_int64", -1)]);
    let text = Data::Text(vec![attributes.text_or("default_string", "_Unused")?]);
    Ok(Box::new(BothWays {
        to_integers: Mapping::new(keys(&texts)?, integers.clone(), &integer)?,
        to_texts: Mapping::new(keys(&integers)?, texts, &text)?,
    }))
}

impl Operator for BothWays {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let mapping = match &x.data {
            Data::Text(_) => &self.to_integers,
            _ => &self.to_texts,
        };
        Ok(vec![mapping.apply(x)?])
    }
}

fn category_mapper(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    both_ways(
        attributes.texts("cats_strings")?,
        attributes.ints("cats_int64s").to_vec(),
        attributes,
    )
}

/// A category to as many numbers as there are categories, one of them 1.
#[derive(Debug)]
struct OneHotEncoder {
    places: HashMap<Key, usize>,
    /// Whether an unknown category becomes zeros; else it is an error.
    zeros: bool,
}

fn one_hot(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let categories = class_labels(attributes, "cats_strings", "cats_int64s")?;
    let key = |label| match label {
        Label::Text(text) => Key::Text(text),
        Label::Int(value) => Key::Int(value),
        Label::Bool(value) => Key::Int(i64::from(value)),
    };
    Ok(Box::new(OneHotEncoder {
        places: categories
            .into_iter()
            .enumerate()
            .map(|(place, label)| (key(label), place))
            .collect(),
        zeros: attributes.flag("zeros", true),
    }))
}

impl Operator for OneHotEncoder {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let keys = match &x.data {
            Data::Text(_) => keys(&x.data)?,
            _ => x
                .to_f64()?
                .into_iter()
                .map(|value| Key::Int(value as i64))
                .collect(),
        };
        let width = self.places.len();
        let mut shape = x.shape.clone();
        shape.push(width);
        let mut values = vec![0.0; inputs.room(&shape)?];
        for (row, key) in keys.iter().enumerate() {
            match self.places.get(key) {
                Some(place) => values[row * width + place] = 1.0,
                None if self.zeros => {}
                None => return Err("an unknown category".to_owned()),
            }
        }
        Ok(vec![Tensor::f32(shape, values)?])
    }
}

/// Columns side by side, each cut or filled with zeros to its width.
#[derive(Debug)]
struct FeatureVectorizer(Vec<usize>);

fn feature_vectorizer(attributes: &Attributes<'_>) -> OpResult<Box<dyn Operator>> {
    let widths: Result<Vec<usize>, _> = attributes
        .ints("inputdimensions")
        .iter()
        .map(|width| usize::try_from(*width))
        .collect();
    let widths = widths.map_err(|_| "a negative width")?;
    Ok(Box::new(FeatureVectorizer(widths)))
}

impl Operator for FeatureVectorizer {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let width = self
            .0
            .iter()
            .try_fold(0_usize, |sum, width| sum.checked_add(*width))
            .ok_or("too wide")?;
        let (rows, _) = inputs.require(0)?.rows_and_columns()?;
        let mut values = vec![0.0; inputs.room(&[rows, width])?];
        let mut start = 0;
        for (index, own) in self.0.iter().enumerate() {
            let part = inputs.require(index)?;
            let (part_rows, columns) = part.rows_and_columns()?;
            if part_rows != rows {
                return Err(format!("{part_rows} rows beside {rows}"));
            }
            let cells = part.to_f32()?;
            for row in 0..rows {
                for column in 0..columns.min(*own) {
                    values[row * width + start + column] = cells[row * columns + column];
                }
            }
            start += own;
        }
        Ok(vec![Tensor::f32(vec![rows, width], values)?])
    }
}

/// Chosen elements of the last axis.
#[derive(Debug)]
struct ArrayFeatureExtractor;

impl Operator for ArrayFeatureExtractor {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let indices = inputs.require(1)?.to_i64()?;
        let columns = *x.shape.last().ok_or("a scalar has no columns")?;
        let chosen: Option<Vec<usize>> = indices
            .iter()
            .map(|index| usize::try_from(*index).ok().filter(|index| *index < columns))
            .collect();
        let chosen = chosen.ok_or_else(|| format!("an index beyond {columns} columns"))?;
        let rows = x.len().checked_div(columns).unwrap_or(0);
        let mut shape = x.shape.clone();
        match shape.as_mut_slice() {
            [_] => shape = vec![1, chosen.len()],
            [.., last] => *last = chosen.len(),
            [] => {}
        }
        inputs.room(&shape)?;
        let places: Vec<usize> = (0..rows)
            .flat_map(|row| chosen.iter().map(move |column| row * columns + column))
            .collect();
        Ok(vec![x.pick(shape, &places)?])
    }
}

/// Probabilities to maps by class: the matrix stays as it is, the classes are told.
#[derive(Debug)]
struct ZipMap(Vec<Label>);

impl Operator for ZipMap {
    fn run(&self, inputs: &Inputs<'_>) -> OpResult<Vec<Tensor>> {
        let x = inputs.require(0)?;
        let (rows, columns) = x.rows_and_columns()?;
        if columns != self.0.len() {
            return Err(format!("{columns} probabilities for {} classes", self.0.len()));
        }
        Ok(vec![Tensor::f32(vec![rows, columns], x.to_f32()?)?])
    }

    fn classes(&self) -> Option<Vec<Label>> {
        Some(self.0.clone())
    }
}
