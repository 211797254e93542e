//! What the harness is told.

use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Kill the server at random instants under load, or fill its disk, and check what it acknowledged.
#[derive(Debug, Clone, Parser)]
pub struct Args {
    /// How often the server is killed
    #[arg(long, default_value_t = 12)]
    pub kills: u32,
    /// Decides the instants and the requests
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Fill the disk of the home folder instead of killing
    #[arg(long)]
    pub disk_full: bool,
    /// Metadata database of the server [default: SQLite in its home]
    #[arg(long, value_name = "URL")]
    pub db: Option<String>,
    /// Object store of the server [default: a folder in its home]
    #[arg(long, value_name = "URL")]
    pub store: Option<String>,
    /// The program [default: the one built beside this example]
    #[arg(long, value_name = "FILE")]
    pub everloop: Option<PathBuf>,
    /// Real flights to make the project of [default: those of the example in this repository]
    #[arg(long, value_name = "FILE")]
    pub flights: Option<PathBuf>,
    /// Folder to work in, kept afterwards [default: one that is removed when all is well]
    #[arg(long, value_name = "DIR")]
    pub folder: Option<PathBuf>,
    /// The small disk that was mounted for this run
    #[arg(long, value_name = "DIR", hide = true)]
    pub on: Option<PathBuf>,
    /// A restart that takes longer until it is ready is a failure
    #[arg(long, value_name = "MS")]
    pub ready_within_ms: Option<u64>,
}

impl Args {
    /// The program under test.
    ///
    /// # Errors
    /// When it is not where it should be.
    pub fn program(&self) -> anyhow::Result<PathBuf> {
        let path = match &self.everloop {
            Some(path) => path.clone(),
            None => {
                let own = std::env::current_exe()?;
                let target = own.parent().and_then(|examples| examples.parent());
                target.unwrap_or(&own).join("everloop")
            }
        };
        anyhow::ensure!(
            path.is_file(),
            "there is no program at \"{}\": build it with \"cargo build\" first, or name it with --everloop",
            path.display()
        );
        Ok(path.canonicalize()?)
    }

    /// The flights that the project is made of.
    pub fn flights(&self) -> PathBuf {
        let own = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../../examples/flights/data/2013-01.parquet"
        );
        self.flights.clone().unwrap_or_else(|| PathBuf::from(own))
    }

    pub fn ready_within(&self) -> Option<Duration> {
        self.ready_within_ms.map(Duration::from_millis)
    }
}
