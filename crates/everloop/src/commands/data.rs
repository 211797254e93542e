//! `everloop data`: datasets and their versions.

use clap::{Args, Subcommand};
use everloop_project::Project;
use everloop_server::api::datasets::{
    Checkout, CheckoutBody, DatasetBody, DatasetList, RegisterDataset, SnapshotBody, VersionBody, VersionPage,
};
use serde_json::Value;
use std::collections::BTreeMap;

use crate::client::{Client, segment, with_query};
use crate::exit::Exit;
use crate::output::{Output, cell, moment, or_dash, table};
use crate::problem::Problem;

/// Datasets: what data there is, in which versions, and what changed.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  everloop data snapshot flights && everloop data diff flights")]
pub enum DataCommand {
    List(ListArgs),
    Add(AddArgs),
    Snapshot(SnapshotArgs),
    Log(LogArgs),
    Diff(DiffArgs),
    Profile(ProfileArgs),
    Checkout(CheckoutArgs),
    Delete(DeleteArgs),
}

/// List the datasets.
///
/// With where their files are and their newest version.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data list")]
pub struct ListArgs {}

/// Name a dataset.
///
/// Files, folders or globs below the project's folder become a dataset that versions are kept of. Datasets of the
/// project file need no adding.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data add orders 'data/orders/*.parquet' --time ordered_at")]
pub struct AddArgs {
    /// Name of the dataset
    name: String,
    /// Files, folders or globs
    #[arg(required = true)]
    paths: Vec<String>,
    /// Column with the time of what a row describes
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Take a new version when files change
    #[arg(long)]
    watch: bool,
}

/// Take a version of a dataset's files as they are.
///
/// Nothing new is made when nothing changed. A dataset of the project file is taken as the file describes it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data snapshot\n  everloop data snapshot flights")]
pub struct SnapshotArgs {
    /// Names of datasets [default: all of the project file]
    names: Vec<String>,
}

/// List the versions of a dataset, newest first.
///
/// With their rows, who took them, and what they were made from.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data log flights")]
pub struct LogArgs {
    /// Name of the dataset
    name: String,
    /// Show at most so many
    #[arg(long, short = 'n', default_value_t = 50)]
    limit: usize,
}

/// Show what changed between two versions.
///
/// Files, columns, rows, and the figures of each column on both sides.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop data diff flights\n  everloop data diff flights --from 2 --to 5"
)]
pub struct DiffArgs {
    /// Name of the dataset
    name: String,
    /// Number of the older side [default: the one before the newer side]
    #[arg(long)]
    from: Option<u64>,
    /// Number of the newer side [default: the newest]
    #[arg(long)]
    to: Option<u64>,
}

/// Show the profile of a version: each column in figures.
///
/// Counts, missing values, range, mean and distinct values.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop data profile flights\n  everloop data profile flights --version 3 --json"
)]
pub struct ProfileArgs {
    /// Name of the dataset
    name: String,
    /// Number of the version
    #[arg(long, default_value = "latest")]
    version: String,
}

/// Write a version's files back to the project's folder.
///
/// Refuses when a file there differs, unless --force replaces it.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data checkout flights 3")]
pub struct CheckoutArgs {
    /// Name of the dataset
    name: String,
    /// Number of the version, or latest
    version: String,
    /// Replace files that differ
    #[arg(long)]
    force: bool,
}

/// Delete a version's files.
///
/// The version stays in the log and in the history of the models trained on it, but it can't be read, checked out or
/// reproduced any more. Its space comes back with "everloop admin gc". The newest version is not deleted.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop data delete flights 3 --yes")]
pub struct DeleteArgs {
    /// Name of the dataset
    name: String,
    /// Number of the version
    version: u64,
    /// Don't ask
    #[arg(long)]
    yes: bool,
}

