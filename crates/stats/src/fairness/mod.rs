//! Figures per group of people, and how far the groups lie apart (Fairlearn's `MetricFrame`).

mod frame;
mod parity;

pub use frame::{Against, Frame};
pub use parity::{
    Combine, demographic_parity_difference, demographic_parity_ratio, equal_opportunity_difference,
    equalized_odds_difference, equalized_odds_ratio,
};
