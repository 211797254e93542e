//! Queries, profiles and checks on a cluster say what they say in this process.

use crate::program::{everloop, small_project};

#[test]
fn what_is_no_engine_is_refused_with_what_would_be_one() {
    let (_folder, root) = small_project();
    let refused = everloop(&root, &["status", "--engine", "spark://host:7077"]);
    assert_eq!(refused.code, 2, "{refused:#?}");
    assert!(
        refused.stderr.contains("\"spark://host:7077\" is no engine"),
        "{refused:#?}"
    );
    assert!(refused.stderr.contains("ballista://HOST:PORT"), "{refused:#?}");
    everloop(&root, &["status", "--engine", "local"]).ok();
}

#[cfg(not(feature = "ballista"))]
#[test]
fn a_build_without_ballista_names_the_feature() {
    let (_folder, root) = small_project();
    for args in [
        ["sql", "SELECT 1", "--engine", "ballista://127.0.0.1:50050"].as_slice(),
        &["server", "--engine", "ballista://127.0.0.1:50050"],
        &["cluster", "scheduler"],
        &["cluster", "worker", "127.0.0.1:50050"],
    ] {
        let refused = everloop(&root, args);
        assert_eq!(refused.code, 2, "{refused:#?}");
        assert!(refused.stderr.contains("--features ballista"), "{refused:#?}");
    }
}

#[cfg(feature = "ballista")]
mod cluster {
    use super::{everloop, small_project};
    use crate::server::{Server, ask};
    use std::net::TcpListener;
    use std::path::Path;

    const QUERIES: [&str; 4] = [
        "SELECT country, count(*) AS n, sum(price) AS total FROM orders GROUP BY country ORDER BY country",
        "SELECT a.id, b.price FROM orders a JOIN orders b ON a.id = b.id + 1 ORDER BY a.id",
        "SELECT id, max(price) OVER (PARTITION BY country ORDER BY id) AS top FROM orders ORDER BY id",
        "SELECT approx_distinct(country) AS countries FROM orders",
    ];

    fn more_orders(root: &Path) {
        let rows: String = (4..4_000)
            .map(|id| format!("{id},{}.25,{}\n", id % 97, ["DE", "FR", "IT"][id % 3]))
            .collect();
        std::fs::write(root.join("data/more.csv"), format!("id,price,country\n{rows}")).unwrap();
    }

    #[test]
    fn a_cluster_of_processes_answers_as_this_one_does() {
        let (folder, root) = small_project();
        everloop(&root, &["data", "snapshot"]).ok();
        let mut scheduler = Server::start_as(&root, &["cluster", "scheduler", "--listen", "127.0.0.1:0"]);
        let engine = scheduler.line().replace("everloop scheduler listening on ", "");
        assert!(engine.starts_with("ballista://127.0.0.1:"), "{engine}");
        let address = engine.replace("ballista://", "");
        let mut worker = Server::start_as(&root, &["cluster", "worker", &address]);
        assert!(
            worker
                .line()
                .starts_with("everloop worker listening on 127.0.0.1:")
        );

        // A version taken there is the one that is taken here.
        more_orders(&root);
        everloop(&root, &["data", "snapshot", "--engine", &engine]).ok();
        let there = everloop(&root, &["data", "profile", "orders", "--json"])
            .ok()
            .json();
        let (_other, twin) = small_project();
        more_orders(&twin);
        everloop(&twin, &["data", "snapshot"]).ok();
        let here = everloop(&twin, &["data", "profile", "orders", "--json"])
            .ok()
            .json();
        assert_eq!(there["rows"], 3_999);
        for (a, b) in there["columns"]
            .as_array()
            .unwrap()
            .iter()
            .zip(here["columns"].as_array().unwrap())
        {
            for key in ["name", "type", "rows", "nulls", "distinct", "top"] {
                assert_eq!(a[key], b[key], "{key}");
            }
        }
        for query in QUERIES {
            let local = everloop(&root, &["sql", query, "--json"]).ok().json();
            let remote = everloop(&root, &["sql", query, "--json", "--engine", &engine])
                .ok()
                .json();
            assert!(!local["rows"].as_array().unwrap().is_empty(), "{query}");
            assert_eq!(local, remote, "{query}");
        }
        let local = everloop(&root, &["check", "data", "orders", "--json"]);
        let remote = everloop(&root, &["check", "data", "orders", "--json", "--engine", &engine]);
        assert_eq!(local.code, remote.code);
        assert_eq!(local.json()["results"], remote.json()["results"]);
        a_server_asks_the_cluster(folder.path(), &root, &engine);
        assert_eq!(worker.stop(), Some(0));
        assert_eq!(scheduler.stop(), Some(0));
    }

    fn a_server_asks_the_cluster(elsewhere: &Path, root: &Path, engine: &str) {
        let mut server = Server::start(root, &["--listen", "127.0.0.1:0", "--engine", engine]);
        let url = server.line().replace("everloop listening on ", "");
        let local = everloop(root, &["sql", QUERIES[0], "--json"]).ok().json();
        let asked = ask(elsewhere, &url, None, &["sql", QUERIES[0], "--json"])
            .ok()
            .json();
        assert_eq!(local, asked);
        // Only a cluster refuses this: so that is who was asked.
        let union = "SELECT id FROM orders UNION ALL SELECT 7";
        let refused = ask(elsewhere, &url, None, &["sql", union]);
        assert!(
            refused.stderr.contains("not supported on Ballista"),
            "{refused:#?}"
        );
        let told = ask(elsewhere, &url, None, &["sql", "SELECT 1", "--engine", engine]);
        assert!(told.stderr.contains("the server chooses"), "{told:#?}");
        assert_eq!(server.stop(), Some(0));
    }

    #[test]
    fn a_cluster_that_is_not_there_is_named() {
        let (_folder, root) = small_project();
        everloop(&root, &["data", "snapshot"]).ok();
        // A port that was free a moment ago.
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let engine = format!("ballista://{free}");
        let refused = everloop(&root, &["sql", "SELECT * FROM orders", "--engine", &engine]);
        assert_eq!(refused.code, 1, "{refused:#?}");
        assert!(refused.stderr.contains(&engine), "{refused:#?}");
        assert!(
            refused.stderr.contains("hint: check that the scheduler runs"),
            "{refused:#?}"
        );
        let open = everloop(&root, &["cluster", "scheduler", "--listen", "0.0.0.0:0"]);
        assert_eq!(open.code, 2, "{open:#?}");
        assert!(open.stderr.contains("--insecure"), "{open:#?}");
    }
}
