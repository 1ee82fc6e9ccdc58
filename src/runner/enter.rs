//! `airx enter DIR`: the first process of a container.
//!
//! The task's environment, secrets among it, comes by standard input, so that it is in no configuration of the engine's:
//! a line that says how long it is, then JSON. Then this process becomes the runner itself, as it is started everywhere
//! else: the locked `lock` as descriptor 0, the task's environment as its own.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use crate::manager::ports::{CONTAINER_BIN, CONTAINER_SCRATCH};
use crate::model::attempt::{MAX_ENVIRONMENT, NOT_ENTERED, parse_environment};
use crate::os;

/// Longest wait for the environment. It comes as soon as the engine has said that it has started us.
const PATIENCE_MS: u64 = 30_000;

/// The directory named by the arguments, when they say `enter DIR`.
pub fn requested(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.next();
    (args.next()? == "enter").then_some(())?;
    args.next().map(Into::into)
}

/// Becomes the runner of the attempt in `dir`. Returns only when it cannot: [`NOT_ENTERED`], and nothing of the task ran.
pub fn main(dir: &Path) -> i32 {
    let Err(error) = enter(dir);
    let text = format!("{} airx enter: {error}\n", os::now().utc.0);
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("runner.log"));
    let _ = log.map(|file| rustix::io::write(&file, text.as_bytes()));
    NOT_ENTERED
}

fn enter(dir: &Path) -> io::Result<std::convert::Infallible> {
    let bytes = told(&mut Timely { until: os::now().mono.0 + PATIENCE_MS })?;
    let environment = compose(std::env::vars_os().collect(), parse_environment(&bytes)?, is_writable);
    let lock = File::options().read(true).write(true).create(true).truncate(false).open(dir.join("lock"))?;
    if !os::try_lock(&lock)? {
        return Err(io::Error::other("another runner of this attempt lives"));
    }
    let mut command = Command::new("/proc/self/exe");
    command.arg0("airx").arg("run-task").arg(dir).env_clear().envs(environment);
    Err(command.stdin(lock).stdout(Stdio::null()).stderr(Stdio::null()).exec())
}

/// What was handed over. Whoever has the other end may keep it open: what was announced is read, and no more.
fn told(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while head.last() != Some(&b'\n') {
        let mut byte = [0];
        if head.len() > 32 || from.read(&mut byte)? == 0 {
            return Err(io::Error::other("the manager ended before it had handed over the task's environment"));
        }
        head.push(byte[0]);
    }
    let length: Option<u64> = std::str::from_utf8(&head).ok().and_then(|text| text.trim().parse().ok());
    let length = length.filter(|length| *length <= MAX_ENVIRONMENT).ok_or(io::ErrorKind::InvalidData)?;
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if bytes.len() as u64 != length {
        return Err(io::Error::other("the manager ended while it handed over the task's environment"));
    }
    Ok(bytes)
}

/// Standard input, which is waited for so long and no longer: of an engine that was killed, and whose containers live on,
/// neither a byte nor an end ever comes.
struct Timely {
    until: u64,
}

impl Read for Timely {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            let left = self.until.saturating_sub(os::now().mono.0);
            let timeout = Timespec { tv_sec: (left / 1000).cast_signed(), tv_nsec: ((left % 1000) * 1_000_000).cast_signed() };
            let stdin = rustix::stdio::stdin();
            match poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&timeout)) {
                Ok(0) => return Err(io::Error::other("the task's environment was not handed over in time")),
                Ok(_) => return Ok(rustix::io::read(stdin, bytes)?),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

/// The image's own variables, the task's over them, our program in PATH, and a HOME that can be written to.
pub(super) fn compose(
    image: BTreeMap<OsString, OsString>,
    task: Vec<(String, String)>,
    is_writable: impl Fn(&OsStr) -> bool,
) -> BTreeMap<OsString, OsString> {
    let mut all = image;
    let says_home = task.iter().any(|(name, _)| name == "HOME");
    all.extend(task.into_iter().map(|(name, value)| (name.into(), value.into())));
    let home = all.get(OsStr::new("HOME")).is_some_and(|home| home != "/" && is_writable(home));
    if !home && !says_home {
        all.insert("HOME".into(), CONTAINER_SCRATCH.into());
    }
    let path = all.entry("PATH".into()).or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into());
    if !path.as_bytes().split(|b| *b == b':').any(|part| part == CONTAINER_BIN.as_bytes()) {
        path.push(":");
        path.push(CONTAINER_BIN);
    }
    all
}

pub(super) fn is_writable(directory: &OsStr) -> bool {
    rustix::fs::access(directory, rustix::fs::Access::WRITE_OK).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pairs: &[(&str, &str)]) -> BTreeMap<OsString, OsString> {
        pairs.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect()
    }

    #[test]
    fn a_task_has_the_images_variables_its_own_over_them_and_a_home_of_use() {
        let own = |pairs: &[(&str, &str)]| pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>();
        let image = all(&[("PATH", "/bin"), ("HOME", "/root"), ("A", "image")]);
        let composed = compose(image.clone(), own(&[("A", "task")]), |home| home == "/root");
        assert_eq!(composed, all(&[("PATH", "/bin:/airx/bin"), ("HOME", "/root"), ("A", "task")]));
        assert_eq!(compose(image.clone(), own(&[]), |_| false)[OsStr::new("HOME")], "/tmp");
        assert_eq!(compose(image, own(&[("HOME", "/nowhere")]), |_| false)[OsStr::new("HOME")], "/nowhere", "as it is said");
        assert_eq!(compose(all(&[("HOME", "/")]), own(&[]), |_| true)[OsStr::new("HOME")], "/tmp");
    }
}
