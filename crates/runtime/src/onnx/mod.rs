//! ONNX graphs, evaluated in this process: the operators that converters of tabular models emit.
//!
//! A graph is checked and its operators are read when it is loaded; an unknown operator refuses the file by name. It is
//! then run once on a row of zeros, which tells the shape of its answers and that it runs at all.

mod answer;
mod attributes;
mod graph;
mod ops;
pub(crate) mod own;
mod proto;
mod scan;
mod tensor;

use crate::error::{Error, Result};
use crate::limits::Limits;
use crate::signature::{Field, Kind};
use crate::task::Task;
use answer::Answer;
use everloop_core::Values;
use graph::Graph;
use prost::Message as _;
use proto::ModelProto;
use tensor::{Data, Tensor, Type, elements};

const FORMAT: &str = "ONNX model";

/// A loaded graph with the columns it reads and the answers it gives.
#[derive(Debug)]
pub(crate) struct OnnxModel {
    graph: Graph,
    answer: Answer,
    /// The columns of all inputs, in order.
    pub(crate) inputs: Vec<Field>,
    /// Whether the columns have names of their own.
    pub(crate) named: bool,
    /// Columns that each graph input takes.
    widths: Vec<usize>,
}

/// Scores of some rows, and the classes that the graph itself names.
pub(crate) struct Answers {
    /// Rows x width.
    pub(crate) scores: Vec<f64>,
    pub(crate) classes: Vec<u32>,
}

/// Reads a graph. `columns` are those of the model's signature, if it has one.
pub(crate) fn load(path: &str, bytes: &[u8], limits: &Limits, columns: &[Field]) -> Result<OnnxModel> {
    let proto = decode(path, bytes, limits)?;
    let graph = Graph::read(path, &proto, limits)?;
    let widths = widths(path, &graph, columns, limits)?;
    let (inputs, named) = inputs(&graph, &widths, columns);
    let mut model = OnnxModel {
        graph,
        answer: Answer::default(),
        inputs,
        named,
        widths,
    };
    let nothing = vec![None; model.inputs.len()];
    let outputs = model.run(&nothing, 1)?;
    model.answer = Answer::read(path, &model.graph, &proto, &outputs)?;
    Ok(model)
}

fn decode(path: &str, bytes: &[u8], limits: &Limits) -> Result<ModelProto> {
    scan::check(path, bytes, limits)?;
    ModelProto::decode(bytes).map_err(|error| Error::malformed(path, FORMAT, error.to_string()))
}

impl OnnxModel {
    pub(crate) fn task(&self) -> &Task {
        &self.answer.task
    }

    /// Scores per row.
    pub(crate) fn width(&self) -> usize {
        self.answer.width
    }

    /// Splits per input column, when the graph's one input goes straight into one tree ensemble.
    pub(crate) fn split_counts(&self) -> Option<Vec<u64>> {
        self.graph
            .split_counts()
            .filter(|counts| counts.len() <= self.inputs.len())
    }

    /// Answers for `rows` rows of `columns`, one per input column.
    pub(crate) fn predict(&self, columns: &[Option<&Values>], rows: usize) -> Result<Answers> {
        if rows == 0 {
            return Ok(Answers {
                scores: Vec::new(),
                classes: Vec::new(),
            });
        }
        let outputs = self.run(columns, rows)?;
        self.answer.of(&outputs, rows)
    }

    fn run(&self, columns: &[Option<&Values>], rows: usize) -> Result<Vec<Tensor>> {
        let mut rest = columns;
        let mut tensors = Vec::with_capacity(self.widths.len());
        for (input, width) in self.graph.inputs.iter().zip(&self.widths) {
            let (own, after) = rest.split_at(*width);
            rest = after;
            let shape = if input.flat {
                vec![rows]
            } else {
                vec![rows, *width]
            };
            let room = elements(&shape).is_some_and(|count| count as u64 <= self.graph.max_elements);
            let tensor = if room {
                Tensor::new(shape, Data::from_columns(input.kind, own, rows))
            } else {
                Err(format!("{rows} rows of {width} columns are too many at once"))
            };
            tensors.push(tensor.map_err(|reason| Error::evaluate(&input.name, reason))?);
        }
        self.graph.run(tensors)
    }
}

/// How many columns each input takes. One input may leave its width open when the signature tells it.
fn widths(path: &str, graph: &Graph, columns: &[Field], limits: &Limits) -> Result<Vec<usize>> {
    let known: usize = graph.inputs.iter().filter_map(|input| input.width).sum();
    let open = graph.inputs.iter().filter(|input| input.width.is_none()).count();
    let rest = columns.len().saturating_sub(known);
    if open > 1 || (open == 1 && rest == 0) {
        return Err(Error::unsupported(
            path,
            "an input whose number of columns is not told",
        ));
    }
    Limits::check(
        path,
        "number of input columns",
        known.max(columns.len()),
        limits.width,
    )?;
    Ok(graph
        .inputs
        .iter()
        .map(|input| input.width.unwrap_or(rest))
        .collect())
}

/// The columns of all inputs: those of the signature when they are as many, else named after the inputs.
fn inputs(graph: &Graph, widths: &[usize], columns: &[Field]) -> (Vec<Field>, bool) {
    let total: usize = widths.iter().sum();
    let single = widths.iter().all(|width| *width == 1);
    let kinds = graph
        .inputs
        .iter()
        .zip(widths)
        .flat_map(|(input, width)| std::iter::repeat_n(input.kind, *width));
    if columns.len() == total && !single {
        let own = |(field, kind): (&Field, Type)| Field {
            kind: if field.kind.is_text() == (kind == Type::Text) {
                field.kind
            } else {
                field_kind(kind)
            },
            ..field.clone()
        };
        let numbered = columns
            .iter()
            .enumerate()
            .all(|(at, field)| field.name == format!("f{at}"));
        return (columns.iter().zip(kinds).map(own).collect(), !numbered);
    }
    let names = graph.inputs.iter().zip(widths).flat_map(|(input, width)| {
        (0..*width).map(move |column| match (*width, graph.inputs.len()) {
            (1, _) => input.name.clone(),
            (_, 1) => format!("f{column}"),
            _ => format!("{}_{column}", input.name),
        })
    });
    let field = |(name, kind): (String, Type)| {
        let told = columns.iter().find(|field| field.name == name);
        told.cloned()
            .unwrap_or_else(|| Field::new(name, field_kind(kind)))
    };
    (
        names.zip(kinds).map(field).collect(),
        single && graph.inputs.len() > 1,
    )
}

fn field_kind(kind: Type) -> Kind {
    match kind {
        Type::F32 => Kind::Float,
        Type::F64 => Kind::Double,
        Type::I32 => Kind::Int,
        Type::I64 => Kind::Long,
        Type::Bool => Kind::Bool,
        Type::Text => Kind::String,
    }
}
