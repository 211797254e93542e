//! The server as a process: one line with its address, the same commands over HTTP, and a quiet end.

use crate::program::{Ended, command, small_project};
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

/// The server as a process.
pub struct Server {
    child: Child,
    lines: std::io::Lines<BufReader<std::process::ChildStdout>>,
}

impl Server {
    pub fn start(folder: &Path, args: &[&str]) -> Self {
        Self::start_as(folder, &[&["server"], args].concat())
    }

    /// Any command that goes on until it is told to stop.
    pub fn start_as(folder: &Path, args: &[&str]) -> Self {
        let mut child = command(folder)
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        Self { child, lines }
    }

    pub fn line(&mut self) -> String {
        self.lines.next().unwrap().unwrap()
    }

    /// Asks it to end, as a service manager does.
    pub fn stop(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &pid])
                .status()
                .unwrap()
                .success()
        );
        self.child.wait().unwrap().code()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Only when a test failed before it stopped the server.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn ask(folder: &Path, url: &str, token: Option<&str>, args: &[&str]) -> Ended {
    let mut command = command(folder);
    command.args(args).env("EVERLOOP_URL", url);
    if let Some(token) = token {
        command.env("EVERLOOP_TOKEN", token);
    }
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn commands_ask_the_server_from_anywhere() {
    let (folder, root) = small_project();
    let elsewhere = folder.path();
    let mut server = Server::start(&root, &["--listen", "127.0.0.1:0"]);
    let line = server.line();
    let url = line.strip_prefix("everloop listening on ").unwrap().to_owned();
    assert!(url.starts_with("http://127.0.0.1:"), "{url}");
    ask(elsewhere, &url, None, &["data", "snapshot"]).ok();
    let run = ask(elsewhere, &url, None, &["run", "--json"]).ok().json();
    assert_eq!(run["run"]["state"], "succeeded");
    assert_eq!(
        ask(elsewhere, &url, None, &["status", "--json"]).ok().json()["project"],
        "shop"
    );
    let log = ask(elsewhere, &url, None, &["log", "--json"]).ok().json();
    assert!(
        log.as_array()
            .unwrap()
            .iter()
            .any(|event| event["kind"] == "dataset.version"),
        "{log}"
    );
    assert_eq!(server.stop(), Some(0));
}

#[test]
fn other_addresses_need_the_token_that_is_printed_once() {
    let (_folder, root) = small_project();
    let args = ["--listen", "0.0.0.0:0", "--insecure"];
    let mut server = Server::start(&root, &args);
    let line = server.line();
    let secret = line
        .strip_prefix("everloop admin token, shown only now: ")
        .unwrap()
        .to_owned();
    let url = server
        .line()
        .replace("everloop listening on ", "")
        .replace("0.0.0.0", "127.0.0.1");
    let nobody = ask(&root, &url, None, &["status"]);
    assert_eq!(nobody.code, 1, "{nobody:#?}");
    ask(&root, &url, Some(&secret), &["status"]).ok();
    let created = ask(
        &root,
        &url,
        Some(&secret),
        &["admin", "token", "create", "ci", "--role", "viewer"],
    )
    .ok();
    let viewer = created.stdout.trim().to_owned();
    ask(&root, &url, Some(&viewer), &["status"]).ok();
    assert_eq!(
        ask(&root, &url, Some(&viewer), &["admin", "token", "list"]).code,
        1
    );
    assert_eq!(server.stop(), Some(0));
    let mut again = Server::start(&root, &args);
    assert!(
        again.line().starts_with("everloop listening on "),
        "the secret is never shown again"
    );
    assert_eq!(again.stop(), Some(0));
}
