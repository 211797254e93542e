//! Judging the windows that have closed.

use async_trait::async_trait;
use everloop_core::{Actor, EndpointName, Frame, ProjectName, Timestamp, Values};
use everloop_db::{Db, Tx};
use everloop_ledger::NewEvent;
use everloop_project::{Confirm, Drift, Monitor, Performance, Reference as Kind, Suite, Window};
use everloop_stats::Metric;
use everloop_stats::confirm::Confirm as Persistence;
use everloop_tables::{Source, Tables, from_frame};
use serde_json::json;
use std::time::Duration;

use crate::drift::{DriftSettings, drift};
use crate::performance::performance;
use crate::reference::Reference;
use crate::store::{Part, WindowResult, breaches_before, insert, judged};
use crate::windows::{Place, Slice, Span, closed_windows};
use crate::{Error, Result, alerts, cuts};

/// Where windows come from. The prediction log and the registry meet above this crate.
#[async_trait]
pub trait WindowSource: Send + Sync {
    /// The event time of the first prediction; none before it.
    async fn since(&self) -> Result<Option<Timestamp>>;

    /// The first and the last of the next `rows` live predictions after `after`, in the order of event time and id;
    /// none while there are fewer.
    async fn next_rows(&self, after: Option<&Place>, rows: u64) -> Result<Option<(Place, Place)>>;

    /// The live predictions of a span with their labels: the log's columns (`_score`, `_label`, ...) and features.
    async fn rows(&self, span: Span) -> Result<Frame>;

    /// What every window is compared with: the data that the champion was trained on, or the newest version of a
    /// dataset, and the champion's answers on rows it did not learn from; none when that is not known. Never asked for
    /// the window before, which this crate makes itself.
    async fn reference(&self, kind: &Kind) -> Result<Option<Reference>>;
}

/// What judging came to.
#[derive(Debug, Clone, PartialEq)]
pub struct Evaluated {
    /// The results that are new, oldest window first.
    pub results: Vec<WindowResult>,
}

/// The watch over endpoints.
#[derive(Debug, Clone)]
pub struct Monitoring {
    pub(crate) db: Db,
    pub(crate) tables: Tables,
}

/// One endpoint under watch.
pub(crate) struct Watch<'a> {
    pub(crate) project: &'a ProjectName,
    pub(crate) endpoint: &'a EndpointName,
    pub(crate) window: Window,
    /// The event time of the first prediction.
    pub(crate) since: Timestamp,
    pub(crate) now: Timestamp,
}

impl Monitoring {
    /// The watch whose results are kept in `db`.
    #[must_use]
    pub fn new(db: Db, tables: Tables) -> Self {
        Self { db, tables }
    }

    /// Judges every window of `monitor` that has closed by `now` and was not judged yet. `quality` is the suite that
    /// the monitor names, read by the caller.
    ///
    /// # Errors
    /// When a window can't be read or a store fails. What was judged before stays judged.
    pub async fn evaluate(
        &self,
        project: &ProjectName,
        endpoint: &EndpointName,
        monitor: &Monitor,
        quality: Option<&Suite>,
        source: &dyn WindowSource,
        now: Timestamp,
    ) -> Result<Evaluated> {
        let Some(since) = source.since().await? else {
            return Ok(Evaluated { results: Vec::new() });
        };
        let watch = Watch {
            project,
            endpoint,
            window: monitor.window,
            since,
            now,
        };
        if let Window::Rows(rows) = monitor.window {
            self.cut(&watch, rows, source).await?;
        }
        let mut results = Vec::new();
        if let Some(settings) = &monitor.drift {
            let due = self.due(&watch, Part::Drift, Duration::ZERO).await?;
            results.extend(self.drift_of(&watch, settings, &due, source).await?);
        }
        if let Some(suite) = quality {
            for slice in self.due(&watch, Part::Quality, Duration::ZERO).await? {
                results.extend(self.quality_of(&watch, suite, &slice, source).await?);
            }
        }
        if let Some(settings) = &monitor.performance {
            let delay = settings.delay.get();
            for slice in self.due(&watch, Part::Performance, delay).await? {
                results.extend(self.performance_of(&watch, settings, &slice, source).await?);
            }
        }
        results.sort_by(|a, b| {
            let key = |result: &WindowResult| (result.span, result.part.as_str());
            key(a).cmp(&key(b)).then_with(|| a.first_id.cmp(&b.first_id))
        });
        Ok(Evaluated { results })
    }

