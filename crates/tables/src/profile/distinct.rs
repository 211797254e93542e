//! How many different values there are, in four kilobytes: HyperLogLog.
//!
//! Registers follow Flajolet et al. (2007); the estimate is the one of Ertl, "New cardinality estimation algorithms
//! for HyperLogLog sketches" (2017), algorithm 6, which needs no bias tables and no switch between ranges. Hashes come
//! in ready, because the same hash serves the counts of frequent values. Merging takes the larger register, so any
//! order and grouping gives the same sketch, bit for bit.

/// Bits of the hash that choose the register: 4,096 registers, relative standard error 1.04 / 64 = 1.6 %.
const BITS: u32 = 12;
const REGISTERS: usize = 1 << BITS;
/// Largest rank: the remaining bits and one more.
const MAX_RANK: u8 = (64 - BITS + 1) as u8;
/// A register is stored in six bits.
const PACKED: usize = REGISTERS * 6 / 8;

/// Sketch of a set of hashed values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Distinct {
    registers: Box<[u8; REGISTERS]>,
}

impl Default for Distinct {
    fn default() -> Self {
        Self {
            registers: Box::new([0; REGISTERS]),
        }
    }
}

impl Distinct {
    /// Adds the value with this hash.
    #[inline]
    pub(crate) fn add(&mut self, hash: u64) {
        let index = (hash >> (64 - BITS)) as usize;
        // The marker bit bounds the rank when all remaining bits are zero.
        let rank = ((hash << BITS) | (1 << (BITS - 1))).leading_zeros() as u8 + 1;
        let register = &mut self.registers[index];
        if rank > *register {
            *register = rank;
        }
    }

    /// Adds the values that `other` has seen.
    pub(crate) fn merge(&mut self, other: &Self) {
        for (mine, theirs) in self.registers.iter_mut().zip(other.registers.iter()) {
            *mine = (*mine).max(*theirs);
        }
    }

    /// The estimated number of different values.
    pub(crate) fn estimate(&self) -> f64 {
        let mut counts = [0_u32; MAX_RANK as usize + 1];
        for &register in self.registers.iter() {
            counts[usize::from(register)] += 1;
        }
        let m = REGISTERS as f64;
        let q = usize::from(MAX_RANK) - 1;
        let mut z = m * tau(1.0 - f64::from(counts[q + 1]) / m);
        for &count in counts[1..=q].iter().rev() {
            z = 0.5 * (z + f64::from(count));
        }
        z += m * sigma(f64::from(counts[0]) / m);
        m * m / (2.0 * std::f64::consts::LN_2 * z)
    }

    /// The registers in six bits each.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(PACKED);
        for four in self.registers.chunks_exact(4) {
            let bits = four
                .iter()
                .rev()
                .fold(0_u32, |bits, &register| (bits << 6) | u32::from(register));
            bytes.extend_from_slice(&bits.to_le_bytes()[..3]);
        }
        bytes
    }

    /// Reads what [`to_bytes`](Self::to_bytes) wrote.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        if bytes.len() != PACKED {
            return None;
        }
        let mut distinct = Self::default();
        for (three, four) in bytes.chunks_exact(3).zip(distinct.registers.chunks_exact_mut(4)) {
            let mut bits = u32::from_le_bytes([three[0], three[1], three[2], 0]);
            for register in four {
                *register = (bits & 63) as u8;
                bits >>= 6;
            }
        }
        distinct
            .registers
            .iter()
            .all(|&register| register <= MAX_RANK)
            .then_some(distinct)
    }
}

/// Contribution of empty registers (Ertl 2017, algorithm 6).
fn sigma(mut x: f64) -> f64 {
    if x >= 1.0 {
        return f64::INFINITY;
    }
    let (mut y, mut z) = (1.0, x);
    loop {
        x *= x;
        let before = z;
        z += x * y;
        y += y;
        if z == before {
            return z;
        }
    }
}

/// Contribution of full registers (Ertl 2017, algorithm 6).
fn tau(mut x: f64) -> f64 {
    if x <= 0.0 || x >= 1.0 {
        return 0.0;
    }
    let (mut y, mut z) = (1.0, 1.0 - x);
    loop {
        x = x.sqrt();
        let before = z;
        y *= 0.5;
        z -= (1.0 - x) * (1.0 - x) * y;
        if z == before {
            return z / 3.0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::hash;

    fn sketch(values: std::ops::Range<i64>) -> Distinct {
        let mut distinct = Distinct::default();
        values.for_each(|value| distinct.add(hash::integer(value)));
        distinct
    }

    #[test]
    fn estimates_stay_within_four_deviations() {
        assert_eq!(sketch(0..0).estimate(), 0.0);
        for n in [1, 10, 500, 3_000, 20_000, 400_000] {
            let estimate = sketch(0..n).estimate();
            assert!(
                (estimate / n as f64 - 1.0).abs() < 4.0 * 0.01625,
                "{n}: {estimate}"
            );
        }
    }

    #[test]
    fn the_librarys_sketch_agrees() {
        let mut theirs = datasketches::hll::HllSketch::new(12, datasketches::hll::HllType::Hll8).unwrap();
        (0..100_000_i64).for_each(|value| theirs.update(value));
        let ours = sketch(0..100_000).estimate();
        assert!((ours / theirs.estimate() - 1.0).abs() < 0.06);
    }

    #[test]
    fn merging_is_the_union_bit_for_bit() {
        let mut merged = sketch(0..6_000);
        merged.merge(&sketch(4_000..10_000));
        assert_eq!(merged, sketch(0..10_000));
    }

    #[test]
    fn bytes_round_trip_and_nonsense_is_refused() {
        let distinct = sketch(0..50_000);
        assert_eq!(Distinct::from_bytes(&distinct.to_bytes()).unwrap(), distinct);
        assert!(Distinct::from_bytes(&[0; 7]).is_none());
        assert!(Distinct::from_bytes(&[255; PACKED]).is_none());
    }
}
