//! What can go wrong with tables, and how DataFusion's, Arrow's and the stores' errors map to it.
//!
//! Messages of the libraries below may quote cells and rows. Those are somebody's data, so such messages are taken
//! apart here: the place and the type stay, the values go.

use everloop_core::{Code, Coded, UnequalRows, did_you_mean};
use std::fmt;

mod from_library;

pub(crate) use from_library::{from_arrow, from_datafusion, from_store};

/// The result of work on tables.
pub type Result<T> = std::result::Result<T, Error>;

/// A place in a statement; lines and columns start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The line.
    pub line: u64,
    /// The column, in characters.
    pub column: u64,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}, column {}", self.line, self.column)
    }
}

/// What can go wrong with tables.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A path, folder or glob names no file.
    #[error("no data file matches \"{pattern}\"")]
    NoFiles {
        /// What was asked for.
        pattern: String,
    },
    /// A source without files or batches has no columns either.
    #[error("the source is empty: it names no file and holds no batch")]
    EmptySource,
    /// A glob names more files than one source may have.
    #[error("\"{pattern}\" names more than {limit} files")]
    TooManyFiles {
        /// What was asked for.
        pattern: String,
        /// The limit.
        limit: usize,
    },
    /// A path, URL or glob is malformed.
    #[error("\"{path}\" is not a path, glob or URL: {detail}")]
    InvalidPath {
        /// What was given.
        path: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The extension of a file names no format that is read here.
    #[error("cannot tell the format of \"{path}\" by its extension")]
    UnknownFormat {
        /// The file.
        path: String,
    },
    /// Two files of one source have different formats.
    #[error("\"{first}\" and \"{second}\" have different formats")]
    MixedFormats {
        /// A file of the first format.
        first: String,
        /// A file of another format.
        second: String,
    },
    /// A URL names a store whose options were not given.
    #[error("no store is known for \"{url}\"")]
    UnknownStore {
        /// The URL.
        url: String,
    },
    /// The options of a store are wrong.
    #[error("cannot open the store of \"{url}\": {detail}")]
    InvalidStore {
        /// The URL.
        url: String,
        /// What is wrong.
        detail: String,
    },
    /// A file that should be there is not.
    #[error("\"{path}\" is not there")]
    MissingFile {
        /// The file.
        path: String,
    },
    /// A file or store refuses to be read.
    #[error("\"{path}\" may not be read")]
    Forbidden {
        /// The file.
        path: String,
    },
    /// A store does not answer.
    #[error("cannot read from the store: {detail}")]
    Store {
        /// What the store said.
        detail: String,
    },
    /// A file is not what its format demands: cut short, lying about lengths, badly encoded.
    #[error("damaged {format} data: {detail}")]
    Damaged {
        /// The format, as people call it.
        format: &'static str,
        /// What is wrong.
        detail: String,
        /// The file, row or byte, where known.
        place: Option<String>,
    },
    /// A cell of a text file does not have its column's type.
    #[error("a value is not of the type {expected}")]
    WrongType {
        /// The type the column has.
        expected: String,
        /// The line and column of the cell.
        place: String,
    },
    /// A record of a text file is longer than the limit.
    #[error("a record is longer than {limit}")]
    RecordTooLong {
        /// The file and the byte at which the record starts.
        place: String,
        /// The limit.
        limit: everloop_core::ByteSize,
    },
    /// A table has more columns than the limit.
    #[error("the table has {found} columns where at most {limit} are allowed")]
    TooManyColumns {
        /// The columns found.
        found: usize,
        /// The limit.
        limit: usize,
    },
    /// A statement names a column that no table in scope has.
    #[error("column \"{column}\" is not there")]
    UnknownColumn {
        /// The name as written.
        column: String,
        /// The names that would have been right.
        known: Vec<String>,
        /// Where in the statement.
        place: Option<Place>,
    },
    /// A statement names a table that the session does not have.
    #[error("table \"{table}\" is not there")]
    UnknownTable {
        /// The name as written.
        table: String,
        /// The names that would have been right.
        known: Vec<String>,
        /// Where in the statement.
        place: Option<Place>,
    },
    /// A statement calls a function that does not exist.
    #[error("function \"{function}\" is not there")]
    UnknownFunction {
        /// The name as written.
        function: String,
        /// The nearest name there is.
        near: Option<String>,
        /// Where in the statement.
        place: Option<Place>,
    },
    /// The name is taken in this session.
    #[error("the session has a table \"{table}\" already")]
    TableExists {
        /// The name.
        table: String,
    },
    /// The statement is not SQL.
    #[error("invalid SQL: {detail}")]
    Syntax {
        /// What the parser expected and found.
        detail: String,
        /// Where in the statement.
        place: Option<Place>,
    },
    /// The statement is SQL but makes no sense over these tables.
    #[error("invalid query: {detail}")]
    InvalidQuery {
        /// What is wrong.
        detail: String,
        /// Where in the statement.
        place: Option<Place>,
    },
    /// The statement would change something.
    #[error("\"{statement}\" is not allowed: queries only read")]
    ReadOnly {
        /// The first words of the statement.
        statement: String,
    },
    /// A value cannot be computed (division by zero, overflow, a failed cast).
    #[error("the query failed: {detail}")]
    Computation {
        /// What failed.
        detail: String,
    },
    /// An answer is larger than the limit for answers in memory.
    #[error("the answer is larger than {limit}")]
    AnswerTooLarge {
        /// The limit.
        limit: everloop_core::ByteSize,
    },
    /// The query needs more memory or spill space than it may use.
    #[error("the query needs more memory or spill space than it may use: {detail}")]
    OutOfMemory {
        /// Which operator asked for how much.
        detail: String,
    },
    /// The disk is full; what was being written is removed.
    #[error("no space left for \"{path}\"")]
    DiskFull {
        /// What was being written.
        path: String,
    },
    /// A file cannot be written.
    #[error("cannot write \"{path}\"")]
    Write {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// Known, but not offered (on this engine).
    #[error("{what}")]
    Unsupported {
        /// What is not offered.
        what: String,
        /// What to do instead.
        hint: String,
    },
    /// A column's type has no place in a frame.
    #[error("column \"{column}\" of type {found} cannot become a column of a frame")]
    UnsupportedType {
        /// The column.
        column: String,
        /// Its type.
        found: String,
    },
    /// Columns of a frame differ in length.
    #[error(transparent)]
    UnequalRows(#[from] UnequalRows),
    /// Two profiles or batches do not describe the same columns.
    #[error("the columns differ: {detail}")]
    DifferentColumns {
        /// The first difference.
        detail: String,
    },
    /// A column has types in two files of one table that no type holds the values of.
    #[error("column \"{column}\" is {first} in \"{first_file}\" and {second} in \"{second_file}\"")]
    MixedTypes {
        /// The column.
        column: String,
        /// Its type in the first file.
        first: String,
        /// That file.
        first_file: String,
        /// Its type in the other.
        second: String,
        /// The other file.
        second_file: String,
    },
    /// A stored profile cannot be read.
    #[error("the stored profile cannot be read: {detail}")]
    InvalidProfile {
        /// What is wrong.
        detail: String,
    },
    /// The cluster does not answer or gave up.
    #[error("the engine \"{engine}\" failed: {detail}")]
    Engine {
        /// The engine.
        engine: String,
        /// What it said.
        detail: String,
    },
    /// A query hit a bug; only this query ended.
    #[error("a query ended in a panic: {what}")]
    Panicked {
        /// The message of the panic.
        what: String,
    },
    /// The query was stopped because its tables are being closed.
    #[error("the query was stopped")]
    Stopped,
    /// The threads for queries cannot be started.
    #[error("cannot start the threads for queries")]
    Threads {
        /// Why.
        source: std::io::Error,
    },
    /// A library below broke a promise of its own.
    #[error("internal error of the query engine: {detail}")]
    Internal {
        /// What it said.
        detail: String,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::NoFiles { .. } | Self::MissingFile { .. } => Code::NotFound,
            Self::UnknownTable { .. } | Self::UnknownColumn { .. } | Self::UnknownFunction { .. } => {
                Code::InvalidArgument
            }
            Self::EmptySource
            | Self::InvalidPath { .. }
            | Self::UnknownFormat { .. }
            | Self::MixedFormats { .. }
            | Self::UnknownStore { .. }
            | Self::InvalidStore { .. }
            | Self::Syntax { .. }
            | Self::InvalidQuery { .. }
            | Self::Computation { .. }
            | Self::WrongType { .. }
            | Self::UnequalRows(_)
            | Self::DifferentColumns { .. }
            | Self::MixedTypes { .. }
            | Self::UnsupportedType { .. } => Code::InvalidArgument,
            Self::TableExists { .. } => Code::AlreadyExists,
            Self::ReadOnly { .. } | Self::Forbidden { .. } => Code::PermissionDenied,
            Self::Damaged { .. } | Self::InvalidProfile { .. } => Code::DataLoss,
            Self::RecordTooLong { .. }
            | Self::TooManyColumns { .. }
            | Self::TooManyFiles { .. }
            | Self::AnswerTooLarge { .. }
            | Self::OutOfMemory { .. } => Code::ResourceExhausted,
            Self::DiskFull { .. } => Code::StorageFull,
            Self::Unsupported { .. } => Code::Unsupported,
            Self::Store { .. } | Self::Engine { .. } => Code::Unavailable,
            Self::Stopped => Code::Cancelled,
            Self::Write { .. } | Self::Panicked { .. } | Self::Threads { .. } | Self::Internal { .. } => {
                Code::Internal
            }
        }
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::UnknownColumn { place, .. }
            | Self::UnknownTable { place, .. }
            | Self::UnknownFunction { place, .. }
            | Self::Syntax { place, .. }
            | Self::InvalidQuery { place, .. } => place.map(|place| place.to_string()),
            Self::Damaged { place, .. } => place.clone(),
            Self::WrongType { place, .. } | Self::RecordTooLong { place, .. } => Some(place.clone()),
            _ => None,
        }
    }

    fn hint(&self) -> Option<String> {
        let fixed = match self {
            Self::UnknownColumn { known, column, .. } => {
                return did_you_mean(column, known.iter().map(String::as_str));
            }
            Self::UnknownTable { known, table, .. } => {
                return did_you_mean(table, known.iter().map(String::as_str));
            }
            Self::UnknownFunction { near, .. } => {
                return near.as_ref().map(|near| format!("did you mean \"{near}\"?"));
            }
            Self::Unsupported { hint, .. } => return Some(hint.clone()),
            Self::NoFiles { .. } => {
                "check the path; folders are searched for .parquet, .csv, .tsv, .jsonl and .arrow files"
            }
            Self::UnknownFormat { .. } => {
                "name the format, or use one of the extensions .parquet, .csv, .tsv, .jsonl, .arrow"
            }
            Self::MixedFormats { .. } => "give each format a source of its own, or narrow the glob",
            Self::UnknownStore { .. } => {
                "give the store's options (region, endpoint, credentials) before its URLs"
            }
            Self::WrongType { .. } => {
                "correct the cell, name the text as a null value, or read more records to find the types"
            }
            Self::RecordTooLong { .. } => "check for a quote that is never closed, or raise the record limit",
            Self::AnswerTooLarge { .. } => "add LIMIT or aggregate, or write the answer to a Parquet file",
            Self::OutOfMemory { .. } => "raise the memory limit, or read fewer columns or rows",
            Self::ReadOnly { .. } => "write a SELECT; results are kept by writing them to a dataset",
            Self::TooManyFiles { .. } => "narrow the glob, or join small files",
            Self::MixedTypes { .. } => {
                "write one of the files again with the column cast to the other's type, or make two tables of them"
            }
            Self::Damaged { .. } => "write the file again from its source",
            Self::InvalidProfile { .. } => "profile the data again",
            Self::Engine { .. } => "check that the scheduler runs and its address is right",
            _ => return None,
        };
        Some(fixed.to_owned())
    }
}
