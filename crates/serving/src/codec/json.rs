//! A reader of JSON that goes from value to value without building a tree: columns are read into columns.
//!
//! It reads what the hot path is made of (objects, lists, plain texts, numbers) by itself and leaves the rest, texts
//! with escapes and values that nobody looks at, to `serde_json`, which also bounds how deep those may nest. What it
//! accepts and means by it is what `serde_json` does; tests hold the two against each other.

use serde_json::Value;
use std::borrow::Cow;

use crate::{Error, Result};

/// A place in a JSON text.
#[derive(Debug, Clone)]
pub(super) struct Reader<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Reader<'a> {
    /// At the start of `bytes`.
    pub(super) fn new(bytes: &'a [u8]) -> Result<Self> {
        match std::str::from_utf8(bytes) {
            Ok(text) => Ok(Self { text, at: 0 }),
            Err(error) => {
                // What stands before is text, so its lines can be counted.
                let before = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
                let reader = Self {
                    text: before,
                    at: before.len(),
                };
                Err(reader.wrong("the body is not UTF-8"))
            }
        }
    }

    /// Reads an object; `field` reads the value of each key.
    pub(super) fn object(
        &mut self,
        mut field: impl FnMut(&mut Self, Cow<'a, str>) -> Result<()>,
    ) -> Result<()> {
        self.open(b'{', "an object")?;
        if self.closes(b'}') {
            return Ok(());
        }
        loop {
            let key = self.text()?;
            self.open(b':', "\":\" after a key")?;
            field(self, key)?;
            if self.closes(b'}') {
                return Ok(());
            }
            self.open(b',', "\",\" or \"}\"")?;
        }
    }

    /// Reads a list; `item` reads each value.
    pub(super) fn list(&mut self, mut item: impl FnMut(&mut Self) -> Result<()>) -> Result<()> {
        self.open(b'[', "a list")?;
        if self.closes(b']') {
            return Ok(());
        }
        loop {
            item(self)?;
            if self.closes(b']') {
                return Ok(());
            }
            self.open(b',', "\",\" or \"]\"")?;
        }
    }

    /// Reads a list of values, or a list of such lists one after the other.
    pub(super) fn flat_or_nested<T>(
        &mut self,
        mut item: impl FnMut(&mut Self) -> Result<T>,
    ) -> Result<Vec<T>> {
        let mut values = Vec::new();
        let mut is_nested = None;
        self.list(|reader| {
            if *is_nested.get_or_insert_with(|| reader.peek() == Some(b'[')) {
                return reader.list(|reader| {
                    values.push(item(reader)?);
                    Ok(())
                });
            }
            values.push(item(reader)?);
            Ok(())
        })?;
        Ok(values)
    }

    /// Reads a text.
    pub(super) fn text(&mut self) -> Result<Cow<'a, str>> {
        if self.peek() != Some(b'"') {
            return Err(self.expected("a text"));
        }
        let start = self.at + 1;
        let bytes = self.text.as_bytes();
        let mut end = start;
        let mut is_plain = true;
        loop {
            match bytes.get(end) {
                Some(b'"') => break,
                Some(b'\\') => {
                    is_plain = false;
                    end += 2;
                }
                Some(0..0x20) => {
                    self.at = end;
                    return Err(self.wrong("a control character in a text"));
                }
                Some(_) => end += 1,
                None => {
                    self.at = bytes.len();
                    return Err(self.expected("the end of a text"));
                }
            }
        }
        if is_plain {
            self.at = end + 1;
            return Ok(Cow::Borrowed(&self.text[start..end]));
        }
        let read = serde_json::from_str(&self.text[start - 1..=end]);
        let text = read.map_err(|_| self.wrong("a text with an escape that means nothing"))?;
        self.at = end + 1;
        Ok(Cow::Owned(text))
    }

    /// Reads a number that a 64-bit float can hold.
    pub(super) fn float(&mut self) -> Result<f64> {
        let digits = self.digits()?;
        match digits.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(self.wrong("a number out of range")),
        }
    }

    /// Reads a whole number of 64 bits with its sign.
    pub(super) fn int(&mut self) -> Result<i64> {
        let digits = self.digits()?;
        match digits.parse() {
            // A zero with a sign is a float to `serde_json`.
            Ok(number) if digits != "-0" => Ok(number),
            _ => {
                let problem = format!("\"{}\" is no whole number of 64 bits", shortened(digits));
                Err(self.wrong(problem))
            }
        }
    }

    /// Reads `true` or `false`.
    pub(super) fn truth(&mut self) -> Result<bool> {
        if self.word("true") {
            Ok(true)
        } else if self.word("false") {
            Ok(false)
        } else {
            Err(self.expected("true or false"))
        }
    }

    /// Reads `null`, or else what `value` reads.
    pub(super) fn or_null<T>(&mut self, value: impl FnOnce(&mut Self) -> Result<T>) -> Result<Option<T>> {
        if self.word("null") {
            Ok(None)
        } else {
            value(self).map(Some)
        }
    }

    /// Reads any value as a tree.
    pub(super) fn value(&mut self) -> Result<Value> {
        self.with_serde()
    }

    /// Passes over any value.
    pub(super) fn skip(&mut self) -> Result<()> {
        self.with_serde::<serde::de::IgnoredAny>().map(drop)
    }

    fn with_serde<T: serde::de::DeserializeOwned>(&mut self) -> Result<T> {
        let mut values = serde_json::Deserializer::from_str(&self.text[self.at..]).into_iter::<T>();
        match values.next() {
            Some(Ok(value)) => {
                self.at += values.byte_offset();
                Ok(value)
            }
            // Its own place starts to count in the middle of the text; its words do without.
            Some(Err(error)) => {
                let told = error.to_string();
                let problem = told.split(" at line ").next().unwrap_or_default();
                Err(self.wrong(problem.to_owned()))
            }
            None => Err(self.expected("a value")),
        }
    }

    /// Refuses anything but white space after what was read.
    pub(super) fn end(&mut self) -> Result<()> {
        match self.peek() {
            None => Ok(()),
            Some(_) => Err(self.expected("the end of the body")),
        }
    }

    /// What is wrong, and where.
    pub(super) fn wrong(&self, problem: impl Into<String>) -> Error {
        let before = &self.text[..self.at.min(self.text.len())];
        let line = before.bytes().filter(|byte| *byte == b'\n').count() + 1;
        let column = before.chars().rev().take_while(|char| *char != '\n').count() + 1;
        Error::bad_at(problem, format!("line {line}, column {column}"))
    }

    /// The first byte of the next value or sign.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.text.as_bytes();
        while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(self.at) {
            self.at += 1;
        }
        bytes.get(self.at).copied()
    }

    fn open(&mut self, sign: u8, what: &str) -> Result<()> {
        if self.closes(sign) {
            Ok(())
        } else {
            Err(self.expected(what))
        }
    }

    fn closes(&mut self, sign: u8) -> bool {
        let is_there = self.peek() == Some(sign);
        self.at += usize::from(is_there);
        is_there
    }

    fn word(&mut self, word: &str) -> bool {
        self.peek();
        let is_there = self.text.as_bytes()[self.at..].starts_with(word.as_bytes());
        if is_there {
            self.at += word.len();
        }
        is_there
    }

    /// The characters of a number as JSON writes them: no plus, no leading zero, digits on both sides of a point.
    fn digits(&mut self) -> Result<&'a str> {
        self.peek();
        let bytes = &self.text.as_bytes()[self.at..];
        let run = |from: usize| {
            bytes[from..]
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count()
        };
        let mut end = usize::from(bytes.first() == Some(&b'-'));
        let whole = run(end);
        let mut is_number = whole == 1 || (whole > 1 && bytes[end] != b'0');
        end += whole;
        if is_number && bytes.get(end) == Some(&b'.') {
            let part = run(end + 1);
            is_number = part > 0;
            end += 1 + part;
        }
        if is_number && matches!(bytes.get(end), Some(b'e' | b'E')) {
            let sign = usize::from(matches!(bytes.get(end + 1), Some(b'+' | b'-')));
            let part = run(end + 1 + sign);
            is_number = part > 0;
            end += 1 + sign + part;
        }
        if !is_number {
            return Err(self.expected("a number"));
        }
        let start = self.at;
        self.at += end;
        Ok(&self.text[start..self.at])
    }

    fn expected(&mut self, what: &str) -> Error {
        let found = match self.peek() {
            None => "the end of the body".to_owned(),
            Some(b'"') => "a text".to_owned(),
            Some(b'[') => "a list".to_owned(),
            Some(b'{') => "an object".to_owned(),
            Some(_) => {
                let rest = &self.text[self.at..];
                let end = rest.find([',', ']', '}', ' ', '\n']).unwrap_or(rest.len());
                // A sign that nothing may start with stands for itself.
                let first = rest.chars().next().map_or(0, char::len_utf8);
                format!("\"{}\"", shortened(&rest[..end.max(first)]))
            }
        };
        self.wrong(format!("expected {what}, found {found}"))
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(40).collect()
}
