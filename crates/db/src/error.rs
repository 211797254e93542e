//! What can go wrong with a database, in the terms of a caller who wants to react.

use everloop_core::{Code, Coded};

/// The result of a database call.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Which rule of the schema a change breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConstraintKind {
    /// A primary key or unique index holds these values already.
    Unique,
    /// The row that is referred to is not there, or is still referred to.
    ForeignKey,
    /// A value is missing.
    NotNull,
    /// A check of the table says no.
    Check,
}

/// A database call failed. Nothing of its transaction was kept, unless the variant says otherwise.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The text does not name a database. The text itself is not shown: it may hold a password.
    #[error("the database URL can't be used: {problem}")]
    InvalidUrl {
        /// What is wrong with it.
        problem: String,
    },
    /// The database can't be opened.
    #[error("database {database} can't be opened: {problem}")]
    Open {
        /// Which one, without secrets.
        database: String,
        /// Why.
        problem: String,
    },
    /// The database is not ours: it holds tables, but no list of our migrations.
    #[error("database {database} holds tables of another program, such as \"{table}\"")]
    NotOurs {
        /// Which one, without secrets.
        database: String,
        /// One of its tables.
        table: String,
    },
    /// A newer program wrote this database.
    #[error(
        "database has migration {component} {number} \"{name}\", this program knows {component} up to {known}"
    )]
    NewerSchema {
        /// The part of the program the migration belongs to.
        component: String,
        /// The migration's number.
        number: u32,
        /// Its name.
        name: String,
        /// The last number this program knows; 0 when it does not know the component.
        known: u32,
    },
    /// A migration that was applied differs from the one of the same number in this program.
    #[error(
        "migration {component} {number} was applied to this database as \"{applied}\" with another text than this program's \"{known}\""
    )]
    ChangedMigration {
        /// The part of the program the migration belongs to.
        component: String,
        /// The migration's number.
        number: u32,
        /// The name it was applied under.
        applied: String,
        /// The name it has in this program.
        known: String,
    },
    /// The migrations handed to [`Db::open`](crate::Db::open) are not numbered 1, 2, 3, ... per component.
    #[error("migration {component} {number} stands where {component} {expected} is due")]
    MigrationOrder {
        /// The component.
        component: String,
        /// The number found.
        number: u32,
        /// The number that was due.
        expected: u32,
    },
    /// A migration failed; the database is as it was before.
    #[error("migration {component} {number} \"{name}\" failed: {problem}")]
    Migration {
        /// The component.
        component: String,
        /// The migration's number.
        number: u32,
        /// Its name.
        name: String,
        /// Why.
        problem: String,
    },
    /// The automatic snapshot before a migration can't be taken; nothing was migrated.
    #[error("no snapshot can be taken before migrating: {problem}")]
    Snapshot {
        /// Why.
        problem: String,
    },
    /// A change breaks a rule of the schema.
    #[error("{detail}")]
    Constraint {
        /// Which kind of rule.
        kind: ConstraintKind,
        /// The rule and the table, in the database's words.
        detail: String,
    },
    /// The database refuses the statement: a bug of ours.
    #[error("statement refused: {problem}; in: {sql}")]
    Statement {
        /// The database's words.
        problem: String,
        /// The statement, shortened.
        sql: String,
    },
    /// A statement has another number of parameters than values were given.
    #[error("statement takes {expected} parameters, {found} were given; in: {sql}")]
    Parameters {
        /// How many it takes.
        expected: usize,
        /// How many came.
        found: usize,
        /// The statement, shortened.
        sql: String,
    },
    /// Text with a zero character, which Postgres can't hold.
    #[error("text holds the zero character at byte {at}")]
    ZeroCharacter {
        /// Where in the text.
        at: usize,
    },
    /// One row was asked for and none is there.
    #[error("no row; in: {sql}")]
    NoRow {
        /// The statement, shortened.
        sql: String,
    },
    /// At most one row was asked for and more are there.
    #[error("more than one row; in: {sql}")]
    TooManyRows {
        /// The statement, shortened.
        sql: String,
    },
    /// A column is not there or holds another kind of value.
    #[error("column \"{column}\" {problem}")]
    Column {
        /// Its name.
        column: String,
        /// What is wrong.
        problem: String,
    },
    /// A change was tried in a reading transaction.
    #[error("a reading transaction can't change anything; in: {sql}")]
    ReadOnly {
        /// The statement, shortened.
        sql: String,
    },
    /// A statement failed earlier in this transaction, which can only be rolled back.
    #[error("an earlier statement of this transaction failed: {earlier}")]
    Aborted {
        /// What failed.
        earlier: String,
    },
    /// The disk or the database's limit is full. Nothing was half written; readers go on.
    #[error("database can't grow: {problem}")]
    Full {
        /// The database's words.
        problem: String,
    },
    /// The disk refused to make a commit durable; the store takes no more writes until it is opened again.
    #[error("database stopped writing: {problem}")]
    Stopped {
        /// The database's words.
        problem: String,
    },
    /// Stored pages are damaged.
    #[error("database is damaged: {problem}")]
    Corrupt {
        /// The database's words.
        problem: String,
    },
    /// Another process holds the database, or too many transactions collided; retrying may help.
    #[error("database is busy: {problem}")]
    Busy {
        /// The database's words.
        problem: String,
    },
    /// More requests wait than the queue holds.
    #[error("{waiting} requests wait for the database already")]
    QueueFull {
        /// How many.
        waiting: usize,
    },
    /// The database does not answer.
    #[error("database does not answer: {problem}")]
    Unavailable {
        /// Why.
        problem: String,
    },
    /// The connection broke during the commit: **the change may or may not have been kept**.
    #[error("the connection broke during the commit, which may or may not have happened: {problem}")]
    CommitUnknown {
        /// Why.
        problem: String,
    },
    /// A statement took longer than its limit.
    #[error("statement took longer than its limit; in: {sql}")]
    Timeout {
        /// The statement, shortened.
        sql: String,
    },
    /// The closure of a transaction panicked.
    #[error("the transaction's code panicked: {message}")]
    Panicked {
        /// The panic's message.
        message: String,
    },
    /// The database was closed.
    #[error("database is closed")]
    Closed,
    /// Someone else holds the lease now, or it ended.
    #[error("lease \"{name}\" is no longer held by \"{holder}\"")]
    LeaseLost {
        /// The lease.
        name: String,
        /// Who held it.
        holder: String,
    },
    /// This database can't do it.
    #[error("{what} is not offered for {database}")]
    Unsupported {
        /// What was asked for.
        what: &'static str,
        /// Which kind of database.
        database: &'static str,
    },
    /// A backup or restore failed.
    #[error("{what} failed: {problem}")]
    Backup {
        /// Backup or restore, and which file.
        what: String,
        /// Why.
        problem: String,
    },
}

