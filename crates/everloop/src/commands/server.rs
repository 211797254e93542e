//! `everloop server`: everything over HTTP, with the loops that keep going by themselves.

use clap::Args;
use everloop_access::{NewToken, Role, TokenScope};
use everloop_core::{Actor, Clock, Code};
use everloop_server::{App, Listener, Mode, Tls, router, serve};
use std::net::SocketAddr;

use crate::config::Config;
use crate::context::{Context, login};
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Serve the project: the API, predictions, and the loop that goes on by itself.
///
/// On a loopback address whoever reaches the server is the person at this machine. On any other address every request
/// needs a token: the first start makes an admin token and prints it once, and TLS is needed unless --insecure says that
/// something else protects the connection. Prints one line with its address when it answers.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop server\n  everloop server --listen 127.0.0.1:0 --db postgres://ever@db/loop --store s3://bucket/loop"
)]
pub struct ServerArgs {
    /// Address to bind; port 0 picks a free one [default: 127.0.0.1:5000]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<String>,
    /// Metadata database: sqlite:PATH or postgres://... [default: SQLite in the home folder]
    #[arg(long, value_name = "URL")]
    db: Option<String>,
    /// Object store: a folder, s3://..., gs://... or az://... [default: a folder in the home folder]
    #[arg(long, value_name = "URL")]
    store: Option<String>,
    /// PEM certificate chain
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<String>,
    /// PEM private key
    #[arg(long, value_name = "FILE")]
    tls_key: Option<String>,
    /// What webhooks may reach beyond public https: http, private
    #[arg(long, value_name = "LIST")]
    webhooks_allow: Option<String>,
    /// Serve other machines without TLS
    #[arg(long)]
    insecure: bool,
}

impl ServerArgs {
    /// The settings that these flags set.
    #[must_use]
    pub fn settings(&self) -> Vec<(&'static str, String)> {
        let flags = [
            ("listen", &self.listen),
            ("db", &self.db),
            ("store", &self.store),
            ("tls.certificate", &self.tls_certificate),
            ("tls.key", &self.tls_key),
            ("webhooks.allow", &self.webhooks_allow),
        ];
        flags
            .into_iter()
            .filter_map(|(key, value)| Some((key, value.clone()?)))
            .collect()
    }
}

/// Serves until told to stop, then drains.
pub async fn run(args: &ServerArgs, context: &Context) -> anyhow::Result<Exit> {
    let tls = tls(&context.config)?;
    let address = address(&context.config).await?;
    let mode = mode(address, tls.is_some() || args.insecure)?;
    let options = context.app_options(mode.clone(), Clock::system())?;
    let app = App::open(options, context.project_name()?).await?;
    let listener = Listener::bind(address, tls.as_ref(), app.clock().wall()).await?;
    if mode == Mode::Tokens {
        ensure_admin(&app, context.output).await?;
    }
    let url = listener.url();
    app.listening_at(&url);
    let background = app.start();
    // Whoever reads the line may tell us to stop at once.
    let mut signals = Signals::listen()?;
    context.output.line(&format!("everloop listening on {url}"))?;
    let stop = app.stopping();
    let served = {
        let serving = serve(listener, router(&app), stop.clone());
        tokio::pin!(serving);
        tokio::select! {
            served = &mut serving => served,
            () = signals.next() => {
                stop.cancel();
                context.output.note("stopping: open requests are answered; interrupt again to end at once");
                tokio::select! {
                    served = &mut serving => served,
                    () = signals.next() => return Ok(Exit::Interrupted),
                }
            }
        }
    };
    background.stop().await;
    app.db().close().await;
    served?;
    Ok(Exit::Done)
}

/// What tells a server to stop: Ctrl-C, and a service manager's SIGTERM.
#[cfg(unix)]
pub(super) struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    pub(super) async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// What tells a server to stop: Ctrl-C.
#[cfg(windows)]
pub(super) struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    pub(super) fn listen() -> std::io::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    pub(super) async fn next(&mut self) {
        let _ = self.0.recv().await;
    }
}

fn tls(config: &Config) -> Result<Option<Tls>, Problem> {
    match (config.text("tls.certificate"), config.text("tls.key")) {
        (None, None) => Ok(None),
        (Some(certificate), Some(key)) => Ok(Some(Tls {
            certificate: certificate.into(),
            key: key.into(),
        })),
        (Some(_), None) => Err(Problem::usage("a certificate without its key").hint("give --tls-key too")),
        (None, Some(_)) => {
            Err(Problem::usage("a key without its certificate").hint("give --tls-certificate too"))
        }
    }
}

async fn address(config: &Config) -> Result<SocketAddr, Problem> {
    let text = config.text("listen").unwrap_or("127.0.0.1:5000");
    let wrong = || {
        Problem::usage(format!("can't listen on \"{text}\""))
            .hint("give ADDRESS:PORT, such as 127.0.0.1:5000")
    };
    let mut found = tokio::net::lookup_host(text).await.map_err(|_| wrong())?;
    found.next().ok_or_else(wrong)
}

/// Loopback is for the person at this machine; anything else asks for tokens, on a connection that can't be read.
fn mode(address: SocketAddr, is_protected: bool) -> Result<Mode, Problem> {
    if address.ip().is_loopback() {
        return Ok(Mode::Local { login: login() });
    }
    if is_protected {
        return Ok(Mode::Tokens);
    }
    Err(Problem::new(
        Code::InvalidArgument,
        format!("{address} is reached by other machines, and tokens would travel in the clear"),
    )
    .hint(
        "give --tls-certificate and --tls-key, or --insecure when a proxy or tunnel protects the connection",
    ))
}

/// The first start makes the token that all others are made with.
async fn ensure_admin(app: &App, output: Output) -> anyhow::Result<()> {
    if app.tokens().has_admin().await? {
        return Ok(());
    }
    let new = NewToken {
        label: "admin".to_owned(),
        role: Role::Admin,
        scope: TokenScope::Everything,
        lifetime: None,
    };
    let (_, secret) = app.tokens().create(&Actor::system("first-start"), new).await?;
    output.line(&format!(
        "everloop admin token, shown only now: {}",
        secret.reveal()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn other_machines_need_tokens_and_tls() {
        let open: SocketAddr = "0.0.0.0:5000".parse().unwrap();
        assert!(mode(open, false).is_err());
        assert_eq!(mode(open, true).unwrap(), Mode::Tokens);
        for own in ["127.0.0.1:0", "[::1]:5000"] {
            assert!(
                matches!(mode(own.parse().unwrap(), false), Ok(Mode::Local { .. })),
                "{own}"
            );
        }
    }
}
