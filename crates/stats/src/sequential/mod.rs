//! Inference that may be looked at after every row.
//!
//! A fixed-sample test looked at continuously is wrong more than 30 % of the time. The intervals here hold at all
//! times at once, so a canary may stop whenever it likes: [`difference`] for means and rates (asymptotic, with an
//! interval), [`RateTest`] for two rates (exact at any sample size, a p-value), [`bounded_mean`] for one mean of
//! bounded values (exact). All rest on the normal mixture of Robbins or on a product of fair bets.

mod arms;
mod mean;
mod mixture;
mod rates;

pub use arms::{Arm, Difference, Mixing, Peeking, difference};
pub use mean::{asymptotic_mean, bounded_mean};
pub use mixture::NormalMixture;
pub use rates::{Alternative, Block, RateTest};
