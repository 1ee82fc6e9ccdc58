//! Wakes a thread that polls descriptors.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Wakes the sleeper; cheap to clone, never blocks.
#[derive(Debug, Clone)]
pub struct Waker {
    stream: Arc<UnixStream>,
}

impl Waker {
    /// Wakes it; when it is awake already, it will look once more.
    pub fn wake(&self) {
        // A full pipe means that it has been woken and not looked yet.
        let _ = (&*self.stream).write(&[1]);
    }

    /// The descriptor itself, for signal handlers that write to it.
    ///
    /// # Errors
    /// When there are too many descriptors.
    pub fn stream(&self) -> io::Result<UnixStream> {
        self.stream.try_clone()
    }
}

/// Sleeps until woken.
#[derive(Debug)]
pub struct Sleeper {
    stream: UnixStream,
}

/// What ended a sleep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Awake {
    /// The waker was used.
    pub woken: bool,
    /// The watched descriptor has something to read.
    pub input: bool,
    /// The watched descriptor's far end is gone.
    pub gone: bool,
}

/// A waker and its sleeper.
///
/// # Errors
/// When there are too many descriptors.
pub fn pair() -> io::Result<(Waker, Sleeper)> {
    let (write, read) = UnixStream::pair()?;
    write.set_nonblocking(true)?;
    read.set_nonblocking(true)?;
    Ok((Waker { stream: Arc::new(write) }, Sleeper { stream: read }))
}

impl Sleeper {
    /// Sleeps until woken, until `input` can be read, or for `patience` (none is for ever).
    ///
    /// # Errors
    /// What `poll` says.
    pub fn sleep(&mut self, input: BorrowedFd<'_>, patience: Option<Duration>) -> io::Result<Awake> {
        let mut fds =
            [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(input, PollFlags::IN)];
        let timeout = patience.map(|time| Timespec {
            tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: time.subsec_nanos().into(),
        });
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let over = PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL;
        let awake = Awake {
            woken: fds[0].revents().intersects(PollFlags::IN),
            input: fds[1].revents().intersects(PollFlags::IN),
            gone: fds[1].revents().intersects(over),
        };
        if awake.woken {
            let mut buffer = [0; 256];
            while (&self.stream).read(&mut buffer).is_ok_and(|read| read == buffer.len()) {}
        }
        Ok(awake)
    }
}
