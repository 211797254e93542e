//! The lines of a LightGBM model: a header, a block per tree, and pandas' categories at the end.

use super::wrong;
use crate::error::{Error, Result};
use crate::limits::Limits;
use std::str::{FromStr, Lines};

/// Most lines of one block; LightGBM writes about twenty.
const MAX_LINES: usize = 200;

pub(super) struct Text<'a> {
    pub(super) header: Block<'a>,
    pub(super) trees: Vec<Block<'a>>,
    pub(super) pandas_categories: Vec<Vec<serde_json::Value>>,
}

/// The `key=value` lines up to an empty one.
pub(super) struct Block<'a> {
    pub(super) path: &'a str,
    name: String,
    lines: Vec<(&'a str, &'a str)>,
}

impl<'a> Text<'a> {
    pub(super) fn parse(path: &'a str, text: &'a str, limits: &Limits) -> Result<Self> {
        let mut lines = text.lines();
        lines.next();
        let header = Block::read(path, "the header".to_owned(), &mut lines)?;
        let mut trees: Vec<Block<'a>> = Vec::new();
        let mut pandas_categories = Vec::new();
        let mut ended = false;
        while let Some(line) = lines.next() {
            if let Some(index) = line.strip_prefix("Tree=") {
                if index.trim().parse() != Ok(trees.len()) || ended {
                    return Err(wrong(
                        path,
                        format!("tree {} is followed by \"{line}\"", trees.len()),
                    ));
                }
                Limits::check(path, "number of trees", trees.len() + 1, limits.trees)?;
                trees.push(Block::read(path, format!("tree {}", trees.len()), &mut lines)?);
            } else if line == "end of trees" {
                ended = true;
            } else if let Some(json) = line.strip_prefix("pandas_categorical:") {
                let lists: Option<Vec<Vec<serde_json::Value>>> = serde_json::from_str(json)
                    .map_err(|error| wrong(path, format!("pandas_categorical: {error}")))?;
                pandas_categories = lists.unwrap_or_default();
            }
        }
        if !ended {
            return Err(wrong(path, "the trees have no end"));
        }
        Ok(Self {
            header,
            trees,
            pandas_categories,
        })
    }
}

impl<'a> Block<'a> {
    fn read(path: &'a str, name: String, lines: &mut Lines<'a>) -> Result<Self> {
        let mut block = Self {
            path,
            name,
            lines: Vec::new(),
        };
        for line in lines.take_while(|line| !line.is_empty()) {
            if block.lines.len() == MAX_LINES {
                return Err(block.wrong(format!("more than {MAX_LINES} lines")));
            }
            block.lines.push(line.split_once('=').unwrap_or((line, "")));
        }
        Ok(block)
    }

    pub(super) fn wrong(&self, reason: impl AsRef<str>) -> Error {
        wrong(self.path, format!("{}: {}", self.name, reason.as_ref()))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a str> {
        self.lines
            .iter()
            .find(|(name, _)| *name == key)
            .map(|(_, value)| *value)
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    fn require(&self, key: &str) -> Result<&'a str> {
        self.get(key)
            .ok_or_else(|| self.wrong(format!("\"{key}\" is missing")))
    }

    pub(super) fn words(&self, key: &str) -> Result<Vec<&'a str>> {
        Ok(self
            .require(key)?
            .split(' ')
            .filter(|word| !word.is_empty())
            .collect())
    }

    pub(super) fn number<T: FromStr>(&self, key: &str) -> Result<T> {
        let text = self.require(key)?.trim();
        text.parse()
            .map_err(|_| self.wrong(format!("{key}=\"{}\"", short(text))))
    }

    pub(super) fn numbers<T: FromStr>(&self, key: &str) -> Result<Vec<T>> {
        self.words(key)?
            .into_iter()
            .map(|word| {
                word.parse()
                    .map_err(|_| self.wrong(format!("{key} holds \"{}\"", short(word))))
            })
            .collect()
    }

    pub(super) fn exactly<T: FromStr>(&self, key: &str, count: usize) -> Result<Vec<T>> {
        let numbers = self.numbers(key)?;
        if numbers.len() == count {
            return Ok(numbers);
        }
        Err(self.wrong(format!(
            "{key} holds {} numbers where {count} are expected",
            numbers.len()
        )))
    }
}

fn short(text: &str) -> String {
    text.chars().take(40).collect()
}
