//! Suites over data and models, and their results.
