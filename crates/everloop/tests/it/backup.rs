//! A backup puts everything back, and nothing over anything.

use crate::program::{everloop, small_project};

#[test]
fn a_restored_project_answers_as_before() {
    let (folder, root) = small_project();
    everloop(&root, &["data", "snapshot"]).ok();
    everloop(&root, &["run"]).ok();
    let backup = folder.path().join("backup");
    let to = backup.to_str().unwrap();
    everloop(&root, &["admin", "backup", to]).ok();
    let refused = everloop(&root, &["admin", "restore", to]);
    assert_eq!(refused.code, 1, "{refused:#?}");
    std::fs::remove_dir_all(root.join(".everloop")).unwrap();
    std::fs::remove_dir_all(root.join("build")).unwrap();
    everloop(&root, &["admin", "restore", to]).ok();
    let verified = everloop(&root, &["admin", "verify", "--json"]).ok().json();
    assert!(
        verified["ok"].as_bool().unwrap() && verified["rows"].as_u64().unwrap() > 3,
        "{verified}"
    );
    everloop(&root, &["run"]).ok();
    assert!(
        root.join("build/sums.parquet").is_file(),
        "the outs come back from the restored objects"
    );
    let again = everloop(&root, &["admin", "backup", to, "--json"]).ok().json();
    assert!(again["unchanged"].as_u64().unwrap() > 0, "{again}");
}

#[test]
fn a_ledger_row_that_was_changed_is_found() {
    let (_folder, root) = small_project();
    everloop(&root, &["data", "snapshot"]).ok();
    everloop(&root, &["admin", "verify"]).ok();
    // The file itself is edited, as someone with access to the disk would.
    let path = root.join(".everloop/everloop.db");
    let bytes = std::fs::read(&path).unwrap();
    let wanted = b"dataset:orders@1";
    let mut edited = bytes.clone();
    let mut changes = 0;
    for place in 0..bytes.len() - wanted.len() {
        if &bytes[place..place + wanted.len()] == wanted {
            edited[place + wanted.len() - 1] = b'7';
            changes += 1;
        }
    }
    assert!(changes > 0);
    std::fs::write(&path, edited).unwrap();
    let verified = everloop(&root, &["admin", "verify"]);
    assert_eq!(verified.code, 3, "{verified:#?}");
}
