//! The files we ship, and the one spelling of a project.

use crate::{parse, problems};
use everloop_core::ProjectName;
use everloop_project::{Project, Scope, Suite, templates};
use std::path::{Path, PathBuf};

/// The template with the examples in its comments brought to life.
pub fn uncommented(text: &str) -> String {
    let mut lines: Vec<&str> = Vec::new();
    for line in text.lines() {
        match line.strip_prefix('#') {
            // Prose has exactly one space after the sign; examples have none, or as many as their indent asks for.
            Some(rest) if rest.is_empty() || (rest.starts_with(' ') && !rest.starts_with("  ")) => {}
            Some(rest) => lines.push(rest),
            None => lines.push(line),
        }
    }
    lines.join("\n")
}

fn examples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples")
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

#[test]
fn the_blank_template_is_valid_as_it_stands_and_with_everything_in_use() {
    let name = ProjectName::new("orders-2024").unwrap();
    let text = templates::blank(&name);
    assert_eq!(problems(&text, &[]), "(no problem)");
    assert_eq!(parse(&text).unwrap().project, name);

    let all = uncommented(&text);
    assert_eq!(problems(&all, &["prepare.py"]), "(no problem)");
    let project = parse(&all).unwrap();
    assert!(project.model.is_some() && project.serve.is_some() && project.monitor.is_some());
    assert_eq!(
        (project.stages.len(), project.on.len(), project.notify.len()),
        (5, 6, 1)
    );
}

#[test]
fn odd_names_survive_the_template() {
    for name in ["007", "true", "1.5", "null", "_x", "on", "p"] {
        let name = ProjectName::new(name).unwrap();
        assert_eq!(parse(&templates::blank(&name)).unwrap().project, name);
    }
}

#[test]
fn the_flights_example_is_valid_beside_its_files() {
    let root = examples().join("flights");
    let exists = |path: &Path| root.join(path).exists();
    let project = Project::parse("everloop.yaml", &read(&root.join("everloop.yaml")), &exists)
        .unwrap_or_else(|invalid| panic!("{}", invalid.render()));
    let suites = project.suite_files();
    assert_eq!(suites.len(), 2);
    for (file, scope) in suites {
        let suite = Suite::parse(file.as_str(), &read(&root.join(file.as_str())), scope)
            .unwrap_or_else(|invalid| panic!("{}", invalid.render()));
        assert!(suite.checks.len() > 3);
        let other = if scope == Scope::Data {
            Scope::Model
        } else {
            Scope::Data
        };
        assert!(Suite::parse(file.as_str(), &read(&root.join(file.as_str())), other).is_err());
    }
    assert!(project.outside_paths().is_empty());
    let graph = project.graph().unwrap();
    let order: Vec<&str> = graph.order().map(|stage| stage.as_str()).collect();
    assert_eq!(order, ["holdout", "prepare", "train", "evaluate"]);
}

#[test]
fn files_that_mean_the_same_have_the_same_hash() {
    let one =
        parse("project: p\nstages:\n  b: { cmd: x, outs: [o] }\n  a: { cmd: [y], deps: [./o/] }\n").unwrap();
    let two = parse(
        "# a comment\nstages:\n  a:\n    deps:\n      - o\n    cmd: y\n  b: { outs: [{o: {cache: true}}], cmd: \"x\", frozen: false, run: }\nproject: \"p\"\n",
    )
    .unwrap();
    assert_eq!(one, two);
    assert_eq!(one.to_canonical_json(), two.to_canonical_json());
    assert_eq!(one.content_hash(), two.content_hash());
    let other =
        parse("project: p\nstages:\n  b: { cmd: x, outs: [o] }\n  a: { cmd: z, deps: [o] }\n").unwrap();
    assert_ne!(one.content_hash(), other.content_hash());
}

/// What is stored must stay readable for ever, so its spelling is held fast.
#[test]
fn the_canonical_spelling_is_stable() {
    let text = uncommented(&templates::blank(&ProjectName::new("p").unwrap()));
    let project = parse(&text).unwrap();
    let canonical: serde_json::Value = serde_json::from_str(&project.to_canonical_json()).unwrap();
    insta::assert_snapshot!("canonical", serde_json::to_string_pretty(&canonical).unwrap());
    assert!(
        project
            .to_canonical_json()
            .starts_with("{\"datasets\":{\"orders\":{\"checks\":[{")
    );
    assert_eq!(serde_json::from_value::<Project>(canonical).unwrap(), project);
}

#[test]
fn a_stored_document_that_breaks_the_rules_is_refused() {
    let cycle = r#"{"project":"p","stages":{"a":{"cmd":"x","deps":["o"],"outs":["o"]}}}"#;
    let error = serde_json::from_str::<Project>(cycle).unwrap_err().to_string();
    assert!(error.contains("a stage that waits for itself"), "{error}");
}
