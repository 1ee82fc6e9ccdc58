//! The loop around the app: takes in all that is ready, then draws once, then sleeps.

mod programs;

use std::collections::HashMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::config::theme::Depth;
use crate::model::diagnostic::Diagnostic;
use crate::model::message::{Command, MAX_PAGE};
use crate::model::time::Mono;
use crate::os::wake::Sleeper;

use super::app::editor::Editor;
use super::app::toast::Kind;
use super::app::{App, Begin, Effect, Program};
use super::data::sync::{Incoming, Request, Sync};
use super::keep::Kept;
use super::output::fetch::Wanted;
use super::parts::{Left, Parts};
use super::terminal::Screen;
use super::update::{self, Input};
use super::{external, input, view};

/// Least time between two frames, unless a key was pressed: at most 30 a second.
const FRAME: Duration = Duration::from_millis(33);
/// Between two looks at the files of the configuration.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// Messages of the threads taken in before the next frame; as many as may wait.
const BATCH: usize = 64;
/// Events of the terminal taken in before the next frame.
const KEYS: usize = 256;
/// Files fetched at the same time.
const FETCHES: usize = 4;

/// The app, the terminal and the threads.
pub struct Shell {
    app: App,
    screen: Screen,
    sync: Sync,
    parts: Parts,
    sleeper: Sleeper,
    /// What becomes of a file once it was fetched.
    fetched: HashMap<u64, Program>,
    fetching: Arc<AtomicUsize>,
    drawn: Option<Instant>,
    /// Keys may have been read and not taken yet: the terminal looks silent then.
    unread: bool,
    /// Whether the terminal was asked what it makes of our signs.
    measured: bool,
    look: (u64, Instant),
    edits: u64,
    /// Keys that may be the beginning of one that is still on its way.
    torn: input::Torn,
    /// Pages were taken in since memory was given back last.
    grown: bool,
}

impl Shell {
    /// Takes the terminal and starts the threads.
    ///
    /// # Errors
    /// When the terminal cannot be used.
    pub fn begin(parts: Parts, sleeper: Sleeper) -> io::Result<Shell> {
        let look = (parts.load_look)();
        let stamp = (parts.look_stamp)();
        let kept = Kept::read(&parts.home);
        let mouse = look.screen.mouse;
        let sync = Sync::start(&parts.connect, &parts.told.waker())?;
        let screen = Screen::take(mouse, look.depth == Depth::Ansi16)?;
        let size = crossterm::terminal::size()?;
        let app = App::new(Begin {
            look: super::app::look::Look::new(look, |name| parts.env.get(name).cloned()),
            now: crate::os::now(),
            zone: parts.zone.clone(),
            size,
            embeds: (parts.embeds)(),
            home: parts.shown_cwd(),
            scratch: parts.home.join("scratch"),
            cwd: parts.cwd.clone(),
            draft: kept.draft,
            split: kept.split,
            mouse,
            read_only: parts.read_only.clone(),
            transcript: Arc::clone(&parts.transcript),
        });
        let fetching = Arc::new(AtomicUsize::new(0));
        let look = (stamp, Instant::now());
        let fetched = HashMap::new();
        Ok(Shell {
            app,
            screen,
            sync,
            parts,
            sleeper,
            fetched,
            fetching,
            drawn: None,
            unread: true,
            measured: false,
            look,
            edits: 0,
            torn: input::Torn::default(),
            grown: false,
        })
    }

    /// Runs until it is left.
    ///
    /// # Errors
    /// When the terminal cannot be used any more; it is given back all the same.
    pub fn run(mut self) -> io::Result<Left> {
        let mut is_pressing = true;
        loop {
            self.fit();
            let effects = update::prepare(&mut self.app);
            if let Some(left) = self.perform(effects)? {
                return Ok(left);
            }
            self.draw(is_pressing)?;
            self.give_back();
            let patience = if std::mem::take(&mut self.unread) { Some(Duration::ZERO) } else { self.patience() };
            let awake = self.sleeper.sleep(rustix::stdio::stdin(), patience)?;
            // A closed terminal can be read for ever, and gives nothing.
            if self.parts.told.must_leave() || awake.gone {
                return Ok(Left::Told);
            }
            is_pressing = self.parts.told.takes_redraw();
            if is_pressing {
                self.screen.clear()?;
                self.app.dirty = true;
            }
            let mut effects = if self.parts.told.takes_suspend() { vec![Effect::Suspend] } else { Vec::new() };
            let (keys, more) = self.read_terminal()?;
            is_pressing |= keys;
            effects.extend(more);
            effects.extend(self.read_threads());
            self.look_again();
            self.app.embeds = (self.parts.embeds)();
            effects.extend(update::tick(&mut self.app, crate::os::now()));
            if let Some(left) = self.perform(effects)? {
                return Ok(left);
            }
        }
    }

