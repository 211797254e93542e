//! Where a store lies, and the settings that reach it.

use crate::{Error, Result};
use everloop_core::Ids;
use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use url::Url;

/// Schemes of object stores; anything else with `://` is refused.
const SCHEMES: [&str; 7] = ["s3", "s3a", "gs", "az", "azure", "abfs", "abfss"];

/// Words that mark an option as a credential, which must not stand in an address: addresses end up in logs.
const SECRET_WORDS: [&str; 8] = [
    "secret",
    "token",
    "password",
    "access_key",
    "account_key",
    "sas",
    "credential",
    "service_account",
];

/// The address of a store: a folder, or `s3://bucket/prefix`, `gs://bucket/prefix`, `az://container/prefix`.
///
/// Options may follow an object store's address as a query, by the names `object_store` knows:
/// `s3://bucket/prefix?endpoint=http://127.0.0.1:9000&allow_http=true&region=eu-west-1`. Credentials may not; they
/// come through [`Options`]. Printing shows neither.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl {
    pub(crate) place: Place,
    pub(crate) settings: BTreeMap<String, String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Place {
    Folder(PathBuf),
    Bucket(Url),
}

impl StoreUrl {
    /// The store in a local folder.
    #[must_use]
    pub fn folder(path: impl Into<PathBuf>) -> Self {
        Self {
            place: Place::Folder(path.into()),
            settings: BTreeMap::new(),
        }
    }

    /// The folder, when the store is one.
    #[must_use]
    pub fn as_folder(&self) -> Option<&Path> {
        match &self.place {
            Place::Folder(path) => Some(path),
            Place::Bucket(_) => None,
        }
    }
}

impl FromStr for StoreUrl {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        if text.trim().is_empty() {
            return Err(invalid(text, "it is empty"));
        }
        if !text.contains("://") {
            return Ok(Self::folder(text));
        }
        let mut url = Url::parse(text).map_err(|error| invalid(text, &error.to_string()))?;
        if url.scheme() == "file" {
            let path = url
                .to_file_path()
                .map_err(|()| invalid(text, "it is not a local path"))?;
            return Ok(Self::folder(path));
        }
        if !SCHEMES.contains(&url.scheme()) {
            return Err(invalid(
                text,
                &format!("\"{}\" is not a known scheme", url.scheme()),
            ));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid(text, "the bucket is missing"));
        }
        // abfss://container@account.dfs.core.windows.net names its container there.
        let has_user = !url.username().is_empty() && !url.scheme().starts_with("abfs");
        if has_user || url.password().is_some() {
            return Err(invalid(text, "credentials do not belong in an address"));
        }
        let settings = query_settings(text, &url)?;
        url.set_query(None);
        url.set_fragment(None);
        Ok(Self {
            place: Place::Bucket(url),
            settings,
        })
    }
}

/// The options in the query of an address.
fn query_settings(text: &str, url: &Url) -> Result<BTreeMap<String, String>> {
    let mut settings = BTreeMap::new();
    for (key, value) in url.query_pairs() {
        let key = key.to_ascii_lowercase();
        if SECRET_WORDS.iter().any(|word| key.contains(word)) {
            return Err(invalid(
                text,
                &format!("\"{key}\" is a credential and does not belong in an address"),
            ));
        }
        settings.insert(key, value.into_owned());
    }
    Ok(settings)
}

fn invalid(text: &str, problem: &str) -> Error {
    // What follows the query mark or stands before an `@` may be a secret.
    let shown = text.split(['?', '#']).next().unwrap_or_default();
    let shown = match shown.split_once("://") {
        Some((scheme, rest)) => match rest.rsplit_once('@') {
            Some((_, host)) => format!("{scheme}://***@{host}"),
            None => shown.to_owned(),
        },
        None => shown.to_owned(),
    };
    Error::InvalidUrl {
        url: shown.chars().take(200).collect(),
        problem: problem.to_owned(),
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Folder(path) => path.display().fmt(f),
            Place::Bucket(url) => f.write_str(url.as_str().trim_end_matches('/')),
        }
    }
}