/// Does what is asked of datasets.
pub async fn run(command: DataCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        DataCommand::List(_) => list(client, output).await,
        DataCommand::Add(args) => add(args, client, output).await,
        DataCommand::Snapshot(args) => snapshot(args, client, output).await,
        DataCommand::Log(args) => log(&args, client, output).await,
        DataCommand::Diff(args) => diff(&args, client, output).await,
        DataCommand::Profile(args) => profile(&args, client, output).await,
        DataCommand::Checkout(args) => checkout(&args, client, output).await,
        DataCommand::Delete(args) => delete(&args, client, output).await,
    }?;
    Ok(Exit::Done)
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let list: DatasetList = client.get("/api/v1/datasets").await?;
    output.result(&list, |list| {
        let rows = list.datasets.iter().map(|dataset| {
            vec![
                dataset.name.clone(),
                or_dash(dataset.latest_version),
                dataset.paths.join(" "),
                if dataset.watch { "yes" } else { "no" }.to_owned(),
            ]
        });
        table(&["dataset", "version", "files", "watched"], rows)
    })
}

async fn add(args: AddArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!("/api/v1/datasets/{}", segment(&args.name));
    let body = RegisterDataset {
        paths: args.paths,
        time: args.time,
        watch: args.watch,
    };
    let added: DatasetBody = client.put(&path, &body).await?;
    output.result(&added, |added| {
        format!("dataset {} is {}", added.name, added.paths.join(" "))
    })
}

async fn snapshot(args: SnapshotArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let mut declared = declared(client).await?;
    let names = if args.names.is_empty() {
        declared.keys().cloned().collect()
    } else {
        args.names
    };
    if names.is_empty() {
        return Err(Problem::usage("the project file names no datasets")
            .hint("name one, or add it to everloop.yaml")
            .into());
    }
    let mut taken = Vec::with_capacity(names.len());
    for name in names {
        let path = format!("/api/v1/datasets/{}", segment(&name));
        if let Some(body) = declared.remove(&name) {
            client.put::<_, DatasetBody>(&path, &body).await?;
        }
        let empty = BTreeMap::<String, String>::new();
        taken.push(
            client
                .post::<_, SnapshotBody>(&format!("{path}/versions"), &empty)
                .await?,
        );
    }
    output.result(&taken, |taken| {
        taken.iter().map(snapshot_line).collect::<Vec<_>>().join("\n")
    })
}

/// The datasets of the project file; none when there is no file to read.
async fn declared(client: &Client) -> anyhow::Result<BTreeMap<String, RegisterDataset>> {
    let document: Value = match client.get("/api/v1/project").await {
        Ok(document) => document,
        Err(error) if everloop_core::Coded::code(&error) == everloop_core::Code::FailedPrecondition => {
            return Ok(BTreeMap::new());
        }
        Err(error) => return Err(error.into()),
    };
    let project = Project::parse("project", document.to_string().as_bytes(), &|_| true)?;
    let datasets = project.datasets.into_iter().map(|(name, dataset)| {
        let body = RegisterDataset {
            paths: dataset.path.iter().map(ToString::to_string).collect(),
            time: dataset.time.map(|column| column.to_string()),
            watch: dataset.watch,
        };
        (name.to_string(), body)
    });
    Ok(datasets.collect())
}

fn snapshot_line(taken: &SnapshotBody) -> String {
    let version = &taken.version;
    let news = if taken.is_new {
        "is new"
    } else {
        "is still the newest"
    };
    format!(
        "{}@{} {news}: {} rows in {} files",
        version.dataset, version.version, version.rows, version.files
    )
}

async fn log(args: &LogArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!("/api/v1/datasets/{}/versions", segment(&args.name));
    let page: VersionPage = client
        .get(&with_query(&path, &[("limit", Some(args.limit.to_string()))]))
        .await?;
    output.result(&page.versions, |versions| {
        table(
            &["version", "taken", "rows", "files", "by", "made from"],
            versions.iter().map(version_row),
        )
    })
}

fn version_row(version: &VersionBody) -> Vec<String> {
    vec![
        version.version.to_string(),
        moment(&version.created_at),
        version.rows.to_string(),
        version.files.to_string(),
        version.actor.clone(),
        match &version.deleted_at {
            None => version.parents.join(" "),
            Some(at) => format!("deleted {}", moment(at)),
        },
    ]
}

