//! Finds out what a model directory holds, and hands it to the reader of that format. Nothing is ever unpickled.

use crate::error::{Error, Result};
use crate::files::ModelFiles;
use crate::limits::Limits;
use crate::mlmodel::{MLMODEL, MlModel};
use crate::onnx::{self, OnnxModel};
use crate::signature::Signature;
use crate::trees::LoadedTrees;
use crate::{lightgbm, xgboost};

pub(crate) enum Loaded {
    /// With the path of the file.
    Trees(String, Box<LoadedTrees>),
    Graph(Box<OnnxModel>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Onnx,
    Xgboost,
    Lightgbm,
}

/// Flavors in the order we like them, with the file each has when its flavor does not say.
const FLAVORS: [(Format, &str, &str); 3] = [
    (Format::Onnx, "onnx", "model.onnx"),
    (Format::Xgboost, "xgboost", "model.ubj"),
    (Format::Lightgbm, "lightgbm", "model.lgb"),
];

/// Endings of files that Python unpickles.
const PICKLES: [&str; 6] = [".pkl", ".pickle", ".joblib", ".skops", ".cloudpickle", ".pt"];

/// Reads the model of a directory, and its signature when an MLmodel file has one.
pub(crate) fn load(files: &ModelFiles, limits: &Limits) -> Result<(Loaded, Option<Signature>)> {
    let total = usize::try_from(files.total_bytes()).unwrap_or(usize::MAX);
    Limits::check("the model", "size of all files", total, limits.total_bytes)?;
    let mlmodel = MlModel::read(files)?;
    let (format, path) = match &mlmodel {
        Some(mlmodel) => of_flavors(mlmodel)?,
        None => of_lone_file(files)?,
    };
    let signature = mlmodel.and_then(|mlmodel| mlmodel.signature);
    let bytes = files.require(&path)?;
    let loaded = match format {
        Format::Onnx => graph(&path, bytes, limits, signature.as_ref())?,
        Format::Xgboost if xgboost::is_model(bytes) => {
            Loaded::Trees(path.clone(), Box::new(xgboost::load(&path, bytes, limits)?))
        }
        Format::Lightgbm if lightgbm::is_model(bytes) => {
            let columns = signature.as_ref().map_or(&[][..], |signature| &signature.inputs);
            let texts: Vec<&str> = columns
                .iter()
                .filter(|field| field.kind.is_text())
                .map(|field| field.name.as_str())
                .collect();
            Loaded::Trees(
                path.clone(),
                Box::new(lightgbm::load(&path, bytes, limits, &texts)?),
            )
        }
        Format::Xgboost | Format::Lightgbm if is_pickle(&path, bytes) => {
            return Err(Error::UnsafeFormat { loader: path });
        }
        Format::Xgboost => return Err(Error::unsupported(&path, "XGBoost's binary format before JSON")),
        Format::Lightgbm => {
            return Err(Error::malformed(
                &path,
                "LightGBM model",
                "it does not begin with \"tree\"",
            ));
        }
    };
    Ok((loaded, signature))
}

fn graph(path: &str, bytes: &[u8], limits: &Limits, signature: Option<&Signature>) -> Result<Loaded> {
    if let Some(trees) = onnx::own::load(path, bytes, limits)? {
        return Ok(Loaded::Trees(path.to_owned(), Box::new(trees)));
    }
    let columns = signature.map_or(&[][..], |signature| &signature.inputs);
    Ok(Loaded::Graph(Box::new(onnx::load(path, bytes, limits, columns)?)))
}

fn of_flavors(mlmodel: &MlModel) -> Result<(Format, String)> {
    for (format, flavor, default) in FLAVORS {
        if let Some(path) = mlmodel.data(flavor, default) {
            return Ok((format, path));
        }
    }
    match mlmodel.loader() {
        Some(loader) => Err(Error::UnsafeFormat {
            loader: loader.chars().take(100).collect(),
        }),
        None => Err(Error::UnknownFormat {
            found: format!("{MLMODEL} with flavors {}", mlmodel.flavors()),
        }),
    }
}

/// Without an MLmodel file, the one file whose content or ending is known.
fn of_lone_file(files: &ModelFiles) -> Result<(Format, String)> {
    let known: Vec<(Format, &str)> = files
        .iter()
        .filter_map(|(path, bytes)| {
            let format = if path.ends_with(".onnx") {
                Format::Onnx
            } else if lightgbm::is_model(bytes) {
                Format::Lightgbm
            } else if xgboost::is_model(bytes) {
                Format::Xgboost
            } else {
                return None;
            };
            Some((format, path))
        })
        .collect();
    if let [(format, path)] = known.as_slice() {
        return Ok((*format, (*path).to_owned()));
    }
    if let Some((path, _)) = files.iter().find(|(path, bytes)| is_pickle(path, bytes)) {
        return Err(Error::UnsafeFormat {
            loader: path.to_owned(),
        });
    }
    let names: Vec<&str> = files.iter().map(|(path, _)| path).take(5).collect();
    Err(Error::UnknownFormat {
        found: names.join(", "),
    })
}

/// Whether a file is opened by unpickling: by its ending, or by the first bytes of pickle protocols 2 to 5.
fn is_pickle(path: &str, bytes: &[u8]) -> bool {
    PICKLES.iter().any(|ending| path.ends_with(ending)) || matches!(bytes, [0x80, 2..=5, ..])
}
