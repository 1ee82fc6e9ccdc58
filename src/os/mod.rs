//! Everything that differs between systems, each thing probed, none assumed. Today: Linux. Another system needs its
//! own versions of these functions and nothing else.
//!
//! The only module that may use `unsafe`, call by call.

pub mod beneath;
pub mod cgroup;
pub mod first;
mod held;
pub mod logout;
pub mod proc;
pub mod signal;
pub mod spawn;
pub mod user;
pub mod wake;

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::process::{Pid, PidfdFlags, Signal};
use rustix::time::{ClockId, clock_gettime};

use crate::model::time::{Mono, Now, Utc};

pub use held::Held;

/// Both clocks, read together. The monotonic one stands still while the machine is suspended.
pub fn now() -> Now {
    let (utc, mono) = (clock_gettime(ClockId::Realtime), clock_gettime(ClockId::Monotonic));
    let millis = |t: rustix::time::Timespec| t.tv_sec.saturating_mul(1000).saturating_add(t.tv_nsec / 1_000_000);
    Now { utc: Utc(millis(utc)), mono: Mono(u64::try_from(millis(mono)).unwrap_or(0)) }
}

/// Tries to take the exclusive lock of an open file; whether it is held now. It belongs to the open file description:
/// children that inherit the descriptor hold it too, and it is free the moment the last of them ends.
///
/// # Errors
/// What `flock` says, other than that another holds it.
pub fn try_lock(file: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// The same for the shared lock: many may hold it, and no exclusive one beside it.
///
/// # Errors
/// As for [`try_lock`].
pub fn try_lock_shared(file: impl AsFd) -> io::Result<bool> {
    match rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockShared) {
        Ok(()) => Ok(true),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Writes a message to a unix socket and waits for nothing: neither for room in the queue of a server that is busy, nor for an
/// answer. Whether it got there is not known.
pub fn tell(path: &Path, message: &[u8]) {
    use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType, connect, send, socket_with};
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let Ok(address) = SocketAddrUnix::new(path) else { return };
    let Ok(socket) = socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None) else { return };
    if connect(&socket, &address).is_ok() {
        let _ = send(&socket, message, SendFlags::NOSIGNAL);
    }
}

/// Whether somebody holds the lock of the file at `path`.
///
/// # Errors
/// When the file cannot be opened or asked.
pub fn is_locked(path: &Path) -> io::Result<bool> {
    Ok(!try_lock(open_regular(path)?)?)
}

/// Opens a file that somebody else may have put there, for reading: never through a link, and never waiting, as a fifo
/// without a writer would make us.
///
/// # Errors
/// When it cannot be opened, or is something else than a regular file (`InvalidInput`).
pub fn open_regular(path: &Path) -> io::Result<File> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    let file = match rustix::fs::open(path, flags, Mode::empty()) {
        Ok(file) => File::from(file),
        // A link, or a socket: neither can be opened like this.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NXIO) => return Err(other()),
        Err(e) => return Err(e.into()),
    };
    if file.metadata()?.is_file() { Ok(file) } else { Err(other()) }
}

/// Opens a file for writing as `options` say, made for its owner alone when it is not there: never through a link, and never
/// waiting, as a fifo that somebody put there would make us.
///
/// # Errors
/// As for [`open_regular`].
pub fn create_regular(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    let other = || io::Error::new(io::ErrorKind::InvalidInput, "it is no regular file");
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    match options.create(true).mode(0o600).custom_flags(flags).open(path) {
        Ok(file) if file.metadata()?.is_file() => {
            // It may become a command's output, and is not ours alone to wait for then.
            rustix::fs::fcntl_setfl(&file, rustix::fs::fcntl_getfl(&file)? - rustix::fs::OFlags::NONBLOCK)?;
            Ok(file)
        }
        Ok(_) => Err(other()),
        Err(e) if matches!(e.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Err(other()),
        Err(e) => Err(e),
    }
}

/// Closes every descriptor above standard error: what a careless ancestor left open must not live on in a runner (a
/// pipe would never end). Does nothing on kernels before 5.9. Only for the very start of a process that owns none yet.
#[allow(unsafe_code)]
pub fn close_inherited() {
    // SAFETY: the caller owns no descriptor above 2 yet, so none that is in use is closed.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3u32, u32::MAX, 0u32);
    }
}

