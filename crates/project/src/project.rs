//! The project file as a whole.

use crate::canonical;
use crate::datasets::Dataset;
use crate::decode::{Cx, Decode, Fields, list};
use crate::graph::{Cycle, Graph};
use crate::limits;
use crate::model::Model;
use crate::monitor::Monitor;
use crate::node::{Kind, Node};
use crate::notify::Webhook;
use crate::params::Params;
use crate::paths::{FilePath, Reach, Source};
use crate::problem::{Invalid, Problem, ProblemKind, Problems};
use crate::scalars::{deserialize_by_decode, filled};
use crate::serve::Serve;
use crate::stages::Stage;
use crate::suite::Scope;
use crate::triggers::Trigger;
use crate::units::NameText;
use crate::validate::{self, Section, Sound};
use everloop_core::{DatasetName, Hash, ProjectName, StageName};
use schemars::JsonSchema;
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

/// The loop of one project: data, pipeline, model, endpoint, monitor, and what starts it again.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Project {
    /// The project's name.
    #[schemars(with = "NameText")]
    pub project: ProjectName,
    /// What it is, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The tables and folders that versions are kept of, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<NameText, Dataset>")]
    pub datasets: BTreeMap<DatasetName, Dataset>,
    /// Parameters: in place, or the file that holds them; by default `params.yaml`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub params: Option<Params>,
    /// The steps of the pipeline, by name, in the grammar of dvc.yaml. A stage runs after those that write what it
    /// reads.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(with = "BTreeMap<NameText, Stage>")]
    pub stages: BTreeMap<StageName, Stage>,
    /// The registered model, and the gates before it is released.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<Model>,
    /// The endpoint that answers predictions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serve: Option<Serve>,
    /// The standing watch over the endpoint.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub monitor: Option<Monitor>,
    /// What starts the loop again; any of these.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub on: Vec<Trigger>,
    /// Who is told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notify: Vec<Webhook>,
}

deserialize_by_decode!(Project);

/// Top-level keys of dvc.yaml that have no meaning here.
const DVC_ONLY: [(&str, &str); 4] = [
    ("vars", "put the values into params"),
    ("metrics", "name metrics files in the stages that write them"),
    ("plots", "name plot files in the stages that write them"),
    ("artifacts", "say what becomes a model version in model.from"),
];

impl Project {
    /// Reads and checks a project file. `file` is what problems call it; `exists` says whether a path, relative to
    /// the project's folder, is there.
    ///
    /// # Errors
    /// With everything that is wrong with the file. Mistakes that depend on several sections (cycles, missing files,
    /// unknown names) are looked for where the sections they need could be read.
    pub fn parse(file: &str, bytes: &[u8], exists: &dyn Fn(&Path) -> bool) -> Result<Self, Invalid> {
        let node = match crate::yaml::read(bytes) {
            Ok(node) => node,
            Err(problem) => {
                let mut problems = Problems::default();
                problems.push(*problem);
                return problems.into_result(file, None);
            }
        };
        let mut cx = Cx::default();
        let project = read(&node, Some(exists), &mut cx);
        cx.finish(file, project)
    }

    /// The same project in one spelling: JSON with sorted keys and defaults written out. It reads back as a file.
    #[must_use]
    pub fn to_canonical_json(&self) -> String {
        canonical::to_json(self)
    }

    /// The hash of the canonical JSON: equal for files that mean the same.
    #[must_use]
    pub fn content_hash(&self) -> Hash {
        canonical::hash(self)
    }

    /// The graph of stages. An edge leads from the stage that writes a path to each stage that reads it, or something
    /// beneath it or above it; a dataset counts as the paths its files lie in.
    ///
    /// # Errors
    /// When stages wait for each other; a project that came from [`parse`](Self::parse) has none.
    pub fn graph(&self) -> Result<Graph, Vec<Cycle>> {
        Graph::from_indices(self.stages.keys().cloned().collect(), &validate::edges(self))
    }

    /// The datasets that a stage reads: those it names, and those whose files lie in what it reads.
    #[must_use]
    pub fn datasets_read_by(&self, stage: &Stage) -> BTreeSet<&DatasetName> {
        let reads = stage.reads();
        self.datasets
            .iter()
            .filter(|(name, dataset)| {
                reads.iter().any(|source| match source {
                    Source::Dataset(read) => read == *name,
                    Source::Path(path) => dataset.path.iter().any(|data| validate::touches(data, path)),
                })
            })
            .map(|(name, _)| name)
            .collect()
    }

    /// The file that holds the parameters which `stage` names without a file: none when they stand in the project
    /// file itself.
    #[must_use]
    pub fn params_file(&self, stage: &Stage) -> Option<FilePath> {
        validate::params_file(self, stage)
    }

