//! The p-value of the two-sample Kolmogorov-Smirnov test.
//!
//! As SciPy's `ks_2samp(method="auto")`: exact by counting lattice paths while both samples have at most 10,000
//! rows, else the distribution of the one-sample statistic at the effective size `round(n m / (n + m))`. Ties make
//! the p-value too large, never too small.

use super::Sample;
use super::cdf::largest_gap;
use super::contingency::Tested;
use crate::special::{ln_binomial_pmf, stirling_error};
use std::f64::consts::PI;

/// Rows of the larger sample up to which the p-value is exact.
const EXACT_UP_TO: usize = 10_000;

/// Two-sided two-sample KS test. The statistic is [`super::ks_statistic`].
///
/// `O(n + m)` for the statistic; the exact p-value adds at most `O(n m)` for small samples far apart (0.2 s at
/// 10,000 x 9,999), the asymptotic one `O(n + m)` at worst.
#[must_use]
pub fn ks_test(reference: &Sample, current: &Sample) -> Tested {
    let (a, b) = (reference.values(), current.values());
    let gap = largest_gap(a, b);
    let statistic = gap as f64 / (a.len() as f64 * b.len() as f64);
    let (n, m) = (reference.rows(), current.rows());
    let raw = reference.is_raw() && current.is_raw();
    let p_value = if raw && n.max(m) <= EXACT_UP_TO {
        exact(n, m, gap as u64)
    } else {
        one_sample_sf(effective(n, m), statistic)
    };
    Tested {
        statistic,
        p_value: p_value.clamp(0.0, 1.0),
    }
}

/// `n m / (n + m)`, rounded to even at halves as NumPy does.
fn effective(n: usize, m: usize) -> u64 {
    let (n, m) = (n as f64, m as f64);
    ((n * m / (n + m)).round_ties_even() as u64).max(1)
}

/// `P(D >= gap / (n m))` for untied samples, by the share of lattice paths that leave the band (Hodges 1958).
fn exact(n: usize, m: usize, gap: u64) -> f64 {
    let (n, m) = if n < m { (m, n) } else { (n, m) };
    let d = gap as f64 / (n as f64 * m as f64);
    if gap == 0 {
        return 1.0;
    }
    // 2 exp(-2 e d^2) bounds the tail and is below the smallest double.
    if 2.0 * d * d * n as f64 * m as f64 / (n + m) as f64 > 746.0 {
        return 0.0;
    }
    if n == m {
        outside_square(n, (gap / n as u64) as usize)
    } else {
        outside_band(n, m, gap)
    }
}

/// Equal sizes have a closed form: `2 (C(2n, n-h) - C(2n, n-2h) + ...) / C(2n, n)`, summed by Horner's scheme so
/// that the alternating terms do not cancel.
fn outside_square(n: usize, h: usize) -> f64 {
    let mut sum = 0.0;
    for k in (0..=n / h).rev() {
        let ratio = (0..h).map(|j| (n - k * h).saturating_sub(j) as f64 / (n + k * h + j + 1) as f64);
        sum = ratio.product::<f64>() * (1.0 - sum);
    }
    2.0 * sum
}

/// Walks the columns `x = 0..=n` of the lattice. `share[y]` is the part of the paths to `(x, y)` that have touched
/// the outside of `|m x - n y| < gap`; a path comes from the left with chance `x / (x + y)`, else from below.
fn outside_band(n: usize, m: usize, gap: u64) -> f64 {
    let (wide, tall, gap) = (n as i64, m as i64, gap as i64);
    let mut share = vec![1.0_f64; m + 1];
    // Inverses outside the loop keep divisions out of the chain from cell to cell, which is all of the time.
    let inverse: Vec<f64> = (0..=n + m).map(|steps| 1.0 / steps as f64).collect();
    let (mut from, mut to) = (0_usize, 0_usize);
    for x in 0..=n {
        let centre = tall * x as i64;
        let first = ((centre - gap).div_euclid(wide) + 1).max(0) as usize;
        // One past the last `y` with `wide * y - centre < gap`.
        let end = ((centre + gap + wide - 1).div_euclid(wide)).min(tall + 1).max(0) as usize;
        if first >= end {
            return 1.0;
        }
        share[from..first.min(to).max(from)].fill(1.0);
        let mut below = if first == 0 { 0.0 } else { 1.0 };
        let to_here = &inverse[x + first..];
        for ((y, cell), inverse) in (first..end).zip(&mut share[first..end]).zip(to_here) {
            let stays = *cell * (x as f64 * inverse);
            below = if x == 0 {
                0.0
            } else {
                stays + below * (y as f64 * inverse)
            };
            *cell = below;
        }
        (from, to) = (first, end);
    }
    share[m]
}

