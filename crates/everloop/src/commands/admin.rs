//! `everloop admin`: tokens, the ledger's chain, backups, space.

use clap::{Args, Subcommand};
use everloop_server::api::Done;
use everloop_server::api::ledger::VerificationBody;
use everloop_server::api::tokens::{CreateToken, CreatedToken, TokenList};

use super::backup::{self, BackupArgs, RestoreArgs};
use super::gc::{self, GcArgs};
use crate::client::{Client, segment};
use crate::context::{Context, Needs};
use crate::exit::Exit;
use crate::output::{Output, moment, or_dash, table};

/// Administration: tokens, the ledger's chain, backups, space.
#[derive(Debug, Subcommand)]
#[command(
    after_help = "Example:\n  everloop admin token create ci --role editor --lifetime 90d\n  everloop admin verify"
)]
pub enum AdminCommand {
    #[command(subcommand)]
    Token(TokenCommand),
    Verify(VerifyArgs),
    Backup(BackupArgs),
    Restore(RestoreArgs),
    Gc(GcArgs),
}

/// Tokens: who else may use the server.
#[derive(Debug, Subcommand)]
#[command(after_help = "Example:\n  everloop admin token list")]
pub enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token and show its secret once.
///
/// Roles: viewer reads, client predicts and sends feedback, stage writes one run, editor changes the project, approver
/// says yes to releases, admin does everything. Commands read the secret from EVERLOOP_TOKEN.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin token create ci --role editor --lifetime 90d")]
pub struct CreateArgs {
    /// Says who will use it
    label: String,
    /// viewer, client, stage, editor, approver or admin
    #[arg(long)]
    role: String,
    /// Limit it to one project
    #[arg(long)]
    project: Option<String>,
    /// How long it lives, such as 30d [default: until revoked]
    #[arg(long)]
    lifetime: Option<String>,
}

/// List the tokens, never their secrets.
///
/// Revoked and expired ones too.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin token list --json")]
pub struct ListArgs {}

/// Revoke a token at once.
///
/// The last admin token can't be revoked.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin token revoke 3f9a1c")]
pub struct RevokeArgs {
    /// The token's id, as the list shows it
    id: String,
}

/// Verify that the ledger is as it was written.
///
/// Checks every row against the row before it and against the anchors beside the store. Names the first row that was edited, deleted, moved or cut off. Exits with 3 when one was.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop admin verify")]
pub struct VerifyArgs {}

/// Administers.
pub async fn run(command: &AdminCommand, context: &Context) -> anyhow::Result<Exit> {
    let output = context.output;
    match command {
        AdminCommand::Backup(args) => backup::backup(args, context).await,
        AdminCommand::Restore(args) => backup::restore(args, context).await,
        AdminCommand::Gc(args) => {
            context
                .ask(Needs::Stores, async |client| gc::run(args, client, output).await)
                .await
        }
        AdminCommand::Verify(_) => {
            context
                .ask(Needs::Stores, async |client| verify(client, output).await)
                .await
        }
        AdminCommand::Token(command) => {
            context
                .ask(Needs::Stores, async |client| token(command, client, output).await)
                .await
        }
    }
}

async fn verify(client: &Client, output: Output) -> anyhow::Result<Exit> {
    let found: VerificationBody = client.get("/api/v1/ledger/verification").await?;
    output.result(&found, |found| match &found.problem {
        None => format!("the ledger holds: {} rows, {} anchors", found.rows, found.anchors),
        Some(problem) => format!(
            "the ledger does not hold: {problem}\n{} rows before it do",
            found.rows
        ),
    })?;
    Ok(if found.ok { Exit::Done } else { Exit::Refused })
}

async fn token(command: &TokenCommand, client: &Client, output: Output) -> anyhow::Result<Exit> {
    match command {
        TokenCommand::Create(args) => create(args, client, output).await,
        TokenCommand::List(_) => list(client, output).await,
        TokenCommand::Revoke(args) => revoke(args, client, output).await,
    }?;
    Ok(Exit::Done)
}

async fn create(args: &CreateArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let body = CreateToken {
        label: args.label.clone(),
        role: args.role.clone(),
        project: args.project.clone(),
        lifetime: args.lifetime.clone(),
    };
    let created: CreatedToken = client.post("/api/v1/tokens", &body).await?;
    output.note(&format!(
        "token {} for {}; its secret is shown only now",
        created.token.id, created.token.label
    ));
    output.result(&created, |created| created.secret.clone())
}

async fn list(client: &Client, output: Output) -> anyhow::Result<()> {
    let list: TokenList = client.get("/api/v1/tokens").await?;
    output.result(&list.tokens, |tokens| {
        let rows = tokens.iter().map(|token| {
            vec![
                token.id.clone(),
                token.label.clone(),
                token.role.clone(),
                token.scope.clone(),
                moment(&token.created_at),
                or_dash(token.expires_at.as_ref().map(moment)),
                or_dash(token.revoked_at.as_ref().map(moment)),
            ]
        });
        table(
            &["id", "label", "role", "good for", "made", "ends", "revoked"],
            rows,
        )
    })
}

async fn revoke(args: &RevokeArgs, client: &Client, output: Output) -> anyhow::Result<()> {
    let done: Done = client
        .delete(&format!("/api/v1/tokens/{}", segment(&args.id)))
        .await?;
    output.result(&done, |_| format!("token {} is revoked", args.id))
}
