//! The server's certificate and key, looked over before anyone connects.

use everloop_core::{Code, Coded, Timestamp};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// A certificate chain and its key, as PEM files.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, the server's own first.
    pub certificate: PathBuf,
    /// The private key.
    pub key: PathBuf,
}

/// Why a certificate and key can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// A file can't be read.
    #[error("can't read the {what} \"{}\"", path.display())]
    Read {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A file does not hold what it should.
    #[error("\"{}\" holds no {what}: {problem}", path.display())]
    Content {
        /// Certificate or key.
        what: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The key belongs to another certificate.
    #[error("key \"{}\" is not that of certificate \"{}\"", tls.key.display(), tls.certificate.display())]
    Mismatch {
        /// The files.
        tls: Tls,
    },
    /// The certificate's time is over.
    #[error("certificate \"{}\" expired at {at}", path.display())]
    Expired {
        /// The file.
        path: PathBuf,
        /// When.
        at: Timestamp,
    },
    /// The certificate's time has not come.
    #[error("certificate \"{}\" is not valid before {at}", path.display())]
    NotYetValid {
        /// The file.
        path: PathBuf,
        /// When it will be.
        at: Timestamp,
    },
}

impl Coded for TlsError {
    fn code(&self) -> Code {
        Code::InvalidArgument
    }

    fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Read { .. } => "check the path and who may read it",
            Self::Content { .. } => "give a PEM certificate chain and its PEM key without a password",
            Self::Mismatch { .. } => "give the key that the certificate was made for",
            Self::Expired { .. } => "get a new certificate",
            Self::NotYetValid { .. } => "check this machine's clock",
        };
        Some(hint.to_owned())
    }
}

impl Tls {
    /// Reads both files and looks whether they belong together and hold at `now`. Offers HTTP/2 and HTTP/1.1. Blocks.
    ///
    /// # Errors
    /// When a file is missing or holds something else, the key is another's, or the certificate's time is over.
    pub fn load(&self, now: Timestamp) -> Result<ServerConfig, TlsError> {
        let chain = self.chain()?;
        let key = self.private_key()?;
        check_time(&self.certificate, &chain, now)?;
        let config = ServerConfig::builder().with_no_client_auth();
        let mut config = config.with_single_cert(chain, key).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch { tls: self.clone() },
            rustls::Error::InvalidCertificate(problem) => content("certificate", &self.certificate, problem),
            other => content("key", &self.key, other),
        })?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(config)
    }

    fn chain(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let (what, path) = ("certificate", self.certificate.as_path());
        let text = read(what, path)?;
        let chain = CertificateDer::pem_slice_iter(&text).collect::<Result<Vec<_>, _>>();
        let chain = chain.map_err(|error| content(what, path, words(&error)))?;
        if chain.is_empty() {
            return Err(content(
                what,
                path,
                "there is no PEM section \"CERTIFICATE\" in it",
            ));
        }
        Ok(chain)
    }

    fn private_key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let (what, path) = ("key", self.key.as_path());
        let text = read(what, path)?;
        PrivateKeyDer::from_pem_slice(&text).map_err(|error| {
            let is_locked = text.windows(9).any(|part| part == b"ENCRYPTED");
            match error {
                pem::Error::NoItemsFound if is_locked => content(what, path, "it is locked with a password"),
                pem::Error::NoItemsFound => {
                    content(what, path, "there is no PEM section \"PRIVATE KEY\" in it")
                }
                other => content(what, path, words(&other)),
            }
        })
    }
}

fn read(what: &'static str, path: &Path) -> Result<Vec<u8>, TlsError> {
    std::fs::read(path).map_err(|source| TlsError::Read {
        what,
        path: path.to_owned(),
        source,
    })
}

fn content(what: &'static str, path: &Path, problem: impl ToString) -> TlsError {
    TlsError::Content {
        what,
        path: path.to_owned(),
        problem: problem.to_string(),
    }
}

/// What is wrong with a PEM file, without its content: that may be a key.
fn words(error: &pem::Error) -> &'static str {
    match error {
        pem::Error::MissingSectionEnd { .. } => "a PEM section does not end",
        pem::Error::Base64Decode(_) => "a PEM section is not base64",
        _ => "it is not PEM",
    }
}

