//! Experiments, runs, params, metrics, tags, artifacts.
