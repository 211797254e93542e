//! What may be written, and what it means.

use crate::parse;
use everloop_core::{StageName, Timestamp};
use everloop_project::{
    AbortRule, Action, Budget, Comparison, Confirm, Cron, DataPath, Dep, Event, FilePath, Gate, LatencyBound,
    Memory, MetricBound, ParamDep, Reach, Reference, Rollout, Severity, Source, Span, Start, When, Window,
    Zone,
};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// The example of the design, word for word.
const DESIGN: &str = r#"
project: flights

datasets:
  flights: { path: data/flights/*.parquet, time: departed_at, watch: true, checks: checks/flights.yaml }

stages:                       # dvc.yaml grammar: an existing DVC project runs unchanged
  prepare: { cmd: python prepare.py, deps: [data/flights, prepare.py], outs: [data/train.parquet] }
  train:
    cmd: python train.py
    deps: [data/train.parquet, train.py]
    params: [train.depth, train.rate]
    outs: [model.onnx]
    metrics: [metrics.json]
    run: { on: ray, cpus: 2, memory: 4GiB, retries: 2, timeout: 30m }   # ours: where and how

model:
  name: flight-delay
  from: model.onnx
  task: classification
  gates:
    - metric: auc >= 0.68
    - better_than: champion      # paired test on the same rows, with its interval
      metric: auc
      margin: -0.002
    - checks: checks/model.yaml  # slices, invariance, fairness, calibration
    - latency: p99 <= 5ms
    - approval: { role: approver, when: production }

serve:
  endpoint: flight-delay
  rollout: { kind: canary, steps: [5, 25, 100], each: 10m, min_samples: 500, abort_if: [error_rate > 1%, score worse] }

monitor:
  window: 1d
  drift: { reference: training, fdr: 0.05, min_effect: 0.1, confirm: 2 of 3 }
  performance: { metric: auc, floor: 0.65, labels: feedback, delay: 2d, estimate: true }

on:                            # any of these starts the loop again
  - { event: dataset.version, dataset: flights, do: retrain }
  - { event: monitor.drift, do: retrain, cooldown: 12h }
  - { event: monitor.performance, do: retrain }
  - { schedule: "0 3 * * 1", do: retrain }
  - { event: git.push, branch: main, do: retrain }
"#;

#[test]
fn the_designs_example_means_what_it_says() {
    let project = parse(DESIGN).unwrap();
    let train = &project.stages[&StageName::new("train").unwrap()];
    assert_eq!(train.run.memory.unwrap().0.0, 4 << 30);
    assert_eq!(train.run.timeout.unwrap().get(), Duration::from_secs(1_800));
    assert_eq!(
        train.params,
        [
            ParamDep::Key("train.depth".into()),
            ParamDep::Key("train.rate".into())
        ]
    );
    let order: Vec<String> = project
        .graph()
        .unwrap()
        .order()
        .map(ToString::to_string)
        .collect();
    assert_eq!(order, ["prepare", "train"]);

    let model = project.model.as_ref().unwrap();
    let keys: Vec<&str> = model.gates.iter().map(Gate::key).collect();
    assert_eq!(keys, ["metric", "better_than", "checks", "latency", "approval"]);
    let Gate::BetterThan(better) = &model.gates[1] else {
        panic!("{:?}", model.gates[1]);
    };
    assert_eq!(
        (better.than.as_str(), better.margin, better.level),
        ("champion", -0.002, 0.95)
    );

    let Rollout::Canary(canary) = &project.serve.as_ref().unwrap().rollout else {
        panic!("not a canary");
    };
    let steps: Vec<f64> = canary.steps.iter().map(|step| step.get()).collect();
    assert_eq!(steps, [5.0, 25.0, 100.0]);
    let aborts: Vec<String> = canary.abort_if.iter().map(ToString::to_string).collect();
    assert_eq!(aborts, ["error_rate > 0.01", "score worse"]);

    let monitor = project.monitor.as_ref().unwrap();
    assert_eq!(monitor.window, Window::Time("1d".parse().unwrap()));
    assert_eq!(monitor.drift.as_ref().unwrap().confirm, Confirm { k: 2, n: 3 });
    assert_eq!(monitor.performance.as_ref().unwrap().delay.to_string(), "2d");

    let shown: Vec<String> = project.on.iter().map(ToString::to_string).collect();
    assert_eq!(
        shown,
        [
            "dataset.version flights",
            "monitor.drift",
            "monitor.performance",
            "schedule 0 3 * * 1 (UTC)",
            "git.push main"
        ]
    );
    assert_eq!(project.on[1].cooldown.unwrap().to_string(), "12h");
    assert!(project.on.iter().all(|trigger| trigger.action == Start::Retrain));
}

#[test]
fn the_grammar_of_dvc_is_understood() {
    let project = parse(
        r#"
project: p
defaults: &defaults
"#,
    );
    assert!(project.unwrap_err().render().contains("unknown key \"defaults\""));

    let project = parse(
        r#"
project: p
stages:
  clean:
    cmd:
      - python clean.py
      - echo "\${HOME} $USER"
    wdir: src
    deps: [clean.py, ../raw, s3://bucket/raw.csv, /mnt/shared/x.csv]
    params:
      - seed
      - conf.yaml: [a, b.c]
      - all.json:
    outs:
      - ../data/clean.csv: { cache: false, persist: true, desc: rows, type: dataset, labels: [x], meta: { a: 1 } }
      - notes.txt:
    metrics: [m.json: { cache: false }]
    plots:
      - curve.csv: { x: fpr, y: tpr, x_label: false positives, template: simple, header: true, cache: false }
    frozen: true
    always_changed: true
    desc: Cleans.
    meta: { owner: [ada, { since: 2020 }] }
"#,
    )
    .unwrap();
    let stage = project.stages.values().next().unwrap();
    let Action::Cmd { cmd } = &stage.action else {
        panic!("not a command");
    };
    assert_eq!(cmd.0, ["python clean.py", "echo \"${HOME} $USER\""]);
    let writes: Vec<(String, &str)> = stage
        .writes()
        .map(|out| (out.path.to_string(), out.section))
        .collect();
    assert_eq!(
        writes,
        [
            ("data/clean.csv".to_owned(), "outs"),
            ("src/notes.txt".to_owned(), "outs"),
            ("src/m.json".to_owned(), "metrics"),
            ("src/curve.csv".to_owned(), "plots"),
        ]
    );
    let reads: Vec<String> = stage.reads().iter().map(ToString::to_string).collect();
    assert_eq!(
        reads,
        [
            "src/clean.py",
            "./raw",
            "s3://bucket/raw.csv",
            "/mnt/shared/x.csv"
        ]
    );
    assert!(!stage.outs[0].flags.cache && stage.outs[0].flags.persist && stage.outs[0].flags.push);
    assert_eq!(stage.plots[0].axes.x.as_deref(), Some("fpr"));
    assert_eq!(project.params_file(stage).unwrap().as_str(), "src/params.yaml");
    assert_eq!(
        project.outside_paths(),
        ["/mnt/shared/x.csv".parse::<FilePath>().unwrap()]
    );
}

#[test]
fn anchors_and_merge_keys_share_text() {
    let project = parse(
        "project: p\nstages:\n  a:\n    cmd: x\n    run: &big { cpus: 8, memory: 32GiB }\n  b:\n    cmd: y\n    run: { <<: *big, cpus: 2 }\n  c:\n    cmd: z\n    run: *big\n",
    )
    .unwrap();
    let cpus: Vec<Option<f64>> = project.stages.values().map(|stage| stage.run.cpus).collect();
    assert_eq!(cpus, [Some(8.0), Some(2.0), Some(8.0)]);
    assert!(
        project
            .stages
            .values()
            .all(|stage| stage.run.memory.unwrap().0.0 == 32 << 30)
    );
}

#[test]
fn a_key_with_nothing_behind_it_is_absent() {
    let project = parse(
        "project: p\ndatasets:\nstages:\n  a:\n    cmd: x\n    deps:\n    run:\nmodel:\non:\nnotify:\n",
    )
    .unwrap();
    assert!(project.datasets.is_empty() && project.model.is_none() && project.on.is_empty());
}

#[test]
fn environment_variables_are_set_or_handed_on() {
    let project =
        parse("project: p\nstages: { a: { cmd: x, run: { env: { A: 1, B: on, C: , D: true, E: 1.5 } } } }\n")
            .unwrap();
    let env = &project.stages.values().next().unwrap().run.env;
    let text = |name: &str| env[name].as_deref();
    assert_eq!(
        [text("A"), text("B"), text("C"), text("D"), text("E")],
        [Some("1"), Some("on"), None, Some("true"), Some("1.5")]
    );
}

#[test]
fn built_in_stages_read_datasets_and_files() {
    let project = parse(
        r#"
project: p
datasets:
  rows: { path: [a/*.parquet, b.parquet], key: [id, day], watch: true }
stages:
  prepare: { sql: SELECT 1, from: { r: rows, x: ./extra, y: dataset:rows }, outs: [out/train.parquet] }
  train: { train: { data: out/train.parquet, target: y, task: classification, class_weights: { yes: 2.5 } }, outs: [out/model] }
  judge: { evaluate: { model: out/model, data: rows, target: y }, metrics: [out/m.json] }
"#,
    )
    .unwrap();
    let graph = project.graph().unwrap();
    let order: Vec<&str> = graph.order().map(StageName::as_str).collect();
    assert_eq!(order, ["prepare", "train", "judge"]);
    let datasets = |stage: &str| {
        project
            .datasets_read_by(&project.stages[&StageName::new(stage).unwrap()])
            .len()
    };
    assert_eq!(
        (datasets("prepare"), datasets("train"), datasets("judge")),
        (1, 0, 1)
    );
}

#[test]
fn triggers_wait_for_times_and_events() {
    let project = parse(
        "project: p\nstages: { a: { cmd: x } }\nnotify: [{ webhook: https://example.org/x }]\non:\n  - { schedule: '@daily', timezone: Europe/Berlin, do: run, budget: 2 per week, name: nightly }\n  - { event: git.push, do: notify }\n",
    )
    .unwrap();
    let When::Schedule(schedule) = &project.on[0].when else {
        panic!("not a schedule");
    };
    assert_eq!(schedule.timezone.to_string(), "Europe/Berlin");
    assert_eq!(project.on[0].to_string(), "nightly");
    assert_eq!(project.on[0].budget.unwrap().per.span(), Span::seconds(604_800));
    assert_eq!(project.on[1].when, When::Event(Event::GitPush { branch: None }));
    assert!(project.notify[0].events[0].matches("alert.opened"));
    assert!(!project.notify[0].events[0].matches("monitoring"));
}

/// Each text parses, prints as `shown`, and what it prints parses to the same again.
fn check<T: FromStr + Display + PartialEq + std::fmt::Debug>(cases: &[(&str, &str)])
where
    T::Err: std::fmt::Debug,
{
    for (text, shown) in cases {
        let value: T = text.parse().unwrap();
        assert_eq!(value.to_string(), *shown, "{text}");
        assert_eq!(value.to_string().parse::<T>().unwrap(), value, "{text}");
    }
}

#[test]
fn texts_print_what_parses_to_them_again() {
    check::<Span>(&[
        ("500us", "500us"),
        ("1.5ms", "1ms500us"),
        ("90s", "1m30s"),
        ("2w", "14d"),
        ("1h 30min", "1h30m"),
        ("0s", "0s"),
    ]);
    check::<Memory>(&[
        ("4GiB", "4GiB"),
        ("1.5GiB", "1536MiB"),
        ("1MB", "1000000B"),
        ("1000001", "1000001B"),
    ]);
    check::<Window>(&[
        ("1d", "1d"),
        ("5000 rows", "5000 rows"),
        ("1e3 rows", "1000 rows"),
        ("1 row", "1 row"),
    ]);
    check::<Confirm>(&[("2 of 3", "2 of 3"), (" 1  of 1 ", "1 of 1")]);
    check::<Budget>(&[("3 per day", "3 per day")]);
    check::<Reference>(&[("training", "training"), ("dataset:a.b", "dataset:a.b")]);
    check::<MetricBound>(&[
        ("auc>=0.68", "auc >= 0.68"),
        ("accuracy ≥ 95%", "accuracy >= 0.95"),
        ("recall > 99.9%", "recall > 0.999"),
        ("val/loss < -1e-3", "val/loss < -0.001"),
        ("r2 > -2", "r2 > -2"),
        ("bias <= 0.1", "bias <= 0.1"),
    ]);
    check::<LatencyBound>(&[("p99 <= 5ms", "p99 <= 5ms"), ("p99.9<=500us", "p99.9 <= 500us")]);
    check::<AbortRule>(&[
        ("error_rate > 1%", "error_rate > 0.01"),
        ("p95 >= 1s", "p95 >= 1s"),
        ("auc < 0.6", "auc < 0.6"),
        ("log_loss > 0.5", "log_loss > 0.5"),
        ("score worse", "score worse"),
        ("p99  worse", "p99 worse"),
    ]);
    check::<Cron>(&[
        ("0 3 * * 1", "0 3 * * 1"),
        ("*/10 0 3 * * MON-FRI", "*/10 0 3 * * MON-FRI"),
        ("@hourly", "@hourly"),
    ]);
    check::<FilePath>(&[
        ("./a//b/../c/", "a/c"),
        (".", "."),
        ("a/..", "."),
        ("../../x", "../../x"),
        ("/../x/.", "/x"),
        ("s3://bucket/a/", "s3://bucket/a"),
    ]);
    check::<DataPath>(&[
        ("./data/*.csv", "data/*.csv"),
        ("data/", "data"),
        ("**/x.csv", "**/x.csv"),
    ]);
    check::<Source>(&[
        ("flights", "flights"),
        ("dataset:flights", "flights"),
        ("dataset:a.b", "dataset:a.b"),
        ("./flights", "./flights"),
        ("./dataset:x", "./dataset:x"),
        ("x.csv", "x.csv"),
    ]);
    check::<Dep>(&[
        ("flights", "flights"),
        ("dataset:flights", "dataset:flights"),
        ("./dataset:x", "./dataset:x"),
    ]);
}