/// Asks the verifier that clients use, with the certificate as its own authority: it looks at the time before it looks
/// at anything else, and only what it says of the time counts here.
fn check_time(path: &Path, chain: &[CertificateDer<'static>], now: Timestamp) -> Result<(), TlsError> {
    let [own, others @ ..] = chain else { return Ok(()) };
    let mut roots = RootCertStore::empty();
    roots
        .add(own.clone())
        .map_err(|error| content("certificate", path, error))?;
    let Ok(verifier) = WebPkiServerVerifier::builder(Arc::new(roots)).build() else {
        return Ok(());
    };
    let since = Duration::from_millis(u64::try_from(now.millis()).unwrap_or_default());
    let now = UnixTime::since_unix_epoch(since);
    let anyone = ServerName::try_from("localhost").expect("a name by the rules");
    let path = path.to_owned();
    match verifier.verify_server_cert(own, others, &anyone, &[], now) {
        Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext { not_after, .. })) => {
            Err(TlsError::Expired {
                path,
                at: moment(not_after),
            })
        }
        Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
            not_before, ..
        })) => Err(TlsError::NotYetValid {
            path,
            at: moment(not_before),
        }),
        _ => Ok(()),
    }
}

fn moment(at: UnixTime) -> Timestamp {
    Timestamp(i64::try_from(at.as_secs().saturating_mul(1_000)).unwrap_or(i64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair};

    struct Files {
        _folder: tempfile::TempDir,
        tls: Tls,
    }

    fn files(certificate: &str, key: &str) -> Files {
        let folder = tempfile::tempdir().unwrap();
        let tls = Tls {
            certificate: folder.path().join("cert.pem"),
            key: folder.path().join("key.pem"),
        };
        std::fs::write(&tls.certificate, certificate).unwrap();
        std::fs::write(&tls.key, key).unwrap();
        Files { _folder: folder, tls }
    }

    fn made() -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2030, 1, 1);
        (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn provider() {
        // Another test may have been first.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }

    #[test]
    fn each_mistake_is_told_apart() {
        provider();
        let ((cert, key), (_, other)) = (made(), made());
        let at = |year: i64| Timestamp((year - 1970) * 31_557_600_000);
        let check = |certificate: &str, key: &str, now: Timestamp, expected: &str| {
            let files = files(certificate, key);
            let error = files.tls.load(now).unwrap_err();
            let folder = files.tls.key.parent().unwrap().display().to_string();
            let text = error.to_string().replace(&format!("{folder}/"), "");
            assert_eq!(text, expected);
            assert!(error.hint().is_some(), "{text}");
        };
        assert!(files(&cert, &key).tls.load(at(2025)).is_ok());
        check(
            &cert,
            &other,
            at(2025),
            "key \"key.pem\" is not that of certificate \"cert.pem\"",
        );
        check(
            &cert,
            &key,
            at(2031),
            "certificate \"cert.pem\" expired at 2030-01-01T00:00:00.000Z",
        );
        check(
            &cert,
            &key,
            at(2019),
            "certificate \"cert.pem\" is not valid before 2020-01-01T00:00:00.000Z",
        );
        check(
            &key,
            &key,
            at(2025),
            "\"cert.pem\" holds no certificate: there is no PEM section \"CERTIFICATE\" in it",
        );
        check(
            &cert,
            &cert,
            at(2025),
            "\"key.pem\" holds no key: there is no PEM section \"PRIVATE KEY\" in it",
        );
        let locked = key.replace("PRIVATE KEY", "ENCRYPTED PRIVATE KEY");
        check(
            &cert,
            &locked,
            at(2025),
            "\"key.pem\" holds no key: it is locked with a password",
        );
        let cut = &cert[..cert.len() / 2];
        check(
            cut,
            &key,
            at(2025),
            "\"cert.pem\" holds no certificate: a PEM section does not end",
        );
    }

    #[test]
    fn a_missing_file_is_named() {
        provider();
        let (cert, key) = made();
        let files = files(&cert, &key);
        std::fs::remove_file(&files.tls.key).unwrap();
        let error = files.tls.load(Timestamp(0)).unwrap_err();
        assert!(matches!(error, TlsError::Read { what: "key", .. }), "{error}");
    }
}
