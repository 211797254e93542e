//! How long texts may be. The figures are MLflow's where it has one.

use crate::{Error, Result};

/// How much is taken.
pub mod limits {
    /// Characters in the name of a tag.
    pub const TAG_KEY_CHARS: usize = 250;
    /// Characters in a tag's value.
    pub const TAG_CHARS: usize = 100_000;
    /// Characters in a description.
    pub const DESCRIPTION_CHARS: usize = 5_000;
    /// Characters in a version's source.
    pub const SOURCE_CHARS: usize = 2_048;
    /// Characters in the words of a task, flavor or gate.
    pub const WORD_CHARS: usize = 250;
    /// Characters in the reason of a move and in the comment of an approval.
    pub const REASON_CHARS: usize = 2_000;
    /// Files in one version.
    pub const FILES: usize = 10_000;
    /// Bytes in a document of a version: its signature, its metrics, a gate's evidence.
    pub const DOCUMENT_BYTES: usize = 1 << 20;
}

/// Checks that `text` has at most `limit` characters and no zero character.
pub(crate) fn check_text(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.contains('\0') {
        return Err(invalid(what, text, "the zero character is not allowed"));
    }
    if text.len() <= limit {
        return Ok(());
    }
    let found = text.chars().count();
    if found <= limit {
        return Ok(());
    }
    Err(Error::TooLong { what, limit, found })
}

/// Checks a text that must not be blank either.
pub(crate) fn check_word(what: &'static str, text: &str, limit: usize) -> Result<()> {
    if text.trim().is_empty() {
        return Err(invalid(what, text, "it is empty"));
    }
    check_text(what, text, limit)
}

/// The JSON text of a document, if it is not too large.
pub(crate) fn document(what: &'static str, document: &serde_json::Value) -> Result<String> {
    let text = document.to_string();
    if text.len() > limits::DOCUMENT_BYTES {
        return Err(Error::TooLong {
            what,
            limit: limits::DOCUMENT_BYTES,
            found: text.len(),
        });
    }
    Ok(text)
}

fn invalid(what: &'static str, text: &str, problem: &'static str) -> Error {
    Error::InvalidText {
        what,
        found: shown(text),
        problem,
    }
}

/// The first 80 characters, for messages.
pub(crate) fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_counted_in_characters() {
        assert!(check_text("value", &"é".repeat(10), 10).is_ok());
        assert!(check_text("value", &"é".repeat(11), 10).is_err());
        assert!(check_text("value", "a\0b", 10).is_err());
        assert!(check_word("value", "  ", 10).is_err());
    }
}
