//! What can only be said about the file as a whole: the graph of stages, names that refer to each other, files.
//!
//! A check runs when every section that it reads could be read itself; otherwise one typo would draw a tail of
//! complaints about what it took with it.

mod links;
mod pipeline;
mod reads;

pub(crate) use pipeline::{edges, param_files, params_file};
pub(crate) use reads::touches;

use crate::decode::Cx;
use crate::node::{Node, Step};
use crate::problem::Problem;
use crate::project::Project;
use reads::Writers;
use std::path::Path;

/// A section of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Datasets,
    Params,
    Stages,
    Model,
    Serve,
    Monitor,
    On,
    Notify,
}

/// Which sections could be read.
#[derive(Debug, Default)]
pub(crate) struct Sound {
    broken: Vec<Section>,
}

impl Sound {
    /// Reads `section` and remembers whether anything was wrong with it.
    pub fn of<T>(&mut self, section: Section, cx: &mut Cx, read: impl FnOnce(&mut Cx) -> T) -> T {
        let before = cx.count();
        let value = read(cx);
        if cx.count() > before {
            self.broken.push(section);
        }
        value
    }

    fn all(&self, sections: &[Section]) -> bool {
        !self.broken.iter().any(|section| sections.contains(section))
    }
}

/// Everything that a check needs.
struct Whole<'a> {
    project: &'a Project,
    writers: Writers<'a>,
    root: &'a Node,
    /// Missing for stored documents, which are not checked against files.
    exists: Option<&'a dyn Fn(&Path) -> bool>,
}

impl Whole<'_> {
    /// Reports a problem at the node that `steps` lead to.
    fn report(&self, steps: &[Step], cx: &mut Cx, problem: impl FnOnce(crate::problem::Mark) -> Problem) {
        // To find the place is the costly part.
        if cx.is_full() {
            return;
        }
        let at = self.root.locate(steps);
        cx.within_all(steps, |cx| cx.push(problem(at)));
    }

    /// Whether a path is there; `true` when nobody can say.
    fn exists(&self, path: &crate::paths::FilePath) -> bool {
        match self.exists {
            Some(exists) if path.reach() != crate::paths::Reach::Remote => exists(Path::new(path.as_str())),
            _ => true,
        }
    }
}

/// Checks what lies between the sections that could be read.
pub(crate) fn project(
    project: &Project,
    root: &Node,
    sound: &Sound,
    exists: Option<&dyn Fn(&Path) -> bool>,
    cx: &mut Cx,
) {
    let whole = Whole {
        project,
        writers: Writers::of(project),
        root,
        exists,
    };
    if sound.all(&[Section::Datasets, Section::Params, Section::Stages]) {
        pipeline::check(&whole, cx);
    }
    if sound.all(&[Section::Datasets, Section::Stages, Section::Model]) {
        links::model(&whole, cx);
    }
    if sound.all(&[
        Section::Model,
        Section::Serve,
        Section::Monitor,
        Section::Datasets,
    ]) {
        links::watch(&whole, cx);
    }
    links::suites(&whole, cx);
    if sound.broken.is_empty() {
        links::triggers(&whole, cx);
    }
}
