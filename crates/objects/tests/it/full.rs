//! A disk that is full, and a disk that fails, for real: the child runs on a small memory disk, or under a limit on the
//! size of files where mounting is not allowed, and a system call filter makes its flushes fail.

use crate::crash::{child, child_store};
use crate::stores::{listed, random, reads_back};
use everloop_core::{Code, Coded, Hash, Ids};
use everloop_objects::{Error, Objects, Options};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

const MIB: usize = 1 << 20;

/// Runs a child test in a shell that first prepares its surroundings.
fn in_shell(test: &str, store: &Path, unshare: &[&str], prepare: &str) -> Command {
    let inner = child(test, store.to_str().unwrap());
    let mut command = Command::new(unshare.first().copied().unwrap_or("sh"));
    if let Some((_, rest)) = unshare.split_first() {
        command.args(rest).arg("sh");
    }
    command.args(["-c", &format!("{prepare} && exec \"$@\""), "sh"]);
    command.arg(inner.get_program()).args(inner.get_args());
    command.envs(inner.get_envs().filter_map(|(key, value)| Some((key, value?))));
    command
}

fn can_mount(unshare: &[&str]) -> bool {
    let probe = ["sh", "-c", "mount -t tmpfs -o size=64k none /mnt"];
    let tried = Command::new(unshare[0])
        .args(&unshare[1..])
        .args(probe)
        .stderr(Stdio::null())
        .status();
    tried.is_ok_and(|status| status.success())
}

