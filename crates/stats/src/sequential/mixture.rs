//! Robbins' normal mixture: the boundary that a Brownian motion crosses at no time, with high probability.

use crate::{Result, check};

/// A two-sided normal-mixture boundary with tuning `rho`, in units of intrinsic time (variance summed so far).
///
/// Source: Robbins 1970; Howard, Ramdas, McAuliffe & Sekhon 2021, "Time-uniform, nonparametric, nonasymptotic
/// confidence sequences", equation 14.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalMixture {
    rho: f64,
    alpha: f64,
}

impl NormalMixture {
    /// A boundary crossed with chance at most `alpha`, either side together.
    ///
    /// # Errors
    /// `rho` not above 0, or `alpha` outside `(0, 1)`.
    pub fn new(rho: f64, alpha: f64) -> Result<Self> {
        check::positive("rho", rho)?;
        check::open_unit("alpha", alpha)?;
        Ok(Self { rho, alpha })
    }

    /// The boundary that is tightest at intrinsic time `v` (Howard et al. 2021, proposition 3): `rho = v / r` with
    /// `r - ln(1 + r) = -2 ln(alpha)`. Being a factor of ten off costs little.
    ///
    /// # Errors
    /// `v` not above 0, or `alpha` outside `(0, 1)`.
    pub fn tightest_at(v: f64, alpha: f64) -> Result<Self> {
        check::positive("v", v)?;
        check::open_unit("alpha", alpha)?;
        Self::new(v / tightest_ratio(alpha), alpha)
    }

    /// The tuning.
    #[must_use]
    pub fn rho(self) -> f64 {
        self.rho
    }

    /// The chance of ever being crossed.
    #[must_use]
    pub fn alpha(self) -> f64 {
        self.alpha
    }

    /// The boundary on `|S|` at intrinsic time `v`, at least 0: `sqrt((v + rho) ln((v + rho) / (rho alpha^2)))`.
    #[must_use]
    pub fn boundary(self, v: f64) -> f64 {
        let wide = v.max(0.0) + self.rho;
        (wide * ((wide / self.rho).ln() - 2.0 * self.alpha.ln())).sqrt()
    }

    /// Logarithm of the mixture martingale at sum `s` and intrinsic time `v`: an e-value against drift 0. Its
    /// inverse, at most 1, is an always-valid p-value; it exceeds `1 / alpha` where `|s|` crosses the boundary.
    #[must_use]
    pub fn ln_e(self, s: f64, v: f64) -> f64 {
        let wide = v.max(0.0) + self.rho;
        0.5 * (self.rho / wide).ln() + s * s / (2.0 * wide)
    }
}

/// The `r > 0` with `r - ln(1 + r) = -2 ln(alpha)`, by Newton from above, where the function is convex.
fn tightest_ratio(alpha: f64) -> f64 {
    let target = -2.0 * alpha.ln();
    let mut r = 2.0 + 2.0 * target;
    for _ in 0..60 {
        let step = (r - r.ln_1p() - target) * (1.0 + r) / r;
        r -= step;
        if step.abs() <= 1e-15 * r {
            break;
        }
    }
    r
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tightest_boundary_is_tightest() {
        for alpha in [0.001, 0.05, 0.5] {
            let best = NormalMixture::tightest_at(500.0, alpha).unwrap();
            for factor in [0.5, 0.9, 1.1, 2.0] {
                let other = NormalMixture::new(best.rho() * factor, alpha).unwrap();
                assert!(other.boundary(500.0) > best.boundary(500.0), "{alpha} {factor}");
            }
        }
    }

    #[test]
    fn the_martingale_reaches_its_bar_at_the_boundary() {
        let mixture = NormalMixture::new(30.0, 0.05).unwrap();
        for v in [0.0, 1.0, 100.0, 1e6] {
            let ln_e = mixture.ln_e(mixture.boundary(v), v);
            assert!((ln_e - 20.0_f64.ln()).abs() < 1e-9, "{v} {ln_e}");
        }
        assert!(NormalMixture::new(0.0, 0.05).is_err() && NormalMixture::new(1.0, 1.0).is_err());
    }
}
