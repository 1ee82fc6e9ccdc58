//! Starting a process in a session of its own, without forking: `posix_spawn`.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// What to start.
pub struct Spawn<'a> {
    /// The file to execute; a relative path is taken from `cwd`.
    pub program: &'a CStr,
    /// The arguments, the program's name first.
    pub argv: &'a [CString],
    /// Its environment, as `NAME=VALUE`; none inherits this process's.
    pub env: Option<&'a [CString]>,
    /// Its directory; none inherits this process's.
    pub cwd: Option<&'a CStr>,
    /// Its standard input, output and error. Each is its own number already, or above 2.
    pub stdio: [BorrowedFd<'a>; 3],
    /// Start it with SIGTERM and SIGUSR1 blocked: a runner asked to stop before it can listen must not die of it.
    pub hold_stop: bool,
}

#[allow(unsafe_code)]
// SAFETY: the C library's own variable, of this type by POSIX.
unsafe extern "C" {
    static environ: *mut *mut libc::c_char;
}

/// Starts it: leader of a new session, no other signal blocked, all at their defaults, no other descriptor than `stdio`
/// (every descriptor of ours is close-on-exec). Returns its pid.
///
/// # Errors
/// `errno` of what failed in the child: changing the directory, or executing the program.
#[allow(unsafe_code)]
pub fn spawn(request: &Spawn<'_>) -> io::Result<u32> {
    let argv = pointers(request.argv);
    let env = request.env.map(pointers);
    // SAFETY: attributes and actions are initialised before use and destroyed after it; all strings and pointer arrays
    // live until posix_spawn returns, by which time the child has executed or failed; `environ` is not changed by this
    // program, which never calls setenv.
    unsafe {
        let mut attributes: libc::posix_spawnattr_t = std::mem::zeroed();
        let mut actions: libc::posix_spawn_file_actions_t = std::mem::zeroed();
        check(libc::posix_spawnattr_init(&mut attributes))?;
        check(libc::posix_spawn_file_actions_init(&mut actions))?;
        let mut mask: libc::sigset_t = std::mem::zeroed();
        let mut all: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&mut mask);
        if request.hold_stop {
            libc::sigaddset(&mut mask, libc::SIGTERM);
            libc::sigaddset(&mut mask, libc::SIGUSR1);
        }
        libc::sigfillset(&mut all);
        let flags = libc::POSIX_SPAWN_SETSIGDEF | libc::POSIX_SPAWN_SETSIGMASK | libc::c_int::from(libc::POSIX_SPAWN_SETSID);
        let mut result = libc::posix_spawnattr_setflags(&mut attributes, flags as libc::c_short);
        if result == 0 {
            result = libc::posix_spawnattr_setsigmask(&mut attributes, &mask);
        }
        if result == 0 {
            result = libc::posix_spawnattr_setsigdefault(&mut attributes, &all);
        }
        for (number, fd) in (0..).zip(request.stdio) {
            if result == 0 {
                result = libc::posix_spawn_file_actions_adddup2(&mut actions, fd.as_raw_fd(), number);
            }
        }
        if let (0, Some(cwd)) = (result, request.cwd) {
            result = libc::posix_spawn_file_actions_addchdir_np(&mut actions, cwd.as_ptr());
        }
        let mut pid: libc::pid_t = 0;
        if result == 0 {
            let env = env.as_ref().map_or(environ.cast_const().cast(), |e| e.as_ptr());
            let program = request.program.as_ptr();
            result = libc::posix_spawn(&mut pid, program, &actions, &attributes, argv.as_ptr().cast(), env.cast());
        }
        libc::posix_spawn_file_actions_destroy(&mut actions);
        libc::posix_spawnattr_destroy(&mut attributes);
        check(result)?;
        Ok(pid.unsigned_abs())
    }
}

fn pointers(strings: &[CString]) -> Vec<*mut libc::c_char> {
    strings.iter().map(|s| s.as_ptr().cast_mut()).chain([ptr::null_mut()]).collect()
}

/// These functions return their error instead of setting `errno`.
fn check(result: libc::c_int) -> io::Result<()> {
    if result == 0 { Ok(()) } else { Err(io::Error::from_raw_os_error(result)) }
}
