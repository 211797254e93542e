//! Files that want to cost much, or to break something.

use crate::parse;
use everloop_project::{Project, Scope, Suite, limits};
use proptest::prelude::*;

fn refused(text: &str, expected: &str) {
    let shown = parse(text).unwrap_err().render();
    assert!(
        shown.contains(expected),
        "{}",
        shown.chars().take(600).collect::<String>()
    );
}

#[test]
fn a_file_too_large_is_refused_unread() {
    let text = format!("project: p\n{}", "# x\n".repeat(limits::FILE_BYTES / 4));
    refused(&text, "the file is too large");
}

#[test]
fn nesting_is_bounded() {
    refused(
        &format!("project: p\nx: {}", "[".repeat(100_000)),
        "nested too deeply",
    );
    refused(
        &format!("project: p\nx: {}", "{a: ".repeat(100_000)),
        "nested too deeply",
    );
    let deep: String = (0..500)
        .map(|depth| format!("{}a:\n", " ".repeat(depth)))
        .collect();
    refused(&deep, "nested too deeply");
    let list = format!("project: p\nx:\n  {}1\n", "- ".repeat(5_000));
    refused(&list, "nested too deeply");
}

#[test]
fn what_aliases_repeat_is_bounded() {
    let mut bomb = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for level in 1..12 {
        let again = vec![format!("*a{}", level - 1); 10].join(", ");
        bomb.push_str(&format!("a{level}: &a{level} [{again}]\n"));
    }
    refused(&bomb, "aliases repeat too much");

    let mut merges = String::from("m0: &m0 { a: 1, b: 2, c: 3, d: 4 }\n");
    for level in 1..12 {
        let again = vec![format!("*m{}", level - 1); 10].join(", ");
        merges.push_str(&format!("m{level}: &m{level} {{ <<: [{again}], k{level}: 1 }}\n"));
    }
    assert!(parse(&merges).is_err());

    let many = format!("project: p\nx: &x [1]\ny: [{}]\n", "*x, ".repeat(60_000));
    assert!(parse(&many).is_err());
    refused("project: p\nx: &x [*x]\n", "this is not valid YAML");
}

#[test]
fn values_are_counted() {
    refused(
        &format!("project: p\nx: [{}]", "1,".repeat(300_000)),
        "the file holds too much",
    );
}

#[test]
fn a_million_characters_in_one_place_are_refused() {
    let long = "a".repeat(900_000);
    refused(
        &format!("project: p\nstages: {{ a: {{ cmd: x }} }}\non: [{{ schedule: \"{long}\", do: run }}]"),
        "it is longer than 200 bytes",
    );
    refused(
        &format!("project: p\ndatasets: {{ d: {{ path: \"{long}*\" }} }}"),
        "it is longer than 4096 bytes",
    );
    refused(
        &format!("project: p\nmonitor: {{ window: \"{long}\" }}"),
        "it is longer than 256 bytes",
    );
    let regex = format!("checks: [{{ regex: {{ column: a, pattern: \"{long}\" }} }}]");
    let shown = Suite::parse("s.yaml", regex.as_bytes(), Scope::Data)
        .unwrap_err()
        .render();
    assert!(shown.contains("it is longer than 1000 bytes"), "{shown}");
    assert!(shown.len() < 2_000, "what is shown is cut");
}

#[test]
fn a_regular_expression_that_explodes_is_refused() {
    for pattern in [
        "(a{1000}){1000}",
        "((((a{100}){100}){100}){100}){100}",
        "(?=x)",
        "[",
        "((((",
    ] {
        let text = format!("checks: [{{ regex: {{ column: a, pattern: \"{pattern}\" }} }}]");
        let shown = Suite::parse("s.yaml", text.as_bytes(), Scope::Data)
            .unwrap_err()
            .render();
        assert!(shown.contains("not a valid regular expression"), "{shown}");
    }
}

#[test]
fn reading_stops_after_a_hundred_problems() {
    let mut text = String::from("project: p\n");
    for index in 0..500 {
        text.push_str(&format!("k{index}: 1\n"));
    }
    let invalid = parse(&text).unwrap_err();
    assert_eq!(
        (invalid.problems.len(), invalid.truncated),
        (limits::PROBLEMS, true)
    );
    assert!(invalid.render().ends_with("... and more\n"));
    assert!(invalid.to_string().ends_with("and many more"));
}

