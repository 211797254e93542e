//! One typed tree of settings: defaults, then `config.toml` in the home folder, then the environment, then flags;
//! later wins, and `everloop config show` says where each value came from.
//!
//! Every setting is declared once, in [`SETTINGS`]. Secrets are not settings: they are read from a variable or a
//! file and never shown.

use everloop_core::{ByteSize, Code, Coded, did_you_mean, parse_duration};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// A lease is renewed three times in its life; a busy machine must get round to that.
const SHORTEST_LEASE: Duration = Duration::from_secs(1);

/// One setting: its key in the file, its variable, its default and what it does.
#[derive(Debug)]
pub struct Setting {
    /// The dotted key in `config.toml`.
    pub key: &'static str,
    /// The environment variable.
    pub variable: &'static str,
    /// The default that works on a laptop; empty means unset.
    pub default: &'static str,
    /// What it does.
    pub doc: &'static str,
    /// Whether its value may hold a password, which is masked wherever it is shown.
    pub is_secret: bool,
}

const fn setting(
    key: &'static str,
    variable: &'static str,
    default: &'static str,
    doc: &'static str,
) -> Setting {
    Setting {
        key,
        variable,
        default,
        doc,
        is_secret: false,
    }
}

/// Every setting there is, but `home` itself, which says where the file lies.
pub const SETTINGS: &[Setting] = &[
    Setting {
        key: "db",
        variable: "EVERLOOP_DB",
        default: "",
        doc: "Metadata database: sqlite:PATH or postgres://...; unset means sqlite:HOME/everloop.db",
        is_secret: true,
    },
    setting(
        "store",
        "EVERLOOP_STORE",
        "",
        "Object store: a folder, s3://..., gs://... or az://...; unset means HOME/objects",
    ),
    setting(
        "engine",
        "EVERLOOP_ENGINE",
        "",
        "Where queries, profiles and checks of data run: local, or ballista://HOST:PORT; unset means local",
    ),
    setting(
        "listen",
        "EVERLOOP_LISTEN",
        "127.0.0.1:5000",
        "Address that the server binds; port 0 picks a free one",
    ),
    setting(
        "tls.certificate",
        "EVERLOOP_TLS_CERTIFICATE",
        "",
        "PEM certificate chain of the server",
    ),
    setting("tls.key", "EVERLOOP_TLS_KEY", "", "PEM private key of the server"),
    setting(
        "tls.ca",
        "EVERLOOP_CA_FILE",
        "",
        "PEM certificates that commands trust beside the public ones when they ask the server of EVERLOOP_URL",
    ),
    setting(
        "threads",
        "EVERLOOP_THREADS",
        "",
        "Threads for queries, training and hashing; unset means one per core",
    ),
    setting(
        "memory",
        "EVERLOOP_MEMORY",
        "2GiB",
        "Memory that queries may use before they spill to disk",
    ),
    setting(
        "stages",
        "EVERLOOP_STAGES",
        "",
        "Stages that run at the same time; unset means one per core",
    ),
    setting(
        "lease",
        "EVERLOOP_LEASE",
        "15s",
        "How long the pipeline runs of a server that died wait until another one takes them over; 1s at least",
    ),
    setting(
        "log",
        "EVERLOOP_LOG",
        "warn,everloop=info",
        "What is logged, in tracing's filter syntax",
    ),
    setting("log_format", "EVERLOOP_LOG_FORMAT", "text", "text or json"),
    setting(
        "webhooks.allow",
        "EVERLOOP_WEBHOOKS_ALLOW",
        "",
        "What webhooks may reach beyond public https: http, private",
    ),
];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// Built in.
    Default,
    /// `config.toml`, at this line.
    File(usize),
    /// The setting's variable.
    Environment,
    /// A flag of this command.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(line) => write!(f, "config.toml:{line}"),
            Self::Environment => f.write_str("environment"),
            Self::Flag => f.write_str("flag"),
        }
    }
}

/// What is wrong with the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file can't be read.
    #[error("can't read \"{}\"", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("{message}")]
    Syntax {
        /// Where.
        place: String,
        /// What the parser said.
        message: String,
    },
    /// A key that nobody reads.
    #[error("unknown setting \"{key}\"")]
    Unknown {
        /// Where.
        place: String,
        /// The key.
        key: String,
    },
    /// A value that does not parse.
    #[error("setting \"{key}\" is \"{found}\": expected {expected}")]
    Value {
        /// The setting.
        key: &'static str,
        /// Its value.
        found: String,
        /// What it should look like.
        expected: &'static str,
        /// Where the value came from.
        origin: Origin,
    },
}

