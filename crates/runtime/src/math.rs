//! Exponential and logarithm, the same to the last bit on every machine.
//!
//! The standard library asks the system's libm, whose answers differ in the last bit between systems and processors; a
//! model trained from the same rows and seed would differ with them. These use additions, multiplications and divisions
//! only, which IEEE 754 fixes. Errors are below two units in the last place.

const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `e^x`.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    if x.is_nan() {
        return x;
    }
    if x > 709.7 {
        return if x > 709.782_712_893_384 {
            f64::INFINITY
        } else {
            exp(x - 1.0) * std::f64::consts::E
        };
    }
    if x < -708.0 {
        // The few numbers below the smallest normal one are of no use as probabilities.
        return 0.0;
    }
    let power = (x * std::f64::consts::LOG2_E).round();
    let rest = (x - power * LN_2_HIGH) - power * LN_2_LOW;
    // Taylor's series: |rest| <= ln(2)/2, so that the first term left out is below 2^-58.
    const TERMS: [f64; 13] = [
        1.0 / 6_227_020_800.0,
        1.0 / 479_001_600.0,
        1.0 / 39_916_800.0,
        1.0 / 3_628_800.0,
        1.0 / 362_880.0,
        1.0 / 40_320.0,
        1.0 / 5_040.0,
        1.0 / 720.0,
        1.0 / 120.0,
        1.0 / 24.0,
        1.0 / 6.0,
        0.5,
        1.0,
    ];
    let series = TERMS.iter().fold(0.0, |sum, term| sum * rest + term);
    let two_to_power = f64::from_bits(((power as i64 + 1023) as u64) << 52);
    (1.0 + rest * series) * two_to_power
}

/// The natural logarithm of a positive, normal number.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    if x.is_nan() || x <= 0.0 || x.is_infinite() {
        // What the standard library answers here is exact everywhere.
        return x.ln();
    }
    let bits = x.max(f64::MIN_POSITIVE).to_bits();
    // x = mantissa * 2^power with the mantissa in [sqrt(1/2), sqrt(2)).
    let mut power = (bits >> 52) as i64 - 1023;
    let mut mantissa = f64::from_bits((bits & ((1 << 52) - 1)) | (1023 << 52));
    if mantissa > std::f64::consts::SQRT_2 {
        mantissa *= 0.5;
        power += 1;
    }
    // ln(m) = 2 atanh(z), |z| < 0.172: thirteen odd powers reach 2^-66.
    const TERMS: [f64; 12] = [
        1.0 / 25.0,
        1.0 / 23.0,
        1.0 / 21.0,
        1.0 / 19.0,
        1.0 / 17.0,
        1.0 / 15.0,
        1.0 / 13.0,
        1.0 / 11.0,
        1.0 / 9.0,
        1.0 / 7.0,
        1.0 / 5.0,
        1.0 / 3.0,
    ];
    let z = (mantissa - 1.0) / (mantissa + 1.0);
    let square = z * z;
    let series = TERMS.iter().fold(0.0, |sum, term| (sum + term) * square);
    let power = power as f64;
    power * LN_2_HIGH + (2.0 * z + (2.0 * z * series + power * LN_2_LOW))
}

/// `1 / (1 + e^-x)`.
pub(crate) fn sigmoid(x: f64) -> f64 {
    1.0 / (1.0 + exp(-x))
}

/// Sums of classes to probabilities, in place.
pub(crate) fn softmax(scores: &mut [f64]) {
    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let mut sum = 0.0;
    for score in scores.iter_mut() {
        *score = exp(*score - highest);
        sum += *score;
    }
    for score in scores {
        *score /= sum;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn close_to_the_standard_library_everywhere() {
        for step in -70_000..=70_000 {
            let x = f64::from(step) * 0.01;
            let (found, expected) = (exp(x), x.exp());
            assert!(
                (found - expected).abs() <= 5e-16 * expected,
                "exp({x}) = {found}, not {expected}"
            );
            if expected > 0.0 && expected.is_finite() {
                let (found, wanted) = (ln(expected), expected.ln());
                assert!(
                    (found - wanted).abs() <= 5e-16 * wanted.abs().max(1.0),
                    "ln({expected})"
                );
            }
        }
    }

    #[test]
    fn the_ends_of_the_line() {
        assert_eq!(exp(0.0), 1.0);
        assert_eq!(exp(f64::NEG_INFINITY), 0.0);
        assert_eq!(exp(f64::INFINITY), f64::INFINITY);
        assert_eq!(exp(-1000.0), 0.0);
        assert_eq!(exp(1000.0), f64::INFINITY);
        assert!(exp(709.75).is_finite());
        assert!(exp(f64::NAN).is_nan());
        assert_eq!(ln(1.0), 0.0);
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert!(ln(-1.0).is_nan());
        assert_eq!(sigmoid(0.0), 0.5);
        let mut scores = [1000.0, 1000.0, -1000.0];
        softmax(&mut scores);
        assert_eq!(scores, [0.5, 0.5, 0.0]);
    }
}
