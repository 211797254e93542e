//! From a text of SQL to a plan that only reads.

use crate::complexity;
use crate::engine::Engine;
use crate::error::{Error, Result, from_datafusion};
use datafusion::common::DataFusionError;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::prelude::{SQLOptions, SessionContext};
use datafusion::sql::parser::Statement;
use datafusion::sql::sqlparser::ast;

/// Functions that make a list of any length from two numbers, outside of every memory limit. (The table functions
/// `range` and `generate_series` stream and stay.)
const UNBOUNDED: [&str; 6] = [
    "array_repeat",
    "array_resize",
    "generate_series",
    "list_repeat",
    "list_resize",
    "range",
];

/// Takes functions away that a statement could end the process with.
pub(crate) fn forget_unbounded(context: &SessionContext) {
    UNBOUNDED.iter().for_each(|name| context.deregister_udf(name));
}

/// Plans one statement that reads, for `engine`.
///
/// Two guards, for either could miss what a later version adds: the statement must be a query by its grammar, and
/// its plan must hold no node that writes, defines or sets anything.
pub(crate) async fn plan(state: &SessionState, engine: &dyn Engine, text: &str) -> Result<LogicalPlan> {
    complexity::check(text)?;
    let dialect = state.config().options().sql_parser.dialect;
    let statement = state.sql_to_statement(text, &dialect).map_err(one_statement)?;
    check_statement(&statement, text)?;
    let plan = state
        .statement_to_plan(statement)
        .await
        .map_err(|error| with_names(state, error))?;
    let reads = SQLOptions::new()
        .with_allow_ddl(false)
        .with_allow_dml(false)
        .with_allow_statements(false);
    reads.verify_plan(&plan).map_err(|_| read_only(text))?;
    engine.check(&plan)?;
    Ok(plan)
}

fn one_statement(error: DataFusionError) -> Error {
    match &error {
        DataFusionError::NotImplemented(detail) if detail.contains("single SQL statement") => {
            Error::InvalidQuery {
                detail: "expected one statement".to_owned(),
                place: None,
            }
        }
        _ => from_datafusion(error),
    }
}

fn check_statement(statement: &Statement, text: &str) -> Result<()> {
    match statement {
        Statement::Statement(statement) => match statement.as_ref() {
            ast::Statement::Query(_) => Ok(()),
            ast::Statement::Explain { statement, .. }
                if matches!(statement.as_ref(), ast::Statement::Query(_)) =>
            {
                Ok(())
            }
            _ => Err(read_only(text)),
        },
        Statement::Explain(explain) => check_statement(&explain.statement, text),
        _ => Err(read_only(text)),
    }
}

fn read_only(text: &str) -> Error {
    let words: Vec<&str> = text.split_whitespace().take(2).collect();
    Error::ReadOnly {
        statement: words
            .join(" ")
            .chars()
            .take(40)
            .collect::<String>()
            .to_uppercase(),
    }
}

/// Adds the names of the session's tables to the error about an unknown one.
fn with_names(state: &SessionState, error: DataFusionError) -> Error {
    match from_datafusion(error) {
        Error::UnknownTable { table, place, .. } => Error::UnknownTable {
            table,
            known: table_names(state),
            place,
        },
        other => other,
    }
}

/// The names of the session's tables, sorted.
pub(crate) fn table_names(state: &SessionState) -> Vec<String> {
    let catalog = &state.config().options().catalog;
    let mut names = state
        .catalog_list()
        .catalog(&catalog.default_catalog)
        .and_then(|found| found.schema(&catalog.default_schema))
        .map(|schema| schema.table_names())
        .unwrap_or_default();
    names.sort();
    names
}
