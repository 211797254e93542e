//! `everloop admin backup` and `restore`: the embedded stores as a folder.

use anyhow::Context as _;
use clap::Args;
use everloop_core::Code;
use everloop_db::{Db, DbUrl};
use everloop_objects::StoreUrl;
use serde::Serialize;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::context::{Context, server_url};
use crate::exit::Exit;
use crate::problem::Problem;

const DATABASE: &str = "everloop.db";
const OBJECTS: &str = "objects";
/// What lies in the home folder beside the stores and belongs to them.
const BESIDE: [&str; 3] = ["ledger.anchors", "predictions", "config.toml"];

/// Back up the embedded database, its objects and the prediction log.
///
/// Works while a server runs. Into the same folder again only new objects are copied. Objects in a bucket are not
/// copied: keep them by the bucket's own versioning. A Postgres database is backed up by pg_dump.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin backup /backups/flights")]
pub struct BackupArgs {
    /// Folder of the backup
    dir: PathBuf,
}

/// Restore a backup into the home folder.
///
/// Only where no database is yet: nothing is overwritten. No server may use the folder meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin restore /backups/flights --home .everloop")]
pub struct RestoreArgs {
    /// Folder of the backup
    dir: PathBuf,
}

/// What was copied.
#[derive(Debug, Default, Serialize)]
struct Copied {
    folder: PathBuf,
    files: u64,
    bytes: u64,
    /// Files that the backup had already.
    unchanged: u64,
    /// The object store, when it is a bucket and was left out.
    objects_left_in: Option<String>,
}

/// Writes a backup.
///
/// The order makes it whole: what lies beside comes first, since the database may only know more than it (an anchor
/// ahead of its ledger would look like a cut); objects come last, since a row never names one that is not there yet.
pub async fn backup(args: &BackupArgs, context: &Context) -> anyhow::Result<Exit> {
    refuse_remote()?;
    let (config, to) = (&context.config, args.dir.clone());
    let app = context.open_own().await?;
    let mut copied = Copied {
        folder: to.clone(),
        ..Copied::default()
    };
    let home = config.home().to_owned();
    copied = blocking(move || copy_beside(&home, &to, copied)).await?;
    // Written whole beside the last backup, and then put in its place.
    let part = args.dir.join(format!("{DATABASE}.part"));
    remove_if_there(&part)?;
    app.db().backup_to(&part).await?;
    fs::rename(&part, args.dir.join(DATABASE)).context("can't put the database's copy in place")?;
    app.db().close().await;
    match store_folder(config)? {
        Ok(folder) => {
            let to = args.dir.join(OBJECTS);
            copied = blocking(move || copy_tree(&folder, &to, Same::ByLength, copied)).await?;
        }
        Err(bucket) => copied.objects_left_in = Some(bucket),
    }
    context.output.result(&copied, |copied| {
        format!(
            "backed up to {}: {} files, {} bytes copied, {} unchanged",
            copied.folder.display(),
            copied.files,
            copied.bytes,
            copied.unchanged
        )
    })?;
    if let Some(bucket) = &copied.objects_left_in {
        context.output.note(&format!(
            "objects stay in {bucket}: keep them there by versioning or replication"
        ));
    }
    Ok(Exit::Done)
}

/// Puts a backup back.
pub async fn restore(args: &RestoreArgs, context: &Context) -> anyhow::Result<Exit> {
    refuse_remote()?;
    let config = &context.config;
    let home = config.home().to_owned();
    let database = database(config)?;
    refuse_existing(&database)?;
    let from = args.dir.join(DATABASE);
    if !from.is_file() {
        return Err(
            Problem::usage(format!("\"{}\" holds no backup", args.dir.display()))
                .hint("give the folder that \"everloop admin backup\" wrote")
                .into(),
        );
    }
    fs::create_dir_all(&home).with_context(|| format!("can't make \"{}\"", home.display()))?;
    let mut copied = Copied {
        folder: home.clone(),
        ..Copied::default()
    };
    if let Ok(folder) = store_folder(config)?
        && args.dir.join(OBJECTS).is_dir()
    {
        let from = args.dir.join(OBJECTS);
        copied = blocking(move || copy_tree(&from, &folder, Same::ByLength, copied)).await?;
    }
    let dir = args.dir.clone();
    copied = blocking(move || copy_beside(&dir, &home, copied)).await?;
    Db::restore(&DbUrl::sqlite(database), &from).await?;
    context.output.result(&copied, |copied| {
        format!(
            "restored into {}: {} files, {} bytes",
            copied.folder.display(),
            copied.files,
            copied.bytes
        )
    })?;
    context.output.note("Next: everloop admin verify");
    Ok(Exit::Done)
}

