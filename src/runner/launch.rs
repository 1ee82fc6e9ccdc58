//! Finding and starting the command and the gate, and saying in words why that failed.

use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::Access;
use rustix::io::Errno;

use crate::model::attempt::{End, OWN_PROGRAM};
use crate::os;
use crate::os::cgroup::Cgroup;
use crate::os::spawn::{Spawn, spawn};

/// Where programs are looked for when the task's environment has no PATH.
const DEFAULT_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// Starts `argv` in `cwd`, or says why not.
pub fn start(argv: &[String], cwd: &Path, stdio: [BorrowedFd<'_>; 3], cgroup: Option<&Cgroup>) -> Result<u32, End> {
    let Some(name) = argv.first() else { return Err(failed(Errno::INVAL, "the command is empty".into())) };
    let program = find(name, cwd)?;
    let strings: Result<Vec<CString>, _> = argv.iter().map(|a| CString::new(a.as_bytes())).collect();
    let (Ok(strings), Ok(c_program), Ok(c_cwd)) =
        (strings, CString::new(program.as_os_str().as_bytes()), CString::new(cwd.as_os_str().as_bytes()))
    else {
        return Err(failed(Errno::INVAL, "the command holds a NUL character, which no program can be given".into()));
    };
    let env = environment();
    let request = Spawn { program: &c_program, argv: &strings, env: Some(&env), cwd: Some(&c_cwd), stdio, hold_stop: false };
    let result = match cgroup {
        Some(group) => group.inside(|| spawn(&request)).and_then(|r| r),
        None => spawn(&request),
    };
    result.map_err(|e| explain(&e, &program, cwd))
}

/// The runner's own environment, which is the task's, and where the program lies that runs it.
fn environment() -> Vec<CString> {
    let own = std::iter::once((OWN_PROGRAM.into(), os::own_program().into_os_string()));
    let inherited = std::env::vars_os().filter(|(name, _)| name != OWN_PROGRAM);
    let entry = |(name, value): (OsString, OsString)| CString::new([name.as_bytes(), b"=", value.as_bytes()].concat()).ok();
    inherited.chain(own).filter_map(entry).collect()
}

/// The file that `name` means: a path as it is, a name by the task's PATH.
fn find(name: &str, cwd: &Path) -> Result<PathBuf, End> {
    if name.contains('/') {
        return Ok(PathBuf::from(name));
    }
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let mut found_unusable = None;
    for entry in path.as_bytes().split(|b| *b == b':') {
        // An empty entry means the current directory (POSIX), which is the task's.
        let candidate = cwd.join(OsStr::from_bytes(entry)).join(name);
        match rustix::fs::access(&candidate, Access::EXEC_OK) {
            Ok(()) if candidate.is_file() => return Ok(candidate),
            Err(Errno::ACCESS) if candidate.is_file() => {
                found_unusable.get_or_insert(candidate);
            }
            _ => {}
        }
    }
    check_cwd(cwd)?;
    Err(match found_unusable {
        Some(file) => failed(Errno::ACCESS, format!("{} is not executable (chmod +x)", file.display())),
        None if name.is_empty() => failed(Errno::NOENT, "the program's name is empty".into()),
        None => failed(Errno::NOENT, format!("`{name}` was not found in PATH ({})", path.to_string_lossy())),
    })
}

fn check_cwd(cwd: &Path) -> Result<(), End> {
    match rustix::fs::stat(cwd) {
        Err(e) => Err(failed(e, format!("the directory to run in, {}, cannot be entered: {}", cwd.display(), words(e)))),
        Ok(_) if !cwd.is_dir() => {
            Err(failed(Errno::NOTDIR, format!("the directory to run in, {}, is not a directory", cwd.display())))
        }
        Ok(_) => Ok(()),
    }
}

fn explain(error: &io::Error, program: &Path, cwd: &Path) -> End {
    let errno = Errno::from_io_error(error).unwrap_or(Errno::IO);
    if let Err(end) = check_cwd(cwd) {
        return end;
    }
    let program = cwd.join(program);
    let shown = program.display();
    let why = match errno {
        Errno::NOENT if program.exists() => format!("{shown} exists, but the interpreter or loader it names does not"),
        Errno::NOENT => format!("{shown} does not exist"),
        Errno::ACCESS if program.is_dir() => format!("{shown} is a directory"),
        Errno::ACCESS if rustix::fs::access(cwd, Access::EXEC_OK).is_err() => {
            format!("the directory to run in, {}, may not be entered", cwd.display())
        }
        Errno::ACCESS => format!("{shown} is not executable (chmod +x), or lies on a file system mounted noexec"),
        Errno::NOEXEC => format!("{shown} is no program of this machine; a script needs a first line such as #!/bin/sh"),
        Errno::TOOBIG => "arguments and environment together are too large for this system (E2BIG)".to_owned(),
        other => format!("{shown} could not be started: {}", words(other)),
    };
    failed(errno, why)
}

fn words(errno: Errno) -> String {
    io::Error::from(errno).to_string()
}

/// A command that never ran.
pub fn failed(errno: Errno, why: String) -> End {
    End::NotStarted { errno: errno.raw_os_error(), why }
}

/// A wait status as an end.
pub fn end_of(status: rustix::process::WaitStatus) -> End {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => End::Exited(code),
        (None, signal) => End::Signalled(signal.unwrap_or(0)),
    }
}
