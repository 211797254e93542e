//! The values a categorical column may hold, and the codes trees know them by.

use std::collections::HashMap;

/// The values of one categorical column, each with its code: its place in the list. A value that is not listed counts
/// as missing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Vocabulary {
    /// Texts.
    Texts {
        names: Vec<String>,
        codes: HashMap<String, u32>,
    },
    /// Numbers, by their bits.
    Numbers(HashMap<u64, u32>),
}

impl Vocabulary {
    /// Texts in the order of their codes. Of equal texts the first counts.
    pub(crate) fn texts(names: Vec<String>) -> Self {
        let mut codes = HashMap::with_capacity(names.len());
        for (code, name) in names.iter().enumerate() {
            codes.entry(name.clone()).or_insert(code as u32);
        }
        Self::Texts { names, codes }
    }

    /// Numbers in the order of their codes.
    pub(crate) fn numbers(values: &[f64]) -> Self {
        let mut codes = HashMap::with_capacity(values.len());
        for (code, value) in values.iter().enumerate() {
            codes.entry(bits(*value)).or_insert(code as u32);
        }
        Self::Numbers(codes)
    }

    pub(crate) fn is_text(&self) -> bool {
        matches!(self, Self::Texts { .. })
    }

    /// The code of a text; NaN when it is not listed.
    pub(crate) fn code_of_text(&self, text: &str) -> f64 {
        match self {
            Self::Texts { codes, .. } => codes.get(text).map_or(f64::NAN, |code| f64::from(*code)),
            Self::Numbers(_) => f64::NAN,
        }
    }

    /// The code of a number; NaN when it is not listed.
    pub(crate) fn code_of_number(&self, number: f64) -> f64 {
        match self {
            Self::Texts { .. } => f64::NAN,
            Self::Numbers(codes) => codes.get(&bits(number)).map_or(f64::NAN, |code| f64::from(*code)),
        }
    }
}

/// Equal numbers have equal bits, once minus zero is out of the way.
fn bits(value: f64) -> u64 {
    (value + 0.0).to_bits()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unlisted_values_are_missing() {
        let texts = Vocabulary::texts(vec!["EWR".into(), "JFK".into(), "EWR".into()]);
        assert_eq!(texts.code_of_text("EWR"), 0.0);
        assert_eq!(texts.code_of_text("JFK"), 1.0);
        assert!(texts.code_of_text("XXX").is_nan());
        let numbers = Vocabulary::numbers(&[10.0, 0.0]);
        assert_eq!(numbers.code_of_number(-0.0), 1.0);
        assert!(numbers.code_of_number(11.0).is_nan());
        assert!(numbers.code_of_number(f64::NAN).is_nan());
    }
}
