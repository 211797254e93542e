//! A graph as a list of steps over numbered slots.

use super::FORMAT;
use super::attributes::Attributes;
use super::ops::{self, Context, Inputs, Operator};
use super::proto::{GraphProto, ModelProto, NodeProto, ValueInfoProto};
use super::tensor::{Data, OpResult, Tensor, Type};
use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::task::Label;
use std::collections::HashMap;

#[derive(Debug)]
pub(super) struct Graph {
    pub(super) inputs: Vec<Input>,
    /// Names of the outputs, and where they lie.
    pub(super) outputs: Vec<(String, usize)>,
    pub(super) max_elements: u64,
    steps: Vec<Step>,
    /// Constants by slot; `None` for what is computed.
    constants: Vec<Option<Tensor>>,
}

#[derive(Debug)]
pub(super) struct Input {
    pub(super) name: String,
    pub(super) kind: Type,
    /// Columns, when the graph tells.
    pub(super) width: Option<usize>,
    /// Whether it is a vector, one value a row.
    pub(super) flat: bool,
    slot: usize,
}

#[derive(Debug)]
struct Step {
    name: String,
    operator: Box<dyn Operator>,
    inputs: Vec<Option<usize>>,
    outputs: Vec<Option<usize>>,
    /// Slots that no later step reads.
    done: Vec<usize>,
}

impl Graph {
    pub(super) fn read(path: &str, model: &ModelProto, limits: &Limits) -> Result<Self> {
        let graph = model
            .graph
            .as_ref()
            .ok_or_else(|| Error::malformed(path, FORMAT, "no graph"))?;
        if !model.functions.is_empty() {
            return Err(Error::unsupported(path, "a model with functions of its own"));
        }
        if !graph.sparse_initializer.is_empty() {
            return Err(Error::unsupported(path, "a sparse constant"));
        }
        Limits::check(path, "number of operators", graph.node.len(), limits.width)?;
        let mut reader = Reader {
            path,
            limits,
            versions: versions(model),
            slots: HashMap::new(),
            graph: Self {
                inputs: Vec::new(),
                outputs: Vec::new(),
                max_elements: limits.elements,
                steps: Vec::new(),
                constants: Vec::new(),
            },
        };
        reader.constants(graph)?;
        reader.inputs(graph)?;
        for (index, node) in graph.node.iter().enumerate() {
            reader.node(index, node)?;
        }
        reader.outputs(graph)?;
        reader.graph.mark_done();
        Ok(reader.graph)
    }

    /// Notes after which step each slot is no longer needed, so that large tensors go early.
    fn mark_done(&mut self) {
        let mut last: HashMap<usize, usize> = HashMap::new();
        for (index, step) in self.steps.iter().enumerate() {
            for slot in step.inputs.iter().chain(&step.outputs).flatten() {
                last.insert(*slot, index);
            }
        }
        for (_, slot) in &self.outputs {
            last.remove(slot);
        }
        for (slot, index) in last {
            self.steps[index].done.push(slot);
        }
    }

    /// Runs the graph; answers its outputs.
    pub(super) fn run(&self, inputs: Vec<Tensor>) -> Result<Vec<Tensor>> {
        let mut slots: Vec<Option<Tensor>> = vec![None; self.constants.len()];
        for (input, tensor) in self.inputs.iter().zip(inputs) {
            slots[input.slot] = Some(tensor);
        }
        for step in &self.steps {
            let outputs = step
                .run(&slots, &self.constants, self.max_elements)
                .map_err(|reason| Error::evaluate(&step.name, reason))?;
            for (slot, tensor) in step.outputs.iter().zip(outputs) {
                if let Some(slot) = slot {
                    slots[*slot] = Some(tensor);
                }
            }
            step.done.iter().for_each(|slot| slots[*slot] = None);
        }
        let answer = |(name, slot): &(String, usize)| {
            let tensor = slots[*slot].as_ref().or(self.constants[*slot].as_ref());
            tensor
                .cloned()
                .ok_or_else(|| Error::evaluate(name, "the output was not computed"))
        };
        self.outputs.iter().map(answer).collect()
    }

    /// The classes that the step behind an output names, or any step names for so many scores.
    pub(super) fn classes(&self, output: usize, count: usize) -> Option<Vec<Label>> {
        let slot = self.outputs.get(output)?.1;
        let behind = self
            .steps
            .iter()
            .filter(|step| step.outputs.contains(&Some(slot)));
        behind
            .chain(self.steps.iter().rev())
            .filter_map(|step| step.operator.classes())
            .find(|labels| labels.len() == count)
            .or_else(|| self.constant_classes(count))
    }

