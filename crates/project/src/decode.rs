//! From nodes to types, collecting every mistake on the way.
//!
//! A reader of a type takes the keys it knows out of [`Fields`]; what is left over is unknown. A value that can't be
//! read is reported and becomes `None`; the reader goes on with the next key, so that one run shows all mistakes.
//! `None` always means that something was reported.

use crate::hints::{did_you_mean, one_of};
use crate::node::{Key, Kind, Node, Step};
use crate::problem::{Invalid, Mark, Problem, ProblemKind, Problems, quoted};
use everloop_core::InvalidName;
use std::collections::{BTreeMap, HashMap};

/// Reads itself from a node.
pub(crate) trait Decode: Sized {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self>;
}

/// Where we are, and what was found wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Cx {
    problems: Problems,
    path: Vec<Step>,
}

impl Cx {
    /// Reports a problem at the current path.
    pub fn push(&mut self, mut problem: Problem) {
        problem.path = path_text(&self.path);
        self.problems.push(problem);
    }

    /// Whether to stop looking: no more problems are kept.
    pub fn is_full(&mut self) -> bool {
        self.problems.is_full()
    }

    /// How many problems there are so far.
    pub fn count(&self) -> usize {
        self.problems.count()
    }

    /// Does `work` one step further down.
    pub fn within<T>(&mut self, step: Step, work: impl FnOnce(&mut Self) -> T) -> T {
        self.path.push(step);
        let done = work(self);
        self.path.pop();
        done
    }

    /// Does `work` several steps further down.
    pub fn within_all(&mut self, steps: &[Step], work: impl FnOnce(&mut Self)) {
        let depth = self.path.len();
        self.path.extend_from_slice(steps);
        work(self);
        self.path.truncate(depth);
    }

    pub fn wrong_type(&mut self, node: &Node, expected: &str) {
        let hint = match (&node.kind, expected.starts_with("a text")) {
            (Kind::Int(_) | Kind::Float(_) | Kind::Bool(_), true) => {
                Some("put it in quotes to make it a text".to_owned())
            }
            _ => None,
        };
        self.push(
            Problem::new(ProblemKind::WrongType, node.at, "wrong type")
                .found(node.describe())
                .expected(expected)
                .maybe_hint(hint),
        );
    }

    pub fn bad_value(&mut self, node: &Node, message: &str, expected: &str) {
        self.push(
            Problem::new(ProblemKind::BadValue, node.at, message)
                .found(node.describe())
                .expected(expected),
        );
    }

    pub fn finish<T>(self, file: &str, value: Option<T>) -> Result<T, Invalid> {
        self.problems.into_result(file, value)
    }
}

/// `stages.train.deps[2]`; a key that is not a plain name stands in quotes.
pub(crate) fn path_text(steps: &[Step]) -> String {
    let mut text = String::new();
    for step in steps {
        match step {
            Step::Index(index) => text.push_str(&format!("[{index}]")),
            Step::Key(key) => {
                if !text.is_empty() {
                    text.push('.');
                }
                let plain = key
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '/'));
                if plain && key.len() <= 80 {
                    text.push_str(key);
                } else {
                    text.push_str(&quoted(key));
                }
            }
        }
    }
    text
}

pub(crate) fn key(name: &str) -> Step {
    Step::Key(name.to_owned())
}

/// The entries of a mapping, taken by key.
pub(crate) struct Fields<'n> {
    what: &'static str,
    at: Mark,
    entries: &'n [(Key, Node)],
    taken: Vec<bool>,
    known: Vec<&'static str>,
}

impl<'n> Fields<'n> {
    /// Opens `node` as the mapping that describes `what` ("a stage"); reports keys given twice.
    pub fn open(node: &'n Node, what: &'static str, cx: &mut Cx) -> Option<Self> {
        let Kind::Map(entries) = &node.kind else {
            cx.wrong_type(node, &format!("a mapping with the keys of {what}"));
            return None;
        };
        report_duplicates(entries, cx);
        Some(Self {
            what,
            at: node.at,
            entries,
            taken: vec![false; entries.len()],
            known: Vec::new(),
        })
    }

    /// The place of the mapping.
    pub fn at(&self) -> Mark {
        self.at
    }

