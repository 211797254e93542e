//! Stands between us and Postgres and breaks connections at chosen moments, or speaks TLS for it.

use std::sync::Arc;

use parking_lot::Mutex;
use rustls::ServerConfig;
use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// When to break a connection: once, at the first message that holds the mark.
#[derive(Debug, Clone, Copy)]
pub enum Fault {
    /// Before the server gets the message.
    Before(&'static str),
    /// After the server has answered it, before we get the answer.
    After(&'static str),
}

/// A way to the server that can be broken.
pub struct Proxy {
    pub address: String,
    fault: Arc<Mutex<Option<Fault>>>,
    cut: watch::Sender<u32>,
    _tasks: JoinSet<()>,
}

impl Proxy {
    pub async fn start(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let fault = Arc::new(Mutex::new(None));
        let cut = watch::Sender::new(0);
        let mut tasks = JoinSet::new();
        let (server, faults, cuts) = (server.to_owned(), Arc::clone(&fault), cut.clone());
        tasks.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let Ok(server) = TcpStream::connect(&server).await else {
                    break;
                };
                let (faults, mut cuts) = (Arc::clone(&faults), cuts.subscribe());
                connections.spawn(async move {
                    tokio::select! {
                        () = forward(client, server, &faults) => {}
                        _ = cuts.changed() => {}
                    }
                });
            }
        });
        Self {
            address,
            fault,
            cut,
            _tasks: tasks,
        }
    }

    /// Breaks the connection that first says the mark.
    pub fn arm(&self, fault: Fault) {
        *self.fault.lock() = Some(fault);
    }

    /// Whether the fault has happened.
    pub fn has_struck(&self) -> bool {
        self.fault.lock().is_none()
    }

    /// Breaks all connections there are.
    pub fn cut_all(&self) {
        self.cut.send_modify(|cuts| *cuts += 1);
    }
}

/// Copies both ways until an end closes or the fault strikes.
async fn forward(mut client: TcpStream, mut server: TcpStream, fault: &Mutex<Option<Fault>>) {
    let (mut up, mut down) = ([0; 65_536], [0; 65_536]);
    loop {
        tokio::select! {
            read = client.read(&mut up) => {
                let Ok(n @ 1..) = read else { return };
                let struck = strike(&up[..n], fault);
                if matches!(struck, Some(Fault::Before(_))) || server.write_all(&up[..n]).await.is_err() {
                    return;
                }
                if struck.is_some() {
                    // The answer has come: whatever the message asked for is done.
                    let _ = server.read(&mut down).await;
                    return;
                }
            }
            read = server.read(&mut down) => {
                let Ok(n @ 1..) = read else { return };
                if client.write_all(&down[..n]).await.is_err() {
                    return;
                }
            }
        }
    }
}

fn strike(message: &[u8], fault: &Mutex<Option<Fault>>) -> Option<Fault> {
    let mut armed = fault.lock();
    let (Fault::Before(mark) | Fault::After(mark)) = (*armed)?;
    let holds = message.windows(mark.len()).any(|part| part == mark.as_bytes());
    if holds { armed.take() } else { None }
}

/// Speaks TLS, and only TLS, in front of a server; answers its address.
pub async fn tls_front(server: &str, config: Arc<ServerConfig>, tasks: &mut JoinSet<()>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = server.to_owned();
    let acceptor = TlsAcceptor::from(config);
    tasks.spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((client, _)) = listener.accept().await {
            let (server, acceptor) = (server.clone(), acceptor.clone());
            connections.spawn(async move {
                // Errors end the connection, which is what the tests look at.
                let _ = serve_tls(client, &server, acceptor).await;
            });
        }
    });
    address
}

async fn serve_tls(mut client: TcpStream, server: &str, acceptor: TlsAcceptor) -> std::io::Result<()> {
    let mut request = [0; 8];
    client.read_exact(&mut request).await?;
    // The request for TLS: its length and a number that is no version of the protocol.
    if request != [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f] {
        return Ok(());
    }
    client.write_all(b"S").await?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(server).await?;
    copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
