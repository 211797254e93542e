//! The loop: triggers, gates, rollouts, retraining, decisions.
