//! The two widths of thresholds.

use std::fmt::Debug;
use std::ops::AddAssign;

/// A float of the width a library computes with.
pub(crate) trait Real: Copy + PartialOrd + AddAssign + Debug + Send + Sync + 'static {
    const ZERO: Self;
    fn from_f64(value: f64) -> Self;
    fn to_f64(self) -> f64;
    fn is_nan(self) -> bool;
    /// The largest number below, so that `x < t` is `x <= t.next_below()`. Nothing is below minus infinity: NaN then,
    /// as no number is at most NaN.
    fn next_below(self) -> Self;
    /// LightGBM's test for zero.
    fn is_as_good_as_zero(self) -> bool {
        self.to_f64().abs() <= 1e-35
    }
    /// The whole part as an index of up to 24 bits; 0 for what is below or no number.
    fn to_index(self) -> usize;
}

/// The largest index: floats of 32 bits tell no more apart.
const LAST_INDEX: u32 = (1 << 24) - 1;

impl Real for f32 {
    const ZERO: Self = 0.0;

    fn from_f64(value: f64) -> Self {
        value as f32
    }

    fn to_f64(self) -> f64 {
        f64::from(self)
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn to_index(self) -> usize {
        // The cast saturates, and takes NaN to 0.
        (self as u32).min(LAST_INDEX) as usize
    }

    fn next_below(self) -> Self {
        if self == Self::NEG_INFINITY {
            return Self::NAN;
        }
        self.next_down()
    }
}

impl Real for f64 {
    const ZERO: Self = 0.0;

    fn from_f64(value: f64) -> Self {
        value
    }

    fn to_f64(self) -> f64 {
        self
    }

    fn is_nan(self) -> bool {
        self.is_nan()
    }

    fn to_index(self) -> usize {
        // The cast saturates, and takes NaN to 0.
        (self as u32).min(LAST_INDEX) as usize
    }

    fn next_below(self) -> Self {
        if self == Self::NEG_INFINITY {
            return Self::NAN;
        }
        self.next_down()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn below_is_exact() {
        for t in [
            0.0,
            -0.0,
            1.0,
            f32::MIN_POSITIVE,
            f32::INFINITY,
            f32::NEG_INFINITY,
            -7.25,
        ] {
            for x in [
                t,
                t.next_down(),
                t.next_up(),
                0.0,
                f32::NEG_INFINITY,
                f32::INFINITY,
            ] {
                assert_eq!(x < t, x <= t.next_below(), "{x} < {t}");
            }
        }
    }

    #[test]
    fn indices_are_whole_parts_of_24_bits() {
        assert_eq!(3.7_f32.to_index(), 3);
        assert_eq!(16_777_215.0_f64.to_index(), 16_777_215);
        assert_eq!(f32::INFINITY.to_index(), 16_777_215);
        for zero in [-1.0, -0.5, f32::NAN, f32::NEG_INFINITY] {
            assert_eq!(zero.to_index(), 0);
        }
    }
}
