//! A backup puts everything back, and nothing over anything.

use crate::program::{command, everloop, small_project};
use crate::server::{Server, ask};
use std::path::{Path, PathBuf};

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

/// A project with a version and a run, and its backup.
fn backed_up() -> (tempfile::TempDir, PathBuf, PathBuf) {
    let (folder, root) = small_project();
    everloop(&root, &["data", "snapshot"]).ok();
    everloop(&root, &["run"]).ok();
    let backup = folder.path().join("backup");
    everloop(&root, &["admin", "backup", backup.to_str().unwrap()]).ok();
    (folder, root, backup)
}

/// Changes what the backup says of itself.
fn change_manifest(backup: &Path, change: impl FnOnce(&mut serde_json::Value)) {
    let path = backup.join("backup.json");
    let mut manifest = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut manifest);
    std::fs::write(path, manifest.to_string()).unwrap();
}

/// Restores into a home of its own; nothing may be there afterwards.
#[track_caller]
fn refused(backup: &Path, root: &Path, expected: &str) {
    let home = root.join("other-home");
    let ended = everloop(
        root,
        &[
            "admin",
            "restore",
            backup.to_str().unwrap(),
            "--home",
            home.to_str().unwrap(),
        ],
    );
    assert_ne!(ended.code, 0, "{ended:#?}");
    assert!(ended.stderr.contains(expected), "{expected}: {ended:#?}");
    assert!(ended.stderr.contains("hint: "), "{ended:#?}");
    let left: Vec<_> = std::fs::read_dir(&home)
        .map(|list| list.flatten().collect())
        .unwrap_or_default();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn what_is_backed_up_or_holds_something_else_is_no_place_for_a_backup() {
    let (folder, root) = small_project();
    everloop(&root, &["data", "snapshot"]).ok();
    // What it holds, not its bytes: SQLite moves pages from its log to the file whenever it likes.
    let before = everloop(&root, &["log", "--json"]).ok().stdout;
    let mine = folder.path().join("mine");
    std::fs::create_dir_all(mine.join("predictions")).unwrap();
    std::fs::write(mine.join("predictions/of-mine"), "x").unwrap();
    for place in [
        root.join(".everloop"),
        root.join(".everloop/objects"),
        root.clone(),
        mine.clone(),
    ] {
        let ended = everloop(&root, &["admin", "backup", place.to_str().unwrap()]);
        assert_eq!(ended.code, 2, "{place:?}: {ended:#?}");
        assert!(ended.stderr.contains("can't back up to"), "{ended:#?}");
    }
    assert!(mine.join("predictions/of-mine").is_file());
    assert_eq!(everloop(&root, &["log", "--json"]).ok().stdout, before);
    everloop(&root, &["admin", "verify"]).ok();
}

#[test]
fn a_backup_that_is_not_whole_is_refused_before_anything_is_written() {
    let (folder, root, backup) = backed_up();
    refused(&folder.path().join("nowhere"), &root, "holds no backup");
    refused(&root, &root, "holds no backup");

    let object = biggest_object(&backup.join("objects"));
    let whole = std::fs::read(&object).unwrap();
    std::fs::write(&object, &whole[..whole.len() / 2]).unwrap();
    refused(&backup, &root, "the backup is not whole");
    std::fs::remove_file(&object).unwrap();
    refused(&backup, &root, "the backup is not whole");
    std::fs::write(&object, &whole).unwrap();

    change_manifest(&backup, |manifest| manifest["complete"] = false.into());
    refused(&backup, &root, "never finished");
    change_manifest(&backup, |manifest| {
        manifest["complete"] = true.into();
        manifest["format"] = 99.into();
    });
    refused(&backup, &root, "made by a newer program");
    change_manifest(&backup, |manifest| manifest["format"] = 1.into());

    // As long as it was, but no database any more.
    let database = backup.join("everloop.db");
    let length = std::fs::metadata(&database).unwrap().len();
    let good = std::fs::read(&database).unwrap();
    std::fs::write(&database, vec![7_u8; usize::try_from(length).unwrap()]).unwrap();
    let home = root.join("third-home");
    let args = [
        "admin",
        "restore",
        backup.to_str().unwrap(),
        "--home",
        home.to_str().unwrap(),
    ];
    let ended = everloop(&root, &args);
    assert_eq!(ended.code, 1, "{ended:#?}");
    assert!(!home.join("everloop.db").exists());
    std::fs::write(&database, good).unwrap();
    everloop(&root, &args).ok();
    everloop(&root, &["admin", "verify", "--home", home.to_str().unwrap()]).ok();
}

fn biggest_object(folder: &Path) -> PathBuf {
    let mut folders = vec![folder.to_owned()];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            match entry.file_type().unwrap().is_dir() {
                true => folders.push(entry.path()),
                false => found.push((entry.metadata().unwrap().len(), entry.path())),
            }
        }
    }
    found.into_iter().max().unwrap().1
}