impl Coded for Error {
    fn code(&self) -> Code {
        match self {
            Self::InvalidUrl { .. } | Self::ZeroCharacter { .. } => Code::InvalidArgument,
            Self::Open { .. } | Self::Busy { .. } | Self::Unavailable { .. } => Code::Unavailable,
            Self::CommitUnknown { .. } | Self::Closed | Self::Stopped { .. } => Code::Unavailable,
            Self::NewerSchema { .. } | Self::ChangedMigration { .. } => Code::FailedPrecondition,
            Self::Snapshot { .. } | Self::NotOurs { .. } => Code::FailedPrecondition,
            Self::MigrationOrder { .. } | Self::Migration { .. } => Code::Internal,
            Self::Constraint { kind, .. } => match kind {
                ConstraintKind::Unique => Code::AlreadyExists,
                ConstraintKind::ForeignKey => Code::FailedPrecondition,
                ConstraintKind::NotNull | ConstraintKind::Check => Code::InvalidArgument,
            },
            Self::Statement { .. } | Self::Parameters { .. } | Self::Column { .. } => Code::Internal,
            Self::ReadOnly { .. } | Self::Aborted { .. } | Self::Panicked { .. } => Code::Internal,
            Self::TooManyRows { .. } => Code::Internal,
            Self::NoRow { .. } => Code::NotFound,
            Self::Full { .. } => Code::StorageFull,
            Self::Corrupt { .. } => Code::DataLoss,
            Self::QueueFull { .. } => Code::ResourceExhausted,
            Self::Timeout { .. } => Code::DeadlineExceeded,
            Self::LeaseLost { .. } => Code::Conflict,
            Self::Unsupported { .. } => Code::Unsupported,
            Self::Backup { .. } => Code::FailedPrecondition,
        }
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::InvalidUrl { .. } => "write sqlite:PATH or postgres://USER:PASSWORD@HOST:PORT/DATABASE",
            Self::NotOurs { .. } => "name another file, or another schema with ?schema=NAME",
            Self::NewerSchema { .. } => {
                "start the newer program, or restore the snapshot that was taken before it migrated"
            }
            Self::ChangedMigration { .. } => "start the program that wrote this database",
            Self::Snapshot { .. } => {
                "free space or grant the right to create schemas; or back up yourself and open with ?snapshot=off"
            }
            Self::Full { .. } => "free space on the database's disk and try again; nothing was half written",
            Self::Stopped { .. } => "check the disk, then start again; what was acknowledged is kept",
            Self::Corrupt { .. } => "stop writing and restore the last backup (everloop admin restore)",
            Self::Busy { .. } | Self::Unavailable { .. } | Self::QueueFull { .. } => "try again in a moment",
            Self::CommitUnknown { .. } => {
                "read the state before repeating, or repeat with an idempotency key"
            }
            _ => return None,
        };
        Some(hint.to_owned())
    }
}

/// A statement short enough for an error message.
pub(crate) fn shorten(sql: &str) -> String {
    const SHOWN: usize = 160;
    let line = sql.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{} ...", &line[..end]),
        None => line,
    }
}
