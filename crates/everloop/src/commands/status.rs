//! `everloop status`: where everything stands.

use clap::Args;
use everloop_server::api::endpoints::EndpointBody;
use everloop_server::api::project::StatusBody;

use crate::client::Client;
use crate::exit::Exit;
use crate::output::{Output, moment, or_dash, table};

/// Show where everything stands.
///
/// The datasets with their newest versions, the last pipeline run, the endpoints with who answers, and the alerts that
/// are open.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop status\n  everloop status --json")]
pub struct StatusArgs {}

/// Asks and shows.
pub async fn run(_: &StatusArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let status: StatusBody = client.get("/api/v1/status").await?;
    output.result(&status, show)?;
    Ok(Exit::Done)
}

fn show(status: &StatusBody) -> String {
    let mut parts = vec![format!("project {}", status.project)];
    if let Some(problem) = &status.project_problem {
        parts.push(format!("project file is not in use: {problem}"));
    }
    parts.push(datasets(status));
    parts.push(match &status.last_pipeline_run {
        None => "no pipeline run yet".to_owned(),
        Some(run) => format!(
            "last pipeline run: {} ({}, asked for {})",
            run.state,
            run.id,
            moment(&run.created_at)
        ),
    });
    parts.push(match status.endpoints.as_slice() {
        [] => "no endpoints yet".to_owned(),
        endpoints => endpoint_table(endpoints),
    });
    parts.push(match status.open_alerts.as_slice() {
        [] => "no open alerts".to_owned(),
        alerts => {
            let rows = alerts.iter().map(|alert| {
                vec![
                    alert.kind.clone(),
                    moment(&alert.opened_at),
                    alert.message.clone(),
                ]
            });
            table(&["alert", "since", "what"], rows)
        }
    });
    parts.join("\n\n")
}

fn datasets(status: &StatusBody) -> String {
    if status.datasets.is_empty() {
        return "no datasets yet".to_owned();
    }
    let rows = status.datasets.iter().map(|dataset| {
        let latest = dataset.latest.as_ref();
        vec![
            dataset.name.clone(),
            or_dash(latest.map(|version| version.version)),
            or_dash(latest.map(|version| version.rows)),
            or_dash(latest.map(|version| moment(&version.created_at))),
        ]
    });
    table(&["dataset", "version", "rows", "taken"], rows)
}

/// Endpoints with who answers.
pub fn endpoint_table(endpoints: &[EndpointBody]) -> String {
    let rows = endpoints.iter().map(|endpoint| {
        let routes = endpoint.routes.iter().map(|route| match route.mode.as_str() {
            "live" => format!("@{} {}%", route.version, route.percent),
            mode => format!("@{} {mode} {}%", route.version, route.percent),
        });
        let rollout = endpoint.rollout.as_ref().map(|rollout| {
            format!(
                "@{} step {} of {}",
                rollout.version,
                rollout.step + 1,
                rollout.steps.len()
            )
        });
        vec![
            endpoint.name.clone(),
            endpoint.model.clone(),
            routes.collect::<Vec<_>>().join(", "),
            or_dash(rollout),
        ]
    });
    table(&["endpoint", "model", "answers", "rollout"], rows)
}
