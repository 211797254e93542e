//! XGBoost's own model files, JSON and UBJSON, of versions 1.x to 3.x.
//!
//! Covered: gbtree and dart, every built-in objective, numeric and categorical splits, several trees an iteration,
//! one score per tree. Left out: gblinear and trees with vector leaves (refused by name).

mod file;
mod ubjson;

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::signature::Kind;
use crate::task::{Label, Task};
use crate::trees::{
    AnyTrees, Builder, Encoding, Link, LoadedTrees, Split, SplitKind, Tree, TreeModel, TreeNode, Vocabulary,
};
use file::{Categories, FeatureCategories, File, FileTree, Float, Forest, Learner};

const FORMAT: &str = "XGBoost model";

/// Words of the category sets of one tree: a few bytes of a file may name a category that makes a large set.
const MAX_SET_WORDS: u64 = 1 << 24;

/// Reads a model file.
pub(crate) fn load(path: &str, bytes: &[u8], limits: &Limits) -> Result<LoadedTrees> {
    let parsed: File = if ubjson::is_ubjson(bytes) {
        ubjson::from_slice(bytes).map_err(|error| wrong(path, error.to_string()))?
    } else {
        serde_json::from_slice(&file::plain_json(bytes)).map_err(|error| wrong(path, error.to_string()))?
    };
    let source = Source { path, limits };
    source.model(parsed.learner)
}

/// Whether JSON bytes look like an XGBoost model.
pub(crate) fn is_model(bytes: &[u8]) -> bool {
    if ubjson::is_ubjson(bytes) {
        return true;
    }
    let start = &bytes[..bytes.len().min(64)];
    start.starts_with(b"{") && start.windows(9).any(|window| window == b"\"learner\"")
}

fn wrong(path: &str, reason: String) -> Error {
    Error::malformed(path, FORMAT, reason)
}

struct Source<'a> {
    path: &'a str,
    limits: &'a Limits,
}

/// What an objective makes of the sum of the leaves.
struct Answer {
    link: Link,
    classes: usize,
    /// From a stored base score to the sum that trees start with.
    to_sum: fn(f64) -> f64,
}