    /// The suite files that the project names, and what each is held against.
    #[must_use]
    pub fn suite_files(&self) -> Vec<(&FilePath, Scope)> {
        let datasets = self
            .datasets
            .values()
            .filter_map(|dataset| dataset.checks.as_ref());
        let quality = self.monitor.iter().filter_map(|monitor| monitor.quality.as_ref());
        let gates = self
            .model
            .iter()
            .flat_map(|model| &model.gates)
            .filter_map(|gate| match gate {
                crate::model::Gate::Checks(suite) => Some(suite),
                _ => None,
            });
        let data = datasets.chain(quality).map(|suite| (suite, Scope::Data));
        let model = gates.map(|suite| (suite, Scope::Model));
        let files = data.chain(model);
        files
            .filter_map(|(suite, scope)| Some((suite.file()?, scope)))
            .collect()
    }

    /// The paths that lead out of the project's folder on this machine. A server that takes projects from clients
    /// must refuse those that have any.
    #[must_use]
    pub fn outside_paths(&self) -> Vec<FilePath> {
        let datasets = self.datasets.values().flat_map(|dataset| &dataset.path);
        let datasets = datasets.map(|path| path.prefix().clone());
        let suites = self.suite_files().into_iter().map(|(path, _)| path.clone());
        let reads = self.stages.values().flat_map(Stage::reads);
        let test = self.model.iter().filter_map(|model| model.test.clone());
        let sources = reads.chain(test).filter_map(|source| match source {
            Source::Path(path) => Some(path),
            Source::Dataset(_) => None,
        });
        let models = self.model.iter().map(|model| model.from.clone());
        let params = self.params.iter().filter_map(|params| match params {
            Params::File(path) => Some(path.clone()),
            Params::Inline(_) => None,
        });
        let all = datasets.chain(suites).chain(sources).chain(models).chain(params);
        let stage_params = self.stages.values().flat_map(validate::param_files);
        let outside: BTreeSet<FilePath> = all
            .chain(stage_params)
            .filter(|path| path.reach() == Reach::Outside)
            .collect();
        outside.into_iter().collect()
    }
}

impl Decode for Project {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        read(node, None, cx)
    }
}

/// Reads all sections, then checks what lies between them; `exists` is missing for stored documents.
fn read(node: &Node, exists: Option<&dyn Fn(&Path) -> bool>, cx: &mut Cx) -> Option<Project> {
    let mut fields = Fields::open(node, "the project", cx)?;
    for (name, hint) in DVC_ONLY {
        fields.refuse(name, "not a section of everloop.yaml", hint, cx);
    }
    let project = fields.required("project", "the project's name", cx);
    let description = fields.read("description", cx, filled);
    let mut sound = Sound::default();
    let datasets = sound.of(Section::Datasets, cx, |cx| fields.read("datasets", cx, datasets));
    let params = sound.of(Section::Params, cx, |cx| fields.optional("params", cx));
    let stages = sound.of(Section::Stages, cx, |cx| fields.read("stages", cx, stages));
    let model = sound.of(Section::Model, cx, |cx| fields.optional("model", cx));
    let serve = sound.of(Section::Serve, cx, |cx| fields.optional("serve", cx));
    let monitor = sound.of(Section::Monitor, cx, |cx| fields.optional("monitor", cx));
    let on = sound.of(Section::On, cx, |cx| fields.read("on", cx, list));
    let notify = sound.of(Section::Notify, cx, |cx| fields.read("notify", cx, list));
    fields.finish(cx);
    // A file without a name is still checked to the end; the stand-in never leaves this function.
    let stand_in = || ProjectName::new("unnamed").expect("it follows the rule for names");
    let nameless = project.is_none();
    let read = Project {
        project: project.unwrap_or_else(stand_in),
        description,
        datasets: datasets.unwrap_or_default(),
        params,
        stages: stages.unwrap_or_default(),
        model,
        serve,
        monitor,
        on: on.unwrap_or_default(),
        notify: notify.unwrap_or_default(),
    };
    validate::project(&read, node, &sound, exists, cx);
    (!nameless).then_some(read)
}

fn datasets(node: &Node, cx: &mut Cx) -> Option<BTreeMap<DatasetName, Dataset>> {
    if let Kind::List(_) = node.kind {
        cx.push(
            Problem::new(ProblemKind::WrongType, node.at, "wrong type")
                .found(node.describe())
                .expected("a mapping from names to datasets")
                .hint("a list of datasets is DVC's own; write name: {path: ...}"),
        );
        return None;
    }
    crate::decode::map(
        node,
        "datasets",
        cx,
        |name| DatasetName::new(name),
        Dataset::decode,
    )
}

fn stages(node: &Node, cx: &mut Cx) -> Option<BTreeMap<StageName, Stage>> {
    if let Kind::Map(entries) = &node.kind
        && entries.len() > limits::STAGES
    {
        cx.push(
            Problem::new(ProblemKind::TooLarge, node.at, "too many stages")
                .found(format!("{} stages", entries.len()))
                .expected(format!("at most {}", limits::STAGES)),
        );
        return None;
    }
    crate::decode::map(node, "stages", cx, |name| StageName::new(name), Stage::decode)
}
