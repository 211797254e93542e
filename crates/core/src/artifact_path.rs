//! The one parser of artifact paths: files of runs, of model versions, of whatever is stored under a name.
//!
//! A path that exists is a relative path of plain names: it can't leave the place it belongs to, in whatever form it is
//! spelled, on whatever system it is written out. Text comes here decoded once; what still decodes to a special
//! character is an attempt and refused.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// The longest path, in bytes: the longest key of S3.
const LONGEST_PATH: usize = 1_024;
/// The longest name in it, in bytes: the longest of common file systems.
const LONGEST_NAME: usize = 255;

/// The text can't be an artifact's path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{found}\" is not an artifact path: {problem}")]
pub struct InvalidPath {
    /// The text, cut to 80 characters.
    pub found: String,
    /// What is wrong with it.
    pub problem: &'static str,
}

/// The path of an artifact inside its run or model version: `model/MLmodel`. Never empty.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ArtifactPath(String);

impl ArtifactPath {
    /// Takes `text` if it is a path of plain names, joined by `/`.
    ///
    /// # Errors
    /// [`InvalidPath`], with what is wrong.
    pub fn new(text: impl Into<String>) -> Result<Self, InvalidPath> {
        let text = text.into();
        match problem(&text) {
            None => Ok(Self(text)),
            Some(problem) => Err(InvalidPath {
                found: text.chars().take(80).collect(),
                problem,
            }),
        }
    }

    /// The path as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder it lies in; empty at the top.
    #[must_use]
    pub fn folder(&self) -> &str {
        self.0.rsplit_once('/').map_or("", |(folder, _)| folder)
    }

    /// Its last name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.0.rsplit_once('/').map_or(&self.0, |(_, name)| name)
    }

    /// The path of `rest` inside this folder.
    ///
    /// # Errors
    /// [`InvalidPath`].
    pub fn join(&self, rest: &str) -> Result<Self, InvalidPath> {
        Self::new(format!("{}/{rest}", self.0))
    }

    /// This path as seen from `folder`, when it lies in it.
    #[must_use]
    pub fn strip(&self, folder: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(&folder.0)?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// The folders it lies in, outermost first: `a`, `a/b` for `a/b/c`.
    pub fn folders(&self) -> impl Iterator<Item = Self> + '_ {
        self.0
            .match_indices('/')
            .map(|(end, _)| Self(self.0[..end].to_owned()))
    }
}

impl fmt::Display for ArtifactPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ArtifactPath {
    type Err = InvalidPath;

    fn from_str(text: &str) -> Result<Self, InvalidPath> {
        Self::new(text)
    }
}

impl TryFrom<String> for ArtifactPath {
    type Error = InvalidPath;

    fn try_from(text: String) -> Result<Self, InvalidPath> {
        Self::new(text)
    }
}

impl From<ArtifactPath> for String {
    fn from(path: ArtifactPath) -> Self {
        path.0
    }
}

fn problem(text: &str) -> Option<&'static str> {
    if text.is_empty() {
        return Some("it is empty");
    }
    if text.len() > LONGEST_PATH {
        return Some("it is longer than 1024 bytes");
    }
    if text.starts_with('/') {
        return Some("it is absolute");
    }
    let bytes = text.as_bytes();
    if bytes.len() >= 2 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':' {
        return Some("it begins with a drive letter");
    }
    text.split('/').find_map(name_problem)
}

fn name_problem(name: &str) -> Option<&'static str> {
    if name.is_empty() {
        return Some("a name in it is empty");
    }
    if name.len() > LONGEST_NAME {
        return Some("a name in it is longer than 255 bytes");
    }
    if name.chars().any(char::is_control) {
        return Some("control characters are not allowed");
    }
    if name.contains('\\') {
        return Some("\"\\\" is not allowed");
    }
    if name.contains('#') {
        return Some("\"#\" is not allowed");
    }
    // Some systems drop dots and spaces at a name's end, some servers what follows a ";".
    let plain = name.split(';').next().unwrap_or(name);
    if plain.trim_end_matches(['.', ' ']).is_empty() {
        return Some("\"..\" and names of dots alone are not allowed");
    }
    if has_hidden_character(name) {
        return Some("it still holds an encoded special character");
    }
    None
}

