//! A frame in process: what a key costs until the buffer for the terminal is made, with as much on the screen as there can be.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use airx::config::screen::ScreenSettings;
use airx::config::theme::Depth;
use airx::model::change::{Change, Event, Seq};
use airx::model::ids::{AttemptId, JobId, JobName, TaskIdx};
use airx::model::message::{
    EventView, JobDetail, JobView, MAX_PAGE, OutputPiece, OutputStream, OverviewView, TaskDetail, TaskView,
};
use airx::model::spec::Submission;
use airx::model::state::{Counts, JobState, TaskKind, TaskState};
use airx::model::time::{Mono, Now, Utc};
use airx::tui::action;
use airx::tui::app::look::Look;
use airx::tui::app::{App, Begin, Effect};
use airx::tui::data::sync::{Incoming, Request};
use airx::tui::parts::LoadedLook;
use airx::tui::update::{Input, prepare, update};
use airx::tui::view;
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::report::{Report, median};

/// Tasks in the tree.
const TASKS: u32 = 100_000;
/// Lines of output, of so many bytes each.
const LINES: u64 = 1_000_000;
const LINE: u64 = 64;

/// A frame at 200x50 with 100,000 tasks in the tree and a 1,000,000-line output open.
pub fn frame(report: &mut Report, submission: &Submission) {
    let mut stage = Stage::new(submission);
    stage.show();
    let (cursor, output) = (stage.frames("down", 400), {
        stage.key("tab");
        let scrolled = stage.frames("up", 400);
        stage.key("tab");
        scrolled
    });
    let event = stage.events(400);
    report.at_most("screen: a frame after a key in the tree, 100,000 tasks", cursor, 3.0, 1.0, "ms");
    report.at_most("screen: a frame after a key in 1,000,000 lines", output, 3.0, 1.0, "ms");
    report.at_most("screen: a frame after an event of a task", event, 3.0, 1.0, "ms");
}

/// The app and what stands for a manager.
struct Stage {
    app: App,
    submission: Submission,
    buffers: [Buffer; 2],
    clock: u64,
    seq: u64,
}

impl Stage {
    fn new(submission: &Submission) -> Stage {
        let screen = ScreenSettings::default();
        let (keymap, _) = screen.keymap(Path::new("/nowhere/config.yaml"), &action::known());
        let (theme, _) = screen.theme(Path::new("/nowhere/config.yaml"), Depth::True);
        let loaded = LoadedLook { screen, keymap, theme, depth: Depth::True, notify: Vec::new(), faults: Vec::new() };
        let app = App::new(Begin {
            look: Look::new(loaded, |name| (name == "LANG").then(|| "C.UTF-8".to_owned())),
            now: Now { utc: Utc(1_700_000_000_000), mono: Mono(1_000) },
            zone: jiff::tz::TimeZone::UTC,
            size: (200, 50),
            embeds: false,
            home: "~".to_owned(),
            cwd: PathBuf::from("/"),
            scratch: PathBuf::from("/nowhere"),
            read_only: None,
            draft: None,
            split: None,
            mouse: false,
            transcript: Arc::new(|| Box::new(airx::claude::conversation::Conversation::new())),
        });
        let area = Rect { x: 0, y: 0, width: 200, height: 50 };
        let buffers = [Buffer::empty(area), Buffer::empty(area)];
        Stage { app, submission: submission.clone(), buffers, clock: 1_000, seq: 1 }
    }

    /// Reads everything and puts the cursor into the middle of the tree.
    fn show(&mut self) {
        let jobs = vec![self.job()];
        let overview = Box::new(OverviewView::default());
        self.take(Input::Incoming(Incoming::Reset { overview, jobs, seq: Seq(1), more: false }));
        self.key("right");
        for _ in 0..TASKS / MAX_PAGE + 10 {
            self.draw();
        }
        for _ in 0..200 {
            self.key("page-down");
        }
        for _ in 0..20 {
            self.draw();
        }
        let shown: String = self.buffers[0].content.iter().map(airx_cell).collect();
        assert!(shown.contains("the line number") && shown.contains("t8"), "the frame shows both");
    }

    fn job(&self) -> JobView {
        let mut tasks = Counts::default();
        tasks.0[TaskKind::Completed as usize] = TASKS;
        JobView {
            parent: None,
            id: 1,
            name: self.name(),
            state: JobState::Working,
            paused: false,
            stopped: false,
            priority: 0,
            tasks,
            submitted: Utc(1_700_000_000_000),
            updated: Utc(1_700_000_000_000),
            cost_microusd: 0,
            mapped: None,
        }
    }

    fn name(&self) -> JobName {
        JobName { name: "many".to_owned(), number: 1 }
    }

