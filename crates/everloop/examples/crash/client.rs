//! Asking the server, which may be gone at any moment.

use reqwest::Method;
use serde_json::Value;
use std::time::Duration;
use tokio::sync::watch;

/// What became of a request.
#[derive(Debug, Clone)]
pub enum Answer {
    /// It was done.
    Done(Value),
    /// The server said no, and why.
    Refused(Refusal),
    /// Nobody knows whether it was done.
    Lost,
}

/// A server's no.
#[derive(Debug, Clone)]
pub struct Refusal {
    pub status: u16,
    pub code: String,
    pub message: String,
    pub hint: Option<String>,
}

/// A client that follows the server to its newest address.
#[derive(Debug, Clone)]
pub struct Client {
    http: reqwest::Client,
    url: watch::Receiver<String>,
}

impl Client {
    pub fn new(url: watch::Receiver<String>) -> anyhow::Result<Self> {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(60))
            .build()?;
        Ok(Self { http, url })
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.ask(Method::GET, path, None, None).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.ask(Method::POST, path, None, Some(body)).await
    }

    /// Sends a request that the server knows again by `key`.
    pub async fn post_once(&self, path: &str, key: Option<&str>, body: &Value) -> Answer {
        self.ask(Method::POST, path, key, Some(body)).await
    }

    async fn ask(&self, method: Method, path: &str, key: Option<&str>, body: Option<&Value>) -> Answer {
        let url = self.url.borrow().clone();
        let mut request = self.http.request(method, format!("{url}{path}"));
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        if let Some(body) = body {
            request = request
                .header("content-type", "application/json")
                .body(body.to_string());
        }
        let Ok(response) = request.send().await else {
            return Answer::Lost;
        };
        let status = response.status();
        let Ok(bytes) = response.bytes().await else {
            return Answer::Lost;
        };
        let body: Value = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        match status.is_success() {
            true if body.is_null() => Answer::Lost,
            true => Answer::Done(body),
            false => Answer::Refused(refusal(status.as_u16(), &body, &bytes)),
        }
    }
}

/// Ours is `{error: {code, message, hint}}`, the inference protocol's is `{error: text}`, MLflow's `{error_code, message}`.
fn refusal(status: u16, body: &Value, bytes: &[u8]) -> Refusal {
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let error = &body["error"];
    let message = text(&error["message"])
        .or_else(|| text(error))
        .or_else(|| text(&body["message"]))
        .unwrap_or_else(|| String::from_utf8_lossy(bytes).into_owned());
    Refusal {
        status,
        code: text(&error["code"])
            .or_else(|| text(&body["error_code"]))
            .unwrap_or_default(),
        message,
        hint: text(&error["hint"]),
    }
}
