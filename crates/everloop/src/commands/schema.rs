//! `everloop schema`: the grammar of the project file, for editors.

use clap::Args;
use everloop_project::schema;

use crate::exit::Exit;
use crate::output::Output;

/// Print the JSON Schema of everloop.yaml.
///
/// Editors complete and check the file with it. With --suite the schema of a file with checks.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop schema > everloop.schema.json")]
pub struct SchemaArgs {
    /// The schema of a file with checks
    #[arg(long)]
    suite: bool,
}

/// Prints the schema; it is JSON with or without `--json`.
pub fn run(args: &SchemaArgs, output: Output) -> anyhow::Result<Exit> {
    let schema = if args.suite {
        schema::suite()
    } else {
        schema::project()
    };
    output.line(&serde_json::to_string_pretty(&schema)?)?;
    Ok(Exit::Done)
}
