//! `stages:` — the grammar of dvc.yaml, with our `run:` and our built-in kinds beside `cmd`.

use crate::builtin::{Evaluate, Sql, Train};
use crate::decode::{Cx, Decode, Fields, key, list};
use crate::node::{Kind, Node, Step};
use crate::outs::{Out, Plot};
use crate::params::ParamDep;
use crate::paths::{Dep, FilePath, Reach, Source};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::run::Run;
use crate::scalars::{deserialize_by_decode, filled};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Serialize, Serializer};
use serde_json::Value;
use std::borrow::Cow;

/// One step of the pipeline: what it does, what it needs, what it makes.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Stage {
    /// What it does.
    #[serde(flatten)]
    pub action: Action,
    /// The folder that the command runs in and that its paths start from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub wdir: Option<FilePath>,
    /// Files, folders and datasets (`dataset:name`) that it reads; a change of one runs it again.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<Dep>,
    /// Parameters that it reads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub params: Vec<ParamDep>,
    /// Files and folders that it writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub outs: Vec<Out>,
    /// Files of figures that it writes: JSON, YAML or TOML.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub metrics: Vec<Out>,
    /// Files to be drawn that it writes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub plots: Vec<Plot>,
    /// Whether it is left as it is, even when its inputs change.
    #[serde(default, skip_serializing_if = "is_false")]
    pub frozen: bool,
    /// Whether it runs each time, even when nothing changed.
    #[serde(default, skip_serializing_if = "is_false")]
    pub always_changed: bool,
    /// Where and how it runs.
    #[serde(default, skip_serializing_if = "Run::is_default")]
    pub run: Run,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub desc: Option<String>,
    /// Anything else worth keeping.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub meta: Option<Value>,
}

fn is_false(value: &bool) -> bool {
    !*value
}

/// What a stage does.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(untagged)]
pub enum Action {
    /// Runs commands of the user's own.
    Cmd {
        /// One command line, or several that run in order until one fails; each runs in a shell of its own.
        cmd: Commands,
    },
    /// Queries datasets and files.
    Sql(Sql),
    /// Trains the built-in learner.
    Train {
        /// What it learns from what.
        train: Train,
    },
    /// Judges a model.
    Evaluate {
        /// Which model on which rows.
        evaluate: Evaluate,
    },
}

/// Command lines. `${` in the file means a template, as in DVC; `\${` there is a `${` for the shell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Commands(pub Vec<String>);

impl Decode for Commands {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let lines = match node.kind {
            Kind::List(_) => list::<Line>(node, cx)?,
            _ => vec![Line::decode(node, cx)?],
        };
        if lines.is_empty() {
            cx.bad_value(node, "no command", "at least one command line");
            return None;
        }
        Some(Self(lines.into_iter().map(|line| line.0).collect()))
    }
}

struct Line(String);

impl Decode for Line {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let text = filled(node, cx)?;
        if text.contains('\0') {
            cx.bad_value(node, "a command can't hold a NUL character", "a command line");
            return None;
        }
        Some(Self(text.replace("\\${", "${")))
    }
}

impl Serialize for Commands {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let escaped: Vec<String> = self.0.iter().map(|line| line.replace("${", "\\${")).collect();
        match escaped.as_slice() {
            [one] => one.serialize(serializer),
            many => many.serialize(serializer),
        }
    }
}

impl JsonSchema for Commands {
    fn schema_name() -> Cow<'static, str> {
        "Commands".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A command line, or several that run in order until one fails.",
            "anyOf": [
                {"type": "string", "minLength": 1},
                {"type": "array", "items": {"type": "string", "minLength": 1}, "minItems": 1},
            ],
        })
    }
}

deserialize_by_decode!(Stage, Commands);

const ACTIONS: [&str; 4] = ["cmd", "sql", "train", "evaluate"];

impl Action {
    fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Option<Self> {
        let present: Vec<&str> = ACTIONS.into_iter().filter(|name| fields.has(name)).collect();
        let cmd = fields.optional("cmd", cx).map(|cmd| Self::Cmd { cmd });
        let sql = if present.contains(&"sql") {
            Sql::take(fields, cx).map(Self::Sql)
        } else {
            fields.take("sql");
            None
        };
        let train = fields.optional("train", cx).map(|train| Self::Train { train });
        let evaluate = fields
            .optional("evaluate", cx)
            .map(|evaluate| Self::Evaluate { evaluate });
        if present.len() == 1 {
            return cmd.or(sql).or(train).or(evaluate);
        }
        let found = match present.as_slice() {
            [] => "a stage that does nothing".to_owned(),
            several => several.join(" and "),
        };
        cx.push(
            Problem::new(
                ProblemKind::MissingKey,
                fields.at(),
                "a stage does exactly one thing",
            )
            .found(found)
            .expected("one of \"cmd\", \"sql\", \"train\", \"evaluate\""),
        );
        None
    }

