//! Versions hold what the files held, once, and give it back.

use everloop_core::{Actor, Clock, DatasetName, Ids, ProjectName, Timestamp};
use everloop_datasets::{Datasets, Error, FileChange, MIGRATIONS, Overwrite, Selector, Spec};
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_tables::{Tables, TablesOptions};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

pub(crate) struct House {
    pub datasets: Datasets,
    pub project: ProjectName,
    pub name: DatasetName,
    pub actor: Actor,
    pub clock: Clock,
    pub root: tempfile::TempDir,
    _objects: tempfile::TempDir,
    _db: everloop_db::testing::TestDb,
}

pub(crate) async fn houses() -> Vec<House> {
    let migrations = [everloop_ledger::MIGRATIONS, MIGRATIONS].concat();
    let mut houses = Vec::new();
    for test in everloop_db::testing::databases(&migrations).await {
        // Wall time far ahead of the files' own, so that every file counts as settled.
        let clock = Clock::manual(Timestamp(4_000_000_000_000));
        let folder = tempfile::tempdir().unwrap();
        let options = Options::new(Ids::seeded(1));
        let objects = Objects::open(&StoreUrl::folder(folder.path()), &options)
            .await
            .unwrap();
        let tables = Tables::new(TablesOptions::default()).unwrap();
        let url = url::Url::parse("everloop://objects").unwrap();
        tables.register_store(
            &url,
            Arc::new(everloop_objects::ObjectsAsStore::new(objects.clone())),
        );
        houses.push(House {
            datasets: Datasets::new(test.db.clone(), clock.clone(), objects, tables),
            project: ProjectName::new("demo").unwrap(),
            name: DatasetName::new("flights").unwrap(),
            actor: Actor::Local("ada".to_owned()),
            clock,
            root: tempfile::tempdir().unwrap(),
            _objects: folder,
            _db: test,
        });
    }
    houses
}

impl House {
    async fn register(&self, pattern: &str) {
        let spec = Spec {
            paths: vec![pattern.to_owned()],
            time: None,
            watch: false,
        };
        self.datasets
            .register(&self.project, &self.actor, &self.name, &spec)
            .await
            .unwrap();
    }

    async fn snapshot(&self) -> everloop_datasets::Snapshot {
        self.clock.advance(Duration::from_secs(60));
        self.datasets
            .snapshot(&self.project, &self.actor, &self.name, self.root.path())
            .await
            .unwrap()
    }

    fn write(&self, path: &str, text: &str) {
        write(self.root.path(), path, text);
    }
}

fn write(root: &Path, path: &str, text: &str) {
    let file = root.join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, text).unwrap();
}

#[tokio::test]
async fn unchanged_files_make_no_version_and_changed_ones_do() {
    for house in houses().await {
        house.register("data/*.csv").await;
        house.write("data/a.csv", "x,y\n1,a\n2,b\n");
        let first = house.snapshot().await;
        assert!(first.is_new);
        assert_eq!((first.version.number, first.version.rows), (1, 2));
        assert!(!house.snapshot().await.is_new);

        house.write("data/b.csv", "x,y\n3,c\n");
        let second = house.snapshot().await;
        assert_eq!((second.version.number, second.version.rows), (2, 3));
        let profile = house.datasets.profile(&second.version).await.unwrap();
        assert_eq!(profile.column("x").unwrap().max(), Some(3.0));

        let diff = house
            .datasets
            .diff(&first.version, &second.version)
            .await
            .unwrap();
        assert_eq!(
            diff.files,
            [FileChange::Added {
                path: "data/b.csv".to_owned()
            }]
        );
        assert_eq!((diff.rows_from, diff.rows_to), (2, 3));
    }
}

#[tokio::test]
async fn a_version_comes_back_as_it_was() {
    for house in houses().await {
        house.register("data").await;
        house.write("data/a.csv", "x\n1\n");
        house.write("data/deep/b.csv", "x\n2\n");
        let version = house.snapshot().await.version;
        std::fs::remove_file(house.root.path().join("data/a.csv")).unwrap();
        house.write("data/deep/b.csv", "x\n9\n");

        let refused = house
            .datasets
            .checkout(&version, house.root.path(), Overwrite::Refuse)
            .await;
        assert!(matches!(refused, Err(Error::WouldOverwrite { .. })));
        assert!(
            !house.root.path().join("data/a.csv").exists(),
            "refused before anything was written"
        );

        let report = house
            .datasets
            .checkout(&version, house.root.path(), Overwrite::Replace)
            .await
            .unwrap();
        assert_eq!(report.written.len(), 2);
        assert_eq!(
            std::fs::read_to_string(house.root.path().join("data/deep/b.csv")).unwrap(),
            "x\n2\n"
        );
    }
}

#[tokio::test]
async fn old_versions_are_found_by_number_and_by_time() {
    for house in houses().await {
        house.register("data/*.csv").await;
        house.write("data/a.csv", "x\n1\n");
        let first = house.snapshot().await.version;
        house.write("data/a.csv", "x\n1\n2\n");
        house.snapshot().await;
        let find = |wanted| house.datasets.version(&house.project, &house.name, wanted);
        assert_eq!(find(Selector::Number(1)).await.unwrap(), first);
        assert_eq!(find(Selector::AsOf(first.created_at)).await.unwrap(), first);
        assert_eq!(find(Selector::Latest).await.unwrap().number, 2);
        assert!(matches!(
            find(Selector::Number(7)).await,
            Err(Error::NoSuchVersion { .. })
        ));
    }
}

#[tokio::test]
async fn files_with_other_columns_are_one_table() {
    for house in houses().await {
        house.register("data/*.jsonl").await;
        house.write("data/a.jsonl", "{\"x\": 1, \"y\": 1}\n");
        house.write("data/b.jsonl", "{\"x\": 2}\n");
        let version = house.snapshot().await.version;
        assert_eq!(version.rows, 2);
        let names: Vec<&str> = version
            .columns
            .iter()
            .map(|column| column.name.as_str())
            .collect();
        assert_eq!(names, ["x", "y"]);
    }
}

#[tokio::test]
async fn mistakes_are_told() {
    for house in houses().await {
        let unknown = house.datasets.get(&house.project, &house.name).await;
        assert!(matches!(unknown, Err(Error::NoSuchDataset { .. })));
        house.register("data/*.csv").await;
        let empty = house
            .datasets
            .snapshot(&house.project, &house.actor, &house.name, house.root.path())
            .await;
        assert!(matches!(empty, Err(Error::NoFiles { .. })));
        house.write("data/a.csv", "x\n1\n");
        house.write("data/b.parquet", "this is no parquet");
        house.register("data/*").await;
        let broken = house
            .datasets
            .snapshot(&house.project, &house.actor, &house.name, house.root.path())
            .await;
        let Err(Error::Unreadable { path, .. }) = broken else {
            panic!("{broken:?}")
        };
        assert_eq!(path, "data/b.parquet");
    }
}

#[tokio::test]
async fn snapshots_taken_together_number_without_gaps() {
    for house in houses().await {
        house.register("data/*.csv").await;
        house.write("data/a.csv", "x\n1\n");
        let take = || {
            house
                .datasets
                .snapshot(&house.project, &house.actor, &house.name, house.root.path())
        };
        let taken = futures::future::join_all((0..8).map(|_| take())).await;
        let new = taken
            .iter()
            .filter(|snapshot| snapshot.as_ref().unwrap().is_new)
            .count();
        assert_eq!(new, 1);
        let versions = house
            .datasets
            .versions(&house.project, &house.name, None, 10)
            .await
            .unwrap();
        assert_eq!(versions.len(), 1);
    }
}
