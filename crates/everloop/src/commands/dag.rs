//! `everloop dag`: the stages and what they wait for.

use anyhow::anyhow;
use clap::Args;
use everloop_project::Project;
use serde::Serialize;
use serde_json::Value;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;

/// Show the stages and what they wait for.
///
/// One line a stage, in an order in which they can run; stages on the same level can run at the same time.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop dag\n  everloop dag --json")]
pub struct DagArgs {}

/// A stage in the graph.
#[derive(Debug, Serialize)]
struct Node {
    stage: String,
    /// 0 waits for nothing; each level waits for some of the one before.
    level: usize,
    waits_for: Vec<String>,
    desc: Option<String>,
}

/// Asks for the project and shows its graph.
pub async fn run(_: &DagArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let document: Value = client.get("/api/v1/project").await?;
    // What the server calls valid is read again here; the files it names lie with the server.
    let project = Project::parse("project", document.to_string().as_bytes(), &|_| true)?;
    let nodes = nodes(&project)?;
    output.result(&nodes, |nodes| {
        if nodes.is_empty() {
            return "the project has no stages".to_owned();
        }
        nodes.iter().map(line).collect::<Vec<_>>().join("\n")
    })?;
    Ok(Exit::Done)
}

fn nodes(project: &Project) -> anyhow::Result<Vec<Node>> {
    let graph = project.graph().map_err(|cycles| {
        anyhow!(
            "stages wait for each other: {}",
            cycles.first().map(ToString::to_string).unwrap_or_default()
        )
    })?;
    let levels = graph.levels();
    let levels = levels.iter().enumerate();
    let nodes = levels.flat_map(|(level, stages)| {
        stages
            .iter()
            .map(move |stage| (level, *stage))
            .collect::<Vec<_>>()
    });
    Ok(nodes
        .map(|(level, stage)| Node {
            stage: stage.to_string(),
            level,
            waits_for: graph.before(stage).map(ToString::to_string).collect(),
            desc: project.stages.get(stage).and_then(|stage| stage.desc.clone()),
        })
        .collect())
}

fn line(node: &Node) -> String {
    let indent = "  ".repeat(node.level);
    let waits = if node.waits_for.is_empty() {
        String::new()
    } else {
        format!(" <- {}", node.waits_for.join(", "))
    };
    format!("{indent}{}{waits}", node.stage)
}