    /// The name of its kind: `cmd`, `sql`, `train` or `evaluate`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Cmd { .. } => "cmd",
            Self::Sql(_) => "sql",
            Self::Train { .. } => "train",
            Self::Evaluate { .. } => "evaluate",
        }
    }
}

/// Keys of dvc.yaml that make many stages out of one text.
const TEMPLATING: [(&str, &str); 4] = [
    ("foreach", "write one stage for each item"),
    ("do", "write one stage for each item"),
    ("matrix", "write one stage for each combination"),
    ("vars", "put the values into params"),
];

impl Decode for Stage {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let before = cx.count();
        let mut fields = Fields::open(node, "a stage", cx)?;
        let templated = TEMPLATING.iter().any(|(name, _)| fields.has(name));
        for (name, hint) in TEMPLATING {
            fields.refuse(name, "templated stages are not supported", hint, cx);
        }
        if templated {
            // What else is in it only makes sense after expansion.
            return None;
        }
        report_templates(node, &mut Vec::new(), cx);
        let action = Action::take(&mut fields, cx);
        let read = Read::take(&mut fields, cx);
        fields.finish(cx);
        let stage = read.with(action?);
        if cx.count() == before {
            stage.check_outs(node, cx);
            stage.check_kind(node, cx);
        }
        (cx.count() == before).then_some(stage)
    }
}

/// A stage but for what it does.
struct Read(Stage);

impl Read {
    fn take(fields: &mut Fields<'_>, cx: &mut Cx) -> Self {
        Self(Stage {
            action: Action::Cmd {
                cmd: Commands(Vec::new()),
            },
            wdir: fields.optional("wdir", cx),
            deps: fields.read("deps", cx, list).unwrap_or_default(),
            params: fields.read("params", cx, list).unwrap_or_default(),
            outs: fields.read("outs", cx, list).unwrap_or_default(),
            metrics: fields.read("metrics", cx, list).unwrap_or_default(),
            plots: fields.read("plots", cx, list).unwrap_or_default(),
            frozen: fields.or("frozen", false, cx),
            always_changed: fields.or("always_changed", false, cx),
            run: fields.or("run", Run::default(), cx),
            desc: fields.optional("desc", cx),
            meta: fields.optional("meta", cx),
        })
    }

    fn with(self, action: Action) -> Stage {
        Stage { action, ..self.0 }
    }
}

/// `${...}` means a template in dvc.yaml. To pass it on would give the shell something else than what was meant.
fn report_templates(node: &Node, steps: &mut Vec<Step>, cx: &mut Cx) {
    match &node.kind {
        Kind::Text(text) if text.contains("${") && text.replace("\\${", "").contains("${") => {
            cx.within_all(steps, |cx| {
                cx.push(
                    Problem::new(ProblemKind::Unsupported, node.at, "templates are not supported")
                        .found(quoted(text))
                        .hint("write the value itself; for a variable of the shell write $NAME or \\${NAME}"),
                );
            });
        }
        Kind::List(items) => {
            for (index, item) in items.iter().enumerate() {
                steps.push(Step::Index(index));
                report_templates(item, steps, cx);
                steps.pop();
            }
        }
        Kind::Map(entries) => {
            for (found, value) in entries {
                if steps.is_empty() && matches!(found.text.as_str(), "meta" | "desc") {
                    continue;
                }
                steps.push(Step::Key(found.text.clone()));
                report_templates(value, steps, cx);
                steps.pop();
            }
        }
        _ => {}
    }
}

/// Something a stage writes, and the key of the stage's mapping that says so.
#[derive(Debug, Clone)]
pub struct Written<'a> {
    /// Where, as seen from the project's folder.
    pub path: FilePath,
    /// As it stands in the file.
    pub out: &'a Out,
    /// `outs`, `metrics` or `plots`.
    pub section: &'static str,
    /// Its place in that list.
    pub index: usize,
}

