//! Kill, restart, look; at the end wind down and audit.

use anyhow::Context;
use everloop_core::{Clock, Ids};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::args::Args;
use crate::audit;
use crate::client::Answer;
use crate::load;
use crate::look;
use crate::random::Chance;
use crate::server::{self, Program, Server, Victims};
use crate::shared::Shared;
use crate::workspace::Workspace;

/// How long everything that was asked for may take to come to its end.
const SETTLES_WITHIN: Duration = Duration::from_secs(240);

/// Runs the kills; answers what is wrong.
///
/// # Errors
/// When the harness itself can't go on.
pub async fn run(args: &Args) -> anyhow::Result<Vec<String>> {
    let place = Place::new(args)?;
    let home = place.path.join("home");
    let workspace = Workspace::make(&place.path, &home, &args.flights()).await?;
    let stores = Stores::new(args, &home);
    let program = Program::new(args, &workspace, &place.path, &stores.variables())?;
    let shared = Arc::new(Shared::new(workspace, args.seed)?);
    let mut chance = Chance::new(args.seed, 0);
    println!(
        "seed {}, {} kills, in {}",
        args.seed,
        args.kills,
        place.path.display()
    );

    let mut server = program.start().await?;
    shared.listening_at(&server.url);
    first_model(&shared).await?;
    let mut clients = load::start(&shared);
    let mut restarts = Restarts::default();
    for number in 1..=args.kills {
        tokio::time::sleep(instant(&mut chance)).await;
        server.kill(Victims::any(&mut chance)).await?;
        if chance.percent(10) {
            kill_while_starting(&program, &mut chance).await?;
        }
        server = program.start().await?;
        shared.listening_at(&server.url);
        restarts.took.push(ready(&shared, &server).await?);
        look::look(&shared, &mut chance).await;
        if number % 10 == 0 || number == args.kills {
            println!("{number} kills; {}", restarts.told());
        }
        anyhow::ensure!(server.is_alive(), "the server ended by itself");
    }
    wind_down(&shared).await?;
    shared.stop.cancel();
    while clients.join_next().await.is_some() {}
    server.stop().await?;
    finish(&shared, &program, &stores).await?;
    restarts.judge(args, &shared);
    place.leave(&shared);
    let wrong = std::mem::take(&mut shared.journal().wrong);
    Ok(wrong)
}

/// Checks everything that a stopped server left.
///
/// # Errors
/// When the stores can't be opened.
pub async fn finish(shared: &Shared, program: &Program, stores: &Stores) -> anyhow::Result<()> {
    let (code, said) = program.run(&["admin", "verify"]).await?;
    if code != Some(0) {
        shared.wrong(format!("everloop admin verify exits with {code:?}: {said}"));
    }
    audit::audit(shared, stores).await?;
    for alarm in program.alarms() {
        shared.wrong(format!("the server's log says: {alarm}"));
    }
    let journal = shared.journal();
    for (what, count) in &journal.counts {
        println!("{count:>8}  {what}");
    }
    println!(
        "{:>8}  predictions acknowledged, as rows",
        journal.predictions.len()
    );
    Ok(())
}

/// Mostly soon; sometimes late enough for a whole pipeline.
fn instant(chance: &mut Chance) -> Duration {
    match chance.below(10) {
        0 => chance.millis(0, 100),
        1..=7 => chance.millis(100, 2_500),
        _ => chance.millis(2_500, 7_000),
    }
}

/// Recovery is as good a moment to be killed as any other.
async fn kill_while_starting(program: &Program, chance: &mut Chance) -> anyhow::Result<()> {
    let child = program.spawn()?;
    tokio::time::sleep(chance.millis(0, 400)).await;
    server::end(child, Victims::Server).await
}

