//! From paths, folders, globs and URLs to a list of files.
//!
//! DataFusion lists folders itself, but takes an empty answer for an empty table and knows globs for local paths
//! only. Here each source becomes a list of exact files in a fixed order, before a plan is made.

use crate::error::{Error, Result, from_store};
use crate::numbered;
use crate::source::{Format, ObjectFile};
use crate::tables::OBJECTS_URL;
use chrono::DateTime;
use datafusion::execution::runtime_env::RuntimeEnv;
use everloop_objects::ObjectsAsStore;
use futures::TryStreamExt;
use globset::{GlobBuilder, GlobMatcher};
use object_store::path::Path as StorePath;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};
use std::sync::Arc;
use url::Url;

/// Exact files of one store.
#[derive(Debug)]
pub(crate) struct Files {
    /// The store's URL: scheme and authority.
    pub(crate) store_url: Url,
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) files: Vec<ObjectMeta>,
}

impl Files {
    /// The URL of a file, as DataFusion's listing reads it back.
    pub(crate) fn url(&self, file: &ObjectMeta) -> Url {
        file_url(&self.store_url, &file.location)
    }

    /// What people call a file: its path, or the name that an object was given.
    pub(crate) fn name(&self, file: &ObjectMeta) -> String {
        let path = file.location.as_ref();
        if self.store_url.as_str() != OBJECTS_URL {
            return path.to_owned();
        }
        path.rsplit('/').next().unwrap_or(path).to_owned()
    }
}

/// The URL of `location` in the store at `store_url`.
pub(crate) fn file_url(store_url: &Url, location: &StorePath) -> Url {
    let mut url = store_url.clone();
    // `set_path` encodes all signs but this one, which it takes for an encoding of its own.
    url.set_path(&location.as_ref().replace('%', "%25"));
    url
}

/// One path of a source, taken apart.
struct Pattern {
    store_url: Url,
    /// The folder to list or the file itself.
    base: StorePath,
    /// What files below `base` must match.
    glob: Option<GlobMatcher>,
}

/// The files that `paths` name. All must be in one store.
pub(crate) async fn files(env: &RuntimeEnv, paths: &[String], limit: usize) -> Result<Files> {
    let mut found: Option<Files> = None;
    for path in paths {
        let pattern = parse(path)?;
        let store = env
            .object_store_registry
            .get_store(&pattern.store_url)
            .map_err(|_| Error::UnknownStore {
                url: pattern.store_url.to_string(),
            })?;
        let files = matching(&store, &pattern, path, limit).await?;
        match &mut found {
            None => {
                found = Some(Files {
                    store_url: pattern.store_url,
                    store,
                    files,
                });
            }
            Some(before) if before.store_url == pattern.store_url => before.files.extend(files),
            Some(_) => {
                return Err(Error::InvalidPath {
                    path: path.clone(),
                    detail: "all files of one source must be in one store".to_owned(),
                });
            }
        }
    }
    let mut found = found.ok_or(Error::EmptySource)?;
    let mut seen = std::collections::HashSet::new();
    found.files.retain(|file| seen.insert(file.location.clone()));
    if found.files.len() > limit {
        return Err(Error::TooManyFiles {
            pattern: paths.join(", "),
            limit,
        });
    }
    Ok(found)
}

/// Files kept as objects. Their sizes are given, so nothing is looked up.
pub(crate) fn objects(env: &RuntimeEnv, files: &[ObjectFile]) -> Result<Files> {
    let store_url = Url::parse(OBJECTS_URL).map_err(|error| Error::InvalidPath {
        path: OBJECTS_URL.to_owned(),
        detail: error.to_string(),
    })?;
    let store = env
        .object_store_registry
        .get_store(&store_url)
        .map_err(|_| Error::UnknownStore {
            url: store_url.to_string(),
        })?;
    if files.is_empty() {
        return Err(Error::EmptySource);
    }
    let files = files
        .iter()
        .enumerate()
        .map(|(index, file)| ObjectMeta {
            location: numbered::place(index, &ObjectsAsStore::path(&file.hash, &file.name)),
            // An object never changes; any fixed time will do for caches that compare it.
            last_modified: DateTime::UNIX_EPOCH,
            size: file.size,
            e_tag: Some(file.hash.to_hex()),
            version: None,
        })
        .collect();
    Ok(Files {
        store_url,
        store,
        files,
    })
}

