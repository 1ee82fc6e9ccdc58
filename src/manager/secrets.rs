//! Secrets by reference, resolved at each launch and kept nowhere.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::mpsc::sync_channel;
use std::time::{Duration, Instant};

use crate::model::message::Done;
use crate::model::settings::Settings;
use crate::model::spec::{EnvValue, SecretRef, Submission};

use super::handle::Reply;

/// Longest secret, in bytes.
const MAX_SECRET: u64 = 64 * 1024;
/// Longest run of a command that prints a secret.
const COMMAND_TIMEOUT: Duration = Duration::from_secs(15);

/// Missing secrets that are told at a submission, and references that are looked at for it.
const MAX_TOLD: usize = 20;
const MAX_LOOKED_AT: usize = 1_000;

/// The secret's value.
///
/// # Errors
/// Why there is none, in words that never contain the value.
pub fn resolve(secret: &SecretRef, environment: &BTreeMap<String, String>) -> Result<String, String> {
    match secret {
        SecretRef::Env(name) => environment.get(name).cloned().ok_or_else(|| {
            format!("the manager's environment has no {name} (set it and restart the manager: `airx stop`, then start again)")
        }),
        // What the configuration refers to may lie below the manager's home.
        SecretRef::File(path) => match path.strip_prefix("~").ok().zip(environment.get("HOME")) {
            Some((rest, home)) => read(&Path::new(home).join(rest)),
            None => read(path),
        },
        SecretRef::Command(line) => run(line, environment, COMMAND_TIMEOUT),
    }
}

/// The secrets that a new job refers to, or the pools of containers that it names, and that are not there: each once, at most 20,
/// with the reason. A command is not run for this.
pub fn missing(submission: &Submission, settings: &Settings, environment: &BTreeMap<String, String>) -> Vec<String> {
    let all = submission.with_children();
    let of_job = all.iter().flat_map(|submission| &submission.job.env);
    let of_tasks = all.iter().flat_map(|submission| &submission.tasks).flat_map(|task| &task.env);
    let tasks = all.iter().flat_map(|submission| submission.tasks.iter().map(|task| (*submission, task)));
    let named = tasks.map(|(submission, task)| task.pool.as_ref().unwrap_or(&submission.job.pool));
    let pools: BTreeSet<&String> = named.collect();
    let of_pools = pools.into_iter().filter_map(|pool| settings.pools.get(pool)).flat_map(|pool| pool.env());
    let mut seen = HashSet::new();
    let references = of_job.chain(of_tasks).chain(of_pools).filter_map(|(name, value)| match value {
        EnvValue::From(secret) if !matches!(secret, SecretRef::Command(_)) && seen.insert(secret) => Some((name, secret)),
        _ => None,
    });
    let missing = references.take(MAX_LOOKED_AT).filter_map(|(name, secret)| {
        let why = resolve(secret, environment).err()?;
        Some(format!("{name}: {why}"))
    });
    missing.take(MAX_TOLD).collect()
}

/// The answer to a submission, with the secrets that are missing.
pub fn tell(lacking: Vec<String>, reply: Reply<Done>) -> Reply<Done> {
    if lacking.is_empty() {
        return reply;
    }
    Box::new(move |mut answer| {
        if let Ok(Done::Submitted { missing, .. } | Done::Scheduled { missing, .. }) = &mut answer {
            *missing = lacking;
        }
        reply(answer);
    })
}

fn read(path: &Path) -> Result<String, String> {
    let cannot = |error: std::io::Error| format!("cannot read {}: {error}", path.display());
    // This is the manager's own thread: a fifo without a writer must not make it wait.
    let file = std::fs::OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK).open(path).map_err(cannot)?;
    if !file.metadata().map_err(cannot)?.is_file() {
        return Err(format!("cannot read {}: it is no regular file", path.display()));
    }
    let mut text = String::new();
    file.take(MAX_SECRET + 1).read_to_string(&mut text).map_err(cannot)?;
    finish(text, &path.display().to_string())
}

