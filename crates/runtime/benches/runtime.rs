//! Costs of predicting and training.

fn main() {
    divan::main();
}
