//! Queries and profiles come back the same from a scheduler and an executor on loopback.

use everloop_ballista::Cluster;
use everloop_core::{Ids, Values};
use everloop_objects::{Objects, Options, StoreUrl};
use everloop_tables::arrow::array::{ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray};
use everloop_tables::{ObjectFile, ProfileOptions, Session, Source, Tables, TablesOptions};
use std::sync::Arc;

struct Fixture {
    folder: tempfile::TempDir,
    local: Tables,
    objects: Objects,
    remote: Tables,
    _cluster: Cluster,
}

impl Fixture {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let local = Tables::new(TablesOptions {
            threads: 2,
            ..TablesOptions::default()
        })
        .unwrap();
        let url = StoreUrl::folder(folder.path().join("objects"));
        let objects = Objects::open(&url, &Options::new(Ids::system())).await.unwrap();
        let local = local.with_objects(objects.clone());
        let cluster = Cluster::start(&local, 1, 2, &folder.path().join("work"))
            .await
            .unwrap();
        let remote = local.with_engine(Arc::new(cluster.engine().unwrap()));
        let fixture = Self {
            folder,
            local,
            objects,
            remote,
            _cluster: cluster,
        };
        for part in 0..3 {
            fixture.write(part).await;
        }
        fixture
    }

    async fn write(&self, part: i64) {
        let session = self.local.session().await.unwrap();
        session
            .add("rows", Source::batches(vec![flights(part * 4_000, 4_000)]))
            .await
            .unwrap();
        let path = self.folder.path().join(format!("part-{part}.parquet"));
        session.write_parquet("SELECT * FROM rows", &path).await.unwrap();
    }

    fn source(&self) -> Source {
        Source::paths([format!("{}/*.parquet", self.folder.path().display())])
    }

    async fn session(&self, tables: &Tables) -> Session {
        let session = tables.session().await.unwrap();
        session.add("flights", self.source()).await.unwrap();
        session
    }
}

fn flights(start: i64, n: i64) -> RecordBatch {
    let id: Int64Array = (start..start + n).collect();
    let delay: Float64Array = (start..start + n)
        .map(|i| (i % 10 != 3).then_some((i * 7_919 % 10_007) as f64 / 16.0))
        .collect();
    let dest: StringArray = (start..start + n)
        .map(|i| (i % 97 != 0).then_some(["EWR", "JFK", "LGA"][(i % 3) as usize]))
        .collect();
    let columns = [
        ("id", Arc::new(id) as ArrayRef),
        ("delay", Arc::new(delay) as ArrayRef),
        ("dest", Arc::new(dest) as ArrayRef),
    ];
    RecordBatch::try_from_iter(columns).unwrap()
}