#[test]
fn a_backup_of_a_newer_program_is_refused() {
    let (_folder, root, backup) = backed_up();
    let mut migrations = everloop_server::migrations();
    migrations.push(everloop_db::Migration {
        component: "future",
        number: 1,
        name: "what comes later",
        sql: "CREATE TABLE later (x BIGINT)",
    });
    let database = backup.join("everloop.db");
    let url = everloop_db::DbUrl::sqlite(&database);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async {
        let clock = everloop_core::Clock::system();
        let db = everloop_db::Db::open(&url, &migrations, &clock).await.unwrap();
        db.close().await;
    });
    let size = std::fs::metadata(&database).unwrap().len();
    change_manifest(&backup, |manifest| {
        for file in manifest["files"].as_array_mut().unwrap() {
            if file["path"] == "everloop.db" {
                file["size"] = size.into();
            }
        }
    });
    refused(&backup, &root, "newer");
}

#[test]
fn nothing_that_is_there_is_overwritten() {
    let (_folder, root, backup) = backed_up();
    let home = root.join("new-home");
    let to = home.to_str().unwrap();
    let restore = ["admin", "restore", backup.to_str().unwrap(), "--home", to];
    std::fs::create_dir_all(home.join("predictions")).unwrap();
    std::fs::write(home.join("predictions/answers"), "of another project").unwrap();
    let ended = everloop(&root, &restore);
    assert!(ended.stderr.contains("a prediction log already"), "{ended:#?}");
    std::fs::remove_dir_all(home.join("predictions")).unwrap();
    std::fs::write(home.join("config.toml"), "memory = \"1GiB\"\n").unwrap();
    everloop(&root, &restore).ok();
    assert_eq!(
        std::fs::read_to_string(home.join("config.toml")).unwrap(),
        "memory = \"1GiB\"\n"
    );
    everloop(&root, &["admin", "verify", "--home", to]).ok();
    let again = everloop(&root, &restore);
    assert_eq!(again.code, 1, "{again:#?}");
    assert!(again.stderr.contains("a database already"), "{again:#?}");
}

#[test]
fn a_backup_made_under_load_is_whole() {
    let (folder, root) = small_project();
    let mut server = Server::start(&root, &["--listen", "127.0.0.1:0"]);
    let url = server.line().replace("everloop listening on ", "");
    let backup = folder.path().join("backup");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for day in 0..6 {
                let text = format!("id,price,country\n1,{day}.5,DE\n2,2{day}.0,FR\n3,30.0,IT\n");
                std::fs::write(root.join("data/orders.csv"), text).unwrap();
                ask(&root, &url, None, &["data", "snapshot"]).ok();
                ask(&root, &url, None, &["run", "--force"]).ok();
            }
        });
        for _ in 0..3 {
            everloop(&root, &["admin", "backup", backup.to_str().unwrap()]).ok();
        }
    });
    assert_eq!(server.stop(), Some(0));
    let home = folder.path().join("home");
    let to = home.to_str().unwrap();
    everloop(
        &root,
        &["admin", "restore", backup.to_str().unwrap(), "--home", to],
    )
    .ok();
    everloop(&root, &["admin", "verify", "--home", to]).ok();
    let gc = [
        "admin",
        "gc",
        "--dry-run",
        "--grace",
        "0s",
        "--json",
        "--home",
        to,
    ];
    let objects = everloop(&root, &gc).ok().json();
    assert_eq!(objects["missing_objects"], 0, "{objects}");
    let log = everloop(&root, &["data", "log", "orders", "--json", "--home", to]);
    if log.code == 0 {
        for version in log.json().as_array().unwrap() {
            let number = version["version"].to_string();
            everloop(
                &root,
                &["data", "checkout", "orders", &number, "--force", "--home", to],
            )
            .ok();
        }
    }
}

#[test]
fn other_stores_are_told_from_the_embedded_ones() {
    let (folder, root, backup) = backed_up();
    let (backup, to) = (backup.to_str().unwrap(), folder.path().join("more"));
    let with = |name: &str, value: &str, args: &[&str]| {
        let output = command(&root).args(args).env(name, value).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        (output.status.code().unwrap_or(-1), stderr)
    };
    let postgres = "postgres://nobody@127.0.0.1:1/none";
    for (args, tool) in [
        (["admin", "backup", to.to_str().unwrap()], "pg_dump"),
        (["admin", "restore", backup], "pg_restore"),
    ] {
        let (code, words) = with("EVERLOOP_DB", postgres, &args);
        assert_eq!(code, 2, "{words}");
        assert!(words.contains(tool), "{words}");
    }
    assert!(!to.exists());
    let home = root.join("bucket-home");
    let args = ["admin", "restore", backup, "--home", home.to_str().unwrap()];
    let (code, words) = with("EVERLOOP_STORE", "s3://bucket/loop", &args);
    assert_eq!(code, 1, "{words}");
    assert!(words.contains("the backup holds objects"), "{words}");
    let (code, words) = with("EVERLOOP_URL", "http://127.0.0.1:1", &args);
    assert_eq!(code, 2, "{words}");
    assert!(words.contains("not over the network"), "{words}");
}
