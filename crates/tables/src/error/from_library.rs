//! Maps the errors of the libraries below to ours.

use super::{Error, Place};
use crate::records::RecordLimit;
use datafusion::arrow::error::ArrowError;
use datafusion::common::{DataFusionError, Diagnostic, SchemaError};
use datafusion::parquet::errors::ParquetError;
use everloop_core::Code;
use std::error::Error as StdError;

/// Messages of libraries are cut to this many characters.
const MAX_DETAIL: usize = 500;

/// What went wrong in planning or running a query.
pub(crate) fn from_datafusion(error: DataFusionError) -> Error {
    map(&error, None)
}

/// What went wrong in reading or converting batches.
pub(crate) fn from_arrow(error: ArrowError) -> Error {
    map_arrow(&error)
}

/// What went wrong in reading from a store.
pub(crate) fn from_store(error: &object_store::Error) -> Error {
    map_store(error)
}

fn map(error: &DataFusionError, place: Option<Place>) -> Error {
    if let Some(ours) = ours(error) {
        return ours;
    }
    match error {
        DataFusionError::Context(_, inner) => map(inner, place),
        DataFusionError::Shared(inner) => map(inner, place),
        DataFusionError::Collection(all) => match all.first() {
            Some(first) => map(first, place),
            None => Error::Internal {
                detail: "an empty list of errors".to_owned(),
            },
        },
        DataFusionError::Diagnostic(diagnostic, inner) => map(inner, place_of(diagnostic).or(place)),
        DataFusionError::ArrowError(inner, _) => map_arrow(inner),
        DataFusionError::ParquetError(inner) => map_parquet(inner),
        DataFusionError::ObjectStore(inner) => map_store(inner),
        DataFusionError::IoError(inner) => map_io(inner),
        DataFusionError::SQL(inner, _) => syntax(&inner.to_string()),
        DataFusionError::SchemaError(inner, _) => map_schema(inner, place),
        DataFusionError::ResourcesExhausted(detail) => exhausted(detail),
        DataFusionError::NotImplemented(detail) => Error::Unsupported {
            what: format!("not supported: {}", short(detail)),
            hint: "write the query without it".to_owned(),
        },
        DataFusionError::Plan(detail) => map_plan(detail, place),
        DataFusionError::Execution(detail) => map_execution(detail),
        DataFusionError::Configuration(detail) => Error::InvalidQuery {
            detail: short(detail),
            place,
        },
        DataFusionError::ExecutionJoin(_) => Error::Panicked {
            what: "a task of the query did not finish".to_owned(),
        },
        DataFusionError::External(inner) => match inner.downcast_ref::<DataFusionError>() {
            Some(inner) => map(inner, place),
            None => Error::Computation {
                detail: short(&inner.to_string()),
            },
        },
        DataFusionError::Internal(detail)
        | DataFusionError::Substrait(detail)
        | DataFusionError::Ffi(detail) => Error::Internal {
            detail: short(detail),
        },
    }
}

/// Errors of ours that travelled up through the libraries.
fn ours(error: &(dyn StdError + 'static)) -> Option<Error> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(limit) = error.downcast_ref::<RecordLimit>() {
            return Some(limit.to_error());
        }
        if let Some(io) = error.downcast_ref::<std::io::Error>()
            && Code::of_io(io) == Code::StorageFull
        {
            return Some(Error::DiskFull {
                path: "spill files".to_owned(),
            });
        }
        next = error.source();
    }
    None
}

fn place_of(diagnostic: &Diagnostic) -> Option<Place> {
    let start = diagnostic.span?.start;
    (start.line > 0).then_some(Place {
        line: start.line,
        column: start.column,
    })
}

/// `sql parser error: Expected: an expression, found: FROM at Line: 1, Column: 8`.
fn syntax(text: &str) -> Error {
    let text = text.strip_prefix("sql parser error: ").unwrap_or(text);
    let (detail, place) = match text.rsplit_once(" at Line: ") {
        Some((detail, at)) => (detail, parse_place(at)),
        None => (text, None),
    };
    Error::Syntax {
        detail: short(detail),
        place,
    }
}

