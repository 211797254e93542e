//! The server as a process: started, waited for, killed.

use anyhow::Context;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::OpenOptions;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use crate::args::Args;
use crate::random::Chance;
use crate::workspace::Workspace;

/// How long a start may take at most before the harness gives up.
const STARTS_WITHIN: Duration = Duration::from_secs(120);

/// Words that a log should never hold.
const ALARMS: [&str; 3] = ["panicked at", "ended in an odd way", "internal error"];

/// How to start it.
#[derive(Debug, Clone)]
pub struct Program {
    file: PathBuf,
    root: PathBuf,
    log: PathBuf,
    variables: Vec<(String, String)>,
}

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    started: Instant,
    pub url: String,
}

/// What is killed.
#[derive(Debug, Clone, Copy)]
pub enum Victims {
    /// The server alone: the processes of its stages live on.
    Server,
    /// All of them, as when a container ends.
    Everyone,
}

impl Program {
    pub fn new(
        args: &Args,
        workspace: &Workspace,
        folder: &Path,
        more: &[(String, String)],
    ) -> anyhow::Result<Self> {
        let mut variables = vec![
            ("EVERLOOP_HOME".to_owned(), workspace.home.display().to_string()),
            ("EVERLOOP_LISTEN".to_owned(), "127.0.0.1:0".to_owned()),
            // A dead server's work is taken over soon, so that kills find more of it under way.
            ("EVERLOOP_LEASE".to_owned(), "1s".to_owned()),
        ];
        variables.extend_from_slice(more);
        Ok(Self {
            file: args.program()?,
            root: workspace.root.clone(),
            log: folder.join("server.log"),
            variables,
        })
    }

    fn command(&self) -> Command {
        // Where files may not grow, the signal would kill the server before its write could fail.
        let mut command = Command::new("sh");
        command
            .args(["-c", "trap '' XFSZ; exec \"$0\" \"$@\""])
            .arg(&self.file)
            .current_dir(&self.root)
            .env_remove("EVERLOOP_URL")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .process_group(0)
            .kill_on_drop(true);
        command
    }

    /// Starts a server, without waiting for it.
    pub fn spawn(&self) -> anyhow::Result<Child> {
        let log = OpenOptions::new().create(true).append(true).open(&self.log)?;
        self.command()
            .arg("server")
            .stdout(Stdio::piped())
            .stderr(log)
            .spawn()
            .with_context(|| format!("can't start {}", self.file.display()))
    }

    /// Starts a server and waits until it says where it answers.
    pub async fn start(&self) -> anyhow::Result<Server> {
        let started = Instant::now();
        let mut child = self.spawn()?;
        let out = child.stdout.take().context("the server's output is piped")?;
        let mut lines = BufReader::new(out).lines();
        let line = tokio::time::timeout(STARTS_WITHIN, lines.next_line()).await;
        let line = line.context("the server does not start")??;
        let url = line
            .as_deref()
            .and_then(|line| line.strip_prefix("everloop listening on "));
        let url =
            url.with_context(|| format!("the server ended instead of starting: see {}", self.log.display()))?;
        Ok(Server {
            url: url.to_owned(),
            child,
            started,
        })
    }

    /// Starts a server and kills it as soon as it answers; when it ends by itself, its exit code and last words.
    ///
    /// # Errors
    /// When it can't be started at all.
    pub async fn try_start(&self) -> anyhow::Result<(Option<i32>, String)> {
        let mut child = self
            .command()
            .arg("server")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let out = child.stdout.take().context("the server's output is piped")?;
        let line = BufReader::new(out).lines().next_line().await?;
        if line.is_some() {
            child.start_kill()?;
            child.wait().await?;
            return Ok((None, String::new()));
        }
        let output = child.wait_with_output().await?;
        Ok((
            output.status.code(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        ))
    }

    /// Runs a command of the program to its end; answers its exit code and what it printed.
    pub async fn run(&self, args: &[&str]) -> anyhow::Result<(Option<i32>, String)> {
        let output = self.command().args(args).output().await?;
        let mut said = String::from_utf8_lossy(&output.stdout).into_owned();
        said.push_str(&String::from_utf8_lossy(&output.stderr));
        Ok((output.status.code(), said))
    }

    /// Lines of the server's log that no server should write.
    pub fn alarms(&self) -> Vec<String> {
        let text = std::fs::read_to_string(&self.log).unwrap_or_default();
        let is_alarm = |line: &&str| ALARMS.iter().any(|alarm| line.contains(alarm));
        text.lines().filter(is_alarm).map(ToOwned::to_owned).collect()
    }
}

impl Server {
    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_default()
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Ends it as a power button does.
    pub async fn kill(self, victims: Victims) -> anyhow::Result<()> {
        end(self.child, victims).await
    }

    /// Asks it to end, as a service manager does.
    pub async fn stop(mut self) -> anyhow::Result<()> {
        let id = self.child.id().context("the server ended by itself")?;
        kill(Pid::from_raw(i32::try_from(id)?), Signal::SIGTERM)?;
        let ended = tokio::time::timeout(STARTS_WITHIN, self.child.wait()).await;
        let status = ended.context("the server does not end")??;
        anyhow::ensure!(status.success(), "the server ended badly: {status}");
        Ok(())
    }
}

impl Victims {
    pub fn any(chance: &mut Chance) -> Self {
        match chance.percent(70) {
            true => Self::Server,
            false => Self::Everyone,
        }
    }
}

/// Kills a server and waits until it is gone.
pub async fn end(mut child: Child, victims: Victims) -> anyhow::Result<()> {
    let id = child.id().context("the server ended by itself")?;
    let descendants = match victims {
        Victims::Server => Vec::new(),
        Victims::Everyone => descendants(id),
    };
    child.start_kill()?;
    for process in descendants {
        // It may have ended meanwhile.
        let _ = kill(Pid::from_raw(process), Signal::SIGKILL);
    }
    child.wait().await?;
    Ok(())
}

/// The processes that `parent` started, and those they started.
fn descendants(parent: u32) -> Vec<i32> {
    let mut parents: Vec<(i32, i32)> = Vec::new();
    for entry in std::fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(stat) = std::fs::read_to_string(entry.path().join("stat")) else {
            continue;
        };
        // The name in brackets may hold spaces.
        let after = stat.rsplit(") ").next().unwrap_or_default();
        let above = after.split(' ').nth(1).and_then(|text| text.parse().ok());
        let own = entry.file_name().to_str().and_then(|name| name.parse().ok());
        parents.extend(own.zip(above));
    }
    let mut found = vec![i32::try_from(parent).unwrap_or_default()];
    let mut next = 0;
    while next < found.len() {
        let above = found[next];
        found.extend(parents.iter().filter(|(_, up)| *up == above).map(|(own, _)| *own));
        next += 1;
    }
    found.split_off(1)
}
