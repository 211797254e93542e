//! The project's file, read again when it has changed.

use everloop_core::{Code, Coded, Hash, ProjectName};
use everloop_project::{Invalid, Project};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use crate::{ApiError, ApiResult};

/// The file's name, in the project's folder.
pub const PROJECT_FILE: &str = "everloop.yaml";

/// The project's file and what was read of it last.
#[derive(Debug)]
pub(crate) struct ProjectFile {
    root: PathBuf,
    last: Mutex<Option<(Hash, Arc<Project>)>>,
}

impl ProjectFile {
    pub(crate) fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
            last: Mutex::default(),
        }
    }

    /// What was read last; none before, or while the file is not there or not valid.
    pub(crate) fn known(&self) -> Option<Arc<Project>> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().map(|(_, project)| Arc::clone(project))
    }

    /// The file as it is now, for the project called `name`. Blocks.
    pub(crate) fn read(&self, name: &ProjectName) -> ApiResult<Arc<Project>> {
        let path = self.root.join(PROJECT_FILE);
        let bytes = std::fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let hash = Hash::of(&bytes);
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((seen, project)) = &*last
            && *seen == hash
        {
            return Ok(Arc::clone(project));
        }
        *last = None;
        let exists = |file: &Path| self.root.join(file).exists();
        let project = Project::parse(PROJECT_FILE, &bytes, &exists).map_err(|error| refused(&error))?;
        if project.project != *name {
            return Err(renamed(name, &project.project));
        }
        let project = Arc::new(project);
        *last = Some((hash, Arc::clone(&project)));
        Ok(project)
    }
}

fn unreadable(path: &Path, error: &std::io::Error) -> ApiError {
    if error.kind() == std::io::ErrorKind::NotFound {
        return ApiError::new(
            Code::FailedPrecondition,
            format!("there is no file \"{PROJECT_FILE}\""),
        )
        .with_location(path.display().to_string())
        .with_hint("make one with \"everloop init\"");
    }
    ApiError::new(
        Code::FailedPrecondition,
        format!("can't read \"{PROJECT_FILE}\": {error}"),
    )
    .with_location(path.display().to_string())
}

/// Everything that is wrong with the file; place and hint are those of the first mistake. Whatever it is, mending the
/// file is the caller's business.
pub(crate) fn refused(invalid: &Invalid) -> ApiError {
    let mut error = ApiError::invalid(invalid.render().trim_end());
    if let Some(location) = invalid.location() {
        error = error.with_location(location);
    }
    match invalid.hint() {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}

fn renamed(served: &ProjectName, found: &ProjectName) -> ApiError {
    ApiError::new(
        Code::FailedPrecondition,
        format!("\"{PROJECT_FILE}\" is of project \"{found}\", this server was started for \"{served}\""),
    )
    .with_hint("start the server again to serve the project under its new name")
}
