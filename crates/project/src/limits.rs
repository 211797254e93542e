//! How large a project file may be. A file that breaks one of these is refused before it can cost much.

/// Bytes of one file: a project of twenty thousand stages fits.
pub const FILE_BYTES: usize = 1 << 20;
/// Levels of nesting.
pub const DEPTH: usize = 32;
/// Nodes (scalars, lists, mappings) of one file.
pub(crate) const NODES: usize = 250_000;
/// Parser events that aliases (`*name`) may repeat, over the whole file.
pub(crate) const ALIAS_EVENTS: usize = 50_000;
/// Aliases in one file.
pub(crate) const ALIASES: usize = 10_000;
/// Stages of one project.
pub const STAGES: usize = 20_000;
/// Edges between stages; a few thousand stages that all read one folder of thousands of outs would exceed it.
pub const EDGES: usize = 1_000_000;
/// Pairs of a dataset's wildcards and an out of a stage that may have to be compared.
pub const GLOB_PAIRS: usize = 200_000;
/// Problems reported for one file; the rest are counted.
pub const PROBLEMS: usize = 100;
/// Characters of a short text: a threshold, a span, a name.
pub(crate) const TEXT: usize = 256;
/// Characters of a regular expression.
pub(crate) const REGEX: usize = 1_000;
/// Bytes that a compiled regular expression may take.
pub(crate) const REGEX_COMPILED: usize = 1 << 20;
/// Characters of a path.
pub(crate) const PATH: usize = 4_096;
/// Characters of a glob; globs compile to regular expressions.
pub(crate) const GLOB: usize = 1_000;
