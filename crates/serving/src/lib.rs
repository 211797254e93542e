//! Endpoints, routes, rollouts, predictions and feedback.