/// `P(D_n >= d)` of the two-sided one-sample statistic, as SciPy's `kstwo.sf(d, n)`.
///
/// `n` at least 1. By range, after Simard & L'Ecuyer 2011: closed forms at the ends, twice the one-sided tail where
/// the two sides hardly meet, the matrix of Durbin (Marsaglia, Tsang & Wang 2003) for small `n d`, and Pelz & Good
/// 1976 for large `n` near the middle.
#[must_use]
pub fn one_sample_sf(n: u64, d: f64) -> f64 {
    let size = n as f64;
    let t = size * d;
    if d >= 1.0 {
        return 0.0;
    }
    if t <= 0.5 {
        return 1.0;
    }
    if t <= 1.0 {
        return 1.0 - (ln_factorial_ratio(size) + size * (2.0 * t - 1.0).ln()).exp();
    }
    if t >= size - 1.0 {
        return 2.0 * (1.0 - d).powf(size);
    }
    let squared = t * d;
    if d >= 0.5 || squared >= if n <= 140 { 4.0 } else { 2.2 } {
        return if squared >= 370.0 {
            0.0
        } else {
            2.0 * one_sided_sf(size, d)
        };
    }
    let matrix = n <= 140 || (n <= 100_000 && size * d.powf(1.5) <= 1.4);
    1.0 - if matrix {
        durbin_cdf(n, d)
    } else {
        pelz_good_cdf(size, d)
    }
}

/// `ln(n! / n^n)`.
fn ln_factorial_ratio(n: f64) -> f64 {
    0.5 * (2.0 * PI * n).ln() - n + stirling_error(n)
}

/// `P(D_n^+ >= d)` (Smirnov 1944, Birnbaum & Tingey 1951):
/// `d sum_j C(n, j) (d + j/n)^(j-1) (1 - d - j/n)^(n-j)` over `j <= n (1 - d)`. `O(n)`.
fn one_sided_sf(n: f64, d: f64) -> f64 {
    let last = (n * (1.0 - d)).floor();
    let mut sum = 0.0;
    let mut j = 0.0;
    while j <= last {
        let p = d + j / n;
        if p < 1.0 {
            sum += (ln_binomial_pmf(j, n, p) - p.ln()).exp();
        }
        j += 1.0;
    }
    (d * sum).min(1.0)
}

/// `P(D_n <= d)` by powers of a `2k - 1` square matrix, `k = ceil(n d)`. `O(k^3 log n)`.
fn durbin_cdf(n: u64, d: f64) -> f64 {
    let t = n as f64 * d;
    let k = t.ceil() as usize;
    let mut power = Scaled::identity(2 * k - 1);
    let mut base = Scaled::durbin(k, k as f64 - t);
    let mut rest = n;
    while rest > 0 {
        if rest & 1 == 1 {
            power = power.times(&base);
        }
        rest >>= 1;
        if rest > 0 {
            base = base.times(&base);
        }
    }
    let centre = power.cells[(k - 1) * power.side + k - 1];
    if centre <= 0.0 {
        return 0.0;
    }
    (centre.ln() + power.exponent * std::f64::consts::LN_2 + ln_factorial_ratio(n as f64))
        .exp()
        .min(1.0)
}

/// A square matrix times a power of two.
struct Scaled {
    side: usize,
    cells: Vec<f64>,
    exponent: f64,
}

impl Scaled {
    fn identity(side: usize) -> Self {
        let mut cells = vec![0.0; side * side];
        cells.iter_mut().step_by(side + 1).for_each(|cell| *cell = 1.0);
        Self {
            side,
            cells,
            exponent: 0.0,
        }
    }

    /// Durbin's matrix as Marsaglia, Tsang and Wang write it; `h` is `k - n d`.
    fn durbin(k: usize, h: f64) -> Self {
        let side = 2 * k - 1;
        let mut inverse_factorial = vec![1.0; side + 1];
        for i in 1..=side {
            inverse_factorial[i] = inverse_factorial[i - 1] / i as f64;
        }
        let mut cells = vec![0.0; side * side];
        for row in 0..side {
            for column in 0..side.min(row + 2) {
                cells[row * side + column] = inverse_factorial[row + 1 - column];
            }
        }
        // The first column and the last row miss what lies beyond the band.
        for i in 0..side - 1 {
            let edge = (1.0 - h.powi(i as i32 + 1)) * inverse_factorial[i + 1];
            cells[i * side] = edge;
            cells[(side - 1) * side + side - 1 - i] = edge;
        }
        let overlap = (2.0 * h - 1.0).max(0.0).powi(side as i32);
        cells[(side - 1) * side] = (1.0 - 2.0 * h.powi(side as i32) + overlap) * inverse_factorial[side];
        Self {
            side,
            cells,
            exponent: 0.0,
        }
    }

