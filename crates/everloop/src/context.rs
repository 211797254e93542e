//! What every command starts from: the project's folder, the settings, and whom to ask.

use everloop_access::Principal;
use everloop_core::{Clock, Code, Ids, ProjectName};
use everloop_project::Project;
use everloop_server::{App, AppOptions, Background, Mode, PROJECT_FILE};
use std::io;
use std::path::{Path, PathBuf};

use crate::client::{Client, Remote};
use crate::config::{Config, ConfigError, Origin};
use crate::engine;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// The project of a folder without a project file.
const UNNAMED: &str = "default";

/// What a command needs of this process when no server is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Needs {
    /// The stores only.
    Stores,
    /// The loops of the program as well: workers, serving, the controller. The command deals with Ctrl-C itself.
    Loops,
}

/// Settings and manners of this invocation.
#[derive(Debug)]
pub struct Context {
    /// The folder that holds `everloop.yaml`, or where we stand.
    pub root: PathBuf,
    /// All settings.
    pub config: Config,
    /// How results are shown.
    pub output: Output,
}

impl Context {
    /// Reads the settings; `home` and `flags` come from the command line.
    ///
    /// # Errors
    /// When a settings file is wrong.
    pub fn load(
        home: Option<PathBuf>,
        flags: &[(&'static str, String)],
        output: Output,
    ) -> Result<Self, ConfigError> {
        let root = find_root(&here());
        let home = home.or_else(|| variable("EVERLOOP_HOME").map(PathBuf::from));
        let home = home.unwrap_or_else(|| root.join(".everloop"));
        let config = Config::load(&home, &variable, flags)?;
        Ok(Self { root, config, output })
    }

    /// Lets `work` ask the server that `EVERLOOP_URL` names, or this process on the project's own stores, which are
    /// put away in order afterwards.
    ///
    /// # Errors
    /// When the stores can't be opened, or what `work` says.
    pub async fn ask(
        &self,
        needs: Needs,
        work: impl AsyncFnOnce(&Client) -> anyhow::Result<Exit>,
    ) -> anyhow::Result<Exit> {
        if let Some(url) = server_url() {
            if *self.config.origin("engine") == Origin::Flag {
                return Err(Problem::usage("the server chooses where its queries run")
                    .hint("start the server with --engine, or unset EVERLOOP_URL")
                    .into());
            }
            let (token, project) = (variable("EVERLOOP_TOKEN"), variable("EVERLOOP_PROJECT"));
            let remote = Remote::new(&url, token, project, trusted(&self.config)?);
            let client = Client::Remote(remote);
            return until_interrupted(needs, work(&client)).await;
        }
        let app = self.open_own().await?;
        let client = Client::local(&app, Principal::local(&login()));
        let background: Option<Background> = (needs == Needs::Loops).then(|| app.start());
        let outcome = until_interrupted(needs, work(&client)).await;
        if let Some(background) = background {
            background.stop().await;
        }
        app.db().close().await;
        outcome
    }

    /// The project's own stores, whether or not a server is named.
    ///
    /// # Errors
    /// When there is no project here, or a store can't be opened.
    pub async fn open_own(&self) -> anyhow::Result<App> {
        let name = self.project_name()?;
        if !self.root.join(PROJECT_FILE).is_file() && !self.config.home().is_dir() {
            return Err(no_project(&self.root).into());
        }
        let options = self.app_options(Mode::Local { login: login() }, Clock::system())?;
        Ok(App::open(options, name).await?)
    }

    /// The name that the project file gives; a usual one where there is no file.
    ///
    /// # Errors
    /// When the file is wrong in more than the files it refers to, or can't be read.
    pub fn project_name(&self) -> anyhow::Result<ProjectName> {
        let path = self.root.join(PROJECT_FILE);
        match std::fs::read(&path) {
            // A file that a stage reads may come later; it is asked for when it is needed.
            Ok(bytes) => Ok(Project::parse(PROJECT_FILE, &bytes, &|_| true)?.project),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let name = variable("EVERLOOP_PROJECT").unwrap_or_else(|| UNNAMED.to_owned());
                Ok(ProjectName::new(name).map_err(|error| Problem::usage(error.to_string()))?)
            }
            Err(error) => Err(Problem::new(
                Code::FailedPrecondition,
                format!("can't read \"{PROJECT_FILE}\": {error}"),
            )
            .at(path.display().to_string())
            .into()),
        }
    }

    /// What the server part of the program is opened with.
    ///
    /// # Errors
    /// When a setting does not parse, or names an engine that this build was made without.
    pub fn app_options(&self, mode: Mode, clock: Clock) -> anyhow::Result<AppOptions> {
        let config = &self.config;
        Ok(AppOptions {
            home: config.home().to_owned(),
            root: self.root.clone(),
            db: config.parsed("db", "sqlite:PATH or postgres://USER@HOST/DATABASE")?,
            store: config.parsed("store", "a folder, or s3://, gs:// or az:// with a bucket")?,
            environment: environment(),
            mode,
            clock,
            ids: Ids::system(),
            threads: config.parsed("threads", "a number of threads")?,
            stages: config.parsed("stages", "a number of stages")?,
            memory: config.memory()?,
            lease: config.lease()?,
            engine: engine::engine(config)?,
            webhooks_allow: config.text("webhooks.allow").unwrap_or_default().to_owned(),
        })
    }
}

/// The authorities that the settings name beside the public ones.
fn trusted(config: &Config) -> Result<Vec<reqwest::Certificate>, Problem> {
    let Some(path) = config.text("tls.ca") else {
        return Ok(Vec::new());
    };
    let refused = |problem: String| {
        Problem::usage(format!("can't trust the certificates in \"{path}\": {problem}"))
            .at(config.origin("tls.ca").to_string())
            .hint("give a PEM file with the authority's certificate")
    };
    let text = std::fs::read(path).map_err(|error| refused(error.to_string()))?;
    let found = reqwest::Certificate::from_pem_bundle(&text).map_err(|error| refused(error.to_string()))?;
    if found.is_empty() {
        return Err(refused("there are none".to_owned()));
    }
    Ok(found)
}

/// What `work` says, unless Ctrl-C comes first and nobody else minds it.
async fn until_interrupted(
    needs: Needs,
    work: impl Future<Output = anyhow::Result<Exit>>,
) -> anyhow::Result<Exit> {
    if needs == Needs::Loops {
        return work.await;
    }
    tokio::select! {
        outcome = work => outcome,
        _ = tokio::signal::ctrl_c() => Ok(Exit::Interrupted),
    }
}

/// The nearest folder upwards that holds a project file; `here` when there is none.
fn find_root(here: &Path) -> PathBuf {
    here.ancestors()
        .find(|folder| folder.join(PROJECT_FILE).is_file())
        .unwrap_or(here)
        .to_owned()
}

fn no_project(root: &Path) -> Problem {
    Problem::usage(format!("there is no \"{PROJECT_FILE}\" in this folder or above"))
        .at(root.display().to_string())
        .hint("make one with \"everloop init\", or name a server with EVERLOOP_URL")
}

/// The server that commands ask; none for the project's own stores.
#[must_use]
pub fn server_url() -> Option<String> {
    variable("EVERLOOP_URL")
}

/// The name of the person at this machine, for ledger rows.
#[must_use]
pub fn login() -> String {
    let clean = |name: String| -> String { name.chars().filter(|c| !c.is_control()).take(64).collect() };
    let named = variable("USER").or_else(|| variable("LOGNAME")).map(clean);
    named
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "me".into())
}

/// The folder that the program was started in.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the top floor knows where it was started and hands it down"
)]
pub fn here() -> PathBuf {
    std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."))
}

/// An environment variable; the top floor is the only one that reads them.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the top floor reads the environment and hands it down"
)]
pub fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|text| !text.is_empty())
}

/// All variables that are text: object stores read their credentials from them.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the top floor reads the environment and hands it down"
)]
pub fn environment() -> Vec<(String, String)> {
    let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
        Some((name.into_string().ok()?, value.into_string().ok()?))
    };
    std::env::vars_os().filter_map(text).collect()
}
