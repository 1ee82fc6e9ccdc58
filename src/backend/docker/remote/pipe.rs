//! Between the calls of an engine, which never wait, and files, which do: bytes through a channel, and what is said when
//! either side stops.

use std::io::{self, Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bollard::Docker;
use bollard::query_parameters::{DownloadFromContainerOptions, UploadToContainerOptions};
use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt, TryFutureExt, stream};
use tar::Builder;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use crate::backend::docker::fault::Fault;

/// Bytes of one piece of an upload, and how many may wait.
const PIECE: usize = 256 << 10;
const PIECES: usize = 16;
/// Longest time without a single byte, after which an engine is as good as gone.
const STALL: Duration = Duration::from_secs(120);
/// Between two looks at how far an upload is.
const TICK: Duration = Duration::from_millis(500);
/// Between two news of it.
const NEWS: Duration = Duration::from_secs(1);
/// Longest time of a whole upload: what is slow may go on, what stands still is found by [`STALL`].
const FOREVER: Duration = Duration::from_secs(30 * 24 * 3600);

/// Copies to and from the containers of an engine that go on at the same time; others wait.
pub const COPIES: usize = 8;

thread_local! {
    static TURNS: Arc<Semaphore> = Arc::new(Semaphore::new(COPIES));
}

/// The right to a thread that copies, for as long as it is kept. It cannot fail: nobody closes what it waits for.
pub type Turn = Result<OwnedSemaphorePermit, AcquireError>;

/// Waits for one.
pub async fn turn() -> Turn {
    TURNS.with(Arc::clone).acquire_owned().await
}

/// Why something was not copied.
#[derive(Debug)]
pub enum Trouble {
    /// The engine's side of it.
    Engine(Fault),
    /// This side of it.
    Here(io::Error),
}

fn died() -> Trouble {
    Trouble::Here(io::Error::other("the thread that copied ended early"))
}

/// Uploads what `pack` writes into the directory `path` of a container. `tell` hears now and then how many bytes went.
///
/// # Errors
/// Whoever failed first.
pub async fn send(
    docker: &Docker,
    name: &str,
    path: &str,
    mut tell: impl FnMut(u64),
    pack: impl FnOnce(&mut Builder<Pieces>) -> io::Result<()> + Send + 'static,
) -> Result<(), Trouble> {
    let turn = turn().await;
    let (sender, receiver) = mpsc::channel(PIECES);
    let (taken, made) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let counts = made.clone();
    let packing = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let broken = sender.clone();
        let mut tar = Builder::new(Pieces { sender, bytes: Vec::with_capacity(PIECE), made: counts });
        let packed = pack(&mut tar).and_then(|()| tar.into_inner()?.flush());
        if packed.is_err() {
            // An archive that only ends here could be taken for a whole one.
            let _ = broken.blocking_send(Err(io::ErrorKind::BrokenPipe.into()));
        }
        packed
    });
    let docker = docker.clone().with_timeout(FOREVER);
    let options = UploadToContainerOptions { path: path.to_owned(), ..Default::default() };
    let body = bollard::body_try_stream(counted(receiver, taken.clone()));
    let upload = docker.upload_to_container(name, Some(options), body).map_err(Fault::from);
    tokio::pin!(upload);
    let (mut last, mut since, mut told) = (0, Instant::now(), Instant::now());
    let sent = loop {
        tokio::select! {
            sent = &mut upload => break sent,
            () = tokio::time::sleep(TICK) => {
                let now = taken.load(Ordering::Relaxed);
                // While nothing is made the disk of this side is slow, or other uploads go first.
                let is_waiting = packing.is_finished() || made.load(Ordering::Relaxed) > now;
                if now != last && told.elapsed() >= NEWS {
                    told = Instant::now();
                    tell(now);
                }
                if now != last || !is_waiting {
                    (last, since) = (now, Instant::now());
                } else if since.elapsed() > STALL {
                    break Err(Fault::Unreachable("it takes in nothing of what is copied".to_owned()));
                }
            }
        }
    };
    let refused = match sent {
        // A call that failed may be the echo of packing that did.
        Err(fault @ Fault::Refused { .. }) if !packing.is_finished() => return Err(Trouble::Engine(fault)),
        other => other.err(),
    };
    match timeout(TICK, packing).await {
        Ok(Ok(Err(error))) if error.kind() != io::ErrorKind::BrokenPipe => Err(Trouble::Here(error)),
        Ok(Ok(_)) | Err(_) => refused.map_or(Ok(()), |fault| Err(Trouble::Engine(fault))),
        Ok(Err(_)) => Err(died()),
    }
}