const QUERIES: [&str; 12] = [
    "SELECT dest, COUNT(*) AS n, COUNT(delay) AS known, MIN(delay) AS low, MAX(delay) AS high, SUM(id) AS ids \
     FROM flights GROUP BY dest ORDER BY dest NULLS LAST",
    "SELECT id, delay FROM flights WHERE delay > 600 ORDER BY delay DESC, id LIMIT 25",
    "SELECT a.dest, COUNT(*) AS n FROM flights a JOIN flights b ON a.id = b.id + 3 WHERE b.delay IS NULL \
     GROUP BY a.dest ORDER BY a.dest",
    "SELECT id, MAX(delay) OVER (PARTITION BY dest ORDER BY id ROWS BETWEEN 5 PRECEDING AND CURRENT ROW) AS worst \
     FROM flights WHERE id < 500 ORDER BY id",
    "SELECT COUNT(DISTINCT delay) AS n, AVG(delay) AS mean, STDDEV(delay) AS deviation FROM flights",
    "SELECT dest FROM flights WHERE delay > (SELECT AVG(delay) FROM flights) GROUP BY dest ORDER BY dest",
    "SELECT dest, id FROM flights WHERE id < 10 UNION ALL SELECT a.dest, MAX(a.id) AS id FROM flights a \
     JOIN (SELECT id FROM flights WHERE id % 50 = 0) b ON a.id = b.id GROUP BY a.dest ORDER BY id, dest",
    "SELECT COUNT(*) AS n FROM flights a CROSS JOIN (SELECT id FROM flights WHERE id < 3) b",
    "SELECT dest FROM flights WHERE id < 90 INTERSECT SELECT dest FROM flights WHERE id > 11000 ORDER BY dest",
    "SELECT FIRST_VALUE(delay ORDER BY id DESC) IGNORE NULLS AS last_known FROM flights WHERE id % 10 < 4",
    "SELECT SUM(x) AS s FROM (SELECT UNNEST([1, 2, 3]) AS x)",
    // The point-in-time join without ASOF: union, window, and back.
    "WITH known AS (SELECT id, delay, 0 AS ask FROM flights WHERE id % 2 = 0), \
     asked AS (SELECT id, NULL AS delay, 1 AS ask FROM flights WHERE id % 2 = 1) \
     SELECT id, worst FROM (SELECT id, ask, MAX(delay) OVER (ORDER BY id, ask ROWS UNBOUNDED PRECEDING) AS worst \
     FROM (SELECT * FROM known UNION ALL SELECT * FROM asked)) WHERE ask = 1 ORDER BY id LIMIT 50",
];

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_answers_as_this_process_does() {
    let fixture = Fixture::new().await;
    let (local, remote) = (
        fixture.session(&fixture.local).await,
        fixture.session(&fixture.remote).await,
    );
    for query in QUERIES {
        let here = local.sql(query).await.unwrap().to_frame().unwrap();
        let there = remote.sql(query).await.unwrap().to_frame().unwrap();
        assert!(here.rows() > 0, "{query}");
        assert_eq!(here.columns().len(), there.columns().len(), "{query}");
        for (a, b) in here.columns().iter().zip(there.columns()) {
            assert_eq!(a.name, b.name);
            assert_same(query, &a.values, &b.values);
        }
    }
    compare_profiles(&local, &remote).await;
    objects_are_read_by_workers(&fixture).await;
}

/// Workers of this process share the stores, so content-addressed files need no path.
async fn objects_are_read_by_workers(fixture: &Fixture) {
    let mut files = Vec::new();
    for part in 0..3 {
        let path = fixture.folder.path().join(format!("part-{part}.parquet"));
        let stored = fixture.objects.put_file(&path).await.unwrap();
        files.push(ObjectFile {
            hash: stored.hash,
            name: "part.parquet".to_owned(),
            size: stored.size,
        });
    }
    let session = fixture.remote.session().await.unwrap();
    session.add("objects", Source::objects(files)).await.unwrap();
    let frame = session
        .sql("SELECT SUM(id) AS s FROM objects")
        .await
        .unwrap()
        .to_frame()
        .unwrap();
    assert_eq!(frame.get("s").unwrap().number(0), 71_994_000.0);
}

/// Float sums may differ in their last digits; all else is equal.
fn assert_same(query: &str, here: &Values, there: &Values) {
    assert_eq!(here.len(), there.len(), "{query}");
    for row in 0..here.len() {
        assert_eq!(here.is_missing(row), there.is_missing(row), "{query}");
        assert_eq!(here.text(row), there.text(row), "{query}");
        let (a, b) = (here.number(row), there.number(row));
        assert!(
            a == b || (a - b).abs() <= 1e-9 * a.abs() || (a.is_nan() && b.is_nan()),
            "{query}: {a} and {b}"
        );
    }
}

async fn compare_profiles(local: &Session, remote: &Session) {
    let here = local.profile("flights", ProfileOptions::default()).await.unwrap();
    let there = remote
        .profile("flights", ProfileOptions::default())
        .await
        .unwrap();
    assert_eq!(here.rows(), 12_000);
    assert_eq!(here.rows(), there.rows());
    for a in here.columns() {
        let b = there.column(a.name()).unwrap();
        assert_eq!((a.kind(), a.rows(), a.nulls()), (b.kind(), b.rows(), b.nulls()));
        assert_eq!((a.min(), a.max(), a.is_exact()), (b.min(), b.max(), b.is_exact()));
        assert_eq!(
            a.distinct(),
            b.distinct(),
            "registers do not depend on who counted"
        );
        assert_eq!(a.top(3), b.top(3));
        if let (Some(a), Some(b)) = (a.quantile(0.5), b.quantile(0.5)) {
            assert!((a - b).abs() <= 0.01 * a.abs(), "{a} and {b}");
        }
    }
}
