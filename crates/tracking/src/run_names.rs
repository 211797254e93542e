//! A readable name for a run that was given none: `adjective-noun-number`, drawn from its id.

use everloop_core::{Hash, RunId};

const ADJECTIVES: [&str; 64] = [
    "able", "agile", "amber", "apt", "arctic", "bold", "brave", "bright", "brisk", "calm", "candid", "clean",
    "clear", "clever", "cosmic", "crisp", "deep", "eager", "early", "exact", "fair", "fine", "fleet", "fond",
    "frank", "free", "fresh", "gentle", "glad", "golden", "grand", "handy", "happy", "hardy", "honest",
    "humble", "keen", "kind", "light", "lively", "loyal", "lucid", "merry", "mild", "neat", "nimble",
    "noble", "patient", "plain", "polite", "proud", "quick", "quiet", "rapid", "ready", "silent", "smart",
    "smooth", "steady", "sunny", "swift", "tidy", "warm", "wise",
];

const NOUNS: [&str; 64] = [
    "acorn",
    "albatross",
    "anchor",
    "aspen",
    "badger",
    "beacon",
    "birch",
    "bison",
    "breeze",
    "brook",
    "canyon",
    "cedar",
    "comet",
    "condor",
    "coral",
    "crane",
    "delta",
    "dolphin",
    "dune",
    "eagle",
    "ember",
    "falcon",
    "fern",
    "finch",
    "fjord",
    "fox",
    "glacier",
    "grove",
    "harbor",
    "hare",
    "heron",
    "island",
    "jay",
    "koala",
    "lagoon",
    "lark",
    "lynx",
    "maple",
    "marten",
    "meadow",
    "moose",
    "oak",
    "orca",
    "osprey",
    "otter",
    "owl",
    "panda",
    "pine",
    "planet",
    "plover",
    "puffin",
    "quail",
    "raven",
    "reef",
    "ridge",
    "robin",
    "salmon",
    "seal",
    "sparrow",
    "spruce",
    "stork",
    "swan",
    "tern",
    "walrus",
];

/// The same name for the same id.
pub(crate) fn for_run(id: &RunId) -> String {
    let hash = Hash::of(id.as_str().as_bytes());
    let bytes = hash.as_bytes();
    let number = u16::from_be_bytes([bytes[2], bytes[3]]) % 1_000;
    let adjective = ADJECTIVES[usize::from(bytes[0]) % ADJECTIVES.len()];
    let noun = NOUNS[usize::from(bytes[1]) % NOUNS.len()];
    format!("{adjective}-{noun}-{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_stable_and_spread() {
        let names: std::collections::BTreeSet<String> = (0..1_000)
            .map(|n| for_run(&RunId::new(format!("{n:032x}"))))
            .collect();
        assert!(names.len() > 990, "{}", names.len());
        let id = RunId::new("00000000000000000000000000000001");
        assert_eq!(for_run(&id), for_run(&id));
    }
}