    /// Cuts every window of `rows` rows that the log holds by now.
    async fn cut(&self, watch: &Watch<'_>, rows: u64, source: &dyn WindowSource) -> Result<()> {
        let (project, endpoint) = (watch.project.clone(), watch.endpoint.clone());
        let mut before = self
            .db
            .read(move |tx| cuts::last(tx, &project, &endpoint))
            .await?;
        while let Some(next) = cuts::next(source, before.as_ref(), rows).await? {
            let (project, endpoint, now) = (watch.project.clone(), watch.endpoint.clone(), watch.now);
            let cut = self
                .db
                .write(move |tx| cuts::cut(tx, &project, &endpoint, &next, rows, now))
                .await?;
            before = Some(cut);
        }
        Ok(())
    }

    /// The closed windows of which `part` was not judged yet; `delay` after their end.
    async fn due(&self, watch: &Watch<'_>, part: Part, delay: Duration) -> Result<Vec<Slice>> {
        let (project, endpoint, since) = (watch.project.clone(), watch.endpoint.clone(), watch.since);
        let length = match watch.window {
            Window::Time(length) => length.get(),
            Window::Rows(_) => {
                // Only waiting for labels takes time; the rows themselves are there.
                let until = match delay {
                    Duration::ZERO => Timestamp(i64::MAX),
                    delay => watch.now.minus(delay),
                };
                return self
                    .db
                    .read(move |tx| cuts::unjudged(tx, &project, &endpoint, part, until))
                    .await;
            }
        };
        let closed = closed_windows(length, since, watch.now.minus(delay));
        if closed.is_empty() {
            return Ok(Vec::new());
        }
        let done = self
            .db
            .read(move |tx| judged(tx, &project, &endpoint, part, since))
            .await?;
        let open = closed.into_iter().filter(|span| !done.contains(&span.start));
        Ok(open.map(Slice::from).collect())
    }

    async fn drift_of(
        &self,
        watch: &Watch<'_>,
        settings: &Drift,
        due: &[Slice],
        source: &dyn WindowSource,
    ) -> Result<Vec<WindowResult>> {
        let mut results = Vec::new();
        if due.is_empty() {
            return Ok(results);
        }
        let fixed = match &settings.reference {
            Kind::Previous => None,
            kind => match source.reference(kind).await? {
                Some(found) => Some(found),
                // It may be known later, and the windows are judged then.
                None => return Ok(results),
            },
        };
        let names = |columns: &[everloop_core::ColumnName]| columns.iter().map(ToString::to_string).collect();
        let how = DriftSettings {
            fdr: settings.fdr,
            min_effect: settings.min_effect,
            min_samples: settings.min_samples,
            columns: names(&settings.columns),
            ignore: names(&settings.ignore),
        };
        for slice in due {
            let frame = rows_of(slice, source).await?;
            let reference = self.reference_of(watch, &settings.reference, slice, fixed.as_ref(), source);
            let Some(reference) = reference.await? else {
                let finding = Finding {
                    part: Part::Drift,
                    rows: frame.rows() as u64,
                    breached: false,
                    report: json!({ "reference": null, "drifted": [] }),
                    words: "there is no window before it".to_owned(),
                };
                results.extend(self.keep(watch, slice, finding, settings.confirm).await?);
                continue;
            };
            let report = drift(&reference, &frame, &how)?;
            let drifted: Vec<String> = report.drifted().into_iter().map(ToOwned::to_owned).collect();
            let words = format!(
                "{} of {} columns drifted: {}",
                drifted.len(),
                report.columns.len(),
                drifted.join(", ")
            );
            let finding = Finding {
                part: Part::Drift,
                rows: report.rows,
                breached: !drifted.is_empty(),
                report: json!({ "reference": reference.words, "drifted": drifted, "figures": report }),
                words,
            };
            results.extend(self.keep(watch, slice, finding, settings.confirm).await?);
        }
        Ok(results)
    }

    async fn performance_of(
        &self,
        watch: &Watch<'_>,
        settings: &Performance,
        slice: &Slice,
        source: &dyn WindowSource,
    ) -> Result<Option<WindowResult>> {
        let frame = rows_of(slice, source).await?;
        let (truth, score) = labelled(&frame);
        let metric: Metric = settings.metric.name().parse().map_err(Error::Stats)?;
        let report = performance(
            metric,
            &truth,
            &score,
            frame.rows() as u64,
            (settings.floor, settings.ceiling),
            (settings.min_samples, settings.min_coverage.get()),
        );
        let value = report
            .value
            .map_or("undefined".to_owned(), |value| format!("{value:.4}"));
        let words = format!(
            "{} is {value} on {} labelled rows",
            report.metric, report.labelled
        );
        let finding = Finding {
            part: Part::Performance,
            rows: report.rows,
            breached: report.breached,
            report: json!(report),
            words,
        };
        self.keep(watch, slice, finding, settings.confirm).await
    }

