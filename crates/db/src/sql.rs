//! Where the two databases' SQL differs, and what no statement may do.

use crate::{Error, Result, Value, error::shorten};

/// Statements that would end the transaction under its owner's feet, or reach outside the database.
const FORBIDDEN: [&str; 12] = [
    "BEGIN",
    "COMMIT",
    "END",
    "ROLLBACK",
    "SAVEPOINT",
    "RELEASE",
    "START",
    "ABORT",
    "ATTACH",
    "DETACH",
    "PRAGMA",
    "VACUUM",
];

/// Refuses statements that steer the transaction or the connection.
pub(crate) fn refuse_control(sql: &str) -> Result<()> {
    let trimmed = sql.trim_start();
    let end = trimmed
        .find(|c: char| !c.is_ascii_alphabetic())
        .unwrap_or(trimmed.len());
    let word = &trimmed[..end];
    if FORBIDDEN
        .iter()
        .any(|forbidden| forbidden.eq_ignore_ascii_case(word))
    {
        return Err(Error::Statement {
            problem: format!("\"{word}\" is not for the code inside a transaction"),
            sql: shorten(sql),
        });
    }
    Ok(())
}

/// Refuses values that only one of the databases could hold.
pub(crate) fn refuse_value(value: &Value) -> Result<()> {
    match value {
        Value::Text(text) => match text.bytes().position(|byte| byte == 0) {
            Some(at) => Err(Error::ZeroCharacter { at }),
            None => Ok(()),
        },
        _ => Ok(()),
    }
}

/// `PRAGMA case_sensitive_like` is on for each of our connections.
pub(crate) fn sqlite_like(expression: &str, placeholder: &str) -> String {
    format!("({expression}) LIKE {placeholder} ESCAPE '\\'")
}

/// SQLite's `lower` folds ASCII only.
pub(crate) fn sqlite_ilike(expression: &str, placeholder: &str) -> String {
    format!("lower({expression}) LIKE lower({placeholder}) ESCAPE '\\'")
}

/// Text columns compare byte by byte, so this does too.
pub(crate) fn postgres_like(expression: &str, placeholder: &str) -> String {
    format!("({expression}) LIKE {placeholder} ESCAPE '\\'")
}

/// In the collation "C" Postgres's `lower` folds ASCII only, as SQLite's.
pub(crate) fn postgres_ilike(expression: &str, placeholder: &str) -> String {
    format!(
        "lower(({expression}) COLLATE \"C\") LIKE lower(CAST({placeholder} AS TEXT) COLLATE \"C\") ESCAPE '\\'"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transaction_control_is_refused_in_any_case() {
        for bad in [
            "COMMIT",
            " rollback",
            "begin immediate",
            "\nPragma foreign_keys = off",
        ] {
            assert!(refuse_control(bad).is_err(), "{bad}");
        }
        for good in [
            "SELECT 1",
            "INSERT INTO begin VALUES (1)",
            "WITH a AS (SELECT 1) SELECT 2",
            "",
        ] {
            assert!(refuse_control(good).is_ok(), "{good}");
        }
    }
}
