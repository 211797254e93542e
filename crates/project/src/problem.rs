//! What is wrong with a file: where, what was found, what was expected, and how to mend it.

use crate::limits;
use everloop_core::{Code, Coded};
use serde::Serialize;
use std::fmt;

/// What sort of mistake it is; stable, for programs that read `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// Not YAML, or not UTF-8.
    Syntax,
    /// A limit on size, depth, aliases or number of things.
    TooLarge,
    /// A key that means nothing here.
    UnknownKey,
    /// A key that must be there.
    MissingKey,
    /// A key given twice.
    DuplicateKey,
    /// A text where a number belongs, and so on.
    WrongType,
    /// The right type, but not a value that makes sense.
    BadValue,
    /// A name (dataset, param, section) that nothing defines.
    UnknownName,
    /// Known from elsewhere, not offered here.
    Unsupported,
    /// Stages that wait for each other.
    Cycle,
    /// A file that no stage writes and that is not there.
    MissingFile,
    /// Two stages that write the same place.
    OverlappingOuts,
}

impl ProblemKind {
    fn code(self) -> Code {
        match self {
            Self::TooLarge => Code::ResourceExhausted,
            Self::Unsupported => Code::Unsupported,
            Self::Syntax
            | Self::UnknownKey
            | Self::MissingKey
            | Self::DuplicateKey
            | Self::WrongType
            | Self::BadValue
            | Self::UnknownName
            | Self::Cycle
            | Self::MissingFile
            | Self::OverlappingOuts => Code::InvalidArgument,
        }
    }
}

/// One mistake in a file. Texts taken from the file are escaped and cut, so that they can be shown anywhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// What sort of mistake.
    pub kind: ProblemKind,
    /// Line, counted from 1; 0 when unknown (a document that did not come from a text).
    pub line: u32,
    /// Column in characters, counted from 1; 0 when unknown.
    pub column: u32,
    /// The key where it happened: `stages.train.run`; empty at the top.
    pub path: String,
    /// What is wrong: a short fragment.
    pub message: String,
    /// What stands there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub found: Option<String>,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// How to mend it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

/// A place in a text; both 0 when unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Mark {
    pub line: u32,
    pub column: u32,
}

impl Problem {
    pub(crate) fn new(kind: ProblemKind, at: Mark, message: impl Into<String>) -> Self {
        Self {
            kind,
            line: at.line,
            column: at.column,
            path: String::new(),
            message: message.into(),
            found: None,
            expected: None,
            hint: None,
        }
    }

    pub(crate) fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    pub(crate) fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    pub(crate) fn maybe_hint(mut self, hint: Option<String>) -> Self {
        self.hint = hint.or(self.hint);
        self
    }

    fn render_into(&self, file: &str, text: &mut String) {
        text.push_str(file);
        if self.line > 0 {
            text.push_str(&format!(":{}:{}", self.line, self.column));
        }
        text.push_str(": ");
        if !self.path.is_empty() {
            text.push_str(&self.path);
            text.push_str(": ");
        }
        text.push_str(&self.message);
        text.push('\n');
        let parts = [
            ("found", &self.found),
            ("expected", &self.expected),
            ("hint", &self.hint),
        ];
        for (label, part) in parts {
            if let Some(part) = part {
                text.push_str(&format!("  {label}: {part}\n"));
            }
        }
    }
}

/// A file that can't be used, with everything that is wrong with it, in the order of its lines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Invalid {
    /// The file, as the caller named it.
    pub file: String,
    /// What is wrong: at least one, at most [`limits::PROBLEMS`].
    pub problems: Vec<Problem>,
    /// Whether reading stopped there: the rest of the file was not looked at.
    pub truncated: bool,
}

impl Invalid {
    pub(crate) fn new(file: &str, mut problems: Vec<Problem>, truncated: bool) -> Self {
        problems.sort_by_key(|problem| (problem.line, problem.column));
        problems.dedup();
        Self {
            file: file.to_owned(),
            problems,
            truncated,
        }
    }

    /// All problems as plain text for a terminal, each with its place and its parts on lines of their own.
    #[must_use]
    pub fn render(&self) -> String {
        let mut text = String::new();
        for problem in &self.problems {
            problem.render_into(&self.file, &mut text);
        }
        if self.truncated {
            text.push_str("... and more\n");
        }
        text
    }
}

impl fmt::Display for Invalid {
    /// The first problem, and how many there are in all.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(first) = self.problems.first() else {
            return write!(f, "\"{}\" is not valid", self.file);
        };
        if !first.path.is_empty() {
            write!(f, "{}: ", first.path)?;
        }
        f.write_str(&first.message)?;
        if let Some(found) = &first.found {
            write!(f, " (found {found})")?;
        }
        match self.problems.len() {
            1 => Ok(()),
            _ if self.truncated => f.write_str(", and many more"),
            count => write!(f, ", and {} more", count - 1),
        }
    }
}

impl std::error::Error for Invalid {}

impl Coded for Invalid {
    fn code(&self) -> Code {
        self.problems
            .first()
            .map_or(Code::InvalidArgument, |first| first.kind.code())
    }

    fn location(&self) -> Option<String> {
        let first = self.problems.first()?;
        Some(if first.line > 0 {
            format!("{}:{}:{}", self.file, first.line, first.column)
        } else {
            self.file.clone()
        })
    }

    fn hint(&self) -> Option<String> {
        let first = self.problems.first()?;
        let expected = first
            .expected
            .as_ref()
            .map(|expected| format!("expected {expected}"));
        first.hint.clone().or(expected)
    }
}

/// Problems as they are found; keeps the first [`limits::PROBLEMS`]. Readers of long lists stop when it is full, so
/// that a hostile file can't make us compose a million messages.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    list: Vec<Problem>,
    truncated: bool,
}

impl Problems {
    pub fn push(&mut self, problem: Problem) {
        if self.list.len() < limits::PROBLEMS {
            self.list.push(problem);
        } else {
            self.truncated = true;
        }
    }

    /// How many so far: a reader compares before and after to learn whether its part was sound.
    pub fn count(&self) -> usize {
        self.list.len()
    }

    /// Whether no more are kept; what is not looked at from now on is missing from the report.
    pub fn is_full(&mut self) -> bool {
        let full = self.list.len() >= limits::PROBLEMS;
        self.truncated |= full;
        full
    }

    /// `value` when nothing is wrong.
    pub fn into_result<T>(self, file: &str, value: Option<T>) -> Result<T, Invalid> {
        match value {
            Some(value) if self.list.is_empty() => Ok(value),
            _ => Err(Invalid::new(file, self.list, self.truncated)),
        }
    }
}

/// A text of the file, fit to be shown: quoted, control characters escaped, cut to 80 characters.
pub(crate) fn quoted(text: &str) -> String {
    const SHOWN: usize = 80;
    let mut shown: String = text.chars().take(SHOWN).flat_map(char::escape_debug).collect();
    // `escape_debug` also escapes quotes; inside our own quotes that would read as if the file had backslashes.
    shown = shown.replace("\\\"", "\"").replace("\\'", "'");
    let more = if text.chars().nth(SHOWN).is_some() {
        "..."
    } else {
        ""
    };
    format!("\"{shown}{more}\"")
}
