//! `everloop feedback`: the truth, when it is known.

use anyhow::Context as _;
use clap::Args;
use everloop_server::api::feedback::{FeedbackBody, LabelBody, SendFeedback};

use crate::client::Client;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Send true labels for answers, by prediction id.
///
/// The latest label of each prediction counts; the same again changes nothing.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  everloop feedback flight-delay 0190c1f2a4b87c3e9d5f60718293a4b5=1\n  everloop feedback flight-delay --json-file labels.json"
)]
pub struct FeedbackArgs {
    /// Name of the endpoint
    endpoint: String,
    /// Labels; 0 or 1 for classification, the value for regression
    #[arg(value_name = "ID=LABEL", required_unless_present = "json_file")]
    labels: Vec<String>,
    /// File with an array of {"prediction_id", "label", "at"}
    #[arg(long, value_name = "FILE")]
    json_file: Option<String>,
}

/// Sends the labels.
pub async fn run(args: &FeedbackArgs, client: &Client, output: Output) -> anyhow::Result<Exit> {
    let mut labels = args
        .labels
        .iter()
        .map(|text| label(text))
        .collect::<Result<Vec<_>, _>>()?;
    if let Some(file) = &args.json_file {
        let text = std::fs::read_to_string(file).with_context(|| format!("can't read \"{file}\""))?;
        let more: Vec<LabelBody> = serde_json::from_str(&text)
            .map_err(|error| Problem::usage(format!("not a list of labels: {error}")).at(file.as_str()))?;
        labels.extend(more);
    }
    let body = SendFeedback {
        endpoint: args.endpoint.clone(),
        labels,
    };
    let kept: FeedbackBody = client.post("/api/v1/feedback", &body).await?;
    output.result(&kept, |kept| {
        format!("{} labels received, {} of them news", kept.received, kept.changed)
    })?;
    Ok(Exit::Done)
}

fn label(text: &str) -> Result<LabelBody, Problem> {
    let wrong =
        || Problem::usage(format!("\"{text}\" is not a label")).hint("give ID=LABEL, such as 0190...=1");
    let (id, value) = text.split_once('=').ok_or_else(wrong)?;
    let label: f64 = value.parse().map_err(|_| wrong())?;
    if id.is_empty() || !label.is_finite() {
        return Err(wrong());
    }
    Ok(LabelBody {
        prediction_id: id.to_owned(),
        label,
        at: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_an_id_and_a_number() {
        let good = label("abc=1").unwrap();
        assert_eq!((good.prediction_id.as_str(), good.label), ("abc", 1.0));
        for bad in ["abc", "=1", "abc=", "abc=late", "abc=NaN"] {
            assert!(label(bad).is_err(), "{bad}");
        }
    }
}