fn counted(
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    taken: Arc<AtomicU64>,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::unfold((receiver, taken), |(mut receiver, taken)| async move {
        let piece = receiver.recv().await?;
        taken.fetch_add(piece.as_ref().map_or(0, |piece| piece.len() as u64), Ordering::Relaxed);
        Some((piece, (receiver, taken)))
    })
}

/// Writes into a channel, piece by piece.
pub struct Pieces {
    sender: mpsc::Sender<io::Result<Bytes>>,
    bytes: Vec<u8>,
    made: Arc<AtomicU64>,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() >= PIECE {
            self.flush()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let bytes = std::mem::replace(&mut self.bytes, Vec::with_capacity(PIECE));
        if bytes.is_empty() {
            return Ok(());
        }
        self.made.fetch_add(bytes.len() as u64, Ordering::Relaxed);
        self.sender.blocking_send(Ok(bytes.into())).map_err(|_| io::ErrorKind::BrokenPipe.into())
    }
}

/// Downloads `from` of a container, of which `work` takes in at most `limit` bytes; none when it is not there.
///
/// # Errors
/// Whoever failed first.
pub async fn receive<T: Send + 'static>(
    docker: &Docker,
    name: &str,
    from: &str,
    limit: u64,
    work: impl FnOnce(Arriving) -> io::Result<T> + Send + 'static,
) -> Result<Option<T>, Trouble> {
    let turn = turn().await;
    let options = DownloadFromContainerOptions { path: from.to_owned() };
    let mut stream = Box::pin(docker.download_from_container(name, Some(options)).map(|piece| piece.map_err(Fault::from)));
    let mut next = match stream.next().await {
        Some(Err(fault)) if fault.is_missing() => return Ok(None),
        other => other,
    };
    let (sender, receiver) = mpsc::channel(PIECES);
    let working = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        work(Arriving { receiver, piece: Bytes::new(), left: limit })
    });
    let stopped = loop {
        match next {
            Some(Ok(piece)) => {
                // Whoever has all it needs, or can do no more, listens no longer.
                if sender.send(Ok(piece)).await.is_err() {
                    break None;
                }
            }
            Some(Err(fault)) => break Some(fault),
            None => break None,
        }
        next = match timeout(STALL, stream.next()).await {
            Ok(next) => next,
            Err(_) => Some(Err(Fault::Unreachable("it sends nothing more of what is copied".to_owned()))),
        };
    };
    if stopped.is_some() {
        let _ = sender.send(Err(io::ErrorKind::ConnectionReset.into())).await;
    }
    drop(sender);
    match (stopped, working.await) {
        (Some(fault), _) => Err(Trouble::Engine(fault)),
        (None, Ok(Ok(done))) => Ok(Some(done)),
        (None, Ok(Err(error))) if error.kind() == io::ErrorKind::UnexpectedEof => {
            let message = "the engine's archive is cut off".to_owned();
            Err(Trouble::Engine(Fault::Refused { status: 0, message }))
        }
        (None, Ok(Err(error))) => Err(Trouble::Here(error)),
        (None, Err(_)) => Err(died()),
    }
}

/// What comes out of a channel, as something to read.
pub struct Arriving {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    piece: Bytes,
    left: u64,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.receiver.blocking_recv() {
                None => return Ok(0),
                Some(piece) => self.piece = piece?,
            }
        }
        if self.left == 0 {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        let count = buffer.len().min(self.piece.len()).min(usize::try_from(self.left).unwrap_or(usize::MAX));
        self.piece.copy_to_slice(&mut buffer[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn copies_leave_threads_for_what_engines_names_are_looked_up_on() {
        let turns: Vec<Turn> = (0..COPIES).filter_map(|_| turn().now_or_never()).collect();
        assert_eq!(turns.len(), COPIES);
        assert!(turn().now_or_never().is_none());
        drop(turns);
        assert!(turn().now_or_never().is_some());
    }
}
