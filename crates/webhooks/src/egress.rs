//! The one way out: resolve, check, pin, send, read nothing.
//!
//! The host's addresses are looked up once and checked, and the connection goes to a checked one: a name that answers
//! differently a moment later (DNS rebinding) changes nothing. Redirects are answers like any other, proxies of the
//! environment are not asked, and the answer's body is never read.

use reqwest::redirect::Policy;
use std::error::Error as _;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;
use std::time::Duration;
use url::{Host, Url};

use crate::address::{Reach, reach};

/// How long finding a host may take.
const RESOLVE: Duration = Duration::from_secs(5);
/// How long a connection may take.
const CONNECT: Duration = Duration::from_secs(5);
/// How long all of it may take.
const WHOLE: Duration = Duration::from_secs(10);

/// What may be reached beyond public addresses over https.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Allow {
    /// Connections that anyone on the way can read.
    pub http: bool,
    /// This machine and its network.
    pub private: bool,
}

/// A word that allows nothing.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("webhooks can't be allowed \"{0}\"")]
pub struct UnknownAllowance(pub String);

impl FromStr for Allow {
    type Err = UnknownAllowance;

    /// Reads words with commas between them: `http`, `private`.
    fn from_str(text: &str) -> Result<Self, UnknownAllowance> {
        let mut allow = Self::default();
        for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
            match word {
                "http" => allow.http = true,
                "private" => allow.private = true,
                other => return Err(UnknownAllowance(other.to_owned())),
            }
        }
        Ok(allow)
    }
}

/// What a receiver said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) status: u16,
    /// How long it wants to be left alone.
    pub(crate) retry_after: Option<Duration>,
}

/// Why nothing was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotSent {
    /// It must not be sent there; sending again changes nothing.
    Refused(String),
    /// It may work another time.
    Failed(String),
}

/// Sends messages to where they may go.
#[derive(Debug, Clone, Copy)]
pub struct Egress {
    allow: Allow,
}

impl Egress {
    /// A way out to what `allow` says.
    #[must_use]
    pub fn new(allow: Allow) -> Self {
        Self { allow }
    }

    /// Posts JSON and answers the status.
    pub(crate) async fn post(
        &self,
        url: &Url,
        headers: &[(&'static str, String)],
        body: Vec<u8>,
    ) -> Result<Said, NotSent> {
        if url.scheme() != "https" && !(url.scheme() == "http" && self.allow.http) {
            return Err(NotSent::Refused(
                "plain http is not allowed: start the server with --webhooks-allow http".to_owned(),
            ));
        }
        let mut builder = reqwest::Client::builder()
            .no_proxy()
            .redirect(Policy::none())
            .connect_timeout(CONNECT)
            .timeout(WHOLE)
            .user_agent(concat!("everloop/", env!("CARGO_PKG_VERSION")));
        match self.addresses(url).await? {
            Pinned::Written => {}
            Pinned::Resolved { name, addresses } => builder = builder.resolve_to_addrs(&name, &addresses),
        }
        let client = builder.build().map_err(|error| failed(&error))?;
        let mut request = client
            .post(url.clone())
            .header("content-type", "application/json")
            .body(body);
        for (name, value) in headers {
            request = request.header(*name, value);
        }
        let answer = request.send().await.map_err(|error| failed(&error))?;
        let retry_after = answer.headers().get("retry-after").and_then(|value| {
            let seconds: u64 = value.to_str().ok()?.trim().parse().ok()?;
            Some(Duration::from_secs(seconds))
        });
        Ok(Said {
            status: answer.status().as_u16(),
            retry_after,
        })
    }

    /// The addresses of the host that may be reached.
    async fn addresses(&self, url: &Url) -> Result<Pinned, NotSent> {
        let name = match url.host() {
            Some(Host::Ipv4(address)) => return self.check(IpAddr::V4(address)).map(|()| Pinned::Written),
            Some(Host::Ipv6(address)) => return self.check(IpAddr::V6(address)).map(|()| Pinned::Written),
            Some(Host::Domain(name)) => name.to_owned(),
            None => return Err(NotSent::Refused("the address has no host".to_owned())),
        };
        let port = url.port_or_known_default().unwrap_or(443);
        let found = look_up(&name, port).await?;
        let mut refused = NotSent::Failed("the host was not found".to_owned());
        let mut addresses = Vec::new();
        for address in found {
            match self.check(address.ip()) {
                Ok(()) => addresses.push(address),
                Err(why) => refused = why,
            }
        }
        match addresses.is_empty() {
            true => Err(refused),
            false => Ok(Pinned::Resolved { name, addresses }),
        }
    }

    fn check(&self, address: IpAddr) -> Result<(), NotSent> {
        match reach(address) {
            Reach::Public => Ok(()),
            Reach::Private if self.allow.private => Ok(()),
            Reach::Private => Err(NotSent::Refused(
                "the host is at a private address: start the server with --webhooks-allow private".to_owned(),
            )),
            Reach::Never => Err(NotSent::Refused(
                "the host is at an address that is never sent to".to_owned(),
            )),
        }
    }
}

async fn look_up(name: &str, port: u16) -> Result<Vec<SocketAddr>, NotSent> {
    match tokio::time::timeout(RESOLVE, tokio::net::lookup_host((name, port))).await {
        Ok(Ok(found)) => Ok(found.collect()),
        Ok(Err(_)) => Err(NotSent::Failed("the host was not found".to_owned())),
        Err(_) => Err(NotSent::Failed("looking up the host took too long".to_owned())),
    }
}

/// Where the connection goes.
enum Pinned {
    /// The address stands in the URL; there is no name to look up.
    Written,
    /// Only these of the name.
    Resolved {
        name: String,
        addresses: Vec<SocketAddr>,
    },
}

/// In words that hold no address: it may hold secrets.
fn failed(error: &reqwest::Error) -> NotSent {
    if error.is_timeout() {
        return NotSent::Failed(format!("no answer within {} s", WHOLE.as_secs()));
    }
    let mut cause = error.source();
    let mut deepest = None;
    while let Some(inner) = cause {
        deepest = Some(inner.to_string());
        cause = inner.source();
    }
    let what = match error.is_connect() {
        true => "can't connect",
        false => "the connection broke off",
    };
    NotSent::Failed(match deepest {
        Some(deepest) => format!("{what}: {deepest}"),
        None => what.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn allowances_are_read() {
        let both = Allow {
            http: true,
            private: true,
        };
        assert_eq!("http, private".parse(), Ok(both));
        assert_eq!("".parse(), Ok(Allow::default()));
        assert_eq!(
            "https".parse::<Allow>(),
            Err(UnknownAllowance("https".to_owned()))
        );
    }

    async fn refused(url: &str, allow: &str) {
        let egress = Egress::new(allow.parse().unwrap());
        let sent = egress.post(&Url::parse(url).unwrap(), &[], Vec::new()).await;
        assert!(
            matches!(sent, Err(NotSent::Refused(_))),
            "{url} with \"{allow}\": {sent:?}"
        );
    }

    #[tokio::test]
    async fn inner_addresses_are_refused_however_they_are_written() {
        for url in [
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://localhost/",
            "https://169.254.169.254/latest/meta-data",
        ] {
            refused(url, "http").await;
        }
    }

    #[tokio::test]
    async fn plain_http_and_metadata_need_more_than_one_word() {
        refused("http://1.1.1.1/", "").await;
        refused("http://1.1.1.1/", "private").await;
        for url in [
            "http://169.254.169.254/",
            "http://[fd00:ec2::254]/",
            "http://0.0.0.0/",
        ] {
            refused(url, "http,private").await;
        }
    }
}