impl Coded for ConfigError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }

    fn location(&self) -> Option<String> {
        match self {
            Self::Syntax { place, .. } | Self::Unknown { place, .. } => Some(place.clone()),
            Self::Value { origin, .. } => Some(origin.to_string()),
            Self::Read { .. } => None,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { key, .. } => did_you_mean(key, SETTINGS.iter().map(|setting| setting.key)),
            Self::Value { .. } => {
                Some("\"everloop config show\" lists every setting with its origin".to_owned())
            }
            Self::Read { .. } | Self::Syntax { .. } => None,
        }
    }
}

/// A value with its origin.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// The text; empty means unset.
    pub text: String,
    /// Where it came from.
    pub origin: Origin,
}

/// All settings of this process.
#[derive(Debug, Clone)]
pub struct Config {
    home: PathBuf,
    values: BTreeMap<&'static str, Resolved>,
}

impl Config {
    /// Reads the settings of `home`; `flags` are pairs of a key and a value given on the command line.
    ///
    /// # Errors
    /// When the file can't be read or names a setting that does not exist.
    pub fn load(
        home: &Path,
        variables: &dyn Fn(&str) -> Option<String>,
        flags: &[(&'static str, String)],
    ) -> Result<Self, ConfigError> {
        let file = read_file(&home.join("config.toml"))?;
        let values = SETTINGS
            .iter()
            .map(|setting| {
                let flag = flags.iter().find(|(key, _)| *key == setting.key);
                let resolved = if let Some((_, text)) = flag {
                    Resolved {
                        text: text.clone(),
                        origin: Origin::Flag,
                    }
                } else if let Some(text) = variables(setting.variable) {
                    Resolved {
                        text,
                        origin: Origin::Environment,
                    }
                } else if let Some(found) = file.get(setting.key) {
                    found.clone()
                } else {
                    Resolved {
                        text: setting.default.to_owned(),
                        origin: Origin::Default,
                    }
                };
                (setting.key, resolved)
            })
            .collect();
        Ok(Self {
            home: home.to_owned(),
            values,
        })
    }

    /// The folder of the embedded database, objects and settings.
    #[must_use]
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The text of a setting; none when it is unset.
    #[must_use]
    pub fn text(&self, key: &'static str) -> Option<&str> {
        self.values
            .get(key)
            .map(|found| found.text.as_str())
            .filter(|text| !text.is_empty())
    }

    /// Where a setting's value came from.
    #[must_use]
    pub fn origin(&self, key: &'static str) -> &Origin {
        self.values
            .get(key)
            .map_or(&Origin::Default, |found| &found.origin)
    }

    /// A setting read as `T`; none when it is unset.
    ///
    /// # Errors
    /// [`ConfigError::Value`] when its text is not `expected`.
    pub fn parsed<T: std::str::FromStr>(
        &self,
        key: &'static str,
        expected: &'static str,
    ) -> Result<Option<T>, ConfigError> {
        let Some(text) = self.text(key) else {
            return Ok(None);
        };
        text.parse().map(Some).map_err(|_| ConfigError::Value {
            key,
            found: text.to_owned(),
            expected,
            origin: self.origin(key).clone(),
        })
    }

    /// Memory that queries may use.
    ///
    /// # Errors
    /// When the setting is not a size.
    pub fn memory(&self) -> Result<ByteSize, ConfigError> {
        Ok(self
            .parsed("memory", "a size such as 2GiB")?
            .unwrap_or(ByteSize(2 << 30)))
    }

    /// How long a dead server's work waits until it is taken over.
    ///
    /// # Errors
    /// When the setting is not a time, or too short to be renewed in.
    pub fn lease(&self) -> Result<Duration, ConfigError> {
        let text = self.text("lease").unwrap_or("15s");
        let span = parse_duration(text).ok().filter(|span| *span >= SHORTEST_LEASE);
        span.ok_or_else(|| ConfigError::Value {
            key: "lease",
            found: text.to_owned(),
            expected: "a time of at least 1s, such as 15s",
            origin: self.origin("lease").clone(),
        })
    }

    /// Each setting with its value (secrets masked) and origin, in the order of [`SETTINGS`].
    pub fn iter(&self) -> impl Iterator<Item = (&'static Setting, String, &Origin)> {
        SETTINGS.iter().filter_map(|setting| {
            let found = self.values.get(setting.key)?;
            let shown = if setting.is_secret {
                mask_password(&found.text)
            } else {
                found.text.clone()
            };
            Some((setting, shown, &found.origin))
        })
    }
}

/// `postgres://user:***@host/db`.
fn mask_password(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let Some((credentials, host)) = rest.rsplit_once('@') else {
        return url.to_owned();
    };
    let user = credentials.split(':').next().unwrap_or_default();
    format!("{scheme}://{user}:***@{host}")
}

fn read_file(path: &Path) -> Result<BTreeMap<String, Resolved>, ConfigError> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(BTreeMap::new()),
        Err(source) => {
            return Err(ConfigError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let table: toml::Table = toml::from_str(&text).map_err(|error: toml::de::Error| {
        let line = error.span().map_or(1, |span| line_of(&text, span.start));
        ConfigError::Syntax {
            place: format!("{}:{line}", path.display()),
            message: error.message().to_owned(),
        }
    })?;
    let mut flat = BTreeMap::new();
    flatten("", &table, &mut flat);
    let mut found = BTreeMap::new();
    for (key, value) in flat {
        let line = key_line(&text, &key);
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            return Err(ConfigError::Unknown {
                place: format!("{}:{line}", path.display()),
                key,
            });
        }
        found.insert(
            key,
            Resolved {
                text: value,
                origin: Origin::File(line),
            },
        );
    }
    Ok(found)
}

fn flatten(prefix: &str, table: &toml::Table, into: &mut BTreeMap<String, String>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}.{name}")
        };
        match value {
            toml::Value::Table(inner) => flatten(&key, inner, into),
            toml::Value::String(text) => {
                into.insert(key, text.clone());
            }
            other => {
                into.insert(key, other.to_string());
            }
        }
    }
}

