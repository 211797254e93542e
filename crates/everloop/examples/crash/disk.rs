//! The home's disk runs full while clients ask for everything: each gets a clear no, readers go on, nothing that was
//! acknowledged is lost, and when there is room again the same server goes on.
//!
//! The disk is a small one in memory, mounted in a namespace of this process. Where nothing may be mounted, the
//! server's files may not grow any more instead, which is the same to whoever writes.

use anyhow::Context;
use std::collections::BTreeMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;

use crate::args::Args;
use crate::kills::{self, Place, Stores};
use crate::load;
use crate::look;
use crate::random::Chance;
use crate::server::{Program, Server, Victims};
use crate::shared::Shared;
use crate::workspace::Workspace;

/// Ways to get a namespace in which something may be mounted.
const NAMESPACES: [&[&str]; 2] = [&["-m"], &["-rm"]];
const SIZE: &str = "160m";
/// How long the clients may take to run into the full disk, and out of it.
const WITHIN: Duration = Duration::from_secs(120);

/// Requests that write, by the names they are counted under; of some, several kinds write the same.
const WRITERS: [&[&str]; 4] = [
    &["predict"],
    &["feedback"],
    &["pipeline"],
    &["retrain", "promote", "rollback", "snapshot"],
];

/// Runs it; answers what is wrong.
///
/// # Errors
/// When the harness itself can't go on.
pub async fn run(args: &Args) -> anyhow::Result<Vec<String>> {
    if let Some(home) = args.on.clone() {
        return fill(args, &home, |_| Disk::Small(home.join("ballast"))).await;
    }
    let home = tempfile::Builder::new().prefix("everloop-disk.").tempdir()?;
    for namespace in NAMESPACES {
        if may_mount(namespace).await {
            return on_small_disk(namespace, home.path()).await;
        }
    }
    println!("nothing may be mounted here: the server's files are kept from growing instead");
    fill(args, home.path(), |server| Disk::Limited(server.id())).await
}

async fn may_mount(namespace: &[&str]) -> bool {
    let tried = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", "mount -t tmpfs -o size=64k none /mnt"])
        .stderr(Stdio::null())
        .status()
        .await;
    tried.is_ok_and(|status| status.success())
}

/// Runs this program again, with a small disk at `home`.
async fn on_small_disk(namespace: &[&str], home: &Path) -> anyhow::Result<Vec<String>> {
    let mount = format!("mount -t tmpfs -o size={SIZE} none \"$0\" && exec \"$@\" --on \"$0\"");
    let status = Command::new("unshare")
        .args(namespace)
        .args(["sh", "-c", &mount])
        .arg(home)
        .arg(std::env::current_exe()?)
        .args(std::env::args_os().skip(1))
        .status()
        .await?;
    match status.code() {
        Some(0) => Ok(Vec::new()),
        Some(1) => Ok(vec!["the run on the small disk, as told above".to_owned()]),
        other => anyhow::bail!("the run on the small disk ended with {other:?}"),
    }
}

/// What can be filled.
enum Disk {
    /// A small one, by a file in the way.
    Small(PathBuf),
    /// Only files of the process with this id: none may grow.
    Limited(u32),
}

impl Disk {
    async fn fill(&self) -> anyhow::Result<()> {
        match self {
            Self::Small(ballast) => {
                let mut file = OpenOptions::new().create(true).append(true).open(ballast)?;
                let block = vec![0_u8; 16 << 10];
                while file.write_all(&block).is_ok() {}
                Ok(())
            }
            Self::Limited(process) => limit(*process, "4096:").await,
        }
    }

    async fn make_room(&self) -> anyhow::Result<()> {
        match self {
            Self::Small(ballast) => Ok(std::fs::remove_file(ballast)?),
            Self::Limited(process) => limit(*process, "unlimited:").await,
        }
    }
}

async fn limit(process: u32, size: &str) -> anyhow::Result<()> {
    let arguments = ["--pid", &process.to_string(), &format!("--fsize={size}")].map(ToOwned::to_owned);
    let status = Command::new("prlimit").args(arguments).status().await;
    let status = status.context("neither a small disk nor prlimit (util-linux) is here")?;
    anyhow::ensure!(status.success(), "prlimit ended with {status}");
    Ok(())
}

