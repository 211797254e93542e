//! Figures of the running server in Prometheus form, at `/metrics`.

use axum::http::StatusCode;
use prometheus_client::encoding::{EncodeLabelSet, text};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// From 50 us to 10 s: predictions sit at the low end, uploads at the high one.
const LATENCY_BUCKETS: [f64; 14] = [
    5e-5, 1e-4, 2.5e-4, 5e-4, 1e-3, 2.5e-3, 5e-3, 1e-2, 2.5e-2, 0.1, 0.25, 1.0, 2.5, 10.0,
];

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RouteLabels {
    method: String,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct AnswerLabels {
    method: String,
    route: String,
    /// `2xx`, `4xx`, ...: the class, so that label sets stay few.
    status: String,
}

/// All figures. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Metrics {
    registry: Arc<Mutex<Registry>>,
    latency: Family<RouteLabels, Histogram, fn() -> Histogram>,
    answers: Family<AnswerLabels, Counter>,
    in_flight: Gauge,
    denied: Counter,
}

impl Default for Metrics {
    fn default() -> Self {
        let latency: Family<RouteLabels, Histogram, fn() -> Histogram> =
            Family::new_with_constructor(|| Histogram::new(LATENCY_BUCKETS));
        let (answers, in_flight, denied) = (Family::default(), Gauge::default(), Counter::default());
        let mut registry = Registry::with_prefix("everloop");
        registry.register(
            "http_request_duration_seconds",
            "Time from request to answer, by route",
            latency.clone(),
        );
        registry.register(
            "http_requests",
            "Answers, by route and class of status",
            answers.clone(),
        );
        registry.register(
            "http_requests_in_flight",
            "Requests being answered now",
            in_flight.clone(),
        );
        registry.register(
            "http_requests_denied",
            "Requests refused for want of permission",
            denied.clone(),
        );
        Self {
            registry: Arc::new(Mutex::new(registry)),
            latency,
            answers,
            in_flight,
            denied,
        }
    }
}

impl Metrics {
    /// Adds figures that live elsewhere, such as the prediction log's.
    pub fn register(&self, add: impl FnOnce(&mut Registry)) {
        add(&mut self.registry.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// The figures of one route, made once so that counting costs no look-up.
    pub(crate) fn route(&self, method: &str, route: &str) -> RouteMetrics {
        let labels = RouteLabels {
            method: method.to_owned(),
            route: route.to_owned(),
        };
        let answers = ["1xx", "2xx", "3xx", "4xx", "5xx"].map(|status| {
            let labels = AnswerLabels {
                method: method.to_owned(),
                route: route.to_owned(),
                status: status.to_owned(),
            };
            self.answers.get_or_create(&labels).clone()
        });
        RouteMetrics {
            latency: self.latency.get_or_create(&labels).clone(),
            answers,
            in_flight: self.in_flight.clone(),
            denied: self.denied.clone(),
        }
    }

    /// The figures as text in Prometheus' OpenMetrics form.
    #[must_use]
    pub fn encode(&self) -> String {
        let mut out = String::new();
        let registry = self.registry.lock().unwrap_or_else(PoisonError::into_inner);
        match text::encode(&mut out, &registry) {
            Ok(()) => out,
            // Writing to a String does not fail; an encoder that says so has a bug worth seeing.
            Err(error) => format!("# encoding failed: {error}\n"),
        }
    }
}

/// The figures of one route.
#[derive(Debug)]
pub(crate) struct RouteMetrics {
    latency: Histogram,
    answers: [Counter; 5],
    in_flight: Gauge,
    denied: Counter,
}

impl RouteMetrics {
    /// Counts a request as being answered until the result is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }

    pub(crate) fn observe(&self, status: StatusCode, took: Duration) {
        self.latency.observe(took.as_secs_f64());
        let class = usize::from(status.as_u16() / 100).clamp(1, 5) - 1;
        self.answers[class].inc();
    }

    pub(crate) fn denied(&self) {
        self.denied.inc();
    }
}

/// A request being answered; a connection that is cut drops it like any other end.
#[derive(Debug)]
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
