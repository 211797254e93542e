//! The stream of flights: ask for each hour's flights, send the truth a day later, drop the month's file when it is
//! complete.

use everloop_core::{Timestamp, Values};
use serde_json::{Value, json};
use std::collections::BTreeMap;

use super::DemoArgs;
use super::data::{self, FEATURES, Flights, Month};
use super::narrate::Narration;
use super::table::{MonthScores, Report};
use super::world::World;
use crate::output::Output;

const DAY: i64 = 86_400_000;
const HOUR: i64 = 3_600_000;
/// Months that the first model learns from.
const SEED_MONTHS: usize = 3;
/// The version that is never replaced, for comparison.
const FROZEN: u64 = 1;

/// Plays the flights as they were.
pub async fn flights(
    world: &World,
    args: &DemoArgs,
    _: Output,
    narration: &Narration,
) -> anyhow::Result<Report> {
    let mut report = Report::default();
    let mut seeded = false;
    for year in &args.years {
        let months = data::year(*year);
        anyhow::ensure!(
            !months.is_empty(),
            "there are flights of 2013 and 2023 only, not of {year}"
        );
        let mut stream = months.as_slice();
        if !seeded {
            seed(world, &months[..SEED_MONTHS]).await?;
            stream = &months[SEED_MONTHS..];
            seeded = true;
        }
        for month in stream.iter().filter(|month| number(month) <= args.until) {
            report
                .months
                .push(month_of_flights(world, args, narration, month).await?);
        }
    }
    finish(world).await?;
    Ok(report)
}

/// The number of a month in its year.
pub fn number(month: &Month) -> u32 {
    month
        .name
        .get(5..)
        .and_then(|text| text.parse().ok())
        .unwrap_or(0)
}

/// Puts the first months in place and goes round for the first time.
pub async fn seed(world: &World, months: &[Month]) -> anyhow::Result<()> {
    for month in months {
        world.drop_file(month.name, month.bytes)?;
    }
    let why = json!({ "why": "the first model" });
    world.client().post::<_, Value>("/api/v1/retrain", &why).await?;
    world.settle().await
}

/// The last labels have had their time.
pub async fn finish(world: &World) -> anyhow::Result<()> {
    world.settle().await
}

/// Plays a month and drops its file a day after its end.
pub async fn month_of_flights(
    world: &World,
    args: &DemoArgs,
    narration: &Narration,
    month: &Month,
) -> anyhow::Result<MonthScores> {
    let scores = traffic(world, args, narration, month).await?;
    land(world, month, month.bytes).await?;
    Ok(scores)
}

/// The month's file arrives.
pub async fn land(world: &World, month: &Month, bytes: &[u8]) -> anyhow::Result<()> {
    world.drop_file(month.name, bytes)?;
    world
        .client()
        .post::<_, Value>("/api/v1/datasets/flights/versions", &json!({}))
        .await?;
    world.settle().await
}

/// The month's requests and labels.
pub async fn traffic(
    world: &World,
    args: &DemoArgs,
    narration: &Narration,
    month: &Month,
) -> anyhow::Result<MonthScores> {
    let file = world.root().join(format!("{}.playing.parquet", month.name));
    std::fs::write(&file, month.bytes)?;
    let flights = data::read(&world.tables, &file).await?;
    std::fs::remove_file(&file)?;
    let rows: Vec<usize> = (0..flights.late.len()).step_by(args.every as usize).collect();
    narration.expect_more(rows.len() as u64);
    let mut scores = MonthScores::new(month.name);
    let mut waiting: BTreeMap<i64, Vec<Label>> = BTreeMap::new();
    for day_rows in groups(&rows, |row| data::day_of(flights.departed_at[row])) {
        let day = data::day_of(flights.departed_at[day_rows[0]]);
        for hour_rows in groups(&day_rows, |row| flights.departed_at[row].div_euclid(HOUR)) {
            world.advance_to(Timestamp(flights.departed_at[hour_rows[0]]));
            let labels = ask(world, &flights, &hour_rows, &mut scores).await?;
            waiting.entry(day + DAY).or_default().extend(labels);
            narration.played(month.name, hour_rows.len() as u64);
        }
        world.advance_to(Timestamp(day + DAY));
        tell(world, &mut waiting, day).await?;
        world.settle().await?;
    }
    let last = waiting.keys().next_back().copied().unwrap_or_default();
    world.advance_to(Timestamp(last + DAY));
    tell(world, &mut waiting, last).await?;
    Ok(scores)
}

