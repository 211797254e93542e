//! Keep-alive connections that send one request after the other, and what that cost.

use anyhow::{Context as _, bail};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::servers::Process;

/// Longer than any answer takes.
const PATIENCE: Duration = Duration::from_secs(30);

/// What one round took.
pub struct Round {
    /// CPU of the server.
    pub cpu: Duration,
    wall: Duration,
    latencies: Vec<Duration>,
}

/// The figures of several rounds.
pub struct Figures {
    pub cpu_us: f64,
    pub p50_us: f64,
    pub p99_us: f64,
    pub answers_per_second: f64,
}

impl Round {
    /// CPU is a mean over all answers, as work behind them (storing the log) falls into some rounds only. The rest are
    /// medians over rounds.
    pub fn of_all(rounds: &[Self]) -> Figures {
        let answers: usize = rounds.iter().map(|round| round.latencies.len()).sum();
        let cpu: f64 = rounds.iter().map(|round| round.cpu.as_secs_f64()).sum();
        let rate = |round: &Self| round.latencies.len() as f64 / round.wall.as_secs_f64();
        Figures {
            cpu_us: cpu / answers as f64 * 1e6,
            p50_us: median(rounds.iter().map(|round| round.quantile_us(0.5))),
            p99_us: median(rounds.iter().map(|round| round.quantile_us(0.99))),
            answers_per_second: median(rounds.iter().map(rate)),
        }
    }

    fn quantile_us(&self, q: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort_unstable();
        let at = ((sorted.len() - 1) as f64 * q).round() as usize;
        sorted[at].as_secs_f64() * 1e6
    }
}

fn median(values: impl Iterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.collect();
    sorted.sort_unstable_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

/// Sends `requests` requests to `path`, the bodies in turn, over so many connections; waits until the server is quiet.
pub fn drive(
    process: &Process,
    path: &str,
    bodies: &[Vec<u8>],
    connections: usize,
    requests: usize,
) -> anyhow::Result<Round> {
    let requests_each = requests / connections;
    let cpu = process.cpu()?;
    let started = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections)
            .map(|index| {
                scope.spawn(move || -> anyhow::Result<Vec<Duration>> {
                    let mut connection = Connection::open(process.address)?;
                    let bodies = bodies.iter().cycle().skip(index * 7).take(requests_each);
                    bodies.map(|body| connection.post(path, body)).collect()
                })
            })
            .collect();
        let done: anyhow::Result<Vec<Vec<Duration>>> = threads
            .into_iter()
            .map(|thread| thread.join().expect("a connection's thread does not panic"))
            .collect();
        done
    })?;
    let wall = started.elapsed();
    Ok(Round {
        cpu: process.quiet_cpu()?.saturating_sub(cpu),
        wall,
        latencies: latencies.concat(),
    })
}

/// One connection, kept alive.
pub struct Connection {
    stream: BufReader<TcpStream>,
    address: std::net::SocketAddr,
    out: Vec<u8>,
    line: Vec<u8>,
    body: Vec<u8>,
}

impl Connection {
    pub fn open(address: std::net::SocketAddr) -> anyhow::Result<Self> {
        anyhow::ensure!(address.ip().is_loopback(), "{address} is not on this machine");
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self {
            stream: BufReader::with_capacity(64 << 10, stream),
            address,
            out: Vec::new(),
            line: Vec::new(),
            body: Vec::new(),
        })
    }

    /// Posts a body and reads the answer; how long that took.
    fn post(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Duration> {
        self.write("POST", path, body);
        let started = Instant::now();
        self.stream.get_mut().write_all(&self.out)?;
        self.read_answer().with_context(|| format!("POST {path}"))?;
        Ok(started.elapsed())
    }

    /// The body of an answer.
    pub fn get(&mut self, path: &str) -> anyhow::Result<Vec<u8>> {
        self.write("GET", path, &[]);
        self.stream.get_mut().write_all(&self.out)?;
        self.read_answer().with_context(|| format!("GET {path}"))?;
        Ok(self.body.clone())
    }

    /// The body of an answer to a body.
    pub fn ask(&mut self, path: &str, body: &[u8]) -> anyhow::Result<Vec<u8>> {
        self.post(path, body)?;
        Ok(self.body.clone())
    }

    fn write(&mut self, method: &str, path: &str, body: &[u8]) {
        self.out.clear();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.address,
            body.len()
        );
        self.out.extend_from_slice(head.as_bytes());
        self.out.extend_from_slice(body);
    }

    fn read_answer(&mut self) -> anyhow::Result<()> {
        let mut length = 0;
        let mut is_first = true;
        let mut is_good = false;
        loop {
            self.line.clear();
            if self.stream.read_until(b'\n', &mut self.line)? == 0 {
                bail!("the server closed the connection");
            }
            let line = std::str::from_utf8(&self.line)?.trim_end();
            if line.is_empty() {
                break;
            }
            if is_first {
                is_good = line.starts_with("HTTP/1.1 200");
                is_first = false;
            } else if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse()?;
            }
        }
        self.body.resize(length, 0);
        self.stream.read_exact(&mut self.body)?;
        if !is_good {
            bail!("refused: {}", String::from_utf8_lossy(&self.body));
        }
        Ok(())
    }
}
