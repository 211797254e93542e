//! `everloop admin backup` and `restore`: the embedded stores as a folder.

mod copies;
mod manifest;

use anyhow::Context as _;
use clap::Args;
use everloop_core::{Clock, Code};
use everloop_db::{Db, DbUrl};
use everloop_objects::StoreUrl;
use everloop_server::App;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::context::{Context, server_url};
use crate::exit::Exit;
use crate::problem::Problem;
use copies::{Copied, Same, make_private, remove_if_there};
use manifest::Manifest;

const DATABASE: &str = "everloop.db";
const OBJECTS: &str = "objects";
const ANCHORS: &str = "ledger.anchors";
const PREDICTIONS: &str = "predictions";
const SETTINGS: &str = "config.toml";

/// Back up the embedded database, its objects and the prediction log.
///
/// Works while a server runs; nothing is collected meanwhile. Into the folder of an earlier backup only new objects are
/// copied. Objects in a bucket are not copied: keep them by the bucket's own versioning. A Postgres database is backed
/// up by pg_dump.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin backup /backups/flights")]
pub struct BackupArgs {
    /// Folder of the backup: new, empty, or of an earlier backup
    dir: PathBuf,
}

/// Restore a backup into the home folder.
///
/// Only where no database, prediction log or anchors are yet: nothing is overwritten; settings that are there stay. The
/// backup is looked over before anything is written. No server may use the folder meanwhile.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin restore /backups/flights --home .everloop")]
pub struct RestoreArgs {
    /// Folder of the backup
    dir: PathBuf,
}

