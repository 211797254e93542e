//! The collector takes what nothing refers to and nothing else: every column that names an object is known to it.

use crate::house::{House, two_flights};
use everloop_access::Principal;
use everloop_core::{Hash, Ids, ModelName, Timestamp};
use everloop_db::{Tx, Value as Stored};
use everloop_objects::StoreUrl;
use everloop_registry::VersionNumber;
use everloop_registry::versions;
use everloop_server::Mode;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// A column that names objects.
struct Reference {
    column: &'static str,
    /// What the column holds; `HASH` stands for the object.
    text: &'static str,
    /// What the rest of the row must say so that the reference counts.
    with: &'static [(&'static str, Fixed)],
}

#[derive(Clone, Copy)]
enum Fixed {
    Text(&'static str),
    Number(i64),
    /// The manifest of a dataset, with one file.
    Manifest,
    /// That file.
    File,
}

const OUTS: &str =
    r#"[{"path":"a","folder":false,"kept":true,"files":[{"path":"","hash":"HASH","size":1}]}]"#;
const OF_VERSION: &[(&str, Fixed)] = &[("model", Fixed::Number(1)), ("version", Fixed::Number(1))];

const fn plain(column: &'static str) -> Reference {
    Reference {
        column,
        text: "HASH",
        with: &[],
    }
}

/// Every column that names an object. Objects that no column here names are deleted.
const REFERENCES: &[Reference] = &[
    plain("artifacts.hash"),
    plain("run_provenance.code_diff"),
    plain("run_provenance.package_lock"),
    Reference {
        with: OF_VERSION,
        ..plain("model_files.hash")
    },
    Reference {
        with: &[
            ("model", Fixed::Number(1)),
            ("version", Fixed::Number(1)),
            ("key", Fixed::Text("everloop.training_profile")),
        ],
        ..plain("model_version_tags.value")
    },
    Reference {
        with: &[
            ("model", Fixed::Number(1)),
            ("version", Fixed::Number(1)),
            ("key", Fixed::Text("everloop.score_profile")),
        ],
        ..plain("model_version_tags.value")
    },
    // The manifest itself; its file is asked for beside it.
    Reference {
        with: &[("profile", Fixed::Manifest)],
        ..plain("dataset_versions.digest")
    },
    Reference {
        with: &[("digest", Fixed::Manifest)],
        ..plain("dataset_versions.profile")
    },
    Reference {
        with: &[("file_hash", Fixed::File)],
        ..plain("dataset_file_profiles.profile")
    },
    Reference {
        text: OUTS,
        ..plain("pipeline_stages.outs")
    },
    plain("pipeline_stages.log"),
    Reference {
        text: OUTS,
        ..plain("pipeline_cache.outs")
    },
    plain("prediction_segments.object"),
];

/// Columns of the program's tables: name, type, and whether they must be filled.
async fn columns(house: &House) -> BTreeMap<String, Vec<(String, String, bool)>> {
    let sql = "SELECT m.name AS owner, p.name AS name, p.type AS kind, p.\"notnull\" AS filled \
        FROM sqlite_master m JOIN pragma_table_info(m.name) p WHERE m.type = 'table' \
        AND m.name NOT LIKE 'sqlite_%' AND m.name NOT LIKE 'everloop_%' ORDER BY m.name, p.cid";
    let read = move |tx: &mut Tx<'_>| {
        let mut found: BTreeMap<String, Vec<_>> = BTreeMap::new();
        for row in tx.query(sql, &[])? {
            let column = (row.get("name")?, row.get("kind")?, row.get("filled")?);
            found.entry(row.get("owner")?).or_default().push(column);
        }
        Ok::<_, everloop_db::Error>(found)
    };
    house.app.db().read(read).await.unwrap()
}