    /// Whether `key` is there with a value; does not take it.
    pub fn has(&self, key: &str) -> bool {
        self.entries
            .iter()
            .any(|(found, value)| found.text == key && value.kind != Kind::Null)
    }

    /// Takes the entry of `key`, a value of nothing included.
    pub fn take(&mut self, key: &'static str) -> Option<(&'n Key, &'n Node)> {
        self.known.push(key);
        let mut first = None;
        for (index, (found, value)) in self.entries.iter().enumerate() {
            if found.text == key {
                self.taken[index] = true;
                first = first.or(Some((found, value)));
            }
        }
        first
    }

    /// The value of `key` when it is there. A key with nothing behind it counts as absent, so that a list whose
    /// items are all commented out is no mistake.
    pub fn optional<T: Decode>(&mut self, name: &'static str, cx: &mut Cx) -> Option<T> {
        self.read(name, cx, T::decode)
    }

    /// The value of `key`, by a reader of its own.
    pub fn read<T>(
        &mut self,
        name: &'static str,
        cx: &mut Cx,
        reader: impl FnOnce(&Node, &mut Cx) -> Option<T>,
    ) -> Option<T> {
        let (_, value) = self.take(name)?;
        if value.kind == Kind::Null {
            return None;
        }
        cx.within(key(name), |cx| reader(value, cx))
    }

    /// The value of `key`, or `default`.
    pub fn or<T: Decode>(&mut self, name: &'static str, default: T, cx: &mut Cx) -> T {
        self.optional(name, cx).unwrap_or(default)
    }

    /// The value of `key`, which must be there; `expected` says what it holds.
    pub fn required<T: Decode>(&mut self, name: &'static str, expected: &str, cx: &mut Cx) -> Option<T> {
        self.require(name, expected, cx, T::decode)
    }

    /// Like [`required`](Self::required), by a reader of its own.
    pub fn require<T>(
        &mut self,
        name: &'static str,
        expected: &str,
        cx: &mut Cx,
        reader: impl FnOnce(&Node, &mut Cx) -> Option<T>,
    ) -> Option<T> {
        if !self.has(name) {
            let at = self.take(name).map_or(self.at, |(found, _)| found.at);
            self.missing(name, at, expected, cx);
            return None;
        }
        self.read(name, cx, reader)
    }

    fn missing(&self, name: &str, at: Mark, expected: &str, cx: &mut Cx) {
        cx.push(
            Problem::new(ProblemKind::MissingKey, at, format!("missing key \"{name}\""))
                .found(format!("{} without it", self.what))
                .expected(format!("{name}: {expected}")),
        );
    }

    /// One value or a list of them; absent is empty.
    pub fn one_or_many<T: Decode>(&mut self, name: &'static str, cx: &mut Cx) -> Vec<T> {
        self.read(name, cx, one_or_many).unwrap_or_default()
    }

    /// Refuses `name`, which is known elsewhere, with the reason and what to do instead.
    pub fn refuse(&mut self, name: &'static str, message: &str, hint: &str, cx: &mut Cx) {
        if let Some((found, _)) = self.take(name) {
            self.known.pop();
            cx.push(
                Problem::new(ProblemKind::Unsupported, found.at, message)
                    .found(format!("the key \"{name}\""))
                    .hint(hint),
            );
        } else {
            self.known.pop();
        }
    }

    /// Reports what was not taken. To be called last, when every known key was asked for.
    pub fn finish(self, cx: &mut Cx) {
        let left = self.entries.iter().zip(&self.taken).filter(|(_, taken)| !**taken);
        for ((found, _), _) in left {
            if cx.is_full() {
                return;
            }
            unknown_key(found, self.what, &self.known, cx);
        }
    }
}