#[test]
fn texts_that_mean_nothing_are_refused() {
    fn refuse<T: FromStr>(texts: &[&str]) {
        for text in texts {
            assert!(text.parse::<T>().is_err(), "{text}");
        }
    }
    refuse::<Span>(&["", "5", "m", "5 parsecs", "-5m", "1..5s", "200000w", "5m5"]);
    refuse::<Memory>(&["", "-1GiB", "4 bananas", "0", "1e30TiB"]);
    refuse::<Window>(&["0 rows", "1.5 rows", "10ms", "rows", "-1 rows"]);
    refuse::<Confirm>(&["2", "0 of 3", "3 of 2", "2of3", "1 of 101", "2 of x"]);
    refuse::<Budget>(&["3", "0 per day", "3 per year", "3 day"]);
    refuse::<MetricBound>(&[
        "auc",
        ">= 0.5",
        "auc >=",
        "auc == 0.5",
        "auc >= NaN",
        "auc >= 0.5 0.6",
        "a b >= 1",
        "auc >= 1.5",
    ]);
    refuse::<LatencyBound>(&["p99 <= 5", "p0 <= 1s", "p100 <= 1s", "mean <= 1s", "p99 >= 1s"]);
    refuse::<AbortRule>(&[
        "worse",
        "x worse",
        "error_rate",
        "error_rate > 200%",
        "auc > 0.9",
        "p99 > 5",
    ]);
    refuse::<Cron>(&[
        "",
        "* * * *",
        "60 * * * *",
        "* * * * * * *",
        "0 0 31 4 *",
        "@reboot",
        "a b c d e",
    ]);
    refuse::<Zone>(&["", "Mars/Olympus", "CEST+2"]);
    refuse::<FilePath>(&[
        "",
        "a\0b",
        "a\\b",
        "~",
        "ftp://x/y",
        "s3://",
        "s3://b/%2e%2e/x",
        "s3://b/x?y",
        "s3://b/../x",
    ]);
    refuse::<DataPath>(&["", "data/*/../x", "data/[a", "data//*//x", "data/{a,b"]);
    refuse::<Source>(&["", "a b", "dataset:", "dataset:../x"]);
    assert!("a".repeat(1 << 20).parse::<Cron>().is_err());
    assert!(format!("{}*", "a".repeat(1 << 20)).parse::<DataPath>().is_err());
}

