//! Where serving finds the files of a registered version: the registry names them, the object store holds them.

use async_trait::async_trait;
use everloop_core::{ModelName, ProjectName};
use everloop_objects::Objects;
use everloop_registry::{Registry, VersionNumber, files};
use everloop_runtime::ModelFiles;
use everloop_serving::ModelSource;
use futures::{StreamExt, TryStreamExt, stream};
use std::fmt;

/// Files read at the same time.
const AT_ONCE: usize = 8;

/// Versions of the registry with their bytes.
#[derive(Clone)]
pub struct RegisteredModels {
    registry: Registry,
    objects: Objects,
}

impl RegisteredModels {
    /// The versions that `registry` knows, in `objects`.
    #[must_use]
    pub fn new(registry: Registry, objects: Objects) -> Self {
        Self { registry, objects }
    }
}

impl fmt::Debug for RegisteredModels {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RegisteredModels").finish_non_exhaustive()
    }
}

#[async_trait]
impl ModelSource for RegisteredModels {
    async fn files(
        &self,
        project: &ProjectName,
        model: &ModelName,
        version: u64,
    ) -> Result<ModelFiles, String> {
        let number =
            u32::try_from(version).map_err(|_| format!("model \"{model}\" has no version {version}"))?;
        let (project, name) = (project.clone(), model.clone());
        let listed = self
            .registry
            .db
            .read(move |tx| files::all(tx, &project, &name, VersionNumber(number)))
            .await
            .map_err(|error| error.to_string())?;
        let mut found = ModelFiles::new();
        let mut reads = stream::iter(listed)
            .map(|file| {
                let objects = self.objects.clone();
                async move {
                    let bytes = objects.get_bytes(&file.hash).await;
                    bytes
                        .map(|bytes| (file.path.clone(), bytes))
                        .map_err(|error| format!("file \"{}\": {error}", file.path))
                }
            })
            .buffer_unordered(AT_ONCE);
        while let Some((path, bytes)) = reads.try_next().await? {
            found
                .insert(path.as_str(), bytes.to_vec())
                .map_err(|error| error.to_string())?;
        }
        Ok(found)
    }
}
