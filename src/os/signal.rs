//! Signals of the runner, as a descriptor to poll.

use std::io;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};

/// What the runner is told by signals.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Told {
    /// SIGCHLD: some child changed its state.
    pub child: bool,
    /// SIGTERM, or SIGINT where it is listened for: asked to end the task.
    pub stop: bool,
    /// SIGUSR1: told to end it without grace.
    pub kill: bool,
}

/// Blocks SIGCHLD, SIGTERM and SIGUSR1, and the signals of a terminal that are not meant for a runner, and returns a
/// non-blocking descriptor that tells of the first three.
///
/// # Errors
/// When the system has no `signalfd`.
pub fn signals() -> io::Result<OwnedFd> {
    listen(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGUSR1])
}

/// The same for the first process of a container, to whom SIGINT is meant as well.
///
/// # Errors
/// As for [`signals`].
pub fn signals_of_first() -> io::Result<OwnedFd> {
    listen(&[libc::SIGCHLD, libc::SIGTERM, libc::SIGUSR1, libc::SIGINT])
}

#[allow(unsafe_code)]
fn listen(signals: &[libc::c_int]) -> io::Result<OwnedFd> {
    // SAFETY: the sets are initialised by sigemptyset before use; signalfd returns a new descriptor that is owned here.
    unsafe {
        let mut wanted: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut wanted);
        for signal in signals {
            libc::sigaddset(&mut wanted, *signal);
        }
        let mut blocked = wanted;
        for signal in [libc::SIGINT, libc::SIGHUP, libc::SIGQUIT, libc::SIGUSR2, libc::SIGTSTP] {
            libc::sigaddset(&mut blocked, signal);
        }
        if libc::sigprocmask(libc::SIG_BLOCK, &blocked, std::ptr::null_mut()) != 0 {
            return Err(io::Error::last_os_error());
        }
        let fd = libc::signalfd(-1, &wanted, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(io::Error::last_os_error()) } else { Ok(OwnedFd::from_raw_fd(fd)) }
    }
}

/// What has arrived since the last call.
pub fn told(fd: &impl AsFd) -> Told {
    const RECORD: usize = size_of::<libc::signalfd_siginfo>();
    let mut told = Told::default();
    let mut buffer = [0u8; RECORD * 4];
    while let Ok(n) = rustix::io::read(fd, &mut buffer[..]) {
        for record in buffer[..n].chunks_exact(RECORD) {
            // The signal's number is the first field.
            let number = u32::from_ne_bytes([record[0], record[1], record[2], record[3]]).cast_signed();
            told.child |= number == libc::SIGCHLD;
            told.stop |= number == libc::SIGTERM || number == libc::SIGINT;
            told.kill |= number == libc::SIGUSR1;
        }
        if n < buffer.len() {
            break;
        }
    }
    told
}