    /// Keys and other events of the terminal; whether there were any.
    fn read_terminal(&mut self) -> io::Result<(bool, Vec<Effect>)> {
        let (mut any, mut effects) = (false, Vec::new());
        for chord in self.torn.due(Instant::now()) {
            any = true;
            effects.extend(update::update(&mut self.app, Input::Key(chord), crate::os::now()));
        }
        for _ in 0..KEYS {
            if !crossterm::event::poll(Duration::ZERO)? {
                return Ok((any, effects));
            }
            let ready = match input::input(crossterm::event::read()?) {
                Some(Input::Key(chord)) => self.torn.take(chord, Instant::now()).into_iter().map(Input::Key).collect(),
                other => Vec::from_iter(other),
            };
            any |= !ready.is_empty();
            for input in ready {
                effects.extend(update::update(&mut self.app, input, crate::os::now()));
            }
            // What follows may be meant for another program, or for a screen that is gone.
            if effects.iter().any(takes_terminal) {
                break;
            }
        }
        self.unread = true;
        Ok((any, effects))
    }

    /// Gives memory back once a large job was read and nothing is going on: pages on their way take as much as what is kept.
    fn give_back(&mut self) {
        if self.grown && !self.app.dirty && self.app.tree.flight.is_empty() {
            self.grown = false;
            crate::os::trim_memory();
        }
    }

    fn read_threads(&mut self) -> Vec<Effect> {
        let mut effects = Vec::new();
        for _ in 0..BATCH {
            let Ok(incoming) = self.sync.incoming.try_recv() else { break };
            self.grown |= matches!(&incoming, Incoming::Tasks { tasks, .. } if tasks.len() as u32 == MAX_PAGE);
            if let Incoming::Fetched(number, Ok(path)) = &incoming
                && let Some(Program::Pager) = self.fetched.remove(number)
            {
                effects.push(Effect::Page(path.clone()));
                continue;
            }
            effects.extend(update::update(&mut self.app, Input::Incoming(incoming), crate::os::now()));
        }
        effects
    }

    /// Draws when something changed: at once after a key, else when it is time.
    fn draw(&mut self, is_pressing: bool) -> io::Result<()> {
        if !self.app.dirty || !(is_pressing || self.drawn.is_none_or(|at| at.elapsed() >= FRAME)) {
            return Ok(());
        }
        self.drawn = Some(Instant::now());
        self.app.dirty = false;
        let app = &self.app;
        self.screen.draw(app.size, |area, buffer| view::draw(app, area, buffer))?;
        if !std::mem::replace(&mut self.measured, true) && app.look.is_measured() {
            // After the first frame: a slow link must not keep a person waiting for it.
            self.app.look.unicode = self.screen.measures_signs()?;
            self.unread = true;
            (self.app.dirty, self.drawn) = (true, None);
        }
        Ok(())
    }

    /// How long there is nothing to do; none is for ever.
    fn patience(&self) -> Option<Duration> {
        let until = |mono: Mono| Duration::from_millis(mono.0.saturating_sub(crate::os::now().mono.0));
        let wake = update::next_wake(&self.app).map(until);
        let frame = self.app.dirty.then(|| self.drawn.map_or(Duration::ZERO, |at| FRAME.saturating_sub(at.elapsed())));
        [wake, frame, self.torn.patience(Instant::now()), Some(LOOK_EVERY)].into_iter().flatten().min()
    }

    /// Reads the configuration again when it was written.
    fn look_again(&mut self) {
        if self.look.1.elapsed() < LOOK_EVERY {
            return;
        }
        let stamp = (self.parts.look_stamp)();
        let is_new = stamp != self.look.0;
        self.look = (stamp, Instant::now());
        if is_new {
            let unicode = self.app.look.unicode;
            let env = &self.parts.env;
            let look = super::app::look::Look::new((self.parts.load_look)(), |name| env.get(name).cloned());
            update::relook(&mut self.app, look, unicode);
        }
    }

    fn perform(&mut self, effects: Vec<Effect>) -> io::Result<Option<Left>> {
        for effect in effects {
            match effect {
                Effect::Ask(request) => self.ask(request),
                Effect::Command(number, command) => self.command(number, command),
                Effect::Leave(left) => return Ok(Some(left)),
                Effect::Suspend => self.suspend()?,
                Effect::Redraw => {
                    self.screen.clear()?;
                    self.app.dirty = true;
                }
                Effect::Copy(text) => self.copy(&text)?,
                Effect::Ring { ring, title, text } => {
                    let in_tmux = self.parts.env.get("TMUX").is_some_and(|tmux| !tmux.is_empty());
                    self.screen.send(&crate::model::notice::ring::signal(ring, &title, &text, in_tmux))?;
                }
                Effect::Mouse(mouse) => self.screen.set_mouse(mouse)?,
                Effect::StartManager => self.start_manager(),
                Effect::Show(number, wanted, program) => self.fetch(number, wanted, program),
                Effect::Page(path) => self.page(&path)?,
                Effect::Edit { text, ending, back } => self.edit(&text, ending, back)?,
                Effect::Keep => self.keep(),
                Effect::Check => self.check(),
            }
        }
        Ok(None)
    }

