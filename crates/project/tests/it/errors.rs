//! Every mistake, as a user sees it: line, what was found, what was expected, how to mend it.

use crate::problems;
use insta::assert_snapshot;

/// Shows what is wrong with a file beside which nothing else is there.
macro_rules! shows {
    ($($name:ident: $text:expr;)*) => {$(
        #[test]
        fn $name() {
            assert_snapshot!(stringify!($name), problems($text, &[]));
        }
    )*};
}

shows! {
    unknown_key: "project: p\nstagse:\n  train:\n    cmd: python train.py\n";
    unknown_key_in_a_stage: "project: p\nstages:\n  train:\n    cmd: python train.py\n    dep: [train.py]\n";
    several_at_once: "\
project: my project
datasets:
  flights: { path: data, wach: true, watch: sure, time: 5 }
stages:
  prepare: { cmd: [], outs: [a.csv] }
  train: { cmd: python train.py, run: { on: rai, memory: 4 bananas, timeout: 30, cpus: 0, retries: -1 } }
serve: { rollout: { kind: cannary } }
";
    duplicate_keys: "project: p\nstages:\n  a: { cmd: one }\n  a: { cmd: two }\nproject: q\n";
    wrong_types: "project: [p]\ndatasets: none\nstages:\n  - cmd: x\nmodel: flight-delay\non: { event: git.push }\n";
    number_for_a_text: "project: 2013\nstages:\n  a: { cmd: 5, desc: true }\n";
    yes_for_true: "project: p\nstages:\n  a: { cmd: x, frozen: yes }\n";
    missing_keys: "stages:\n  a: { deps: [x] }\nmodel: { name: m }\nmonitor: {}\n";
    two_kinds_in_one_stage: "project: p\nstages:\n  a: { cmd: x, sql: SELECT 1, from: [d] }\n";
    templated_stages: "project: p\nvars: [a.yaml]\nstages:\n  a:\n    foreach: [1, 2]\n    do: { cmd: x }\n  b:\n    cmd: python x.py --lr ${lr}\n    outs: [\"out/${lr}.csv\"]\n";
    cycle: "\
project: p
stages:
  prepare: { cmd: a, deps: [model.onnx], outs: [data/train.parquet] }
  train: { cmd: b, deps: [data], outs: [model.onnx] }
  report: { cmd: c, deps: [model.onnx], outs: [report.html] }
";
    stage_that_waits_for_itself: "project: p\nstages:\n  a: { cmd: x, deps: [data], outs: [data/x.csv] }\n";
    missing_file: "\
project: p
stages:
  prepare: { cmd: a, deps: [raw.csv], outs: [data/train.parquet] }
  train: { cmd: b, deps: [data/trian.parquet], outs: [m.onnx] }
";
    overlapping_outs: "\
project: p
stages:
  a: { cmd: x, outs: [data] }
  b: { cmd: y, outs: [data/train.csv], metrics: [m.json] }
  c: { cmd: z, outs: [./m.json] }
";
    outs_elsewhere: "project: p\nstages:\n  a: { cmd: x, outs: [../x, /etc/passwd, s3://bucket/x, .] }\n  b: { cmd: x, wdir: .. }\n";
    odd_paths: "project: p\nstages:\n  a: { cmd: x, deps: ['', 'a\\b', ~/x, s4://b/x, 's3://k:s@b/x', 's3://b/../x', \"a\\0b\"] }\n";
    bad_cron: "\
project: p
stages: { a: { cmd: x } }
on:
  - { schedule: \"0 3 * *\", do: run }
  - { schedule: \"0 25 * * 1\", do: run }
  - { schedule: \"0 0 30 2 *\", do: run }
  - { schedule: \"@dayly\", do: run }
  - { schedule: \"0 3 * * 1\", timezone: Europe/Berln, do: run }
";
    bad_thresholds: "\
project: p
stages: { a: { cmd: x, outs: [m] } }
model:
  name: m
  from: m
  task: classification
  gates:
    - metric: auc => 0.68
    - metric: auc >= 68
    - metric: auc <= 0.68
    - metric: auc 0.68
    - metric: auc >= high
    - metric: rmse <= 3
    - latency: p99 <= 5
    - latency: p99 > 5ms
    - latency: p100 <= 5ms
    - { better_than: champion, metric: acu }
    - { better_than: champion, metric: auc, level: 95 }
    - metrik: auc >= 0.5
    - { metric: auc >= 0.5, latency: p99 <= 5ms }
";
    bad_rollouts: "\
project: p
stages: { a: { cmd: x, outs: [m] } }
model: { name: m, from: m, task: regression }
serve:
  endpoint: a b
  rollout: { kind: canary, steps: [5, 5, 100], each: soon, abort_if: [error_rat > 1%, error_rate < 1%, p99 > 5, score > 3, auc worse, error_rate > 5] }
";
    canary_that_never_ends: "\
project: p
stages: { a: { cmd: x, outs: [m] } }
model: { name: m, from: m, task: regression }
serve: { endpoint: e, rollout: { kind: canary, steps: [5, 25], each: 1m } }
";
    bad_monitors: "\
project: p
stages: { a: { cmd: x, outs: [m] } }
model: { name: m, from: m, task: classification }
serve: { endpoint: e }
monitor:
  window: 0 rows
  drift: { reference: trainin, fdr: 5, confirm: 3 of 2, columns: [a], ignore: [a] }
  performance: { metric: log_loss, floor: 0.4, delay: 2 }
";
    sections_that_need_each_other: "\
project: p
serve: { endpoint: e }
on:
  - { event: monitor.drift, do: retrain }
  - { event: dataset.version, dataset: fligths, do: run }
  - { event: git.push, do: notify }
";
    unknown_datasets: "\
project: p
datasets: { flights: { path: data/*.parquet, watch: true } }
stages:
  a: { sql: SELECT 1, from: [flihts], outs: [a.parquet] }
  b: { cmd: x, deps: [\"dataset:fligts\", flights] }
";
    missing_data_and_checks: "\
project: p
datasets:
  flights: { path: data/*.parquet, checks: checks/flights.yaml }
";
    unknown_params: "\
project: p
params: { train: { depth: 6, rate: 0.1 } }
stages:
  a: { cmd: x, params: [train.dept, train, train.rate, seed, other.yaml: [], {a.yaml: null, b.yaml: null}] }
  b: { cmd: x, params: [a..b] }
";
    missing_params_file: "project: p\nstages:\n  a: { cmd: x, params: [lr] }\n  b: { cmd: y, wdir: sub, params: [lr, conf.json: [x]] }\n";
    builtin_stages: "\
project: p
datasets: { d: { path: d.parquet, watch: true } }
stages:
  a: { sql: SELECT 1, from: [d], outs: [a.csv] }
  b: { sql: SELECT 1, outs: [b.parquet] }
  c: { train: { data: d, target: y, task: classify, iterations: 0, valid_share: 99%, learning_rate: 2 }, outs: [m] }
  d: { train: { data: d, target: y, task: regression, features: [x, y, x] }, outs: [n] }
  e: { evaluate: { model: m, data: d, target: y }, outs: [e.json] }
  f: { train: { data: d, target: y, task: regression } }
  g: { sql: SELECT 1, from: [d, x/d.parquet], outs: [g.parquet] }
  h: { sql: SELECT 1, from: [a.b.c.parquet], outs: [h.parquet] }
";
    tasks_and_metrics: "\
project: p
datasets: { d: { path: d.parquet, watch: true } }
stages:
  train: { train: { data: d, target: y, task: regression }, outs: [m] }
  judge: { evaluate: { model: m, data: d, target: y, metrics: [rmse] }, metrics: [m.json] }
model: { name: m, from: m, task: classification }
serve: { endpoint: e, rollout: { kind: shadow, each: 1h, abort_if: [mae worse] } }
monitor: { window: 1d, performance: { metric: rmse, ceiling: 3 } }
";
    trigger_that_sets_itself_off: "\
project: p
datasets:
  raw: { path: raw/*.csv, watch: true }
  clean: { path: clean.parquet }
stages:
  clean: { sql: SELECT * FROM raw, from: [raw], outs: [clean.parquet] }
on:
  - { event: dataset.version, dataset: clean, do: run }
  - { event: dataset.version, dataset: raw, do: run }
";
    triggers: "\
project: p
stages: { a: { cmd: x } }
on:
  - { event: datset.version, do: run }
  - { do: run }
  - { event: git.push, schedule: \"@daily\", do: run }
  - { event: git.push, branch: main, dataset: x, do: rerun, budget: 3, cooldown: -5m }
  - { event: git.push, do: run, budget: 3 per fortnight }
";
    two_triggers_of_one_name: "\
project: p
stages: { a: { cmd: x } }
on:
  - { event: git.push, do: run, name: again }
  - { schedule: \"@daily\", do: run, name: again }
";
    unknown_inline_params: "\
project: p
params: { train: { depth: 6, rate: 0.1 } }
stages:
  a: { cmd: x, params: [train.dept, train, train.rate, seed] }
";
    webhooks: "\
project: p
notify:
  - { webhook: ftp://x, events: [Everything] }
  - { webhook: \"https://user:pw@host/x\", secret: hunter2 }
  - { webhook: https://host/x, secret_env: MY-SECRET }
  - {}
";
    inline_checks: "\
project: p
datasets:
  d:
    path: d.parquet
    watch: true
    checks:
      - row_cout: { min: 1 }
      - metric: auc >= 0.6
      - range: { column: x, min: 5, max: 1 }
";
    unquoted_template_of_yaml: "project: {{ name }}\n";
    key_of_nothing: "project: p\n~: 1\n";
    key_that_is_a_list: "project: p\n[a, b]: 1\n";
    yaml_that_is_none: "project: p\nstages:\n  a: { cmd: x\n  b: y\n";
    tabs: "project: p\nstages:\n\ta: { cmd: x }\n";
    unknown_alias: "project: *nobody\n";
    tags: "project: !!python/object:os.system p\n";
    second_document: "project: p\n---\nproject: q\n";
    nothing_at_all: "";
    only_comments: "# project: p\n";
    a_text: "hello\n";
    escapes_are_shown_inert: "project: \"\\e[31mred\\e[0m\"\n\"\\e]0;x\\a\": 1\n";
}

#[test]
fn not_utf8() {
    let invalid =
        everloop_project::Project::parse("everloop.yaml", b"project: p\nx: \xff\n", &|_| true).unwrap_err();
    assert_snapshot!("not_utf8", invalid.render());
}

#[test]
fn one_line_for_logs() {
    use everloop_core::Coded;
    let invalid = crate::parse("project: p\nstagse: {}\nx: 1\n").unwrap_err();
    assert_eq!(
        invalid.to_string(),
        "unknown key \"stagse\" (found \"stagse\" in the project), and 1 more"
    );
    assert_eq!(invalid.location().as_deref(), Some("everloop.yaml:2:1"));
    assert_eq!(invalid.hint().as_deref(), Some("did you mean \"stages\"?"));
    assert_eq!(invalid.code(), everloop_core::Code::InvalidArgument);
}
