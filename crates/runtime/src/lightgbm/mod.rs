//! LightGBM's text format (`tree`, versions 2 to 4), with its double thresholds.
//!
//! Covered: every built-in objective, random forests, categorical splits and pandas categories, all three ways with
//! missing values. Left out: linear trees (refused by name). Read line by line; each line names one array.

mod objective;
mod text;

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::signature::Kind;
use crate::task::{Label, Task};
use crate::trees::{
    AnyTrees, Builder, Encoding, LoadedTrees, Split, SplitKind, Tree, TreeModel, TreeNode, Vocabulary,
};
use text::{Block, Text};

const FORMAT: &str = "LightGBM model";

/// Bits of `decision_type`.
const CATEGORICAL: i64 = 1;
const DEFAULT_LEFT: i64 = 2;

/// Whether bytes look like a LightGBM model.
pub(crate) fn is_model(bytes: &[u8]) -> bool {
    bytes.starts_with(b"tree\n") || bytes.starts_with(b"tree\r\n")
}

/// Reads a model file. `text_inputs` names the columns that the model's signature calls texts, in order: they tell
/// which features pandas' category lists belong to when the file alone does not.
pub(crate) fn load(path: &str, bytes: &[u8], limits: &Limits, text_inputs: &[&str]) -> Result<LoadedTrees> {
    let text = std::str::from_utf8(bytes).map_err(|_| wrong(path, "not UTF-8"))?;
    let text = Text::parse(path, text, limits)?;
    let names = text.header.words("feature_names")?;
    let features = text.header.number::<usize>("max_feature_idx")?.saturating_add(1);
    if names.len() != features {
        return Err(wrong(
            path,
            format!("{} feature names for {features} features", names.len()),
        ));
    }
    let outputs = text.header.number::<usize>("num_tree_per_iteration")?.max(1);
    Limits::check(path, "number of outputs", outputs, limits.width)?;
    let answer = objective::read(path, text.header.get("objective").unwrap_or(""), outputs)?;

    let mut builder = Builder::new(path, FORMAT, limits, features, vec![0.0_f64; outputs])?;
    let mut gains = vec![0.0; features];
    for (index, block) in text.trees.iter().enumerate() {
        builder.add(&tree(block, index % outputs, limits)?)?;
        add_gains(&mut gains, block)?;
    }
    let iterations = text.trees.len() / outputs;
    let averaged = text.header.has("average_output") && iterations > 0;
    Ok(LoadedTrees {
        model: TreeModel {
            trees: AnyTrees::F64(builder.finish()),
            encodings: encodings(path, &text, &names, text_inputs)?,
            divisor: if averaged { iterations as f64 } else { 1.0 },
            link: answer.link,
            binary: answer.classes == 2 && outputs == 1,
        },
        kinds: vec![Kind::Double; features],
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        named: !names
            .iter()
            .enumerate()
            .all(|(at, name)| *name == format!("Column_{at}")),
        task: task(answer.classes),
        gains: Some(gains),
    })
}

fn wrong(path: &str, reason: impl Into<String>) -> Error {
    Error::malformed(path, FORMAT, reason)
}

fn task(classes: usize) -> Task {
    if classes == 0 {
        return Task::Regression;
    }
    Task::Classification {
        classes: (0..classes as i64).map(Label::Int).collect(),
    }
}

/// Inner nodes keep their numbers; leaves follow them.
fn tree(block: &Block<'_>, output: usize, limits: &Limits) -> Result<Tree<f64>> {
    let leaves = block.number::<usize>("num_leaves")?;
    if block.get("is_linear").is_some_and(|flag| flag != "0") {
        return Err(Error::unsupported(block.path, "a linear tree"));
    }
    let values = block.numbers::<f64>("leaf_value")?;
    if leaves == 0 || values.len() != leaves {
        return Err(block.wrong(format!("{} leaf values for {leaves} leaves", values.len())));
    }
    let inner = leaves - 1;
    let mut nodes = splits(block, inner, limits)?;
    nodes.extend(values.into_iter().map(TreeNode::Leaf));
    Ok(Tree {
        nodes,
        root: 0,
        output,
    })
}

fn splits(block: &Block<'_>, inner: usize, limits: &Limits) -> Result<Vec<TreeNode<f64>>> {
    if inner == 0 {
        return Ok(Vec::new());
    }
    let features = block.exactly::<usize>("split_feature", inner)?;
    let thresholds = block.exactly::<f64>("threshold", inner)?;
    let decisions = block.exactly::<i64>("decision_type", inner)?;
    let lefts = block.exactly::<i64>("left_child", inner)?;
    let rights = block.exactly::<i64>("right_child", inner)?;
    let mut sets = Sets::read(block, limits)?;
    let child = |child: i64| {
        if child >= 0 {
            child as usize
        } else {
            inner.saturating_add(!child as usize)
        }
    };
    (0..inner)
        .map(|node| {
            let (kind, missing_yes) = if decisions[node] & CATEGORICAL != 0 {
                (SplitKind::Member(sets.get(thresholds[node])?), false)
            } else {
                (
                    ordered(thresholds[node], decisions[node]),
                    decisions[node] & DEFAULT_LEFT != 0,
                )
            };
            Ok(TreeNode::Split(Split {
                feature: features[node],
                kind,
                yes: child(lefts[node]),
                no: child(rights[node]),
                missing_yes,
            }))
        })
        .collect()
}