/// How long the server took until it said that it is ready.
async fn ready(shared: &Shared, server: &Server) -> anyhow::Result<Duration> {
    loop {
        if let Answer::Done(_) = shared.client.get("/ready").await {
            return Ok(server.age());
        }
        anyhow::ensure!(server.age() < SETTLES_WITHIN, "the server never gets ready");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Goes round once, so that there is somebody to ask.
///
/// # Errors
/// When the first model never serves.
pub async fn first_model(shared: &Shared) -> anyhow::Result<()> {
    let body = serde_json::json!({ "why": "the first model" });
    let answer = shared.client.post("/api/v1/retrain", &body).await;
    anyhow::ensure!(matches!(answer, Answer::Done(_)), "no first model: {answer:?}");
    let began = Instant::now();
    loop {
        if let Answer::Done(_) = shared.client.get("/v2/models/flight-delay/ready").await {
            return Ok(());
        }
        anyhow::ensure!(began.elapsed() < SETTLES_WITHIN, "the first model never serves");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// No new work; what is under way comes to its end, while predictions go on.
///
/// # Errors
/// When the server can't be asked.
pub async fn wind_down(shared: &Shared) -> anyhow::Result<()> {
    shared.winding_down.cancel();
    let began = Instant::now();
    loop {
        let open = open_work(shared).await;
        if open.is_empty() {
            return Ok(());
        }
        if began.elapsed() > SETTLES_WITHIN {
            shared.wrong(format!("this never comes to an end: {open:?}"));
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// Runs and retrainings that have not ended.
async fn open_work(shared: &Shared) -> Vec<String> {
    let lists = [
        ("/api/v1/pipeline-runs?limit=1000", "runs"),
        ("/api/v1/retrainings?limit=1000", "retrainings"),
    ];
    let mut open = Vec::new();
    for (path, name) in lists {
        let Answer::Done(body) = shared.client.get(path).await else {
            open.push(format!("no answer from {path}"));
            continue;
        };
        for one in body[name].as_array().into_iter().flatten() {
            let state = one["state"].as_str().unwrap_or_default();
            if !matches!(state, "succeeded" | "failed" | "cancelled" | "done") {
                open.push(format!("{} is {state}", one["id"]));
            }
        }
    }
    open
}

/// Where the server keeps what it knows.
#[derive(Debug, Clone)]
pub struct Stores {
    pub db: String,
    pub store: String,
}

impl Stores {
    /// What `args` name, each with a corner that nobody used before; else what lies in `home`.
    pub fn new(args: &Args, home: &Path) -> Self {
        let corner = format!(
            "crash_{}",
            &Ids::system().ordered(Clock::system().wall())[..16].to_lowercase()
        );
        let with_schema = |url: &String| match url.contains('?') {
            true => format!("{url}&schema={corner}"),
            false => format!("{url}?schema={corner}"),
        };
        let with_prefix = |url: &String| match url.split_once('?') {
            Some((path, options)) => format!("{}/{corner}?{options}", path.trim_end_matches('/')),
            None => format!("{}/{corner}", url.trim_end_matches('/')),
        };
        let own_db = || format!("sqlite:{}", home.join("everloop.db").display());
        let own_store = || home.join("objects").display().to_string();
        Self {
            db: args.db.as_ref().map_or_else(own_db, with_schema),
            store: args.store.as_ref().map_or_else(own_store, with_prefix),
        }
    }

    pub fn variables(&self) -> Vec<(String, String)> {
        let mut variables = vec![
            ("EVERLOOP_DB".to_owned(), self.db.clone()),
            ("EVERLOOP_STORE".to_owned(), self.store.clone()),
        ];
        if self.store.starts_with("s3:") {
            // The S3 of tests takes any.
            variables.push(("AWS_ACCESS_KEY_ID".to_owned(), "test".to_owned()));
            variables.push(("AWS_SECRET_ACCESS_KEY".to_owned(), "test".to_owned()));
        }
        variables
    }
}

/// The folder of a run.
#[derive(Debug)]
pub struct Place {
    pub path: PathBuf,
    temporary: Option<tempfile::TempDir>,
}

impl Place {
    /// # Errors
    /// When it can't be made.
    pub fn new(args: &Args) -> anyhow::Result<Self> {
        if let Some(path) = &args.folder {
            std::fs::create_dir_all(path)?;
            return Ok(Self {
                path: path.canonicalize()?,
                temporary: None,
            });
        }
        let temporary = tempfile::Builder::new().prefix("everloop-crash.").tempdir()?;
        Ok(Self {
            path: temporary.path().canonicalize().context("finding the folder")?,
            temporary: Some(temporary),
        })
    }

    /// Keeps the folder when something is wrong.
    pub fn leave(self, shared: &Shared) {
        if let Some(temporary) = self.temporary
            && !shared.journal().wrong.is_empty()
        {
            println!("kept for a closer look: {}", temporary.keep().display());
        }
    }
}

/// How long restarts took.
#[derive(Debug, Default)]
struct Restarts {
    took: Vec<Duration>,
}

impl Restarts {
    fn told(&self) -> String {
        let mut sorted = self.took.clone();
        sorted.sort();
        let at = |share: f64| {
            let place = ((sorted.len() as f64 - 1.0) * share).round() as usize;
            sorted.get(place).copied().unwrap_or_default().as_millis()
        };
        let (median, high, most) = (at(0.5), at(0.95), at(1.0));
        format!("ready after {median} ms in the median, {high} ms at 95 %, {most} ms at most")
    }

    fn judge(&self, args: &Args, shared: &Shared) {
        println!("{} restarts: {}", self.took.len(), self.told());
        let most = self.took.iter().max().copied().unwrap_or_default();
        if let Some(limit) = args.ready_within().filter(|limit| most > *limit) {
            shared.wrong(format!("a restart took {most:?}; it may take {limit:?}"));
        }
    }
}