    /// Class names that stand in a constant, to be looked up by index.
    fn constant_classes(&self, count: usize) -> Option<Vec<Label>> {
        let texts = |tensor: &Tensor| match &tensor.data {
            Data::Text(values) if values.len() == count => {
                Some(values.iter().cloned().map(Label::Text).collect())
            }
            _ => None,
        };
        self.constants.iter().flatten().find_map(texts)
    }

    /// Splits per input column, when the one input is read by the one tree ensemble.
    pub(super) fn split_counts(&self) -> Option<Vec<u64>> {
        let [input] = self.inputs.as_slice() else {
            return None;
        };
        let mut ensembles = self
            .steps
            .iter()
            .filter(|step| step.operator.split_counts().is_some());
        let (ensemble, None) = (ensembles.next()?, ensembles.next()) else {
            return None;
        };
        if ensemble.inputs.first() != Some(&Some(input.slot)) {
            return None;
        }
        ensemble.operator.split_counts()
    }
}

impl Step {
    fn run(
        &self,
        slots: &[Option<Tensor>],
        constants: &[Option<Tensor>],
        max_elements: u64,
    ) -> OpResult<Vec<Tensor>> {
        let find = |slot: &Option<usize>| -> Option<&Tensor> {
            let slot = (*slot)?;
            slots[slot].as_ref().or(constants[slot].as_ref())
        };
        let inputs = Inputs {
            tensors: self.inputs.iter().map(find).collect(),
            max_elements,
        };
        let outputs = self.operator.run(&inputs)?;
        if outputs.len()
            < self
                .outputs
                .iter()
                .rposition(Option::is_some)
                .map_or(0, |last| last + 1)
        {
            return Err(format!(
                "{} outputs where {} are named",
                outputs.len(),
                self.outputs.len()
            ));
        }
        Ok(outputs)
    }
}

/// The version of each operator set.
fn versions(model: &ModelProto) -> HashMap<String, i64> {
    let mut versions = HashMap::new();
    for set in &model.opset_import {
        let domain = set.domain.clone().unwrap_or_default();
        let version: &mut i64 = versions.entry(domain).or_default();
        *version = set.version.unwrap_or(0).max(*version);
    }
    versions
}

struct Reader<'a> {
    path: &'a str,
    limits: &'a Limits,
    versions: HashMap<String, i64>,
    slots: HashMap<&'a str, usize>,
    graph: Graph,
}

impl<'a> Reader<'a> {
    fn wrong(&self, reason: impl Into<String>) -> Error {
        Error::malformed(self.path, FORMAT, reason)
    }

    /// A new slot for `name`, which must be new too.
    fn slot(&mut self, name: &'a str, constant: Option<Tensor>) -> Result<usize> {
        let slot = self.graph.constants.len();
        self.graph.constants.push(constant);
        match self.slots.insert(name, slot) {
            None => Ok(slot),
            Some(_) => Err(self.wrong(format!("\"{name}\" is computed twice"))),
        }
    }

    fn constants(&mut self, graph: &'a GraphProto) -> Result<()> {
        for tensor in &graph.initializer {
            let name = tensor.name.as_deref().unwrap_or("");
            let constant = Tensor::from_proto(tensor)
                .map_err(|reason| self.wrong(format!("constant \"{name}\": {reason}")))?;
            self.slot(name, Some(constant))?;
        }
        Ok(())
    }

    fn inputs(&mut self, graph: &'a GraphProto) -> Result<()> {
        for value in &graph.input {
            let name = value.name.as_deref().unwrap_or("");
            // Before IR version 4 constants are listed among the inputs.
            if !self.slots.contains_key(name) {
                let input = self.input(name, value)?;
                self.graph.inputs.push(input);
            }
        }
        if self.graph.inputs.is_empty() {
            return Err(self.wrong("the graph has no inputs"));
        }
        Ok(())
    }

