//! The flights, embedded: two real years, a Parquet file a month. Provenance and licences: `examples/flights/data`.

use everloop_core::{Frame, Timestamp, Values};
use everloop_tables::{Source, Tables};
use std::path::Path;

/// The demo's project file.
pub const PROJECT: &str = include_str!("../../../../examples/flights/everloop.yaml");
/// The suite that new data must pass.
pub const DATA_CHECKS: &str = include_str!("../../../../examples/flights/checks/flights.yaml");
/// The suite that new models must pass.
pub const MODEL_CHECKS: &str = include_str!("../../../../examples/flights/checks/model.yaml");

macro_rules! months {
    ($($month:literal),*) => {
        &[$(($month, include_bytes!(concat!("../../../../examples/flights/data/", $month, ".parquet")))),*]
    };
}

/// Each month's file by its name.
static MONTHS: &[(&str, &[u8])] = months!(
    "2013-01", "2013-02", "2013-03", "2013-04", "2013-05", "2013-06", "2013-07", "2013-08", "2013-09",
    "2013-10", "2013-11", "2013-12", "2023-01", "2023-02", "2023-03", "2023-04", "2023-05", "2023-06",
    "2023-07", "2023-08", "2023-09", "2023-10", "2023-11", "2023-12"
);

/// What a request holds: what is known hours before departure.
pub const FEATURES: [&str; 19] = [
    "hour",
    "minute",
    "dow",
    "distance",
    "temp",
    "dewp",
    "humid",
    "wind_dir",
    "wind_speed",
    "wind_gust",
    "precip",
    "pressure",
    "visib",
    "plane_year",
    "seats",
    "carrier",
    "origin",
    "dest",
    "manufacturer",
];

/// A month of flights.
#[derive(Debug, Clone, Copy)]
pub struct Month {
    /// Such as `2013-04`.
    pub name: &'static str,
    /// The Parquet file.
    pub bytes: &'static [u8],
}

/// The months of a year, in order.
pub fn year(year: i32) -> Vec<Month> {
    let prefix = format!("{year}-");
    MONTHS
        .iter()
        .filter(|(name, _)| name.starts_with(&prefix))
        .map(|(name, bytes)| Month { name, bytes })
        .collect()
}

/// Flights in the order of their departure, with their truth.
#[derive(Debug)]
pub struct Flights {
    /// What requests hold, and `y`.
    pub frame: Frame,
    /// Scheduled departure, in milliseconds.
    pub departed_at: Vec<i64>,
    /// Whether it arrived more than 15 minutes late.
    pub late: Vec<f64>,
}

/// Reads a file of flights.
///
/// # Errors
/// When it can't be read.
pub async fn read(tables: &Tables, path: &Path) -> anyhow::Result<Flights> {
    let session = tables.session().await?;
    session
        .add("flights", Source::paths([path.to_string_lossy()]))
        .await?;
    let frame = session
        .sql("SELECT * FROM flights ORDER BY departed_at, flight_id")
        .await?
        .to_frame()?;
    let numbers = |name: &str| frame.get(name).map(Values::to_numbers).unwrap_or_default();
    let departed_at = numbers("departed_at").into_iter().map(|at| at as i64).collect();
    let late = numbers("y");
    Ok(Flights {
        frame,
        departed_at,
        late,
    })
}

/// Midnight UTC before `at`.
pub fn day_of(at: i64) -> i64 {
    at.div_euclid(86_400_000) * 86_400_000
}

/// The first moment of the month called `name`.
pub fn start_of(name: &str) -> Timestamp {
    Timestamp::parse_rfc3339(&format!("{name}-01T00:00:00Z")).unwrap_or_default()
}
