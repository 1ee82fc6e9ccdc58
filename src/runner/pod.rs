//! `airx pod DIR`: the first process of a pod, which shares no directory with its manager.
//!
//! All of a launch comes by its environment ([`PodOrder`]). It fills the attempt's directory, starts the runner there as a child, as it
//! is started everywhere else, and tells on its standard output what happens in the directory, as lines under a nonce; what comes by
//! standard input are the manager's words. The task is the same user: so this process shuts itself off from it, or the task could read
//! the nonce and write into the lines.
//!
//! One thread and one loop, as the runner: it stays as long as its task does, beside it in the same bounds of memory.

mod begin;
mod ear;
mod first;
mod last;
mod verdict;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::model::attempt::{End, MAX_OUTBOX_TOTAL, NOT_ENTERED};
use crate::model::exit_file::ExitFile;
use crate::model::pod::PodOrder;
use crate::os;
use crate::runner::relay::{Bounds, LATER, Relay, SOON};
use begin::Begun;
use first::First;

/// Bytes of a frame: some eight lines, so that what is lost with a line is little.
const PIECE: u64 = 64 << 10;
/// Bytes that are told of a file beyond the output's limit: the task could write into it as well.
const BEYOND: u64 = 64 << 20;
/// Looks after the end for what was written meanwhile. When nothing lives any more the first finds all.
const LAST_LOOKS: u32 = 4;

/// The directory named by the arguments, when they say `pod DIR`.
pub fn requested(mut args: impl Iterator<Item = OsString>) -> Option<PathBuf> {
    args.next();
    (args.next()? == "pod").then_some(())?;
    args.next().map(Into::into)
}

/// Runs the pod's attempt in `dir` and tells of it; the exit code is for people who look at the pod. [`NOT_ENTERED`] when it could
/// not begin, and nothing of the task ran.
pub fn main(dir: &Path) -> i32 {
    match run(dir) {
        Ok(code) => code,
        Err(why) => {
            remark(&why);
            NOT_ENTERED
        }
    }
}

fn run(dir: &Path) -> Result<i32, String> {
    let cannot = |what: &'static str| move |error: std::io::Error| format!("cannot {what}: {error}");
    // Before anything else: nobody may see what is in the environment, and no signal may be missed.
    os::first::hide().map_err(cannot("keep the nonce from the task"))?;
    os::close_inherited();
    let signals = os::signal::signals_of_first().map_err(cannot("listen for signals"))?;
    os::become_subreaper().map_err(cannot("become subreaper"))?;
    let order = PodOrder::read(|name| std::env::var(name).ok())?;
    let mut first = First::new(dir, signals, &order.nonce);
    let file = order.spec.output_limit.saturating_add(BEYOND);
    let bounds = Bounds { piece: PIECE, file, items: MAX_OUTBOX_TOTAL };
    let mut relay = Relay::new(dir.to_owned(), BTreeMap::new(), bounds);
    match begin::begin(dir, &order)? {
        Begun::Now(runner) => follow(&mut first, &mut relay, runner, &order.spec.mark),
        Begun::Lives => {
            remark("another runner of this attempt lives: its task is not begun twice");
            return Ok(verdict::UNKNOWN);
        }
        // The kubelet has started the container again, which it should not: what the first one left is told, and the manager decides.
        Begun::Before => last::note(dir, "the container was started again; its task had begun before and was not begun twice"),
    }
    for _ in 0..LAST_LOOKS {
        if !relay.look(|frame| first.say(&frame)).unwrap_or(false) {
            break;
        }
    }
    last::tell(&mut first, dir, &order.spec, &relay);
    Ok(verdict::code(&last::record(dir), &order.spec.mark))
}

/// Tells what happens until the runner has ended, and everything with it.
fn follow(first: &mut First, relay: &mut Relay, runner: u32, mark: &str) {
    first.watch(runner);
    let mut pause = SOON;
    let end = loop {
        first.wait(pause, false);
        let is_new = relay.look(|frame| first.say(&frame)).unwrap_or(false);
        if let Some(end) = first.end() {
            break end;
        }
        pause = if is_new { SOON } else { (pause * 2).min(LATER) };
    };
    let has_record = matches!(last::record(&first.dir), ExitFile::Complete(_));
    if end == End::Exited(0) && has_record {
        return;
    }
    // Nobody bounds what it has left behind any more, and the pod would not end.
    first.sweep(mark);
    if !has_record {
        last::note(&first.dir, &format!("the runner {}, without an exit record", verdict::words(&end)));
    }
}

/// Says something to a person who reads the pod's log, apart from the lines of frames.
fn remark(text: &str) {
    // Nobody is there to be told that it could not be said.
    let _ = rustix::io::write(rustix::stdio::stderr(), format!("airx pod: {text}\n").as_bytes());
}
