//! What happens in an attempt's directory on a remote engine, while it runs.
//!
//! Our own program tells it from within the container (`airx relay`), over one call that stays open, from where this side
//! is; a call that breaks off is made again from there. Copying files out at each look would carry all output again and
//! again, and the engine's logs know neither streams of gates nor the outbox. Nothing depends on it: what is copied after
//! the end is the truth, and a task whose engine refuses the call (its limit of processes is reached, say) is looked at by
//! copies of its small files instead.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use bollard::container::LogOutput;
use bollard::exec::{StartExecOptions, StartExecResults};
use bollard::models::ExecConfig;
use futures_util::{StreamExt, TryFutureExt};
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};

use super::custody::Custody;
use super::engine::Engine;
use super::fault::Fault;
use super::remote;
use super::worker;
use crate::manager::ports::{CONTAINER_ATTEMPT, CONTAINER_BIN};
use crate::model::relay::{BEAT_MS, Decoder, Frame, GROWING, Kind, LISTENER_MS, OUTBOX, WHOLE};
use crate::os;

/// Between two calls, doubled each time up to the latter.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LAST_PAUSE: Duration = Duration::from_secs(5);
/// A call that went on for so long was a good one.
const GOOD: Duration = Duration::from_secs(10);
/// Longest time without a frame.
const SILENCE: Duration = Duration::from_millis(6 * BEAT_MS);
/// Between two words that say that somebody listens.
const WORD: Duration = Duration::from_millis(LISTENER_MS / 4);
/// Bytes that are asked for at once.
const CAPACITY: usize = 64 << 10;
/// Most bytes of a file that grows, beyond the output's limit: the task could write into it as well.
const BEYOND: u64 = 64 << 20;

/// Follows until it is dropped.
pub async fn follow(engine: &Rc<Engine>, custody: &Rc<Custody>) {
    let mut pause = FIRST_PAUSE;
    loop {
        engine.until_back().await;
        let began = Instant::now();
        match listen(engine, custody).await {
            Ok(()) => {}
            Err(fault @ Fault::Unreachable(_)) => engine.doubt(&fault),
            Err(fault) => {
                tracing::debug!(attempt = %custody.attempt, "its directory is not told: {fault}");
                worker::copy_small(engine, custody).await;
            }
        }
        pause = if began.elapsed() > GOOD { FIRST_PAUSE } else { (pause * 2).min(LAST_PAUSE) };
        tokio::time::sleep(pause).await;
    }
}

async fn listen(engine: &Rc<Engine>, custody: &Rc<Custody>) -> Result<(), Fault> {
    let docker = engine.client()?;
    let config = ExecConfig {
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        cmd: Some(command(&custody.dir)),
        ..ExecConfig::default()
    };
    let exec = docker.create_exec(&custody.address(), config).map_err(Fault::from).await?;
    let options = StartExecOptions { output_capacity: Some(CAPACITY), ..StartExecOptions::default() };
    let started = docker.start_exec(&exec.id, Some(options)).map_err(Fault::from).await?;
    let StartExecResults::Attached { mut output, mut input } = started else { return Ok(()) };
    let limit = custody.record.borrow().output_limit.saturating_add(BEYOND);
    let mut words = interval(WORD);
    words.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut decoder = Decoder::default();
    let mut room = remote::Room::of(&custody.dir);
    let mut deadline = Instant::now() + SILENCE;
    loop {
        let piece = tokio::select! {
            piece = timeout_at(deadline, output.next()) => piece,
            _ = words.tick() => {
                let said = input.write_all(b"\n").await.and(input.flush().await);
                said.map_err(|error| Fault::Unreachable(error.to_string()))?;
                continue;
            }
        };
        let bytes = match piece {
            Err(_) => return Err(Fault::Unreachable("the relay has fallen silent".to_owned())),
            // It ended, with its container most likely.
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => return Err(error.into()),
            Ok(Some(Ok(LogOutput::StdOut { message }))) => message,
            Ok(Some(Ok(other))) => return Err(refused(String::from_utf8_lossy(&other.into_bytes()).into_owned())),
        };
        deadline = Instant::now() + SILENCE;
        decoder.push(&bytes);
        let mut has_news = false;
        while let Some(frame) = decoder.frame().map_err(refused)? {
            has_news |= frame.kind == Kind::Whole;
            // On a full disk the next call goes on where this one stopped.
            keep(&custody.dir, frame, limit, &mut room).map_err(|error| refused(format!("it cannot be kept here: {error}")))?;
        }
        if has_news {
            engine.desk.news(custody.source(), None);
        }
    }
}

