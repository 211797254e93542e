//! A look at samples of what was acknowledged, over HTTP, after each restart.

use serde_json::Value;

use crate::client::Answer;
use crate::journal::{Kind, Prediction};
use crate::random::Chance;
use crate::shared::Shared;

/// Predictions looked at each time.
const SAMPLES: usize = 12;

/// Compares samples, mostly of the newest, with what the restarted server says.
pub async fn look(shared: &Shared, chance: &mut Chance) {
    let (predictions, runs, labelled) = {
        let journal = shared.journal();
        let mut predictions: Vec<Prediction> = Vec::new();
        for sample in 0..SAMPLES {
            let last = if sample < SAMPLES / 2 { 10 } else { usize::MAX };
            predictions.extend(chance.recent(&journal.predictions, last).cloned());
        }
        let runs: Vec<String> = journal.runs().into_iter().rev().take(3).collect();
        let ids: Vec<String> = journal.labels.keys().take(200).cloned().collect();
        let labelled = chance.pick(&ids).cloned();
        (predictions, runs, labelled)
    };
    for prediction in &predictions {
        check_prediction(shared, prediction).await;
    }
    if let Some(id) = labelled {
        let found = shared
            .journal()
            .predictions
            .iter()
            .find(|known| known.id == id)
            .cloned();
        if let Some(prediction) = found {
            check_prediction(shared, &prediction).await;
        }
    }
    for run in &runs {
        check_run(shared, run).await;
    }
    check_retrainings(shared).await;
    check_versions(shared).await;
    check_ledger(shared).await;
}

/// The answer of a server that must be up.
async fn get(shared: &Shared, path: &str) -> Option<Value> {
    match shared.client.get(path).await {
        Answer::Done(body) => Some(body),
        Answer::Refused(refusal) => {
            shared.wrong(format!("{path} was answered {refusal:?}"));
            None
        }
        Answer::Lost => {
            shared.wrong(format!("{path} was not answered"));
            None
        }
    }
}

pub async fn check_prediction(shared: &Shared, wanted: &Prediction) {
    let Some(body) = get(shared, &format!("/api/v1/predictions/{}", wanted.id)).await else {
        return;
    };
    let row = &body["row"];
    let (version, score) = (row["_version"].as_u64(), row["_score"].as_f64());
    if version != Some(wanted.version) || score.is_none_or(|score| (score - wanted.score).abs() > 1e-9) {
        shared.wrong(format!("{wanted:?} was answered, {row} is stored"));
    }
    let stored = body["label"].as_f64().map(|label| (None, label));
    let problem = shared.journal().judge_label(&wanted.id, stored);
    // A label may arrive between the two looks: asked again it must fit.
    if problem.is_some() {
        let again = get(shared, &format!("/api/v1/predictions/{}", wanted.id)).await;
        let stored = again
            .and_then(|body| body["label"].as_f64())
            .map(|label| (None, label));
        let problem = shared.journal().judge_label(&wanted.id, stored);
        if let Some(problem) = problem {
            shared.wrong(problem);
        }
    }
}

async fn check_run(shared: &Shared, id: &str) {
    let known = shared.journal().ended.get(id).cloned();
    let Some(body) = get(shared, &format!("/api/v1/pipeline-runs/{id}")).await else {
        return;
    };
    if known.is_some() && body["run"]["state"].as_str() != known.as_deref() {
        shared.wrong(format!(
            "run {id} had ended as {known:?} and is {}",
            body["run"]["state"]
        ));
    }
}

async fn check_retrainings(shared: &Shared) {
    let wanted: Vec<String> = {
        let journal = shared.journal();
        let done = [Kind::Retrain, Kind::Promote]
            .into_iter()
            .flat_map(|kind| journal.done(kind));
        done.filter_map(|(_, answer)| Some(answer["id"].as_str()?.to_owned()))
            .collect()
    };
    let Some(body) = get(shared, "/api/v1/retrainings?limit=1000").await else {
        return;
    };
    let found: Vec<&str> = body["retrainings"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|one| one["id"].as_str())
        .collect();
    for id in wanted.iter().filter(|id| !found.contains(&id.as_str())) {
        shared.wrong(format!("retraining {id} was acknowledged and is gone"));
    }
}

async fn check_versions(shared: &Shared) {
    let newest = shared
        .journal()
        .versions
        .last_key_value()
        .map(|(number, digest)| (*number, digest.clone()));
    let Some((number, digest)) = newest else { return };
    let Some(body) = get(shared, &format!("/api/v1/datasets/flights/versions/{number}")).await else {
        return;
    };
    if body["digest"].as_str() != Some(&digest) {
        shared.wrong(format!(
            "dataset version {number} was {digest} and is {}",
            body["digest"]
        ));
    }
}

async fn check_ledger(shared: &Shared) {
    if let Some(body) = get(shared, "/api/v1/ledger/verification").await
        && body["ok"] != true
    {
        shared.wrong(format!("the ledger does not verify: {body}"));
    }
}
