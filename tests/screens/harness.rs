//! A screen that tests speak to: keys go in as people type them, and it says what it shows.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use airx::api::client::ClientError;
use airx::config::keymap::{self, Chord, Key};
use airx::config::screen::{Glyphs, KEYMAPS, ScreenSettings, THEMES};
use airx::config::theme::{self, Depth};
use airx::model::diagnostic::Diagnostic;
use airx::model::ids::JobName;
use airx::model::jobfile::{ParseOptions, parse};
use airx::model::message::{Command, Done, RefusalCode};
use airx::model::notice::Notifier;
use airx::model::time::{Mono, Now};
use airx::tui::action;
use airx::tui::app::look::Look;
use airx::tui::app::{App, Begin, Effect};
use airx::tui::data::sync::Incoming;
use airx::tui::parts::LoadedLook;
use airx::tui::update::{self, Input, Mouse};
use airx::tui::view;
use jiff::tz::TimeZone;
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::Rect;

use super::picture;
use super::world::{NOON, Says, World, refused};

/// How a screen begins.
#[derive(Clone)]
pub struct Setup {
    pub size: (u16, u16),
    pub theme: &'static str,
    pub keymap: &'static str,
    pub depth: Depth,
    pub glyphs: Glyphs,
    pub embeds: bool,
    pub read_only: Option<String>,
    pub faults: Vec<Diagnostic>,
    pub notify: Vec<Notifier>,
    pub draft: Option<airx::tui::app::editor::Draft>,
}

impl Default for Setup {
    fn default() -> Setup {
        Setup {
            size: (120, 40),
            theme: "terminal",
            keymap: "default",
            depth: Depth::True,
            glyphs: Glyphs::Unicode,
            embeds: true,
            read_only: None,
            faults: Vec::new(),
            notify: Vec::new(),
            draft: None,
        }
    }
}

impl Setup {
    pub fn look(&self) -> Look {
        let (keymap, mut faults) = keymap::load(self.keymap, KEYMAPS, None, &action::known());
        let (theme, more) = theme::load(self.theme, THEMES, None);
        faults.extend(more);
        assert_eq!(faults, [], "what is built in has no fault");
        let screen = ScreenSettings { glyphs: self.glyphs, ..ScreenSettings::default() };
        let theme = theme.at_depth(self.depth);
        Look::new(
            LoadedLook { screen, keymap, theme, depth: self.depth, notify: self.notify.clone(), faults: self.faults.clone() },
            |_| None,
        )
    }

    /// Before the manager has said anything.
    pub fn connecting(self, world: World) -> Screen {
        let now = Now { utc: NOON, mono: Mono(1_000_000) };
        let app = App::new(Begin {
            look: self.look(),
            now,
            zone: TimeZone::UTC,
            size: self.size,
            embeds: self.embeds,
            home: "~/.airx".to_owned(),
            cwd: "/home/ann/shop".into(),
            scratch: "/home/ann/.airx/scratch".into(),
            read_only: self.read_only,
            draft: self.draft,
            split: None,
            mouse: true,
            transcript: Arc::new(|| Box::new(airx::claude::conversation::Conversation::new())),
        });
        let mut screen = Screen { app, world, now, commands: Vec::new(), effects: Vec::new(), late: Vec::new() };
        screen.settle(Vec::new());
        screen
    }

    pub fn over(self, world: World) -> Screen {
        let mut screen = self.connecting(world);
        let reset = screen.world.reset();
        screen.hears(reset);
        screen
    }
}

pub fn at(columns: u16, rows: u16) -> Setup {
    Setup { size: (columns, rows), ..Setup::default() }
}

/// A screen of the usual size over what a manager knows.
pub fn over(world: World) -> Screen {
    Setup::default().over(world)
}

pub struct Screen {
    pub app: App,
    pub world: World,
    pub now: Now,
    /// Every command that was sent.
    pub commands: Vec<Command>,
    /// What else the shell was asked to do.
    pub effects: Vec<Effect>,
    /// Commands without an answer yet.
    pub late: Vec<u64>,
}

impl Screen {
    /// Types keys, one after another, written as in keymaps.
    pub fn press(&mut self, keys: &str) -> &mut Screen {
        for key in keys.split_whitespace() {
            let chord: Chord = key.parse().unwrap_or_else(|fault| panic!("{key}: {fault}"));
            self.feed(Input::Key(chord));
        }
        self
    }

