//! Binding a port, answering on it, and leaving it without dropping a request.

use axum::Router;
use axum_server::Handle;
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use everloop_core::{Code, Coded, Timestamp};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{Tls, TlsError};

/// How long open requests may take to end once the server was told to stop.
const DRAIN: Duration = Duration::from_secs(20);

/// Why the server can't listen.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The address is taken, or not ours.
    #[error("can't listen on {address}")]
    Bind {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The certificate or key can't be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The socket failed while the server ran.
    #[error("the listening socket failed")]
    Socket(#[from] std::io::Error),
}

impl Coded for ListenError {
    fn code(&self) -> Code {
        match self {
            Self::Bind { .. } => Code::Unavailable,
            Self::Tls(error) => error.code(),
            Self::Socket(_) => Code::Internal,
        }
    }

    fn hint(&self) -> Option<String> {
        match self {
            Self::Bind { .. } => {
                Some("choose another port with --listen, or 127.0.0.1:0 for any free one".to_owned())
            }
            Self::Tls(error) => error.hint(),
            Self::Socket(_) => None,
        }
    }
}

/// A bound port that does not answer yet.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
    address: SocketAddr,
    tls: Option<RustlsConfig>,
}

impl Listener {
    /// Binds `address`; port 0 picks a free one. With `tls` it answers HTTPS only; `now` is held against the
    /// certificate.
    ///
    /// # Errors
    /// [`ListenError::Tls`] when the certificate can't be used, [`ListenError::Bind`] when the address can't be had.
    pub async fn bind(address: SocketAddr, tls: Option<&Tls>, now: Timestamp) -> Result<Self, ListenError> {
        let tls = tls.map(|tls| tls.load(now)).transpose()?;
        let tls = tls.map(|config| RustlsConfig::from_config(Arc::new(config)));
        let bind = |source| ListenError::Bind { address, source };
        let socket = TcpListener::bind(address).await.map_err(bind)?;
        let address = socket.local_addr().map_err(bind)?;
        Ok(Self { socket, address, tls })
    }

    /// The address that was bound.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The address as people type it.
    #[must_use]
    pub fn url(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }
}

/// Answers on `listener` until `stop`; then takes no new connections, lets open requests end, and returns.
///
/// # Errors
/// When the socket fails.
pub async fn serve(listener: Listener, router: Router, stop: CancellationToken) -> Result<(), ListenError> {
    let handle = Handle::new();
    let drain = {
        let handle = handle.clone();
        async move {
            stop.cancelled().await;
            handle.graceful_shutdown(Some(DRAIN));
        }
    };
    let answer = answer(listener, router, handle);
    tokio::pin!(answer);
    tokio::select! {
        ended = &mut answer => ended,
        () = drain => answer.await,
    }
}

async fn answer(listener: Listener, router: Router, handle: Handle<SocketAddr>) -> Result<(), ListenError> {
    let service = router.into_make_service_with_connect_info::<SocketAddr>();
    let socket = listener.socket.into_std()?;
    match listener.tls {
        None => {
            // Answers are small and written at once: waiting to fill a packet only adds latency.
            let acceptor = axum_server::accept::NoDelayAcceptor::new();
            axum_server::from_tcp(socket)?
                .acceptor(acceptor)
                .handle(handle)
                .serve(service)
                .await?;
        }
        Some(config) => {
            let plain = axum_server::accept::NoDelayAcceptor::new();
            let acceptor = RustlsAcceptor::new(config).acceptor(plain);
            axum_server::from_tcp(socket)?
                .acceptor(acceptor)
                .handle(handle)
                .serve(service)
                .await?;
        }
    }
    Ok(())
}