fn parse_place(at: &str) -> Option<Place> {
    let (line, column) = at.split_once(", Column: ")?;
    Some(Place {
        line: line.trim().parse().ok()?,
        column: column.trim().parse().ok()?,
    })
}

fn map_schema(error: &SchemaError, place: Option<Place>) -> Error {
    match error {
        SchemaError::FieldNotFound { field, valid_fields } => {
            let mut known: Vec<String> = valid_fields.iter().map(|field| field.name.clone()).collect();
            known.sort();
            known.dedup();
            Error::UnknownColumn {
                column: field.name.clone(),
                known,
                place,
            }
        }
        other => Error::InvalidQuery {
            detail: short(&other.to_string()),
            place,
        },
    }
}

fn map_plan(detail: &str, place: Option<Place>) -> Error {
    if let Some(rest) = detail.strip_prefix("table '")
        && let Some((table, _)) = rest.split_once("' not found")
    {
        let table = table.rsplit('.').next().unwrap_or(table).to_owned();
        return Error::UnknownTable {
            table,
            known: Vec::new(),
            place,
        };
    }
    if let Some(rest) = detail.strip_prefix("Invalid function '")
        && let Some((function, rest)) = rest.split_once('\'')
    {
        let near = rest
            .split_once("Did you mean '")
            .and_then(|(_, near)| near.split_once('\''));
        return Error::UnknownFunction {
            function: function.to_owned(),
            near: near.map(|(near, _)| near.to_owned()),
            place,
        };
    }
    Error::InvalidQuery {
        detail: short(detail),
        place,
    }
}

/// Errors while running; a damaged file often arrives as text.
fn map_execution(detail: &str) -> Error {
    Error::Computation {
        detail: without_values(detail),
    }
}

fn exhausted(detail: &str) -> Error {
    Error::OutOfMemory {
        detail: short(detail),
    }
}

fn map_arrow(error: &ArrowError) -> Error {
    if let Some(ours) = ours(error) {
        return ours;
    }
    match error {
        ArrowError::ExternalError(inner) => {
            if let Some(inner) = inner.downcast_ref::<DataFusionError>() {
                map(inner, None)
            } else if let Some(inner) = inner.downcast_ref::<object_store::Error>() {
                map_store(inner)
            } else if let Some(inner) = inner.downcast_ref::<ParquetError>() {
                map_parquet(inner)
            } else {
                Error::Computation {
                    detail: short(&inner.to_string()),
                }
            }
        }
        ArrowError::ParseError(detail) => parse_error(detail),
        ArrowError::CsvError(detail) => damaged("CSV", detail),
        ArrowError::JsonError(detail) => damaged("JSON lines", detail),
        ArrowError::IpcError(detail) => damaged("Arrow IPC", detail),
        ArrowError::ParquetError(detail) => damaged("Parquet", detail),
        ArrowError::IoError(_, inner) => map_io(inner),
        ArrowError::DivideByZero => Error::Computation {
            detail: "division by zero".to_owned(),
        },
        ArrowError::InvalidArgumentError(detail) | ArrowError::SchemaError(detail) => {
            damaged("table", detail)
        }
        other => Error::Computation {
            detail: without_values(&other.to_string()),
        },
    }
}

/// `Error while parsing value 'x' as type 'Int64' for column 1 at line 3. Row data: '[..]'`: the value and row go.
fn parse_error(detail: &str) -> Error {
    let typed = detail
        .rsplit_once("' as type '")
        .and_then(|(_, rest)| rest.split_once("' for column "))
        .and_then(|(expected, rest)| Some((expected, rest.split_once(" at line ")?)));
    match typed {
        Some((expected, (column, rest))) => {
            let line: String = rest.chars().take_while(char::is_ascii_digit).collect();
            let column = column
                .trim()
                .parse::<u64>()
                .map_or(column.to_owned(), |index| (index + 1).to_string());
            Error::WrongType {
                expected: expected.to_owned(),
                place: format!("line {line}, column {column}"),
            }
        }
        None => damaged("text", detail),
    }
}