/// Identifies this boot of the machine; empty where that cannot be told.
pub fn boot_id() -> String {
    let mut buffer = [0; 64];
    let text = read_small("/proc/sys/kernel/random/boot_id", &mut buffer).unwrap_or_default();
    String::from_utf8_lossy(text).trim_end().to_owned()
}

/// A small file of `/proc`, by one read: these come whole or not at all, and their size is not told beforehand.
fn read_small<'a>(path: &str, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
    use rustix::fs::{Mode, OFlags};
    let file = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).ok()?;
    let n = rustix::io::read(&file, &mut *buffer).ok()?;
    buffer.get(..n)
}

/// Identifies the pid namespace of this process; 0 where that cannot be told.
pub fn pid_namespace() -> u64 {
    rustix::fs::stat("/proc/self/ns/pid").map_or(0, |s| s.st_ino)
}

/// Bytes free for this user on the file system that holds `path`.
///
/// # Errors
/// What `statvfs` says.
pub fn free_bytes(path: &Path) -> io::Result<u64> {
    let vfs = rustix::fs::statvfs(path)?;
    Ok(vfs.f_bavail.saturating_mul(vfs.f_frsize))
}

/// Makes this process the one that orphaned descendants are handed to.
///
/// # Errors
/// Where the system has no such thing.
pub fn become_subreaper() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// Process id and user id of the other end of a connected unix socket.
///
/// # Errors
/// When the socket has no peer.
pub fn peer_cred(socket: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let cred = rustix::net::sockopt::socket_peercred(socket)?;
    Ok((cred.pid.as_raw_nonzero().get().unsigned_abs(), cred.uid.as_raw()))
}

/// A descriptor that becomes readable when process `pid` ends. Safe from reuse only while the caller knows that the
/// pid is still that process's: an unreaped child, or an identity checked afterwards.
///
/// # Errors
/// `ESRCH` when there is no such process here, `ENOSYS` on old kernels.
pub fn pidfd_open(pid: u32) -> io::Result<OwnedFd> {
    Ok(rustix::process::pidfd_open(to_pid(pid)?, PidfdFlags::empty())?)
}

/// Signals the process behind a pidfd.
///
/// # Errors
/// `ESRCH` when it has ended.
pub fn pidfd_signal(pidfd: BorrowedFd<'_>, signal: Signal) -> io::Result<()> {
    Ok(rustix::process::pidfd_send_signal(pidfd, signal)?)
}

/// Signals a process by number; that it is gone is no error.
pub fn signal_pid(pid: u32, signal: Signal) {
    if let Ok(pid) = to_pid(pid) {
        // Gone already, or not ours to signal: the caller looks again anyway.
        let _ = rustix::process::kill_process(pid, signal);
    }
}

/// Has the kernel end process `pid` before its runner when memory runs out. What it forks from now on inherits that.
pub fn prefer_for_oom(pid: u32) {
    // Without it the runner may be the one that is ended: then the engine tells of the container what happened.
    let _ = std::fs::write(format!("/proc/{pid}/oom_score_adj"), "500");
}

/// Reaps the child `pid` if it has ended; other children are left alone.
pub fn reap(pid: u32) {
    if let Ok(pid) = to_pid(pid) {
        // Not a child of ours, or still alive: nothing to reap.
        let _ = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::NOHANG);
    }
}

fn to_pid(pid: u32) -> io::Result<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw).ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))
}