fn run(line: &str, environment: &BTreeMap<String, String>, patience: Duration) -> Result<String, String> {
    let failed = |why: String| format!("the command `{line}` {why}");
    let mut child = Command::new("/bin/sh")
        .args(["-c", line])
        .env_clear()
        .envs(environment)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(format!("could not be started: {error}")))?;
    let stdout = child.stdout.take();
    let (sender, printed) = sync_channel(1);
    let reader = std::thread::Builder::new().spawn(move || {
        let mut text = Vec::new();
        let read = stdout.map(|out| out.take(MAX_SECRET + 1).read_to_end(&mut text)).transpose().map(|_| text);
        drop(sender.send(read));
    });
    reader.map_err(|error| {
        // Already gone is as good as killed.
        let _ = child.kill();
        let _ = child.wait();
        failed(format!("could not be read, no thread can be started: {error}"))
    })?;
    let deadline = Instant::now() + patience;
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            Ok(None) => {
                // Already gone is as good as killed.
                let _ = child.kill();
                let _ = child.wait();
                return Err(failed(format!("took longer than {} s", patience.as_secs())));
            }
            Err(error) => return Err(failed(format!("was lost: {error}"))),
        }
    };
    if !status.success() {
        return Err(failed(format!("failed: {status}")));
    }
    // What it left in the background may hold its output open for ever.
    let read = printed
        .recv_timeout(deadline.saturating_duration_since(Instant::now()))
        .map_err(|_| failed("ended, but something that it started holds its output open".to_owned()))?;
    let text = read.ok().and_then(|bytes| String::from_utf8(bytes).ok());
    finish(text.ok_or_else(|| failed("printed no UTF-8 text".to_owned()))?, line)
}

fn finish(mut text: String, source: &str) -> Result<String, String> {
    if text.len() as u64 > MAX_SECRET {
        return Err(format!("{source} gives more than {MAX_SECRET} bytes"));
    }
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() {
        return Err(format!("{source} gives nothing"));
    }
    if text.contains('\0') {
        return Err(format!("{source} gives a NUL byte, which no environment can carry"));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_comes_from_a_file_or_a_link_to_one_and_a_fifo_makes_nobody_wait() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "s3cret\n").unwrap();
        std::os::unix::fs::symlink("key", dir.path().join("link")).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, dir.path().join("fifo"), rustix::fs::Mode::RWXU).unwrap();
        let read = |name: &str| resolve(&SecretRef::File(dir.path().join(name)), &BTreeMap::new());
        assert_eq!(read("link").as_deref(), Ok("s3cret"));
        assert!(read("fifo").is_err_and(|why| why.contains("no regular file")));
        assert!(read(".").is_err());
    }

    #[test]
    fn a_file_below_the_home_is_the_managers() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("key"), "s3cret").unwrap();
        let environment = BTreeMap::from([("HOME".to_owned(), dir.path().display().to_string())]);
        assert_eq!(resolve(&SecretRef::File("~/key".into()), &environment).as_deref(), Ok("s3cret"));
        assert!(resolve(&SecretRef::File("~/key".into()), &BTreeMap::new()).is_err());
    }

    #[test]
    fn a_command_that_leaves_its_output_open_is_not_waited_for_for_ever() {
        let environment = BTreeMap::from([("PATH".to_owned(), "/usr/bin:/bin".to_owned())]);
        let run = |line: &str, millis| run(line, &environment, Duration::from_millis(millis));
        assert_eq!(run("echo s3cret", 15_000).as_deref(), Ok("s3cret"));
        assert!(run("sleep 20 & echo s3cret", 500).is_err_and(|why| why.contains("holds its output open")));
        assert!(run("sleep 20", 100).is_err_and(|why| why.contains("took longer")));
    }
}
