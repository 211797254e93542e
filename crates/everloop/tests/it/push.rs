//! A push, seen by the command and by a server, down to a real receiver of webhooks.

use crate::program::{Ended, command, everloop};
use crate::server::{Server, ask};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Command;

fn git(folder: &Path, args: &[&str]) {
    let ended = Command::new("git")
        .args(["-c", "user.name=ada", "-c", "user.email=ada@example.org"])
        .args(args)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(ended.status.success(), "{args:?}: {ended:?}");
}

/// A repository on branch `main` with a project of one stage and these triggers.
fn repository(rest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let file = format!(
        "project: shop\nstages:\n  copy: {{ cmd: cp in.txt out.txt, deps: [in.txt], outs: [out.txt] }}\n{rest}"
    );
    std::fs::write(folder.path().join("everloop.yaml"), file).unwrap();
    std::fs::write(folder.path().join("in.txt"), "one\n").unwrap();
    git(folder.path(), &["init", "-q", "-b", "main"]);
    commit(folder.path());
    folder
}

fn commit(folder: &Path) {
    git(folder, &["add", "everloop.yaml", "in.txt"]);
    git(folder, &["commit", "-q", "--allow-empty", "-m", "next"]);
}

fn push(folder: &Path, more: &[&str]) -> Ended {
    everloop(folder, &[&["run", "--on-push", "--json"], more].concat())
}

#[test]
fn a_push_runs_the_pipeline_once_for_each_commit() {
    let folder = repository("on: [{ event: git.push, branch: main, do: run }]\n");
    let root = folder.path();
    let first = push(root, &[]).ok().json();
    assert_eq!((&first["branch"], &first["new"]), (&"main".into(), &true.into()));
    let outcomes: Vec<&str> = first["decisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|decision| decision["outcome"].as_str().unwrap())
        .collect();
    assert_eq!(outcomes, ["fired", "succeeded"]);
    assert_eq!(std::fs::read_to_string(root.join("out.txt")).unwrap(), "one\n");
    let again = push(root, &[]).ok().json();
    assert_eq!(
        (&again["new"], &again["decisions"]),
        (&false.into(), &serde_json::json!([]))
    );
    commit(root);
    commit(root);
    let next = push(root, &[]).ok().json();
    let log = everloop(root, &["log", "--json"]).ok().json();
    let event = log
        .as_array()
        .unwrap()
        .iter()
        .find(|event| event["seq"] == next["seq"])
        .unwrap();
    assert_eq!(
        event["payload"]["commits"].as_array().unwrap().len(),
        2,
        "{event}"
    );
    // Another branch at the same commit is another push, and nobody waits for it.
    let topic = push(root, &["--branch", "topic"]).ok().json();
    assert_eq!(
        (&topic["new"], &topic["decisions"]),
        (&true.into(), &serde_json::json!([]))
    );
}

#[test]
fn a_pipeline_that_fails_fails_the_job() {
    let folder = repository("on: [{ event: git.push, do: run }]\n");
    let file = folder.path().join("everloop.yaml");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, text.replace("cp in.txt out.txt", "exit 3")).unwrap();
    let failed = push(folder.path(), &[]);
    assert_eq!(failed.code, 1, "{failed:#?}");
    assert_eq!(failed.json()["decisions"][1]["outcome"], "failed");
}

#[test]
fn while_the_file_is_wrong_a_push_is_not_used_up() {
    let folder = repository("on: [{ event: git.push, do: run }]\n");
    let input = folder.path().join("in.txt");
    std::fs::remove_file(&input).unwrap();
    let refused = push(folder.path(), &[]);
    assert_ne!(refused.code, 0, "{refused:#?}");
    assert!(refused.stderr.contains("in.txt"), "{refused:#?}");
    std::fs::write(&input, "one\n").unwrap();
    assert_eq!(push(folder.path(), &[]).ok().json()["new"], true);
}

#[test]
fn where_there_is_no_commit_or_branch_it_says_so() {
    let folder = repository("");
    git(folder.path(), &["checkout", "-q", "--detach"]);
    let detached = push(folder.path(), &[]);
    assert_eq!(detached.code, 2, "{detached:#?}");
    assert!(detached.stderr.contains("--branch"), "{detached:#?}");
    std::fs::remove_dir_all(folder.path().join(".git")).unwrap();
    assert_eq!(push(folder.path(), &[]).code, 2);
}

/// One request, answered with 204.
fn receive(listener: &TcpListener) -> String {
    let (mut stream, _) = listener.accept().unwrap();
    let request = read_request(&mut stream);
    stream
        .write_all(b"HTTP/1.1 204 No Content\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    request
}

fn read_request(stream: &mut TcpStream) -> String {
    let (mut text, mut part) = (Vec::new(), [0; 4_096]);
    loop {
        let read = stream.read(&mut part).unwrap();
        text.extend_from_slice(&part[..read]);
        let all = String::from_utf8_lossy(&text).into_owned();
        let Some((head, body)) = all.split_once("\r\n\r\n") else {
            continue;
        };
        let length = head
            .lines()
            .find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok())
            .unwrap_or(0);
        if body.len() >= length {
            return all;
        }
    }
}

#[test]
fn a_server_tells_a_real_receiver_of_a_push() {
    let receiver = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = receiver.local_addr().unwrap();
    let folder = repository(&format!(
        "on: [{{ event: git.push, do: notify, name: told }}]\nnotify: [{{ webhook: \"http://{address}/in\", events: [alert.*] }}]\n"
    ));
    let root = folder.path();
    let args = ["--listen", "127.0.0.1:0", "--webhooks-allow", "http,private"];
    let mut server = Server::start(root, &args);
    let line = server.line();
    let url = line.strip_prefix("everloop listening on ").unwrap().to_owned();
    ask(root, &url, None, &["run", "--on-push"]).ok();
    let request = receive(&receiver);
    assert!(request.starts_with("POST /in HTTP/1.1\r\n"), "{request}");
    assert!(request.contains("\"type\":\"trigger.notify\""), "{request}");
    assert!(request.contains("\"trigger\":\"told\""), "{request}");
    assert!(
        request.to_lowercase().contains("\r\nwebhook-id: msg_"),
        "{request}"
    );
    // The answer arrives a moment before it is written down.
    let told = (0..1_000).any(|_| {
        let list = ask(root, &url, None, &["monitor", "deliveries", "--json"])
            .ok()
            .json();
        list[0]["state"] == "delivered"
    });
    assert!(told, "the delivery is never written down");
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn webhooks_that_can_not_be_allowed_are_wrong_usage() {
    let folder = repository("");
    let output = command(folder.path())
        .args([
            "server",
            "--listen",
            "127.0.0.1:0",
            "--webhooks-allow",
            "everything",
        ])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2), "{output:?}");
}
