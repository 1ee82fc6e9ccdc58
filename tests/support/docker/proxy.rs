//! A socket between a manager and an engine, on which any request can be stopped: before it is passed on, or when its answer has
//! come. All else is passed on byte for byte, upgraded connections too.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Longest wait for a request.
const PATIENCE: Duration = Duration::from_secs(60);

/// Where a request is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// The engine has not heard of it.
    Before,
    /// The engine has done it, and its answer is held back.
    After,
}

/// A proxy. It ends with the test.
pub struct Proxy {
    shared: Arc<Shared>,
    dir: tempfile::TempDir,
}

/// A request that is to be stopped.
pub struct Halt {
    shared: Arc<Shared>,
    number: usize,
}

struct Shared {
    engine: PathBuf,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    stops: Vec<Stop>,
    /// Connections with the head of their newest request.
    open: Vec<Connection>,
    /// Heads of all requests.
    heads: Vec<String>,
}

struct Connection {
    head: String,
    ends: [UnixStream; 2],
}

struct Stop {
    when: When,
    method: String,
    part: String,
    /// So many that match are let through first.
    passes: u32,
    /// The request that is stopped: its number.
    request: Option<usize>,
    is_there: bool,
    verdict: Option<Verdict>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Pass,
    Drop,
}

impl Proxy {
    /// One before the engine with this socket.
    pub fn before(engine: &Path) -> Proxy {
        let dir = tempfile::Builder::new().prefix("airx-proxy-").tempdir_in("/tmp").expect("a directory");
        let shared = Shared { engine: engine.to_owned(), state: Mutex::default(), changed: Condvar::new() };
        let (shared, listener) = (Arc::new(shared), UnixListener::bind(dir.path().join("s")).expect("a socket"));
        let accepting = shared.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let shared = accepting.clone();
                std::thread::spawn(move || drop(shared.serve(client)));
            }
        });
        Proxy { shared, dir }
    }

    /// For a pool's `host:`.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket().display())
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    /// Stops the next request whose method is this and whose path holds `part`.
    pub fn stop_at(&self, when: When, method: &str, part: &str) -> Halt {
        self.stop_at_later(when, method, part, 0)
    }

    /// The same, after so many others.
    pub fn stop_at_later(&self, when: When, method: &str, part: &str, passes: u32) -> Halt {
        let mut state = self.shared.state();
        state.stops.push(Stop {
            when,
            method: method.to_owned(),
            part: part.to_owned(),
            passes,
            request: None,
            is_there: false,
            verdict: None,
        });
        Halt { shared: self.shared.clone(), number: state.stops.len() - 1 }
    }

    /// How many requests there were of this method and with this part in their paths.
    pub fn count(&self, method: &str, part: &str) -> usize {
        self.shared.state().heads.iter().filter(|head| fits(head, method, part)).count()
    }

    /// Cuts the connections whose newest request is such a one; how many there were.
    pub fn cut(&self, method: &str, part: &str) -> usize {
        let state = self.shared.state();
        let cut = state.open.iter().filter(|connection| fits(&connection.head, method, part));
        cut.map(|connection| connection.ends.iter().for_each(|end| drop(end.shutdown(Shutdown::Both)))).count()
    }
}

