//! The few distribution functions the rest needs, total and clipped to their range.
//!
//! Gamma and beta functions come from statrs, which agrees with SciPy to about 1e-11. Its error function is off by
//! 1e-10 around 0.5, so that one comes from libm.

use std::f64::consts::{PI, SQRT_2};

use statrs::function::{beta, erf, gamma};

/// `P(Z <= x)` of the standard normal.
pub(crate) fn normal_cdf(x: f64) -> f64 {
    0.5 * libm::erfc(-x / SQRT_2)
}

/// `P(|Z| > |x|)`.
pub(crate) fn normal_two_sided(x: f64) -> f64 {
    libm::erfc(x.abs() / SQRT_2)
}

/// The standard normal quantile, infinite at 0 and 1; one Newton step mends the last digits of statrs' inverse.
pub(crate) fn normal_quantile(p: f64) -> f64 {
    if p <= 0.0 {
        return f64::NEG_INFINITY;
    }
    if p >= 1.0 {
        return f64::INFINITY;
    }
    if p > 0.5 {
        return -normal_quantile(1.0 - p);
    }
    let x = -SQRT_2 * erf::erfc_inv(2.0 * p);
    let density = (-0.5 * x * x).exp() / (2.0 * PI).sqrt();
    if density > 0.0 {
        x - (normal_cdf(x) - p) / density
    } else {
        x
    }
}

/// `P(X > x)` of chi-square with `df` degrees of freedom.
pub(crate) fn chi2_sf(x: f64, df: f64) -> f64 {
    if x <= 0.0 {
        return 1.0;
    }
    if x.is_infinite() {
        return 0.0;
    }
    gamma::gamma_ur(0.5 * df, 0.5 * x).clamp(0.0, 1.0)
}

/// The quantile of the beta distribution: `x` with `I_x(a, b) = p`, to the last digit the cumulative function has.
///
/// Positive doubles are ordered as their bits, so bisecting the bits takes 62 steps however small `x` is, and needs
/// no luck with slopes, which are infinite at the ends for `a` or `b` below 1.
pub(crate) fn beta_quantile(a: f64, b: f64, p: f64) -> f64 {
    let (mut low, mut high) = (0.0_f64.to_bits(), 1.0_f64.to_bits());
    while high - low > 1 {
        let middle = low + (high - low) / 2;
        if beta::beta_reg(a, b, f64::from_bits(middle)) < p {
            low = middle;
        } else {
            high = middle;
        }
    }
    f64::from_bits(high)
}

/// The upper quantile of Student's t: `x >= 0` with `P(|T| > x) = tail`.
pub(crate) fn student_two_sided_quantile(df: f64, tail: f64) -> f64 {
    // T^2 / (df + T^2) is Beta(1/2, df/2).
    let y = beta_quantile(0.5 * df, 0.5, tail);
    (df * (1.0 - y) / y).sqrt()
}

/// `P(X <= k)` of the binomial.
pub(crate) fn binomial_cdf(k: u64, n: u64, p: f64) -> f64 {
    if k >= n || p <= 0.0 {
        return 1.0;
    }
    if p >= 1.0 {
        return 0.0;
    }
    beta::beta_reg((n - k) as f64, k as f64 + 1.0, 1.0 - p)
}

/// The `n`th partial correction of Stirling's formula: `ln n! - ln(sqrt(2 pi n) (n/e)^n)`.
pub(crate) fn stirling_error(n: f64) -> f64 {
    if n < 16.0 {
        return libm::lgamma(n + 1.0) - (n + 0.5) * n.ln() + n - 0.5 * (2.0 * PI).ln();
    }
    let nn = n * n;
    let series = 1.0 / 1188.0 / nn;
    let series = (1.0 / 1680.0 - series) / nn;
    let series = (1.0 / 1260.0 - series) / nn;
    let series = (1.0 / 360.0 - series) / nn;
    (1.0 / 12.0 - series) / n
}

/// `x ln(x/m) + m - x` without cancellation where `x` is near `m` (Loader 2000, "bd0").
fn deviance_part(x: f64, m: f64) -> f64 {
    let d = (x - m) / (x + m);
    if d.abs() >= 0.1 {
        return x * (x / m).ln() + m - x;
    }
    let mut term = 2.0 * x * d;
    let mut sum = (x - m) * d;
    for j in 1..100 {
        term *= d * d;
        let next = sum + term / f64::from(2 * j + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// `ln P(X = k)` of the binomial, to full precision for large `n` (Loader 2000, saddle-point form).
///
/// `0 < p < 1` and `k <= n`.
pub(crate) fn ln_binomial_pmf(k: f64, n: f64, p: f64) -> f64 {
    let q = 1.0 - p;
    if k == 0.0 {
        return n * (-p).ln_1p();
    }
    if k == n {
        return n * p.ln();
    }
    let correction = stirling_error(n) - stirling_error(k) - stirling_error(n - k);
    let deviance = deviance_part(k, n * p) + deviance_part(n - k, n * q);
    correction - deviance + 0.5 * (n / (2.0 * PI * k * (n - k))).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(got: f64, expected: f64) {
        assert!(
            (got - expected).abs() <= 1e-11 * expected.abs(),
            "{got} {expected}"
        );
    }

    // Expected values: SciPy 1.17 (norm.ppf, norm.sf, norm.cdf).
    #[test]
    fn normal_matches_scipy() {
        close(normal_quantile(0.975), 1.959963984540054);
        close(normal_quantile(1e-10), -6.361340902404056);
        close(normal_two_sided(8.0), 2.0 * 6.220960574271785e-16);
        close(normal_cdf(-1.5), 0.06680720126885807);
    }

    #[test]
    fn a_saddle_point_pmf_sums_to_one() {
        for (n, p) in [(10.0, 0.3), (500.0, 0.01), (1000.0, 0.7)] {
            let sum: f64 = (0..=n as u32)
                .map(|k| ln_binomial_pmf(f64::from(k), n, p).exp())
                .sum();
            close(sum, 1.0);
        }
    }

    #[test]
    fn beta_quantile_inverts_the_cdf() {
        for (a, b) in [(0.5, 0.5), (2.0, 30.0), (400.0, 3.0), (1e4, 2e4)] {
            for p in [1e-6, 0.025, 0.5, 0.975] {
                close(beta::beta_reg(a, b, beta_quantile(a, b, p)), p);
            }
        }
    }
}
