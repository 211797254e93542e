//! Migrations in Postgres's spelling.
//!
//! Integers are 64 bits wide and reals double, as on SQLite; text compares byte by byte whatever the database's
//! locale, because each text column says so. That way order, ranges and unique keys agree on both databases, and no
//! one has to create the database with a special locale.

use super::placeholders::quoted;

/// Rewrites the columns' types in `CREATE TABLE` and `ALTER TABLE ... ADD`; leaves everything else as it is.
pub(crate) fn for_postgres(sql: &str) -> String {
    let mut out = String::with_capacity(sql.len() * 2);
    let mut place = Place::default();
    let mut rest = sql;
    while let Some(next) = rest.chars().next() {
        let length = match quoted(rest) {
            0 if is_word(next) => rest.find(|c| !is_word(c)).unwrap_or(rest.len()),
            0 => next.len_utf8(),
            length => length,
        };
        let (piece, after) = rest.split_at(length);
        out.push_str(place.rewrite(piece, after).unwrap_or(piece));
        place.pass(piece);
        rest = after;
    }
    out
}

/// Where in a statement we are.
#[derive(Default)]
struct Place {
    /// The statement's first two words, upper case.
    first: Vec<String>,
    /// Open parentheses.
    depth: usize,
    /// The words of this item of a list, upper case and names in quotes as they are.
    item: Vec<String>,
}

impl Place {
    /// What `piece` is on Postgres, when that differs.
    fn rewrite(&self, piece: &str, after: &str) -> Option<&'static str> {
        let word = piece.to_ascii_uppercase();
        let next = after.split_ascii_whitespace().next().unwrap_or_default();
        let next = next.to_ascii_uppercase();
        match word.as_str() {
            "WITHOUT" if next.starts_with("ROWID") => Some(""),
            "ROWID" if self.item.last().is_some_and(|before| before == "WITHOUT") => Some(""),
            _ if !self.is_at_type() => None,
            "TEXT" => Some("TEXT COLLATE \"C\""),
            "INTEGER" | "INT" => Some("BIGINT"),
            "REAL" | "FLOAT" => Some("DOUBLE PRECISION"),
            "DOUBLE" if !next.starts_with("PRECISION") => Some("DOUBLE PRECISION"),
            "BLOB" => Some("BYTEA"),
            _ => None,
        }
    }

    /// Whether a column's type comes next.
    fn is_at_type(&self) -> bool {
        let first: Vec<&str> = self.first.iter().map(String::as_str).collect();
        let item: Vec<&str> = self.item.iter().map(String::as_str).collect();
        match first.as_slice() {
            // The second word of an item of the table's own list.
            ["CREATE", "TABLE"] => self.depth == 1 && item.len() == 1,
            ["ALTER", "TABLE"] => {
                matches!(item.as_slice(), [.., "ADD", "COLUMN", _]) || {
                    matches!(item.as_slice(), [.., "ADD", name] if *name != "COLUMN")
                }
            }
            _ => false,
        }
    }

    fn pass(&mut self, piece: &str) {
        match piece.chars().next() {
            Some(';') => *self = Self::default(),
            Some('(') => self.open(1),
            Some(')') => self.open(-1),
            Some(',') if self.depth <= 1 => self.item.clear(),
            Some('"') => self.item.push(piece.to_owned()),
            Some(first) if is_word(first) => {
                let word = piece.to_ascii_uppercase();
                if self.first.len() < 2 {
                    self.first.push(word.clone());
                }
                self.item.push(word);
            }
            _ => {}
        }
    }

    fn open(&mut self, change: isize) {
        self.depth = self.depth.saturating_add_signed(change);
        // A new list begins, or the one around it goes on.
        if self.depth <= 1 && change == 1 {
            self.item.clear();
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
            "CREATE TABLE a (text BIGINT, real BIGINT, PRIMARY KEY (text, real), CHECK (text > 0 AND int < 1))",
            "ALTER TABLE a ADD COLUMN text BIGINT; ALTER TABLE a ADD real BIGINT; ALTER TABLE a RENAME text TO int",
            "CREATE INDEX text ON a (integer)",
            "INSERT INTO a SELECT CAST(x AS TEXT) FROM b",
            "UPDATE a SET real = 1 -- TEXT\n",
            "CREATE TABLE a (k BIGINT REFERENCES text (real), x BIGINT DEFAULT (1 + int), \"int\" BIGINT)",
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
