//! TLS to Postgres, with libpq's degrees of checking. Needs `EVERLOOP_TEST_POSTGRES`.

use std::path::Path;
use std::sync::Arc;

use everloop_core::Clock;
use everloop_db::testing::{Place, places};
use everloop_db::{Db, Error};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use tokio::task::JoinSet;

use crate::proxy::tls_front;

/// Who issues certificates.
struct Authority {
    pem: String,
    issuer: Issuer<'static, KeyPair>,
}

fn authority() -> Authority {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    Authority {
        pem,
        issuer: Issuer::new(params, key),
    }
}

impl Authority {
    /// A server that proves to be `host`.
    fn server(&self, host: &str) -> Arc<ServerConfig> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![host.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            );
        Arc::new(config.unwrap())
    }

    fn write(&self, path: &Path) -> String {
        std::fs::write(path, &self.pem).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Whether we get through to `address` with these options; else why not.
async fn reaches(place: &Place, address: &str, options: &str) -> Result<(), String> {
    let url = place.through(address, options);
    let db = Db::open(&url, &[], &Clock::system())
        .await
        .map_err(|error| error.to_string())?;
    let answer = db
        .read(|tx| tx.query_one("SELECT 1 AS n", &[])?.get::<i64>("n"))
        .await;
    answer.map(drop).map_err(|error: Error| error.to_string())
}

#[tokio::test]
async fn each_sslmode_checks_what_it_says() {
    for place in places() {
        let Some(server) = place.address() else { continue };
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (authority(), authority());
        let (our_root, their_root) = (
            ours.write(&folder.path().join("a")),
            theirs.write(&folder.path().join("b")),
        );
        let mut fronts = JoinSet::new();
        let right = tls_front(&server, ours.server("127.0.0.1"), &mut fronts).await;
        let other_host = tls_front(&server, ours.server("db.example"), &mut fronts).await;

        let cases = [
            (&right, "sslmode=prefer".to_owned(), true),
            (&right, "sslmode=require".to_owned(), true),
            (&right, "sslmode=disable".to_owned(), false),
            (
                &right,
                format!("sslmode=verify-full&sslrootcert={our_root}"),
                true,
            ),
            (
                &right,
                format!("sslmode=verify-full&sslrootcert={their_root}"),
                false,
            ),
            (&right, "sslmode=verify-full".to_owned(), false),
            (&right, "sslmode=verify-ca&sslrootcert=system".to_owned(), false),
            (&other_host, "sslmode=require".to_owned(), true),
            (
                &other_host,
                format!("sslmode=require&sslrootcert={our_root}"),
                true,
            ),
            (
                &other_host,
                format!("sslmode=require&sslrootcert={their_root}"),
                false,
            ),
            (
                &other_host,
                format!("sslmode=verify-ca&sslrootcert={our_root}"),
                true,
            ),
            (
                &other_host,
                format!("sslmode=verify-ca&sslrootcert={their_root}"),
                false,
            ),
            (
                &other_host,
                format!("sslmode=verify-full&sslrootcert={our_root}"),
                false,
            ),
            // The server itself has no TLS.
            (&server, "sslmode=prefer".to_owned(), true),
            (&server, "sslmode=require".to_owned(), false),
        ];
        for (address, options, expected) in cases {
            let reached = reaches(&place, address, &options).await;
            assert_eq!(reached.is_ok(), expected, "{options}: {reached:?}");
        }
        let missing = reaches(&place, &right, "sslmode=verify-ca&sslrootcert=/nowhere/root.pem").await;
        assert!(missing.unwrap_err().contains("sslrootcert /nowhere/root.pem"));
    }
}
