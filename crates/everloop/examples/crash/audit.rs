//! The audit of a stopped server: its database, objects and prediction log against what it acknowledged.

use everloop_core::{Hash, Ids, Values};
use everloop_objects::{Objects, Options};
use everloop_tables::{ObjectFile, Source, Tables, TablesOptions};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::journal::{Fate, Kind, Request};
use crate::kills::Stores;
use crate::laws::LAWS;
use crate::rows::Rows;
use crate::shared::Shared;

/// Compares everything.
///
/// # Errors
/// When the stores can't be opened or read.
pub async fn audit(shared: &Shared, stores: &Stores) -> anyhow::Result<()> {
    let rows = Rows::open(&stores.db).await?;
    let options = Options::new(Ids::system()).with_env(stores.variables());
    let objects = Objects::open(&stores.store.parse()?, &options).await?;
    for (law, query) in LAWS {
        for broken in rows.texts(query).await? {
            shared.wrong(format!("{law}: {broken}"));
        }
    }
    check_predictions(shared, &rows, &objects).await?;
    check_labels(shared, &rows).await?;
    check_runs(shared, &rows).await?;
    check_effects(shared, &rows).await?;
    check_releases(shared, &rows).await?;
    check_models(shared, &rows).await?;
    check_objects(shared, &rows, &objects).await?;
    check_datasets(shared, &rows).await?;
    rows.close().await;
    Ok(())
}

/// A stored prediction.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Stored {
    version: f64,
    score: f64,
}

/// Every acknowledged prediction is in the log once, as it was answered; nothing is in it twice.
async fn check_predictions(shared: &Shared, rows: &Rows, objects: &Objects) -> anyhow::Result<()> {
    let tables = Tables::new(TablesOptions::default())?.with_objects(objects.clone());
    let mut stored: HashMap<String, Stored> = HashMap::new();
    for row in rows
        .all("SELECT object, size, id FROM prediction_segments ORDER BY id")
        .await?
    {
        let file = ObjectFile {
            hash: row.get::<Hash>("object")?,
            name: format!("{}.parquet", row.get::<String>("id")?),
            size: row.get("size")?,
        };
        let session = tables.session().await?;
        session.add("log", Source::objects(vec![file])).await?;
        let sql = "SELECT _id, _version, _score FROM log WHERE _role <> 'shadow'";
        let frame = session.sql(sql).await?.to_frame()?;
        let (Some(ids), Some(versions), Some(scores)) =
            (frame.get("_id"), frame.get("_version"), frame.get("_score"))
        else {
            continue;
        };
        let ids = (0..frame.rows()).map(|row| ids.text(row).unwrap_or_default().to_owned());
        let values = Values::to_numbers(versions)
            .into_iter()
            .zip(Values::to_numbers(scores));
        for (id, (version, score)) in ids.zip(values) {
            if stored.insert(id.clone(), Stored { version, score }).is_some() {
                shared.wrong(format!("prediction {id} is stored twice"));
            }
        }
    }
    let predictions = shared.journal().predictions.clone();
    let mut seen = BTreeSet::new();
    for wanted in &predictions {
        if !seen.insert(&wanted.id) {
            shared.wrong(format!("two answers have the id {}", wanted.id));
        }
        match stored.get(&wanted.id) {
            None => shared.wrong(format!("prediction {} was answered and is lost", wanted.id)),
            Some(found)
                if found.version != wanted.version as f64 || (found.score - wanted.score).abs() > 1e-9 =>
            {
                shared.wrong(format!("{wanted:?} was answered, {found:?} is stored"));
            }
            Some(_) => {}
        }
    }
    println!("{:>8}  predictions stored", stored.len());
    Ok(())
}

async fn check_labels(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let mut stored: HashMap<String, (Option<i64>, f64)> = HashMap::new();
    for row in rows.all("SELECT prediction_id, at, label FROM feedback").await? {
        let label = (Some(row.get("at")?), row.get("label")?);
        if stored.insert(row.get("prediction_id")?, label).is_some() {
            shared.wrong(format!("a prediction has two labels: {label:?}"));
        }
    }
    let mut journal = shared.journal();
    let ids: BTreeSet<String> = journal.labels.keys().chain(stored.keys()).cloned().collect();
    let problems: Vec<String> = ids
        .iter()
        .filter_map(|id| journal.judge_label(id, stored.get(id).copied()))
        .collect();
    println!("{:>8}  labels stored", stored.len());
    for problem in problems {
        journal.wrong(problem);
    }
    Ok(())
}

/// Judges how often the effect of a request is there.
fn judge(shared: &Shared, token: &str, request: &Request, times: usize) {
    let fits = match (&request.fate, &request.key) {
        (Fate::Done(_), _) => times == 1,
        (Fate::Refused, _) => times == 0,
        (Fate::Lost, _) => times <= 1,
    };
    if !fits {
        shared.wrong(format!("{token} happened {times} times: {request:?}"));
    }
}

