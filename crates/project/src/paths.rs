//! Paths as they stand in a project file: lexically clean, told apart by where they lead, never opened here.

use crate::hints::near;
use crate::limits;
use crate::problem::quoted;
use crate::text::{Text, Wrong, text_type};
use everloop_core::DatasetName;
use std::fmt;

/// A file or folder: relative to the project's folder (or to a stage's `wdir`), absolute, or an address such as
/// `s3://bucket/key`. Kept without `.`, doubled slashes and `..` that can be resolved by reading.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FilePath(String);

/// Where a path leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// Beneath the project's folder.
    Inside,
    /// Elsewhere on this machine: absolute, or up and out by `..`. A server must refuse such a path from a client.
    Outside,
    /// An object store or web server.
    Remote,
}

const DATASET: &str = "dataset:";
const SCHEMES: [&str; 5] = ["s3", "gs", "az", "http", "https"];

impl FilePath {
    /// The path as text; `.` is the project's folder.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Where it leads.
    #[must_use]
    pub fn reach(&self) -> Reach {
        if self.0.contains("://") {
            Reach::Remote
        } else if self.0.starts_with('/') || self.0 == ".." || self.0.starts_with("../") {
            Reach::Outside
        } else {
            Reach::Inside
        }
    }

    /// This path as seen from the project's folder, when it was written relative to `wdir`.
    #[must_use]
    pub fn from_wdir(&self, wdir: Option<&Self>) -> Self {
        match wdir {
            Some(wdir) if self.reach() != Reach::Remote && !self.0.starts_with('/') => {
                Self(clean(&format!("{wdir}/{self}")))
            }
            _ => self.clone(),
        }
    }

    /// Whether this is `other`, or lies beneath it.
    #[must_use]
    pub fn is_beneath(&self, other: &Self) -> bool {
        if other.0 == "." {
            return self.reach() == Reach::Inside;
        }
        match self.0.strip_prefix(other.0.as_str()) {
            Some(rest) => rest.is_empty() || rest.starts_with('/') || other.0 == "/",
            None => false,
        }
    }

    fn looks_like_dataset(&self) -> bool {
        self.0.starts_with(DATASET)
    }

    /// The ending after the last dot of the last part, in lower case.
    #[must_use]
    pub fn extension(&self) -> Option<String> {
        let name = self.0.rsplit('/').next()?;
        let (stem, ending) = name.rsplit_once('.')?;
        (!stem.is_empty()).then(|| ending.to_lowercase())
    }

    /// The last part without its ending.
    #[must_use]
    pub fn stem(&self) -> &str {
        let name = self.0.rsplit('/').next().unwrap_or_default();
        match name.rsplit_once('.') {
            Some((stem, _)) if !stem.is_empty() => stem,
            _ => name,
        }
    }
}

/// Removes `.` and empty parts and resolves `..`; what is left of `..` stands in front.
fn clean(path: &str) -> String {
    let absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&last) if last != ".." => {
                    parts.pop();
                }
                _ if absolute => {}
                _ => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (absolute, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// What no path may hold, wherever it leads.
fn refuse_odd(text: &str) -> Result<(), Wrong> {
    if text.is_empty() {
        return Err(Wrong::because("it is empty"));
    }
    if text.chars().any(char::is_control) {
        return Err(Wrong::because("it holds a control character"));
    }
    if text.contains('\\') {
        return Err(Wrong::because("it holds a backslash").hint("separate folders with \"/\""));
    }
    if text == "~" || text.starts_with("~/") {
        return Err(
            Wrong::because("\"~\" is not expanded").hint("write the path relative to the project's folder")
        );
    }
    Ok(())
}

fn remote(scheme: &str, rest: &str) -> Result<(), Wrong> {
    if !SCHEMES.contains(&scheme) {
        let near = near(scheme, SCHEMES).map(|near| format!("did you mean \"{near}://\"?"));
        return Err(Wrong {
            reason: Some(format!("unknown scheme {}", quoted(scheme))),
            hint: near.or(Some("use s3://, gs://, az:// or https://".to_owned())),
        });
    }
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return Err(Wrong::because("it has no bucket or host"));
    }
    if host.contains('@') {
        return Err(
            Wrong::because("it holds a user name or password").hint("give credentials to the server instead")
        );
    }
    // A key that a store, a proxy and we could read in different ways is refused rather than guessed at.
    let lower = rest.to_lowercase();
    let odd = ["?", "#", ";", "%2e", "%2f", "%5c", " "];
    if let Some(odd) = odd.iter().find(|odd| lower.contains(**odd)) {
        return Err(Wrong::because(format!("it holds {}", quoted(odd))));
    }
    if rest.split('/').any(|part| part == "." || part == "..") {
        return Err(Wrong::because("it holds \".\" or \"..\" as a part"));
    }
    Ok(())
}

impl Text for FilePath {
    const WHAT: &'static str = "path";
    const EXPECTED: &'static str = "a path relative to the project's folder, such as data/train.parquet, or an address such as s3://bucket/key";
    const PATTERN: &'static str = r"^[^\\]+$";
    const LONGEST: usize = limits::PATH;

