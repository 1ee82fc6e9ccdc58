//! `airx deliver-notice`: the process that tells a person one thing. Its order comes on standard input, so that no secret is
//! in its arguments or environment; one line about what became of it goes to standard output.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process_group};

use super::order::{MAX_ORDER, Order};
use super::post;

/// The word that asks for it.
pub const VERB: &str = "deliver-notice";
/// Longest run of a command; then its group gets SIGTERM.
const DEADLINE: Duration = Duration::from_secs(30);
/// From SIGTERM to SIGKILL.
const GRACE: Duration = Duration::from_secs(2);
/// Longest wait for the output of a command that has ended: what it left in the background may hold it open for ever.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Output of a command that is kept, in bytes.
const MAX_OUTPUT: u64 = 4 * 1024;

/// Whether this process is to deliver a notice.
pub fn requested(mut words: impl Iterator<Item = OsString>) -> bool {
    words.nth(1).is_some_and(|word| word == VERB)
}

/// Does what standard input says; the exit code, 0 when it was done.
pub fn main() -> i32 {
    crate::os::close_inherited();
    let mut text = String::new();
    let read = std::io::stdin().take(MAX_ORDER + 1).read_to_string(&mut text);
    let order = match read.map_err(|error| error.to_string()).and_then(|_| serde_json::from_str(&text).map_err(|e| e.to_string()))
    {
        Ok(order) => order,
        Err(why) => return tell(Err(format!("no order of a manager on standard input: {why}"))),
    };
    drop(text);
    // What a command leaves behind comes here instead of to the manager, which knows nothing of it. Without that it is only
    // ended with its group.
    let _ = crate::os::become_subreaper();
    let outcome = match order {
        Order::Command { argv, env, cwd } => run(&argv, &env.into_iter().collect::<Vec<_>>(), &cwd, DEADLINE),
        Order::Post { url, headers, body } => post::post(&url, &headers, &body),
    };
    sweep();
    tell(outcome)
}

/// Ends whatever still descends from this process, for a bounded time.
fn sweep() {
    let until = Instant::now() + GRACE;
    while let Ok(left) = crate::os::proc::descendants(std::process::id())
        && !left.is_empty()
        && Instant::now() < until
    {
        for process in left {
            crate::os::signal_pid(process.pid, Signal::KILL);
            crate::os::reap(process.pid);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn tell(outcome: Result<String, String>) -> i32 {
    let (code, line) = match outcome {
        Ok(line) => (0, line),
        Err(line) => (1, line),
    };
    // Nobody to tell that the manager has left.
    let _ = writeln!(std::io::stdout(), "{line}");
    code
}

/// Runs a command in a process group of its own, for a bounded time; what it printed.
fn run(argv: &[String], env: &[(String, String)], cwd: &Path, patience: Duration) -> Result<String, String> {
    let (program, args) = argv.split_first().ok_or("the command is empty")?;
    let mut child = Command::new(program)
        .args(args)
        .env_clear()
        .envs(env.iter().map(|(name, value)| (name, value)))
        .current_dir(cwd)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .map_err(|error| format!("`{program}` cannot be started: {error}"))?;
    let printed = [child.stdout.take().map(keep_reading), child.stderr.take().map(keep_reading)];
    let ended = wait(&mut child, Instant::now() + patience);
    end(&mut child, ended.is_none());
    let until = Instant::now() + LAST_WORDS;
    let words = printed
        .into_iter()
        .flatten()
        .filter_map(|printed| printed.recv_timeout(until.saturating_duration_since(Instant::now())).ok());
    let words = words.collect::<Vec<_>>().join(" ").split_whitespace().collect::<Vec<_>>().join(" ");
    let said = if words.is_empty() { String::new() } else { format!(": {words}") };
    match ended {
        Some(status) if status.success() => Ok(format!("done{said}")),
        Some(status) => Err(format!("{status}{said}")),
        None => Err(format!("took longer than {} s and was ended{said}", patience.as_secs())),
    }
}

/// How it ended; none when it has not by then.
fn wait(child: &mut Child, deadline: Instant) -> Option<ExitStatus> {
    loop {
        match child.try_wait() {
            Ok(Some(status)) => return Some(status),
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(10)),
            _ => return None,
        }
    }
}

/// Ends its group: one that did not end in time is asked first; then nobody asks any more.
fn end(child: &mut Child, is_late: bool) {
    let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) else { return };
    if is_late {
        // A group that is gone needs no signal.
        let _ = kill_process_group(group, Signal::TERM);
        let _ = wait(child, Instant::now() + GRACE);
    }
    let _ = kill_process_group(group, Signal::KILL);
    let _ = child.wait();
}

/// Reads all of it on a thread, keeping the beginning: a full pipe must not hold the command up.
fn keep_reading(mut from: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = sync_channel(1);
    let read = move || {
        let mut kept = Vec::new();
        // What cannot be read is not told.
        let _ = from.by_ref().take(MAX_OUTPUT).read_to_end(&mut kept);
        let _ = std::io::copy(&mut from, &mut std::io::sink());
        drop(sender.send(String::from_utf8_lossy(&kept).into_owned()));
    };
    // Without a thread it is told without its output, and dies of a full pipe at worst.
    drop(std::thread::Builder::new().spawn(read));
    receiver
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(line: &str, millis: u64) -> Result<String, String> {
        let env = [("PATH".to_owned(), "/usr/bin:/bin".to_owned())];
        let argv = ["/bin/sh", "-c", line].map(str::to_owned);
        run(&argv, &env, Path::new("/"), Duration::from_millis(millis))
    }

    #[test]
    fn a_command_tells_what_it_printed_and_how_it_failed() {
        assert_eq!(shell("echo sent; echo twice >&2", 30_000), Ok("done: sent twice".to_owned()));
        assert_eq!(shell("echo no bus >&2; exit 3", 30_000), Err("exit status: 3: no bus".to_owned()));
        let missing = run(&["/nowhere/notify-send".to_owned()], &[], Path::new("/"), DEADLINE);
        assert!(missing.unwrap_err().contains("cannot be started"));
    }

    #[test]
    fn a_command_that_hangs_is_ended_with_all_that_it_started() {
        let directory = tempfile::tempdir().unwrap();
        let pid = directory.path().join("pid");
        let why = shell(&format!("sleep 1000 & echo $! > {}; wait", pid.display()), 300).unwrap_err();
        assert!(why.contains("was ended"), "{why}");
        let child: u32 = std::fs::read_to_string(pid).unwrap().trim().parse().unwrap();
        let deadline = Instant::now() + Duration::from_secs(20);
        while crate::os::proc::process(child).is_some_and(|process| !process.is_zombie()) {
            assert!(Instant::now() < deadline, "{child} still runs");
            std::thread::yield_now();
        }
    }

    #[test]
    fn output_without_end_and_without_a_reader_holds_nothing_up() {
        let said = shell("head -c 1000000 /dev/zero | tr '\\0' x; exit 4", 30_000).unwrap_err();
        assert!(said.len() < 5_000 && said.starts_with("exit status: 4: xxx"), "{}", said.len());
        assert_eq!(shell("sleep 30 & exit 0", 30_000), Ok("done".to_owned()));
    }
}
