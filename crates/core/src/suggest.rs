//! "Did you mean ...?": the nearest of the names that would have been right.

/// The candidate nearest to `found`, when one is near enough to be a typo of it.
pub fn nearest<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let found_lower = found.to_lowercase();
    let allowed = (found.chars().count() / 3).max(1);
    candidates
        .into_iter()
        .map(|candidate| {
            (
                strsim::damerau_levenshtein(&found_lower, &candidate.to_lowercase()),
                candidate,
            )
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `did you mean "train"?`, or the list of what would have been right, or nothing when there is nothing to offer.
pub fn did_you_mean<'a>(found: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let candidates: Vec<&str> = candidates.into_iter().collect();
    if let Some(near) = nearest(found, candidates.iter().copied()) {
        return Some(format!("did you mean \"{near}\"?"));
    }
    if candidates.is_empty() {
        return None;
    }
    let shown: Vec<String> = candidates
        .iter()
        .take(12)
        .map(|name| format!("\"{name}\""))
        .collect();
    let more = if candidates.len() > 12 { ", ..." } else { "" };
    Some(format!("use one of {}{more}", shown.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn typos_find_their_name_and_strangers_do_not() {
        let names = ["stages", "datasets", "monitor"];
        assert_eq!(nearest("stagse", names), Some("stages"));
        assert_eq!(nearest("Monitr", names), Some("monitor"));
        assert_eq!(nearest("zebra", names), None);
        assert_eq!(
            did_you_mean("zebra", names).unwrap(),
            "use one of \"stages\", \"datasets\", \"monitor\""
        );
    }
}
