//! Any project: what is written reads back as the same, and the JSON Schema accepts it.

use crate::schemas::{PROJECT, SUITE, errors};
use everloop_project::{Project, Suite};
use proptest::prelude::*;
use serde_json::{Value, json};

/// Projects are made as JSON documents of the widest shapes, read, written and read again.
fn name() -> impl Strategy<Value = String> {
    "[A-Za-z0-9_][A-Za-z0-9_-]{0,8}"
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~äöü→]{0,20}x",
        Just("on".to_owned()),
        Just("1e3".to_owned()),
        Just("null".to_owned()),
        Just("two\nlines: #x".to_owned()),
        Just("a\\${HOME}".to_owned()),
    ]
    .prop_filter("a template is refused", |text| {
        !text.replace("\\${", "").contains("${")
    })
}

fn free() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (-1e300..1e300).prop_map(Value::from),
        text().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name(), inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

fn span() -> impl Strategy<Value = String> {
    prop_oneof![
        (0u64..10_000_000_000_000).prop_map(|micros| format!("{micros}us")),
        (1u32..500, 0u32..24).prop_map(|(days, hours)| format!("{days}d{hours}h")),
    ]
}

fn share() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0.0..=1.0).prop_map(Value::from),
        Just(json!(1)),
        (0u32..=100).prop_map(|percent| json!(format!("{percent}%"))),
    ]
}