/// A truth on its way.
struct Label {
    id: String,
    late: f64,
}

/// Asks for the flights of an hour: of who serves now, and of the first model for comparison.
async fn ask(
    world: &World,
    flights: &Flights,
    rows: &[usize],
    scores: &mut MonthScores,
) -> anyhow::Result<Vec<Label>> {
    let body = request(flights, rows);
    let live: Value = world
        .client()
        .post("/v2/models/flight-delay/infer", &body)
        .await?;
    let path = format!("/v2/models/flight-delay/versions/{FROZEN}/infer");
    let frozen: Value = world.client().post(&path, &body).await?;
    let ids = live["parameters"]["prediction_ids"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let (live, frozen) = (probabilities(&live), probabilities(&frozen));
    anyhow::ensure!(
        ids.len() == rows.len() && live.len() == rows.len(),
        "an answer has fewer rows than its request"
    );
    let mut labels = Vec::with_capacity(rows.len());
    for (place, &row) in rows.iter().enumerate() {
        scores.push(
            flights.late[row],
            live[place],
            frozen.get(place).copied().unwrap_or(f64::NAN),
        );
        let id = ids[place].as_str().unwrap_or_default().to_owned();
        labels.push(Label {
            id,
            late: flights.late[row],
        });
    }
    Ok(labels)
}

fn request(flights: &Flights, rows: &[usize]) -> Value {
    let inputs: Vec<Value> = FEATURES
        .iter()
        .filter_map(|name| {
            let values = flights.frame.get(name)?.take(rows);
            let (datatype, data) = match &values {
                Values::Int(numbers) => ("INT64", json!(numbers)),
                Values::Bool(truths) => ("BOOL", json!(truths)),
                Values::Float(numbers) => ("FP64", json!(numbers)),
                texts => ("BYTES", (0..rows.len()).map(|row| texts.text(row)).collect()),
            };
            Some(json!({ "name": name, "shape": [rows.len()], "datatype": datatype, "data": data }))
        })
        .collect();
    let at = Timestamp(flights.departed_at[rows[0]]).to_rfc3339();
    json!({ "parameters": { "event_time": at }, "inputs": inputs })
}

/// The last probability of an answer: that of being late.
fn probabilities(answer: &Value) -> Vec<f64> {
    let outputs = answer["outputs"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let last = outputs.iter().rev().find(|output| {
        output["name"]
            .as_str()
            .is_some_and(|name| name.starts_with("prob"))
    });
    let data = last
        .and_then(|output| output["data"].as_array())
        .map(Vec::as_slice)
        .unwrap_or_default();
    data.iter()
        .map(|value| value.as_f64().unwrap_or(f64::NAN))
        .collect()
}

/// Sends the truths that are known by the end of `day`.
async fn tell(world: &World, waiting: &mut BTreeMap<i64, Vec<Label>>, day: i64) -> anyhow::Result<()> {
    let later = waiting.split_off(&(day + 1));
    for labels in std::mem::replace(waiting, later).into_values() {
        let labels: Vec<Value> = labels
            .iter()
            .map(|label| json!({ "prediction_id": label.id, "label": label.late }))
            .collect();
        let body = json!({ "endpoint": "flight-delay", "labels": labels });
        world.client().post::<_, Value>("/api/v1/feedback", &body).await?;
    }
    Ok(())
}

/// Runs of rows with the same key.
fn groups(rows: &[usize], key: impl Fn(usize) -> i64) -> Vec<Vec<usize>> {
    rows.chunk_by(|a, b| key(*a) == key(*b))
        .map(<[usize]>::to_vec)
        .collect()
}