    fn input(&mut self, name: &'a str, value: &ValueInfoProto) -> Result<Input> {
        let unsupported = |what: &str| Error::unsupported(self.path, format!("{what} of input \"{name}\""));
        let tensor = value
            .r#type
            .as_ref()
            .and_then(|kind| kind.tensor_type.as_ref())
            .ok_or_else(|| unsupported("the type"))?;
        let kind = tensor
            .elem_type
            .and_then(Type::from_onnx)
            .ok_or_else(|| unsupported("the element type"))?;
        let dims = tensor.shape.as_ref().map(|shape| shape.dim.as_slice());
        let (flat, width) = match dims {
            Some([_]) => (true, Some(1)),
            Some([_, columns]) => (false, columns.dim_value.filter(|size| *size > 0)),
            Some([]) | None => (false, None),
            Some(_) => return Err(unsupported("the shape")),
        };
        let width = width.map(|width| width as usize);
        Limits::check(
            self.path,
            "number of input columns",
            width.unwrap_or(0),
            self.limits.width,
        )?;
        Ok(Input {
            name: name.to_owned(),
            kind,
            width,
            flat,
            slot: self.slot(name, None)?,
        })
    }

    fn node(&mut self, index: usize, node: &'a NodeProto) -> Result<()> {
        let kind = node.op_type.as_deref().unwrap_or("");
        let domain = node.domain.as_deref().unwrap_or("");
        let name = match node.name.as_deref() {
            Some(name) if !name.is_empty() => name.to_owned(),
            _ => format!("{kind} {index}"),
        };
        let inputs = self.node_inputs(&name, node)?;
        let attributes = Attributes(node);
        if kind == "Constant" && domain.is_empty() {
            return self.constant(&name, node, &attributes);
        }
        let context = Context {
            path: self.path,
            limits: self.limits,
            version: self.versions.get(domain).copied().unwrap_or(1),
        };
        let operator = ops::read(domain, kind, &attributes, &context).ok_or_else(|| {
            let separator = if domain.is_empty() { "" } else { "." };
            Error::unsupported(
                self.path,
                format!("operator {domain}{separator}{kind} (node \"{name}\")"),
            )
        })?;
        let operator = operator.map_err(|reason| self.wrong(format!("node \"{name}\": {reason}")))?;
        let mut outputs = Vec::with_capacity(node.output.len());
        for output in &node.output {
            outputs.push(if output.is_empty() {
                None
            } else {
                Some(self.slot(output, None)?)
            });
        }
        self.graph.steps.push(Step {
            name,
            operator,
            inputs,
            outputs,
            done: Vec::new(),
        });
        Ok(())
    }

    fn node_inputs(&self, name: &str, node: &NodeProto) -> Result<Vec<Option<usize>>> {
        let find = |input: &String| {
            if input.is_empty() {
                return Ok(None);
            }
            let slot = self.slots.get(input.as_str()).copied();
            slot.map(Some).ok_or_else(|| {
                self.wrong(format!(
                    "node \"{name}\" reads \"{input}\", which nothing before it computes"
                ))
            })
        };
        node.input.iter().map(find).collect()
    }

    fn constant(&mut self, name: &str, node: &'a NodeProto, attributes: &Attributes<'_>) -> Result<()> {
        let value =
            constant_value(attributes).map_err(|reason| self.wrong(format!("node \"{name}\": {reason}")))?;
        let [output] = node.output.as_slice() else {
            return Err(self.wrong(format!("node \"{name}\" has {} outputs", node.output.len())));
        };
        self.slot(output, Some(value)).map(|_| ())
    }

    fn outputs(&mut self, graph: &GraphProto) -> Result<()> {
        for value in &graph.output {
            let name = value.name.as_deref().unwrap_or("");
            let slot = self.slots.get(name).copied();
            let slot = slot.ok_or_else(|| self.wrong(format!("nothing computes output \"{name}\"")))?;
            self.graph.outputs.push((name.to_owned(), slot));
        }
        if self.graph.outputs.is_empty() {
            return Err(self.wrong("the graph has no outputs"));
        }
        Ok(())
    }
}

fn constant_value(attributes: &Attributes<'_>) -> OpResult<Tensor> {
    if let Some(tensor) = attributes.tensor("value")? {
        return Ok(tensor);
    }
    if attributes.has("value_int") {
        return Tensor::i64(vec![], vec![attributes.int_or("value_int", 0)]);
    }
    if attributes.has("value_float") {
        return Tensor::f32(vec![], vec![attributes.float_or("value_float", 0.0)]);
    }
    if attributes.has("value_ints") {
        let values = attributes.ints("value_ints").to_vec();
        return Tensor::i64(vec![values.len()], values);
    }
    if attributes.has("value_floats") {
        let values = attributes.floats("value_floats").to_vec();
        return Tensor::f32(vec![values.len()], values);
    }
    Err("a constant without a value".to_owned())
}
