//! Where a run's figures come from beside its data: the code, the packages, the machine.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use everloop_core::Hash;
use everloop_objects::Objects;
use everloop_tracking::provenance::{Code, Environment};
use tokio::process::Command;

/// How long a helper program may take. Without its answer the run goes on, knowing less.
const PATIENCE: Duration = Duration::from_secs(10);

/// The largest difference from the commit that is kept.
const LARGEST_DIFF: usize = 64 << 20;

/// Files that pin the packages of a project, the most exact first.
const LOCK_FILES: [&str; 9] = [
    "uv.lock",
    "poetry.lock",
    "pdm.lock",
    "Pipfile.lock",
    "pixi.lock",
    "conda-lock.yml",
    "requirements.lock",
    "requirements.txt",
    "environment.yml",
];

/// What all stages of a run have in common.
#[derive(Debug, Clone, Default)]
pub(crate) struct Surroundings {
    pub code: Option<Code>,
    pub environment: Environment,
}

/// Looks around in `root`. What can't be found out is left out.
pub(crate) async fn look(
    root: PathBuf,
    env: Arc<BTreeMap<String, String>>,
    asks_python: bool,
    objects: Objects,
) -> Surroundings {
    let tools = Tools {
        root: &root,
        env: &env,
    };
    let (code, python, package_lock) = tokio::join!(
        tools.code(&objects),
        async {
            match asks_python {
                true => tools.python().await,
                false => None,
            }
        },
        package_lock(&root, &objects),
    );
    Surroundings {
        code,
        environment: Environment {
            python,
            package_lock,
            image: None,
            os: Some(operating_system()),
            cpu: Some(processor()),
            everloop: Some(env!("CARGO_PKG_VERSION").to_owned()),
        },
    }
}

struct Tools<'a> {
    root: &'a Path,
    env: &'a BTreeMap<String, String>,
}

impl Tools<'_> {
    async fn code(&self, objects: &Objects) -> Option<Code> {
        // Most folders that are no repository are told apart without starting a program.
        self.root
            .ancestors()
            .find(|folder| folder.join(".git").exists())?;
        let commit = self.git(&["rev-parse", "--verify", "HEAD"]).await?;
        let commit = String::from_utf8(commit).ok()?.trim().to_owned();
        let (branch, repo, status) = tokio::join!(
            self.git(&["symbolic-ref", "--short", "-q", "HEAD"]),
            self.git(&["config", "--get", "remote.origin.url"]),
            self.git(&["status", "--porcelain", "--untracked-files=normal"]),
        );
        let line = |bytes: Option<Vec<u8>>| {
            let text = String::from_utf8(bytes?).ok()?.trim().to_owned();
            (!text.is_empty()).then_some(text)
        };
        let dirty = status.is_some_and(|status| !status.is_empty());
        let diff = match dirty {
            true => self.diff(objects).await,
            false => None,
        };
        Some(Code {
            repo: line(repo).map(|address| without_password(&address)),
            commit,
            branch: line(branch),
            dirty,
            diff,
        })
    }

    /// The difference of tracked files from the commit, as an object.
    async fn diff(&self, objects: &Objects) -> Option<Hash> {
        let diff = self
            .git(&["diff", "--no-ext-diff", "--no-color", "--binary", "HEAD"])
            .await?;
        if diff.is_empty() || diff.len() > LARGEST_DIFF {
            return None;
        }
        objects
            .put_bytes(Bytes::from(diff))
            .await
            .ok()
            .map(|stored| stored.hash)
    }

    async fn git(&self, arguments: &[&str]) -> Option<Vec<u8>> {
        self.answer("git", arguments).await
    }

    async fn python(&self) -> Option<String> {
        let version = match self.answer("python", &["--version"]).await {
            Some(version) => version,
            None => self.answer("python3", &["--version"]).await?,
        };
        let text = String::from_utf8(version).ok()?;
        Some(text.trim().trim_start_matches("Python ").to_owned())
    }

    /// What a program prints when it ends well.
    async fn answer(&self, program: &str, arguments: &[&str]) -> Option<Vec<u8>> {
        let running = Command::new(program)
            .args(arguments)
            .current_dir(self.root)
            .env_clear()
            .envs(self.env)
            .env("GIT_OPTIONAL_LOCKS", "0")
            .env("GIT_TERMINAL_PROMPT", "0")
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, running).await.ok()?.ok()?;
        output.status.success().then_some(output.stdout)
    }
}

async fn package_lock(root: &Path, objects: &Objects) -> Option<Hash> {
    let found = LOCK_FILES
        .iter()
        .map(|name| root.join(name))
        .find(|path| path.is_file())?;
    objects.put_file(&found).await.ok().map(|stored| stored.hash)
}

fn operating_system() -> String {
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    format!("{} {}", std::env::consts::OS, kernel.trim())
        .trim()
        .to_owned()
}

fn processor() -> String {
    let count = std::thread::available_parallelism().map_or(1, std::num::NonZeroUsize::get);
    format!("{} x{count}", std::env::consts::ARCH)
}

/// An address of a repository may hold a password or token: `https://user:secret@host/x`.
fn without_password(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rfind('@') {
        Some(at) => format!("{scheme}://{}", &rest[at + 1..]),
        None => address.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_lose_their_secrets() {
        assert_eq!(
            without_password("https://ada:s3cret@host/x@y"),
            "https://host/x@y"
        );
        assert_eq!(without_password("https://host/x"), "https://host/x");
        assert_eq!(without_password("git@host:x/y.git"), "git@host:x/y.git");
    }
}
