//! Drawing rows with replacement, the same on every machine and number of threads.

use rand_pcg::Pcg64Mcg;
use rand_pcg::rand_core::RngCore;
use rayon::prelude::*;

/// Applies `statistic` to the row counts of each resample, in parallel; answers in order of resample.
///
/// Resample `i` has a generator of its own, so the split over threads changes nothing. Counts sum to `rows`.
pub(super) fn resamples<T: Send>(
    rows: usize,
    resamples: usize,
    seed: u64,
    statistic: impl Fn(&[u32]) -> T + Sync,
) -> Vec<T> {
    let one = |counts: &mut Vec<u32>, resample: usize| {
        draw(counts, &mut generator(seed, resample as u64));
        statistic(counts)
    };
    (0..resamples)
        .into_par_iter()
        .map_init(|| vec![0; rows], one)
        .collect()
}

/// The answers with each of `groups` blocks of rows left out, in order. Row `i` is in block `i % groups`.
pub(super) fn leave_out<T: Send>(
    rows: usize,
    groups: usize,
    statistic: impl Fn(&[u32]) -> T + Sync,
) -> Vec<T> {
    let one = |counts: &mut Vec<u32>, group: usize| {
        counts
            .iter_mut()
            .skip(group)
            .step_by(groups)
            .for_each(|count| *count = 0);
        let answer = statistic(counts);
        counts
            .iter_mut()
            .skip(group)
            .step_by(groups)
            .for_each(|count| *count = 1);
        answer
    };
    (0..groups)
        .into_par_iter()
        .map_init(|| vec![1; rows], one)
        .collect()
}

fn draw(counts: &mut [u32], random: &mut Pcg64Mcg) {
    counts.fill(0);
    let rows = counts.len() as u128;
    for _ in 0..counts.len() {
        // The high half of a 128-bit product is uniform over `0..rows` up to `rows / 2^64`.
        let row = (u128::from(random.next_u64()) * rows) >> 64;
        counts[row as usize] += 1;
    }
}

fn generator(seed: u64, stream: u64) -> Pcg64Mcg {
    let high = mix(seed ^ mix(stream));
    let low = mix(high ^ seed.rotate_left(32));
    Pcg64Mcg::new(u128::from(high) << 64 | u128::from(low))
}

/// SplitMix64's finaliser (Steele, Lea & Flood 2014).
fn mix(seed: u64) -> u64 {
    let z = seed.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_sum_to_the_rows_and_differ_by_resample() {
        let all = resamples(100, 50, 7, <[u32]>::to_vec);
        assert!(all.iter().all(|counts| counts.iter().sum::<u32>() == 100));
        assert_ne!(all[0], all[1]);
        assert_eq!(all, resamples(100, 50, 7, <[u32]>::to_vec));
        assert_ne!(all, resamples(100, 50, 8, <[u32]>::to_vec));
    }

    #[test]
    fn each_block_is_left_out_once() {
        let left = leave_out(5, 2, <[u32]>::to_vec);
        assert_eq!(left, [vec![0, 1, 0, 1, 0], vec![1, 0, 1, 0, 1]]);
    }
}
