//! How long the heavy functions take at realistic sizes: `cargo bench -p everloop-stats`.

use divan::{Bencher, black_box};
use everloop_stats::drift::{Method, Sample, ks_test};
use everloop_stats::metrics;
use everloop_stats::paired::{self, Options};
use everloop_stats::{Metric, drift};

fn main() {
    divan::main();
}

/// Numbers in `[0, 1)` that look random (an LCG, so that runs compare).
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    (0..n).map(|_| next()).collect()
}

/// Labels with base rate 0.2 and a score that knows a little about them.
fn scored(n: usize, seed: u64) -> (Vec<bool>, Vec<f64>) {
    let truth: Vec<bool> = noise(n, seed).into_iter().map(|u| u < 0.2).collect();
    let shift = |(t, u): (&bool, f64)| (u + if *t { 0.3 } else { 0.0 }) / 1.3;
    let score = truth.iter().zip(noise(n, seed + 1)).map(shift).collect();
    (truth, score)
}

#[divan::bench]
fn auc_1m(bencher: Bencher<'_, '_>) {
    let (truth, score) = scored(1_000_000, 1);
    bencher.bench_local(|| metrics::auc(black_box(&truth), black_box(&score)));
}

#[divan::bench(args = [Metric::Auc, Metric::LogLoss, Metric::F1, Metric::AveragePrecision], sample_count = 10)]
fn paired_bootstrap_30k_x_1000(bencher: Bencher<'_, '_>, metric: Metric) {
    let (truth, champion) = scored(30_000, 3);
    let challenger: Vec<f64> = champion
        .iter()
        .zip(noise(30_000, 9))
        .map(|(s, u)| 0.8 * s + 0.2 * u)
        .collect();
    let truth: Vec<f64> = truth.iter().map(|t| f64::from(u8::from(*t))).collect();
    let options = Options::seeded(7);
    bencher.bench_local(|| paired::bootstrap(metric, &truth, &champion, &challenger, &options));
}

#[divan::bench(sample_count = 20)]
fn delong_30k(bencher: Bencher<'_, '_>) {
    let (truth, champion) = scored(30_000, 3);
    let challenger = noise(30_000, 9);
    bencher.bench_local(|| paired::delong(&truth, &champion, &challenger, 0.95));
}

#[divan::bench(sample_count = 20)]
fn ks_test_1m_against_1m_unsorted(bencher: Bencher<'_, '_>) {
    let (a, b) = (noise(1_000_000, 1), noise(1_000_000, 2));
    bencher.bench_local(|| {
        let reference = Sample::new(black_box(&a)).expect("the sample is finite");
        let current = Sample::new(black_box(&b)).expect("the sample is finite");
        ks_test(&reference, &current)
    });
}

#[divan::bench(args = Method::ALL.into_iter().filter(|m| m.applies_to(drift::Kind::Numeric)), sample_count = 20)]
fn effect_1m_against_1m_sorted(bencher: Bencher<'_, '_>, method: Method) {
    let a = Sample::new(&noise(1_000_000, 1)).expect("the sample is finite");
    let b = Sample::new(&noise(1_000_000, 2)).expect("the sample is finite");
    bencher.bench_local(|| method.numeric(black_box(&a), black_box(&b)));
}

#[divan::bench(sample_count = 20)]
fn ks_exact_10k_against_9999(bencher: Bencher<'_, '_>) {
    let a = Sample::new(&noise(10_000, 1)).expect("the sample is finite");
    let shifted: Vec<f64> = noise(9_999, 2).into_iter().map(|u| u * 0.8).collect();
    let b = Sample::new(&shifted).expect("the sample is finite");
    bencher.bench_local(|| ks_test(black_box(&a), black_box(&b)));
}
