//! Models: load, predict, and train the built-in learner.
