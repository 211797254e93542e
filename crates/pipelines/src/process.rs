//! One command line of a stage: its own process group, its output to the log, and an end to all of it.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use everloop_core::ByteSize;
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use std::os::unix::process::ExitStatusExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use crate::Failure;
use crate::logs::LogFile;

/// A command line to run.
pub(crate) struct Line<'a> {
    pub text: &'a str,
    pub folder: &'a Path,
    /// All variables it sees.
    pub env: &'a BTreeMap<String, String>,
    pub memory: Option<ByteSize>,
}

/// What ends a command before its time.
pub(crate) struct Limits<'a> {
    pub deadline: Option<(Instant, Duration)>,
    pub cancel: &'a CancellationToken,
    pub stop: &'a CancellationToken,
    /// How long its processes may take to end when asked to.
    pub grace: Duration,
}

/// The size of one read from a command's output.
const READ: usize = 64 << 10;

/// Kills what is left of a process group when the one who waits for it goes away.
struct Group {
    id: Pid,
    is_over: bool,
}

impl Group {
    fn signal(&self, signal: Signal) {
        // It may have ended already.
        let _ = killpg(self.id, signal);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        if !self.is_over {
            self.signal(Signal::SIGKILL);
        }
    }
}

/// Runs the line to its end. When it ends, so does everything of its group that it left behind.
///
/// # Errors
/// When it can't be started, ends with another code than 0, or is ended.
pub(crate) async fn run(line: &Line<'_>, limits: &Limits<'_>, log: &mut LogFile) -> Result<(), Failure> {
    let (mut child, output) = start(line).map_err(Failure::Spawn)?;
    let id = child.id().and_then(|id| i32::try_from(id).ok());
    let mut group = Group {
        id: Pid::from_raw(id.expect("a child that was not waited for has an id")),
        is_over: false,
    };
    let ended = watch(&mut child, &output, limits, log).await;
    let ended = match ended {
        Ok(status) => Ok(status),
        Err(why) => {
            end(&mut child, &group, &output, limits.grace, log).await;
            mark_processes(line.env).kill().await;
            Err(why)
        }
    };
    // Leftovers of the group would write on after the stage is recorded as done.
    group.signal(Signal::SIGKILL);
    group.is_over = true;
    drain(&output, log)?;
    match ended? {
        status if status.success() => Ok(()),
        status => Err(failure_of(status)),
    }
}

fn start(line: &Line<'_>) -> std::io::Result<(Child, pipe::Receiver)> {
    let (reader, writer) = std::io::pipe()?;
    let mut command = Command::new("/bin/sh");
    match line.memory {
        None => command.arg("-c").arg(line.text),
        // The limit is set by the shell, so that we need not run code between fork and exec.
        Some(memory) => command
            .arg("-c")
            .arg(format!(
                "ulimit -d {} && exec /bin/sh -c \"$1\"",
                memory.0.div_ceil(1024)
            ))
            .arg("sh")
            .arg(line.text),
    };
    command
        .current_dir(line.folder)
        .env_clear()
        .envs(line.env)
        .stdin(Stdio::null())
        .stdout(writer.try_clone()?)
        .stderr(writer)
        .process_group(0)
        .kill_on_drop(true);
    let child = command.spawn()?;
    // Our copies of the pipe's end go with the command; the end of output is seen then.
    drop(command);
    let output = pipe::Receiver::from_owned_fd(reader.into())?;
    Ok((child, output))
}

/// Waits for the end of the child, or for a reason to end it.
async fn watch(
    child: &mut Child,
    output: &pipe::Receiver,
    limits: &Limits<'_>,
    log: &mut LogFile,
) -> Result<ExitStatus, Failure> {
    let mut is_open = true;
    let deadline = limits.deadline.map(|(at, _)| at);
    loop {
        tokio::select! {
            status = child.wait() => return status.map_err(Failure::Spawn),
            ready = output.readable(), if is_open => {
                ready.map_err(log_failure)?;
                is_open = read_some(output, log)?;
            }
            () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                let after = limits.deadline.map(|(_, after)| after).unwrap_or_default();
                return Err(Failure::Timeout(after));
            }
            () = limits.cancel.cancelled() => return Err(Failure::Cancelled),
            () = limits.stop.cancelled() => return Err(Failure::Stopped),
        }
    }
}

/// Asks the group to end, then ends it.
async fn end(child: &mut Child, group: &Group, output: &pipe::Receiver, grace: Duration, log: &mut LogFile) {
    group.signal(Signal::SIGTERM);
    let until = Instant::now() + grace;
    let mut is_open = true;
    loop {
        tokio::select! {
            _ = child.wait() => break,
            ready = output.readable(), if is_open => {
                is_open = ready.is_ok() && read_some(output, log).unwrap_or(false);
            }
            () = sleep_until(until) => break,
        }
    }
    group.signal(Signal::SIGKILL);
    if let Err(error) = child.wait().await {
        tracing::warn!(%error, "a stage's process can't be waited for");
    }
}

