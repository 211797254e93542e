//! Checks of rows as SQL conditions that are true for the rows that break them.
//!
//! Only text that the project file's grammar has parsed reaches this place, and every name and value is quoted here.

use everloop_project::suite::{Edge, InSet, NotNull, RangeCheck, RegexCheck, Scalar};
use everloop_project::{CheckKind, Share};

/// A check of rows: which of them break it, and how many may.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct RowRule {
    /// SQL that is true for a row that breaks the rule.
    pub breaks: String,
    /// SQL that is true for a row that the rule looks at.
    pub looks_at: String,
    /// The share that must hold.
    pub mostly: f64,
    /// The rule in words.
    pub words: String,
}

/// The rule of a check of rows; none for checks of a whole column or table.
pub(crate) fn row_rule(kind: &CheckKind) -> Option<RowRule> {
    match kind {
        CheckKind::NotNull(check) => Some(not_null(check)),
        CheckKind::Range(check) => Some(range(check)),
        CheckKind::InSet(check) => Some(in_set(check)),
        CheckKind::Regex(check) => Some(regex(check)),
        _ => None,
    }
}

fn not_null(check: &NotNull) -> RowRule {
    let column = quote_name(check.column.as_str());
    rule(
        format!("{column} IS NULL"),
        "TRUE".to_owned(),
        check.mostly,
        format!("\"{}\" is there", check.column),
    )
}

fn range(check: &RangeCheck) -> RowRule {
    let column = quote_name(check.column.as_str());
    let mut breaks = Vec::new();
    let mut words = Vec::new();
    if let Some(min) = &check.min {
        breaks.push(format!("{column} < {}", edge(min)));
        words.push(format!("at least {}", edge_words(min)));
    }
    if let Some(max) = &check.max {
        breaks.push(format!("{column} > {}", edge(max)));
        words.push(format!("at most {}", edge_words(max)));
    }
    let words = format!("\"{}\" is {}", check.column, words.join(" and "));
    rule(
        breaks.join(" OR "),
        format!("{column} IS NOT NULL"),
        check.mostly,
        words,
    )
}

fn in_set(check: &InSet) -> RowRule {
    let column = quote_name(check.column.as_str());
    let values: Vec<String> = check.values.iter().map(scalar).collect();
    let shown: Vec<String> = check.values.iter().take(8).map(scalar).collect();
    let more = if check.values.len() > 8 { ", ..." } else { "" };
    rule(
        format!("{column} NOT IN ({})", values.join(", ")),
        format!("{column} IS NOT NULL"),
        check.mostly,
        format!("\"{}\" is one of {}{more}", check.column, shown.join(", ")),
    )
}

fn regex(check: &RegexCheck) -> RowRule {
    let column = quote_name(check.column.as_str());
    rule(
        format!("NOT regexp_like({column}, {})", quote_text(&check.pattern)),
        format!("{column} IS NOT NULL"),
        check.mostly,
        format!("\"{}\" matches {}", check.column, check.pattern),
    )
}

fn rule(breaks: String, looks_at: String, mostly: Share, words: String) -> RowRule {
    let mostly = mostly.get();
    let words = if mostly < 1.0 {
        format!("{words} for at least {:.1} % of rows", mostly * 100.0)
    } else {
        words
    };
    RowRule {
        breaks,
        looks_at,
        mostly,
        words,
    }
}

fn edge(edge: &Edge) -> String {
    match edge {
        Edge::Number(number) => number_literal(*number),
        Edge::Time(moment) => format!(
            "TIMESTAMP {}",
            quote_text(moment.to_rfc3339().trim_end_matches('Z'))
        ),
    }
}

fn edge_words(edge: &Edge) -> String {
    match edge {
        Edge::Number(number) => number.to_string(),
        Edge::Time(moment) => moment.to_rfc3339(),
    }
}

fn scalar(value: &Scalar) -> String {
    match value {
        Scalar::Bool(value) => value.to_string().to_uppercase(),
        Scalar::Int(value) => value.to_string(),
        Scalar::Float(value) => number_literal(*value),
        Scalar::Text(text) => quote_text(text),
    }
}

/// The grammar refuses NaN and infinities, which SQL can't spell.
fn number_literal(number: f64) -> String {
    format!("CAST({number:?} AS DOUBLE)")
}

/// A name as SQL.
pub(crate) fn quote_name(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A text as SQL.
pub(crate) fn quote_text(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_can_not_break_out() {
        assert_eq!(quote_name("a\"b"), "\"a\"\"b\"");
        assert_eq!(quote_text("x' OR '1'='1"), "'x'' OR ''1''=''1'");
    }
}
