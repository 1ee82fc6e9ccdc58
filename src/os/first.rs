//! What only the first process of a container has to do.

use std::io;

use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid, WaitOptions, WaitStatus, set_dumpable_behavior, wait};

/// Shuts this process off from others of its user: they can neither read its environment and its memory nor open what it has
/// open. What it starts is not shut off.
///
/// # Errors
/// When the system refuses it.
pub fn hide() -> io::Result<()> {
    Ok(set_dumpable_behavior(DumpableBehavior::NotDumpable)?)
}

/// Whether this process is the first one of its pid namespace: its end is the end of all others there.
pub fn is_first() -> bool {
    std::process::id() == 1
}

/// Ends every other process of a pid namespace that this process is the first one of; nothing when it is not.
pub fn end_others() {
    if is_first() {
        // SAFETY: kill(2) takes no pointer. As the first process of a namespace, to which -1 does not apply itself, it reaches
        // nobody outside of it.
        #[expect(unsafe_code, reason = "rustix has no way to signal all")]
        unsafe {
            libc::kill(-1, libc::SIGKILL);
        }
    }
}

/// Takes leave of one child that has ended.
#[derive(Debug)]
pub enum Reaped {
    /// This one, and how.
    One(u32, WaitStatus),
    /// Those that there are live.
    None,
    /// There are none.
    Childless,
}

/// The next child that has ended; the first process gets those whose parents are gone as well.
pub fn reap_any() -> Reaped {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) => return Reaped::One(number(pid), status),
            Ok(None) => return Reaped::None,
            Err(Errno::INTR) => {}
            Err(_) => return Reaped::Childless,
        }
    }
}

fn number(pid: Pid) -> u32 {
    pid.as_raw_nonzero().get().unsigned_abs()
}
