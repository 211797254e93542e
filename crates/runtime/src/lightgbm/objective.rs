//! What LightGBM's objectives make of the sum of the leaves.

use crate::error::{Error, Result};
use crate::trees::Link;

pub(super) struct Answer {
    pub(super) link: Link,
    /// 0 for regression.
    pub(super) classes: usize,
}

/// Reads the `objective` line, such as `binary sigmoid:1`. A model of a custom objective has none.
pub(super) fn read(path: &str, line: &str, outputs: usize) -> Result<Answer> {
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or("");
    let options: Vec<&str> = words.collect();
    let option = |key: &str| {
        options
            .iter()
            .find_map(|option| option.strip_prefix(key)?.strip_prefix(':'))
            .and_then(|value| value.parse::<f64>().ok())
    };
    let scale = option("sigmoid").unwrap_or(1.0);
    let (link, classes) = match name {
        "binary" => (Link::Sigmoid { scale }, 2),
        "multiclass" | "softmax" => (Link::Softmax, outputs),
        "multiclassova" | "multiclass_ova" | "ova" | "ovr" => (Link::EachSigmoid { scale }, outputs),
        "cross_entropy" | "xentropy" => (Link::Sigmoid { scale: 1.0 }, 0),
        "cross_entropy_lambda" | "xentlambda" => (Link::SoftPlus, 0),
        "poisson" | "gamma" | "tweedie" => (Link::Exp, 0),
        "regression" | "regression_l2" | "l2" | "mse" if options.contains(&"sqrt") => (Link::SignedSquare, 0),
        "" | "custom" | "none" | "regression" | "regression_l2" | "l2" | "mse" | "regression_l1" | "l1"
        | "mae" | "huber" | "fair" | "quantile" | "mape" | "lambdarank" | "rank_xendcg" => {
            (Link::Identity, 0)
        }
        other => return Err(Error::unsupported(path, format!("objective \"{other}\""))),
    };
    Ok(Answer { link, classes })
}