    /// Types a text into what takes one.
    pub fn types(&mut self, text: &str) -> &mut Screen {
        for character in text.chars() {
            self.feed(Input::Key(Chord::new(Key::Char(character), false, false, false)));
        }
        self
    }

    pub fn hears(&mut self, incoming: Incoming) -> &mut Screen {
        self.feed(Input::Incoming(incoming))
    }

    /// Something happens in the world, and the screen hears of it.
    pub fn when(&mut self, happens: impl FnOnce(&mut World) -> Incoming) -> &mut Screen {
        let incoming = happens(&mut self.world);
        self.hears(incoming)
    }

    pub fn loses_the_manager(&mut self, why: ClientError) -> &mut Screen {
        self.hears(Incoming::Down(why))
    }

    pub fn resize(&mut self, columns: u16, rows: u16) -> &mut Screen {
        self.feed(Input::Resize(columns, rows))
    }

    pub fn click(&mut self, x: u16, y: u16) -> &mut Screen {
        self.feed(Input::Mouse(Mouse::Click, x, y))
    }

    /// Clicks on the first cell of a text.
    pub fn click_on(&mut self, text: &str) -> &mut Screen {
        let (x, y) = self.place(text);
        self.click(x, y)
    }

    pub fn wheel(&mut self, what: Mouse, text: &str) -> &mut Screen {
        let (x, y) = self.place(text);
        self.feed(Input::Mouse(what, x, y))
    }

    pub fn feed(&mut self, input: Input) -> &mut Screen {
        let effects = update::update(&mut self.app, input, self.now);
        self.settle(effects);
        self
    }

    /// Time goes by.
    pub fn pass(&mut self, millis: u64) -> &mut Screen {
        self.now.mono.0 += millis;
        self.now.utc = self.now.utc.plus(i64::try_from(millis).unwrap());
        let effects = update::tick(&mut self.app, self.now);
        self.settle(effects);
        self
    }

    /// Does what a shell does, until nothing more is asked for.
    fn settle(&mut self, mut effects: Vec<Effect>) {
        for _ in 0..1_000 {
            effects.extend(update::prepare(&mut self.app));
            if effects.is_empty() {
                return;
            }
            for effect in std::mem::take(&mut effects) {
                if let Some(incoming) = self.obey(effect) {
                    effects.extend(update::update(&mut self.app, Input::Incoming(incoming), self.now));
                }
            }
        }
        panic!("the screen never comes to rest");
    }

    fn obey(&mut self, effect: Effect) -> Option<Incoming> {
        match effect {
            Effect::Ask(request) => self.world.answer(request),
            Effect::Command(number, command) => {
                let done = match &command {
                    Command::Submit { submission, .. } => Done::Submitted {
                        missing: Vec::new(),
                        job: JobName { name: submission.job.name.clone(), number: 1 },
                        tasks: u32::try_from(submission.tasks.len()).unwrap(),
                    },
                    _ => Done::Affected { count: 1 },
                };
                self.commands.push(command);
                match self.world.says {
                    Says::Done => Some(Incoming::Answered(number, Ok(done))),
                    Says::No(why, hint) => Some(Incoming::Answered(number, Err(refused(RefusalCode::Conflict, why, hint)))),
                    Says::Nothing => {
                        self.late.push(number);
                        None
                    }
                }
            }
            Effect::Check => {
                let editor = self.app.editor.as_ref()?;
                Some(Incoming::Checked(editor.stamp, check(&editor.text(), &editor.file, &editor.base, &editor.params)))
            }
            other => {
                self.effects.push(other);
                None
            }
        }
    }

    /// The last effect for the shell, if there was any since this was last asked.
    pub fn asks_the_shell(&mut self) -> Option<Effect> {
        let last = self.effects.pop();
        self.effects.clear();
        last
    }

    pub fn area(&self) -> Rect {
        Rect { x: 0, y: 0, width: self.app.size.0, height: self.app.size.1 }
    }

    pub fn draw(&self) -> Buffer {
        let area = self.area();
        let mut buffer = Buffer::empty(area);
        view::draw(&self.app, area, &mut buffer);
        buffer
    }

    pub fn text(&self) -> String {
        picture::text(&self.draw(), self.area())
    }

