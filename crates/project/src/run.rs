//! `run:` — where and how a stage runs.

use crate::decode::{Cx, Decode, Fields};
use crate::node::{Kind, Node};
use crate::problem::{Problem, ProblemKind, quoted};
use crate::scalars::{Choice, count, decode_choice, deserialize_by_decode, number};
use crate::units::{Memory, Span};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::Serialize;
use std::collections::BTreeMap;

/// Where and how a stage runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Run {
    /// The engine it runs on.
    pub on: Engine,
    /// Processors it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("exclusiveMinimum" = 0, "maximum" = 10_000))]
    pub cpus: Option<f64>,
    /// Graphics processors it needs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 10_000))]
    pub gpus: Option<u32>,
    /// Memory it needs, and may use at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// How often it is tried again when it fails.
    #[schemars(range(min = 0, max = 100))]
    pub retries: u32,
    /// How long one attempt may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Span>,
    /// Environment variables for its processes; a variable without a value is handed on from the worker. All of them
    /// count when it is decided whether the stage must run again.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    #[schemars(schema_with = "env_schema")]
    pub env: BTreeMap<String, Option<String>>,
}

fn env_schema(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "patternProperties": {"^[A-Za-z_][A-Za-z0-9_]*$": {"type": ["string", "number", "boolean", "null"]}},
        "additionalProperties": false,
    })
}

/// What runs a stage's processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Engine {
    /// The machine of the worker.
    #[default]
    Local,
    /// A Ray cluster, as a job.
    Ray,
    /// A Kubernetes cluster, as a job.
    Kubernetes,
    /// A Slurm cluster, as a batch job.
    Slurm,
}

impl Choice for Engine {
    const WHAT: &'static str = "engine";
    const ALL: &'static [Self] = &[Self::Local, Self::Ray, Self::Kubernetes, Self::Slurm];
}

decode_choice!(Engine);
deserialize_by_decode!(Run);

impl Run {
    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Decode for Run {
    fn decode(node: &Node, cx: &mut Cx) -> Option<Self> {
        let mut fields = Fields::open(node, "run", cx)?;
        let run = Self {
            on: fields.or("on", Engine::Local, cx),
            cpus: fields.read("cpus", cx, |node, cx| {
                number(node, "a number above 0 and at most 10000", cx, |cpus| {
                    cpus > 0.0 && cpus <= 10_000.0
                })
            }),
            gpus: fields.read("gpus", cx, |node, cx| count(node, 0, 10_000, cx)),
            memory: fields.optional("memory", cx),
            retries: fields
                .read("retries", cx, |node, cx| count(node, 0, 100, cx))
                .unwrap_or(0),
            timeout: fields.optional("timeout", cx),
            env: fields.read("env", cx, env).unwrap_or_default(),
        };
        fields.finish(cx);
        Some(run)
    }
}

fn env(node: &Node, cx: &mut Cx) -> Option<BTreeMap<String, Option<String>>> {
    let name = |name: &str| Ok::<_, everloop_core::InvalidName>(name.to_owned());
    let env = crate::decode::map(node, "texts", cx, name, env_value)?;
    let before = cx.count();
    if let Kind::Map(entries) = &node.kind {
        for (found, _) in entries.iter().filter(|(found, _)| !is_variable(&found.text)) {
            cx.push(
                Problem::new(
                    ProblemKind::BadValue,
                    found.at,
                    "not the name of an environment variable",
                )
                .found(quoted(&found.text))
                .expected("letters, digits and \"_\", not starting with a digit"),
            );
        }
    }
    (cx.count() == before).then_some(env)
}

pub(crate) fn is_variable(name: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    !name.is_empty() && !name.starts_with(|c: char| c.is_ascii_digit()) && name.chars().all(word)
}

fn env_value(node: &Node, cx: &mut Cx) -> Option<Option<String>> {
    match &node.kind {
        Kind::Null => Some(None),
        Kind::Text(text) if !text.contains('\0') => Some(Some(text.clone())),
        Kind::Int(value) => Some(Some(value.to_string())),
        Kind::Float(value) => Some(Some(value.to_string())),
        Kind::Bool(value) => Some(Some(value.to_string())),
        _ => {
            cx.wrong_type(
                node,
                "a text, a number, true or false, or nothing to hand it on from the worker",
            );
            None
        }
    }
}
