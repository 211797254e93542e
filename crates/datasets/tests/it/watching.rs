//! New files are noticed.

use everloop_core::DatasetName;
use everloop_datasets::{Spec, Watch, Watcher};
use std::time::Duration;

#[tokio::test]
async fn a_new_file_is_told_once_and_other_files_are_not() {
    let root = tempfile::tempdir().unwrap();
    let watch = |name: &str, path: &str| Watch {
        name: DatasetName::new(name).unwrap(),
        spec: Spec {
            paths: vec![path.to_owned()],
            time: None,
            watch: true,
        },
    };
    let mut watcher = Watcher::start(
        root.path(),
        &[
            watch("flights", "data/flights/*.csv"),
            watch("planes", "data/planes.csv"),
        ],
    )
    .unwrap();

    std::fs::write(root.path().join("data/flights/readme.txt"), "no data").unwrap();
    std::fs::write(root.path().join("data/flights/a.csv"), "x\n1\n").unwrap();
    std::fs::write(root.path().join("data/flights/b.csv"), "x\n1\n").unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(20), watcher.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.as_str(), "flights");

    std::fs::write(root.path().join("data/planes.csv"), "x\n1\n").unwrap();
    let changed = tokio::time::timeout(Duration::from_secs(20), watcher.changed())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(changed.as_str(), "planes");
}
