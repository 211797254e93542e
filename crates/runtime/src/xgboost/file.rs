//! The parts of an XGBoost model file that predictions need; JSON and UBJSON share their shape.

use serde::de::{self, Deserialize, Deserializer, Visitor};
use std::borrow::Cow;
use std::fmt;

#[derive(Debug, serde::Deserialize)]
pub(super) struct File {
    pub(super) learner: Learner,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Learner {
    #[serde(default)]
    pub(super) attributes: Attributes,
    #[serde(default)]
    pub(super) feature_names: Vec<String>,
    #[serde(default)]
    pub(super) feature_types: Vec<String>,
    pub(super) gradient_booster: Booster,
    pub(super) learner_model_param: Params,
    pub(super) objective: Objective,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Attributes {
    pub(super) best_iteration: Option<String>,
    pub(super) scikit_learn: Option<String>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Params {
    pub(super) base_score: String,
    #[serde(default)]
    pub(super) num_class: String,
    pub(super) num_feature: String,
    #[serde(default)]
    pub(super) num_target: String,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Objective {
    pub(super) name: String,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Booster {
    pub(super) name: String,
    /// Of gbtree.
    pub(super) model: Option<Forest>,
    /// Of dart, which wraps a gbtree.
    pub(super) gbtree: Option<Wrapped>,
    #[serde(default)]
    pub(super) weight_drop: Vec<Float>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Wrapped {
    pub(super) model: Forest,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct Forest {
    pub(super) trees: Vec<FileTree>,
    pub(super) tree_info: Vec<i64>,
    #[serde(default)]
    pub(super) iteration_indptr: Vec<i64>,
    #[serde(default)]
    pub(super) gbtree_model_param: ForestParams,
    #[serde(default)]
    pub(super) cats: Categories,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct ForestParams {
    #[serde(default)]
    pub(super) num_parallel_tree: String,
}

/// Since 3.1: the category values per feature, in the order of their codes.
#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct Categories {
    #[serde(default, deserialize_with = "one_per_feature")]
    pub(super) enc: Vec<FeatureCategories>,
}

/// Most features that may have categories.
const MAX_FEATURES: usize = 1 << 20;

/// Three bytes of text make an entry of fifty: the list is cut off before it fills the memory.
fn one_per_feature<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<FeatureCategories>, D::Error> {
    struct Entries;
    impl<'de> Visitor<'de> for Entries {
        type Value = Vec<FeatureCategories>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("the categories of each feature")
        }

        fn visit_seq<A: de::SeqAccess<'de>>(self, mut list: A) -> Result<Self::Value, A::Error> {
            let mut entries = Vec::new();
            while let Some(entry) = list.next_element()? {
                if entries.len() == MAX_FEATURES {
                    return Err(de::Error::custom("categories of more than a million features"));
                }
                entries.push(entry);
            }
            Ok(entries)
        }
    }
    deserializer.deserialize_seq(Entries)
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct FeatureCategories {
    /// For texts: where each begins in `values`, and the end of the last.
    pub(super) offsets: Option<Vec<i64>>,
    /// Numbers, or the bytes of all texts.
    #[serde(default)]
    pub(super) values: Vec<f64>,
}

#[derive(Debug, serde::Deserialize)]
pub(super) struct FileTree {
    pub(super) left_children: Vec<i64>,
    pub(super) right_children: Vec<i64>,
    pub(super) split_indices: Vec<i64>,
    /// Thresholds of splits, values of leaves.
    pub(super) split_conditions: Vec<Float>,
    pub(super) default_left: Vec<Flag>,
    /// 1 for splits on sets of categories; absent before 1.3.
    #[serde(default)]
    pub(super) split_type: Vec<i64>,
    #[serde(default)]
    pub(super) categories: Vec<i64>,
    #[serde(default)]
    pub(super) categories_nodes: Vec<i64>,
    #[serde(default)]
    pub(super) categories_segments: Vec<i64>,
    #[serde(default)]
    pub(super) categories_sizes: Vec<i64>,
    #[serde(default)]
    pub(super) loss_changes: Vec<Float>,
    #[serde(default)]
    pub(super) tree_param: TreeParams,
}

#[derive(Debug, Default, serde::Deserialize)]
pub(super) struct TreeParams {
    #[serde(default)]
    pub(super) size_leaf_vector: String,
}

/// A 32-bit float; null is NaN.
#[derive(Debug, Clone, Copy)]
pub(super) struct Float(pub(super) f32);

impl<'de> Deserialize<'de> for Float {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Number;
        impl Visitor<'_> for Number {
            type Value = Float;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number")
            }

            fn visit_f64<E: de::Error>(self, value: f64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Float, E> {
                Ok(Float(value as f32))
            }

            fn visit_unit<E: de::Error>(self) -> Result<Float, E> {
                Ok(Float(f32::NAN))
            }
        }
        deserializer.deserialize_any(Number)
    }
}

/// A truth value; a number in newer files.
#[derive(Debug, Clone, Copy)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Truth;
        impl Visitor<'_> for Truth {
            type Value = Flag;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a truth value")
            }

            fn visit_bool<E: de::Error>(self, value: bool) -> Result<Flag, E> {
                Ok(Flag(value))
            }

            fn visit_i64<E: de::Error>(self, value: i64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }

            fn visit_u64<E: de::Error>(self, value: u64) -> Result<Flag, E> {
                Ok(Flag(value != 0))
            }
        }
        deserializer.deserialize_any(Truth)
    }
}

/// XGBoost's JSON writes NaN and infinities bare, which JSON does not know: null and an overflowing number stand in.
pub(super) fn plain_json(input: &[u8]) -> Cow<'_, [u8]> {
    const STRANGE: [(&[u8], &[u8]); 2] = [(b"NaN", b"null"), (b"Infinity", b"1e39")];
    let mut output: Vec<u8> = Vec::new();
    let (mut copied, mut at, mut quoted) = (0, 0, false);
    while at < input.len() {
        match input[at] {
            b'\\' if quoted => at += 1,
            b'"' => quoted = !quoted,
            b'N' | b'I' if !quoted => {
                let strange = STRANGE.iter().find(|(word, _)| input[at..].starts_with(word));
                if let Some((word, instead)) = strange {
                    output.extend_from_slice(&input[copied..at]);
                    output.extend_from_slice(instead);
                    at += word.len();
                    copied = at;
                    continue;
                }
            }
            _ => {}
        }
        at += 1;
    }
    if copied == 0 {
        return Cow::Borrowed(input);
    }
    output.extend_from_slice(&input[copied..]);
    Cow::Owned(output)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bare_nan_and_infinity_are_read() {
        let text = br#"{"Na\"N":[NaN,-Infinity,Infinity,1],"NaN":[]}"#;
        let map: std::collections::BTreeMap<String, Vec<Float>> =
            serde_json::from_slice(&plain_json(text)).unwrap();
        let values: Vec<f32> = map["Na\"N"].iter().map(|value| value.0).collect();
        assert!(values[0].is_nan());
        assert_eq!(values[1..], [f32::NEG_INFINITY, f32::INFINITY, 1.0]);
        assert!(matches!(plain_json(b"{\"NaN\":1}"), Cow::Borrowed(_)));
    }
}