/// When this fails because of a new column: does it name an object, alone or inside a document? Then add it to
/// `REFERENCES` and to what its crate tells the collector. Else accept the snapshot.
#[tokio::test]
async fn every_column_of_text_is_known_to_name_objects_or_not() {
    let house = House::local().await;
    let texts: BTreeSet<String> = columns(&house)
        .await
        .into_iter()
        .flat_map(|(table, columns)| {
            let texts = columns
                .into_iter()
                .filter(|(_, kind, _)| kind == "TEXT" || kind == "BLOB");
            texts
                .map(move |(column, _, _)| format!("{table}.{column}"))
                .collect::<Vec<_>>()
        })
        .collect();
    let known: BTreeSet<String> = REFERENCES.iter().map(|known| known.column.to_owned()).collect();
    assert!(
        known.is_subset(&texts),
        "{:?}",
        known.difference(&texts).collect::<Vec<_>>()
    );
    let others: Vec<&String> = texts.difference(&known).collect();
    assert!(others.len() > 100, "{}", others.len());
    let listing = others
        .iter()
        .map(|name| name.as_str())
        .collect::<Vec<_>>()
        .join("\n");
    insta::assert_snapshot!("texts_that_name_no_object", listing);
}

/// Writes rows by the tables' own description.
struct Rows {
    columns: BTreeMap<String, Vec<(String, String, bool)>>,
    next: i64,
}

impl Rows {
    /// A row of `table` with these fields; the others are filled where they must be, differently each time.
    async fn insert(&mut self, house: &House, table: &str, fields: &[(&str, Stored)]) {
        self.next += 1;
        let mut names = Vec::new();
        let mut values = Vec::new();
        for (name, kind, must_be_filled) in &self.columns[table] {
            let given = fields.iter().find(|(field, _)| field == name);
            let value = match (given, kind.as_str()) {
                (Some((_, value)), _) => value.clone(),
                (None, _) if !must_be_filled => continue,
                (None, "TEXT") => Stored::Text(format!("x{}", self.next)),
                (None, _) => Stored::Int(1_000 + self.next),
            };
            names.push(name.clone());
            values.push(value);
        }
        let places: Vec<String> = (1..=names.len()).map(|place| format!("?{place}")).collect();
        let sql = format!(
            "INSERT INTO {table} ({}) VALUES ({})",
            names.join(", "),
            places.join(", ")
        );
        let insert = move |tx: &mut Tx<'_>| tx.execute(&sql, &values).map(drop);
        house.app.db().write(insert).await.unwrap();
    }
}

#[tokio::test]
async fn every_reference_keeps_its_object() {
    let house = House::local().await;
    let file = Hash::of(b"a file of a dataset");
    let manifest = json!({ "format": 1, "files": [{ "path": "a.csv", "hash": file, "size": 1 }] });
    let manifest = house
        .app
        .objects()
        .put_bytes(manifest.to_string())
        .await
        .unwrap()
        .hash;
    let fixed = |fixed: Fixed| match fixed {
        Fixed::Text(text) => Stored::Text(text.to_owned()),
        Fixed::Number(number) => Stored::Int(number),
        Fixed::Manifest => Stored::from(manifest),
        Fixed::File => Stored::from(file),
    };
    let mut rows = Rows {
        columns: columns(&house).await,
        next: 0,
    };
    let version = |deleted: Option<i64>, number: i64| {
        let mut fields = vec![("model", Stored::Int(1)), ("version", Stored::Int(number))];
        fields.extend(deleted.map(|at| ("deleted_at", Stored::Int(at))));
        fields
    };
    rows.insert(&house, "model_versions", &version(None, 1)).await;
    let mut expected = BTreeMap::from([(file, "files of manifests"), (manifest, "manifests")]);
    for reference in REFERENCES {
        let (table, column) = reference.column.split_once('.').unwrap();
        let hash = match reference.column {
            "dataset_versions.digest" => manifest,
            other => Hash::of(other.as_bytes()),
        };
        expected.insert(hash, reference.column);
        let text = reference.text.replace("HASH", &hash.to_hex());
        let mut fields: Vec<(&str, Stored)> = vec![(column, Stored::Text(text))];
        fields.extend(reference.with.iter().map(|(name, value)| (*name, fixed(*value))));
        rows.insert(&house, table, &fields).await;
    }
    // What only deleted things name is given up.
    let gone = Hash::of(b"gone");
    rows.insert(&house, "model_versions", &version(Some(5), 2)).await;
    let fields = [
        ("hash", gone.into()),
        ("model", Stored::Int(1)),
        ("version", Stored::Int(2)),
    ];
    rows.insert(&house, "model_files", &fields).await;
    let fields = [
        ("digest", gone.into()),
        ("profile", gone.into()),
        ("deleted_at", Stored::Int(5)),
    ];
    rows.insert(&house, "dataset_versions", &fields).await;

    let project = house.app.default_project();
    let live = house
        .app
        .controller(project)
        .unwrap()
        .live_objects()
        .await
        .unwrap();
    for (hash, what) in &expected {
        assert!(live.contains(hash), "what {what} names would be deleted");
    }
    assert_eq!(live.len(), expected.len(), "{live:?}");
}