/// Processor time in milliseconds and peak resident set in KiB of all children that were waited for.
#[allow(unsafe_code)]
pub fn children_usage() -> (u64, u64) {
    // SAFETY: an all-zero rusage is a valid value, and getrusage writes nothing but that struct.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_CHILDREN, &mut usage);
        usage
    };
    let millis = |t: libc::timeval| u64::try_from(t.tv_sec * 1000 + t.tv_usec / 1000).unwrap_or(0);
    (millis(usage.ru_utime) + millis(usage.ru_stime), u64::try_from(usage.ru_maxrss).unwrap_or(0))
}

/// The same command, to be started in a session of its own, out of reach of the terminal's signals, and with these
/// descriptors left open in it. They are unmarked in the child alone: nothing else that is started meanwhile gets them.
pub fn in_new_session(command: &mut std::process::Command, keep: Vec<OwnedFd>) -> &mut std::process::Command {
    use std::os::unix::process::CommandExt;
    let prepare = move || {
        rustix::process::setsid()?;
        for fd in &keep {
            rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?;
        }
        Ok(())
    };
    // SAFETY: between fork and exec only setsid(2) and fcntl(2) are called, which are async-signal-safe, and nothing is
    // allocated.
    #[expect(unsafe_code, reason = "std offers no safe way to do this in the child")]
    unsafe {
        command.pre_exec(prepare)
    }
}

/// A file in memory that has no name and holds `bytes`, to be read from its beginning: input for a process that nobody has to
/// wait for while it is written.
///
/// # Errors
/// What the system says.
pub fn unnamed_file(bytes: &[u8]) -> io::Result<File> {
    use std::io::{Seek, Write};
    let mut file = File::from(rustix::fs::memfd_create(c"airx", rustix::fs::MemfdFlags::CLOEXEC)?);
    file.write_all(bytes)?;
    file.rewind()?;
    Ok(file)
}

/// Takes over descriptor `number`, which the parent left open for this purpose, and keeps it from children of this process.
///
/// # Errors
/// When there is no such descriptor.
pub fn inherited(number: i32) -> io::Result<OwnedFd> {
    use std::os::fd::FromRawFd;
    if number <= 2 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    // SAFETY: borrowed only for this call; fcntl(2) answers EBADF for a number that is no descriptor.
    #[expect(unsafe_code, reason = "a number that came by the environment")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)?;
    // SAFETY: the descriptor is open, and the caller asks once for each number, before anything else was opened.
    #[expect(unsafe_code, reason = "ownership comes from the parent")]
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Stops this process until it is continued, as the shell's job control does; it cannot be caught or ignored.
pub fn stop_self() {
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
}

/// A path by which this process's program can be started as long as the process lives, whatever becomes of its file.
pub fn own_program() -> std::path::PathBuf {
    format!("/proc/{}/exe", std::process::id()).into()
}

/// So many random bytes from the kernel, as hexadecimal digits.
pub fn random_hex(bytes: usize) -> String {
    random_bytes(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So many random bytes from the kernel.
pub fn random_bytes(count: usize) -> Vec<u8> {
    let mut bytes = vec![0; count];
    let mut filled = 0;
    while filled < count {
        // getrandom(2) without flags fails only for a bad address or an interruption before the pool is ready.
        match rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty()) {
            Ok(got) => filled += got,
            Err(_) => continue,
        }
    }
    bytes
}

/// Sets `flag` at each SIGINT (Ctrl-C), which then no longer ends the program.
///
/// # Errors
/// When signals cannot be listened for.
pub fn on_interrupt(flag: &std::sync::Arc<std::sync::atomic::AtomicBool>) -> io::Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGINT, flag.clone()).map(drop)
}

/// Columns and rows of the terminal on standard output.
pub fn terminal_size() -> Option<(u16, u16)> {
    let size = rustix::termios::tcgetwinsize(rustix::stdio::stdout()).ok()?;
    (size.ws_col > 0 && size.ws_row > 0).then_some((size.ws_col, size.ws_row))
}