    fn ask(&mut self, request: Request) {
        if let Err(request) = self.sync.ask(request) {
            update::unasked(&mut self.app, &request);
        }
    }

    fn command(&mut self, number: u64, command: Command) {
        if !self.sync.command(number, command) {
            update::unsent(&mut self.app, number);
        }
    }

    fn start_manager(&self) {
        let (start, back) = (Arc::clone(&self.parts.start_manager), self.sync.back());
        let spawned = std::thread::Builder::new().name("screen-start".to_owned()).spawn(move || {
            let (text, is_fault) = match start() {
                Ok(pid) => (format!("a manager runs in the background (pid {pid})"), false),
                Err(why) => (why, true),
            };
            back.tell(Incoming::Told(text, is_fault));
        });
        // Too many threads: the person sees that nothing came and asks again.
        drop(spawned);
    }

    /// A file is fetched over a connection of its own: it may be long.
    fn fetch(&mut self, number: u64, wanted: Wanted, program: Program) {
        if self.fetching.fetch_add(1, Ordering::SeqCst) >= FETCHES {
            self.fetching.fetch_sub(1, Ordering::SeqCst);
            let incoming =
                Incoming::Fetched(number, Err("several files are being written already, try again in a moment".to_owned()));
            update::update(&mut self.app, Input::Incoming(incoming), crate::os::now());
            return;
        }
        if let Err(error) = external::scratch(&self.parts.home) {
            self.tell(&format!("cannot write into the home: {error}"), Kind::Fault);
        }
        self.fetched.insert(number, program);
        let (connect, back, count) = (Arc::clone(&self.parts.connect), self.sync.back(), Arc::clone(&self.fetching));
        let fetch = move || {
            let found = connect().map_err(|error| error.message).and_then(|mut client| wanted.fetch(client.as_mut()));
            count.fetch_sub(1, Ordering::SeqCst);
            back.tell(Incoming::Fetched(number, found));
        };
        // As for the manager: asked again when nothing comes.
        drop(std::thread::Builder::new().name("screen-fetch".to_owned()).spawn(fetch));
    }

    /// What is prepared and what is drawn are for the same size: that of the terminal now. It may have changed before
    /// anybody told, and nobody tells while the terminal is not ours.
    fn fit(&mut self) {
        if let Some(size) = crate::os::terminal_size().filter(|size| *size != self.app.size) {
            self.app.size = size;
            self.app.dirty = true;
        }
    }

    fn keep(&mut self) {
        let draft = self.app.editor.as_ref().and_then(Editor::draft);
        let kept = Kept { draft: draft.or_else(|| self.app.draft.clone()), split: Some(self.app.split) };
        if let Err(error) = kept.write(&self.parts.home) {
            self.tell(&format!("the text and the sizes of panes could not be kept: {error}"), Kind::Fault);
        }
    }

    /// On a thread: a file of many thousands of tasks takes a moment.
    fn check(&mut self) {
        // What was typed outlives this process, however it ends.
        if self.app.editor.as_ref().is_some_and(|editor| editor.touched && !editor.sending) {
            self.keep();
        }
        let Some(editor) = &self.app.editor else { return };
        let (check, back) = (Arc::clone(&self.parts.check_job), self.sync.back());
        let (text, file, base, params, stamp) =
            (editor.text(), editor.file.clone(), editor.base.clone(), editor.params.clone(), editor.stamp);
        let check = move || {
            let found = check(&text, &file, &base, &params).map(Box::new);
            back.tell(Incoming::Checked(stamp, found));
        };
        if let Err(error) = std::thread::Builder::new().name("screen-check".to_owned()).spawn(check) {
            let fault = Diagnostic {
                file: String::new(),
                line: 1,
                column: 1,
                message: format!("the text cannot be checked now: {error}"),
                hint: "try again in a moment".to_owned(),
            };
            let incoming = Incoming::Checked(stamp, Err(vec![fault]));
            update::update(&mut self.app, Input::Incoming(incoming), crate::os::now());
        }
    }

    fn tell(&mut self, text: &str, kind: Kind) {
        self.app.toasts.add(text, kind, crate::os::now());
        self.app.dirty = true;
    }
}

/// However it ends, by a fault of ours or of the terminal too: what was typed is kept.
impl Drop for Shell {
    fn drop(&mut self) {
        if self.app.editor.as_ref().is_some_and(|editor| editor.touched) {
            self.keep();
        }
    }
}

/// Whether what follows on the terminal is no longer for the app.
fn takes_terminal(effect: &Effect) -> bool {
    matches!(effect, Effect::Leave(_) | Effect::Suspend | Effect::Edit { .. } | Effect::Page(_))
}