/// The stores that can run here: always SQLite and a folder; Postgres and S3 when they are named.
async fn houses() -> Vec<House> {
    let local = || Mode::Local {
        login: "ada".to_owned(),
    };
    let mut houses = Vec::new();
    for place in everloop_db::testing::places() {
        let store = match place.name {
            "postgres" => bucket(),
            _ => None,
        };
        houses.push(
            House::on(local(), Some(place.url.clone()), store)
                .await
                .keep(place),
        );
    }
    houses
}

/// A place of its own in the test's bucket.
#[expect(
    clippy::disallowed_methods,
    reason = "how a run of the tests is told of its S3"
)]
fn bucket() -> Option<StoreUrl> {
    let address = std::env::var("EVERLOOP_TEST_S3").ok()?;
    let (bucket, query) = address.split_once('?').unwrap();
    let url = format!("{bucket}/{}?{query}", Ids::system().hex32());
    Some(url.parse().unwrap())
}

async fn collect(house: &House, dry_run: bool) -> Value {
    let body = json!({ "dry_run": dry_run, "grace": "1h" });
    house.post("/api/v1/objects/collection", &body).await.good()
}

/// All that the project answers, so that two moments can be compared.
async fn reads(house: &House, versions: &[u32]) -> Vec<Value> {
    let mut read = Vec::new();
    for version in versions {
        for what in ["files", "profile"] {
            let path = format!("/api/v1/datasets/flights/versions/{version}/{what}");
            read.push(house.get(&path).await.good());
        }
    }
    let question = json!({ "query": "SELECT * FROM flights ORDER BY delay" });
    read.push(house.post("/api/v1/sql", &question).await.good());
    read.push(
        house
            .get("/api/v1/models/flight-delay/versions/1/files")
            .await
            .good(),
    );
    let infer = house
        .post_bytes("/v2/models/flight-delay/infer", two_flights().to_string())
        .await;
    read.push(infer.good()["outputs"].clone());
    read.push(house.get("/api/v1/ledger/verification").await.good()["ok"].clone());
    read
}