fn damaged(format: &'static str, detail: &str) -> Error {
    Error::Damaged {
        format,
        detail: without_values(detail),
        place: None,
    }
}

fn map_parquet(error: &ParquetError) -> Error {
    if let Some(ours) = ours(error) {
        return ours;
    }
    match error {
        ParquetError::External(inner) => {
            if let Some(inner) = inner.downcast_ref::<object_store::Error>() {
                map_store(inner)
            } else if let Some(inner) = inner.downcast_ref::<std::io::Error>() {
                map_io(inner)
            } else {
                damaged("Parquet", &inner.to_string())
            }
        }
        other => damaged("Parquet", &other.to_string()),
    }
}

fn map_io(error: &std::io::Error) -> Error {
    // Spilling wraps its own errors, such as the end of spill space.
    if let Some(inner) = error
        .get_ref()
        .and_then(|inner| inner.downcast_ref::<DataFusionError>())
    {
        return map(inner, None);
    }
    match error.kind() {
        _ if Code::of_io(error) == Code::StorageFull => Error::DiskFull {
            path: "spill files".to_owned(),
        },
        std::io::ErrorKind::UnexpectedEof | std::io::ErrorKind::InvalidData => {
            damaged("file", &error.to_string())
        }
        // The library says so by text alone.
        _ if error
            .to_string()
            .contains("disk space during the spilling process") =>
        {
            Error::OutOfMemory {
                detail: "the space for spill files is used up".to_owned(),
            }
        }
        _ => Error::Store {
            detail: short(&error.to_string()),
        },
    }
}

fn map_store(error: &object_store::Error) -> Error {
    if let Some(ours) = ours(error) {
        return ours;
    }
    match error {
        object_store::Error::NotFound { path, .. } => Error::MissingFile { path: path.clone() },
        object_store::Error::PermissionDenied { path, .. }
        | object_store::Error::Unauthenticated { path, .. } => Error::Forbidden { path: path.clone() },
        other => Error::Store {
            detail: short(&other.to_string()),
        },
    }
}

/// The message up to the first quoted value or row: what follows may be somebody's data.
fn without_values(detail: &str) -> String {
    let end = ["Row data:", "value '", "string '", "value \"", "parsing \""]
        .iter()
        .filter_map(|mark| detail.find(mark))
        .min()
        .unwrap_or(detail.len());
    let kept = detail[..end].trim_end_matches([' ', ':', '\'']);
    short(if kept.is_empty() {
        "a value cannot be read"
    } else {
        kept
    })
}

/// One line, of bounded length, without the libraries' request to report a bug.
fn short(detail: &str) -> String {
    let detail = detail
        .split("\nThis issue was likely caused")
        .next()
        .unwrap_or(detail)
        .trim();
    let mut text: String = detail
        .chars()
        .take(MAX_DETAIL)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    if detail.chars().count() > MAX_DETAIL {
        text.push_str("...");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_core::Coded;

    #[test]
    fn cells_never_reach_the_message() {
        let error = from_arrow(ArrowError::ParseError(
            "Error while parsing value 'secret' as type 'Int64' for column 1 at line 3. Row data: '[a,secret]'".to_owned(),
        ));
        assert!(!error.to_string().contains("secret"));
        assert_eq!(error.to_string(), "a value is not of the type Int64");
        assert_eq!(error.location().unwrap(), "line 3, column 2");
        let error = from_arrow(ArrowError::CastError(
            "Cannot cast string 'secret' to value of Int64".to_owned(),
        ));
        assert!(!error.to_string().contains("secret"), "{error}");
    }

    #[test]
    fn syntax_errors_know_their_place() {
        let error = syntax("sql parser error: Expected: an expression, found: FROM at Line: 2, Column: 8");
        assert_eq!(error.location().unwrap(), "line 2, column 8");
        assert_eq!(
            error.to_string(),
            "invalid SQL: Expected: an expression, found: FROM"
        );
    }
}
