//! Hashes of values that stay the same for ever: stored sketches are merged with new ones.
//!
//! Neither the standard library nor the fast hashing crates promise that, so the functions stand here. Equal numbers
//! hash equally whatever type holds them, because one file may keep a column as integers and the next as reals.

/// MurmurHash3's 64-bit finaliser: a bijection in which every bit of the input moves half of the output.
#[inline]
pub(crate) fn mix(mut x: u64) -> u64 {
    x ^= x >> 33;
    x = x.wrapping_mul(0xff51_afd7_ed55_8ccd);
    x ^= x >> 33;
    x = x.wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    x ^ (x >> 33)
}

/// Keeps zero, which [`mix`] leaves at zero, away from the sketches' weak spot.
const OFFSET: u64 = 0x9e37_79b9_7f4a_7c15;

/// The hash of a real number; both zeros are one value.
#[inline]
pub(crate) fn number(value: f64) -> u64 {
    mix((value + 0.0).to_bits() ^ OFFSET)
}

/// The hash of a whole number: that of the equal real when there is one.
#[inline]
pub(crate) fn integer(value: i64) -> u64 {
    const EXACT: i64 = 1 << 53;
    if (-EXACT..=EXACT).contains(&value) {
        number(value as f64)
    } else {
        mix((value as u64).wrapping_mul(0xd6e8_feb8_6659_fd93) ^ !OFFSET)
    }
}

/// The hash of a text: folded multiplication over 8-byte words, as in wyhash, with a full finish.
#[inline]
pub(crate) fn text(bytes: &[u8]) -> u64 {
    let mut state = (bytes.len() as u64) ^ OFFSET;
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = u64::from_le_bytes(word.try_into().expect("chunks of eight bytes"));
        state = fold(state ^ word, 0xa076_1d64_78bd_642f);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        state = fold(state ^ u64::from_le_bytes(last), 0xe703_7ed1_a0b4_28db);
    }
    mix(state)
}

#[inline]
fn fold(a: u64, b: u64) -> u64 {
    let product = u128::from(a) * u128::from(b);
    (product as u64) ^ ((product >> 64) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_never_change() {
        // Stored profiles depend on these very figures.
        assert_eq!(number(1.5), 3_868_538_229_376_497_241);
        assert_eq!(integer(i64::MAX), 2_267_666_748_406_560_753);
        assert_eq!(text(b""), 11_286_133_854_226_296_554);
        assert_eq!(text(b"JFK"), 15_178_516_966_642_586_808);
        assert_eq!(text(b"a longer text, over words"), 219_194_655_713_742_869);
    }

    #[test]
    fn equal_numbers_hash_equally() {
        assert_eq!(number(0.0), number(-0.0));
        assert_eq!(integer(42), number(42.0));
    }

    #[test]
    fn big_integers_that_share_a_real_stay_apart() {
        let big = 1_i64 << 60;
        assert_ne!(integer(big), integer(big + 1));
    }
}
