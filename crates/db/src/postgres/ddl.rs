//! Migrations in Postgres's spelling.
//!
//! Integers are 64 bits wide and reals double, as on SQLite; text compares byte by byte whatever the database's
//! locale, because each text column says so. That way order, ranges and unique keys agree on both databases, and no
//! one has to create the database with a special locale.

use super::placeholders::quoted;

/// Rewrites the types in `CREATE TABLE` and `ALTER TABLE`; leaves everything else as it is.
pub(crate) fn for_postgres(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() * 2);
    let mut words = Words::default();
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let length = match quoted(rest) {
            0 if is_word(next) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            0 => next.len_utf8(),
            length => length,
        };
        let (piece, after) = rest.split_at(length);
        if is_word(next) {
            words.write(piece, after, &mut out);
        } else {
            if next == ';' {
                words = Words::default();
            }
            out.push_str(piece);
        }
        rest = after;
    }
    out
}

/// Where in a statement we are.
#[derive(Default)]
struct Words {
    /// The statement's first two words, upper case.
    first: Vec<String>,
    /// The word before, upper case.
    before: String,
}

impl Words {
    fn write(&mut self, word: &str, after: &str, out: &mut String) {
        let upper = word.to_ascii_uppercase();
        if self.first.len() < 2 {
            self.first.push(upper.clone());
        }
        let written = match self.defines_a_table() {
            true => self.in_table(&upper, after),
            false => None,
        };
        match written {
            Some(written) => out.push_str(written),
            None => out.push_str(word),
        }
        self.before = upper;
    }

    fn defines_a_table(&self) -> bool {
        matches!(self.first.as_slice(), [first, second] if second == "TABLE" && (first == "CREATE" || first == "ALTER"))
    }

    /// What a word of a table's definition is on Postgres, when that differs.
    fn in_table(&self, word: &str, after: &str) -> Option<&'static str> {
        let next = after.split_ascii_whitespace().next().unwrap_or_default();
        match word {
            // In `CAST(x AS TEXT)` a collation can't stand.
            _ if self.before == "AS" => None,
            "TEXT" => Some("TEXT COLLATE \"C\""),
            "INTEGER" | "INT" => Some("BIGINT"),
            "REAL" | "FLOAT" => Some("DOUBLE PRECISION"),
            "DOUBLE" if !next.to_ascii_uppercase().starts_with("PRECISION") => Some("DOUBLE PRECISION"),
            "BLOB" => Some("BYTEA"),
            "WITHOUT" if next.to_ascii_uppercase().starts_with("ROWID") => Some(""),
            "ROWID" if self.before == "WITHOUT" => Some(""),
            _ => None,
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str) {
        assert_eq!(for_postgres(sql), expected);
    }

    #[test]
    fn types_are_as_wide_as_on_sqlite_and_text_is_bytewise() {
        check(
            "CREATE TABLE a (text_id TEXT NOT NULL, n INTEGER, x real, y double precision, z DOUBLE, b BLOB)",
            "CREATE TABLE a (text_id TEXT COLLATE \"C\" NOT NULL, n BIGINT, x DOUBLE PRECISION, y double precision, \
             z DOUBLE PRECISION, b BYTEA)",
        );
        check(
            "alter table a add column note text not null default 'a text; really'",
            "alter table a add column note TEXT COLLATE \"C\" not null default 'a text; really'",
        );
        check(
            "CREATE TABLE a (k BIGINT) WITHOUT ROWID;",
            "CREATE TABLE a (k BIGINT)  ;",
        );
    }

    #[test]
    fn other_statements_stay() {
        for same in [
            "CREATE INDEX text ON a (integer)",
            "INSERT INTO a SELECT CAST(x AS TEXT) FROM b",
            "UPDATE a SET real = 1 -- TEXT\n",
            "CREATE TABLE \"TEXT\" (x BIGINT CHECK (CAST(x AS TEXT) <> 'TEXT'))",
        ] {
            check(same, same);
        }
        check(
            "SELECT 1; CREATE TABLE a (x INT); SELECT int",
            "SELECT 1; CREATE TABLE a (x BIGINT); SELECT int",
        );
    }
}
