//! Objects in the order they were given.
//!
//! DataFusion reads the files of a table in the order of their paths. The path of an object starts with its hash, so
//! the parts of a dataset would come in an order that means nothing and changes with every part. Here each file of a
//! source gets its place in front, `00000002/<hash>/<name>`, and this store takes it off again.

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::BoxStream;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Digits of a place: enough for any number of files, and fewer than those of a hash.
const DIGITS: usize = 8;

/// `path` with its place in front.
pub(crate) fn place(index: usize, path: &Path) -> Path {
    Path::from(format!("{index:0DIGITS$}/{path}"))
}

/// `path` without its place.
fn placeless(path: &Path) -> Path {
    match path.as_ref().split_once('/') {
        Some((place, rest)) if place.len() == DIGITS && place.bytes().all(|byte| byte.is_ascii_digit()) => {
            Path::from(rest)
        }
        _ => path.clone(),
    }
}

/// A store whose paths may start with a place.
#[derive(Debug)]
pub(crate) struct Numbered(pub(crate) Arc<dyn ObjectStore>);

impl fmt::Display for Numbered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[async_trait]
impl ObjectStore for Numbered {
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let mut result = self.0.get_opts(&placeless(location), options).await?;
        result.meta.location = location.clone();
        Ok(result)
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.0.get_ranges(&placeless(location), ranges).await
    }

    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.0.put_opts(location, payload, options).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.0.put_multipart_opts(location, options).await
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        self.0.delete_stream(locations)
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.0.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.0.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.0.copy_opts(from, to, options).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_off_again_and_sort_as_numbers() {
        let path = Path::from("ab/c.parquet");
        assert_eq!(placeless(&place(7, &path)), path);
        assert_eq!(placeless(&path), path);
        assert!(place(9, &path) < place(10, &path));
    }
}