#[tokio::test]
async fn what_is_deleted_is_given_back_and_all_else_reads_as_before() {
    for house in houses().await {
        house
            .put("/api/v1/datasets/flights", &json!({ "paths": ["data/*.csv"] }))
            .await
            .good();
        for day in 1..=3 {
            let text = format!("delay,carrier\n{day},A\n95,B\n");
            // Each day has its own file instead of the one before.
            house.write("data/a.csv", &text.repeat(1 + day));
            house
                .post("/api/v1/datasets/flights/versions", &json!({}))
                .await
                .good();
        }
        house.deploy().await;
        let orphan = house
            .app
            .objects()
            .put_bytes("nothing refers to this")
            .await
            .unwrap();
        let before = reads(&house, &[1, 2, 3]).await;
        let young = collect(&house, false).await;
        assert_eq!(
            (&young["freed_objects"], &young["young_objects"]),
            (&json!(0), &json!(1)),
            "{young}"
        );

        // Long after: whatever was written is older than the grace.
        house.app.clock().advance_to(Timestamp(4_102_444_800_000));
        let told = collect(&house, true).await;
        assert_eq!(told["freed_objects"], 1, "{told}");
        assert!(house.app.objects().exists(&orphan.hash).await.unwrap());
        let done = collect(&house, false).await;
        assert_eq!(
            (&done["freed_objects"], &done["missing_objects"]),
            (&json!(1), &json!(0)),
            "{done}"
        );
        assert!(!house.app.objects().exists(&orphan.hash).await.unwrap());
        assert_eq!(reads(&house, &[1, 2, 3]).await, before);

        give_up_two_versions(&house).await;
        let done = collect(&house, false).await;
        // Manifest, file, profile of the file, which is that of the version; and the files of a model of its own.
        assert!(done["freed_objects"].as_u64().unwrap() >= 3, "{done}");
        assert_eq!(done["missing_objects"], 0, "{done}");
        let mut left = before.clone();
        left.drain(2..4);
        assert_eq!(reads(&house, &[1, 3]).await, left);
        let gone = house.get("/api/v1/datasets/flights/versions/2/files").await;
        assert!(gone.text().contains("flights@2 was deleted"), "{gone:?}");
        assert_eq!(collect(&house, true).await["freed_objects"], 0);

        // The same files again are stored again.
        house.write("data/a.csv", &"delay,carrier\n2,A\n95,B\n".repeat(3));
        let again = house
            .post("/api/v1/datasets/flights/versions", &json!({}))
            .await
            .good();
        assert_eq!(
            (&again["version"]["version"], &again["is_new"]),
            (&json!(4), &json!(true))
        );
        assert_eq!(collect(&house, true).await["missing_objects"], 0);
        reads(&house, &[1, 3, 4]).await;
    }
}

/// Deletes a version of the data and one of the model, that nothing uses any more.
async fn give_up_two_versions(house: &House) {
    let newest = house.delete("/api/v1/datasets/flights/versions/3").await;
    assert!(newest.text().contains("is the newest version"), "{newest:?}");
    let deleted = house.delete("/api/v1/datasets/flights/versions/2").await.good();
    assert!(deleted["deleted_at"].is_string(), "{deleted}");
    let second = house.register_model().await;
    let registry = house.app.registry();
    let by = registry.by(house.app.default_project(), &Principal::local("ada").actor);
    let model = ModelName::new("flight-delay").unwrap();
    let delete = move |tx: &mut Tx<'_>| versions::delete(tx, &by, &model, VersionNumber(second));
    house.app.db().write(delete).await.unwrap();
}

#[tokio::test]
async fn nothing_is_collected_while_a_backup_is_made() {
    let house = House::local().await;
    let controller = house.app.controller(house.app.default_project()).unwrap();
    let body = json!({ "dry_run": false });
    let during = async {
        let refused = house.post("/api/v1/objects/collection", &body).await;
        assert_eq!(refused.status, axum::http::StatusCode::CONFLICT, "{refused:?}");
        let told = house
            .post("/api/v1/objects/collection", &json!({ "dry_run": true }))
            .await;
        told.good();
    };
    controller.without_collecting(during).await.unwrap();
    house.post("/api/v1/objects/collection", &body).await.good();
    let unclear = json!({ "dry_run": true, "grace": "soon" });
    let refused = house.post("/api/v1/objects/collection", &unclear).await;
    assert_eq!(refused.status, axum::http::StatusCode::BAD_REQUEST, "{refused:?}");
}