impl Halt {
    /// Waits until the request is there.
    pub fn reached(&self) {
        let deadline = Instant::now() + PATIENCE;
        let mut state = self.shared.state();
        while !state.stops[self.number].is_there {
            let stop = &state.stops[self.number];
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no request {} …{}… came; there were {:#?}", stop.method, stop.part, state.heads);
            state = self.shared.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Whether it is there.
    pub fn is_reached(&self) -> bool {
        self.shared.state().stops[self.number].is_there
    }

    /// Lets it go on.
    pub fn let_go(&self) {
        self.decide(Verdict::Pass);
    }

    /// Closes its connection.
    pub fn drop_it(&self) {
        self.decide(Verdict::Drop);
    }

    fn decide(&self, verdict: Verdict) {
        self.shared.state().stops[self.number].verdict = Some(verdict);
        self.shared.changed.notify_all();
    }
}

fn fits(head: &str, method: &str, part: &str) -> bool {
    head.split_once(' ').is_some_and(|(found, path)| found == method && path.contains(part))
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Requests of one connection, one after another.
    fn serve(self: &Arc<Shared>, mut client: UnixStream) -> io::Result<()> {
        let mut engine = UnixStream::connect(&self.engine)?;
        let number = {
            let mut state = self.state();
            state.open.push(Connection { head: String::new(), ends: [client.try_clone()?, engine.try_clone()?] });
            state.open.len() - 1
        };
        let (shared, back) = (self.clone(), (engine.try_clone()?, client.try_clone()?));
        std::thread::spawn(move || shared.answers(number, back.0, back.1));
        let served = self.requests(number, &mut client, &mut engine);
        let _ = engine.shutdown(if served.is_ok() { Shutdown::Write } else { Shutdown::Both });
        if served.is_err() {
            let _ = client.shutdown(Shutdown::Both);
        }
        served
    }

    fn requests(&self, connection: usize, client: &mut UnixStream, engine: &mut UnixStream) -> io::Result<()> {
        let mut bytes = Vec::new();
        loop {
            let end = loop {
                if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
                    break end + 4;
                }
                if !more(client, &mut bytes)? {
                    return Ok(());
                }
            };
            let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
            self.arrived(connection, head.lines().next().unwrap_or_default())?;
            engine.write_all(&bytes[..end])?;
            bytes.drain(..end);
            let lower = head.to_lowercase();
            let field = |name: &str| lower.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
            if field("upgrade:").is_some() {
                engine.write_all(&bytes)?;
                return io::copy(client, engine).map(drop);
            }
            if field("transfer-encoding:").is_some_and(|coding| coding.contains("chunked")) {
                chunks(client, engine, &mut bytes)?;
            } else {
                let length = field("content-length:").and_then(|length| length.parse().ok()).unwrap_or(0);
                pass(client, engine, &mut bytes, length)?;
            }
        }
    }

    /// Waits, when the request is to be stopped before it is passed on.
    fn arrived(&self, connection: usize, line: &str) -> io::Result<()> {
        let mut state = self.state();
        state.open[connection].head = line.to_owned();
        state.heads.push(line.to_owned());
        let waits = |stop: &&mut Stop| stop.request.is_none() && fits(line, &stop.method, &stop.part);
        let Some(stop) = state.stops.iter_mut().find(waits) else { return Ok(()) };
        if stop.passes > 0 {
            stop.passes -= 1;
            return Ok(());
        }
        stop.request = Some(connection);
        if stop.when == When::After {
            return Ok(());
        }
        self.hold(state, connection, When::Before)
    }

    fn hold(&self, mut state: MutexGuard<'_, State>, connection: usize, when: When) -> io::Result<()> {
        let find = |stop: &Stop| stop.request == Some(connection) && stop.when == when && stop.verdict != Some(Verdict::Pass);
        let Some(number) = state.stops.iter().position(find) else { return Ok(()) };
        state.stops[number].is_there = true;
        self.changed.notify_all();
        loop {
            match state.stops[number].verdict {
                Some(Verdict::Pass) => return Ok(()),
                Some(Verdict::Drop) => return Err(io::ErrorKind::ConnectionAborted.into()),
                None => state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }

    fn answers(&self, connection: usize, mut engine: UnixStream, mut client: UnixStream) {
        let mut bytes = vec![0; 64 << 10];
        loop {
            let count = engine.read(&mut bytes).unwrap_or(0);
            if self.hold(self.state(), connection, When::After).is_err() {
                let _ = engine.shutdown(Shutdown::Both);
                let _ = client.shutdown(Shutdown::Both);
                return;
            }
            if count == 0 || client.write_all(&bytes[..count]).is_err() {
                // Nobody speaks any more, or nobody listens.
                let _ = engine.shutdown(Shutdown::Both);
                let _ = client.shutdown(if count == 0 { Shutdown::Both } else { Shutdown::Read });
                return;
            }
        }
    }
}

/// Reads once; whether anything came.
fn more(from: &mut UnixStream, bytes: &mut Vec<u8>) -> io::Result<bool> {
    let mut piece = [0; 16 << 10];
    let count = from.read(&mut piece)?;
    bytes.extend_from_slice(&piece[..count]);
    Ok(count > 0)
}

fn pass(client: &mut UnixStream, engine: &mut UnixStream, bytes: &mut Vec<u8>, mut length: usize) -> io::Result<()> {
    while length > 0 {
        if bytes.is_empty() && !more(client, bytes)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let count = bytes.len().min(length);
        engine.write_all(&bytes[..count])?;
        bytes.drain(..count);
        length -= count;
    }
    Ok(())
}

/// A body in chunks, each with its length before it.
fn chunks(client: &mut UnixStream, engine: &mut UnixStream, bytes: &mut Vec<u8>) -> io::Result<()> {
    loop {
        let end = loop {
            if let Some(end) = bytes.windows(2).position(|part| part == b"\r\n") {
                break end;
            }
            if !more(client, bytes)? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        };
        let text = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = usize::from_str_radix(text.trim(), 16).map_err(|_| io::ErrorKind::InvalidData)?;
        // With the lines' ends around it.
        pass(client, engine, bytes, end + 2 + length + 2)?;
        if length == 0 {
            return Ok(());
        }
    }
}
