//! Datasets and their immutable versions.