impl Stage {
    /// Everything it writes, with paths as seen from the project's folder.
    pub fn writes(&self) -> impl Iterator<Item = Written<'_>> {
        let outs = self
            .outs
            .iter()
            .enumerate()
            .map(|(index, out)| ("outs", index, out));
        let metrics = self
            .metrics
            .iter()
            .enumerate()
            .map(|(index, out)| ("metrics", index, out));
        let plots = self
            .plots
            .iter()
            .enumerate()
            .map(|(index, plot)| ("plots", index, &plot.out));
        outs.chain(metrics)
            .chain(plots)
            .map(|(section, index, out)| Written {
                path: out.path.from_wdir(self.wdir.as_ref()),
                out,
                section,
                index,
            })
    }

    /// Everything it reads, with paths as seen from the project's folder: its `deps`, and what its built-in kind
    /// reads.
    #[must_use]
    pub fn reads(&self) -> Vec<Source> {
        self.located_reads()
            .into_iter()
            .map(|(_, source)| source)
            .collect()
    }

    /// What it reads, each with the steps to where the stage names it.
    pub(crate) fn located_reads(&self) -> Vec<(Vec<Step>, Source)> {
        let at = |steps: [Step; 2], source: &Source| (steps.to_vec(), self.resolve(source));
        let mut reads: Vec<(Vec<Step>, Source)> = Vec::new();
        for (index, dep) in self.deps.iter().enumerate() {
            reads.push(at([key("deps"), Step::Index(index)], &dep.0));
        }
        match &self.action {
            Action::Cmd { .. } => {}
            Action::Sql(sql) => {
                let tables = sql.from.0.iter();
                reads.extend(tables.map(|(table, source)| at([key("from"), key(table)], source)));
            }
            Action::Train { train } => reads.push(at([key("train"), key("data")], &train.data)),
            Action::Evaluate { evaluate } => {
                let model = Source::Path(evaluate.model.clone());
                reads.push(at([key("evaluate"), key("model")], &model));
                reads.push(at([key("evaluate"), key("data")], &evaluate.data));
            }
        }
        reads
    }

    fn resolve(&self, source: &Source) -> Source {
        match source {
            Source::Dataset(name) => Source::Dataset(name.clone()),
            Source::Path(path) => Source::Path(path.from_wdir(self.wdir.as_ref())),
        }
    }

    /// Outs lie beneath the project's folder: what a stage removes and rewrites must be the project's own.
    fn check_outs(&self, node: &Node, cx: &mut Cx) {
        if let Some(wdir) = self.wdir.as_ref().filter(|wdir| wdir.reach() != Reach::Inside) {
            let steps = [key("wdir")];
            cx.within_all(&steps, |cx| {
                cx.push(
                    Problem::new(
                        ProblemKind::BadValue,
                        node.locate(&steps),
                        "a stage runs outside the project's folder",
                    )
                    .found(quoted(wdir.as_str()))
                    .expected("a folder beneath the project's folder"),
                );
            });
            return;
        }
        for written in self.writes() {
            let message = match written.path.reach() {
                Reach::Inside if written.path.as_str() == "." => "an out can't be the whole project",
                Reach::Inside => continue,
                Reach::Outside | Reach::Remote => "an out outside the project's folder",
            };
            let steps = [key(written.section), Step::Index(written.index)];
            cx.within_all(&steps, |cx| {
                cx.push(
                    Problem::new(ProblemKind::BadValue, node.locate(&steps), message)
                        .found(quoted(written.path.as_str()))
                        .expected("a path beneath the project's folder"),
                );
            });
        }
    }

    /// What each built-in kind writes, and no other.
    fn check_kind(&self, node: &Node, cx: &mut Cx) {
        let shape = (self.outs.len(), self.metrics.len(), self.plots.len());
        let (fits, expected) = match &self.action {
            Action::Cmd { .. } => return,
            Action::Sql(_) => (
                shape == (1, 0, 0) && self.outs[0].path.extension().as_deref() == Some("parquet"),
                "exactly one out, a Parquet file such as data/train.parquet",
            ),
            Action::Train { .. } => (
                matches!(shape, (1, 0 | 1, 0)),
                "exactly one out, the model's folder, and at most one metrics file",
            ),
            Action::Evaluate { .. } => (
                shape == (0, 1, 0),
                "exactly one metrics file, such as metrics.json",
            ),
        };
        if fits {
            return;
        }
        let (outs, metrics, plots) = shape;
        let found = match (shape, self.outs.first()) {
            ((1, 0, 0), Some(out)) => quoted(out.path.as_str()),
            _ => format!("{outs} outs, {metrics} metrics, {plots} plots"),
        };
        let message = format!("wrong outs for a stage of kind \"{}\"", self.action.kind());
        let at = node.locate(&[key("outs")]);
        cx.push(
            Problem::new(ProblemKind::BadValue, at, message)
                .found(found)
                .expected(expected),
        );
    }
}