    fn parse(text: &str) -> Result<Self, Wrong> {
        refuse_odd(text)?;
        if let Some((scheme, rest)) = text.split_once("://") {
            remote(scheme, rest)?;
            return Ok(Self(text.trim_end_matches('/').to_owned()));
        }
        Ok(Self(clean(text)))
    }
}

impl fmt::Display for FilePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The files of a dataset: a path, or a glob such as `data/*.parquet` (`*`, `**`, `?`, `[a-z]`, `{a,b}`).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DataPath {
    text: String,
    prefix: FilePath,
}

const GLOB_SIGNS: [char; 4] = ['*', '?', '[', '{'];

impl DataPath {
    /// The path or glob as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is a glob.
    #[must_use]
    pub fn is_glob(&self) -> bool {
        self.text.contains(GLOB_SIGNS)
    }

    /// The path itself, or of a glob the folder that everything it matches lies in.
    #[must_use]
    pub fn prefix(&self) -> &FilePath {
        &self.prefix
    }
}

impl Text for DataPath {
    const WHAT: &'static str = "data path";
    const EXPECTED: &'static str =
        "a file, folder or glob such as data/*.parquet, or an address such as s3://bucket/data/*.parquet";
    const PATTERN: &'static str = r"^[^\\]+$";
    const LONGEST: usize = limits::PATH;

    fn parse(text: &str) -> Result<Self, Wrong> {
        refuse_odd(text)?;
        let Some(sign) = text.find(GLOB_SIGNS) else {
            let prefix = FilePath::parse(text)?;
            let text = prefix.as_str().to_owned();
            return Ok(Self { text, prefix });
        };
        if text.len() > limits::GLOB {
            return Err(Wrong::because(format!(
                "the glob is longer than {} bytes",
                limits::GLOB
            )));
        }
        let (folder, pattern) = match text[..sign].rfind('/') {
            Some(slash) => (&text[..slash + 1], &text[slash + 1..]),
            None => ("", text),
        };
        let prefix = FilePath::parse(if folder.is_empty() { "." } else { folder })?;
        if pattern.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(Wrong::because(
                "an empty part, \".\" or \"..\" follows the first wildcard",
            ));
        }
        globset::GlobBuilder::new(pattern)
            .literal_separator(true)
            .build()
            .map_err(|error| Wrong::because(error.kind().to_string()))?;
        let text = match prefix.as_str() {
            "." => pattern.to_owned(),
            "/" => format!("/{pattern}"),
            folder => format!("{folder}/{pattern}"),
        };
        Ok(Self { text, prefix })
    }
}

impl fmt::Display for DataPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What a stage reads: a dataset of the project, or a file or folder.
///
/// In `from:`, `data:` and `test:` a plain name (no slash, no dot) is a dataset and anything else a path; `./name` is
/// a path without either. In `deps:`, as in dvc.yaml, everything is a path but `dataset:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A dataset of the project.
    Dataset(DatasetName),
    /// A file or folder, or an address.
    Path(FilePath),
}

fn plain(text: &str) -> bool {
    !text.contains(['/', '.']) && !text.contains("://")
}

impl Text for Source {
    const WHAT: &'static str = "source";
    const EXPECTED: &'static str = "the name of a dataset, or a path such as data/train.parquet";
    const PATTERN: &'static str = r"^[^\\]+$";
    const LONGEST: usize = limits::PATH;

    fn parse(text: &str) -> Result<Self, Wrong> {
        let name = text.strip_prefix(DATASET).or_else(|| plain(text).then_some(text));
        match name {
            Some(name) => DatasetName::new(name)
                .map(Self::Dataset)
                .map_err(|error| Wrong::because(error.to_string())),
            None => FilePath::parse(text).map(Self::Path),
        }
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dataset(name) if plain(name.as_str()) => name.fmt(f),
            Self::Dataset(name) => write!(f, "dataset:{name}"),
            Self::Path(path) if plain(path.as_str()) || path.looks_like_dataset() => write!(f, "./{path}"),
            Self::Path(path) => path.fmt(f),
        }
    }
}

/// A dependency of a stage: a path as in dvc.yaml, or `dataset:name`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Dep(pub Source);

impl Text for Dep {
    const WHAT: &'static str = "dependency";
    const EXPECTED: &'static str = "a path such as data/train.parquet, or a dataset such as dataset:flights";
    const PATTERN: &'static str = r"^[^\\]+$";
    const LONGEST: usize = limits::PATH;

    fn parse(text: &str) -> Result<Self, Wrong> {
        match text.strip_prefix(DATASET) {
            Some(name) => DatasetName::new(name)
                .map(|name| Self(Source::Dataset(name)))
                .map_err(|error| Wrong::because(error.to_string())),
            None => FilePath::parse(text).map(|path| Self(Source::Path(path))),
        }
    }
}

impl fmt::Display for Dep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Source::Dataset(name) => write!(f, "dataset:{name}"),
            Source::Path(path) if path.looks_like_dataset() => write!(f, "./{path}"),
            Source::Path(path) => path.fmt(f),
        }
    }
}

text_type!(FilePath, DataPath, Source, Dep);
