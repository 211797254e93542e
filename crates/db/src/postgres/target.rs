//! What a `postgres://` URL says.

use std::path::PathBuf;
use std::time::Duration;

use everloop_core::{did_you_mean, parse_duration};
use percent_encoding::percent_decode_str;
use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode, TargetSessionAttrs};

/// Where a Postgres database is and how to speak with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Hosts, user, password, database. Its `Debug` hides the password.
    pub config: Config,
    pub verify: Verify,
    pub roots: Roots,
    /// All our tables are in this schema.
    pub schema: String,
    /// The most connections.
    pub pool: usize,
    /// Whether to keep a copy of the tables before migrating.
    pub snapshot: bool,
    /// No statement runs longer; migrations lift it for themselves.
    pub statement_timeout: Duration,
}

/// How much of the server's certificate is checked, as in libpq.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verify {
    /// Nothing: encrypted against listeners only (`prefer`, `require` without a root).
    Nothing,
    /// It was issued by a root we trust (`verify-ca`, `require` with a root).
    Issuer,
    /// And it is for this host (`verify-full`).
    Host,
}

/// Which roots are trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Roots {
    /// Those that browsers trust.
    Public,
    /// Those in this PEM file.
    File(PathBuf),
}

/// Options that tokio-postgres reads itself.
const PASSED_ON: [&str; 16] = [
    "user",
    "password",
    "dbname",
    "host",
    "hostaddr",
    "port",
    "application_name",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "keepalives_retries",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];

/// Options that we read.
const OURS: [&str; 6] = [
    "sslmode",
    "sslrootcert",
    "schema",
    "pool",
    "snapshot",
    "statement_timeout",
];

const DEFAULT_SCHEMA: &str = "everloop";
const DEFAULT_POOL: usize = 16;
const STATEMENT_TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A peer that vanished is noticed after this long, not after the system's fifteen minutes.
const SILENCE: Duration = Duration::from_secs(30);

impl Target {
    /// Reads a URL. Problems are told without any of its text but option names, for a slip can put the password
    /// anywhere.
    pub(crate) fn parse(url: &str) -> Result<Self, String> {
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let mut ours = Ours::default();
        let mut passed_on = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair
                .split_once('=')
                .ok_or("an option after \"?\" has no value; write name=value")?;
            if PASSED_ON.contains(&name) {
                passed_on.push(pair);
            } else {
                ours.set(name, &decode(value)?)?;
            }
        }
        let rest = if passed_on.is_empty() {
            base.to_owned()
        } else {
            format!("{base}?{}", passed_on.join("&"))
        };
        let config: Config = rest
            .parse()
            .map_err(|_| "expected postgres://USER:PASSWORD@HOST:PORT/DATABASE?OPTION=VALUE".to_owned())?;
        ours.into_target(with_defaults(config))
    }

    /// The database without its secrets: `postgres://ada@db.example:5432/everloop?schema=everloop`.
    pub(crate) fn shown(&self) -> String {
        let user = self
            .config
            .get_user()
            .map_or(String::new(), |user| format!("{user}@"));
        let ports = self.config.get_ports();
        let hosts: Vec<String> = self
            .config
            .get_hosts()
            .iter()
            .enumerate()
            .map(|(index, host)| {
                let name = match host {
                    Host::Tcp(name) => name.clone(),
                    #[cfg(unix)]
                    Host::Unix(path) => path.display().to_string(),
                };
                match ports.get(index).or(ports.first()) {
                    Some(port) => format!("{name}:{port}"),
                    None => name,
                }
            })
            .collect();
        let database = self.config.get_dbname().unwrap_or_default();
        format!(
            "postgres://{user}{}/{database}?schema={}",
            hosts.join(","),
            self.schema
        )
    }
}

/// Our options, as far as they were given.
#[derive(Default)]
struct Ours {
    ssl: Option<(SslMode, Verify)>,
    roots: Option<Roots>,
    schema: Option<String>,
    pool: Option<usize>,
    without_snapshot: bool,
    statement_timeout: Option<Duration>,
}

impl Ours {
    fn set(&mut self, name: &str, value: &str) -> Result<(), String> {
        match name {
            "sslmode" => self.ssl = Some(parse_sslmode(value)?),
            "sslrootcert" if value == "system" => self.roots = Some(Roots::Public),
            "sslrootcert" => self.roots = Some(Roots::File(PathBuf::from(value))),
            "schema" => self.schema = Some(parse_schema(value)?),
            "pool" => self.pool = Some(parse_pool(value)?),
            "snapshot" => self.without_snapshot = !parse_switch(value)?,
            "statement_timeout" => self.statement_timeout = Some(parse_timeout(value)?),
            _ => return Err(unknown(name)),
        }
        Ok(())
    }

