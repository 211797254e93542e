//! `everloop init`: a project file to start from.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use everloop_core::ProjectName;
use everloop_project::templates;
use everloop_server::PROJECT_FILE;
use serde::Serialize;
use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::context;
use crate::exit::Exit;
use crate::output::Output;
use crate::problem::Problem;

/// Write a commented everloop.yaml to start from.
///
/// The file is valid as it stands and holds the whole grammar in comments. With --from-template flights the folder gets
/// the project of the demo instead: its file, its checks, and three months of real flights to learn from. Files that
/// are there already are never overwritten.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  everloop init\n  everloop init my-flights --from-template flights")]
pub struct InitArgs {
    /// Folder of the project
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Name of the project [default: the folder's name]
    #[arg(long)]
    name: Option<String>,
    /// Start from an example instead of an empty project
    #[arg(long, value_enum)]
    from_template: Option<Template>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Template {
    /// The demo: will a flight out of New York be late?
    Flights,
}

/// What was written.
#[derive(Debug, Serialize)]
struct Written {
    folder: PathBuf,
    files: Vec<&'static str>,
}

macro_rules! flights {
    ($($path:literal),* $(,)?) => {
        &[$(($path, include_bytes!(concat!("../../../../examples/flights/", $path)))),*]
    };
}

/// The files of the demo's project that a user starts from.
static FLIGHTS: &[(&str, &[u8])] = flights!(
    "everloop.yaml",
    "checks/flights.yaml",
    "checks/model.yaml",
    "data/README.md",
    "data/2013-01.parquet",
    "data/2013-02.parquet",
    "data/2013-03.parquet",
);

/// Writes the files.
pub fn run(args: &InitArgs, output: Output) -> anyhow::Result<Exit> {
    let folder = context::here().join(&args.dir);
    let blank;
    let files: &[(&'static str, &[u8])] = match args.from_template {
        Some(Template::Flights) if args.name.is_some() => {
            return Err(Problem::usage("the template \"flights\" has a name of its own")
                .hint("leave --name away, and change \"project\" in the file afterwards")
                .into());
        }
        Some(Template::Flights) => FLIGHTS,
        None => {
            blank = templates::blank(&project_name(args, &folder)?);
            &[(PROJECT_FILE, blank.as_bytes())]
        }
    };
    refuse_existing(&folder, files)?;
    for (path, bytes) in files {
        write_new(&folder.join(path), bytes)?;
    }
    let written = Written {
        folder,
        files: files.iter().map(|(path, _)| *path).collect(),
    };
    output.result(&written, |written| {
        let lines: Vec<String> = written.files.iter().map(|path| format!("wrote {path}")).collect();
        lines.join("\n")
    })?;
    output.note(match args.from_template {
        Some(Template::Flights) => "Next: everloop run",
        None => "Next: describe your data and stages in everloop.yaml, then: everloop run",
    });
    Ok(Exit::Done)
}

fn project_name(args: &InitArgs, folder: &Path) -> anyhow::Result<ProjectName> {
    if let Some(name) = &args.name {
        return Ok(ProjectName::new(name.as_str()).map_err(|error| Problem::usage(error.to_string()))?);
    }
    let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
    let name = folder
        .components()
        .next_back()
        .map(|part| part.as_os_str().to_string_lossy().into_owned());
    let usual = || ProjectName::new("my-project").map_err(|error| Problem::usage(error.to_string()));
    match name.map(|name| ProjectName::new(simplify(&name))) {
        Some(Ok(name)) => Ok(name),
        _ => Ok(usual()?),
    }
}

/// A folder's name in the letters that every name may have.
fn simplify(name: &str) -> String {
    let plain = name.chars().map(|c| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    });
    plain.collect::<String>().trim_matches('-').to_owned()
}

fn refuse_existing(folder: &Path, files: &[(&'static str, &[u8])]) -> Result<(), Problem> {
    match files.iter().find(|(path, _)| folder.join(path).exists()) {
        None => Ok(()),
        Some((path, _)) => Err(Problem::usage(format!("\"{path}\" is there already"))
            .at(folder.join(path).display().to_string())
            .hint("choose another folder, or move the file away; nothing is overwritten")),
    }
}

fn write_new(path: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    let write = || -> io::Result<()> {
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        // Created by us or not at all, even if someone else writes at the same time.
        OpenOptions::new()
            .write(true)
            .create_new(true)
            .open(path)?
            .write_all(bytes)
    };
    write().with_context(|| format!("can't write \"{}\"", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use everloop_project::Project;

    #[test]
    fn both_templates_are_valid() {
        let blank = templates::blank(&ProjectName::new("mine").unwrap());
        assert_eq!(
            Project::parse(PROJECT_FILE, blank.as_bytes(), &|_| true)
                .unwrap()
                .project
                .as_str(),
            "mine"
        );
        let is_there = |path: &Path| FLIGHTS.iter().any(|(name, _)| Path::new(name) == path);
        let (_, bytes) = FLIGHTS[0];
        Project::parse(PROJECT_FILE, bytes, &is_there).unwrap();
    }

    #[test]
    fn folders_give_usable_names() {
        assert_eq!(simplify("My Flights (2013)"), "my-flights--2013");
        assert!(ProjectName::new(simplify("My Flights (2013)")).is_ok());
    }
}
