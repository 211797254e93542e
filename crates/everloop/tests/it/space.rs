//! Space comes back, beside a server that goes on writing, and nothing that is needed goes.

use crate::program::{everloop, small_project};
use crate::server::{Server, ask};
use std::path::Path;

/// Versions of the orders, each with a file of its own.
fn versions(root: &Path, count: usize) {
    for day in 1..=count {
        let rows: String = (0..day + 2).map(|id| format!("{id},{day}0.5,DE\n")).collect();
        std::fs::write(root.join("data/orders.csv"), format!("id,price,country\n{rows}")).unwrap();
        everloop(root, &["data", "snapshot"]).ok();
    }
}

/// Rounds that writers and collectors go beside each other.
const ROUNDS: usize = 8;

fn number(value: &serde_json::Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key}: {value}"))
}

#[test]
fn a_deleted_version_gives_its_space_back_and_the_rest_still_reads() {
    let (_folder, root) = small_project();
    versions(&root, 3);
    everloop(&root, &["run"]).ok();
    // What a killed writer leaves behind.
    let left = root.join(".everloop/objects/tmp");
    assert!(left.is_dir(), "where parts are written");
    std::fs::write(left.join("0123456789abcdef"), "half an object").unwrap();

    let dry = ["admin", "gc", "--dry-run", "--grace", "0s", "--json"];
    let first = everloop(&root, &dry).ok().json();
    assert_eq!(number(&first, "freed_objects"), 0, "{first}");
    assert_eq!(number(&first, "swept_files"), 1, "{first}");
    assert!(number(&first, "live_objects") > 5, "{first}");
    let unsaid = everloop(&root, &["admin", "gc", "--grace", "0s"]);
    assert_eq!(unsaid.code, 2, "{unsaid:#?}");
    assert!(unsaid.stderr.contains("--yes"), "{unsaid:#?}");

    assert_eq!(
        everloop(&root, &["data", "delete", "orders", "3", "--yes"]).code,
        1
    );
    assert_eq!(everloop(&root, &["data", "delete", "orders", "2"]).code, 2);
    everloop(&root, &["data", "delete", "orders", "2", "--yes"]).ok();
    let done = everloop(&root, &["admin", "gc", "--grace", "0s", "--yes", "--json"])
        .ok()
        .json();
    assert!(number(&done, "freed_objects") >= 3, "{done}");
    assert_eq!(number(&done, "swept_files"), 1, "{done}");
    assert_eq!(number(&done, "missing_objects"), 0, "{done}");
    let again = everloop(&root, &dry).ok().json();
    assert_eq!(
        (number(&again, "freed_objects"), number(&again, "swept_files")),
        (0, 0),
        "{again}"
    );

    everloop(&root, &["admin", "verify"]).ok();
    let log = everloop(&root, &["data", "log", "orders"]).ok();
    assert!(log.stdout.contains("deleted"), "{log:#?}");
    let gone = everloop(&root, &["data", "checkout", "orders", "2", "--force"]);
    assert_eq!(gone.code, 1, "{gone:#?}");
    assert!(gone.stderr.contains("orders@2 was deleted"), "{gone:#?}");
    everloop(&root, &["data", "checkout", "orders", "1", "--force"]).ok();
    let text = std::fs::read_to_string(root.join("data/orders.csv")).unwrap();
    assert!(text.starts_with("id,price,country\n0,10.5,DE\n"), "{text}");
    everloop(&root, &["data", "checkout", "orders", "3", "--force"]).ok();
    // The stages' outs are still in the store.
    std::fs::remove_dir_all(root.join("build")).unwrap();
    let run = everloop(&root, &["run", "--json"]).ok().json();
    assert_eq!(run["stages"][1]["state"], "cached", "{run}");
    assert!(root.join("build/sums.parquet").is_file());
}

#[test]
fn collecting_beside_writers_takes_nothing_from_them() {
    let (_folder, root) = small_project();
    let mut server = Server::start(&root, &["--listen", "127.0.0.1:0"]);
    let url = server.line().replace("everloop listening on ", "");
    let asked = |args: &[&str]| ask(&root, &url, None, args).ok();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for day in 0..ROUNDS {
                let text = format!("id,price,country\n1,{day}.5,DE\n2,2{day}.0,FR\n3,30.0,IT\n");
                std::fs::write(root.join("data/orders.csv"), text).unwrap();
                asked(&["data", "snapshot"]);
                asked(&["run", "--force"]);
            }
        });
        for _ in 0..ROUNDS {
            asked(&["admin", "gc", "--grace", "1h", "--yes"]);
        }
    });
    let done = asked(&["admin", "gc", "--grace", "0s", "--dry-run", "--json"]).json();
    assert_eq!(number(&done, "missing_objects"), 0, "{done}");
    for version in 1..=ROUNDS {
        asked(&["data", "checkout", "orders", &version.to_string(), "--force"]);
    }
    asked(&["admin", "verify"]);
    assert_eq!(server.stop(), Some(0));
}
