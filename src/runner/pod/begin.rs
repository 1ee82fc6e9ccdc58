//! From an order to a runner that runs.

use std::ffi::{CString, OsString};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

use crate::model::pod::PodOrder;
use crate::os;
use crate::os::spawn::{Spawn, spawn};
use crate::runner::enter;

/// Files of which each says that the attempt has begun before.
const SIGNS: [&str; 3] = ["lock", "runner.json", "exit.json"];

/// What became of an order.
pub(super) enum Begun {
    /// Its runner was started.
    Now(u32),
    /// It was before, by a container of this pod's that is gone.
    Before,
    /// It was before, and is there.
    Lives,
}

/// Begins the attempt in `dir`, unless it has begun.
///
/// # Errors
/// Why nothing of the task ran.
pub(super) fn begin(dir: &Path, order: &PodOrder) -> Result<Begun, String> {
    if SIGNS.iter().any(|name| fs::symlink_metadata(dir.join(name)).is_ok()) {
        let lives = os::is_locked(&dir.join("lock")).unwrap_or(false);
        return Ok(if lives { Begun::Lives } else { Begun::Before });
    }
    let environment = environment(order)?;
    let lock = fill(dir, order).map_err(|error| format!("the directory {} cannot be made ready: {error}", dir.display()))?;
    start(dir, &environment, &lock).map(Begun::Now).map_err(|error| {
        // Left behind, it would say that something ran.
        let _ = fs::remove_file(dir.join("lock"));
        format!("the runner cannot be started: {error}")
    })
}

/// Puts there what a runner needs; the lock, last, is returned held.
fn fill(dir: &Path, order: &PodOrder) -> io::Result<File> {
    private(dir)?;
    // An emptyDir is the kubelet's, open to all: then the container is the bound.
    let _ = fs::set_permissions(dir, Permissions::from_mode(0o700));
    write(&dir.join("spec.json"), &serde_json::to_vec(&order.spec)?)?;
    if let Some(prompt) = &order.prompt {
        write(&dir.join("prompt"), prompt.as_bytes())?;
    }
    for name in ["outbox", "inbox"] {
        private(&dir.join(name))?;
    }
    let mut lock = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(dir.join("lock"))?;
    if !os::try_lock(&lock)? {
        return Err(io::ErrorKind::WouldBlock.into());
    }
    lock.write_all(os::boot_id().as_bytes())?;
    Ok(lock)
}

fn private(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).recursive(true).create(dir) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    os::create_regular(path, OpenOptions::new().write(true).truncate(true))?.write_all(bytes)
}

/// The image's environment without the order, and the task's over it.
fn environment(order: &PodOrder) -> Result<Vec<CString>, String> {
    let is_order = |name: &OsString| name.to_str().is_some_and(PodOrder::is_variable);
    let image = std::env::vars_os().filter(|(name, _)| !is_order(name)).collect();
    let all = enter::compose(image, order.env.clone(), enter::is_writable);
    let entry = |(name, value): (OsString, OsString)| {
        let text = [name.as_bytes(), b"=", value.as_bytes()].concat();
        CString::new(text).map_err(|_| format!("the variable {} holds a NUL character", name.to_string_lossy()))
    };
    all.into_iter().map(entry).collect()
}

/// Starts the runner, which holds the lock from then on, and hears signals that come before it can listen.
fn start(dir: &Path, environment: &[CString], lock: &File) -> io::Result<u32> {
    let null = File::options().read(true).write(true).open("/dev/null")?;
    let argv = [c"airx".to_owned(), c"run-task".to_owned(), CString::new(dir.as_os_str().as_bytes())?];
    spawn(&Spawn {
        program: c"/proc/self/exe",
        argv: &argv,
        env: Some(environment),
        cwd: None,
        stdio: [lock.as_fd(), null.as_fd(), null.as_fd()],
        hold_stop: true,
    })
}
