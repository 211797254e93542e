//! Holds no code. Selecting this package beside another (`cargo nextest run -p everloop-unify -p everloop-db`)
//! gives outside crates the same features as a build of the whole workspace, so that a partial build reuses its
//! artifacts instead of compiling DataFusion again. Nothing depends on it.