fn refused(message: String) -> Fault {
    Fault::Refused { status: 0, message }
}

/// Asks for what this side does not have.
fn command(dir: &Path) -> Vec<String> {
    let length = |name: &&str| std::fs::metadata(dir.join(name)).map_or(0, |data| data.len());
    let newest = std::fs::read_dir(dir.join(OUTBOX)).into_iter().flatten().flatten();
    let newest = newest.filter_map(|entry| entry.file_name().to_str()?.split_once('-')?.0.parse::<u64>().ok()).max();
    let mut command = vec![format!("{CONTAINER_BIN}/airx"), "relay".to_owned(), CONTAINER_ATTEMPT.to_owned()];
    command.extend(GROWING.iter().map(|name| format!("{name}={}", length(name))));
    command.push(format!("after={}", newest.unwrap_or(0)));
    command
}

/// Keeps what came, when it is what was asked for: the task could say anything.
fn keep(dir: &Path, frame: Frame, limit: u64, room: &mut remote::Room) -> io::Result<()> {
    match frame.kind {
        Kind::Beat => Ok(()),
        Kind::Part if GROWING.contains(&frame.name.as_str()) => {
            let mut options = OpenOptions::new();
            let file =
                options.append(true).create(true).mode(0o600).custom_flags(libc::O_NOFOLLOW).open(dir.join(&frame.name))?;
            let there = file.metadata()?.len();
            if there != frame.offset || there >= limit {
                return Err(io::Error::other(format!("{} is at {there}, and {} came", frame.name, frame.offset)));
            }
            (&file).write_all(&frame.content)
        }
        Kind::Whole if WHOLE.contains(&frame.name.as_str()) || frame.name.strip_prefix(OUTBOX).is_some_and(remote::is_item) => {
            let target = dir.join(&frame.name);
            if frame.name.starts_with(OUTBOX) && !room.take(&target, frame.content.len() as u64) {
                return Err(io::Error::other("its outbox is full"));
            }
            let new = dir.join(format!(".{}.part", os::random_hex(4)));
            std::fs::write(&new, &frame.content)?;
            std::fs::rename(new, target)
        }
        Kind::Part | Kind::Whole => Err(io::Error::other(format!("{} was not asked for", frame.name))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_is_kept_once_and_only_where_it_belongs() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path().join("1");
        std::fs::create_dir_all(dir.join("outbox")).unwrap();
        let mut room = remote::Room::of(&dir);
        let mut keep = |dir: &Path, frame, limit| keep(dir, frame, limit, &mut room);
        let part = |name: &str, offset, content: &str| Frame {
            kind: Kind::Part,
            name: name.to_owned(),
            offset,
            content: content.as_bytes().to_vec(),
        };
        let whole = |name: &str| Frame { kind: Kind::Whole, ..part(name, 0, "{}") };
        keep(&dir, part("out", 0, "abc"), 10).unwrap();
        assert!(keep(&dir, part("out", 0, "abc"), 10).is_err(), "twice");
        assert!(keep(&dir, part("out", 9, "abc"), 10).is_err(), "with a hole");
        keep(&dir, part("out", 3, "defghijk"), 10).unwrap();
        assert!(keep(&dir, part("out", 11, "l"), 10).is_err(), "more than may be");
        assert_eq!(std::fs::read(dir.join("out")).unwrap(), b"abcdefghijk");
        keep(&dir, whole("live.json"), 10).unwrap();
        keep(&dir, whole("outbox/000001-a.json"), 10).unwrap();
        for bad in ["spec.json", "outbox/../../x.json", "outbox/.x.json", "/etc/x.json", "exit.json", "outbox/x"] {
            assert!(keep(&dir, whole(bad), 10).is_err() && keep(&dir, part(bad, 0, "x"), 10).is_err(), "{bad}");
        }
        assert!(command(&dir).ends_with(&["out=11", "err=0", "gate.log=0", "index=0", "after=1"].map(str::to_owned)));
    }
}