    async fn quality_of(
        &self,
        watch: &Watch<'_>,
        suite: &Suite,
        slice: &Slice,
        source: &dyn WindowSource,
    ) -> Result<Option<WindowResult>> {
        let frame = rows_of(slice, source).await?;
        if frame.rows() == 0 {
            return Ok(None);
        }
        let rows = Source::batches(vec![from_frame(&frame)?]);
        let report = everloop_checks::run_suite(&self.tables, suite, rows, watch.now).await?;
        let failures: Vec<String> = report.failures().iter().map(|result| result.sentence()).collect();
        let finding = Finding {
            part: Part::Quality,
            rows: report.rows,
            breached: !report.passed,
            words: failures.join("; "),
            report: json!(report),
        };
        self.keep(watch, slice, finding, Confirm::AT_ONCE).await
    }

    /// Stores a finding with its events and alert, unless someone else did.
    async fn keep(
        &self,
        watch: &Watch<'_>,
        slice: &Slice,
        finding: Finding,
        confirm: Confirm,
    ) -> Result<Option<WindowResult>> {
        let (project, endpoint, now) = (watch.project.clone(), watch.endpoint.clone(), watch.now);
        let persistence = Persistence::new(confirm.k as usize, confirm.n as usize)?;
        let slice = slice.clone();
        self.db
            .write(move |tx| keep(tx, &project, &endpoint, now, &slice, &finding, persistence))
            .await
    }
}

/// The rows of a window.
pub(crate) async fn rows_of(slice: &Slice, source: &dyn WindowSource) -> Result<Frame> {
    let frame = source.rows(slice.span).await?;
    Ok(match &slice.ends {
        Some((first, last)) => cuts::trimmed(&frame, first, last),
        None => frame,
    })
}

/// What one part of one window showed.
struct Finding {
    part: Part,
    rows: u64,
    breached: bool,
    report: serde_json::Value,
    words: String,
}

fn keep(
    tx: &mut Tx<'_>,
    project: &ProjectName,
    endpoint: &EndpointName,
    now: Timestamp,
    slice: &Slice,
    finding: &Finding,
    persistence: Persistence,
) -> Result<Option<WindowResult>> {
    let (span, start) = (slice.span, (slice.span.start, slice.first_id()));
    let mut history = breaches_before(tx, project, endpoint, finding.part, start, persistence.n())?;
    history.push(finding.breached);
    let confirmed = persistence.holds(&history);
    let result = WindowResult {
        span,
        first_id: slice.first_id().to_owned(),
        part: finding.part,
        rows: finding.rows,
        breached: finding.breached,
        confirmed,
        report: finding.report.clone(),
        evaluated_at: now,
    };
    if !insert(tx, project, endpoint, &result)? {
        return Ok(None);
    }
    let event = |kind: &'static str| NewEvent {
        project: project.clone(),
        actor: Actor::system("monitor"),
        kind,
        subject: format!("endpoint:{endpoint}"),
        payload: json!({
            "window": { "start": span.start.to_rfc3339(), "end": span.end.to_rfc3339() },
            "part": finding.part.as_str(), "rows": finding.rows, "breached": finding.breached,
            "confirmed": confirmed, "words": finding.words, "report": finding.report,
        }),
    };
    everloop_ledger::append(tx, now, event("monitor.window"))?;
    if confirmed {
        alerts::open(tx, project, endpoint, finding.part, start, now, &finding.words)?;
        let kind = match finding.part {
            Part::Drift => "monitor.drift",
            Part::Performance => "monitor.performance",
            Part::Quality => "monitor.quality",
        };
        everloop_ledger::append(tx, now, event(kind))?;
    } else if !finding.breached {
        alerts::resolve(tx, project, endpoint, finding.part, now)?;
    }
    Ok(Some(result))
}

/// Truth and score of the rows that have both.
fn labelled(frame: &Frame) -> (Vec<f64>, Vec<f64>) {
    let number = |name: &str, row: usize| {
        frame
            .get(name)
            .map_or(f64::NAN, |values: &Values| values.number(row))
    };
    (0..frame.rows())
        .map(|row| (number("_label", row), number("_score", row)))
        .filter(|(truth, score)| truth.is_finite() && score.is_finite())
        .unzip()
}
