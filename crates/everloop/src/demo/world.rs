//! The demo's project, stores and server; and the clock that the demo moves.

use everloop_core::{ByteSize, Clock, Ids, ProjectName, Timestamp};
use everloop_server::{App, AppOptions, Background, Listener, Mode, router, serve};
use everloop_tables::{Engine, Tables, TablesOptions};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::{DemoArgs, data};
use crate::client::{Client, Remote};

/// Everything the demo runs on.
pub struct World {
    root: PathBuf,
    url: String,
    clock: Clock,
    client: Client,
    /// Reads the embedded flights; not the server's own.
    pub tables: Tables,
    stop: CancellationToken,
    background: Background,
    server: JoinHandle<Result<(), everloop_server::ListenError>>,
    _folder: Option<TempDir>,
}

impl World {
    /// Writes the project, opens the stores and starts the server, with the clock before the first flight.
    pub async fn open(args: &DemoArgs, engine: Option<Arc<dyn Engine>>) -> anyhow::Result<Self> {
        let (root, folder) = match &args.dir {
            Some(dir) => (dir.clone(), None),
            None => {
                let folder = tempfile::Builder::new().prefix("everloop-demo-").tempdir()?;
                (folder.path().to_owned(), Some(folder))
            }
        };
        write_project(&root)?;
        let first = args.years.first().copied().unwrap_or(2013);
        let clock = Clock::replay(data::start_of(&format!("{first}-04")));
        let options = AppOptions {
            home: root.join(".everloop"),
            root: root.clone(),
            db: args.db.as_deref().map(str::parse).transpose()?,
            store: args.store.as_deref().map(str::parse).transpose()?,
            environment: crate::context::environment(),
            mode: Mode::Local {
                login: crate::context::login(),
            },
            clock: clock.clone(),
            ids: Ids::system(),
            threads: None,
            stages: None,
            memory: ByteSize(2 << 30),
            lease: Duration::from_secs(15),
            engine,
            webhooks_allow: String::new(),
        };
        let app = App::open(options, ProjectName::new("flights")?).await?;
        let background = app.start();
        let listener = Listener::bind(args.listen, None, clock.wall()).await?;
        let url = listener.url();
        let stop = CancellationToken::new();
        #[expect(
            clippy::disallowed_methods,
            reason = "the handle is kept and awaited in `close`"
        )]
        let server = tokio::spawn(serve(listener, router(&app), stop.clone()));
        let client = Client::Remote(Remote::new(&url, None, None, Vec::new()));
        let tables = Tables::new(TablesOptions::default())?;
        Ok(Self {
            root,
            url,
            clock,
            client,
            tables,
            stop,
            background,
            server,
            _folder: folder,
        })
    }

    /// The project's folder.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The server's address.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Asks the server.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Moves the project's time.
    pub fn advance_to(&self, at: Timestamp) {
        self.clock.advance_to(at);
    }

    /// Drops a month's file where the project's data lies: whole or not at all.
    pub fn drop_file(&self, name: &str, bytes: &[u8]) -> anyhow::Result<()> {
        let folder = self.root.join("data");
        let part = folder.join(format!("{name}.parquet.part"));
        std::fs::write(&part, bytes)?;
        std::fs::rename(part, folder.join(format!("{name}.parquet")))?;
        Ok(())
    }

    /// Waits until the loop has done everything that follows from what happened so far.
    pub async fn settle(&self) -> anyhow::Result<()> {
        self.client
            .post::<_, serde_json::Value>("/api/v1/loop/settle", &serde_json::json!({}))
            .await?;
        Ok(())
    }

    /// Stops the server and the loop.
    pub async fn close(self) {
        self.stop.cancel();
        if let Ok(Err(error)) = self.server.await {
            tracing::warn!(%error, "the demo's server ended badly");
        }
        self.background.stop().await;
    }
}

fn write_project(root: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(root.join("data"))?;
    std::fs::create_dir_all(root.join("checks"))?;
    std::fs::write(root.join("everloop.yaml"), data::PROJECT)?;
    std::fs::write(root.join("checks/flights.yaml"), data::DATA_CHECKS)?;
    std::fs::write(root.join("checks/model.yaml"), data::MODEL_CHECKS)?;
    Ok(())
}