async fn diff(args: &DiffArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!("/api/v1/datasets/{}/diff", segment(&args.name));
    let fields = [
        ("from", args.from.map(|n| n.to_string())),
        ("to", args.to.map(|n| n.to_string())),
    ];
    let diff: Value = client.get(&with_query(&path, &fields)).await?;
    output.result(&diff, show_diff)
}

fn show_diff(diff: &Value) -> String {
    let list = |key: &str| diff[key].as_array().map(Vec::as_slice).unwrap_or_default();
    let mut lines = vec![
        format!("{} -> {}", cell(&diff["from"]), cell(&diff["to"])),
        format!("rows {} -> {}", diff["rows_from"], diff["rows_to"]),
    ];
    lines.extend(
        list("files")
            .iter()
            .map(|file| format!("file {} {}", cell(&file["change"]), cell(&file["path"]))),
    );
    for change in list("schema") {
        let name = change.get("name").or_else(|| change["column"].get("name"));
        lines.push(format!(
            "column {} {}",
            cell(&change["change"]),
            name.map(cell).unwrap_or_default()
        ));
    }
    let pair = |value: &Value| match value.as_array().map(Vec::as_slice) {
        Some([from, to]) => format!("{} -> {}", figure(from), figure(to)),
        _ => "-".to_owned(),
    };
    let rows = list("columns").iter().map(|column| {
        let mut row = vec![cell(&column["name"])];
        row.extend(["null_share", "mean", "min", "max", "distinct"].map(|key| pair(&column[key])));
        row
    });
    lines.push(String::new());
    lines.push(table(
        &["column", "missing", "mean", "min", "max", "distinct"],
        rows,
    ));
    lines.join("\n")
}

/// A number to four digits, which is enough to see a change by.
fn figure(value: &Value) -> String {
    match value.as_f64() {
        Some(number) if number.fract() == 0.0 => value.to_string().trim_end_matches(".0").to_owned(),
        Some(number) => format!("{number:.4}"),
        None => cell(value),
    }
}

async fn profile(args: &ProfileArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/datasets/{}/versions/{}",
        segment(&args.name),
        segment(&args.version)
    );
    let version: VersionBody = client.get(&path).await?;
    let profile: Value = client.get(&format!("{path}/profile")).await?;
    output.result(&profile, |profile| {
        let head = format!("{}@{}: {} rows", version.dataset, version.version, version.rows);
        format!("{head}\n\n{}", profile_table(profile))
    })
}

/// The figures of each column; `--json` has all of them.
fn profile_table(profile: &Value) -> String {
    let columns = profile["columns"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let rows = columns.iter().map(|column| {
        let mut row = vec![cell(&column["name"]), cell(&column["type"])];
        row.extend(["rows", "nulls", "distinct"].map(|key| figure(&column[key])));
        row.extend(["min", "mean", "max"].map(|key| figure(&column["numbers"]["moments"][key])));
        row
    });
    table(
        &[
            "column", "type", "rows", "missing", "distinct", "min", "mean", "max",
        ],
        rows,
    )
}

async fn checkout(args: &CheckoutArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/datasets/{}/versions/{}/checkout",
        segment(&args.name),
        segment(&args.version)
    );
    let done: CheckoutBody = client.post(&path, &Checkout { force: args.force }).await?;
    output.result(&done, |done| {
        let mut lines: Vec<String> = done.written.iter().map(|path| format!("wrote {path}")).collect();
        lines.push(format!("{} files were there already", done.unchanged));
        lines.join("\n")
    })
}

async fn delete(args: &DeleteArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let path = format!(
        "/api/v1/datasets/{}/versions/{}",
        segment(&args.name),
        args.version
    );
    let version: VersionBody = client.get(&path).await?;
    if !args.yes {
        output.confirm(&format!(
            "{}@{}: {} rows in {} files can't be read any more",
            version.dataset, version.version, version.rows, version.files
        ))?;
    }
    let deleted: VersionBody = client.delete(&path).await?;
    output.result(&deleted, |deleted| {
        format!(
            "{}@{} is deleted; \"everloop admin gc\" gives back its space",
            deleted.dataset, deleted.version
        )
    })
}
