//! How far a current sample lies from a reference, and whether chance explains it.
//!
//! An *effect size* ([`Method`]) says how far; a *test* (KS for numbers, chi-square for categories) says whether
//! that could be noise; [`judge`] needs both, enough rows, and controls the false-discovery rate over columns. Tools
//! disagree on the details of PSI, Jensen-Shannon and Hellinger, so a method names whose definition it follows.
//!
//! Numbers come as a [`Sample`], sorted once and then compared as often as wanted; categories as counts in the same
//! order for both sides ([`Categories`] aligns them).

mod bins;
mod categories;
mod cdf;
mod column;
mod contingency;
mod counts;
mod judge;
mod ks;
mod method;
mod sample;

pub use bins::{Edges, Histogram};
pub use categories::{Categories, merge_rare};
pub use cdf::{energy_distance, ks_statistic, wasserstein, wasserstein_deepchecks, wasserstein_normed};
pub use column::{ColumnDrift, Test, compare_categories, compare_numbers};
pub use contingency::{Tested, chi_square, chi_square_fit, cramers_v, cramers_v_deepchecks};
pub use counts::{
    LogBase, Zeros, hellinger, jensen_shannon, kolmogorov, kullback_leibler, l_infinity, psi, total_variation,
};
pub use judge::{Dependence, Judged, Rule, Verdict, judge};
pub use ks::{ks_test, one_sample_sf};
pub use method::{Kind, Method, evidently_default};
pub use sample::Sample;
