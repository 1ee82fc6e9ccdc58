//! `airx relay DIR [FILE=OFFSET]… after=NUMBER`: tells on standard output what is new in an attempt's directory, as it comes.
//!
//! Started in a task's container by a manager that cannot see the directory. It looks at a handful of files a few times a
//! second, less often when nothing happens, and ends when nobody listens any more: whoever does says a byte now and then.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::model::relay::{BEAT_MS, Frame, GROWING, Kind, LISTENER_MS, OUTBOX, WHOLE};
use crate::os;

/// Between two looks: at first, and when nothing has happened for a while.
pub(super) const SOON: Duration = Duration::from_millis(50);
pub(super) const LATER: Duration = Duration::from_millis(400);
/// Most bytes of a frame of output, and of a whole file.
const PIECE: u64 = 256 << 10;
const MAX_WHOLE: u64 = 1 << 20;
/// Most names of the outbox that are looked at, and most that are told.
const MAX_NAMES: usize = 20_000;
const MAX_TOLD: usize = 10_000;

/// What the arguments ask for, when they say `relay`.
#[derive(Debug, PartialEq, Eq)]
pub struct Request {
    dir: PathBuf,
    offsets: BTreeMap<String, u64>,
}

/// The request in the arguments.
pub fn requested(mut args: impl Iterator<Item = OsString>) -> Option<Request> {
    args.next();
    (args.next()? == "relay").then_some(())?;
    let dir = args.next()?.into();
    let offset = |arg: OsString| {
        let (name, number) = arg.to_str()?.split_once('=')?;
        Some((name.to_owned(), number.parse().ok()?))
    };
    Some(Request { dir, offsets: args.filter_map(offset).collect() })
}

/// Tells until nobody listens; the exit code.
pub fn main(request: Request) -> i32 {
    std::thread::spawn(|| {
        until_deserted(Duration::from_millis(LISTENER_MS));
        // Also when it waits for somebody to take what it says.
        std::process::exit(0);
    });
    let mut relay = Relay::new(request.dir, request.offsets, Bounds { piece: PIECE, file: u64::MAX, items: u64::MAX });
    let mut out = io::stdout().lock();
    let (mut pause, mut said) = (SOON, Instant::now());
    loop {
        let told = relay.look(|frame| out.write_all(&frame.encode()).and_then(|()| out.flush()));
        let beats = said.elapsed() >= Duration::from_millis(BEAT_MS);
        let beaten = if beats { out.write_all(&Frame::beat().encode()).and_then(|()| out.flush()) } else { Ok(()) };
        let Ok(told) = told.and_then(|told| beaten.map(|()| told)) else { return 0 };
        if told || beats {
            said = Instant::now();
        }
        pause = if told { SOON } else { (pause * 2).min(LATER) };
        std::thread::sleep(pause);
    }
}

fn until_deserted(patience: Duration) {
    let stdin = io::stdin();
    let timeout = Timespec { tv_sec: patience.as_secs().cast_signed(), tv_nsec: 0 };
    loop {
        let mut fds = [PollFd::new(&stdin, PollFlags::IN)];
        match poll(&mut fds, Some(&timeout)) {
            Err(rustix::io::Errno::INTR) => {}
            Ok(1..) if rustix::io::read(&stdin, &mut [0; 64][..]).is_ok_and(|count| count > 0) => {}
            _ => return,
        }
    }
}

/// How much is told.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    /// Most bytes of one frame of a file that grows.
    pub piece: u64,
    /// Most bytes of such a file.
    pub file: u64,
    /// Most bytes of all items of the outbox together.
    pub items: u64,
}

/// Looks at an attempt's directory, and knows what it has told of it.
pub(super) struct Relay {
    dir: PathBuf,
    offsets: BTreeMap<String, u64>,
    bounds: Bounds,
    whole: BTreeMap<&'static str, Vec<u8>>,
    told: BTreeSet<String>,
}

impl Relay {
    /// Of this directory, from these places in files on, and from the item `after` on.
    pub fn new(dir: PathBuf, offsets: BTreeMap<String, u64>, bounds: Bounds) -> Relay {
        Relay { dir, offsets, bounds, whole: BTreeMap::new(), told: BTreeSet::new() }
    }

    /// Tells what is new; whether anything is.
    pub fn look(&mut self, mut tell: impl FnMut(Frame) -> io::Result<()>) -> io::Result<bool> {
        // As far as the index is now, what it is about is there.
        let index = size(&self.dir.join("index"));
        let mut is_new = false;
        for name in GROWING {
            let end = if name == "index" { index } else { size(&self.dir.join(name)) };
            is_new |= self.grown(name, end.min(self.bounds.file), &mut tell)?;
        }
        for name in WHOLE {
            let Some(content) = read(&self.dir.join(name)) else { continue };
            if self.whole.get(name) != Some(&content) {
                tell(Frame { kind: Kind::Whole, name: name.to_owned(), offset: 0, content: content.clone() })?;
                self.whole.insert(name, content);
                is_new = true;
            }
        }
        Ok(is_new | self.items(&mut tell)?)
    }

    fn grown(&mut self, name: &str, end: u64, tell: &mut impl FnMut(Frame) -> io::Result<()>) -> io::Result<bool> {
        let begin = self.offsets.get(name).copied().unwrap_or(0);
        let mut at = begin;
        while at < end {
            let Some(content) = part(&self.dir.join(name), at, (end - at).min(self.bounds.piece)) else { break };
            let offset = at;
            at += content.len() as u64;
            tell(Frame { kind: Kind::Part, name: name.to_owned(), offset, content })?;
            self.offsets.insert(name.to_owned(), at);
        }
        Ok(at > begin)
    }