impl Source<'_> {
    fn wrong(&self, reason: impl Into<String>) -> Error {
        wrong(self.path, reason.into())
    }

    fn unsupported(&self, what: impl Into<String>) -> Error {
        Error::unsupported(self.path, what)
    }

    fn count(&self, name: &str, text: &str) -> Result<usize> {
        if text.is_empty() {
            return Ok(0);
        }
        text.parse()
            .map_err(|_| self.wrong(format!("{name} is \"{text}\"")))
    }

    fn model(&self, learner: Learner) -> Result<LoadedTrees> {
        let params = &learner.learner_model_param;
        let features = self.count("num_feature", &params.num_feature)?;
        let classes = self.count("num_class", &params.num_class)?;
        let outputs = classes.max(self.count("num_target", &params.num_target)?).max(1);
        Limits::check(self.path, "number of outputs", outputs, self.limits.width)?;
        let answer = self.answer(&learner.objective.name, classes)?;
        let base = self.base(&params.base_score, outputs, answer.to_sum)?;
        let (forest, weights) = self.forest(learner.gradient_booster)?;
        let used = self.used_trees(&learner.attributes, &forest, outputs)?;

        let mut builder = Builder::new(self.path, FORMAT, self.limits, features, base)?;
        let mut gains = vec![0.0; features];
        for index in 0..used {
            let weight = weights.get(index).map_or(1.0, |weight| weight.0);
            let tree = self.tree(&forest, index, weight)?;
            builder.add(&tree)?;
            add_gains(&mut gains, &forest.trees[index]);
        }
        let (names, named) = self.names(learner.feature_names, features)?;
        let encodings = self.encodings(&learner.feature_types, &forest.cats, features)?;
        Ok(LoadedTrees {
            model: TreeModel {
                trees: AnyTrees::F32(builder.finish()),
                encodings,
                divisor: 1.0,
                link: answer.link,
                binary: answer.classes == 2 && outputs == 1,
            },
            kinds: kinds(&learner.feature_types, features),
            names,
            named,
            task: task(answer.classes),
            gains: Some(gains),
        })
    }

    fn answer(&self, objective: &str, classes: usize) -> Result<Answer> {
        let same = |x| x;
        let logit = |p: f64| -(1.0 / p - 1.0).ln();
        let sigmoid = Link::Sigmoid { scale: 1.0 };
        let (link, classes, to_sum): (_, _, fn(f64) -> f64) = match objective {
            "reg:squarederror"
            | "reg:linear"
            | "reg:squaredlogerror"
            | "reg:pseudohubererror"
            | "reg:absoluteerror"
            | "reg:quantileerror"
            | "reg:expectileerror"
            | "rank:pairwise"
            | "rank:ndcg"
            | "rank:map" => (Link::Identity, 0, same),
            "reg:logistic" => (sigmoid, 0, logit),
            "binary:logistic" => (sigmoid, 2, logit),
            "binary:logitraw" => (Link::Identity, 0, logit),
            "binary:hinge" => (Link::Step, 2, same),
            "multi:softprob" | "multi:softmax" => (Link::Softmax, classes.max(1), same),
            "count:poisson" | "reg:gamma" | "reg:tweedie" | "survival:cox" | "survival:aft" => {
                (Link::Exp, 0, f64::ln)
            }
            other => return Err(self.unsupported(format!("objective \"{other}\""))),
        };
        Ok(Answer {
            link,
            classes,
            to_sum,
        })
    }

    /// `5E-1` up to 3.0, `[5E-1]` or one number per output since.
    fn base(&self, text: &str, outputs: usize, to_sum: fn(f64) -> f64) -> Result<Vec<f32>> {
        let numbers: Result<Vec<f64>, _> = text
            .trim()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .split(',')
            .map(|number| number.trim().parse::<f64>())
            .collect();
        let sums = numbers
            .map_err(|_| self.wrong(format!("base_score is \"{text}\"")))?
            .into_iter()
            // The library keeps the score and the sum as 32-bit floats.
            .map(|score| to_sum(f64::from(score as f32)) as f32)
            .collect::<Vec<_>>();
        match sums.as_slice() {
            [one] => Ok(vec![*one; outputs]),
            many if many.len() == outputs => Ok(sums),
            many => Err(self.wrong(format!("{} base scores for {outputs} outputs", many.len()))),
        }
    }

    fn forest(&self, booster: file::Booster) -> Result<(Forest, Vec<Float>)> {
        let (forest, weights) = match booster.name.as_str() {
            "gbtree" => (booster.model, Vec::new()),
            "dart" => (booster.gbtree.map(|wrapped| wrapped.model), booster.weight_drop),
            other => return Err(self.unsupported(format!("booster \"{other}\""))),
        };
        let forest = forest.ok_or_else(|| self.wrong("the booster holds no model"))?;
        if forest.tree_info.len() != forest.trees.len() {
            return Err(self.wrong("tree_info does not name every tree"));
        }
        if !weights.is_empty() && weights.len() != forest.trees.len() {
            return Err(self.wrong("weight_drop does not name every tree"));
        }
        Ok((forest, weights))
    }

    /// The scikit-learn wrapper predicts with the best iteration only; a plain booster with all.
    fn used_trees(&self, attributes: &file::Attributes, forest: &Forest, outputs: usize) -> Result<usize> {
        let all = forest.trees.len();
        let (Some(best), Some(_)) = (&attributes.best_iteration, &attributes.scikit_learn) else {
            return Ok(all);
        };
        let iterations = self.count("best_iteration", best)?.saturating_add(1);
        if let Some(end) = forest.iteration_indptr.get(iterations) {
            return Ok(usize::try_from(*end).unwrap_or(all).min(all));
        }
        let parallel = self.count("num_parallel_tree", &forest.gbtree_model_param.num_parallel_tree)?;
        Ok(iterations
            .saturating_mul(outputs)
            .saturating_mul(parallel.max(1))
            .min(all))
    }

    fn names(&self, names: Vec<String>, features: usize) -> Result<(Vec<String>, bool)> {
        if names.is_empty() {
            return Ok(((0..features).map(|index| format!("f{index}")).collect(), false));
        }
        if names.len() == features {
            return Ok((names, true));
        }
        Err(self.wrong(format!("{} feature names for {features} features", names.len())))
    }

    fn encodings(&self, types: &[String], categories: &Categories, features: usize) -> Result<Vec<Encoding>> {
        (0..features)
            .map(|index| {
                let categorical = types.get(index).is_some_and(|kind| kind == "c");
                match categories.enc.get(index) {
                    Some(listed) if categorical && !listed.values.is_empty() => self.vocabulary(listed),
                    _ => Ok(Encoding::Number),
                }
            })
            .collect()
    }

    fn vocabulary(&self, categories: &FeatureCategories) -> Result<Encoding> {
        let Some(offsets) = &categories.offsets else {
            return Ok(Encoding::Category(Vocabulary::numbers(&categories.values)));
        };
        let bytes: Vec<u8> = categories.values.iter().map(|byte| *byte as i64 as u8).collect();
        let text = |range: &[i64]| {
            let start = usize::try_from(range[0]).ok()?;
            let end = usize::try_from(range[1]).ok()?;
            String::from_utf8(bytes.get(start..end)?.to_vec()).ok()
        };
        let names: Option<Vec<String>> = offsets.windows(2).map(text).collect();
        let names = names.ok_or_else(|| self.wrong("category names are cut wrongly"))?;
        Ok(Encoding::Category(Vocabulary::texts(names)))
    }

    fn tree(&self, forest: &Forest, index: usize, weight: f32) -> Result<Tree<f32>> {
        let tree = &forest.trees[index];
        let output = forest.tree_info[index];
        let nodes = tree.left_children.len();
        let equal = [
            tree.right_children.len(),
            tree.split_indices.len(),
            tree.split_conditions.len(),
            tree.default_left.len(),
        ];
        if equal.iter().any(|length| *length != nodes)
            || !matches!(tree.split_type.len(), n if n == nodes || n == 0)
        {
            return Err(self.wrong(format!("the arrays of tree {index} differ in length")));
        }
        if self.count("size_leaf_vector", &tree.tree_param.size_leaf_vector)? > 1 {
            return Err(self.unsupported("a tree with vector leaves (multi_strategy=multi_output_tree)"));
        }
        let sets = self.sets(tree, index)?;
        let nodes: Result<Vec<_>> = (0..nodes)
            .map(|node| self.node(tree, node, &sets, weight))
            .collect();
        Ok(Tree {
            nodes: nodes?,
            root: 0,
            output: usize::try_from(output)
                .map_err(|_| self.wrong(format!("tree {index} adds to output {output}")))?,
        })
    }

    fn node(
        &self,
        tree: &FileTree,
        node: usize,
        sets: &[Option<Vec<u32>>],
        weight: f32,
    ) -> Result<TreeNode<f32>> {
        let condition = tree.split_conditions[node].0;
        if tree.left_children[node] == -1 {
            return Ok(TreeNode::Leaf(weight * condition));
        }
        let child = |child: i64| {
            usize::try_from(child).map_err(|_| self.wrong(format!("node {node} has child {child}")))
        };
        let (left, right) = (
            child(tree.left_children[node])?,
            child(tree.right_children[node])?,
        );
        let feature = tree.split_indices[node];
        let feature = usize::try_from(feature)
            .map_err(|_| self.wrong(format!("node {node} reads feature {feature}")))?;
        let missing_left = tree.default_left[node].0;
        let split = if tree.split_type.get(node) == Some(&1) {
            let set = sets.get(node).and_then(Option::as_ref);
            let set = set.ok_or_else(|| self.wrong(format!("node {node} has no categories")))?;
            // Members of the set go to the right.
            Split {
                feature,
                kind: SplitKind::Member(set.clone()),
                yes: right,
                no: left,
                missing_yes: !missing_left,
            }
        } else {
            Split {
                feature,
                kind: SplitKind::Below(condition),
                yes: left,
                no: right,
                missing_yes: missing_left,
            }
        };
        Ok(TreeNode::Split(split))
    }

    /// Per node the set of its categories as bits.
    fn sets(&self, tree: &FileTree, index: usize) -> Result<Vec<Option<Vec<u32>>>> {
        if tree.categories_nodes.is_empty() {
            return Ok(Vec::new());
        }
        let wrong = || self.wrong(format!("the categories of tree {index} are cut wrongly"));
        let mut sets = vec![None; tree.left_children.len()];
        let cuts = tree.categories_segments.iter().zip(&tree.categories_sizes);
        if tree.categories_segments.len() != tree.categories_nodes.len()
            || tree.categories_sizes.len() != tree.categories_nodes.len()
        {
            return Err(wrong());
        }
        let mut total = 0;
        for (node, (start, size)) in tree.categories_nodes.iter().zip(cuts) {
            let start = usize::try_from(*start).map_err(|_| wrong())?;
            let size = usize::try_from(*size).map_err(|_| wrong())?;
            let members = start
                .checked_add(size)
                .and_then(|end| tree.categories.get(start..end));
            let slot = usize::try_from(*node).ok().and_then(|node| sets.get_mut(node));
            let (Some(members), Some(slot)) = (members, slot) else {
                return Err(wrong());
            };
            let set = self.bits(members)?;
            total += set.len();
            Limits::check(self.path, "size of category sets", total, MAX_SET_WORDS)?;
            *slot = Some(set);
        }
        Ok(sets)
    }

    fn bits(&self, members: &[i64]) -> Result<Vec<u32>> {
        let highest = members.iter().copied().max().unwrap_or(0);
        // A single category of 2^24 would cost 2 MiB; a million columns of that kind, the machine.
        let words = usize::try_from(highest).unwrap_or(usize::MAX) / 32 + 1;
        Limits::check(
            self.path,
            "number of categories",
            words.saturating_mul(32),
            self.limits.width,
        )?;
        let mut bits = vec![0; words];
        for member in members {
            let member = usize::try_from(*member).map_err(|_| self.wrong(format!("category {member}")))?;
            bits[member / 32] |= 1 << (member % 32);
        }
        Ok(bits)
    }
}

fn add_gains(gains: &mut [f64], tree: &FileTree) {
    for ((feature, gain), left) in tree
        .split_indices
        .iter()
        .zip(&tree.loss_changes)
        .zip(&tree.left_children)
    {
        let slot = usize::try_from(*feature)
            .ok()
            .and_then(|feature| gains.get_mut(feature));
        if let (Some(slot), true) = (slot, *left != -1) {
            *slot += f64::from(gain.0);
        }
    }
}

/// The kinds of columns that the file tells: `int` and `i` (truth values) beside floats and categories.
fn kinds(types: &[String], features: usize) -> Vec<Kind> {
    let kind = |index: usize| match types.get(index).map(String::as_str) {
        Some("int") => Kind::Long,
        Some("i") => Kind::Bool,
        _ => Kind::Double,
    };
    (0..features).map(kind).collect()
}

fn task(classes: usize) -> Task {
    if classes == 0 {
        return Task::Regression;
    }
    Task::Classification {
        classes: (0..classes as i64).map(Label::Int).collect(),
    }
}
