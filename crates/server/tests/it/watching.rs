//! Which folders are watched follows the project file.

use crate::house::House;
use everloop_ledger::{Filter, Seq, Tail};
use serde_json::json;

#[tokio::test]
async fn a_dataset_that_is_named_later_is_watched_too() {
    let house = House::local().await;
    house.write(
        "everloop.yaml",
        "project: flights\ndatasets: { old: { path: old/*.csv, watch: true } }\n",
    );
    let background = house.app.start();
    house.post("/api/v1/project/reload", &json!({})).await.good();
    house.write(
        "everloop.yaml",
        "project: flights\ndatasets:\n  old: { path: old/*.csv, watch: true }\n  new: { path: new/*.csv, watch: true }\n",
    );
    house.post("/api/v1/project/reload", &json!({})).await.good();
    let filter = Filter {
        kind: Some("dataset.version".to_owned()),
        ..Filter::default()
    };
    let mut tail = Tail::new(house.app.db(), Seq(0), filter);
    for (path, text, name, version) in [
        ("new/a.csv", "x\n1\n", "new", 1),
        ("new/b.csv", "x\n2\n", "new", 2),
        ("old/a.csv", "x\n3\n", "old", 1),
    ] {
        house.write(path, text);
        let event = tail.next(1).await.unwrap().remove(0);
        assert_eq!(event.payload["dataset"], name);
        assert_eq!(event.payload["version"], version);
    }
    // What is no longer named is no longer watched.
    house.write(
        "everloop.yaml",
        "project: flights\ndatasets: { new: { path: new/*.csv, watch: true } }\n",
    );
    house.post("/api/v1/project/reload", &json!({})).await.good();
    background.stop().await;
}