    fn items(&mut self, tell: &mut impl FnMut(Frame) -> io::Result<()>) -> io::Result<bool> {
        let after = self.offsets.get("after").copied().unwrap_or(0);
        let Ok(entries) = fs::read_dir(self.dir.join(OUTBOX)) else { return Ok(false) };
        let number = |name: &str| name.split_once('-').and_then(|(number, _)| number.parse::<u64>().ok());
        let mut names: Vec<String> = entries
            .take(MAX_NAMES)
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.ends_with(".json") && number(name).is_some_and(|number| number > after))
            .filter(|name| !self.told.contains(name))
            .take(MAX_TOLD.saturating_sub(self.told.len()))
            .collect();
        names.sort();
        let is_new = !names.is_empty();
        for name in names {
            let content = read(&self.dir.join(OUTBOX).join(&name));
            // Only a task that passes by `outbox::put` gets beyond.
            if let Some(content) = content.filter(|content| content.len() as u64 <= self.bounds.items) {
                self.bounds.items -= content.len() as u64;
                tell(Frame { kind: Kind::Whole, name: format!("{OUTBOX}{name}"), offset: 0, content })?;
            }
            self.told.insert(name);
        }
        Ok(is_new)
    }

    /// Tells once more which items there are: the newest of them, with at most so many bytes.
    pub fn again(&self, most: u64, tell: &mut impl FnMut(Frame) -> io::Result<()>) -> io::Result<()> {
        let place = self.dir.join(OUTBOX);
        let mut left = most;
        let newest = self.told.iter().rev().take_while(|name| {
            let bytes = size(&place.join(name));
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        });
        let names: Vec<&String> = newest.collect();
        for name in names.into_iter().rev() {
            if let Some(content) = read(&place.join(name)) {
                tell(Frame { kind: Kind::Whole, name: format!("{OUTBOX}{name}"), offset: 0, content })?;
            }
        }
        Ok(())
    }
}

/// Something else than a file is as good as nothing: the task can put anything there.
fn size(path: &Path) -> u64 {
    fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file).map_or(0, |data| data.len())
}

/// A piece of a file; none at its end.
pub(super) fn part(path: &Path, offset: u64, length: u64) -> Option<Vec<u8>> {
    let mut file = os::open_regular(path).ok()?;
    file.seek(SeekFrom::Start(offset)).ok()?;
    let mut bytes = Vec::new();
    file.take(length).read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| !bytes.is_empty())
}

/// A file of a size that a frame can have.
pub(super) fn read(path: &Path) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    os::open_regular(path).ok()?.take(MAX_WHOLE + 1).read_to_end(&mut bytes).ok()?;
    Some(bytes).filter(|bytes| bytes.len() as u64 <= MAX_WHOLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_is_told_once_and_goes_on_where_it_was() {
        let home = tempfile::tempdir().unwrap();
        let dir = home.path();
        fs::create_dir(dir.join("outbox")).unwrap();
        let put = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        put("out", "hello");
        put("index", "0123456789abcdef");
        put("outbox/000001-a.json", "old");
        put("outbox/000002-b.json", "new");
        put("outbox/.3.new", "half");
        std::os::unix::fs::symlink("/dev/zero", dir.join("err")).unwrap();
        let args = ["airx", "relay", dir.to_str().unwrap(), "out=3", "after=1", "odd"].map(OsString::from);
        let request = requested(args.into_iter()).unwrap();
        let mut relay = Relay::new(request.dir, request.offsets, Bounds { piece: PIECE, file: 16, items: 5 });
        let mut look = || {
            let mut seen = Vec::new();
            relay
                .look(|frame| {
                    seen.push((frame.name, frame.offset, String::from_utf8(frame.content).unwrap()));
                    Ok(())
                })
                .unwrap();
            seen
        };
        let told = |name: &str, offset: u64, text: &str| (name.to_owned(), offset, text.to_owned());
        assert_eq!(look(), [told("out", 3, "lo"), told("index", 0, "0123456789abcdef"), told("outbox/000002-b.json", 0, "new")]);
        assert_eq!(look(), []);
        put("live.json", "{}");
        put("out", "hello you");
        assert_eq!(look(), [told("out", 5, " you"), told("live.json", 0, "{}")]);
        put("out", "x");
        assert_eq!(look(), [], "what shrinks is told at the end");
        put("out", "more than its bound");
        put("outbox/000003-c.json", "large");
        assert_eq!(look(), [told("out", 9, " its bo")], "nothing is told beyond the bounds");
        assert_eq!(look(), []);
    }

    #[test]
    fn the_newest_items_are_told_again_in_their_order() {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("outbox")).unwrap();
        for number in 1..=4 {
            fs::write(home.path().join(format!("outbox/00000{number}-a.json")), "12345").unwrap();
        }
        let bounds = Bounds { piece: PIECE, file: u64::MAX, items: u64::MAX };
        let mut relay = Relay::new(home.path().to_owned(), BTreeMap::new(), bounds);
        relay.look(|_| Ok(())).unwrap();
        let mut seen = Vec::new();
        let mut tell = |frame: Frame| {
            seen.push(frame.name);
            Ok(())
        };
        relay.again(14, &mut tell).unwrap();
        assert_eq!(seen, ["outbox/000003-a.json", "outbox/000004-a.json"]);
    }
}