fn requests(shared: &Shared, kind: Kind) -> BTreeMap<String, Request> {
    let journal = shared.journal();
    let of_kind = journal
        .requests
        .iter()
        .filter(|(_, request)| request.kind == kind);
    of_kind
        .map(|(token, request)| (token.clone(), request.clone()))
        .collect()
}

/// Each request for a run has the run that was acknowledged, and no other; final states stay.
async fn check_runs(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let mut by_token: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut states = HashMap::new();
    for row in rows.all("SELECT id, state, request FROM pipeline_runs").await? {
        let (id, state): (String, String) = (row.get("id")?, row.get("state")?);
        let request: Value = serde_json::from_str(&row.get::<String>("request")?)?;
        if let Some(token) = request["reason"].as_str() {
            by_token.entry(token.to_owned()).or_default().push(id.clone());
        }
        states.insert(id, state);
    }
    let none = Vec::new();
    for (token, request) in requests(shared, Kind::Pipeline) {
        let found = by_token.get(&token).unwrap_or(&none);
        judge(shared, &token, &request, found.len());
        if let Fate::Done(answer) = &request.fate
            && answer["run"]["id"].as_str() != found.first().map(String::as_str)
        {
            shared.wrong(format!(
                "{token} was acknowledged as {}, {found:?} is stored",
                answer["run"]["id"]
            ));
        }
    }
    let ended = shared.journal().ended.clone();
    for (id, state) in &ended {
        if states.get(id) != Some(state) {
            shared.wrong(format!(
                "run {id} had ended as {state} and is {:?}",
                states.get(id)
            ));
        }
    }
    let mut counts: BTreeMap<&String, usize> = BTreeMap::new();
    for state in states.values() {
        *counts.entry(state).or_default() += 1;
    }
    println!("{:>8}  pipeline runs: {counts:?}", states.len());
    Ok(())
}

/// The command with an effect outside ran once for each attempt at most, and no attempt is unknown.
async fn check_effects(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let mut attempts: HashMap<String, (i64, String)> = HashMap::new();
    for row in rows
        .all("SELECT run, attempt, state FROM pipeline_stages WHERE stage = 'effect'")
        .await?
    {
        attempts.insert(row.get("run")?, (row.get("attempt")?, row.get("state")?));
    }
    let tracked: BTreeSet<String> = rows
        .texts("SELECT run_id AS text FROM runs")
        .await?
        .into_iter()
        .collect();
    let mut by_attempt: BTreeMap<String, usize> = BTreeMap::new();
    let mut by_run: BTreeMap<String, i64> = BTreeMap::new();
    for line in std::fs::read_to_string(&shared.workspace.effects)?.lines() {
        let mut words = line.split(' ');
        let (run, attempt) = (words.next().unwrap_or_default(), words.nth(1).unwrap_or_default());
        *by_attempt.entry(attempt.to_owned()).or_default() += 1;
        *by_run.entry(run.to_owned()).or_default() += 1;
    }
    for (attempt, times) in by_attempt {
        if times != 1 || !tracked.contains(&attempt) {
            shared.wrong(format!("attempt {attempt} had its effect {times} times"));
        }
    }
    for (run, (most, state)) in &attempts {
        let times = by_run.remove(run).unwrap_or_default();
        if times > *most || (state == "succeeded" && times == 0) {
            shared.wrong(format!(
                "run {run} had its effect {times} times in {most} attempts, and {state}"
            ));
        }
    }
    for (run, times) in by_run {
        shared.wrong(format!("run {run} is unknown and had its effect {times} times"));
    }
    Ok(())
}

/// Acknowledged retrainings and releases are there, and no others; a rollback has one decision.
async fn check_releases(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let found = rows
        .all("SELECT id, reason FROM retrainings WHERE trigger_name = 'manual'")
        .await?;
    let mut by_word: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut releases = BTreeSet::new();
    for row in &found {
        let (id, reason): (String, Value) = (
            row.get("id")?,
            serde_json::from_str(&row.get::<String>("reason")?)?,
        );
        match reason["words"].as_str() {
            Some(word) => by_word.entry(word.to_owned()).or_default().push(id),
            None => drop(releases.insert(id)),
        }
    }
    for (token, request) in requests(shared, Kind::Retrain) {
        judge(shared, &token, &request, by_word.get(&token).map_or(0, Vec::len));
    }
    let (acknowledged, lost) = {
        let journal = shared.journal();
        let ids = journal
            .done(Kind::Promote)
            .filter_map(|(_, answer)| answer["id"].as_str().map(ToOwned::to_owned));
        (ids.collect::<BTreeSet<String>>(), journal.lost(Kind::Promote))
    };
    for id in acknowledged.difference(&releases) {
        shared.wrong(format!("release {id} was acknowledged and is lost"));
    }
    let more = releases.difference(&acknowledged).count();
    if more > lost {
        shared.wrong(format!(
            "{more} releases happened that nobody knows of, and {lost} answers were lost"
        ));
    }
    let words = rows
        .texts("SELECT words AS text FROM decisions WHERE kind = 'rollback'")
        .await?;
    for (token, request) in requests(shared, Kind::Rollback) {
        let ending = format!(": {token}");
        judge(
            shared,
            &token,
            &request,
            words.iter().filter(|words| words.ends_with(&ending)).count(),
        );
    }
    let outcomes = rows
        .texts("SELECT outcome || ' ' || CAST(COUNT(*) AS TEXT) AS text FROM retrainings GROUP BY outcome")
        .await?;
    println!(
        "{:>8}  retrainings and releases: {}",
        found.len(),
        outcomes.join(", ")
    );
    println!(
        "{:>8}  moves of the champion",
        rows.number("SELECT COUNT(*) AS number FROM model_aliases")
            .await?
    );
    Ok(())
}

