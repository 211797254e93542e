//! Immutable bytes named by their BLAKE3 hash, in a folder or an object store.
