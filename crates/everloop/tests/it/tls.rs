//! A server for other machines: behind TLS, with tokens, to clients that trust who signed its certificate.

use crate::program::{Ended, command, everloop, small_project};
use crate::server::Server;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use std::path::{Path, PathBuf};

/// An authority and what it signs, as files.
struct Authority {
    folder: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(
            folder.path().join("ca.pem"),
            params.self_signed(&key).unwrap().pem(),
        )
        .unwrap();
        Self {
            issuer: Issuer::new(params, key),
            folder,
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate for this machine that holds until `until`, and its key.
    fn sign(&self, name: &str, until: i32) -> [String; 4] {
        let key = KeyPair::generate().unwrap();
        let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
        let mut params = CertificateParams::new(names).unwrap();
        params.not_before = date_time_ymd(2000, 1, 1);
        params.not_after = date_time_ymd(until, 1, 1);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let (cert_path, key_path) = (
            self.path(&format!("{name}.pem")),
            self.path(&format!("{name}.key")),
        );
        std::fs::write(&cert_path, certificate.pem()).unwrap();
        std::fs::write(&key_path, key.serialize_pem()).unwrap();
        let text = |path: PathBuf| path.display().to_string();
        [
            "--tls-certificate".to_owned(),
            text(cert_path),
            "--tls-key".to_owned(),
            text(key_path),
        ]
    }
}

fn ask(folder: &Path, variables: &[(&str, &str)], args: &[&str]) -> Ended {
    let mut command = command(folder);
    command.args(args).envs(variables.iter().copied());
    let output = command.output().unwrap();
    Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

fn listen(flags: &[String; 4]) -> Vec<&str> {
    let mut args = vec!["--listen", "0.0.0.0:0"];
    args.extend(flags.iter().map(String::as_str));
    args
}

#[test]
fn other_machines_are_answered_over_tls_with_a_token() {
    let (_folder, root) = small_project();
    let authority = Authority::new();
    let flags = authority.sign("server", 4000);
    let plain = everloop(&root, &["server", "--listen", "0.0.0.0:0"]);
    assert_eq!(plain.code, 2, "{plain:#?}");
    assert!(plain.stderr.contains("--tls-certificate"), "{plain:#?}");

    let mut server = Server::start(&root, &listen(&flags));
    let line = server.line();
    let secret = line
        .strip_prefix("everloop admin token, shown only now: ")
        .unwrap();
    let line = server.line().replace("0.0.0.0", "127.0.0.1");
    let url = line.strip_prefix("everloop listening on ").unwrap();
    assert!(url.starts_with("https://127.0.0.1:"), "{url}");
    let ca = authority.path("ca.pem").display().to_string();
    let trusting = [("EVERLOOP_URL", url), ("EVERLOOP_CA_FILE", &ca)];
    let known = [&trusting[..], &[("EVERLOOP_TOKEN", secret)]].concat();
    let status = ask(&root, &known, &["status", "--json"]).ok().json();
    assert_eq!(status["project"], "shop");
    ask(&root, &known, &["data", "snapshot"]).ok();
    let nobody = ask(&root, &trusting, &["status"]);
    assert_eq!(nobody.code, 1, "{nobody:#?}");
    let wary = ask(&root, &[("EVERLOOP_URL", url)], &["status"]);
    assert_eq!(wary.code, 1, "{wary:#?}");
    assert!(wary.stderr.contains("UnknownIssuer"), "{wary:#?}");
    assert!(
        wary.stderr.contains("hint: name the file of the authority"),
        "{wary:#?}"
    );
    speaks_both_versions(url, &std::fs::read(&ca).unwrap());
    let open = url.replace("https://", "http://");
    let unspoken = ask(&root, &[("EVERLOOP_URL", &open)], &["status"]);
    assert_eq!(unspoken.code, 1, "{unspoken:#?}");
    assert_eq!(server.stop(), Some(0));
}

/// HTTP/2 to who offers it, HTTP/1.1 to who does not.
fn speaks_both_versions(url: &str, ca: &[u8]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let ca = reqwest::Certificate::from_pem(ca).unwrap();
    // Only the first caller of a process can.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = || reqwest::Client::builder().add_root_certificate(ca.clone());
    let get = |client: reqwest::Client| {
        runtime.block_on(async { client.get(format!("{url}/health")).send().await.unwrap() })
    };
    let newer = get(client().build().unwrap());
    assert_eq!(
        (newer.version(), newer.status().as_u16()),
        (http::Version::HTTP_2, 200)
    );
    let older = get(client().http1_only().build().unwrap());
    assert_eq!(
        (older.version(), older.status().as_u16()),
        (http::Version::HTTP_11, 200)
    );
}

#[test]
fn what_clients_would_refuse_is_refused_at_the_start() {
    let (_folder, root) = small_project();
    let authority = Authority::new();
    let (good, old) = (authority.sign("good", 4000), authority.sign("old", 2010));
    let missing = authority.path("missing.pem").display().to_string();
    let with = |certificate: &str, key: &str| {
        let args = [
            "server",
            "--listen",
            "127.0.0.1:0",
            "--tls-certificate",
            certificate,
        ];
        everloop(&root, &[&args[..], &["--tls-key", key]].concat())
    };
    for (ended, expected) in [
        (with(&good[1], &old[3]), "is not that of certificate"),
        (with(&old[1], &old[3]), "expired at 2010-01-01"),
        (with(&missing, &good[3]), "can't read the certificate"),
        (with(&good[1], &missing), "can't read the key"),
        (with(&good[1], &good[1]), "holds no key"),
    ] {
        assert_eq!(ended.code, 2, "{ended:#?}");
        assert!(
            ended.stderr.contains(expected) && ended.stderr.contains("hint: "),
            "{expected}: {ended:#?}"
        );
        assert_eq!(ended.stdout, "", "nothing says that it answers");
    }
    let alone = everloop(&root, &["server", "--tls-key", &good[3]]);
    assert_eq!(alone.code, 2, "{alone:#?}");
    assert!(alone.stderr.contains("--tls-certificate"), "{alone:#?}");
    let url = ("EVERLOOP_URL", "https://127.0.0.1:1");
    let nothing = ask(&root, &[url, ("EVERLOOP_CA_FILE", &missing)], &["status"]);
    assert_eq!(nothing.code, 2, "{nothing:#?}");
    let key = ask(&root, &[url, ("EVERLOOP_CA_FILE", &good[3])], &["status"]);
    assert!(key.stderr.contains("there are none"), "{key:#?}");
}
