//! `?1` becomes `$1`, outside of texts, quoted names and comments.

/// A statement in Postgres's spelling.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rewritten {
    pub sql: String,
    /// How many values it takes.
    pub parameters: usize,
}

pub(crate) fn rewrite(sql: &str) -> Rewritten {
    let mut out = String::with_capacity(sql.len());
    let mut parameters = 0;
    let mut rest = sql;
    while let Some(at) = rest.find(['\'', '"', '-', '/', '?']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let skipped = quoted(rest);
        if skipped > 0 {
            out.push_str(&rest[..skipped]);
            rest = &rest[skipped..];
            continue;
        }
        let digits = rest[1..].bytes().take_while(u8::is_ascii_digit).count();
        if rest.starts_with('?') && digits > 0 {
            let number = &rest[1..=digits];
            parameters = parameters.max(number.parse().unwrap_or(usize::MAX));
            out.push('$');
            out.push_str(number);
            rest = &rest[1 + digits..];
        } else {
            out.push_str(&rest[..1]);
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Rewritten { sql: out, parameters }
}

/// The length of the text, quoted name or comment that `sql` starts with; 0 when it starts with none.
pub(crate) fn quoted(sql: &str) -> usize {
    let closed_by = |open: usize, close: &str| {
        let end = sql[open..].find(close).map(|at| open + at + close.len());
        end.unwrap_or(sql.len())
    };
    match sql.as_bytes() {
        // A doubled quote inside reads as the end of one text and the start of the next, which comes to the same.
        [b'\'', ..] => closed_by(1, "'"),
        [b'"', ..] => closed_by(1, "\""),
        [b'-', b'-', ..] => closed_by(2, "\n"),
        [b'/', b'*', ..] => closed_by(2, "*/"),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sql: &str, expected: &str, parameters: usize) {
        let expected = Rewritten {
            sql: expected.to_owned(),
            parameters,
        };
        assert_eq!(rewrite(sql), expected);
    }

    #[test]
    fn placeholders_become_dollars() {
        check("SELECT ?1, ?12 + ?2", "SELECT $1, $12 + $2", 12);
        check("VALUES (?1,?1)", "VALUES ($1,$1)", 1);
        check("SELECT 1", "SELECT 1", 0);
        check("", "", 0);
    }

    #[test]
    fn quotes_and_comments_stay() {
        check("SELECT '?1', ?1", "SELECT '?1', $1", 1);
        check("SELECT 'it''s ?1' || ?1", "SELECT 'it''s ?1' || $1", 1);
        check(
            "SELECT \"a?1\" FROM t WHERE x = ?2",
            "SELECT \"a?1\" FROM t WHERE x = $2",
            2,
        );
        check("SELECT 1 -- ?1\n, ?1", "SELECT 1 -- ?1\n, $1", 1);
        check(
            "SELECT /* ?1 */ ?1 /* open ?2",
            "SELECT /* ?1 */ $1 /* open ?2",
            1,
        );
        check("SELECT 'é?1' , ?1 - 2 / 3", "SELECT 'é?1' , $1 - 2 / 3", 1);
        check("SELECT 'open ?1", "SELECT 'open ?1", 0);
    }

    #[test]
    fn a_mark_without_a_number_stays() {
        check("SELECT a ? 'b'", "SELECT a ? 'b'", 0);
    }
}