fn refuse_remote() -> Result<(), Problem> {
    match server_url() {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            Code::Unsupported,
            "backups are made where the stores lie, not over the network",
        )
        .hint("unset EVERLOOP_URL and run this on the server's machine")),
    }
}

/// The file of the embedded database.
fn database(config: &Config) -> Result<PathBuf, Problem> {
    match config.text("db") {
        None => Ok(config.home().join(DATABASE)),
        Some(url) => match url.strip_prefix("sqlite:") {
            Some(path) => Ok(PathBuf::from(path.strip_prefix("//").unwrap_or(path))),
            None => Err(
                Problem::new(Code::Unsupported, "only the embedded database is restored here")
                    .hint("restore a Postgres database with pg_restore"),
            ),
        },
    }
}

fn refuse_existing(database: &Path) -> Result<(), Problem> {
    if !database.exists() {
        return Ok(());
    }
    Err(
        Problem::new(Code::FailedPrecondition, "there is a database already")
            .at(database.display().to_string())
            .hint("move the home folder away, or restore into another with --home"),
    )
}

/// The folder of the objects; the bucket's address when they lie in one.
fn store_folder(config: &Config) -> anyhow::Result<Result<PathBuf, String>> {
    let store: Option<StoreUrl> =
        config.parsed("store", "a folder, or s3://, gs:// or az:// with a bucket")?;
    Ok(match store {
        None => Ok(config.home().join(OBJECTS)),
        Some(store) => match store.as_folder() {
            Some(folder) => Ok(folder.to_owned()),
            None => Err(store.to_string()),
        },
    })
}

fn copy_beside(from: &Path, to: &Path, mut copied: Copied) -> io::Result<Copied> {
    fs::create_dir_all(to)?;
    for name in BESIDE {
        let path = from.join(name);
        if path.is_dir() {
            // Segments of the log that an older backup holds may be rows of the database by now.
            remove_tree_if_there(&to.join(name))?;
            copied = copy_tree(&path, &to.join(name), Same::Never, copied)?;
        } else if path.is_file() {
            copy_file(&path, &to.join(name), &mut copied)?;
        }
    }
    Ok(copied)
}

/// Which files need no copy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Same {
    /// Immutable ones: a file of the same name and length is the same file.
    ByLength,
    /// None: they grow.
    Never,
}

fn copy_tree(from: &Path, to: &Path, same: Same, mut copied: Copied) -> io::Result<Copied> {
    let mut folders = vec![(from.to_owned(), to.to_owned())];
    while let Some((from, to)) = folders.pop() {
        fs::create_dir_all(&to)?;
        for entry in fs::read_dir(&from)? {
            let entry = entry?;
            let (path, target, kind) = (entry.path(), to.join(entry.file_name()), entry.file_type()?);
            if kind.is_dir() {
                folders.push((path, target));
            } else if kind.is_file() {
                let is_there = || fs::metadata(&target).ok().zip(entry.metadata().ok());
                if same == Same::ByLength && is_there().is_some_and(|(old, new)| old.len() == new.len()) {
                    copied.unchanged += 1;
                } else {
                    copy_file(&path, &target, &mut copied)?;
                }
            }
        }
    }
    Ok(copied)
}

/// Copies a file durably; one that went away meanwhile (a sealed segment, a part of an upload) is not missed.
fn copy_file(from: &Path, to: &Path, copied: &mut Copied) -> io::Result<()> {
    match fs::copy(from, to) {
        Ok(bytes) => {
            fs::File::open(to)?.sync_all()?;
            copied.files += 1;
            copied.bytes += bytes;
            Ok(())
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !from.exists() => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn remove_tree_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}
