//! `everloop model`: registered models, their versions, and what becomes of them.

use clap::{Args, Subcommand};
use everloop_controller::Retraining;
use everloop_server::api::controller::{PromoteBody, RetrainBody, RolledBack};
use everloop_server::api::models::{Comment, ModelBody, ModelPage, ModelVersionBody, ModelVersionPage};
use serde::Serialize;
use std::fmt;
use std::str::FromStr;

use super::retrain::see_through;
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::output::{Output, moment, or_dash, table};

/// Models: versions, and which of them serves.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  everloop model list\n  everloop model promote flight-delay@4")]
pub enum ModelCommand {
    List(ListArgs),
    Show(ShowArgs),
    Promote(PromoteArgs),
    Rollback(RollbackArgs),
    Approve(ApproveArgs),
    Reject(RejectArgs),
}

impl ModelCommand {
    /// Whether the loop goes on after the answer.
    #[must_use]
    pub fn moves_the_loop(&self) -> bool {
        matches!(
            self,
            Self::Promote(_) | Self::Rollback(_) | Self::Approve(_) | Self::Reject(_)
        )
    }
}

/// List the registered models.
///
/// With where their aliases point.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop model list")]
pub struct ListArgs {}

/// Show a model with its versions, or one version.
///
/// A version is a number, an alias, or latest.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop model show flight-delay\n  everloop model show flight-delay@champion"
)]
pub struct ShowArgs {
    /// The model, as NAME or NAME@VERSION
    #[arg(value_name = "MODEL[@VERSION]")]
    model: VersionRef,
}

/// Release a version: through its gates and its rollout.
///
/// With --past-gates it is released on your word, whatever its gates say; the rollout still watches it and takes it back
/// when it does worse. Exits with 3 when it was not released.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop model promote flight-delay@4")]
pub struct PromoteArgs {
    /// The version, as NAME@VERSION
    #[arg(value_name = "MODEL@VERSION")]
    model: VersionRef,
    /// Do not ask the gates
    #[arg(long)]
    past_gates: bool,
}

/// Take the serving version, or the rollout that runs, back.
///
/// The version that served before serves again.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop model rollback flight-delay --why 'complaints from EWR'")]
pub struct RollbackArgs {
    /// Name of the model
    model: String,
    /// Why, for the ledger
    #[arg(long, default_value = "", hide_default_value = true)]
    why: String,
}

/// Say yes to a version that waits for a person's word.
///
/// The word is kept with your name and comment.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop model approve flight-delay@4 --comment 'looked at the slices'")]
pub struct ApproveArgs {
    /// The version, as NAME@VERSION
    #[arg(value_name = "MODEL@VERSION")]
    model: VersionRef,
    /// In your words
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
}

/// Say no to a version that waits for a person's word.
///
/// The word is kept with your name and comment.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop model reject flight-delay@4 --comment 'worse on small airports'"
)]
pub struct RejectArgs {
    /// The version, as NAME@VERSION
    #[arg(value_name = "MODEL@VERSION")]
    model: VersionRef,
    /// In your words
    #[arg(long, default_value = "", hide_default_value = true)]
    comment: String,
}

/// `NAME` or `NAME@VERSION`, where the version is a number, an alias or `latest`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionRef {
    /// The model.
    pub name: String,
    /// Which version, when it was said.
    pub version: Option<String>,
}

impl VersionRef {
    /// Where the version is asked for; the newest when none was said.
    #[must_use]
    pub fn path(&self) -> String {
        let version = self.version.as_deref().unwrap_or("latest");
        format!(
            "/api/v1/models/{}/versions/{}",
            segment(&self.name),
            segment(version)
        )
    }
}

impl FromStr for VersionRef {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = match text.rsplit_once('@') {
            Some((name, version)) => (name, Some(version)),
            None => (text, None),
        };
        if name.is_empty() || version.is_some_and(str::is_empty) {
            return Err("give NAME or NAME@VERSION, such as flight-delay@4".to_owned());
        }
        Ok(Self {
            name: name.to_owned(),
            version: version.map(ToOwned::to_owned),
        })
    }
}

impl fmt::Display for VersionRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.name),
            None => f.write_str(&self.name),
        }
    }
}

/// Does what is asked of models.
pub async fn run(command: ModelCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        ModelCommand::List(_) => list(client, output).await,
        ModelCommand::Show(args) => show(&args.model, client, output).await,
        ModelCommand::Promote(args) => promote(&args, client, output).await,
        ModelCommand::Rollback(args) => rollback(&args, client, output).await,
        ModelCommand::Approve(args) => say(&args.model, "approve", args.comment, client, output).await,
        ModelCommand::Reject(args) => say(&args.model, "reject", args.comment, client, output).await,
    }
}

async fn list(client: &Client, output: Output) -> anyhow::Result<Exit> {
    let page: ModelPage = client.get("/api/v1/models?limit=1000").await?;
    output.result(&page.models, |models| {
        let rows = models.iter().map(|model| {
            let aliases = model
                .aliases
                .iter()
                .map(|(alias, version)| format!("{alias}@{version}"));
            vec![
                model.name.clone(),
                aliases.collect::<Vec<_>>().join(" "),
                moment(&model.updated_at),
                model.description.clone(),
            ]
        });
        table(&["model", "aliases", "changed", "description"], rows)
    })?;
    Ok(Exit::Done)
}