    fn task(&self, idx: u32) -> TaskView {
        TaskView {
            child: None,
            item: None,
            instances: None,
            idx,
            id: format!("t{idx}"),
            state: TaskState::Completed,
            why: None,
            attempts: 1,
            outcome: None,
            started: Some(Utc(1_700_000_000_000)),
            updated: Utc(1_700_000_000_000),
            elapsed_ms: Some(1_000),
            cost_microusd: 0,
            progress: None,
            run: None,
            parent: None,
            needs: Vec::new(),
            pool: None,
            is_claude: false,
            mapping: None,
            is_finally: false,
        }
    }

    fn take(&mut self, input: Input) {
        let now = self.now();
        let effects = update(&mut self.app, input, now);
        self.answer(effects);
    }

    fn now(&self) -> Now {
        Now { utc: Utc(1_700_000_000_000 + self.clock as i64), mono: Mono(self.clock) }
    }

    fn key(&mut self, key: &str) {
        self.take(Input::Key(key.parse().expect("a key")));
    }

    /// Makes a frame as the loop does: what is needed, the view, the difference to the frame before.
    fn draw(&mut self) -> usize {
        self.clock += 7;
        let effects = prepare(&mut self.app);
        let count = {
            let [shown, next] = &mut self.buffers;
            next.reset();
            view::draw(&self.app, next.area, next);
            let count = shown.diff(next).len();
            std::mem::swap(shown, next);
            count
        };
        self.answer(effects);
        count
    }

    fn answer(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            if let Effect::Ask(request) = effect {
                let incoming = self.reply(request);
                self.take(Input::Incoming(incoming));
            }
        }
    }

    fn reply(&self, request: Request) -> Incoming {
        match request {
            Request::Tasks { from, .. } => {
                let tasks = (from..(from + MAX_PAGE).min(TASKS)).map(|idx| self.task(idx)).collect();
                Incoming::Tasks { job: 1, from, tasks, seq: Seq(1) }
            }
            Request::Job(id, _) => Incoming::Job(
                id,
                Ok(Box::new(JobDetail { job: self.job(), spec: self.submission.job.clone(), params_set: Vec::new() })),
            ),
            Request::Task(address) => {
                let spec = self.submission.tasks[0].clone();
                let task = TaskView { id: address.task.clone().unwrap_or_default(), ..self.task(0) };
                let detail = TaskDetail {
                    job: self.name(),
                    task,
                    spec,
                    item: None,
                    by_hand: None,
                    attempts: Vec::new(),
                    result: None,
                    approval: None,
                };
                Incoming::Task(address, Ok(Box::new(detail)))
            }
            Request::Questions => Incoming::Questions(Ok(Vec::new())),
            Request::Events(address, _) => Incoming::Events(address, Ok(Vec::new())),
            Request::Output(key, limit) => {
                let size = if key.stream == OutputStream::Out { LINES * LINE } else { 0 };
                let end = (key.offset + u64::from(limit)).min(size);
                let data = (key.offset..end.max(key.offset)).map(byte).collect();
                let piece = OutputPiece { attempt: 1, offset: key.offset, data, size, over: true };
                Incoming::Output(key, Ok(piece))
            }
        }
    }

    /// Milliseconds from a key to the difference for the terminal, in the middle of many.
    fn frames(&mut self, key: &str, count: usize) -> f64 {
        let key: airx::config::keymap::Chord = key.parse().expect("a key");
        let mut times = Vec::new();
        for _ in 0..count {
            let start = Instant::now();
            self.take(Input::Key(key));
            // A piece of the output that has to be read first comes with the next frame.
            let changed = (0..3).any(|_| self.draw() > 0);
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
            assert!(changed, "the key shows");
        }
        median(times)
    }

    /// The same for an event of a task.
    fn events(&mut self, count: u32) -> f64 {
        let mut times = Vec::new();
        for idx in 0..count {
            self.seq += 1;
            let attempt = AttemptId { job: JobId(1), task: TaskIdx(idx), number: 2 };
            let event = Event { at: Utc(1_700_000_000_000), change: Change::AttemptStarted { attempt } };
            let view = EventView { seq: Seq(self.seq), event, job: Some(self.name()), task: Some(format!("t{idx}")) };
            let (overview, jobs) = (Box::new(OverviewView::default()), vec![self.job()]);
            let changes = Incoming::Changes { events: vec![view], jobs, overview, seq: Seq(self.seq) };
            let start = Instant::now();
            self.take(Input::Incoming(changes));
            self.draw();
            times.push(start.elapsed().as_secs_f64() * 1_000.0);
        }
        median(times)
    }
}

fn airx_cell(cell: &ratatui::buffer::Cell) -> char {
    cell.symbol().chars().next().unwrap_or(' ')
}

/// The output: lines of one length, each with its number.
fn byte(at: u64) -> u8 {
    let (line, place) = (at / LINE, (at % LINE) as usize);
    let text = format!("\x1b[32mthe line number\x1b[0m {line:07} of a long output ");
    match place {
        place if place as u64 == LINE - 1 => b'\n',
        place => text.as_bytes().get(place).copied().unwrap_or(b'.'),
    }
}
