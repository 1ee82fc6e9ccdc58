//! The manager's two sockets, served by one thread of its own.

mod task;

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener as StdListener;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use serde::Serialize;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::unix::OwnedWriteHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{oneshot, watch};
use tokio::time::timeout;

use crate::manager::handle::{ClientMessage, Handle};
use crate::manager::ports::Reader;
use crate::model::change::Seq;
use crate::model::message::{Answer, Command, PROTOCOL, Page, Query, Refusal, RefusalCode};

use super::paths::SocketPaths;
use super::peer::descends_from_runner;
use super::wire::{Assembler, Hello, Request, Response, frames};

/// Connections at once; further ones are closed at once.
const MAX_CONNECTIONS: usize = 512;
/// Of tasks at once, beside those: a task that opens connections without end keeps nobody else out.
const MAX_TASK_CONNECTIONS: usize = 256;
/// Longest time that a message may be on its way in, or an answer on its way out.
const STUCK: Duration = Duration::from_secs(30);
/// Bytes read at a time.
const READ: usize = 32 * 1024;
/// Threads for reading the store.
const READERS: usize = 2;

/// What the server needs.
pub struct ServerParts {
    /// The control socket, bound.
    pub control: StdListener,
    /// The task socket, bound.
    pub task: StdListener,
    /// The way to the manager.
    pub handle: Handle,
    /// Answers queries.
    pub reader: Arc<dyn Reader>,
    /// The home, by which a runner's descendants are known.
    pub home: PathBuf,
    /// The user that may connect (besides root).
    pub uid: u32,
}

/// A running server. Dropping it does not stop it; [`Server::stop`] does.
pub struct Server {
    stop: watch::Sender<bool>,
    thread: JoinHandle<()>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    /// Connections that are open now.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::Relaxed)
    }

    /// Stops accepting and reading, lets answers that are on their way out go (at most a second), and returns.
    pub fn stop(self) {
        self.stop.send_replace(true);
        // A server thread that panicked has nothing left to stop.
        let _ = self.thread.join();
    }
}

