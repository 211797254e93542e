//! From bytes to nodes, within limits: nothing here trusts the file.

use crate::limits;
use crate::node::{Kind, Node};
use crate::problem::{Mark, Problem, ProblemKind};
use serde_saphyr::{DuplicateKeyPolicy, Error, NonFiniteFloatPolicy, Options};

/// Reads one YAML document.
pub(crate) fn read(bytes: &[u8]) -> Result<Node, Box<Problem>> {
    if bytes.len() > limits::FILE_BYTES {
        let problem = Problem::new(ProblemKind::TooLarge, Mark::default(), "the file is too large")
            .found(format!("{} bytes", bytes.len()))
            .expected(format!("at most {} bytes", limits::FILE_BYTES));
        return Err(Box::new(problem));
    }
    let text = std::str::from_utf8(bytes).map_err(|error| Box::new(not_utf8(bytes, error.valid_up_to())))?;
    let node: Node =
        serde_saphyr::from_str_with_options(text, options()).map_err(|error| Box::new(syntax(&error)))?;
    match node.kind {
        Kind::Null => Err(Box::new(empty())),
        _ => Ok(node),
    }
}

/// Strict where YAML is loose: `on` and `no` are texts, tags are refused, and what could blow up is bounded.
/// Duplicate keys pass through, because we report them all ourselves, with both places.
fn options() -> Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::DEPTH,
            flow_nesting_limit: limits::DEPTH,
            max_nodes: limits::NODES,
            max_aliases: limits::ALIASES,
            max_anchors: limits::ALIASES,
            max_recorded_anchor_events: limits::NODES,
            max_merge_keys: limits::ALIASES,
            // The second is refused by name; the third never comes.
            max_documents: 2,
            // The caps on replayed events and aliases bound the cost; one anchor that a hundred stages share is fine.
            enforce_alias_anchor_ratio: false,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::ALIAS_EVENTS,
            max_replay_stack_depth: limits::DEPTH,
        },
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        non_finite_float_policy: NonFiniteFloatPolicy::PassThrough,
        strict_booleans: true,
        leading_zero_numbers_as_strings: true,
        underscored_numbers_as_strings: true,
        reject_unsupported_tags: true,
        emit_comments: false,
        with_snippet: false,
    }
}

fn not_utf8(bytes: &[u8], valid: usize) -> Problem {
    let before = &bytes[..valid];
    let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
    let start = before
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |at| at + 1);
    let column = String::from_utf8_lossy(&before[start..]).chars().count() + 1;
    let at = Mark {
        line: u32::try_from(line).unwrap_or(u32::MAX),
        column: u32::try_from(column).unwrap_or(u32::MAX),
    };
    Problem::new(ProblemKind::Syntax, at, "the file is not UTF-8 text")
        .found(format!("the byte 0x{:02x}", bytes[valid]))
        .hint("save the file as UTF-8")
}

fn empty() -> Problem {
    Problem::new(
        ProblemKind::MissingKey,
        Mark { line: 1, column: 1 },
        "the file is empty",
    )
    .hint("`everloop init` writes a commented file to start from")
}

fn syntax(error: &Error) -> Problem {
    let error = error.without_snippet();
    let at = error
        .location()
        .map_or(Mark { line: 1, column: 1 }, |location| Mark {
            line: u32::try_from(location.line()).unwrap_or(u32::MAX),
            column: u32::try_from(location.column()).unwrap_or(u32::MAX),
        });
    match error {
        // Found while an alias was followed; the place is the anchor's side, as for everything else.
        Error::AliasError { error, .. } => syntax(error),
        Error::Budget { breach, .. } => over_budget(&format!("{breach:?}"), at),
        Error::AliasReplayLimitExceeded { .. }
        | Error::AliasReplayStackDepthExceeded { .. }
        | Error::AliasExpansionLimitExceeded { .. } => {
            Problem::new(ProblemKind::TooLarge, at, "aliases repeat too much of the file").expected(format!(
                "aliases that add at most {} values",
                limits::ALIAS_EVENTS
            ))
        }
        Error::MultipleDocuments { .. } => {
            Problem::new(ProblemKind::Syntax, at, "a second document begins here")
                .expected("one document")
                .hint("remove the line with \"---\" between the two")
        }
        Error::UnsupportedTag { tag, .. } => {
            Problem::new(ProblemKind::Unsupported, at, "tags are not allowed")
                .found(crate::problem::quoted(tag))
                .expected("a plain value")
        }
        // Only keys are asked for as texts; values are taken as they come.
        Error::Unexpected { .. } | Error::NullIntoString { .. } => {
            Problem::new(ProblemKind::Syntax, at, "a key that is not a text")
                .expected("a plain name before the \":\"")
                .hint("a value that starts with {, [ or * needs quotes")
        }
        other => {
            let said = first_line(&other.render());
            // The scanner has a limit of its own on brackets, and looks ahead of the budget.
            if said.contains("recursion limit") {
                return too_deep(at);
            }
            let hint = said.contains("tab").then(|| "indent with spaces".to_owned());
            Problem::new(ProblemKind::Syntax, at, "this is not valid YAML")
                .found(said)
                .maybe_hint(hint)
        }
    }
}

fn too_deep(at: Mark) -> Problem {
    Problem::new(ProblemKind::TooLarge, at, "the file is nested too deeply")
        .expected(format!("at most {} levels", limits::DEPTH))
}

/// The breach is an open enum without a public name; its debug form starts with the limit that was reached.
fn over_budget(breach: &str, at: Mark) -> Problem {
    if breach.starts_with("Depth") {
        return too_deep(at);
    }
    Problem::new(ProblemKind::TooLarge, at, "the file holds too much").expected(format!(
        "at most {} values, {} aliases and {} merge keys",
        limits::NODES,
        limits::ALIASES,
        limits::ALIASES
    ))
}

/// What the parser says, without the place, which we give ourselves.
fn first_line(said: &str) -> String {
    let line = said.lines().next().unwrap_or_default();
    let without_place = line.rfind(" at line ").map_or(line, |at| &line[..at]);
    without_place.chars().take(200).collect()
}
