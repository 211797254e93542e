//! The project file with everything it names read in.

use everloop_core::DatasetName;
use everloop_project::{Gate, Project, Scope, Suite, SuiteRef};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::{Error, Result};

/// The project file's name.
pub const FILE: &str = "everloop.yaml";

/// A project as its file and the suites it names say.
#[derive(Debug, Clone)]
pub struct ProjectFile {
    /// The file.
    pub project: Arc<Project>,
    /// The folder it lies in.
    pub root: PathBuf,
    /// The checks of each dataset that has some.
    pub data: BTreeMap<DatasetName, Suite>,
    /// The suites in files that gates name, in the gates' order.
    pub gates: Vec<Suite>,
    /// The checks of each window of inputs.
    pub quality: Option<Suite>,
}

impl ProjectFile {
    /// Reads the project in `root`.
    ///
    /// # Errors
    /// When the file or a suite it names is not there or does not read; the words name every mistake with its place.
    pub fn read(root: &Path) -> Result<Self> {
        let path = root.join(FILE);
        let bytes = std::fs::read(&path).map_err(|_| Error::Project {
            words: format!("there is no {FILE}"),
            path: path.clone(),
        })?;
        let exists = |file: &Path| root.join(file).exists();
        let project = Project::parse(FILE, &bytes, &exists).map_err(|invalid| Error::Project {
            words: invalid.render(),
            path: path.clone(),
        })?;
        let suite = |reference: &SuiteRef, scope: Scope| read_suite(root, reference, scope);
        let mut data = BTreeMap::new();
        for (name, dataset) in &project.datasets {
            if let Some(reference) = &dataset.checks {
                data.insert(name.clone(), suite(reference, Scope::Data)?);
            }
        }
        let mut gates = Vec::new();
        for gate in project.model.iter().flat_map(|model| &model.gates) {
            if let Gate::Checks(reference @ SuiteRef::File(_)) = gate {
                gates.push(suite(reference, Scope::Model)?);
            }
        }
        let quality = project
            .monitor
            .as_ref()
            .and_then(|monitor| monitor.quality.as_ref());
        let quality = quality
            .map(|reference| suite(reference, Scope::Data))
            .transpose()?;
        Ok(Self {
            project: Arc::new(project),
            root: root.to_owned(),
            data,
            gates,
            quality,
        })
    }
}

fn read_suite(root: &Path, reference: &SuiteRef, scope: Scope) -> Result<Suite> {
    match reference {
        SuiteRef::Inline(checks) => Ok(Suite {
            name: None,
            description: None,
            checks: checks.clone(),
        }),
        SuiteRef::File(file) => {
            let path = root.join(file.as_str());
            let bytes = std::fs::read(&path).map_err(|source| Error::Io {
                path: path.clone(),
                source,
            })?;
            Suite::parse(file.as_str(), &bytes, scope).map_err(|invalid| Error::Project {
                words: invalid.render(),
                path,
            })
        }
    }
}
