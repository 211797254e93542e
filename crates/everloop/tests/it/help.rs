//! The manual: every command has a short first line, sentences and an example.

use crate::program::everloop;
use std::path::Path;

const COMMANDS: &[&str] = &[
    "",
    "demo",
    "init",
    "server",
    "run",
    "status",
    "dag",
    "log",
    "data",
    "data list",
    "data add",
    "data snapshot",
    "data log",
    "data diff",
    "data profile",
    "data checkout",
    "data delete",
    "check",
    "check data",
    "check model",
    "sql",
    "model",
    "model list",
    "model show",
    "model promote",
    "model rollback",
    "model approve",
    "model reject",
    "deploy",
    "predict",
    "feedback",
    "monitor",
    "monitor list",
    "monitor show",
    "monitor webhooks",
    "monitor deliveries",
    "monitor retry",
    "retrain",
    "decisions",
    "why",
    "schema",
    "cluster",
    "cluster scheduler",
    "cluster worker",
    "config",
    "config show",
    "admin",
    "admin token",
    "admin token create",
    "admin token list",
    "admin token revoke",
    "admin verify",
    "admin backup",
    "admin restore",
    "admin gc",
];

fn help(command: &str) -> String {
    let mut args: Vec<&str> = command.split_whitespace().collect();
    args.push("--help");
    everloop(Path::new("."), &args).ok().stdout
}

/// The commands that a help page lists.
fn listed(help: &str) -> Vec<String> {
    let lines = help
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let names = lines.filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    let names = names.filter_map(|line| line.split_whitespace().next());
    names
        .filter(|name| *name != "help")
        .map(ToOwned::to_owned)
        .collect()
}

#[test]
fn every_command_is_in_the_list() {
    let mut found = vec![String::new()];
    let mut place = 0;
    while place < found.len() {
        let parent = found[place].clone();
        let more = listed(&help(&parent))
            .into_iter()
            .map(|name| format!("{parent} {name}").trim().to_owned());
        found.extend(more);
        place += 1;
    }
    found.sort();
    let mut expected: Vec<String> = COMMANDS.iter().map(|name| (*name).to_owned()).collect();
    expected.sort();
    assert_eq!(found, expected);
}

#[test]
fn every_command_has_a_short_line_and_an_example() {
    for command in COMMANDS {
        let text = help(command);
        let first = text.lines().next().unwrap();
        assert!((10..=90).contains(&first.len()), "{command}: {first}");
        assert!(text.contains("Example:\n  "), "{command} has no example");
        assert!(text.contains("--json"), "{command} has no --json");
    }
}

#[test]
fn help_reads_well() {
    let pages: Vec<String> = COMMANDS
        .iter()
        .map(|name| format!("######## everloop {name}\n{}", help(name)))
        .collect();
    insta::assert_snapshot!("help", pages.join("\n"));
}