/// Writes a backup.
pub async fn backup(args: &BackupArgs, context: &Context) -> anyhow::Result<Exit> {
    refuse_remote()?;
    let config = &context.config;
    refuse_postgres(
        config,
        "back it up with pg_dump, and copy \"predictions\" and \"ledger.anchors\" of the home folder",
    )?;
    let app = context.open_own().await?;
    let store = store_folder(config)?;
    check_target(&args.dir, config.home(), store.as_deref().ok())?;
    // The collector waits: it could take objects that the copied database still names.
    let controller = app
        .controller(app.default_project())
        .map_err(|error| Problem::new(error.code(), error.public_message()))?;
    let copied = controller
        .without_collecting(write(&args.dir, &app, config, store))
        .await;
    app.db().close().await;
    let copied = copied??;
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

/// The order makes it whole: what lies beside comes first, since the database may only know more than it (an anchor
/// ahead of its ledger would look like a cut); objects come last, since a row never names one that is not there yet.
async fn write(
    to: &Path,
    app: &App,
    config: &Config,
    store: Result<PathBuf, String>,
) -> anyhow::Result<Copied> {
    let mut manifest = Manifest::begin(app.clock().wall(), store.clone().err());
    manifest.write(to)?;
    let (home, folder) = (config.home().to_owned(), to.to_owned());
    let mut copied = blocking(move || copy_beside(&home, &folder)).await?;
    // Written whole beside the last backup, and then put in its place.
    let (part, database) = (to.join(format!("{DATABASE}.part")), to.join(DATABASE));
    remove_if_there(&part)?;
    app.db().backup_to(&part).await?;
    fs::rename(&part, &database).context("can't put the database's copy in place")?;
    let size = fs::metadata(&database)?.len();
    copied.files += 1;
    copied.bytes += size;
    copied.entries.push(manifest::Entry {
        path: DATABASE.to_owned(),
        size,
    });
    match store {
        Ok(from) => {
            let folder = to.to_owned();
            copied = blocking(move || copied.tree(&from, &folder, OBJECTS, Same::ByLength)).await?;
        }
        Err(bucket) => copied.objects_left_in = Some(bucket),
    }
    manifest.files.clone_from(&copied.entries);
    manifest.complete = true;
    manifest.write(to)?;
    Ok(copied)
}

fn copy_beside(home: &Path, to: &Path) -> io::Result<Copied> {
    let mut copied = Copied {
        folder: to.to_owned(),
        ..Copied::default()
    };
    // Segments of the log that an older backup holds may be rows of the database by now.
    match fs::remove_dir_all(to.join(PREDICTIONS)) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    for name in [ANCHORS, SETTINGS] {
        let path = home.join(name);
        if path.is_file() {
            copied.file(&path, to, name, Same::Never)?;
        }
    }
    let predictions = home.join(PREDICTIONS);
    match predictions.is_dir() {
        true => copied.tree(&predictions, to, PREDICTIONS, Same::Never),
        false => Ok(copied),
    }
}

/// Makes the folder, and refuses one that holds something else or is what is backed up.
fn check_target(target: &Path, home: &Path, store: Option<&Path>) -> anyhow::Result<()> {
    let refused = |problem: &str| {
        Problem::usage(format!("can't back up to \"{}\": {problem}", target.display()))
            .hint("give a new folder, or that of an earlier backup")
    };
    make_private(target).with_context(|| format!("can't make \"{}\"", target.display()))?;
    let real = target.canonicalize()?;
    for live in [Some(home), store].into_iter().flatten() {
        if live.canonicalize().is_ok_and(|live| real.starts_with(live)) {
            return Err(refused("it is part of what is backed up").into());
        }
    }
    let is_empty = fs::read_dir(target)?.next().is_none();
    if !is_empty && !target.join(manifest::NAME).is_file() {
        return Err(refused("it holds something else").into());
    }
    Ok(())
}

/// Puts a backup back.
pub async fn restore(args: &RestoreArgs, context: &Context) -> anyhow::Result<Exit> {
    refuse_remote()?;
    let config = &context.config;
    let home = config.home().to_owned();
    refuse_postgres(config, "restore it with pg_restore")?;
    let database = database(config);
    refuse_existing(&database, &home)?;
    let dir = args.dir.clone();
    let manifest = tokio::task::spawn_blocking(move || Manifest::read_whole(&dir)).await??;
    let store = check_store(&manifest, store_folder(config)?)?;
    make_private(&home).with_context(|| format!("can't make \"{}\"", home.display()))?;
    let part = restored_database(&args.dir.join(DATABASE), &database).await?;
    let (dir, to) = (args.dir.clone(), home.clone());
    let copied = blocking(move || {
        let mut copied = Copied {
            folder: to.clone(),
            objects_left_in: manifest.objects_in,
            ..Copied::default()
        };
        if let Some(store) = store {
            copied = copied.back(&manifest.files, &dir, OBJECTS, &store)?;
        }
        copied = copied.back(&manifest.files, &dir, PREDICTIONS, &to.join(PREDICTIONS))?;
        for name in [ANCHORS, SETTINGS] {
            if dir.join(name).is_file() && !to.join(name).exists() {
                copied.bytes += copies::copy_whole(&dir.join(name), &to.join(name))?;
                copied.files += 1;
            }
        }
        Ok(copied)
    })
    .await?;
    // The last step: a restore that was cut short can be begun again.
    fs::rename(&part, &database).context("can't put the database in place")?;
    context.output.result(&copied, |copied| {
        format!(
            "restored into {}: {} files, {} bytes, and the database",
            copied.folder.display(),
            copied.files,
            copied.bytes
        )
    })?;
    if let Some(bucket) = &copied.objects_left_in {
        context.output.note(&format!("objects are read from {bucket}"));
    }
    context.output.note("Next: everloop admin verify");
    Ok(Exit::Done)
}

/// The backup's database beside where it will be, opened once on the way: so that one that is damaged or was written by
/// a newer program is refused before anything is in place.
async fn restored_database(from: &Path, database: &Path) -> anyhow::Result<PathBuf> {
    if let Some(folder) = database.parent() {
        make_private(folder).with_context(|| format!("can't make \"{}\"", folder.display()))?;
    }
    let (part, whole) = (
        database.with_extension("restoring"),
        database.with_extension("restored"),
    );
    // What a restore that was cut short left behind.
    remove_beside(&part)?;
    remove_if_there(&whole)?;
    let written = write_restored(from, &part, &whole).await;
    // With its write-ahead log, and the snapshot that migrating an old backup leaves.
    remove_beside(&part)?;
    written?;
    Ok(whole)
}

/// Opens a copy at `part`, and writes it out to the one file `whole`.
async fn write_restored(from: &Path, part: &Path, whole: &Path) -> Result<(), everloop_db::Error> {
    let url = DbUrl::sqlite(part);
    Db::restore(&url, from).await?;
    let db = Db::open(&url, &everloop_server::migrations(), &Clock::system()).await?;
    let released = db.write(everloop_controller::release_copied).await;
    let written = match released {
        Ok(()) => db.backup_to(whole).await,
        Err(error) => Err(error),
    };
    db.close().await;
    written
}

/// Removes the files whose names start with that of `part`.
fn remove_beside(part: &Path) -> io::Result<()> {
    let name = part
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for entry in fs::read_dir(part.parent().unwrap_or(Path::new(".")))? {
        let entry = entry?;
        let is_ours = entry.file_name().to_string_lossy().starts_with(&name);
        if is_ours && entry.file_type()?.is_file() {
            remove_if_there(&entry.path())?;
        }
    }
    Ok(())
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

fn refuse_postgres(config: &Config, hint: &str) -> Result<(), Problem> {
    match config.text("db") {
        Some(url) if !url.starts_with("sqlite:") => Err(Problem::new(
            Code::Unsupported,
            "only the embedded database is copied here, not Postgres",
        )
        .at(config.origin("db").to_string())
        .hint(hint)),
        _ => Ok(()),
    }
}

/// The file of the embedded database.
fn database(config: &Config) -> PathBuf {
    match config.text("db").and_then(|url| url.strip_prefix("sqlite:")) {
        None => config.home().join(DATABASE),
        Some(path) => PathBuf::from(path.strip_prefix("//").unwrap_or(path)),
    }
}

fn refuse_existing(database: &Path, home: &Path) -> Result<(), Problem> {
    let refused = |what: &str, place: &Path| {
        Problem::new(Code::FailedPrecondition, format!("there is {what} already"))
            .at(place.display().to_string())
            .hint("move the home folder away, or restore into another with --home")
    };
    if database.exists() {
        return Err(refused("a database", database));
    }
    let anchors = home.join(ANCHORS);
    if anchors.exists() {
        return Err(refused("a file of ledger anchors", &anchors));
    }
    let predictions = home.join(PREDICTIONS);
    if fs::read_dir(&predictions).is_ok_and(|mut entries| entries.next().is_some()) {
        return Err(refused("a prediction log", &predictions));
    }
    Ok(())
}

/// Where the backup's objects go; none when they stay in their bucket. A database without its objects is no restore.
fn check_store(manifest: &Manifest, store: Result<PathBuf, String>) -> Result<Option<PathBuf>, Problem> {
    match (&manifest.objects_in, store) {
        (None, Ok(folder)) => Ok(Some(folder)),
        (Some(bucket), Err(here)) if *bucket == here => Ok(None),
        (Some(bucket), _) => Err(Problem::new(
            Code::FailedPrecondition,
            format!("the backup's objects are in {bucket}"),
        )
        .hint("name that store with EVERLOOP_STORE or in config.toml")),
        (None, Err(here)) => Err(Problem::new(
            Code::FailedPrecondition,
            format!("the backup holds objects, and {here} is no folder"),
        )
        .hint("unset the setting \"store\", or copy the folder \"objects\" to the bucket by its own tools")),
    }
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

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> anyhow::Result<T> {
    Ok(tokio::task::spawn_blocking(work).await??)
}
