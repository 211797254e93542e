//! Tables on objects: query, profile. The only crate that knows DataFusion.
