//! Statements that would nest deeper than stacks are.
//!
//! The parser bounds parentheses, but `1 + 1 + 1 + ...` nests as deep as it is long, and not every part of planning
//! recurses with care: a few kilobytes of SQL could end the process. So operators are counted before parsing, and the
//! threads for queries have stacks for that many (see `cpu`).

use crate::error::{Error, Result};
use datafusion::sql::sqlparser::dialect::GenericDialect;
use datafusion::sql::sqlparser::keywords::Keyword;
use datafusion::sql::sqlparser::tokenizer::{Token, Tokenizer};

/// Longest statement that is parsed.
const MAX_BYTES: usize = 1 << 20;

/// Operators of a statement; each may nest the expression one level deeper.
const MAX_OPERATORS: usize = 2_000;

/// Set operations and joins of a statement; each may nest the whole query.
const MAX_QUERIES: usize = 200;

/// Refuses a statement that nests too deeply. What cannot even be cut into tokens is the parser's to refuse.
pub(crate) fn check(text: &str) -> Result<()> {
    if text.len() > MAX_BYTES {
        return Err(too_complex(format!("it is longer than {MAX_BYTES} bytes")));
    }
    let Ok(tokens) = Tokenizer::new(&GenericDialect {}, text).tokenize() else {
        return Ok(());
    };
    let (mut operators, mut queries) = (0, 0);
    let mut before = &Token::Comma;
    for token in tokens
        .iter()
        .filter(|token| !matches!(token, Token::Whitespace(_)))
    {
        match token {
            Token::Word(word) if is_query(word.keyword) => queries += 1,
            Token::Word(word) if is_operator(word.keyword) => operators += 1,
            // The sign of a number in a list nests nothing.
            Token::Minus | Token::Plus if matches!(before, Token::Comma | Token::LParen) => {}
            token if is_flat(token) => {}
            _ => operators += 1,
        }
        before = token;
    }
    if operators > MAX_OPERATORS {
        return Err(too_complex(format!("it has more than {MAX_OPERATORS} operators")));
    }
    if queries > MAX_QUERIES {
        return Err(too_complex(format!(
            "it has more than {MAX_QUERIES} joins and set operations"
        )));
    }
    Ok(())
}

fn too_complex(detail: String) -> Error {
    Error::InvalidQuery {
        detail: format!("the statement is too complex: {detail}"),
        place: None,
    }
}

fn is_query(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::UNION
            | Keyword::INTERSECT
            | Keyword::EXCEPT
            | Keyword::MINUS
            | Keyword::JOIN
            | Keyword::WITH
    )
}

fn is_operator(keyword: Keyword) -> bool {
    matches!(
        keyword,
        Keyword::AND
            | Keyword::OR
            | Keyword::NOT
            | Keyword::IS
            | Keyword::IN
            | Keyword::LIKE
            | Keyword::BETWEEN
            | Keyword::CASE
            | Keyword::AT
            | Keyword::COLLATE
            | Keyword::DIV
    )
}

/// Tokens that lists are made of.
fn is_flat(token: &Token) -> bool {
    matches!(
        token,
        Token::Word(_)
            | Token::Number(_, _)
            | Token::SingleQuotedString(_)
            | Token::DoubleQuotedString(_)
            | Token::Comma
            | Token::LParen
            | Token::RParen
            | Token::Period
            | Token::SemiColon
            | Token::EOF
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_pass_and_long_chains_do_not() {
        let list = format!("SELECT 1 IN ({})", vec!["-1, NULL, 'x'"; 5_000].join(", "));
        assert!(check(&list).is_ok());
        assert!(check(&vec!["1"; 3_000].join(" + ")).is_err());
        assert!(check(&vec!["a = 1"; 1_200].join(" OR ")).is_err());
        assert!(check(&vec!["SELECT 1"; 300].join(" UNION ALL ")).is_err());
        assert!(check(&format!("SELECT 1{}", "::int".repeat(2_500))).is_err());
        assert!(check("SELECT a, b FROM t JOIN u ON t.a = u.a WHERE b > 1 AND c LIKE 'x%'").is_ok());
    }
}