/// Binds the two sockets of `paths`, replacing what a dead manager left. The caller holds the home's lock.
///
/// # Errors
/// When they cannot be made.
pub fn bind(paths: &SocketPaths) -> io::Result<(StdListener, StdListener)> {
    let listen = |path: &Path, mode: u32| {
        match std::fs::remove_file(path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = StdListener::bind(path)?;
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    // Containers of root's manager may be of other users, who have to reach it; others of this machine do not get to its directory.
    let task = if crate::os::uid() == 0 { 0o666 } else { 0o600 };
    Ok((listen(&paths.control(), 0o600)?, listen(&paths.task(), task)?))
}

/// Serves on a thread of its own.
///
/// # Errors
/// When the thread or its runtime cannot be made.
pub fn start(parts: ServerParts) -> io::Result<Server> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(READERS)
        .thread_keep_alive(Duration::from_secs(2))
        .build()?;
    let (stop, stopped) = watch::channel(false);
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let thread = std::thread::Builder::new().name("api".to_owned()).stack_size(512 * 1024).spawn(move || {
        runtime.block_on(serve(parts, stopped, counter));
        runtime.shutdown_timeout(Duration::from_secs(1));
    })?;
    Ok(Server { stop, thread, connections })
}

struct Shared {
    handle: Handle,
    reader: Arc<dyn Reader>,
    home: PathBuf,
    uid: u32,
    connections: Arc<AtomicUsize>,
    task_connections: AtomicUsize,
}

impl Shared {
    /// Connections of a socket, and how many there may be.
    fn room(&self, is_task: bool) -> (&AtomicUsize, usize) {
        if is_task { (&self.task_connections, MAX_TASK_CONNECTIONS) } else { (&self.connections, MAX_CONNECTIONS) }
    }
}

async fn serve(parts: ServerParts, mut stopped: watch::Receiver<bool>, connections: Arc<AtomicUsize>) {
    let ServerParts { control, task, handle, reader, home, uid } = parts;
    let (Ok(control), Ok(task)) = (UnixListener::from_std(control), UnixListener::from_std(task)) else { return };
    let shared = Arc::new(Shared { handle, reader, home, uid, connections, task_connections: AtomicUsize::new(0) });
    loop {
        let (accepted, is_task) = tokio::select! {
            accepted = control.accept() => (accepted, false),
            accepted = task.accept() => (accepted, true),
            () = told(&mut stopped) => break,
        };
        match accepted {
            Ok((stream, _)) => admit(stream, is_task, &shared, &stopped),
            // Out of descriptors, most likely: what is open goes on, and closing one makes room.
            Err(error) => {
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
    let deadline = tokio::time::Instant::now() + Duration::from_secs(1);
    let open = || [false, true].iter().any(|is_task| shared.room(*is_task).0.load(Ordering::Relaxed) > 0);
    while open() && tokio::time::Instant::now() < deadline {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn admit(stream: UnixStream, is_task: bool, shared: &Arc<Shared>, stopped: &watch::Receiver<bool>) {
    let peer = stream.peer_cred().ok();
    // What a task asks it proves by its token. One in a container may be another user, where root has started it.
    let is_contained = is_task && shared.uid == 0;
    let is_ours = peer.as_ref().is_some_and(|peer| peer.uid() == shared.uid || peer.uid() == 0 || is_contained);
    let (open, most) = shared.room(is_task);
    if !is_ours || open.load(Ordering::Relaxed) >= most {
        return;
    }
    open.fetch_add(1, Ordering::Relaxed);
    let uid = peer.as_ref().map_or(shared.uid, tokio::net::unix::UCred::uid);
    let pid = peer.and_then(|peer| peer.pid()).and_then(|pid| u32::try_from(pid).ok());
    let (shared, mut stopped) = (shared.clone(), stopped.clone());
    let place = Place { shared: shared.clone(), is_task };
    tokio::spawn(async move {
        let _place = place;
        let (reading, writer) = stream.into_split();
        let mut connection = Connection {
            shared: shared.clone(),
            writer,
            is_task,
            pid,
            uid,
            is_runners: None,
            news: shared.handle.news(),
            subscribed: false,
        };
        connection.run(reading, &mut stopped).await;
    });
}

/// A connection's place among those there may be, free again however its task ends.
struct Place {
    shared: Arc<Shared>,
    is_task: bool,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shared.room(self.is_task).0.fetch_sub(1, Ordering::Relaxed);
    }
}

struct Connection {
    shared: Arc<Shared>,
    writer: OwnedWriteHalf,
    is_task: bool,
    pid: Option<u32>,
    /// The user at the other end.
    uid: u32,
    /// Whether the peer descends from a runner; found out at its first command.
    is_runners: Option<bool>,
    news: watch::Receiver<Seq>,
    subscribed: bool,
}

impl Connection {
    /// Request after request until the peer leaves, breaks the protocol, or is stuck.
    async fn run(&mut self, mut reading: tokio::net::unix::OwnedReadHalf, stopped: &mut watch::Receiver<bool>) {
        let mut assembler = Assembler::default();
        // When the message that is on its way began: a peer that sends it byte by byte gets no more time for that.
        let mut begun: Option<tokio::time::Instant> = None;
        loop {
            match assembler.message() {
                Ok(Some(message)) => {
                    begun = None;
                    if !self.answer(&message).await {
                        return;
                    }
                    continue;
                }
                Ok(None) => {}
                Err(error) => {
                    // One clear error, then the end: what follows cannot be told from rubbish.
                    self.write(&Response::error(None, -32700, error.to_string())).await;
                    return;
                }
            }
            let late = match assembler.is_partial() {
                true => *begun.get_or_insert_with(tokio::time::Instant::now) + STUCK,
                false => tokio::time::Instant::now(),
            };
            assembler.buffer().reserve(READ);
            tokio::select! {
                read = reading.read_buf(assembler.buffer()) => match read {
                    Ok(0) | Err(_) => return,
                    Ok(_) => {}
                },
                changed = self.news.changed(), if self.subscribed => {
                    if changed.is_err() || !self.tell_news().await {
                        return;
                    }
                }
                () = tokio::time::sleep_until(late), if begun.is_some() => return,
                () = told(stopped) => return,
            }
        }
    }

    /// Answers one message; false when the connection shall end.
    async fn answer(&mut self, message: &str) -> bool {
        let request: Request = match serde_json::from_str(message) {
            Ok(request) => request,
            Err(error) => {
                self.write(&Response::error(None, -32700, format!("this is no JSON-RPC request: {error}"))).await;
                return false;
            }
        };
        let response = if self.is_task { self.task_verb(&request).await } else { self.control_verb(&request).await };
        self.write(&response).await
    }

    async fn control_verb(&mut self, request: &Request) -> Response {
        let id = request.id;
        if let Some(command) = request.command() {
            return match command {
                Ok(command) => self.command(id, command).await,
                Err(error) => Response::error(id, -32602, error),
            };
        }
        if let Some(query) = request.query() {
            let query = match query {
                Ok(query) => query,
                Err(error) => return Response::error(id, -32602, error),
            };
            return match self.query(query).await {
                Ok(Ok(page)) => Response::ok(id, page),
                Ok(Err(refusal)) => Response::refused(id, refusal),
                Err(error) => Response::error(id, -32603, error),
            };
        }
        match request.method.as_str() {
            "ping" => Response::ok(id, "pong"),
            "hello" => hello(request),
            "subscribe" => {
                self.subscribed = true;
                let newest = *self.news.borrow_and_update();
                Response::ok(id, newest)
            }
            other => Response::error(id, -32601, format!("there is no verb `{other}`")),
        }
    }

    /// Reads the store on a thread for that; the outer error is a fault of ours.
    async fn query(&self, query: Query) -> Result<Result<Page<Answer>, Refusal>, String> {
        let reader = self.shared.reader.clone();
        tokio::task::spawn_blocking(move || reader.query(&query)).await.map_err(|error| error.to_string())
    }

    async fn command(&mut self, id: Option<u64>, command: Command) -> Response {
        let (pid, home) = (self.pid, self.shared.home.clone());
        let is_runners = match self.is_runners {
            Some(known) => known,
            // Reads /proc, which may be slow on a loaded machine; the other connections go on.
            None => {
                tokio::task::spawn_blocking(move || pid.is_some_and(|pid| descends_from_runner(pid, &home))).await.unwrap_or(true)
            }
        };
        self.is_runners = Some(is_runners);
        if is_runners {
            return Response::refused(id, task::forbidden("a running task may not do this".to_owned()));
        }
        let command = self.signed(command).await;
        let (sender, receiver) = oneshot::channel();
        let reply = Box::new(move |answer| drop(sender.send(answer)));
        self.shared.handle.send(ClientMessage::Command { command, reply });
        settle(id, receiver).await
    }

    /// An answer with the name of whoever gives it: that of the user at the other end, whatever the message says.
    async fn signed(&self, command: Command) -> Command {
        let Command::Answer { question, answer, .. } = command else { return command };
        let uid = self.uid;
        // Names may come from elsewhere than this machine, and take their time.
        let by_name = tokio::task::spawn_blocking(move || crate::os::user::name(uid)).await.ok();
        Command::Answer { question, answer, by_name }
    }

    async fn tell_news(&mut self) -> bool {
        let seq = *self.news.borrow_and_update();
        let params = serde_json::json!({ "seq": seq });
        self.write(&Request { jsonrpc: "2.0".to_owned(), id: None, method: "news".to_owned(), params }).await
    }

    /// Writes a message; false when the peer does not take it in time.
    async fn write<T: Serialize>(&mut self, message: &T) -> bool {
        matches!(timeout(STUCK, self.writer.write_all(&frames(message))).await, Ok(Ok(())))
    }
}

/// Waits until the server shall stop.
async fn told(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone means the same.
    let _ = stopped.wait_for(|stop| *stop).await;
}

async fn settle<T: Serialize>(id: Option<u64>, receiver: oneshot::Receiver<Result<T, Refusal>>) -> Response {
    match receiver.await {
        Ok(Ok(done)) => Response::ok(id, done),
        Ok(Err(refusal)) => Response::refused(id, refusal),
        Err(_) => Response::refused(
            id,
            Refusal {
                code: RefusalCode::Unavailable,
                message: "the manager left before it answered".to_owned(),
                hint: "`airx status` tells what became of it".to_owned(),
            },
        ),
    }
}

fn hello(request: &Request) -> Response {
    let theirs = serde_json::from_value::<Hello>(request.params.clone()).ok();
    let ours = Hello { protocol: PROTOCOL, version: env!("CARGO_PKG_VERSION").to_owned(), pid: std::process::id() };
    match theirs {
        Some(theirs) if theirs.protocol == ours.protocol => Response::ok(request.id, ours),
        theirs => Response::refused(
            request.id,
            Refusal {
                code: RefusalCode::Version,
                message: format!(
                    "the manager is airx {} (protocol {}), this client is airx {}",
                    ours.version,
                    ours.protocol,
                    theirs.map_or_else(|| "of an unknown version".to_owned(), |hello| hello.version)
                ),
                hint: "restart the manager with the new version: `airx stop`, then `airx --daemon`; running tasks go on"
                    .to_owned(),
            },
        ),
    }
}