#[test]
fn comparisons_never_hold_for_nan() {
    for comparison in [
        Comparison::AtLeast,
        Comparison::Above,
        Comparison::AtMost,
        Comparison::Below,
    ] {
        assert!(!comparison.holds(f64::NAN, 0.5));
    }
    let bound: MetricBound = "auc >= 0.5".parse().unwrap();
    assert!(bound.holds(0.5) && !bound.holds(0.49));
}

#[test]
fn paths_know_where_they_lead() {
    let reach = |text: &str| text.parse::<FilePath>().unwrap().reach();
    assert_eq!(reach("a/b"), Reach::Inside);
    assert_eq!(reach("..a"), Reach::Inside);
    assert_eq!(reach("a/../../b"), Reach::Outside);
    assert_eq!(reach("/a"), Reach::Outside);
    assert_eq!(reach("s3://b/a"), Reach::Remote);
}

#[test]
fn schedules_follow_the_clocks_of_their_zone() {
    let at = |text: &str| Timestamp::parse_rfc3339(text).unwrap();
    let next = |cron: &str, zone: &str, from: &str| {
        let cron: Cron = cron.parse().unwrap();
        cron.next_after(at(from), zone.parse().unwrap())
            .unwrap()
            .to_rfc3339()
    };
    // Monday at three in Berlin is one or two in UTC, by the season.
    assert_eq!(
        next("0 3 * * 1", "Europe/Berlin", "2024-01-01T02:00:00Z"),
        "2024-01-08T02:00:00.000Z"
    );
    assert_eq!(
        next("0 3 * * 1", "Europe/Berlin", "2024-07-01T00:59:59Z"),
        "2024-07-01T01:00:00.000Z"
    );
    // On 31 March 2024 the clocks of Berlin jump from two to three; half past two fires once, after the jump.
    assert_eq!(
        next("30 2 31 3 *", "Europe/Berlin", "2024-03-30T12:00:00Z"),
        "2024-03-31T01:00:00.000Z"
    );
    // On 27 October they show half past two twice; the job runs at the first.
    assert_eq!(
        next("30 2 27 10 *", "Europe/Berlin", "2024-10-26T12:00:00Z"),
        "2024-10-27T00:30:00.000Z"
    );
    assert_eq!(
        next("30 2 27 10 *", "Europe/Berlin", "2024-10-27T00:30:00Z"),
        "2025-10-27T01:30:00.000Z"
    );
    assert_eq!(
        next("*/10 * * * * *", "UTC", "2024-01-01T00:00:00Z"),
        "2024-01-01T00:00:10.000Z"
    );
    let cron: Cron = "@daily".parse().unwrap();
    assert_eq!(cron.next_after(Timestamp(i64::MAX), Zone::UTC), None);
}

#[test]
fn suites_in_place_carry_severity_and_name() {
    let project = parse(
        "project: p\ndatasets:\n  d:\n    path: d.csv\n    checks:\n      - not_null: { column: [a, b], max_share: 0.1 }\n        severity: warn\n        name: filled\n",
    )
    .unwrap();
    let everloop_project::SuiteRef::Inline(checks) =
        project.datasets.values().next().unwrap().checks.as_ref().unwrap()
    else {
        panic!("not in place");
    };
    let named: Vec<Option<&str>> = checks.iter().map(|check| check.name.as_deref()).collect();
    assert_eq!(named, [Some("filled (a)"), Some("filled (b)")]);
    assert!(checks.iter().all(|check| check.severity == Severity::Warn));
}