/// Each of these would be slow if a message were made for every mistake, or names compared without a bound.
#[test]
fn a_mistake_in_every_line_stays_cheap() {
    let repeat = |head: &str, line: &dyn Fn(usize) -> String, lines: usize| {
        let mut text = head.to_owned();
        (0..lines).for_each(|index| text.push_str(&line(index)));
        let invalid = parse_missing(&text);
        assert_eq!(invalid.problems.len(), limits::PROBLEMS);
    };
    let head = "project: p\nstages:\n";
    repeat(
        head,
        &|index| format!(" s{index}: {{cmd: x,deps: [missing-{index}],outs: [o{index}]}}\n"),
        10_000,
    );
    repeat(
        head,
        &|index| format!(" s{index}: {{cmd: x,outs: [o]}}\n"),
        10_000,
    );
    repeat(head, &|index| format!(" s{index}: {{cmdd: x}}\n"), 10_000);
    repeat(
        head,
        &|index| format!(" s{index}: {{cmd: x,deps: ['dataset:d{index}']}}\n"),
        10_000,
    );
    repeat(head, &|index| format!(" s {index}: {{cmd: x}}\n"), 10_000);
    repeat("project: p\n", &|_| "x: 1\n".to_owned(), 10_000);
    let zone = "Europe/Berlinnn".repeat(4);
    repeat(
        "project: p\non:\n",
        &|_| format!("- {{schedule: '@daily',timezone: {zone},do: run}}\n"),
        5_000,
    );
    let long = "k".repeat(1_000);
    repeat("project: p\n", &|index| format!("{long}{index}: 1\n"), 500);
}

fn parse_missing(text: &str) -> everloop_project::Invalid {
    Project::parse("everloop.yaml", text.as_bytes(), &|_| false).unwrap_err()
}

#[test]
fn many_globs_over_many_outs_are_refused() {
    let mut text = String::from("project: p\ndatasets:\n");
    for index in 0..3_000 {
        text.push_str(&format!(" d{index}: {{path: 'x/*.a{index}',watch: true}}\n"));
    }
    text.push_str("stages:\n");
    for index in 0..9_000 {
        text.push_str(&format!(" s{index}: {{cmd: x,outs: [x/{index}]}}\n"));
    }
    // Twenty-seven million pairs.
    refused(&text, "too many wildcards over too many outs");
}

#[test]
fn numbers_of_every_size_are_answered() {
    for number in [
        "1e999",
        "-1e999",
        ".nan",
        ".inf",
        "99999999999999999999999999999999999999999",
        "0x7fffffffffffffffff",
        "1e-999",
        "-0",
    ] {
        let text = format!(
            "project: p\nparams: {{ a: {number} }}\nstages: {{ a: {{ cmd: x, params: [a], run: {{ cpus: {number}, retries: {number}, memory: {number}, timeout: {number} }} }} }}\nmonitor: {{ window: {number} }}\n"
        );
        let _ = parse(&text);
    }
}

const SEEDS: [&str; 3] = [
    include_str!("../../templates/blank.yaml"),
    include_str!("../../../../examples/flights/everloop.yaml"),
    include_str!("../../../../examples/flights/checks/flights.yaml"),
];

fn read_all(bytes: &[u8]) {
    for exists in [true, false] {
        if let Err(invalid) = Project::parse("everloop.yaml", bytes, &|_| exists) {
            let shown = invalid.render();
            assert!(!shown.is_empty());
            assert!(!shown.contains('\u{1b}'), "escapes are shown inert");
        }
    }
    for scope in [Scope::Data, Scope::Model, Scope::Any] {
        let _ = Suite::parse("suite.yaml", bytes, scope);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn any_bytes_are_answered(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        read_all(&bytes);
    }

    #[test]
    fn any_text_of_yaml_signs_is_answered(text in "[-a-c0-2:{}\\[\\],&*!|>'\"%@`#?~ \n\t<=.]{0,200}") {
        read_all(text.as_bytes());
    }

    /// Files that are nearly right: pieces cut out, doubled, swapped for odd values.
    #[test]
    fn mutated_files_are_answered(
        seed in 0usize..SEEDS.len(),
        uncomment in any::<bool>(),
        edits in prop::collection::vec((any::<prop::sample::Index>(), 0usize..12, any::<char>()), 1..12),
    ) {
        let mut text = SEEDS[seed].to_owned();
        if uncomment {
            text = crate::documents::uncommented(&text);
        }
        for (place, edit, letter) in edits {
            let starts: Vec<usize> = text.char_indices().map(|(at, _)| at).collect();
            if starts.is_empty() {
                break;
            }
            let at = starts[place.index(starts.len())];
            let line_end = text[at..].find('\n').map_or(text.len(), |end| at + end);
            match edit {
                0 => text.insert(at, letter),
                1 => { text.remove(at); }
                2 => text.replace_range(at..line_end, ""),
                3 => { let line = text[at..line_end].to_owned(); text.insert_str(at, &line); }
                4 => text.insert_str(at, " null "),
                5 => text.insert_str(at, "[{}]"),
                6 => text.insert_str(at, "&x *x"),
                7 => text.insert_str(at, "-1e400"),
                8 => text.insert_str(at, "\n  "),
                9 => text.insert_str(at, ": "),
                10 => text.truncate(at),
                _ => text.insert_str(at, "${x}"),
            }
        }
        read_all(text.as_bytes());
    }
}