/// Reads once; answers whether more may come.
fn read_some(output: &pipe::Receiver, log: &mut LogFile) -> Result<bool, Failure> {
    let mut buffer = [0; READ];
    match output.try_read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(count) => log.write(&buffer[..count]).map(|()| true).map_err(log_failure),
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(true),
        Err(error) => Err(log_failure(error)),
    }
}

/// Reads what is there, without waiting for processes that left the group and hold the pipe.
fn drain(output: &pipe::Receiver, log: &mut LogFile) -> Result<(), Failure> {
    let mut buffer = [0; READ];
    // A process that writes for ever must not keep us.
    for _ in 0..64 {
        match output.try_read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => log.write(&buffer[..count]).map_err(log_failure)?,
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => break,
            Err(error) => return Err(log_failure(error)),
        }
    }
    Ok(())
}

fn log_failure(source: std::io::Error) -> Failure {
    Failure::Io {
        action: "keep the output in",
        path: "the stage's log".into(),
        source,
    }
}

fn failure_of(status: ExitStatus) -> Failure {
    match (status.code(), status.signal()) {
        (Some(code), _) => Failure::Exit(code),
        (None, signal) => {
            let signal = signal.unwrap_or_default();
            let name = Signal::try_from(signal).map_or("unknown", Signal::as_str);
            Failure::Signal { signal, name }
        }
    }
}

/// The variables that mark a stage's processes.
pub(crate) const RUN_VARIABLE: &str = "EVERLOOP_RUN";
pub(crate) const STAGE_VARIABLE: &str = "EVERLOOP_STAGE";

/// How often processes are looked for while some are found, and the pause in between.
const ROUNDS: u32 = 200;
const BETWEEN_ROUNDS: Duration = Duration::from_millis(10);

/// Processes that carry certain variables, wherever they went: also those that left their group.
pub(crate) struct Marked {
    /// `NAME=value`, all of them.
    marks: Vec<Vec<u8>>,
}

/// The processes of the same stage of the same run as `env`.
fn mark_processes(env: &BTreeMap<String, String>) -> Marked {
    let mark = |name: &str| env.get(name).map(|value| format!("{name}={value}").into_bytes());
    Marked {
        marks: [RUN_VARIABLE, STAGE_VARIABLE]
            .iter()
            .filter_map(|name| mark(name))
            .collect(),
    }
}

impl Marked {
    /// The processes of all stages of a run.
    pub fn of_run(run: &everloop_core::PipelineRunId) -> Self {
        Self {
            marks: vec![format!("{RUN_VARIABLE}={run}").into_bytes()],
        }
    }

    /// Kills them, until none is found. Reads `/proc`, and does nothing where there is none.
    pub async fn kill(&self) {
        if self.marks.is_empty() {
            return;
        }
        // Each round may find children that were born during the last, and some that are still dying.
        for _ in 0..ROUNDS {
            if self.kill_once() == 0 {
                return;
            }
            tokio::time::sleep(BETWEEN_ROUNDS).await;
        }
        tracing::warn!("processes of a stage go on being born while they are killed");
    }

    fn kill_once(&self) -> usize {
        let Ok(entries) = std::fs::read_dir("/proc") else {
            return 0;
        };
        let own = i32::try_from(std::process::id()).unwrap_or(i32::MAX);
        let mut killed = 0;
        for entry in entries.flatten() {
            let name = entry.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            // An empty environment is that of a process that has ended and is not waited for yet.
            let is_ours = std::fs::read(entry.path().join("environ")).is_ok_and(|env| self.is_in(&env));
            if id != own && is_ours && nix::sys::signal::kill(Pid::from_raw(id), Signal::SIGKILL).is_ok() {
                killed += 1;
            }
        }
        killed
    }

    fn is_in(&self, environ: &[u8]) -> bool {
        let variables: Vec<&[u8]> = environ.split(|&byte| byte == 0).collect();
        self.marks.iter().all(|mark| variables.contains(&mark.as_slice()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_whole_variables() {
        let env = BTreeMap::from([
            ("EVERLOOP_RUN".to_owned(), "7".to_owned()),
            ("EVERLOOP_STAGE".to_owned(), "train".to_owned()),
        ]);
        let marked = mark_processes(&env);
        assert!(marked.is_in(b"A=1\0EVERLOOP_RUN=7\0EVERLOOP_STAGE=train\0"));
        assert!(!marked.is_in(b"EVERLOOP_RUN=77\0EVERLOOP_STAGE=train\0"));
        assert!(!marked.is_in(b"EVERLOOP_RUN=7\0EVERLOOP_STAGE=trainer\0"));
        assert!(!marked.is_in(b""));
    }
}