    fn into_target(self, mut config: Config) -> Result<Target, String> {
        let (mode, mut verify) = self.ssl.unwrap_or((SslMode::Prefer, Verify::Nothing));
        // As libpq: who names a root wants it used.
        if self.roots.is_some() && verify == Verify::Nothing {
            verify = Verify::Issuer;
        }
        if verify != Verify::Nothing && mode == SslMode::Prefer {
            return Err("sslrootcert needs sslmode=require, verify-ca or verify-full".to_owned());
        }
        config.ssl_mode(mode);
        Ok(Target {
            config,
            verify,
            roots: self.roots.unwrap_or(Roots::Public),
            schema: self.schema.unwrap_or_else(|| DEFAULT_SCHEMA.to_owned()),
            pool: self.pool.unwrap_or(DEFAULT_POOL),
            snapshot: !self.without_snapshot,
            statement_timeout: self.statement_timeout.unwrap_or(STATEMENT_TIMEOUT),
        })
    }
}

fn with_defaults(mut config: Config) -> Config {
    if config.get_connect_timeout().is_none() {
        config.connect_timeout(CONNECT_TIMEOUT);
    }
    if config.get_tcp_user_timeout().is_none() {
        config.tcp_user_timeout(SILENCE);
    }
    if config.get_application_name().is_none() {
        config.application_name("everloop");
    }
    if config.get_target_session_attrs() == TargetSessionAttrs::Any {
        // With several hosts, or behind a name that moves, a standby must not be taken for the primary.
        config.target_session_attrs(TargetSessionAttrs::ReadWrite);
    }
    config.keepalives_idle(SILENCE);
    config
}

fn decode(value: &str) -> Result<String, String> {
    let text = percent_decode_str(value).decode_utf8();
    text.map(|text| text.into_owned())
        .map_err(|_| "an option's value is not UTF-8".to_owned())
}

fn parse_sslmode(value: &str) -> Result<(SslMode, Verify), String> {
    match value {
        "disable" => Ok((SslMode::Disable, Verify::Nothing)),
        "prefer" => Ok((SslMode::Prefer, Verify::Nothing)),
        "require" => Ok((SslMode::Require, Verify::Nothing)),
        "verify-ca" => Ok((SslMode::Require, Verify::Issuer)),
        "verify-full" => Ok((SslMode::Require, Verify::Host)),
        _ => Err("sslmode is one of disable, prefer, require, verify-ca, verify-full".to_owned()),
    }
}

/// A schema's name stands in statements as it is, so it is kept simple.
fn parse_schema(value: &str) -> Result<String, String> {
    let starts_well = value.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    let is_simple = value
        .bytes()
        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // Room for the endings of snapshots within Postgres's 63 bytes.
    if starts_well && is_simple && value.len() <= 40 && !value.starts_with("pg_") {
        Ok(value.to_owned())
    } else {
        Err("schema takes up to 40 of a-z, 0-9 and \"_\", not starting with a digit or \"pg_\"".to_owned())
    }
}

fn parse_pool(value: &str) -> Result<usize, String> {
    match value.parse() {
        Ok(size) if (1..=1_000).contains(&size) => Ok(size),
        _ => Err("pool is a number of connections from 1 to 1000".to_owned()),
    }
}

fn parse_switch(value: &str) -> Result<bool, String> {
    match value {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err("snapshot is on or off".to_owned()),
    }
}

fn parse_timeout(value: &str) -> Result<Duration, String> {
    match parse_duration(value) {
        Ok(span) if !span.is_zero() => Ok(span),
        _ => Err("statement_timeout is a span such as 30s".to_owned()),
    }
}

fn unknown(name: &str) -> String {
    // A piece of a password can stand here after an unescaped "?", so the name is not repeated.
    match did_you_mean(name, OURS.iter().chain(&PASSED_ON).copied()) {
        Some(hint) if hint.starts_with("did you mean") => {
            format!("it has an option that is not known; {hint}")
        }
        _ => "it has an option that is not known (write \"?\" in a password as %3F)".to_owned(),
    }
}
