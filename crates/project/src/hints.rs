//! Nearest names, at a bounded cost: a hostile file may hold long names, and many of them.

use everloop_core::nearest;

/// Longer names are not typed by hand, so nobody mistypes them.
const LONGEST: usize = 64;
/// Names of a like length that are compared at most.
const COMPARED: usize = 1_000;

/// The candidate that `found` is probably a slip of.
pub(crate) fn near<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if found.len() > LONGEST {
        return None;
    }
    let allowed = (found.len() / 3).max(1);
    let alike = candidates
        .into_iter()
        .filter(|candidate| candidate.len().abs_diff(found.len()) <= allowed)
        .take(COMPARED);
    nearest(found, alike)
}

/// `did you mean "train"?`
pub(crate) fn did_you_mean<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    near(found, candidates).map(|near| format!("did you mean \"{near}\"?"))
}

/// The nearest name, or else the first few of what there is.
pub(crate) fn one_of(found: &str, candidates: &[&str]) -> Option<String> {
    const SHOWN: usize = 8;
    let near = did_you_mean(found, candidates.iter().copied());
    if near.is_some() || candidates.is_empty() {
        return near;
    }
    let shown: Vec<String> = candidates
        .iter()
        .take(SHOWN)
        .map(|name| crate::problem::quoted(name))
        .collect();
    let more = if candidates.len() > SHOWN { ", ..." } else { "" };
    Some(format!("there are {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_names_are_not_compared() {
        let long = "a".repeat(1_000);
        assert_eq!(near(&long, [long.as_str()]), None);
        assert_eq!(near("stagse", ["stages", "serve"]), Some("stages"));
        assert_eq!(near("x", ["a-much-longer-name"]), None);
    }

    #[test]
    fn strangers_see_what_there_is() {
        assert_eq!(
            one_of("zebra", &["flights", "planes"]).as_deref(),
            Some("there are \"flights\", \"planes\"")
        );
        assert_eq!(one_of("zebra", &[]), None);
    }
}
