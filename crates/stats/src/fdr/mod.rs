//! Many tests at once: which of them to believe.
//!
//! Fifty columns a day at 0.05 raise about 75 false alarms a month. Within a window [`benjamini_hochberg`] bounds
//! the expected share of false alarms; over windows without end [`Lord`] and [`Saffron`] do it online.

mod batch;
mod online;

pub use batch::{benjamini_hochberg, benjamini_yekutieli};
pub use online::{Lord, Outcome, Saffron};
