//! Mistakes: where, what, how to mend it, and an exit code that scripts can lean on.

use crate::program::{command, everloop, small_project};
use std::process::Stdio;

#[test]
fn unknown_commands_and_flags_are_wrong_usage() {
    let folder = tempfile::tempdir().unwrap();
    for args in [
        &["runn"][..],
        &["status", "--jsom"],
        &["data"],
        &["model", "promote"],
    ] {
        let ended = everloop(folder.path(), args);
        assert_eq!(ended.code, 2, "{args:?} {ended:#?}");
        assert!(ended.stdout.is_empty() && !ended.stderr.is_empty(), "{ended:#?}");
    }
    assert!(everloop(folder.path(), &["runn"]).stderr.contains("'run'"));
}

#[test]
fn a_wrong_project_file_is_told_with_its_line() {
    let (_folder, root) = small_project();
    let text = std::fs::read_to_string(root.join("everloop.yaml")).unwrap();
    std::fs::write(root.join("everloop.yaml"), text.replace("stages:", "stagse:")).unwrap();
    let ended = everloop(&root, &["run"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    insta::assert_snapshot!(ended.stderr.trim_end(), @r#"
    error: the project file is not valid
    everloop.yaml:8:1: unknown key "stagse"
      found: "stagse" in the project
      expected: one of "project", "description", "datasets", "params", "stages", "model", "serve", "monitor", "on", "notify"
      hint: did you mean "stages"?
    "#);
}

#[test]
fn a_wrong_setting_is_told_with_its_line() {
    let (_folder, root) = small_project();
    std::fs::create_dir_all(root.join(".everloop")).unwrap();
    std::fs::write(root.join(".everloop/config.toml"), "# mine\nmemroy = \"1GiB\"\n").unwrap();
    let ended = everloop(&root, &["status"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.stderr.contains("config.toml:2"), "{ended:#?}");
    assert!(ended.stderr.contains("did you mean \"memory\"?"), "{ended:#?}");
}

#[test]
fn without_a_project_the_way_to_one_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let ended = everloop(folder.path(), &["status"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.stderr.contains("everloop init"), "{ended:#?}");
    assert!(!folder.path().join(".everloop").exists());
}

#[test]
fn a_server_that_is_not_there_is_a_failure() {
    let folder = tempfile::tempdir().unwrap();
    // Bound and not listening: nobody answers here, and nobody else can take the port meanwhile.
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", socket.local_addr().unwrap());
    drop(socket);
    let output = command(folder.path())
        .arg("status")
        .env("EVERLOOP_URL", &url)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.contains(&format!("can't reach {url}")), "{text}");
}

#[test]
fn other_machines_are_not_served_in_the_clear() {
    let (_folder, root) = small_project();
    let ended = everloop(&root, &["server", "--listen", "0.0.0.0:0"]);
    assert_eq!(ended.code, 2, "{ended:#?}");
    assert!(ended.stderr.contains("--insecure"), "{ended:#?}");
}

#[test]
fn a_closed_pipe_ends_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut child = command(folder.path())
        .arg("schema")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(
        output.stderr.is_empty(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}