#[test]
fn a_full_disk_is_told_and_leaves_the_store_intact() {
    let folder = tempfile::tempdir().unwrap();
    let test = "full::child_fills_the_disk";
    let mounts: [&[&str]; 2] = [&["unshare", "-m"], &["unshare", "-rm"]];
    let mut command = match mounts.into_iter().find(|unshare| can_mount(unshare)) {
        Some(unshare) => {
            let prepare = format!("mount -t tmpfs -o size=12m none {}", folder.path().display());
            in_shell(test, &folder.path().join("store"), unshare, &prepare)
        }
        None => {
            let mut command = in_shell(
                test,
                &folder.path().join("store"),
                &[],
                "trap '' XFSZ; ulimit -S -f 1024",
            );
            command.env("EVERLOOP_CHILD_LIMIT", "1");
            command
        }
    };
    let output = command.output().unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Makes room again: deletes the ballast, or lifts the limit.
fn make_room(ballast: &Path) {
    if std::env::var("EVERLOOP_CHILD_LIMIT").is_ok() {
        use nix::sys::resource::{Resource, getrlimit, setrlimit};
        let (_, hard) = getrlimit(Resource::RLIMIT_FSIZE).unwrap();
        setrlimit(Resource::RLIMIT_FSIZE, hard, hard).unwrap();
    }
    std::fs::remove_file(ballast).unwrap();
}

#[tokio::test]
#[ignore = "the process that runs on a small disk"]
async fn child_fills_the_disk() {
    let store = child_store();
    let root: PathBuf = store.as_folder().unwrap().to_owned();
    let ballast = root.with_file_name("ballast");
    let size = if std::env::var("EVERLOOP_CHILD_LIMIT").is_ok() {
        1_000
    } else {
        5 * MIB
    };
    std::fs::write(&ballast, vec![0; size]).unwrap();
    let objects = Objects::open(&store, &Options::new(Ids::system())).await.unwrap();
    let mut acked = BTreeSet::new();
    acked.insert(objects.put_bytes(random(10, 0)).await.unwrap().hash);
    let error = loop {
        assert!(acked.len() < 20, "the disk never filled");
        match objects.put_bytes(random(MIB - acked.len(), 1)).await {
            Ok(stored) => acked.insert(stored.hash),
            Err(error) => break error,
        };
    };
    for error in [
        error,
        objects.put_bytes(random(7 * MIB, 2)).await.unwrap_err(),
        objects
            .put_many((0..14).map(|n| random(MIB / 2 + n, 3)))
            .await
            .unwrap_err(),
    ] {
        assert_eq!(error.code(), Code::StorageFull, "{error:?}");
        assert!(error.hint().unwrap().contains("free space"));
    }
    for objects in [
        &objects,
        &Objects::open(&store, &Options::new(Ids::system())).await.unwrap(),
    ] {
        assert_eq!(listed(objects).await, acked);
        for hash in &acked {
            reads_back(objects, hash).await;
        }
    }
    assert_eq!(
        std::fs::read_dir(root.join("tmp")).unwrap().count(),
        0,
        "a half written file stayed"
    );
    make_room(&ballast);
    let large = objects.put_bytes(random(2 * MIB, 4)).await.unwrap().hash;
    reads_back(&objects, &large).await;
}

#[test]
fn a_store_whose_disk_fails_to_flush_stops_writing() {
    let folder = tempfile::tempdir().unwrap();
    let output = child(
        "full::child_flushes_in_vain",
        folder.path().join("store").to_str().unwrap(),
    )
    .output()
    .unwrap();
    assert!(
        output.status.success(),
        "{}\n{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}

#[tokio::test]
#[ignore = "the process whose flushes fail"]
async fn child_flushes_in_vain() {
    let objects = Objects::open(&child_store(), &Options::new(Ids::system()))
        .await
        .unwrap();
    let before = objects.put_bytes(random(1_000, 1)).await.unwrap().hash;
    let (flushed, later) = (random(1_000, 2), random(1_000, 3));
    fail_flushes();
    let error = objects.put_bytes(flushed.clone()).await.unwrap_err();
    assert!(matches!(error, Error::Io { action: "flush", .. }), "{error:?}");
    // A second flush might succeed without writing what the first one lost.
    for bytes in [&flushed, &later] {
        let error = objects.put_bytes(bytes.clone()).await.unwrap_err();
        assert!(matches!(error, Error::Stopped), "{error:?}");
        assert_eq!(error.code(), Code::Unavailable);
    }
    assert_eq!(objects.get_bytes(&before).await.unwrap(), random(1_000, 1));
    assert!(!objects.exists(&Hash::of(&flushed)).await.unwrap());
}

/// From now on `fsync` answers EIO in all threads of this process, by a seccomp filter.
fn fail_flushes() {
    const LOAD_CALL: u16 = (libc::BPF_LD | libc::BPF_W | libc::BPF_ABS) as u16;
    const IF_EQUAL: u16 = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    const RETURN: u16 = (libc::BPF_RET | libc::BPF_K) as u16;
    let line = |code, jt, jf, k| libc::sock_filter { code, jt, jf, k };
    let mut filter = [
        line(LOAD_CALL, 0, 0, 0),
        line(IF_EQUAL, 0, 1, libc::SYS_fsync as u32),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ERRNO | libc::EIO as u32),
        line(RETURN, 0, 0, libc::SECCOMP_RET_ALLOW),
    ];
    let program = libc::sock_fprog {
        len: filter.len() as u16,
        filter: filter.as_mut_ptr(),
    };
    // SAFETY: `program` points at `filter`, and both live until the kernel has copied them.
    unsafe {
        assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
        let outcome = libc::syscall(
            libc::SYS_seccomp,
            libc::SECCOMP_SET_MODE_FILTER,
            libc::SECCOMP_FILTER_FLAG_TSYNC,
            &raw const program,
        );
        assert_eq!(outcome, 0, "{}", std::io::Error::last_os_error());
    }
}

/// S3 itself never fills, but MinIO, Ceph and quotas do; the bucket here is played by a server that answers as they do.
#[tokio::test]
async fn a_full_bucket_is_told() {
    use wiremock::matchers::{method, path};
    use wiremock::{Mock, MockServer, ResponseTemplate};
    let server = MockServer::start().await;
    let answer = |status| ResponseTemplate::new(status).insert_header("ETag", "\"x\"");
    Mock::given(method("PUT"))
        .and(path("/bucket/format"))
        .respond_with(answer(200))
        .mount(&server)
        .await;
    let full = answer(507).set_body_string("<Error><Code>XMinioStorageFull</Code></Error>");
    Mock::given(method("PUT")).respond_with(full).mount(&server).await;
    let list = "<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>";
    let empty = ResponseTemplate::new(200).set_body_string(list);
    Mock::given(method("GET"))
        .and(path("/bucket"))
        .respond_with(empty)
        .mount(&server)
        .await;
    let url = format!("s3://bucket?endpoint={}&allow_http=true&region=eu", server.uri())
        .parse()
        .unwrap();
    let options = Options::new(Ids::system())
        .with("access_key_id", "a")
        .with("secret_access_key", "b");
    let objects = Objects::open(&url, &options).await.unwrap();
    let error = objects.put_bytes(random(10, 1)).await.unwrap_err();
    assert_eq!(error.code(), Code::StorageFull, "{error:?}");
}