fn unknown_key(found: &Key, what: &str, known: &[&'static str], cx: &mut Cx) {
    let names = known
        .iter()
        .map(|name| format!("\"{name}\""))
        .collect::<Vec<_>>()
        .join(", ");
    let near = did_you_mean(&found.text, known.iter().copied());
    cx.push(
        Problem::new(
            ProblemKind::UnknownKey,
            found.at,
            format!("unknown key {}", quoted(&found.text)),
        )
        .found(format!("{} in {what}", quoted(&found.text)))
        .expected(format!("one of {names}"))
        .maybe_hint(near),
    );
}

/// Reports each key that stands twice, at its second place.
fn report_duplicates(entries: &[(Key, Node)], cx: &mut Cx) {
    let mut seen: HashMap<&str, Mark> = HashMap::with_capacity(entries.len());
    for (found, _) in entries {
        let Some(first) = seen.get(found.text.as_str()).copied() else {
            seen.insert(&found.text, found.at);
            continue;
        };
        if cx.is_full() {
            return;
        }
        let message = format!("duplicate key {}", quoted(&found.text));
        let mut problem = Problem::new(ProblemKind::DuplicateKey, found.at, message)
            .found(format!("{} a second time", quoted(&found.text)))
            .expected("each key once");
        if first.line > 0 {
            problem = problem.hint(format!(
                "the first is in line {}; merge or remove one",
                first.line
            ));
        }
        cx.push(problem);
    }
}

/// A list; it may be empty.
pub(crate) fn list<T: Decode>(node: &Node, cx: &mut Cx) -> Option<Vec<T>> {
    let Kind::List(items) = &node.kind else {
        cx.push(
            Problem::new(ProblemKind::WrongType, node.at, "wrong type")
                .found(node.describe())
                .expected("a list")
                .hint("begin each item with \"- \", or put the items in [ ]"),
        );
        return None;
    };
    let mut read = Vec::with_capacity(items.len());
    for (index, item) in items.iter().enumerate() {
        read.push(cx.within(Step::Index(index), |cx| T::decode(item, cx)));
        if cx.is_full() {
            return None;
        }
    }
    read.into_iter().collect()
}

pub(crate) fn one_or_many<T: Decode>(node: &Node, cx: &mut Cx) -> Option<Vec<T>> {
    match node.kind {
        Kind::List(_) => list(node, cx),
        _ => T::decode(node, cx).map(|one| vec![one]),
    }
}

/// A mapping from names to values, by readers of their own.
pub(crate) fn map<K: Ord, V>(
    node: &Node,
    what: &str,
    cx: &mut Cx,
    name: impl Fn(&str) -> Result<K, InvalidName>,
    value: impl Fn(&Node, &mut Cx) -> Option<V>,
) -> Option<BTreeMap<K, V>> {
    let Kind::Map(entries) = &node.kind else {
        cx.wrong_type(node, &format!("a mapping from names to {what}"));
        return None;
    };
    report_duplicates(entries, cx);
    let before = cx.count();
    let mut read = BTreeMap::new();
    for (found, item) in entries {
        let parsed = name(&found.text);
        if let Err(error) = &parsed {
            cx.push(bad_name(found.at, error));
        }
        let item = cx.within(Step::Key(found.text.clone()), |cx| value(item, cx));
        if let (Ok(parsed), Some(item)) = (parsed, item) {
            read.entry(parsed).or_insert(item);
        }
        if cx.is_full() {
            return None;
        }
    }
    (cx.count() == before).then_some(read)
}

pub(crate) fn bad_name(at: Mark, error: &InvalidName) -> Problem {
    let expected = match error.kind {
        "model" => "a printable name without \"/\" and \":\"",
        "column" => "the name of a column",
        _ => "a name of letters, digits, \"_\", \"-\" and \".\"",
    };
    Problem::new(
        ProblemKind::BadValue,
        at,
        format!("not a valid {} name", error.kind),
    )
    .found(format!("{} ({})", quoted(&error.found), error.problem))
    .expected(expected)
}

/// A name that must be one of those the file defines; reports it otherwise.
pub(crate) fn unknown_name<'a>(
    at: Mark,
    kind: &str,
    found: &str,
    defined: impl IntoIterator<Item = &'a str>,
) -> Problem {
    let defined: Vec<&str> = defined.into_iter().collect();
    let expected = match defined.len() {
        0 => format!("a {kind} that this file defines (there is none)"),
        _ => format!("a {kind} that this file defines"),
    };
    Problem::new(
        ProblemKind::UnknownName,
        at,
        format!("unknown {kind} {}", quoted(found)),
    )
    .found(quoted(found))
    .expected(expected)
    .maybe_hint(one_of(found, &defined))
}