async fn matching(
    store: &Arc<dyn ObjectStore>,
    pattern: &Pattern,
    path: &str,
    limit: usize,
) -> Result<Vec<ObjectMeta>> {
    if pattern.glob.is_none() {
        match store.head(&pattern.base).await {
            Ok(meta) => return Ok(vec![meta]),
            Err(object_store::Error::NotFound { .. }) => {}
            // A folder of the local file system answers with an error of its own.
            Err(_) if pattern.store_url.scheme() == "file" && is_folder(path) => {}
            Err(other) => return Err(from_store(&other)),
        }
    }
    let mut listed = store.list(Some(&pattern.base));
    let mut files = Vec::new();
    while let Some(file) = listed.try_next().await.map_err(|error| from_store(&error))? {
        if file.size > 0 && wanted(pattern, &file.location) {
            files.push(file);
        }
        if files.len() > limit {
            return Err(Error::TooManyFiles {
                pattern: path.to_owned(),
                limit,
            });
        }
    }
    if files.is_empty() {
        return Err(Error::NoFiles {
            pattern: path.to_owned(),
        });
    }
    files.sort_by(|a, b| a.location.as_ref().as_bytes().cmp(b.location.as_ref().as_bytes()));
    Ok(files)
}

/// A glob decides alone; a folder means its data files, without hidden files and markers such as `_SUCCESS`.
fn wanted(pattern: &Pattern, location: &StorePath) -> bool {
    let Some(parts) = location.prefix_match(&pattern.base) else {
        return false;
    };
    let parts: Vec<_> = parts.collect();
    match &pattern.glob {
        Some(glob) => {
            let below: Vec<&str> = parts.iter().map(AsRef::as_ref).collect();
            glob.is_match(below.join("/"))
        }
        None => {
            let hidden = parts.iter().any(|part| part.as_ref().starts_with(['.', '_']));
            !hidden
                && location
                    .filename()
                    .is_some_and(|name| Format::of_name(name).is_some())
        }
    }
}

fn is_folder(path: &str) -> bool {
    std::path::Path::new(path).is_dir()
}

fn parse(path: &str) -> Result<Pattern> {
    let invalid = |detail: String| Error::InvalidPath {
        path: path.to_owned(),
        detail,
    };
    if let Some((scheme, rest)) = path.split_once("://") {
        let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
        let store_url =
            Url::parse(&format!("{scheme}://{authority}/")).map_err(|error| invalid(error.to_string()))?;
        let (base, glob) = split(key);
        return Ok(Pattern {
            store_url,
            base: StorePath::parse(base.trim_end_matches('/')).map_err(|error| invalid(error.to_string()))?,
            glob: glob.map(|glob| compile(path, glob)).transpose()?,
        });
    }
    // A file whose name holds signs of a glob is meant literally.
    let literal = std::path::Path::new(path).exists();
    let (base, glob) = if literal { (path, None) } else { split(path) };
    let base = if base.is_empty() { "." } else { base };
    let absolute = std::path::absolute(base).map_err(|error| invalid(error.to_string()))?;
    let absolute = without_dots(&absolute);
    Ok(Pattern {
        store_url: Url::parse("file:///").map_err(|error| invalid(error.to_string()))?,
        base: StorePath::from_absolute_path(&absolute).map_err(|error| invalid(error.to_string()))?,
        glob: glob.map(|glob| compile(path, glob)).transpose()?,
    })
}

/// Takes `..` out of an absolute path, which store paths do not know.
fn without_dots(path: &std::path::Path) -> std::path::PathBuf {
    let mut plain = std::path::PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => {
                plain.pop();
            }
            std::path::Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

/// Splits before the first part that holds a sign of a glob.
fn split(path: &str) -> (&str, Option<&str>) {
    let Some(sign) = path.find(['*', '?', '[', '{']) else {
        return (path, None);
    };
    match path[..sign].rfind('/') {
        Some(0) => ("/", Some(&path[1..])),
        Some(slash) => (&path[..slash], Some(&path[slash + 1..])),
        None => ("", Some(path)),
    }
}

fn compile(path: &str, glob: &str) -> Result<GlobMatcher> {
    GlobBuilder::new(glob)
        .literal_separator(true)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| Error::InvalidPath {
            path: path.to_owned(),
            detail: error.kind().to_string(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn globs_split_at_the_folder_before_them() {
        assert_eq!(split("data/a*/b.csv"), ("data", Some("a*/b.csv")));
        assert_eq!(split("*.csv"), ("", Some("*.csv")));
        assert_eq!(split("/*.csv"), ("/", Some("*.csv")));
        assert_eq!(split("data/b.csv"), ("data/b.csv", None));
    }

    #[test]
    fn urls_survive_strange_names() {
        let store = Url::parse("s3://bucket/").unwrap();
        let location = StorePath::parse("a b/50%25 #1?.csv").unwrap();
        let url = file_url(&store, &location);
        assert_eq!(StorePath::from_url_path(url.path()).unwrap(), location);
    }
}
