//! A terminal for the built program: a pseudo-terminal whose far end behaves as a terminal does. What the program writes
//! goes through a vt100 parser and into a log, its questions are answered, and a link in between can be slow.
#![allow(dead_code, reason = "each test program uses its own part")]

use std::fs::File;
use std::io::{Read, Write};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, native_pty_system};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::Signal;

/// Longest wait for a condition. Generous: the suite shares two cores.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes of what was written that are kept.
const KEPT: usize = 16 << 20;
/// What begins a frame: a synchronized update.
pub const FRAME: &[u8] = b"\x1b[?2026h";

/// A terminal with a program in it.
pub struct Pty {
    master: Option<Box<dyn MasterPty + Send>>,
    child: Box<dyn Child + Send + Sync>,
    pid: u32,
    shared: Arc<Shared>,
    keys: Option<Sender<(Instant, Vec<u8>)>>,
    wake: UnixStream,
    threads: Vec<JoinHandle<()>>,
    delay: Duration,
}

struct Shared {
    seen: Mutex<Seen>,
    news: Condvar,
    /// The reader lets go of the terminal.
    closing: AtomicBool,
    /// The reader reads nothing.
    resting: AtomicBool,
}

/// What came from the program.
struct Seen {
    parser: vt100::Parser<Questions>,
    log: Vec<u8>,
    /// Bytes that came before those that are kept.
    dropped: usize,
    /// Nobody has the terminal open any more.
    is_over: bool,
}

/// Collects the answers to the questions of the program, and what it asks of the terminal beside drawing.
#[derive(Default)]
struct Questions {
    answers: Vec<u8>,
    titles: Vec<String>,
}

impl vt100::Callbacks for Questions {
    fn unhandled_csi(&mut self, screen: &mut vt100::Screen, i1: Option<u8>, _: Option<u8>, params: &[&[u16]], last: char) {
        match (i1, params, last) {
            (None, [[6]], 'n') => {
                let (row, column) = screen.cursor_position();
                self.answers.extend(format!("\x1b[{};{}R", row + 1, column + 1).bytes());
            }
            (None, _, 'c') => self.answers.extend(b"\x1b[?62;22c"),
            _ => {}
        }
    }

    fn set_window_title(&mut self, _: &mut vt100::Screen, title: &[u8]) {
        self.titles.push(String::from_utf8_lossy(title).into_owned());
    }
}

fn locked(shared: &Shared) -> MutexGuard<'_, Seen> {
    shared.seen.lock().unwrap_or_else(PoisonError::into_inner)
}

fn cells(number: u16) -> NonZeroU16 {
    NonZeroU16::new(number).expect("a terminal has cells")
}

fn size(columns: u16, rows: u16) -> PtySize {
    PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 }
}

impl Pty {
    /// Starts a command, whose environment was cleared, in a terminal of this size.
    pub fn open(command: &Command, columns: u16, rows: u16) -> Pty {
        Pty::over_link(command, columns, rows, Duration::ZERO)
    }

    /// The same where everything takes so long on its way, in both directions.
    pub fn over_link(command: &Command, columns: u16, rows: u16, delay: Duration) -> Pty {
        let pair = native_pty_system().openpty(size(columns, rows)).expect("a pseudo-terminal");
        let mut builder = CommandBuilder::new(command.get_program());
        builder.env_clear();
        builder.args(command.get_args());
        builder.env("TERM", "xterm-256color");
        for (name, value) in command.get_envs() {
            if let Some(value) = value {
                builder.env(name, value);
            }
        }
        builder.cwd(command.get_current_dir().expect("a directory to work in"));
        let child = pair.slave.spawn_command(builder).expect("the program starts");
        drop(pair.slave);
        let pid = child.process_id().expect("a process id");
        let parser = vt100::Parser::new_with_callbacks(cells(rows), cells(columns), 0, Questions::default());
        let shared = Arc::new(Shared {
            seen: Mutex::new(Seen { parser, log: Vec::new(), dropped: 0, is_over: false }),
            news: Condvar::new(),
            closing: AtomicBool::new(false),
            resting: AtomicBool::new(false),
        });
        let (keys, typed) = channel();
        let (arrived, coming) = channel();
        let (wake, woken) = UnixStream::pair().expect("a pair of sockets");
        woken.set_nonblocking(true).expect("a socket");
        let [read_end, write_end] = [(); 2].map(|()| far_end(pair.master.as_ref()));
        let (for_reader, for_screen, answers) = (shared.clone(), shared.clone(), keys.clone());
        let threads = vec![
            std::thread::spawn(move || read(&read_end, &woken, &for_reader, &arrived)),
            std::thread::spawn(move || take_in(&for_screen, &coming, &answers, delay)),
            std::thread::spawn(move || write(write_end, &typed, delay)),
        ];
        Pty { master: Some(pair.master), child, pid, shared, keys: Some(keys), wake, threads, delay }
    }

