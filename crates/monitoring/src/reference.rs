//! What the inputs and answers of a window are compared with.

use everloop_core::Frame;
use everloop_project::{Reference as Kind, Window};
use everloop_tables::{Profile, Source, from_frame};

use crate::evaluate::{Watch, rows_of};
use crate::windows::{Slice, Span};
use crate::{Monitoring, Result, WindowSource, cuts};

/// The log's column of answers: the score of regression, the probability of the last class else.
pub const SCORE: &str = "_score";

/// What windows are compared with.
#[derive(Debug, Clone)]
pub struct Reference {
    /// Where it comes from, in words: `training data of flight-delay@3`.
    pub words: String,
    /// The profile of the inputs.
    pub profile: Profile,
    /// The profile of [`SCORE`] on rows that the model did not learn from; none when it is not known, and then the
    /// answers are not compared.
    pub scores: Option<Profile>,
}

impl Reference {
    /// Of a window that came before: its inputs and its answers.
    async fn of_window(monitoring: &Monitoring, words: String, frame: &Frame) -> Result<Self> {
        let picked = |name: &str| name == SCORE || !name.starts_with('_');
        let columns = frame.columns().iter().filter(|column| picked(&column.name));
        let columns = Frame::new(columns.cloned().collect()).unwrap_or_default();
        let rows = Source::batches(vec![from_frame(&columns)?]);
        let profile = monitoring.tables.profile(rows).await?;
        Ok(Self {
            words,
            scores: Some(profile.clone()),
            profile,
        })
    }
}

impl Monitoring {
    /// What `slice` is compared with when each window is compared with the one before it; none for the first.
    pub(crate) async fn window_before(
        &self,
        watch: &Watch<'_>,
        slice: &Slice,
        source: &dyn WindowSource,
    ) -> Result<Option<Reference>> {
        let before = match (watch.window, &slice.ends) {
            (Window::Time(length), _) => {
                let start = slice.span.start.minus(length.get());
                let end = slice.span.start;
                (end > watch.since).then_some(Slice::from(Span { start, end }))
            }
            (Window::Rows(_), Some((first, _))) => {
                let (project, endpoint) = (watch.project.clone(), watch.endpoint.clone());
                let first = first.clone();
                self.db
                    .read(move |tx| cuts::before(tx, &project, &endpoint, &first))
                    .await?
            }
            (Window::Rows(_), None) => None,
        };
        let Some(before) = before else { return Ok(None) };
        let frame = rows_of(&before, source).await?;
        if frame.rows() == 0 {
            return Ok(None);
        }
        let words = format!("the window from {} to {}", before.span.start, before.span.end);
        Ok(Some(Reference::of_window(self, words, &frame).await?))
    }

    /// What a slice is compared with; `fixed` is what all slices share.
    pub(crate) async fn reference_of(
        &self,
        watch: &Watch<'_>,
        kind: &Kind,
        slice: &Slice,
        fixed: Option<&Reference>,
        source: &dyn WindowSource,
    ) -> Result<Option<Reference>> {
        match kind {
            Kind::Previous => self.window_before(watch, slice, source).await,
            Kind::Training | Kind::Dataset(_) => Ok(fixed.cloned()),
        }
    }
}