async fn fill(args: &Args, home: &Path, disk_of: impl Fn(&Server) -> Disk) -> anyhow::Result<Vec<String>> {
    let place = Place::new(args)?;
    let workspace = Workspace::make(&place.path, home, &args.flights()).await?;
    let stores = Stores::new(args, home);
    let program = Program::new(args, &workspace, &place.path, &stores.variables())?;
    let shared = Arc::new(Shared::new(workspace, args.seed)?);
    let mut chance = Chance::new(args.seed, 0);
    println!(
        "seed {}, a full disk at {}, in {}",
        args.seed,
        home.display(),
        place.path.display()
    );

    let mut server = program.start().await?;
    shared.listening_at(&server.url);
    kills::first_model(&shared).await?;
    let mut clients = load::start(&shared);
    until_done(&shared).await;

    let disk = disk_of(&server);
    run_into(&shared, &disk, &mut chance).await?;
    anyhow::ensure!(server.is_alive(), "the server ended by itself");
    until_done(&shared).await;
    println!("there is room again, and every kind of request is done again");

    // Once more, and this time it dies there.
    let disk = disk_of(&server);
    shared.set_disk_full(true);
    disk.fill().await?;
    tokio::time::sleep(Duration::from_millis(500)).await;
    server.kill(Victims::Server).await?;
    if let Disk::Small(_) = &disk {
        start_without_room(&program).await?;
        disk.make_room().await?;
    }
    let server = program.start().await?;
    shared.listening_at(&server.url);
    shared.set_disk_full(false);
    look::look(&shared, &mut chance).await;

    kills::wind_down(&shared).await?;
    shared.stop.cancel();
    while clients.join_next().await.is_some() {}
    server.stop().await?;
    kills::finish(&shared, &program, &stores).await?;
    place.leave(&shared);
    let wrong = std::mem::take(&mut shared.journal().wrong);
    Ok(wrong)
}

/// Fills the disk until every kind of writer has heard so, and looks around meanwhile.
async fn run_into(shared: &Shared, disk: &Disk, chance: &mut Chance) -> anyhow::Result<()> {
    shared.set_disk_full(true);
    let began = Instant::now();
    loop {
        // What readers and writers free is taken at once.
        disk.fill().await?;
        let silent = without(shared, |name| format!("{name}, 507"), &BTreeMap::new());
        if silent.is_empty() {
            break;
        }
        if began.elapsed() > WITHIN {
            shared.wrong(format!("no clear no was heard on a full disk by {silent:?}"));
            break;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    println!(
        "the disk is full, and every kind of request was told so after {:?}",
        began.elapsed()
    );
    for _ in 0..3 {
        disk.fill().await?;
        look::look(shared, chance).await;
    }
    disk.make_room().await?;
    // Answers of a moment ago may still be on their way.
    tokio::time::sleep(Duration::from_secs(1)).await;
    shared.set_disk_full(false);
    Ok(())
}

/// Waits until every kind of request has been done once more.
async fn until_done(shared: &Shared) {
    let before = shared.journal().counts.clone();
    let began = Instant::now();
    loop {
        let silent = without(shared, ToOwned::to_owned, &before);
        if silent.is_empty() {
            return;
        }
        if began.elapsed() > WITHIN {
            shared.wrong(format!("these are not done although there is room: {silent:?}"));
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Kinds of writers that were not counted, as `count_of` names the count, since `before`.
fn without(
    shared: &Shared,
    count_of: impl Fn(&str) -> String,
    before: &BTreeMap<String, u64>,
) -> Vec<&'static str> {
    let counts = shared.journal().counts.clone();
    let is_counted = |name: &&&str| {
        let name = count_of(name);
        counts.get(&name) > before.get(&name)
    };
    let is_silent = |names: &&&[&'static str]| !names.iter().any(|name| is_counted(&name));
    WRITERS.iter().filter(is_silent).map(|names| names[0]).collect()
}

/// A server that can't start for want of room says so.
async fn start_without_room(program: &Program) -> anyhow::Result<()> {
    let (code, said) = program.try_start().await?;
    let is_clear = said.contains("hint: free") && !said.contains("internal error");
    anyhow::ensure!(
        code.is_none() || is_clear,
        "a server without room ended with {code:?} and said: {said}"
    );
    match code {
        None => println!("it starts on a full disk too"),
        Some(_) => println!("without room it does not start: {}", said.trim()),
    }
    Ok(())
}
