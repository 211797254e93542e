//! The processes that are measured: Everloop with a trained model, and an axum server that sends bodies back.

use anyhow::{Context as _, bail};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize};
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::load::Connection;

/// The argument that makes this program the echo server.
pub const ECHO: &str = "echo-server";
/// Where it sends bytes back.
pub const ECHO_BYTES: &str = "/bytes";
/// Where it parses a body and writes it again.
pub const ECHO_TYPED: &str = "/typed";

/// Ticks of the system's CPU clock in a second; Linux has told programs 100 on every machine for decades.
const TICKS: u64 = 100;
/// A process that uses less than two ticks in this span is quiet.
const SPAN: Duration = Duration::from_millis(200);
/// Spans that a process may take to become quiet.
const SPANS: usize = 100;

/// A server that was started here and ends with this value.
pub struct Process {
    child: Child,
    pub address: SocketAddr,
}

impl Process {
    /// Starts it and reads its address from the end of its first line.
    fn start(command: &mut Command) -> anyhow::Result<Self> {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().context("its output is a pipe")?).read_line(&mut line)?;
        let address = line.trim().rsplit("//").next().unwrap_or_default();
        match address.parse() {
            Ok(address) => Ok(Self { child, address }),
            Err(_) => {
                child.kill()?;
                child.wait()?;
                bail!("the server did not start; it said \"{}\"", line.trim())
            }
        }
    }

    /// User and system time so far, of all threads.
    pub fn cpu(&self) -> anyhow::Result<Duration> {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id()))
            .context("this bench reads the figures that Linux keeps of a process")?;
        // The name in brackets may hold spaces; user and system time are the 14th and 15th field.
        let fields = stat.rsplit(')').next().unwrap_or_default();
        let ticks: u64 = fields
            .split_ascii_whitespace()
            .skip(11)
            .take(2)
            .filter_map(|field| field.parse::<u64>().ok())
            .sum();
        Ok(Duration::from_millis(ticks * 1000 / TICKS))
    }

    /// As [`cpu`](Self::cpu), once the process has nothing more to do.
    pub fn quiet_cpu(&self) -> anyhow::Result<Duration> {
        let mut before = self.cpu()?;
        for _ in 0..SPANS {
            #[expect(
                clippy::disallowed_methods,
                reason = "a measurement waits for the other process to rest"
            )]
            std::thread::sleep(SPAN);
            let now = self.cpu()?;
            if (now - before).as_millis() < 20 {
                return Ok(now);
            }
            before = now;
        }
        bail!("the server is busy without being asked")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It is ours alone and keeps nothing that anybody needs.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A project whose model is asked.
pub struct Project {
    /// Before the names of its requests.
    pub label: &'static str,
    pub endpoint: &'static str,
    /// What the learner leaves out.
    exclude: &'static str,
}

impl Project {
    /// The demo's: 16 numbers and 4 texts.
    pub const FLIGHTS: Self = Self {
        label: "",
        endpoint: "flight-delay",
        exclude: "flight_id",
    };
    /// Its texts alone.
    pub const TEXTS: Self = Self {
        label: "text-",
        endpoint: "flight-delay",
        exclude: "flight_id, hour, minute, dow, distance, temp, dewp, humid, wind_dir, wind_speed, wind_gust, precip, \
                  pressure, visib, plane_year, seats",
    };

    /// Makes the project in `home`, trains its model, releases it, and serves it.
    pub fn start(&self, program: &Path, home: &Path) -> anyhow::Result<Server> {
        let command = || command(program, home);
        let everloop = |args: &[&str]| -> anyhow::Result<()> {
            let output = command().args(args).output()?;
            if !output.status.success() {
                bail!(
                    "everloop {}: {}",
                    args.join(" "),
                    String::from_utf8_lossy(&output.stderr)
                );
            }
            Ok(())
        };
        everloop(&["init", "--from-template", "flights"])?;
        let path = home.join("everloop.yaml");
        let template = std::fs::read_to_string(&path)?;
        let file = template.replace("exclude: [flight_id]", &format!("exclude: [{}]", self.exclude));
        std::fs::write(&path, file)?;
        everloop(&["retrain"])?;
        let process = Process::start(command().args(["server", "--listen", "127.0.0.1:0"]))?;
        Ok(Server { process })
    }
}

fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("USER", "bench")
        .env("EVERLOOP_LOG", "warn")
        .current_dir(home);
    command
}

/// The program, with a model behind an endpoint.
pub struct Server {
    pub process: Process,
}

impl Server {
    pub fn connect(&self) -> anyhow::Result<Connection> {
        Connection::open(self.process.address)
    }

    /// Has the open segment of the prediction log stored; the CPU that took.
    pub fn seal(&self) -> anyhow::Result<Duration> {
        let before = self.process.cpu()?;
        // Looking for a prediction makes everything that was answered so far readable first.
        let missing = self.connect()?.get("/api/v1/predictions/nobody");
        anyhow::ensure!(missing.is_err(), "nobody has no prediction");
        Ok(self.process.quiet_cpu()?.saturating_sub(before))
    }
}

/// The server that sends bodies back.
pub struct Echo {
    pub process: Process,
}

impl Echo {
    pub fn start() -> anyhow::Result<Self> {
        let this = std::env::current_exe()?;
        Ok(Self {
            process: Process::start(Command::new(this).arg(ECHO))?,
        })
    }
}

/// A request of either kind as types.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Typed {
    Inputs(Vec<Tensor>),
    DataframeSplit {
        columns: Vec<String>,
        data: Vec<Vec<Cell>>,
    },
}

#[derive(Serialize, Deserialize)]
struct Tensor {
    name: String,
    shape: Vec<i64>,
    datatype: String,
    data: Vec<Cell>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Cell {
    Number(f64),
    Text(String),
    Missing,
}

impl<'de> Deserialize<'de> for Cell {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyCell)
    }
}

struct AnyCell;

impl Visitor<'_> for AnyCell {
    type Value = Cell;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a number, a text or null")
    }

    fn visit_f64<E>(self, value: f64) -> Result<Cell, E> {
        Ok(Cell::Number(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Cell, E> {
        Ok(Cell::Number(value as f64))
    }

    fn visit_str<E>(self, value: &str) -> Result<Cell, E> {
        Ok(Cell::Text(value.to_owned()))
    }

    fn visit_unit<E>(self) -> Result<Cell, E> {
        Ok(Cell::Missing)
    }
}

/// Answers until it is killed.
pub fn run_echo() -> anyhow::Result<()> {
    let router = Router::new()
        .route(ECHO_BYTES, post(async |body: Bytes| body))
        .route(ECHO_TYPED, post(async |Json(body): Json<Typed>| Json(body)));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let socket = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        println!("echo listening on http://{}", socket.local_addr()?);
        let listener = axum::serve::ListenerExt::tap_io(socket, |stream| {
            // As the server it is compared with does.
            let _ = stream.set_nodelay(true);
        });
        axum::serve(listener, router).await?;
        Ok(())
    })
}
