//! A program with empty stores in a temporary folder, and a small trained model for it.

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use axum::response::Response;
use bytes::Bytes;
use everloop_access::Principal;
use everloop_core::{
    ArtifactPath, ByteSize, Clock, Column, Frame, Ids, ModelName, ProjectName, Timestamp, Values,
};
use everloop_db::DbUrl;
use everloop_db::testing::Place;
use everloop_objects::StoreUrl;
use everloop_registry::VersionNumber;
use everloop_registry::files::ModelFile;
use everloop_registry::versions::NewVersion;
use everloop_runtime::{ModelFiles, TrainOptions, train};
use everloop_server::{App, AppOptions, GIT_SECRET_VARIABLE, Mode, router};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use tower::ServiceExt;

/// What git hosts and webhooks sign with here.
pub const SECRET: &str = "s3cret";
/// 2026-01-05, a Monday.
const START: Timestamp = Timestamp(1_767_571_200_000);

pub struct House {
    pub app: App,
    pub router: Router,
    pub root: TempDir,
    /// Of its ids: each process makes others.
    seed: u64,
    /// Where its database lies, when that is not its own folder.
    _place: Option<Place>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: axum::http::HeaderMap,
    pub body: Bytes,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {} {:?}", self.status, self.body))
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The JSON of an answer that must be a good one.
    pub fn good(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{:?}", self.body);
        self.json()
    }
}

impl House {
    pub async fn local() -> Self {
        Self::open(Mode::Local {
            login: "ada".to_owned(),
        })
        .await
    }

    pub async fn open(mode: Mode) -> Self {
        Self::over(tempfile::tempdir().unwrap(), mode, "", 1).await
    }

    /// A program on this database and this store.
    pub async fn on(mode: Mode, db: Option<DbUrl>, store: Option<StoreUrl>) -> Self {
        Self::with(tempfile::tempdir().unwrap(), mode, ("", 1), (db, store)).await
    }

    /// The same stores as another process would open them, later.
    pub async fn reopened(self, webhooks_allow: &str) -> Self {
        let Self {
            app,
            router,
            root,
            seed,
            ..
        } = self;
        let (mode, clock) = (app.mode().clone(), app.clock().clone());
        app.db().close().await;
        drop((router, app));
        let house = Self::over(root, mode, webhooks_allow, seed + 1).await;
        house.app.clock().advance_to(clock.now());
        house
    }

    /// A program on what lies in `root`.
    pub async fn over(root: TempDir, mode: Mode, webhooks_allow: &str, seed: u64) -> Self {
        Self::with(root, mode, (webhooks_allow, seed), (None, None)).await
    }

    async fn with(
        root: TempDir,
        mode: Mode,
        (webhooks_allow, seed): (&str, u64),
        (db, store): (Option<DbUrl>, Option<StoreUrl>),
    ) -> Self {
        let environment = [
            ("PATH", "/usr/local/bin:/usr/bin:/bin"),
            (GIT_SECRET_VARIABLE, SECRET),
            ("HOOK_SECRET", SECRET),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
        ];
        let options = AppOptions {
            home: root.path().join(".everloop"),
            root: root.path().to_owned(),
            db,
            store,
            environment: environment
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into(),
            mode,
            clock: Clock::manual(START),
            ids: Ids::seeded(seed),
            threads: Some(1),
            stages: Some(1),
            memory: ByteSize(256 << 20),
            lease: Duration::from_secs(15),
            engine: None,
            webhooks_allow: webhooks_allow.to_owned(),
        };
        let project = ProjectName::new("flights").unwrap();
        let app = App::open(options, project).await.unwrap();
        let router = router(&app);
        Self {
            app,
            router,
            root,
            seed,
            _place: None,
        }
    }

    /// Keeps the place of its database until it goes.
    pub fn keep(mut self, place: Place) -> Self {
        self._place = Some(place);
        self
    }

    pub fn write(&self, path: &str, text: &str) {
        let path = self.root.path().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }

    /// The answer to a request, without waiting for the end of its body.
    pub async fn begin(&self, request: Request<Body>) -> Response {
        self.router.clone().oneshot(request).await.unwrap()
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.begin(request).await;
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(Request::get(path).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Answer {
        self.send(json_request(Method::POST, path, body)).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Answer {
        self.send(json_request(Method::PUT, path, body)).await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.send(Request::delete(path).body(Body::empty()).unwrap())
            .await
    }

    /// Bytes that say nothing of what they are.
    pub async fn post_bytes(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(Request::post(path).body(body.into()).unwrap()).await
    }

    /// Trains a small model of late flights and registers it as the next version of `flight-delay`.
    pub async fn register_model(&self) -> u32 {
        let trained = train(&flights(), None, &TrainOptions::new("late"), &mut |_| {}).unwrap();
        self.register("flight-delay", trained.to_files(None).unwrap())
            .await
    }

    /// Registers `files` as the next version of `model`.
    pub async fn register(&self, model: &str, files: ModelFiles) -> u32 {
        let files: Vec<(String, Vec<u8>)> = files.into_map().into_iter().collect();
        let bytes = files.iter().map(|(_, bytes)| Bytes::from(bytes.clone()));
        let stored = self
            .app
            .objects()
            .put_many(bytes.collect::<Vec<_>>())
            .await
            .unwrap();
        let files = files
            .into_iter()
            .zip(stored)
            .map(|((path, _), stored)| ModelFile {
                path: ArtifactPath::new(path).unwrap(),
                hash: stored.hash,
                size_bytes: stored.size,
            });
        let new = NewVersion {
            files: files.collect(),
            flavor: "onnx".to_owned(),
            task: Some("classification".to_owned()),
            ..NewVersion::default()
        };
        let registry = self.app.registry();
        let by = registry.by(self.app.default_project(), &Principal::local("ada").actor);
        let model = ModelName::new(model).unwrap();
        let VersionNumber(number) = registry.create_version(&by, &model, new).await.unwrap();
        registry
            .mark_ready(&by, &model, VersionNumber(number))
            .await
            .unwrap();
        number
    }

    /// An endpoint called as `model` that answers with `files`.
    pub async fn deploy_files(&self, model: &str, files: ModelFiles) {
        let version = self.register(model, files).await;
        let body = json!({ "model": model, "version": version });
        self.put(&format!("/api/v1/endpoints/{model}"), &body)
            .await
            .good();
    }

    /// An endpoint `flight-delay` that answers with a freshly trained version.
    pub async fn deploy(&self) -> u32 {
        let version = self.register_model().await;
        let body = json!({ "model": "flight-delay", "version": version });
        self.put("/api/v1/endpoints/flight-delay", &body).await.good();
        version
    }
}

/// A message of a git host, signed as GitHub does.
pub fn signed_request(path: &str, secret: &str, headers: &[(&str, &str)], body: &str) -> Request<Body> {
    let tag = everloop_webhooks::signature::sign(secret.as_bytes(), &[body.as_bytes()]);
    let hex: String = tag.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut request = Request::post(path).header("x-hub-signature-256", format!("sha256={hex}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

pub fn json_request(method: Method, path: &str, body: &Value) -> Request<Body> {
    Request::builder()
        .method(method)
        .uri(path)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Body::from(body.to_string()))
        .unwrap()
}

/// 400 flights of which the long-delayed and those of carrier "B" are late.
fn flights() -> Frame {
    let rows = 400_usize;
    let delay: Vec<f64> = (0..rows).map(|row| ((row * 37) % 101) as f64).collect();
    let carrier: Vec<Option<String>> = (0..rows)
        .map(|row| Some(["A", "B", "C"][row % 3].to_owned()))
        .collect();
    let late = (0..rows).map(|row| Some(i64::from(delay[row] > 60.0 || row % 3 == 1)));
    let column = |name: &str, values| Column {
        name: name.to_owned(),
        values,
    };
    Frame::new(vec![
        column("late", Values::Int(late.collect())),
        column("delay", Values::Float(delay)),
        column("carrier", Values::Text(carrier)),
    ])
    .unwrap()
}

/// A request for two flights, the first surely on time, the second surely late.
pub fn two_flights() -> Value {
    json!({ "inputs": [
        { "name": "delay", "shape": [2], "datatype": "FP64", "data": [5.0, 95.0] },
        { "name": "carrier", "shape": [2], "datatype": "BYTES", "data": ["A", "B"] },
    ]})
}