/// Settings and credentials of a store, and the source of names for its temporary files and packs.
#[derive(Clone)]
pub struct Options {
    pub(crate) ids: Ids,
    /// From the environment: names unknown to the provider are somebody else's and are skipped.
    pub(crate) ambient: BTreeMap<String, String>,
    /// Given for this store: unknown names are mistakes.
    pub(crate) settings: BTreeMap<String, String>,
}

impl Options {
    /// No settings.
    #[must_use]
    pub fn new(ids: Ids) -> Self {
        Self {
            ids,
            ambient: BTreeMap::new(),
            settings: BTreeMap::new(),
        }
    }

    /// Takes the provider's own variables (`AWS_*`, `GOOGLE_*`, `AZURE_*`) out of the caller's environment and leaves
    /// the rest alone.
    #[must_use]
    pub fn with_env(mut self, vars: impl IntoIterator<Item = (String, String)>) -> Self {
        let ours = vars
            .into_iter()
            .map(|(key, value)| (key.to_ascii_lowercase(), value))
            .filter(|(key, _)| {
                ["aws_", "google_", "azure_"]
                    .iter()
                    .any(|prefix| key.starts_with(prefix))
            });
        self.ambient.extend(ours);
        self
    }

    /// Sets one option by the name `object_store` knows, such as `region` or `secret_access_key`. It wins over the
    /// environment; the address's own options win over it.
    #[must_use]
    pub fn with(mut self, key: &str, value: impl Into<String>) -> Self {
        self.settings.insert(key.to_ascii_lowercase(), value.into());
        self
    }
}

impl fmt::Debug for Options {
    /// Names only: values may be secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("ambient", &self.ambient.keys())
            .field("settings", &self.settings.keys())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_and_file_addresses_are_folders() {
        for text in ["/var/objects", "file:///var/objects"] {
            let url: StoreUrl = text.parse().unwrap();
            assert_eq!(url.as_folder(), Some(Path::new("/var/objects")), "{text}");
        }
        assert_eq!(
            "some/dir".parse::<StoreUrl>().unwrap().as_folder(),
            Some(Path::new("some/dir"))
        );
    }

    #[test]
    fn options_in_an_address_are_kept_but_not_shown() {
        let url: StoreUrl = "s3://bucket/a/b?endpoint=http://127.0.0.1:9&allow_http=true"
            .parse()
            .unwrap();
        assert_eq!(url.to_string(), "s3://bucket/a/b");
        assert_eq!(url.settings["endpoint"], "http://127.0.0.1:9");
        assert_eq!(url.settings["allow_http"], "true");
    }

    #[test]
    fn bad_addresses_are_refused_without_showing_secrets() {
        for (text, problem) in [
            ("", "empty"),
            ("ftp://host/x", "scheme"),
            ("s3://", "bucket"),
            ("s3://key:hunter2@bucket/x", "credentials"),
            ("s3://hunter2@bucket/x", "credentials"),
            ("s3://bucket/x?secret_access_key=hunter2", "credential"),
            ("az://box/x?sas_token=hunter2", "credential"),
            ("s3://bu cket", ""),
        ] {
            let error = text.parse::<StoreUrl>().unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
        let options = Options::new(Ids::seeded(1)).with("secret_access_key", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"));
    }

    #[test]
    fn only_the_providers_variables_are_taken_from_the_environment() {
        let vars = [("AWS_REGION", "eu"), ("TOKEN", "x"), ("HOME", "/root")];
        let options = Options::new(Ids::seeded(1))
            .with_env(vars.map(|(key, value)| (key.to_owned(), value.to_owned())));
        assert_eq!(options.ambient.keys().collect::<Vec<_>>(), ["aws_region"]);
    }
}