/// Whether `%` and two hex digits stand for anything but a plain character: `%2e`, `%2f`, `%5c`, `%25` (which hides
/// another layer), control characters, and the bytes of overlong forms.
fn has_hidden_character(name: &str) -> bool {
    let bytes = name.as_bytes();
    bytes.windows(3).any(|window| match window {
        [b'%', high, low] => match (hex(*high), hex(*low)) {
            (Some(high), Some(low)) => {
                let byte = high * 16 + low;
                matches!(byte, b'.' | b'/' | b'\\' | b'%' | b'#' | b';' | 0..=31 | 127..=255)
            }
            _ => false,
        },
        _ => false,
    })
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit)
        .to_digit(16)
        .and_then(|value| u8::try_from(value).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_paths_are_taken() {
        for good in [
            "model/MLmodel",
            "a",
            "a b/c (1).txt",
            ".hidden",
            "a..b",
            "été/ß.png",
            "100%.csv",
            "a%20b",
            "x%",
            "%zz",
            "v1.2/…",
            "a;b",
            "plots/roc?.png",
            "C",
            "ab:c",
        ] {
            assert!(ArtifactPath::new(good).is_ok(), "{good}");
        }
    }

    #[test]
    fn whatever_could_leave_the_run_is_refused() {
        let deep = "a/".repeat(600) + "x";
        let long = "n".repeat(256);
        for bad in [
            "",
            "/",
            "/etc/passwd",
            "..",
            "../x",
            "a/../b",
            "a/..",
            ".",
            "./a",
            "a/.",
            "a//b",
            "a/",
            "\\x",
            "a\\..\\b",
            "C:/x",
            "c:x",
            "a\0b",
            "a\nb",
            "a\u{7f}b",
            "%2e%2e/x",
            "%2E%2e%2fx",
            "a%2fb",
            "%252e%252e%252f",
            "%5c..",
            "%c0%ae%c0%ae/x",
            "%00",
            "..;/x",
            "..;x",
            "a/.. /b",
            "a/.../b",
            "a/. /b",
            ";",
            "a#b",
            "a%23b",
            "file:///etc/passwd",
            "a%3bb",
            &deep,
            &long,
        ] {
            assert!(ArtifactPath::new(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn parts_and_folders() {
        let path = ArtifactPath::new("a/b/c").unwrap();
        assert_eq!((path.folder(), path.name()), ("a/b", "c"));
        let folders: Vec<String> = path.folders().map(|folder| folder.to_string()).collect();
        assert_eq!(folders, ["a", "a/b"]);
        let top = ArtifactPath::new("a").unwrap();
        assert_eq!((top.folder(), top.name(), top.folders().count()), ("", "a", 0));
        assert_eq!(path.strip(&top).unwrap().as_str(), "b/c");
        assert_eq!(top.strip(&top), None);
        assert!(top.join("../b").is_err());
    }

    /// Everything anyone might decode or normalise, until nothing changes any more.
    fn fully_decoded(text: &str) -> String {
        let mut now = text.as_bytes().to_vec();
        loop {
            let mut next = Vec::new();
            let mut rest = &now[..];
            while let [first, tail @ ..] = rest {
                match rest {
                    [b'%', high, low, after @ ..] if hex(*high).is_some() && hex(*low).is_some() => {
                        next.push(hex(*high).unwrap() * 16 + hex(*low).unwrap());
                        rest = after;
                    }
                    _ => {
                        next.push(*first);
                        rest = tail;
                    }
                }
            }
            if next == now {
                return String::from_utf8_lossy(&now).replace('\\', "/");
            }
            now = next;
        }
    }

    proptest! {
        #[test]
        fn no_path_climbs_however_often_it_is_decoded(text in "[a./\\\\%2eEfF5cC0; ]{0,24}") {
            if let Ok(path) = ArtifactPath::new(text) {
                let decoded = fully_decoded(path.as_str());
                prop_assert!(!decoded.starts_with('/'), "{decoded}");
                for name in decoded.split('/') {
                    prop_assert!(!matches!(name.trim(), "" | "." | ".."), "{decoded}");
                }
                prop_assert_eq!(path.as_str().matches('/').count(), decoded.matches('/').count());
            }
        }
    }
}
