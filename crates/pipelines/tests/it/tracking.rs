//! What tracked runs hold, and what a stage's processes see.

use std::sync::{Arc, Mutex};

use everloop_pipelines::{Grant, StageAccess, StageIdentity};
use everloop_tracking::runs::RunStatus;
use futures::future::BoxFuture;

use crate::house::{house, houses, states};

#[tokio::test]
async fn each_attempt_has_a_run_of_its_own_in_that_of_the_pipeline() {
    for house in houses().await {
        house.write("in.txt", "x");
        let yaml = "
params: {lr: 0.5}
stages:
  a:
    cmd: 'echo \"{\\\"auc\\\": 0.75, \\\"by\\\": {\\\"x\\\": 2}}\" > m.json; echo w > model.txt'
    deps: [in.txt]
    params: [lr]
    outs: [model.txt]
    metrics: [m.json]
  b: {cmd: 'exit 1', deps: [model.txt], outs: [b]}
";
        let run = house.run(yaml).await;
        let parent = run.summary.tracked_run.clone().unwrap();
        let (a, b) = (run.stage("a").unwrap(), run.stage("b").unwrap());
        let ids = vec![
            parent.clone(),
            a.tracked_run.clone().unwrap(),
            b.tracked_run.clone().unwrap(),
        ];
        let tracked = house
            .pipelines
            .tracking
            .runs(&house.project, ids.clone())
            .await
            .unwrap();
        let statuses: Vec<RunStatus> = tracked.iter().map(|run| run.info.status).collect();
        assert_eq!(
            statuses,
            [RunStatus::Failed, RunStatus::Finished, RunStatus::Failed],
            "{}",
            house.name
        );
        assert_eq!(tracked[1].info.name, "a");
        assert!(
            tracked[1]
                .tags
                .iter()
                .any(|(key, value)| key == "mlflow.parentRunId" && value == parent.as_str())
        );
        assert!(
            tracked[1]
                .params
                .iter()
                .any(|(key, value)| key == "lr" && value == "0.5")
        );
        let mut metrics: Vec<(String, f64)> = tracked[1]
            .metrics
            .iter()
            .map(|metric| (metric.key.clone(), metric.value))
            .collect();
        metrics.sort_by(|a, b| a.0.cmp(&b.0));
        assert_eq!(metrics, [("auc".to_owned(), 0.75), ("by.x".to_owned(), 2.0)]);
        let (project, id) = (house.project.clone(), ids[1].clone());
        let (came_from, file) = house
            .pipelines
            .db
            .read(move |tx| {
                let came_from = everloop_tracking::provenance::get(tx, &project, &id)?;
                let path = everloop_core::ArtifactPath::new("model.txt").unwrap();
                let file = everloop_tracking::artifacts::get(tx, &project, &id, &path)?;
                Ok::<_, everloop_tracking::Error>((came_from.unwrap(), file))
            })
            .await
            .unwrap();
        assert!(came_from.command.unwrap().starts_with("echo"));
        assert!(came_from.environment.everloop.is_some());
        assert_eq!(
            house.pipelines.objects.get_bytes(&file.hash).await.unwrap(),
            "w\n"
        );
    }
}

#[tokio::test]
async fn the_code_a_run_comes_from_is_recorded() {
    let house = house().await;
    let git = |arguments: &[&str]| {
        let done = std::process::Command::new("git")
            .args(["-c", "user.name=Ada", "-c", "user.email=ada@example.org"])
            .args(arguments)
            .current_dir(house.root.path())
            .output()
            .unwrap();
        assert!(done.status.success(), "{done:?}");
        String::from_utf8(done.stdout).unwrap().trim().to_owned()
    };
    git(&["init", "-q"]);
    house.write("train.sh", "echo 1 > o\n");
    git(&["add", "."]);
    git(&["commit", "-q", "-m", "first"]);
    house.write("train.sh", "echo 2 > o\n");
    let run = house
        .run("stages:\n  a: {cmd: 'sh train.sh', deps: [train.sh], outs: [o]}\n")
        .await;
    let (project, id) = (
        house.project.clone(),
        run.stage("a").unwrap().tracked_run.clone().unwrap(),
    );
    let code = house
        .pipelines
        .db
        .read(move |tx| everloop_tracking::provenance::get(tx, &project, &id))
        .await
        .unwrap()
        .unwrap()
        .code
        .unwrap();
    assert_eq!(code.commit, git(&["rev-parse", "HEAD"]));
    assert!(code.dirty);
    let diff = house
        .pipelines
        .objects
        .get_bytes(&code.diff.unwrap())
        .await
        .unwrap();
    assert!(String::from_utf8_lossy(&diff).contains("+echo 2 > o"));
}

/// Remembers what was granted and what was taken back.
#[derive(Default)]
struct Door {
    open: Mutex<Vec<String>>,
    granted: Mutex<u32>,
}

impl StageAccess for Door {
    fn grant(&self, stage: StageIdentity) -> BoxFuture<'_, Result<Grant, String>> {
        let token = format!("token-of-{}", stage.tracked_run);
        self.open.lock().unwrap().push(token.clone());
        *self.granted.lock().unwrap() += 1;
        let url = "http://127.0.0.1:5000".to_owned();
        Box::pin(async move { Ok(Grant { url, token }) })
    }

    fn revoke(&self, _: StageIdentity, grant: Grant) -> BoxFuture<'_, ()> {
        self.open.lock().unwrap().retain(|token| *token != grant.token);
        Box::pin(async {})
    }
}

#[tokio::test]
async fn processes_see_their_run_and_a_token_that_dies_with_them() {
    let mut house = house().await;
    let door = Arc::new(Door::default());
    house.options.access = Some(door.clone());
    let yaml = "
stages:
  a:
    cmd: 'echo \"$MLFLOW_TRACKING_URI $MLFLOW_RUN_ID $MLFLOW_TRACKING_TOKEN $EVERLOOP_URL $EVERLOOP_PROJECT $EVERLOOP_STAGE $EVERLOOP_RUN\" > seen; exit 1'
    outs: [seen]
    run: {retries: 1}
";
    let run = house.run(yaml).await;
    assert_eq!(states(&run), "a=failed");
    let tracked = run.stage("a").unwrap().tracked_run.clone().unwrap();
    let id = &run.summary.id;
    assert_eq!(
        house.read("seen").trim(),
        format!("http://127.0.0.1:5000 {tracked} token-of-{tracked} http://127.0.0.1:5000 demo a {id}")
    );
    assert_eq!(*door.granted.lock().unwrap(), 2);
    assert!(door.open.lock().unwrap().is_empty());
}
