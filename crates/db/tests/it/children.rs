//! Runs a part of this test program as another process, which can be killed.

use std::process::{Child, Command, Stdio};

/// Starts the ignored test `name` of this program as a child, told by variables what to do.
pub fn start(name: &str, settings: &[(&str, &str)]) -> Child {
    prepare(Command::new(std::env::current_exe().unwrap()), name, settings)
        .spawn()
        .unwrap()
}

/// As [`start`], from a shell that runs `before` first.
pub fn start_after(before: &str, name: &str, settings: &[(&str, &str)]) -> Child {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("{before}; exec \"$0\" \"$@\"")]);
    shell.arg(std::env::current_exe().unwrap());
    prepare(shell, name, settings).spawn().unwrap()
}

fn prepare(mut command: Command, name: &str, settings: &[(&str, &str)]) -> Command {
    command
        .args([name, "--exact", "--ignored", "--nocapture"])
        .envs(settings.iter().copied())
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    command
}

/// What a child was told; `None` in a run that is no child.
#[expect(clippy::disallowed_methods, reason = "how a parent tells its child")]
pub fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}
