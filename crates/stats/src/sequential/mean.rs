//! Confidence sequences of one mean.

use super::NormalMixture;
use crate::intervals::Interval;
use crate::moments::Moments;
use crate::{Error, Result, check};

/// An interval that covers the mean of values within `[low, high]` at all times at once. Exact, any distribution.
///
/// The sum is sub-Gaussian with variance `n (high - low)^2 / 4` (Hoeffding); `mixture` is in that intrinsic time. Wide
/// for rare events, where [`asymptotic_mean`] is much tighter. Source: Howard et al. 2021. `O(1)`.
///
/// # Errors
/// No values, bounds that do not rise, or a mean outside them.
pub fn bounded_mean(moments: Moments, low: f64, high: f64, mixture: NormalMixture) -> Result<Interval> {
    check::finite("bounds", &[low, high])?;
    check::positive("high - low", high - low)?;
    if moments.count == 0 {
        return Err(Error::Empty { what: "values" });
    }
    if moments.mean < low || moments.mean > high {
        return Err(Error::OutOfRange {
            what: "mean",
            value: moments.mean,
            allowed: "the bounds",
            index: None,
        });
    }
    let n = moments.count as f64;
    let half = mixture.boundary(n * (high - low).powi(2) / 4.0) / n;
    Ok(Interval {
        estimate: moments.mean,
        low: (moments.mean - half).max(low),
        high: (moments.mean + half).min(high),
        level: 1.0 - mixture.alpha(),
    })
}

/// An interval that covers the mean at all times at once, approximately for large `n`, for any distribution with a
/// variance; `mixture` is in units of rows.
///
/// Begin to look after some tens of rows. Source: Waudby-Smith, Arbour, Sinha, Kennedy & Ramdas 2021, "Time-uniform
/// central limit theory and asymptotic confidence sequences", theorem 2.2, where their `rho^2` is `1 / rho` here.
/// `O(1)`.
///
/// # Errors
/// Below two values, or moments of values that were not finite.
pub fn asymptotic_mean(moments: Moments, mixture: NormalMixture) -> Result<Interval> {
    let found = moments.count as usize;
    let variance = moments.sample_variance().ok_or(Error::TooFew {
        what: "values",
        needed: 2,
        found,
    })?;
    check::finite("values", &[moments.mean, variance])?;
    let n = moments.count as f64;
    let half = variance.sqrt() * mixture.boundary(n) / n;
    let estimate = moments.mean;
    Ok(Interval {
        estimate,
        low: estimate - half,
        high: estimate + half,
        level: 1.0 - mixture.alpha(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_cut_the_interval_and_bad_ones_are_refused() {
        let mixture = NormalMixture::tightest_at(25.0, 0.05).unwrap();
        let got = bounded_mean(Moments::of_rate(1, 10), 0.0, 1.0, mixture).unwrap();
        assert!(got.low == 0.0 && got.high < 1.0 && got.contains(0.1));
        assert!(bounded_mean(Moments::of_rate(1, 10), 1.0, 1.0, mixture).is_err());
        assert!(bounded_mean(Moments::of(&[3.0]), 0.0, 1.0, mixture).is_err());
        assert!(asymptotic_mean(Moments::of(&[3.0]), mixture).is_err());
    }
}