/// A registered version holds what its own run wrote, whatever ran in the folder since.
async fn check_models(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let mut written: HashMap<String, BTreeSet<String>> = HashMap::new();
    for row in rows
        .all("SELECT run, outs FROM pipeline_stages WHERE stage = 'train' AND outs IS NOT NULL")
        .await?
    {
        let outs: Value = serde_json::from_str(&row.get::<String>("outs")?)?;
        written.insert(
            format!("pipeline-run:{}", row.get::<String>("run")?),
            hashes(&outs[0]["files"]),
        );
    }
    let mut registered: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for row in rows
        .all("SELECT v.source, f.hash FROM model_versions v JOIN model_files f ON f.model = v.model AND f.version = v.version")
        .await?
    {
        registered.entry(row.get("source")?).or_default().insert(row.get("hash")?);
    }
    for (source, files) in &registered {
        if written.get(source) != Some(files) {
            shared.wrong(format!(
                "the version of {source} does not hold what that run wrote"
            ));
        }
    }
    println!("{:>8}  model versions", registered.len());
    Ok(())
}

fn hashes(files: &Value) -> BTreeSet<String> {
    let files = files.as_array().into_iter().flatten();
    files
        .filter_map(|file| file["hash"].as_str().map(ToOwned::to_owned))
        .collect()
}

/// Every object that a row points at can be read back, and is what its name says.
async fn check_objects(shared: &Shared, rows: &Rows, objects: &Objects) -> anyhow::Result<()> {
    let mut wanted: BTreeMap<String, &str> = BTreeMap::new();
    let named = [
        ("a model file", "SELECT DISTINCT hash AS text FROM model_files"),
        (
            "a dataset version",
            "SELECT DISTINCT digest AS text FROM dataset_versions",
        ),
        (
            "a stage's log",
            "SELECT DISTINCT log AS text FROM pipeline_stages WHERE log IS NOT NULL",
        ),
        (
            "a part of the prediction log",
            "SELECT DISTINCT object AS text FROM prediction_segments",
        ),
    ];
    for (what, query) in named {
        wanted.extend(rows.texts(query).await?.into_iter().map(|hash| (hash, what)));
    }
    for outs in rows
        .texts("SELECT DISTINCT outs AS text FROM pipeline_stages WHERE outs IS NOT NULL")
        .await?
    {
        let outs: Value = serde_json::from_str(&outs)?;
        for out in outs
            .as_array()
            .into_iter()
            .flatten()
            .filter(|out| out["kept"] == true)
        {
            wanted.extend(
                hashes(&out["files"])
                    .into_iter()
                    .map(|hash| (hash, "a stage's out")),
            );
        }
    }
    for (text, what) in &wanted {
        let hash: Hash = text.parse().map_err(|error| anyhow::anyhow!("{text}: {error}"))?;
        // Reading verifies.
        if let Err(error) = objects.get_bytes(&hash).await {
            shared.wrong(format!("{what} can't be read: {error}"));
        }
    }
    println!("{:>8}  objects read back", wanted.len());
    Ok(())
}

async fn check_datasets(shared: &Shared, rows: &Rows) -> anyhow::Result<()> {
    let mut stored: BTreeMap<u64, String> = BTreeMap::new();
    for row in rows
        .all("SELECT number, digest FROM dataset_versions WHERE name = 'flights'")
        .await?
    {
        stored.insert(row.get("number")?, row.get("digest")?);
    }
    let versions = shared.journal().versions.clone();
    for (number, digest) in &versions {
        if stored.get(number) != Some(digest) {
            shared.wrong(format!(
                "dataset version {number} was {digest} and is {:?}",
                stored.get(number)
            ));
        }
    }
    println!("{:>8}  dataset versions", stored.len());
    Ok(())
}
