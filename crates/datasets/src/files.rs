//! Finding a dataset's files below the project's folder, without leaving it.

use everloop_core::DatasetName;
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use std::path::{Component, Path, PathBuf};
use std::time::UNIX_EPOCH;
use walkdir::WalkDir;

use crate::{Error, Result};

/// A file as the system describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    /// Below the project's folder, with `/` between its parts.
    pub path: String,
    /// Where it lies.
    pub absolute: PathBuf,
    pub size: u64,
    pub modified_ns: i64,
    pub inode: u64,
}

/// The regular files that match `patterns` below `root`, ordered by path. A folder stands for everything in it;
/// names that start with a dot or end in `.tmp` or `.part` are left out, links are followed within `root` only.
pub(crate) fn find(name: &DatasetName, root: &Path, patterns: &[String]) -> Result<Vec<Found>> {
    let matcher = Matcher::new(name, patterns)?;
    let mut found = Vec::new();
    for base in &matcher.bases {
        let start = root.join(base);
        if !start.exists() {
            continue;
        }
        let walk = WalkDir::new(&start).follow_links(false).sort_by_file_name();
        for entry in walk
            .into_iter()
            .filter_entry(|entry| !is_hidden(entry.path(), &start))
        {
            let entry = entry.map_err(|error| walk_error(&start, error))?;
            if !entry.file_type().is_file() {
                continue;
            }
            let Some(path) = relative(root, entry.path()) else {
                continue;
            };
            if matcher.matches(&path) {
                found.push(describe(path, entry.path())?);
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found.dedup_by(|a, b| a.path == b.path);
    Ok(found)
}

/// What the system says of the file now.
pub(crate) fn describe(path: String, absolute: &Path) -> Result<Found> {
    let io = |source| Error::Io {
        action: "look at",
        path: absolute.to_owned(),
        source,
    };
    let metadata = std::fs::metadata(absolute).map_err(io)?;
    let modified = metadata
        .modified()
        .map_err(io)?
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    Ok(Found {
        path,
        absolute: absolute.to_owned(),
        size: metadata.len(),
        modified_ns: i64::try_from(modified.as_nanos()).unwrap_or(i64::MAX),
        inode: inode(&metadata),
    })
}

#[cfg(unix)]
fn inode(metadata: &std::fs::Metadata) -> u64 {
    std::os::unix::fs::MetadataExt::ino(metadata)
}

#[cfg(not(unix))]
fn inode(_: &std::fs::Metadata) -> u64 {
    0
}

fn walk_error(start: &Path, error: walkdir::Error) -> Error {
    let path = error.path().unwrap_or(start).to_owned();
    let source = error
        .into_io_error()
        .unwrap_or_else(|| std::io::Error::other("a loop of links"));
    Error::Io {
        action: "list",
        path,
        source,
    }
}

fn is_hidden(path: &Path, start: &Path) -> bool {
    let name = path
        .file_name()
        .map(|name| name.to_string_lossy())
        .unwrap_or_default();
    path != start && (name.starts_with('.') || name.ends_with(".tmp") || name.ends_with(".part"))
}

fn relative(root: &Path, path: &Path) -> Option<String> {
    let parts: Option<Vec<&str>> = path
        .strip_prefix(root)
        .ok()?
        .components()
        .map(|part| part.as_os_str().to_str())
        .collect();
    Some(parts?.join("/"))
}

/// Which paths belong to a dataset, and the folders to walk for them.
#[derive(Debug)]
pub(crate) struct Matcher {
    globs: GlobSet,
    /// Folders below the root that hold every match.
    pub bases: Vec<PathBuf>,
}

impl Matcher {
    pub(crate) fn new(name: &DatasetName, patterns: &[String]) -> Result<Self> {
        let mut globs = GlobSetBuilder::new();
        let mut bases = Vec::new();
        for pattern in patterns {
            let clean = inside(name, pattern)?;
            bases.push(base_of(&clean));
            for glob in [clean.clone(), format!("{}/**", clean.trim_end_matches('/'))] {
                let glob = GlobBuilder::new(&glob)
                    .literal_separator(true)
                    .build()
                    .map_err(|error| Error::BadGlob {
                        name: name.clone(),
                        pattern: pattern.clone(),
                        problem: error.kind().to_string(),
                    })?;
                globs.add(glob);
            }
        }
        let globs = globs.build().map_err(|error| Error::BadGlob {
            name: name.clone(),
            pattern: patterns.join(", "),
            problem: error.kind().to_string(),
        })?;
        Ok(Self { globs, bases })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.globs.is_match(path)
    }
}

/// The pattern without `./`, refused when it leads out of the project's folder.
fn inside(name: &DatasetName, pattern: &str) -> Result<String> {
    let outside = || Error::Outside {
        name: name.clone(),
        path: pattern.to_owned(),
    };
    let mut parts = Vec::new();
    for part in Path::new(pattern).components() {
        match part {
            Component::Normal(part) => parts.push(part.to_str().ok_or_else(outside)?.to_owned()),
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(outside()),
        }
    }
    Ok(parts.join("/"))
}

/// The parts before the first that holds a wildcard.
fn base_of(pattern: &str) -> PathBuf {
    pattern
        .split('/')
        .take_while(|part| !part.contains(['*', '?', '[', '{']))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn touch(root: &Path, path: &str) {
        let file = root.join(path);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, path).unwrap();
    }

    fn found(root: &Path, patterns: &[&str]) -> Vec<String> {
        let patterns: Vec<String> = patterns.iter().map(|&pattern| pattern.to_owned()).collect();
        let name = DatasetName::new("d").unwrap();
        find(&name, root, &patterns)
            .unwrap()
            .into_iter()
            .map(|file| file.path)
            .collect()
    }

    #[test]
    fn globs_folders_and_files_find_the_same() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        for path in [
            "data/a.parquet",
            "data/b.parquet",
            "data/c.csv",
            "data/deep/d.parquet",
            "other/e.parquet",
        ] {
            touch(root, path);
        }
        touch(root, "data/.hidden.parquet");
        touch(root, "data/half.parquet.tmp");
        assert_eq!(
            found(root, &["data/*.parquet"]),
            ["data/a.parquet", "data/b.parquet"]
        );
        assert_eq!(found(root, &["./data/c.csv"]), ["data/c.csv"]);
        assert_eq!(found(root, &["data"]).len(), 4);
        assert_eq!(found(root, &["data/**/*.parquet"]).len(), 3);
        assert_eq!(found(root, &["data/a.parquet", "data/*.parquet"]).len(), 2);
        assert!(found(root, &["nothing/*.csv"]).is_empty());
    }

    #[test]
    fn patterns_never_lead_out() {
        let name = DatasetName::new("d").unwrap();
        for bad in ["../x", "/etc/passwd", "data/../../x"] {
            assert!(
                matches!(Matcher::new(&name, &[bad.to_owned()]), Err(Error::Outside { .. })),
                "{bad}"
            );
        }
    }
}