/// Leaves out what is null, as a writer would.
fn given(pairs: Vec<(&str, Value)>) -> Value {
    let there = pairs.into_iter().filter(|(_, value)| !value.is_null());
    Value::Object(there.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn maybe<T: Into<Value> + std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
) -> impl Strategy<Value = Value> {
    prop::option::of(strategy).prop_map(|value| value.map_or(Value::Null, Into::into))
}

fn list<T: Into<Value> + std::fmt::Debug>(
    strategy: impl Strategy<Value = T>,
    most: usize,
) -> impl Strategy<Value = Value> {
    prop::collection::vec(strategy.prop_map(Into::into), 1..=most).prop_map(Value::Array)
}

fn data_check() -> impl Strategy<Value = Value> {
    let column = prop_oneof![name().prop_map(Value::from), list(name(), 3)];
    let mostly = maybe(share());
    let bounds = (-1e6..0.0, 0.0..1e6);
    prop_oneof![
        (0u64..100, 100u64..1_000_000).prop_map(|(min, max)| json!({"row_count": {"min": min, "max": max}})),
        (prop::collection::btree_map(name(), prop_oneof![Just("int"), Just("float"), Just("any"), Just("timestamp")], 1..4), any::<bool>())
            .prop_map(|(columns, exact)| json!({"schema": {"columns": columns, "exact": exact}})),
        (column.clone(), mostly).prop_map(|(column, mostly)| json!({"not_null": given(vec![("column", column), ("mostly", mostly)])})),
        (column.clone(), share()).prop_map(|(column, share)| json!({"not_null": {"column": column, "max_share": share}})),
        list(name(), 3).prop_map(|columns| json!({"unique": {"columns": columns}})),
        (column.clone(), bounds.clone(), share()).prop_map(|(column, (min, max), mostly)| json!({"range": {"column": column, "min": min, "max": max, "mostly": mostly}})),
        column.clone().prop_map(|column| json!({"range": {"column": column, "max": "2014-01-01"}})),
        (column.clone(), list(prop_oneof![text().prop_map(Value::from), any::<i64>().prop_map(Value::from), any::<bool>().prop_map(Value::from), (-1e9..1e9).prop_map(Value::from)], 4))
            .prop_map(|(column, values)| json!({"in_set": {"column": column, "values": values}})),
        column.clone().prop_map(|column| json!({"regex": {"column": column, "pattern": "^[A-Z]{2,3}\\d*$"}})),
        (maybe(name()), span()).prop_map(|(column, age)| json!({"freshness": given(vec![("column", column), ("max_age", json!(age))])})),
        (column.clone(), bounds.clone()).prop_map(|(column, (min, max))| json!({"mean": {"column": column, "min": min, "max": max}})),
        (column, bounds, 0.0..=1.0).prop_map(|(column, (min, _), q)| json!({"quantile": {"column": column, "q": q, "min": min}})),
        text().prop_map(|query| json!({"sql": query})),
        text().prop_map(|query| json!({"sql": {"query": query, "expect": "is_true"}})),
    ]
}

fn model_check() -> impl Strategy<Value = Value> {
    prop_oneof![
        (0.0..=1.0).prop_map(|value| json!({"metric": format!("auc >= {value}")})),
        (any::<f32>().prop_filter("finite", |value| value.is_finite())).prop_map(|value| json!({"metric": format!("val/x-1 < {value}")})),
        (name(), -1.0..1.0, 0.5..0.999).prop_map(|(than, margin, level)| json!({"better_than": than, "metric": "log_loss", "margin": margin, "level": level})),
        (list(name(), 3), 1u64..1_000_000).prop_map(|(by, samples)| json!({"slices": {"by": by, "metric": "auc", "min": 0.5, "min_samples": samples}})),
        (1u32..99, span()).prop_map(|(percentile, most)| json!({"latency": format!("p{percentile}.5 <= {most}")})),
        (name(), share()).prop_map(|(sensitive, share)| json!({"fairness": {"sensitive": sensitive, "equalised_odds": share}})),
    ]
}

fn checks(check: impl Strategy<Value = Value>) -> impl Strategy<Value = Value> {
    let one = (
        check,
        maybe(prop_oneof![Just("warn"), Just("error")]),
        maybe(text()),
    );
    let one = one.prop_map(|(mut check, severity, name)| {
        let object = check.as_object_mut().unwrap();
        for (key, value) in [("severity", severity), ("name", name)] {
            if !value.is_null() {
                object.insert(key.to_owned(), value);
            }
        }
        check
    });
    list(one, 4)
}

fn flags() -> impl Strategy<Value = Value> {
    (
        any::<bool>(),
        any::<bool>(),
        maybe(text()),
        maybe(free()),
        maybe(list(text(), 2)),
    )
        .prop_map(|(cache, persist, desc, meta, labels)| {
            given(vec![
                ("cache", json!(cache)),
                ("persist", json!(persist)),
                ("desc", desc),
                ("meta", meta),
                ("labels", labels),
            ])
        })
}

fn run() -> impl Strategy<Value = Value> {
    (
        maybe(prop_oneof![
            Just("local"),
            Just("ray"),
            Just("kubernetes"),
            Just("slurm")
        ]),
        maybe(0.01..128.0),
        maybe(1u64..1 << 45),
        0u32..=100,
        maybe(span()),
        prop::collection::btree_map(
            "[A-Z_]{1,5}",
            prop_oneof![
                Just(Value::Null),
                text().prop_map(Value::from),
                any::<i32>().prop_map(Value::from)
            ],
            0..3,
        ),
    )
        .prop_map(|(on, cpus, memory, retries, timeout, env)| {
            given(vec![
                ("on", on),
                ("cpus", cpus),
                ("memory", memory),
                ("retries", json!(retries)),
                ("timeout", timeout),
                ("env", json!(env)),
            ])
        })
}

/// What a stage does, and the outs that go with it; `before` is the number of stages it may read from.
fn action(index: usize) -> impl Strategy<Value = Value> {
    let source = prop_oneof![
        Just(json!("rows")),
        Just(json!("./plain")),
        (0..=index).prop_map(move |from| if from == index {
            json!("raw/x.parquet")
        } else {
            json!(format!("out/{from}/o.parquet"))
        }),
    ];
    let out = format!("out/{index}/o.parquet");
    let (sql_out, train_out, cmd_out) = (out.clone(), out.clone(), out);
    prop_oneof![
        (list(text(), 3), flags(), maybe(free()), list(source.clone().prop_map(|source| if source == "rows" { json!("dataset:rows") } else { source }), 3)).prop_map(move |(cmd, flags, meta, deps)| {
            given(vec![
                ("cmd", cmd),
                ("deps", deps),
                ("outs", json!([{ &cmd_out: flags }])),
                ("plots", json!([{format!("plots/{index}.csv"): {"x": "a", "y": "b", "header": true}}])),
                ("meta", meta),
            ])
        }),
        (text(), source.clone()).prop_map(move |(query, source)| json!({"sql": query, "from": {"t": source}, "outs": [sql_out]})),
        (source.clone(), name(), 1u32..1_000, 0.001..1.0, any::<u32>(), share().prop_filter("some", |share| share != &json!(0.0) && share != &json!("0%"))).prop_map(move |(data, target, iterations, rate, seed, sample)| {
            json!({"train": {"data": data, "target": target, "task": "classification", "iterations": iterations, "learning_rate": rate, "seed": seed, "row_sample": sample, "class_weights": {"yes": 2.5}}, "outs": [train_out]})
        }),
        (source, name()).prop_map(move |(data, target)| json!({"evaluate": {"model": "raw/m", "data": data, "target": target, "metrics": ["auc", "f1"]}, "metrics": [format!("m/{index}.json")]})),
    ]
}

fn stages() -> impl Strategy<Value = Value> {
    (1usize..6).prop_flat_map(|count| {
        let stages: Vec<_> = (0..count)
            .map(|index| {
                (action(index), maybe(run()), any::<bool>(), maybe(text())).prop_map(
                    move |(mut stage, run, frozen, desc)| {
                        let object = stage.as_object_mut().unwrap();
                        object.insert("frozen".into(), json!(frozen));
                        object.insert(
                            "params".into(),
                            json!(["top.depth", {"conf.yaml": ["a", "b.c"]}, {"all.json": null}]),
                        );
                        for (key, value) in [("run", run), ("desc", desc)] {
                            if !value.is_null() {
                                object.insert(key.into(), value);
                            }
                        }
                        (format!("s{index}"), stage)
                    },
                )
            })
            .collect();
        stages.prop_map(|stages| Value::Object(stages.into_iter().collect()))
    })
}

fn rollout() -> impl Strategy<Value = Value> {
    let aborts = || {
        list(
            prop_oneof![
                Just("error_rate > 1%"),
                Just("score worse"),
                Just("p99 > 50ms"),
                Just("auc < 0.6"),
                Just("log_loss worse")
            ],
            3,
        )
    };
    prop_oneof![
        Just(json!({"kind": "direct"})),
        (
            prop::collection::btree_set(1u32..100, 0..5),
            span(),
            maybe(1u64..100_000),
            maybe(aborts())
        )
            .prop_map(|(steps, each, samples, aborts)| {
                let mut steps: Vec<Value> = steps.into_iter().map(Value::from).collect();
                steps.push(json!("100%"));
                given(vec![
                    ("kind", json!("canary")),
                    ("steps", json!(steps)),
                    ("each", json!(each)),
                    ("min_samples", samples),
                    ("abort_if", aborts),
                ])
            }),
        (span(), maybe(0.1..100.0), maybe(aborts())).prop_map(|(each, share, aborts)| {
            given(vec![
                ("kind", json!("shadow")),
                ("each", json!(each)),
                ("share", share),
                ("abort_if", aborts),
            ])
        }),
    ]
}

fn monitor() -> impl Strategy<Value = Value> {
    let window = prop_oneof![
        Just(json!("1d")),
        (1u64..1_000_000).prop_map(Value::from),
        (1u64..9_999).prop_map(|rows| json!(format!("{rows} rows")))
    ];
    let reference = prop_oneof![Just("training"), Just("previous"), Just("dataset:rows")];
    let drift = (reference, 0.001..0.999, 0.0..2.0, 1u32..=5, prop::collection::vec(name(), 0..3)).prop_map(|(reference, fdr, effect, k, ignore)| {
        json!({"reference": reference, "fdr": fdr, "min_effect": effect, "confirm": format!("{k} of {}", k + 2), "ignore": ignore})
    });
    let performance = (span(), any::<bool>(), share()).prop_map(|(delay, estimate, coverage)| {
        json!({"metric": "brier", "ceiling": 0.3, "delay": delay, "estimate": estimate, "min_coverage": coverage})
    });
    (window, drift, performance, prop_oneof![Just(json!("checks/x.yaml")), checks(data_check())]).prop_map(|(window, drift, performance, quality)| {
        json!({"window": window, "drift": drift, "performance": performance, "quality": quality})
    })
}

fn triggers() -> impl Strategy<Value = Value> {
    let when = prop_oneof![
        Just(json!({"event": "dataset.version", "dataset": "rows"})),
        Just(json!({"event": "dataset.version"})),
        Just(json!({"event": "monitor.drift"})),
        Just(json!({"event": "monitor.performance"})),
        Just(json!({"event": "git.push", "branch": "main"})),
        Just(json!({"schedule": "*/5 3 * * 1-5", "timezone": "America/New_York"})),
        Just(json!({"schedule": "@monthly"})),
    ];
    let one = (
        when,
        prop_oneof![Just("retrain"), Just("run"), Just("notify")],
        maybe(span()),
        maybe(1u32..100),
        maybe(text()),
    );
    let one = one.prop_map(|(mut trigger, action, cooldown, times, name)| {
        let object = trigger.as_object_mut().unwrap();
        object.insert("do".into(), json!(action));
        let budget = times
            .as_u64()
            .map_or(Value::Null, |times| json!(format!("{times} per week")));
        for (key, value) in [("cooldown", cooldown), ("budget", budget), ("name", name)] {
            if !value.is_null() {
                object.insert(key.into(), value);
            }
        }
        trigger
    });
    list(one, 4).prop_map(|mut triggers| {
        // Names are given once.
        for (index, trigger) in triggers.as_array_mut().unwrap().iter_mut().enumerate() {
            if let Some(name) = trigger.get_mut("name") {
                *name = json!(format!("{} {index}", name.as_str().unwrap()));
            }
        }
        triggers
    })
}

fn gates() -> impl Strategy<Value = Value> {
    let gate = prop_oneof![
        (0.0..=1.0).prop_map(|value| json!({"metric": format!("f1 > {value}")})),
        name().prop_map(|than| json!({"better_than": than, "metric": "auc"})),
        Just(json!({"checks": "checks/m.yaml"})),
        checks(model_check()).prop_map(|checks| json!({"checks": checks})),
        Just(json!({"latency": "p99 <= 5ms"})),
        Just(json!({"approval": {"role": "approver", "when": "production"}})),
    ];
    list(gate, 4)
}

fn project() -> impl Strategy<Value = Value> {
    let dataset = (
        prop_oneof![
            Just(json!("data/*.parquet")),
            Just(json!(["a.csv", "s3://b/x/**/y.csv"]))
        ],
        any::<bool>(),
        maybe(name()),
        maybe(list(name(), 2)),
        maybe(checks(data_check())),
        maybe(text()),
    );
    let dataset = dataset.prop_map(|(path, watch, time, key, checks, description)| {
        given(vec![
            ("path", path),
            ("watch", json!(watch)),
            ("time", time),
            ("key", key),
            ("checks", checks),
            ("description", description),
        ])
    });
    let params = free().prop_map(|extra| json!({"top": {"depth": 3}, "extra": extra}));
    (name(), maybe(text()), dataset, params, stages(), (gates(), maybe(text())), rollout(), monitor(), triggers()).prop_map(
        |(name, description, dataset, params, stages, (gates, about), rollout, monitor, triggers)| {
            given(vec![
                ("project", json!(name)),
                ("description", description),
                ("datasets", json!({"rows": dataset})),
                ("params", params),
                ("stages", stages),
                ("model", given(vec![("name", json!("The model (1)")), ("from", json!("raw/m")), ("task", json!("classification")), ("test", json!("rows")), ("target", json!("y")), ("gates", gates), ("description", about)])),
                ("serve", json!({"endpoint": "e", "sticky": "user", "rollout": rollout})),
                ("monitor", monitor),
                ("on", triggers),
                ("notify", json!([{"webhook": "https://example.org/x?y=1", "events": ["*"], "secret_env": "S"}, {"webhook": "http://localhost:9/"}])),
            ])
        },
    )
}

fn read(text: &str) -> Project {
    crate::parse(text).unwrap_or_else(|invalid| panic!("{}\n{text}", invalid.render()))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn what_is_written_reads_back(document in project()) {
        let source = document.to_string();
        prop_assert_eq!(errors(&PROJECT, &document), Vec::<String>::new(), "the source: {}", source);
        let project = read(&source);

        let canonical = project.to_canonical_json();
        prop_assert_eq!(&read(&canonical), &project);
        prop_assert_eq!(read(&canonical).to_canonical_json(), canonical.clone());
        let value: Value = serde_json::from_str(&canonical).unwrap();
        prop_assert_eq!(errors(&PROJECT, &value), Vec::<String>::new(), "the canonical form: {}", canonical);
        prop_assert_eq!(&serde_json::from_value::<Project>(value).unwrap(), &project);

        let yaml = serde_saphyr::to_string(&project).unwrap();
        prop_assert_eq!(&read(&yaml), &project, "as YAML: {}", yaml);
    }

    #[test]
    fn suites_read_back(data in checks(data_check()), model in checks(model_check()), name in maybe(text())) {
        for checks in [data, model] {
            let document = given(vec![("name", name.clone()), ("checks", checks)]);
            prop_assert_eq!(errors(&SUITE, &document), Vec::<String>::new(), "{}", document);
            let suite = Suite::parse("s", document.to_string().as_bytes(), everloop_project::Scope::Any).unwrap();
            let written = serde_json::to_value(&suite).unwrap();
            prop_assert_eq!(errors(&SUITE, &written), Vec::<String>::new(), "{}", written);
            prop_assert_eq!(&serde_json::from_value::<Suite>(written).unwrap(), &suite);
            let yaml = serde_saphyr::to_string(&suite).unwrap();
            let again = Suite::parse("s", yaml.as_bytes(), everloop_project::Scope::Any).unwrap();
            prop_assert_eq!(&again, &suite, "{}", yaml);
        }
    }
}
