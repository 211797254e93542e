//! Who writes what is read: an index over the outs of all stages.

use crate::limits;
use crate::paths::{DataPath, FilePath, Source};
use crate::project::Project;
use crate::stages::Written;
use globset::GlobMatcher;
use std::collections::BTreeMap;

/// The outs of all stages by path; stages by their place in the sorted map.
pub(super) struct Writers<'a> {
    by_path: BTreeMap<String, Vec<usize>>,
    datasets: BTreeMap<&'a str, Vec<usize>>,
    pairs_left: usize,
}

impl<'a> Writers<'a> {
    pub fn of(project: &'a Project) -> Self {
        let mut by_path: BTreeMap<String, Vec<usize>> = BTreeMap::new();
        for (index, stage) in project.stages.values().enumerate() {
            for Written { path, .. } in stage.writes() {
                by_path.entry(path.as_str().to_owned()).or_default().push(index);
            }
        }
        let mut writers = Self {
            by_path,
            datasets: BTreeMap::new(),
            pairs_left: limits::GLOB_PAIRS,
        };
        for (name, dataset) in &project.datasets {
            let mut found = Vec::new();
            for path in &dataset.path {
                found.extend(writers.of_data(path));
            }
            found.sort_unstable();
            found.dedup();
            writers.datasets.insert(name.as_str(), found);
        }
        writers
    }

    /// Whether there were more pairs of wildcards and outs than [`limits::GLOB_PAIRS`]; the answers for datasets are
    /// then incomplete.
    pub fn is_exhausted(&self) -> bool {
        self.pairs_left == 0
    }

    pub fn paths(&self) -> impl Iterator<Item = &str> {
        self.by_path.keys().map(String::as_str)
    }

    /// The stages that write `source`, something above it or something beneath it.
    pub fn of_source(&self, source: &Source) -> Vec<usize> {
        match source {
            Source::Dataset(name) => self.datasets.get(name.as_str()).cloned().unwrap_or_default(),
            Source::Path(path) => self.of_path(path),
        }
    }

    pub fn of_path(&self, path: &FilePath) -> Vec<usize> {
        let above = above(path.as_str()).filter_map(|path| self.by_path.get(path));
        let beneath = self.beneath(path).map(|(_, stages)| stages);
        let mut found: Vec<usize> = above.chain(beneath).flatten().copied().collect();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// The outs strictly beneath `path`.
    fn beneath(&self, path: &FilePath) -> impl Iterator<Item = (&String, &Vec<usize>)> {
        let (from, to) = match path.as_str() {
            // Outs always lie inside the project.
            "." => (String::new(), "\u{10ffff}".to_owned()),
            // "0" is the character after "/".
            path => (format!("{path}/"), format!("{path}0")),
        };
        self.by_path.range(from..to)
    }

    fn of_data(&mut self, data: &DataPath) -> Vec<usize> {
        if self.is_exhausted() {
            return Vec::new();
        }
        if !data.is_glob() {
            return self.of_path(data.prefix());
        }
        let Some(parts) = Parts::of(data) else {
            return self.of_path(data.prefix());
        };
        let above = above(data.prefix().as_str()).filter_map(|path| self.by_path.get(path));
        let mut found: Vec<usize> = above.flatten().copied().collect();
        let mut pairs = 0;
        for (path, stages) in self.beneath(data.prefix()).take(self.pairs_left) {
            pairs += 1;
            if parts.may_hold(path) {
                found.extend(stages);
            }
        }
        self.pairs_left -= pairs;
        found
    }
}

/// `path` and every folder above it.
fn above(path: &str) -> impl Iterator<Item = &str> {
    let folders = path.rmatch_indices('/').map(move |(slash, _)| &path[..slash]);
    std::iter::once(path).chain(folders.filter(|folder| !folder.is_empty()))
}

/// A glob's part after its fixed folder, cut at the slashes.
struct Parts {
    skip: usize,
    parts: Vec<Option<GlobMatcher>>,
}

impl Parts {
    /// `None` when the glob can't be cut: a slash within braces.
    fn of(data: &DataPath) -> Option<Self> {
        let prefix = data.prefix().as_str();
        let pattern = match prefix {
            "." => data.as_str(),
            prefix => data.as_str().get(prefix.len() + 1..)?,
        };
        let parts = pattern.split('/').map(|part| match part {
            "**" => Some(None),
            part => Some(Some(globset::Glob::new(part).ok()?.compile_matcher())),
        });
        Some(Self {
            skip: if prefix == "." { 0 } else { prefix.len() + 1 },
            parts: parts.collect::<Option<_>>()?,
        })
    }

    /// Whether the glob matches `path`, something beneath it (it may be a folder) or a folder above it.
    fn may_hold(&self, path: &str) -> bool {
        let rest = path.get(self.skip..).unwrap_or_default();
        for (part, name) in self.parts.iter().zip(rest.split('/')) {
            match part {
                None => return true,
                Some(matcher) if matcher.is_match(name) => {}
                Some(_) => return false,
            }
        }
        true
    }
}

/// Whether what `path` names and the files of `data` share anything.
pub(crate) fn touches(data: &DataPath, path: &FilePath) -> bool {
    if data.prefix().is_beneath(path) {
        return true;
    }
    if !path.is_beneath(data.prefix()) {
        return false;
    }
    !data.is_glob() || Parts::of(data).is_none_or(|parts| parts.may_hold(path.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_glob_touches_what_it_matches_and_the_folders_around() {
        let check = |data: &str, path: &str, expected: bool| {
            let data: DataPath = data.parse().unwrap();
            let path: FilePath = path.parse().unwrap();
            assert_eq!(touches(&data, &path), expected, "{data} {path}");
        };
        check("data/*.parquet", "data", true);
        check("data/*.parquet", "data/x.parquet", true);
        check("data/*.parquet", "data/prepared/train.parquet", false);
        check("data/*.parquet", "data/prepared", false);
        check("data/*.parquet", "database/x.parquet", false);
        check("data/**/x.csv", "data/a/b", true);
        check("data/*/x.csv", "data/a", true);
        check("*.csv", "x.csv", true);
        check("*.csv", "x.parquet", false);
        check("data/raw", "data/raw/x.csv", true);
        check("data/raw", "data/raw2", false);
        check("data/{a,b}.csv", "data/a.csv", true);
        check("s3://bucket/x/*.csv", "s3://bucket/x/1.csv", true);
    }
}
