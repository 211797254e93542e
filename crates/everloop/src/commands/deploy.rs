//! `everloop deploy`: a version behind an endpoint, at once.

use clap::Args;
use everloop_server::api::endpoints::{Deploy, EndpointBody};
use everloop_server::api::models::ModelVersionBody;

use super::model::VersionRef;
use super::status::endpoint_table;
use crate::client::{Client, segment};
use crate::exit::Exit;
use crate::output::Output;

/// Let one version answer everything at an endpoint, now and without gates.
///
/// The loop releases versions by itself, through gates and a rollout; this is for the rest. The endpoint is made when it
/// is not there.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop deploy flight-delay flight-delay@4\n  everloop deploy try flight-delay@latest"
)]
pub struct DeployArgs {
    /// Name of the endpoint
    endpoint: String,
    /// The version, as NAME@VERSION; the newest when none is given
    #[arg(value_name = "MODEL[@VERSION]")]
    model: VersionRef,
}

/// Routes everything to the version.
pub async fn run(args: &DeployArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let version: ModelVersionBody = client.get(&args.model.path()).await?;
    let body = Deploy {
        model: version.model,
        version: version.version,
    };
    let path = format!("/api/v1/endpoints/{}", segment(&args.endpoint));
    let endpoint: EndpointBody = client.put(&path, &body).await?;
    output.result(&endpoint, |endpoint| {
        endpoint_table(std::slice::from_ref(endpoint))
    })?;
    Ok(Exit::Done)
}