    /// The program's process id.
    pub fn pid(&self) -> u32 {
        self.pid
    }

    /// Types keys by their names, separated by blanks: `j`, `enter`, `ctrl-z`. Other words are typed letter by letter.
    pub fn keys(&self, names: &str) {
        for name in names.split_whitespace() {
            self.send(&bytes_of(name));
            // What follows an escape too soon would be one key with it, for any program.
            if name == "esc" {
                self.until_read();
            }
        }
    }

    /// Types a text.
    pub fn text(&self, text: &str) {
        self.send(text.as_bytes());
    }

    /// Pastes a text, as terminals do it for programs that asked for brackets.
    pub fn paste(&self, text: &str) {
        assert!(locked(&self.shared).parser.screen().bracketed_paste(), "the program did not ask for brackets");
        self.send(format!("\x1b[200~{text}\x1b[201~").as_bytes());
    }

    fn send(&self, bytes: &[u8]) {
        let keys = self.keys.as_ref().expect("the terminal is there");
        keys.send((Instant::now(), bytes.to_vec())).expect("the terminal is there");
    }

    /// Waits until the program has read what was typed.
    pub fn until_read(&self) {
        std::thread::sleep(self.delay);
        let name = self.master.as_ref().and_then(|master| master.tty_name()).expect("a terminal has a name");
        let flags = rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY | rustix::fs::OFlags::CLOEXEC;
        let near = rustix::fs::open(name, flags, rustix::fs::Mode::empty()).expect("the terminal opens");
        let deadline = Instant::now() + PATIENCE;
        // Two looks in a row: the key may still be on its way to the terminal at the first.
        let mut empty = 0;
        while empty < 3 {
            assert!(Instant::now() < deadline, "the program does not read its keys\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(2));
            empty = if rustix::io::ioctl_fionread(&near).expect("a terminal") == 0 { empty + 1 } else { 0 };
        }
    }

    /// What is on the screen.
    pub fn screen(&self) -> String {
        locked(&self.shared).parser.screen().contents()
    }

    /// Something about the screen.
    pub fn look<T>(&self, look: impl FnOnce(&vt100::Screen) -> T) -> T {
        look(locked(&self.shared).parser.screen())
    }

    /// Waits until the text is on the screen; when it was.
    pub fn wait_for(&self, text: &str) -> Instant {
        self.wait(&format!("`{text}` is on the screen"), |screen| screen.contains(text))
    }

    /// Waits until the text is not on the screen any more; when it was gone.
    pub fn wait_gone(&self, text: &str) -> Instant {
        self.wait(&format!("`{text}` is gone from the screen"), |screen| !screen.contains(text))
    }

    /// Waits until a line of the screen has all of these; when it had.
    pub fn wait_line(&self, parts: &[&str]) -> Instant {
        let has = |screen: &str| screen.lines().any(|line| parts.iter().all(|part| line.contains(part)));
        self.wait(&format!("a line has {parts:?}"), has)
    }

    /// Waits for a condition of the screen; when it was met.
    pub fn wait(&self, what: &str, condition: impl Fn(&str) -> bool) -> Instant {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = locked(&self.shared);
        loop {
            let shown = seen.parser.screen().contents();
            if condition(&shown) {
                return Instant::now();
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited too long until {what}; the screen:\n{shown}\n{}", ends(&seen.log));
            seen = self.shared.news.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits for a condition of what was written since a mark.
    pub fn wait_log(&self, what: &str, mark: usize, condition: impl Fn(&[u8]) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = locked(&self.shared);
        while !condition(&seen.log[mark.saturating_sub(seen.dropped)..]) {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "waited too long until {what}\n{}", ends(&seen.log));
            seen = self.shared.news.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until nothing was written for so long.
    pub fn wait_quiet(&self, span: Duration) {
        let deadline = Instant::now() + PATIENCE;
        let mut mark = self.mark();
        loop {
            std::thread::sleep(span);
            if self.mark() == mark {
                return;
            }
            mark = self.mark();
            assert!(Instant::now() < deadline, "there is no end of what is written\n{}", ends(&locked(&self.shared).log));
        }
    }

    /// Something else writes on the screen.
    pub fn scribble(&self, text: &str) {
        locked(&self.shared).parser.process(text.as_bytes());
    }

    /// Waits until a terminal that rests holds all that it can: the program then waits for it in a write.
    pub fn wait_until_stuck(&self) {
        let deadline = Instant::now() + PATIENCE;
        let main = format!("/proc/{0}/task/{0}/wchan", self.pid);
        let stat = format!("/proc/{0}/task/{0}/syscall", self.pid);
        loop {
            let waits = std::fs::read_to_string(&main).unwrap_or_default();
            let call = std::fs::read_to_string(&stat).unwrap_or_default();
            if waits.contains("tty_write") || call.starts_with("1 ") || call.starts_with("64 ") {
                return;
            }
            assert!(Instant::now() < deadline, "the terminal does not fill up: {waits} {call}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// A place in what was written: now.
    pub fn mark(&self) -> usize {
        let seen = locked(&self.shared);
        seen.dropped + seen.log.len()
    }

    /// What was written since a mark.
    pub fn since(&self, mark: usize) -> Vec<u8> {
        let seen = locked(&self.shared);
        seen.log[mark.saturating_sub(seen.dropped).min(seen.log.len())..].to_vec()
    }

    /// Frames drawn since a mark.
    pub fn frames_since(&self, mark: usize) -> usize {
        count(&self.since(mark), FRAME)
    }

    /// Titles that were asked for.
    pub fn titles(&self) -> Vec<String> {
        locked(&self.shared).parser.callbacks().titles.clone()
    }

    /// Gives the terminal another size.
    pub fn resize(&self, columns: u16, rows: u16) {
        // The screen first: what is drawn for the new size must find it so.
        locked(&self.shared).parser.set_size(cells(rows), cells(columns));
        self.master.as_ref().expect("the terminal is there").resize(size(columns, rows)).expect("another size");
    }

    /// The terminal takes nothing any more, as one that is stopped.
    pub fn rest(&self) {
        self.shared.resting.store(true, Ordering::SeqCst);
        let _ = (&self.wake).write(&[1]);
    }

    /// It takes what there is again.
    pub fn go_on(&self) {
        self.shared.resting.store(false, Ordering::SeqCst);
        let _ = (&self.wake).write(&[1]);
    }

    /// Closes the far end, as a terminal window or a lost connection does.
    pub fn hang_up(&mut self) {
        self.shared.closing.store(true, Ordering::SeqCst);
        let _ = (&self.wake).write(&[1]);
        self.keys = None;
        // Which hold their own ends of it, and each other's channels.
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
        self.master = None;
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        if let Some(pid) = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw) {
            let _ = rustix::process::kill_process(pid, signal);
        }
    }

    /// Waits for the program to end; its exit code, after all that it wrote was taken in.
    pub fn exit(&mut self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child") {
                break status;
            }
            assert!(Instant::now() < deadline, "the program does not end; the screen:\n{}", self.screen());
            std::thread::sleep(Duration::from_millis(5));
        };
        let mut seen = locked(&self.shared);
        while self.master.is_some() && !seen.is_over {
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "the program has ended, but somebody keeps its terminal");
            seen = self.shared.news.wait_timeout(seen, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        status.exit_code()
    }

    /// Whether the program has not ended.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_none()
    }

    /// The terminal is as a shell wants it.
    pub fn assert_restored(&self) {
        let seen = locked(&self.shared);
        let screen = seen.parser.screen();
        let end = ends(&seen.log);
        assert!(!screen.alternate_screen(), "the alternate screen was not left: {end}");
        assert!(!screen.hide_cursor(), "the cursor was not shown again: {end}");
        assert!(!screen.bracketed_paste(), "bracketed paste was left on: {end}");
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None, "the mouse was kept: {end}");
        assert_eq!((screen.fgcolor(), screen.bgcolor()), (vt100::Color::Default, vt100::Color::Default), "{end}");
        assert!(!screen.bold() && !screen.inverse() && !screen.underline(), "attributes were left on: {end}");
        let begun = count(&seen.log, FRAME);
        let ended = count(&seen.log, b"\x1b[?2026l");
        assert!(ended >= begun, "a synchronized update was left open: {end}");
        drop(seen);
        assert!(self.is_cooked(), "raw mode was left on");
    }

    /// Whether the terminal edits lines and echoes them, as it does for a shell's commands.
    pub fn is_cooked(&self) -> bool {
        let modes: libc::termios =
            self.master.as_ref().and_then(|master| master.get_termios()).expect("a terminal has modes").into();
        let wanted = libc::ICANON | libc::ECHO | libc::ISIG;
        modes.c_lflag & wanted == wanted && modes.c_iflag & libc::ICRNL != 0 && modes.c_oflag & libc::OPOST != 0
    }
}

impl Drop for Pty {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.signal(Signal::CONT);
            self.signal(Signal::KILL);
            let _ = self.child.wait();
        }
        self.hang_up();
    }
}

/// A descriptor of one's own of the far end.
fn far_end(master: &dyn MasterPty) -> OwnedFd {
    let number = master.as_raw_fd().expect("a descriptor");
    // SAFETY: the master is borrowed for the whole of this call, so its descriptor is open.
    #[expect(unsafe_code, reason = "portable-pty gives only the number")]
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    borrowed.try_clone_to_owned().expect("a descriptor")
}

/// Reads what the program writes, until the far end is to be closed.
fn read(end: &OwnedFd, woken: &UnixStream, shared: &Shared, arrived: &Sender<(Instant, Vec<u8>)>) {
    let mut buffer = vec![0; 64 * 1024];
    while !shared.closing.load(Ordering::SeqCst) {
        let watched = if shared.resting.load(Ordering::SeqCst) { PollFlags::empty() } else { PollFlags::IN };
        let mut fds = [PollFd::from_borrowed_fd(woken.as_fd(), PollFlags::IN), PollFd::from_borrowed_fd(end.as_fd(), watched)];
        let _ = poll(&mut fds, None);
        let is_ready = !fds[1].revents().is_empty();
        if !fds[0].revents().is_empty() {
            let mut woken = woken;
            let _ = woken.read(&mut [0; 64]);
            continue;
        }
        if !is_ready {
            continue;
        }
        match rustix::io::read(end, &mut buffer) {
            Ok(count) if count > 0 => {
                if arrived.send((Instant::now(), buffer[..count].to_vec())).is_err() {
                    return;
                }
            }
            Err(rustix::io::Errno::INTR | rustix::io::Errno::AGAIN) => {}
            // Nobody has the other end open any more; somebody may open it again, which no test does.
            _ => {
                let _ = arrived.send((Instant::now(), Vec::new()));
                return;
            }
        }
    }
}

/// Puts what arrived on the screen and into the log, and answers.
fn take_in(shared: &Shared, coming: &Receiver<(Instant, Vec<u8>)>, answers: &Sender<(Instant, Vec<u8>)>, delay: Duration) {
    while let Ok((at, bytes)) = coming.recv() {
        std::thread::sleep((at + delay).saturating_duration_since(Instant::now()));
        let mut seen = locked(shared);
        seen.is_over |= bytes.is_empty();
        seen.parser.process(&bytes);
        seen.log.extend(&bytes);
        if seen.log.len() > KEPT {
            let most = seen.log.len() - KEPT / 2;
            seen.log.drain(..most);
            seen.dropped += most;
        }
        let answer = std::mem::take(&mut seen.parser.callbacks_mut().answers);
        shared.news.notify_all();
        if !answer.is_empty() {
            let _ = answers.send((Instant::now(), answer));
        }
    }
}

/// Writes what is typed.
fn write(end: OwnedFd, typed: &Receiver<(Instant, Vec<u8>)>, delay: Duration) {
    let mut end = File::from(end);
    while let Ok((at, bytes)) = typed.recv() {
        std::thread::sleep((at + delay).saturating_duration_since(Instant::now()));
        if end.write_all(&bytes).is_err() {
            return;
        }
    }
}

/// What a terminal sends for a key.
fn bytes_of(name: &str) -> Vec<u8> {
    let text = match name {
        "enter" => "\r",
        "esc" => "\x1b",
        "tab" => "\t",
        "space" => " ",
        "backspace" => "\x7f",
        "up" => "\x1b[A",
        "down" => "\x1b[B",
        "right" => "\x1b[C",
        "left" => "\x1b[D",
        "home" => "\x1b[H",
        "end" => "\x1b[F",
        "page-up" => "\x1b[5~",
        "page-down" => "\x1b[6~",
        "delete" => "\x1b[3~",
        "f1" => "\x1bOP",
        "f2" => "\x1bOQ",
        "f3" => "\x1bOR",
        "f4" => "\x1bOS",
        other => match other.strip_prefix("ctrl-").map(str::as_bytes) {
            Some([letter]) => return vec![letter & 0x1f],
            _ => other,
        },
    };
    text.as_bytes().to_vec()
}

/// How often a part is in it.
pub fn count(bytes: &[u8], part: &[u8]) -> usize {
    memchr::memmem::find_iter(bytes, part).count()
}

/// The end of what was written, for messages.
fn ends(log: &[u8]) -> String {
    let end = &log[log.len().saturating_sub(600)..];
    format!("the last that was written: {:?}", String::from_utf8_lossy(end))
}