/// A numeric split, by how the feature treats missing values.
fn ordered(threshold: f64, decision: i64) -> SplitKind<f64> {
    match (decision >> 2) & 3 {
        0 => SplitKind::AtMostMissingIsZero(threshold),
        1 => SplitKind::AtMostZeroIsMissing(threshold),
        _ => SplitKind::AtMost(threshold),
    }
}

/// The category sets of one tree: `words[boundaries[i]..boundaries[i + 1]]`.
struct Sets<'a> {
    block: &'a Block<'a>,
    boundaries: Vec<usize>,
    words: Vec<u32>,
    /// Words given out. Each belongs to one node only, or a short file could ask for endless copies of a long set.
    given: usize,
}

impl<'a> Sets<'a> {
    fn read(block: &'a Block<'a>, limits: &Limits) -> Result<Self> {
        let (mut boundaries, mut words) = (Vec::new(), Vec::new());
        if block.get("cat_boundaries").is_some() {
            boundaries = block.numbers("cat_boundaries")?;
            words = block.numbers("cat_threshold")?;
        }
        Limits::check(block.path, "number of categories", words.len(), limits.width)?;
        Ok(Self {
            block,
            boundaries,
            words,
            given: 0,
        })
    }

    fn get(&mut self, index: f64) -> Result<Vec<u32>> {
        let at = index as usize;
        let cut = |at: usize| self.boundaries.get(at).copied();
        let set = at
            .checked_add(1)
            .and_then(|next| self.words.get(cut(at)?..cut(next)?))
            .ok_or_else(|| self.block.wrong(format!("category set {index} is not there")))?;
        self.given += set.len();
        if self.given > self.words.len() {
            return Err(self.block.wrong("category sets overlap"));
        }
        Ok(set.to_vec())
    }
}

fn add_gains(gains: &mut [f64], block: &Block<'_>) -> Result<()> {
    if block.get("split_gain").is_none() || block.number::<usize>("num_leaves")? < 2 {
        return Ok(());
    }
    let features = block.numbers::<usize>("split_feature")?;
    for (feature, gain) in features.iter().zip(block.numbers::<f64>("split_gain")?) {
        if let Some(slot) = gains.get_mut(*feature) {
            *slot += gain;
        }
    }
    Ok(())
}

/// pandas' category lists belong to the category columns in order. Those are the features whose value range is written
/// as a list of codes; a category column without any split has none, then the signature's text columns tell.
fn encodings(path: &str, text: &Text<'_>, names: &[&str], text_inputs: &[&str]) -> Result<Vec<Encoding>> {
    let mut encodings = vec![Encoding::Number; names.len()];
    let lists = &text.pandas_categories;
    if lists.is_empty() {
        return Ok(encodings);
    }
    let infos = text.header.words("feature_infos").unwrap_or_default();
    let coded: Vec<usize> = (0..names.len())
        .filter(|at| {
            infos
                .get(*at)
                .is_some_and(|info| *info != "none" && !info.starts_with('['))
        })
        .collect();
    let named: Vec<usize> = (0..names.len())
        .filter(|at| text_inputs.contains(&names[*at]))
        .collect();
    let columns = if coded.len() == lists.len() {
        coded
    } else if named.len() == lists.len() {
        named
    } else {
        let reason = format!(
            "{} lists of pandas categories for {} category columns",
            lists.len(),
            coded.len()
        );
        return Err(wrong(path, reason));
    };
    for (column, list) in columns.into_iter().zip(lists) {
        encodings[column] = Encoding::Category(vocabulary(path, list)?);
    }
    Ok(encodings)
}

fn vocabulary(path: &str, list: &[serde_json::Value]) -> Result<Vocabulary> {
    let texts: Option<Vec<String>> = list
        .iter()
        .map(|value| value.as_str().map(str::to_owned))
        .collect();
    if let Some(texts) = texts {
        return Ok(Vocabulary::texts(texts));
    }
    let number = |value: &serde_json::Value| value.as_f64().or_else(|| value.as_bool().map(f64::from));
    let numbers: Option<Vec<f64>> = list.iter().map(number).collect();
    numbers
        .map(|numbers| Vocabulary::numbers(&numbers))
        .ok_or_else(|| wrong(path, "pandas categories of mixed kinds"))
}
