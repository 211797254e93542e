//! What a pipeline run made, read back by content: since it ended another run, or a person, may have changed the
//! workspace, and what is judged must be what was made.

use everloop_core::Hash;
use everloop_objects::Objects;
use everloop_pipelines::{OutFile, OutManifest, PipelineRun};
use everloop_runtime::{Limits, ModelFiles};
use everloop_tables::{ObjectFile, Source};
use serde_json::{Map, Value};
use std::path::PathBuf;

use crate::{Controller, Error, ProjectFile, Result};

/// The files of a pipeline run by the paths that the project file gives them. A path that none of its stages wrote,
/// such as a table kept beside the code, is read from the workspace; so is every path when there is no run.
pub(crate) struct Made<'a> {
    pub root: PathBuf,
    pub run: Option<&'a PipelineRun>,
    pub objects: Objects,
}

/// A path's files.
enum Found<'a> {
    /// Written by the run, each with its place below the path; empty for the path itself.
    Out {
        kept: bool,
        files: Vec<(&'a str, &'a OutFile)>,
    },
    /// Not of the run.
    Workspace(PathBuf),
}

impl Controller {
    /// What `run` made.
    pub(crate) fn made<'a>(&self, file: &ProjectFile, run: Option<&'a PipelineRun>) -> Made<'a> {
        Made {
            root: file.root.clone(),
            run,
            objects: self.0.parts.objects.clone(),
        }
    }
}

impl Made<'_> {
    /// The path as a table.
    pub async fn table(&self, path: &str) -> Result<Source> {
        match self.find(path) {
            Found::Out { kept: true, files } => {
                let name = |below: &str| if below.is_empty() { path } else { below }.to_owned();
                let files = files.iter().map(|(below, file)| ObjectFile {
                    hash: file.hash,
                    name: name(below).rsplit('/').next().unwrap_or_default().to_owned(),
                    size: file.size,
                });
                Ok(Source::objects(files.collect()))
            }
            Found::Out { kept: false, files } => {
                for (below, file) in files {
                    self.unkept(path, below, file).await?;
                }
                Ok(Source::paths([self.root.join(path).to_string_lossy()]))
            }
            Found::Workspace(file) => Ok(Source::paths([file.to_string_lossy()])),
        }
    }

    /// The files at the path, each with its place below it and its bytes; none when nothing is there.
    pub async fn files(&self, path: &str) -> Result<Vec<(String, Vec<u8>)>> {
        let mut read = Vec::new();
        match self.find(path) {
            Found::Out { kept, files } => {
                for (below, file) in files {
                    let bytes = if kept {
                        self.objects.get_bytes(&file.hash).await?.to_vec()
                    } else {
                        self.unkept(path, below, file).await?
                    };
                    read.push((below.to_owned(), bytes));
                }
            }
            Found::Workspace(file) if file.is_file() => read.push((String::new(), read_file(file).await?)),
            Found::Workspace(_) => {}
        }
        Ok(read)
    }

    /// The model at the path: a folder, or a single file.
    pub async fn model(&self, path: &str, limits: &Limits) -> Result<ModelFiles> {
        if let Found::Workspace(file) = self.find(path) {
            let limits = limits.clone();
            let read = tokio::task::spawn_blocking(move || ModelFiles::from_dir(&file, &limits)).await;
            return Ok(read.map_err(|_| Error::Damaged {
                what: "model folder",
                problem: "reading it broke off".to_owned(),
            })??);
        }
        let single = path.rsplit('/').next().unwrap_or(path);
        let mut found = ModelFiles::new();
        for (below, bytes) in self.files(path).await? {
            let name = if below.is_empty() { single } else { &below };
            found.insert(name, bytes)?;
        }
        Ok(found)
    }

    /// The numbers of a JSON file; none when it is not there or holds something else.
    pub async fn numbers(&self, path: &str) -> Result<Map<String, Value>> {
        let files = self.files(path).await?;
        let parsed = files.first().map(|(_, bytes)| serde_json::from_slice(bytes));
        let Some(Ok(Value::Object(values))) = parsed else {
            return Ok(Map::new());
        };
        Ok(values
            .into_iter()
            .filter(|(_, value)| value.is_number())
            .collect())
    }

    /// The digest of what the run wrote at the path, if it wrote it.
    pub fn digest(&self, path: &str) -> Option<Hash> {
        self.outs().find(|out| out.path == path).map(OutManifest::digest)
    }

    fn outs(&self) -> impl Iterator<Item = &OutManifest> {
        self.run
            .into_iter()
            .flat_map(|run| run.stages.iter().flat_map(|stage| &stage.outs))
    }

    fn find(&self, path: &str) -> Found<'_> {
        let below = |whole: &str, part: &str| {
            let rest = whole.strip_prefix(part)?;
            match rest.strip_prefix('/') {
                Some(rest) => Some(rest.to_owned()),
                None => rest.is_empty().then(String::new),
            }
        };
        for out in self.outs() {
            // The path is the out, or lies in it.
            let Some(inside) = below(path, &out.path) else {
                continue;
            };
            let files = out.files.iter().filter_map(|file| {
                let place = if inside.is_empty() {
                    file.path.as_str()
                } else {
                    let rest = file.path.strip_prefix(inside.as_str())?;
                    rest.strip_prefix('/')
                        .or_else(|| rest.is_empty().then_some(rest))?
                };
                Some((place, file))
            });
            return Found::Out {
                kept: out.kept,
                files: files.collect(),
            };
        }
        Found::Workspace(self.root.join(path))
    }

    /// The bytes of an out that is not kept as an object: they lie in the workspace only, if nobody changed them.
    async fn unkept(&self, path: &str, below: &str, file: &OutFile) -> Result<Vec<u8>> {
        let place = if below.is_empty() {
            self.root.join(path)
        } else {
            self.root.join(path).join(below)
        };
        let bytes = read_file(place.clone()).await?;
        if Hash::of(&bytes) == file.hash {
            return Ok(bytes);
        }
        Err(Error::OutChanged { path: place })
    }
}

async fn read_file(path: PathBuf) -> Result<Vec<u8>> {
    tokio::fs::read(&path)
        .await
        .map_err(|source| Error::Io { path, source })
}
