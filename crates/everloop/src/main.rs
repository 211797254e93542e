//! Everloop: one program that keeps machine-learning models good in production.
fn main() {}
