//! The same stream with three faults: a column of nulls, changed units, and a bad challenger that a person releases
//! past its gates. The checks must stop the first two, the canary must take back the third.

use serde_json::{Value, json};

use super::DemoArgs;
use super::data::{self, Month};
use super::narrate::Narration;
use super::play::{land, month_of_flights, seed, traffic};
use super::table::{Expectation, Report};
use super::world::World;
use crate::output::Output;
use everloop_tables::Source;

/// Plays April to June of 2013 with the faults.
pub async fn play(
    world: &World,
    args: &DemoArgs,
    output: Output,
    narration: &Narration,
) -> anyhow::Result<Report> {
    let months = data::year(2013);
    let mut report = Report::default();
    seed(world, &months[..3]).await?;

    report
        .months
        .push(traffic(world, args, narration, &months[3]).await?);
    output.note("FAULT: the file of April has no temperatures");
    let nulls = "SELECT * REPLACE (NULLIF(temp, temp) AS temp) FROM flights";
    report.expectations.push(
        bad_file(
            world,
            &months[3],
            nulls,
            "nulls in temp are stopped by the checks",
        )
        .await?,
    );

    report
        .months
        .push(traffic(world, args, narration, &months[4]).await?);
    output.note("FAULT: the file of May has its distances in kilometres");
    let units = "SELECT * REPLACE (CAST(distance * 1.609344 AS INT) AS distance) FROM flights";
    report
        .expectations
        .push(bad_file(world, &months[4], units, "kilometres are stopped by the checks").await?);

    output.note(
        "FAULT: the labels of the training data are swapped, and someone releases the model all the same",
    );
    report
        .expectations
        .extend(bad_challenger(world, args, narration, &mut report.months, &months[5]).await?);
    Ok(report)
}

/// Lands a spoilt file, goes round, and puts the right file in its place.
async fn bad_file(world: &World, month: &Month, sql: &str, what: &str) -> anyhow::Result<Expectation> {
    let spoilt = rewrite(world, month, sql).await?;
    land(world, month, &spoilt).await?;
    let outcome = go_round(world, &format!("new data of {}", month.name)).await?;
    land(world, month, month.bytes).await?;
    let after = go_round(world, &format!("mended data of {}", month.name)).await?;
    let held = outcome == "refused_data" && after != "refused_data";
    Ok(Expectation {
        what: format!("{what} (with them: {outcome}; mended: {after})"),
        held,
    })
}

async fn rewrite(world: &World, month: &Month, sql: &str) -> anyhow::Result<Vec<u8>> {
    let (whole, spoilt) = (
        world.root().join("whole.parquet"),
        world.root().join("spoilt.parquet"),
    );
    std::fs::write(&whole, month.bytes)?;
    let session = world.tables.session().await?;
    session
        .add("flights", Source::paths([whole.to_string_lossy()]))
        .await?;
    session.write_parquet(sql, &spoilt).await?;
    let bytes = std::fs::read(&spoilt)?;
    std::fs::remove_file(whole)?;
    std::fs::remove_file(spoilt)?;
    Ok(bytes)
}

/// Goes round now; how it ended, or where it stands when it waits for traffic.
async fn go_round(world: &World, why: &str) -> anyhow::Result<String> {
    world.settle().await?;
    if let Some(open) = newest(world).await?.filter(|newest| newest["state"] != "done") {
        return Ok(open["state"].as_str().unwrap_or_default().to_owned());
    }
    let started: Value = world
        .client()
        .post("/api/v1/retrain", &json!({ "why": why }))
        .await?;
    world.settle().await?;
    // By its id, not as the newest: the demo's clock stands still meanwhile, so moments don't tell which came last.
    let page: Value = world.client().get("/api/v1/retrainings?limit=20").await?;
    let ours = page["retrainings"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| one["id"] == started["id"])
        .cloned()
        .unwrap_or_default();
    let word = ours["outcome"].as_str().or_else(|| ours["state"].as_str());
    Ok(word.unwrap_or("nothing").to_owned())
}

async fn newest(world: &World) -> anyhow::Result<Option<Value>> {
    let page: Value = world.client().get("/api/v1/retrainings?limit=1").await?;
    Ok(page["retrainings"]
        .as_array()
        .and_then(|list| list.first())
        .cloned())
}

/// Learns from swapped labels; the gates refuse it; a person releases it; the canary takes it back.
async fn bad_challenger(
    world: &World,
    args: &DemoArgs,
    narration: &Narration,
    months: &mut Vec<super::table::MonthScores>,
    month: &Month,
) -> anyhow::Result<Vec<Expectation>> {
    // Whatever is rolling out comes to its end first.
    months.push(traffic(world, args, narration, month).await?);
    // What the last labels and the calendar set off is done before the labels are swapped.
    world.settle().await?;
    let before = newest(world)
        .await?
        .and_then(|newest| newest["version"].as_u64())
        .unwrap_or_default();
    let file = world.root().join("everloop.yaml");
    let wrong = data::PROJECT.replacen("departed_at, y,", "departed_at, 1 - y AS y,", 1);
    anyhow::ensure!(wrong != data::PROJECT, "the project file has no labels to swap");
    std::fs::write(&file, wrong)?;
    world
        .client()
        .post::<_, Value>("/api/v1/project/reload", &json!({}))
        .await?;
    go_round(world, "labels swapped by mistake").await?;
    // A schedule may have gone round with the mistake before us: what counts is that the gates met it.
    let page: Value = world.client().get("/api/v1/retrainings?limit=5").await?;
    let refusal = page["retrainings"].as_array().into_iter().flatten().find(|one| {
        one["outcome"] == "refused" && one["version"].as_u64().is_some_and(|version| version > before)
    });
    let version = refusal
        .and_then(|one| one["version"].as_u64())
        .unwrap_or_default();
    let refused = Expectation {
        what: format!("the gates refuse the bad challenger (version {version})"),
        held: refusal.is_some(),
    };
    std::fs::write(&file, data::PROJECT)?;
    world
        .client()
        .post::<_, Value>("/api/v1/project/reload", &json!({}))
        .await?;

    let body = json!({ "version": version, "past_gates": true });
    world
        .client()
        .post::<_, Value>("/api/v1/models/flight-delay/promote", &body)
        .await?;
    let next = data::year(2013).into_iter().find(|next| next.name > month.name);
    let next = next.ok_or_else(|| anyhow::anyhow!("there is no month after {}", month.name))?;
    months.push(month_of_flights(world, args, narration, &next).await?);
    let page: Value = world.client().get("/api/v1/retrainings?limit=20").await?;
    let ended = page["retrainings"]
        .as_array()
        .into_iter()
        .flatten()
        .find(|one| {
            one["version"].as_u64() == Some(version)
                && one["trigger"] == "manual"
                && one["reason"]["release"].is_u64()
        })
        .and_then(|one| one["outcome"].as_str().map(ToOwned::to_owned))
        .unwrap_or_else(|| "still running".to_owned());
    let held = ended == "rolled_back";
    Ok(vec![
        refused,
        Expectation {
            what: format!("the canary takes the released challenger back ({ended})"),
            held,
        },
    ])
}