    fn times(&self, other: &Self) -> Self {
        let side = self.side;
        let mut cells = vec![0.0; side * side];
        for (row, into) in self.cells.chunks_exact(side).zip(cells.chunks_exact_mut(side)) {
            for (factor, from) in row.iter().zip(other.cells.chunks_exact(side)) {
                into.iter_mut()
                    .zip(from)
                    .for_each(|(cell, value)| *cell += factor * value);
            }
        }
        let largest = cells.iter().copied().fold(0.0, f64::max);
        let shift = if largest > 0.0 {
            largest.log2().floor()
        } else {
            0.0
        };
        let scale = (-shift).exp2();
        cells.iter_mut().for_each(|cell| *cell *= scale);
        Self {
            side,
            cells,
            exponent: self.exponent + other.exponent + shift,
        }
    }
}

/// `P(D_n <= d)` to order `n^-3/2` (Pelz & Good 1976), from sums over `exp(-pi^2 (2k-1)^2 / 8z^2)` and
/// `exp(-pi^2 k^2 / 2z^2)` with `z = d sqrt(n)`.
fn pelz_good_cdf(n: f64, d: f64) -> f64 {
    let z = d * n.sqrt();
    let (z2, z4, z6) = (z * z, z.powi(4), z.powi(6));
    let pi2 = PI * PI;
    let terms = (16.0 * z / PI).ceil().max(1.0) as i32;
    let mut order = [0.0_f64; 4];
    for k in 1..=terms {
        let odd = f64::from(2 * k - 1);
        let (m2, m4, m6) = (odd.powi(2), odd.powi(4), odd.powi(6));
        let weight = (-pi2 * m2 / (8.0 * z2)).exp();
        order[0] += weight;
        order[1] += weight * (pi2 * m2 / 4.0 - z2);
        order[2] += weight
            * (6.0 * z6
                + 2.0 * z4
                + pi2 * (2.0 * z4 - 5.0 * z2) * m2 / 4.0
                + pi2.powi(2) * (1.0 - 2.0 * z2) * m4 / 16.0);
        order[3] += weight
            * (-30.0 * z6 - 90.0 * z.powi(8)
                + pi2 * (135.0 * z4 - 96.0 * z6) * m2 / 4.0
                + pi2.powi(2) * (212.0 * z4 - 60.0 * z2) * m4 / 16.0
                + pi2.powi(3) * (5.0 - 30.0 * z2) * m6 / 64.0);
    }
    let (mut even2, mut even3) = (0.0, 0.0);
    for k in 1..=terms {
        let k2 = f64::from(k).powi(2);
        let weight = (-pi2 * k2 / (2.0 * z2)).exp();
        even2 += k2 * weight;
        even3 += (3.0 * z2 - pi2 * k2) * k2 * weight;
    }
    let order2 = order[2] / (72.0 * z.powi(7)) - pi2 * even2 / (36.0 * z.powi(3));
    let order3 = order[3] / (6480.0 * z.powi(10)) + pi2 * even3 / (216.0 * z6);
    let series = order[0] / z + order[1] / (6.0 * z4 * n.sqrt()) + order2 / n + order3 / n.powf(1.5);
    ((2.0 * PI).sqrt() * series).clamp(0.0, 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All interleavings of `n` and `m` untied values, and how many have a gap of at least `gap`.
    fn brute_force(n: usize, m: usize, gap: i64) -> f64 {
        let (mut outside, mut all) = (0, 0);
        for mask in 0_u32..1 << (n + m) {
            if mask.count_ones() as usize != n {
                continue;
            }
            let (mut at, mut largest) = (0_i64, 0_i64);
            for bit in 0..n + m {
                at += if mask >> bit & 1 == 1 {
                    m as i64
                } else {
                    -(n as i64)
                };
                largest = largest.max(at.abs());
            }
            all += 1;
            outside += i32::from(largest >= gap);
        }
        f64::from(outside) / f64::from(all)
    }

    #[test]
    fn exact_tails_equal_counting_every_order() {
        for (n, m) in [(5, 5), (6, 4), (7, 5), (1, 6), (8, 6)] {
            for gap in 1..=(n * m) as u64 {
                if n == m && gap % n as u64 != 0 {
                    continue;
                }
                let expected = brute_force(n, m, gap as i64);
                let got = exact(n, m, gap);
                assert!((got - expected).abs() < 1e-13, "{n} {m} {gap}: {got} {expected}");
            }
        }
    }

    #[test]
    fn the_regions_join_without_a_step() {
        for n in [20_u64, 141, 1000, 30_000] {
            let mut last = 1.0;
            for i in 1..300 {
                let p = one_sample_sf(n, f64::from(i) * 0.01 / (n as f64).sqrt());
                assert!((0.0..=1.0).contains(&p) && p <= last + 1e-7, "{n} {i} {p} {last}");
                last = p;
            }
        }
    }
}