/// The line that sets `key`: its last part before an equals sign.
fn key_line(text: &str, key: &str) -> usize {
    let name = key.rsplit('.').next().unwrap_or(key);
    text.lines()
        .position(|line| {
            line.split('=')
                .next()
                .is_some_and(|left| left.trim().trim_matches('"').ends_with(name))
        })
        .map_or(1, |at| at + 1)
}

fn line_of(text: &str, at: usize) -> usize {
    text.as_bytes()
        .iter()
        .take(at)
        .filter(|&&byte| byte == b'\n')
        .count()
        + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(
        file: &str,
        variables: &[(&str, &str)],
        flags: &[(&'static str, String)],
    ) -> Result<Config, ConfigError> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.toml"), file).unwrap();
        let lookup = |name: &str| {
            variables
                .iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::load(home.path(), &lookup, flags)
    }

    #[test]
    fn flags_beat_variables_beat_the_file_beats_defaults() {
        let file = "memory = \"1GiB\"\nstages = 3\n[tls]\nkey = \"k.pem\"\n";
        let config = load(
            file,
            &[("EVERLOOP_STAGES", "4")],
            &[("listen", "[::1]:0".to_owned())],
        )
        .unwrap();
        let origin = |key: &str| {
            config
                .iter()
                .find(|(setting, _, _)| setting.key == key)
                .unwrap()
                .2
                .clone()
        };
        assert_eq!(config.memory().unwrap(), ByteSize(1 << 30));
        assert_eq!(origin("memory"), Origin::File(1));
        assert_eq!(origin("tls.key"), Origin::File(4));
        assert_eq!(origin("stages"), Origin::Environment);
        assert_eq!(config.parsed::<u32>("stages", "a number").unwrap(), Some(4));
        assert_eq!(origin("listen"), Origin::Flag);
        assert_eq!(origin("log"), Origin::Default);
    }

    #[test]
    fn unknown_keys_are_refused_with_line_and_nearest_name() {
        let error = load("log = \"info\"\nmemry = \"1GiB\"\n", &[], &[]).unwrap_err();
        assert!(error.location().unwrap().ends_with("config.toml:2"));
        assert_eq!(error.hint().unwrap(), "did you mean \"memory\"?");
    }

    #[test]
    fn a_lease_too_short_to_be_renewed_is_refused() {
        let lease = |text: &str| load("", &[("EVERLOOP_LEASE", text)], &[]).unwrap().lease();
        assert_eq!(
            load("", &[], &[]).unwrap().lease().unwrap(),
            Duration::from_secs(15)
        );
        assert_eq!(lease("1m").unwrap(), Duration::from_secs(60));
        for bad in ["500ms", "soon", "0s"] {
            let error = lease(bad).unwrap_err();
            assert!(error.to_string().contains("at least 1s"), "{error}");
        }
    }

    #[test]
    fn passwords_are_masked() {
        let config = load("", &[("EVERLOOP_DB", "postgres://ada:secret@db/loop")], &[]).unwrap();
        let shown: Vec<String> = config.iter().map(|(_, text, _)| text).collect();
        assert!(shown.contains(&"postgres://ada:***@db/loop".to_owned()));
        assert!(!shown.iter().any(|text| text.contains("secret")));
    }
}
