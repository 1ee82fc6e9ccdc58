//! The API server's front: a port, its connections, and what it says while it starts.

use std::collections::BTreeMap;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, Shutdown, SocketType};

use super::http::{Connection, cut};
use super::serve;
use super::store::Cluster;

/// Small: a connection that waits is a thread that waits.
const STACK: usize = 512 << 10;

pub struct Front {
    pub cluster: Arc<Cluster>,
    pub port: u16,
    pub token: String,
    socket: TcpListener,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    is_up: bool,
    has_ended: bool,
    /// Until then everything is forbidden.
    forbidden: Option<Instant>,
    connections: BTreeMap<u64, TcpStream>,
    number: u64,
    /// Of them there were at most so many at once.
    most: usize,
}

impl Front {
    pub fn new(cluster: Arc<Cluster>) -> io::Result<Arc<Front>> {
        // A port that was asked for by number stays ours while nobody listens on it.
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let socket = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None)?;
        rustix::net::sockopt::set_socket_reuseaddr(&socket, true)?;
        rustix::net::bind(&socket, &SocketAddr::V4(SocketAddrV4::new(Ipv4Addr::LOCALHOST, port)))?;
        let front = Front {
            cluster,
            port,
            token: "token-of-airx-manager".to_owned(),
            socket: TcpListener::from(socket),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        let front = Arc::new(front);
        let _ = front.cluster.front.set(Arc::downgrade(&front));
        front.up(Duration::ZERO)?;
        let accepting = front.clone();
        std::thread::spawn(move || accepting.accept());
        Ok(front)
    }

    /// Listens, and forbids everything for a while.
    pub fn up(&self, forbidden: Duration) -> io::Result<()> {
        let mut state = self.state();
        if !state.is_up {
            rustix::net::listen(&self.socket, 512)?;
            state.is_up = true;
            state.forbidden = Some(Instant::now() + forbidden);
            self.changed.notify_all();
        }
        Ok(())
    }

    /// Listens as a server that was started anew: what clients knew is too old.
    pub fn up_again(&self, forbidden: Duration) -> io::Result<()> {
        self.cluster.state().forget();
        self.up(forbidden)?;
        self.cluster.thaw("front");
        Ok(())
    }

    /// Resets all connections and refuses new ones. Nobody tells of pods meanwhile.
    pub fn down(&self) {
        self.cluster.freeze("front");
        let mut state = self.state();
        if state.is_up {
            state.is_up = false;
            let _ = rustix::net::shutdown(&self.socket, Shutdown::Read);
        }
        for stream in std::mem::take(&mut state.connections).values() {
            cut(stream);
        }
    }

    pub fn is_up(&self) -> bool {
        self.state().is_up
    }

    /// Whether rights are not known yet.
    pub fn is_starting(&self) -> bool {
        self.state().forbidden.is_some_and(|until| Instant::now() < until)
    }

    pub fn connections(&self) -> usize {
        self.state().connections.len()
    }

    pub fn most_connections(&self) -> usize {
        self.state().most
    }

    pub fn end(&self) {
        self.state().has_ended = true;
        self.down();
        self.changed.notify_all();
    }

    fn accept(self: &Arc<Front>) {
        loop {
            let mut state = self.state();
            while !state.is_up && !state.has_ended {
                state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
            if state.has_ended {
                return;
            }
            drop(state);
            let Ok((stream, _)) = self.socket.accept() else {
                // Shut down, or about to be.
                std::thread::sleep(Duration::from_millis(1));
                continue;
            };
            let Ok(copy) = stream.try_clone() else { continue };
            let mut state = self.state();
            if !state.is_up {
                cut(&stream);
                continue;
            }
            state.number += 1;
            let number = state.number;
            state.connections.insert(number, copy);
            state.most = state.most.max(state.connections.len());
            drop(state);
            let front = self.clone();
            let serving = std::thread::Builder::new().stack_size(STACK).spawn(move || {
                let _ = front.serve(stream);
                front.state().connections.remove(&number);
            });
            drop(serving);
        }
    }

    fn serve(&self, stream: TcpStream) -> io::Result<()> {
        let mut connection = Connection::new(stream)?;
        while let Some(request) = connection.request()? {
            if !serve::one(self, &mut connection, &request)? {
                break;
            }
        }
        Ok(())
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
