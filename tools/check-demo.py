"""Holds the JSON that `everloop demo --exit --json` prints to what must come of any run of it.

usage: check-demo.py FILE OUTCOME

OUTCOME is one that some decision must have. The figures come from the flights, so bounds are wide: they catch a model
that learns nothing, labels that go astray, a loop that stands still.
"""

import json
import sys


def main(path: str, outcome: str) -> None:
    with open(path) as file:
        report = json.load(file)
    rows, decisions = report["rows"], report["decisions"]
    assert rows, "no month was played"
    for row in rows:
        assert row["rows"] > 500, f"{row['month']}: only {row['rows']} flights"
        for side in ("frozen_auc", "everloop_auc"):
            assert row[side] is not None and 0.55 < row[side] < 0.9, f"{row['month']}: {side} is {row[side]}"
        assert 0.05 < row["late_rate"] < 0.5, f"{row['month']}: {row['late_rate']} late"
    outcomes = [decision["outcome"] for decision in decisions]
    assert outcome in outcomes, f"no decision was \"{outcome}\": {outcomes}"
    assert any(row["drifted_columns"] for row in rows), "weather never drifted"
    for expectation in report.get("expectations", []):
        assert expectation["held"], expectation["what"]
    mean = report["mean"]
    print(
        f"{len(rows)} months, mean AUC frozen {mean['frozen_auc']:.4f}, everloop {mean['everloop_auc']:.4f}, "
        f"{len(decisions)} decisions"
    )


main(*sys.argv[1:])