    /// With its styles.
    pub fn page(&self) -> String {
        let buffer = self.draw();
        assert_eq!(picture::faults(&buffer, self.area()), Vec::<String>::new());
        picture::whole(&buffer, self.area())
    }

    #[track_caller]
    pub fn shows(&self, wanted: &str) -> &Screen {
        let text = self.text();
        assert!(text.contains(wanted), "{wanted:?} is not shown:\n{text}");
        self
    }

    #[track_caller]
    pub fn shows_no(&self, unwanted: &str) -> &Screen {
        let text = self.text();
        assert!(!text.contains(unwanted), "{unwanted:?} is shown:\n{text}");
        self
    }

    /// The first line that holds a text.
    #[track_caller]
    pub fn line(&self, wanted: &str) -> String {
        let text = self.text();
        text.lines().find(|line| line.contains(wanted)).unwrap_or_else(|| panic!("no line with {wanted:?}:\n{text}")).to_owned()
    }

    /// Where a text begins.
    #[track_caller]
    pub fn place(&self, wanted: &str) -> (u16, u16) {
        use unicode_width::UnicodeWidthStr;
        let text = self.text();
        for (y, line) in text.lines().enumerate() {
            if let Some(at) = line.find(wanted) {
                return (u16::try_from(line[..at].width()).unwrap(), u16::try_from(y).unwrap());
            }
        }
        panic!("{wanted:?} is not shown:\n{text}");
    }

    /// The cell in which a text begins.
    #[track_caller]
    pub fn cell(&self, wanted: &str) -> Cell {
        self.draw()[self.place(wanted)].clone()
    }

    /// How the cell looks in which a text begins.
    #[track_caller]
    pub fn style_of(&self, wanted: &str) -> String {
        picture::style(&self.cell(wanted))
    }

    /// The line of the tree that the cursor is on, without what is around it.
    /// Moves the cursor to a job or a task by its id.
    pub fn select(&mut self, id: &str) -> &mut Screen {
        let names = self.rows();
        let at = names.iter().position(|name| name.trim_start_matches("- ").trim_start_matches('-').trim_start() == id);
        let at = at.unwrap_or_else(|| panic!("no line of {id}: {names:?}"));
        self.app.tree.go(&self.app.mirror, at);
        self.settle(Vec::new());
        self
    }

    pub fn selected(&self) -> String {
        let Some(row) = self.app.tree.rows.get(self.app.tree.cursor) else { return String::new() };
        let job = &self.app.mirror.jobs[row.job as usize];
        let mut name = job.view.name.to_string();
        if let Some(task) = job.tasks.get(row.task as usize) {
            name = format!("{name}/{}", task.id);
        }
        if row.attempt > 0 {
            name = format!("{name} attempt {}", row.attempt);
        }
        name
    }

    /// Names of the lines of the tree.
    pub fn rows(&self) -> Vec<String> {
        let names = self.app.tree.rows.iter().map(|row| {
            let job = &self.app.mirror.jobs[row.job as usize];
            match job.tasks.get(row.task as usize) {
                None => job.view.name.to_string(),
                Some(task) if row.attempt == 0 => format!("{} {}", "-".repeat(row.depth.into()), task.id),
                Some(_) => format!("{} attempt {}", "-".repeat(row.depth.into()), row.attempt),
            }
        });
        names.collect()
    }

    /// Compares with what users saw before.
    pub fn looks_as_in(&self, name: &str) {
        let settings = {
            let mut settings = insta::Settings::new();
            settings.set_snapshot_path(concat!(env!("CARGO_MANIFEST_DIR"), "/snapshots"));
            settings.set_prepend_module_to_snapshot(false);
            settings.set_omit_expression(true);
            settings
        };
        let page = self.page();
        settings.bind(|| insta::assert_snapshot!(format!("screen_{name}"), page));
    }
}

/// The check of job files, without a file system.
fn check(
    text: &str,
    file: &str,
    base: &Path,
    params: &[(String, String)],
) -> Result<Box<airx::model::jobfile::Parsed>, Vec<Diagnostic>> {
    let none = BTreeMap::new();
    let options = ParseOptions {
        file,
        base,
        params,
        environment: &none,
        pools: None,
        claude_passed: &none,
        read_file: &|_| Ok("a prompt".to_owned()),
    };
    parse(text, &options).map(Box::new)
}