/// A model with its versions.
#[derive(Debug, Serialize)]
struct Whole {
    model: ModelBody,
    versions: Vec<ModelVersionBody>,
}

async fn show(wanted: &VersionRef, client: &Client, output: Output) -> anyhow::Result<Exit> {
    if wanted.version.is_some() {
        let version: ModelVersionBody = client.get(&wanted.path()).await?;
        output.result(&version, show_version)?;
        return Ok(Exit::Done);
    }
    let path = format!("/api/v1/models/{}", segment(&wanted.name));
    let model: ModelBody = client.get(&path).await?;
    let page: ModelVersionPage = client.get(&format!("{path}/versions?limit=1000")).await?;
    output.result(
        &Whole {
            model,
            versions: page.versions,
        },
        |whole| {
            let rows = whole.versions.iter().map(|version| {
                vec![
                    version.version.to_string(),
                    version.state.clone(),
                    version.approval.clone(),
                    version.aliases.join(" "),
                    moment(&version.created_at),
                    metrics(version),
                ]
            });
            let versions = table(
                &["version", "state", "approval", "aliases", "made", "metrics"],
                rows,
            );
            let head = format!("{}\n{}", whole.model.name, whole.model.description);
            format!("{}\n\n{versions}", head.trim_end())
        },
    )?;
    Ok(Exit::Done)
}

fn metrics(version: &ModelVersionBody) -> String {
    let metrics = version.metrics.iter().map(|(name, value)| match value.as_f64() {
        Some(number) if number.fract() == 0.0 => format!("{name}={number}"),
        Some(number) => format!("{name}={number:.4}"),
        None => format!("{name}={value}"),
    });
    metrics.collect::<Vec<_>>().join(" ")
}

fn show_version(version: &ModelVersionBody) -> String {
    let datasets = version
        .datasets
        .iter()
        .map(|data| format!("{}@{} ({})", data.name, data.version, data.role));
    let fields = [
        ("version", format!("{}@{}", version.model, version.version)),
        ("state", format!("{} {}", version.state, version.state_message)),
        ("approval", version.approval.clone()),
        ("aliases", version.aliases.join(" ")),
        ("task", or_dash(version.task.as_ref())),
        ("flavor", version.flavor.clone()),
        ("metrics", metrics(version)),
        ("made from", datasets.collect::<Vec<_>>().join(" ")),
        ("run", or_dash(version.run_id.as_ref())),
        ("content", version.content.clone()),
        ("bytes", version.size_bytes.to_string()),
        (
            "made",
            format!("{} by {}", moment(&version.created_at), version.created_by),
        ),
        ("description", version.description.clone()),
    ];
    let lines = fields
        .iter()
        .map(|(name, value)| format!("{name:<12} {value}").trim_end().to_owned());
    lines.collect::<Vec<_>>().join("\n")
}

/// The number behind what was typed.
async fn number_of(wanted: &VersionRef, client: &Client) -> anyhow::Result<u64> {
    if let Some(Ok(number)) = wanted.version.as_deref().map(str::parse) {
        return Ok(number);
    }
    let version: ModelVersionBody = client.get(&wanted.path()).await?;
    Ok(version.version.into())
}

async fn promote(args: &PromoteArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/models/{}/promote", segment(&args.model.name));
    let version = number_of(&args.model, client).await?;
    let body = PromoteBody {
        version,
        past_gates: args.past_gates,
    };
    let started: Retraining = client.post(&path, &body).await?;
    see_through(started, client, output).await
}

async fn rollback(args: &RollbackArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let path = format!("/api/v1/models/{}/rollback", segment(&args.model));
    let done: RolledBack = client
        .post(
            &path,
            &RetrainBody {
                why: args.why.clone(),
            },
        )
        .await?;
    output.result(&done, |done| {
        format!("{}@{} serves again", args.model, done.version)
    })?;
    Ok(Exit::Done)
}

async fn say(
    wanted: &VersionRef,
    word: &str,
    comment: String,
    client: &Client,
    output: Output,
) -> anyhow::Result<Exit> {
    let said: ModelVersionBody = client
        .post(&format!("{}/{word}", wanted.path()), &Comment { comment })
        .await?;
    output.result(&said, |said| {
        format!("{}@{} is {}", said.model, said.version, said.approval)
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_named_by_number_or_alias() {
        let path = |text: &str| text.parse::<VersionRef>().unwrap().path();
        assert_eq!(path("m@4"), "/api/v1/models/m/versions/4");
        assert_eq!(path("m@champion"), "/api/v1/models/m/versions/champion");
        assert_eq!(path("m"), "/api/v1/models/m/versions/latest");
        for bad in ["", "@4", "m@"] {
            assert!(bad.parse::<VersionRef>().is_err(), "{bad}");
        }
    }
}