/// The caller's user id.
pub fn uid() -> u32 {
    rustix::process::getuid().as_raw()
}

/// The caller's group id.
pub fn gid() -> u32 {
    rustix::process::getgid().as_raw()
}

/// What this machine is known by: its name, and where it has an id (machine-id(5)) a digest of that, since names are given twice.
pub fn machine() -> String {
    use sha2::{Digest, Sha256};
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    match std::fs::read_to_string("/etc/machine-id") {
        Ok(id) if !id.trim().is_empty() => {
            let digest = Sha256::digest(format!("airx {}", id.trim()));
            format!("{name}-{:02x}{:02x}{:02x}{:02x}", digest[0], digest[1], digest[2], digest[3])
        }
        _ => name,
    }
}

/// Gives memory that was freed back to the system, after much of it was, and lets go of the pages of the program itself:
/// those that are still needed are there at once, those of the start (and of what was done last) are not.
pub fn trim_memory() {
    // SAFETY: malloc_trim(3) takes no pointer and may be called at any time, by any thread.
    #[cfg(target_env = "gnu")]
    #[expect(unsafe_code, reason = "a call into the C library's allocator")]
    unsafe {
        libc::malloc_trim(0);
    }
    for (start, length) in code(&std::fs::read_to_string("/proc/self/maps").unwrap_or_default()) {
        // SAFETY: these pages are executable and not writable, so they are what the file holds: dropped, they are
        // mapped from it again when they are needed.
        #[expect(unsafe_code, reason = "rustix has no safe way to drop pages")]
        unsafe {
            libc::madvise(start as *mut libc::c_void, length, libc::MADV_DONTNEED);
        }
    }
}

/// Where the program's code lies, by `/proc/PID/maps`: start and length of each mapping of a file that is executable and
/// was never writable. Read-only data is left alone: part of it was changed when the program was loaded.
fn code(maps: &str) -> Vec<(usize, usize)> {
    let mapping = |line: &str| {
        let (range, rest) = line.split_once(' ')?;
        let mut fields = rest.split_ascii_whitespace();
        let (rights, path) = (fields.next()?, fields.nth(3)?);
        let (start, end) = range.split_once('-')?;
        let (start, end) = (usize::from_str_radix(start, 16).ok()?, usize::from_str_radix(end, 16).ok()?);
        (rights == "r-xp" && path.starts_with('/')).then(|| Some((start, end.checked_sub(start)?))).flatten()
    };
    maps.lines().filter_map(mapping).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_code_from_a_file_is_let_go_of() {
        let maps = "00400000-00500000 r--p 00000000 fe:00 9   /bin/airx\n00500000-00900000 r-xp 00100000 fe:00 9   /bin/airx\n\
                    00900000-00910000 r--p 00500000 fe:00 9   /bin/airx\n00910000-00920000 rw-p 00510000 fe:00 9   /bin/airx\n\
                    7f0000000000-7f0000001000 r-xp 00000000 00:00 0   [vdso]\n7f0000001000-7f0000002000 r-xp 00000000 00:00 0\n";
        assert_eq!(code(maps), [(0x0050_0000, 0x0040_0000)]);
        trim_memory();
        assert!(now().mono.0 > 0, "the program goes on");
    }

    #[test]
    fn a_fifo_and_a_link_are_no_files() {
        let dir = tempfile::tempdir().unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::Mode::RWXU).unwrap();
        std::fs::write(dir.path().join("file"), "x").unwrap();
        std::os::unix::fs::symlink("file", dir.path().join("link")).unwrap();
        for name in ["fifo", "link", "."] {
            assert_eq!(open_regular(&dir.path().join(name)).unwrap_err().kind(), io::ErrorKind::InvalidInput, "{name}");
        }
        assert_eq!(open_regular(&dir.path().join("none")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(open_regular(&dir.path().join("file")).is_ok());
    }
}
