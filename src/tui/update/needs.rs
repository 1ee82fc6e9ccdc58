//! What the screen needs before it can be drawn: lines found, pages asked for, and when to look again.

use crate::model::state::TaskKind;
use crate::model::time::{Mono, Utc};
use crate::tui::app::pane::{Shown, Tab};
use crate::tui::app::tree::{FILTERED, Key, Row};
use crate::tui::app::{App, Effect};
use crate::tui::data::mirror::{Loaded, began, reference};
use crate::tui::data::row::{NONE, TaskRow};
use crate::tui::data::sync::Request;
use crate::tui::output::document::Step;
use crate::tui::text::{ansi, time, wrap};
use crate::tui::view::areas;

use super::targets::address;
use super::{arrivals, panes, searching};

/// Between two looks at the output of a running attempt: while it comes, and when it is silent, in milliseconds.
const POLL: (u64, u64) = (60, 500);
/// Silence after which output counts as silent, in milliseconds.
const SILENT: u64 = 2_000;

/// Brings everything into the state that is drawn; what has to be read for it.
pub fn prepare(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    if let Some(name) = app.tree.wanted.clone()
        && let Some(job) = app.mirror.named(&name)
    {
        let key = Key::job(job.view.id);
        app.tree.wanted = None;
        app.tree.open.insert(key.job);
        app.tree.touch();
        app.tree.select(&app.mirror, key);
    }
    seek_failed(app);
    seek_task(app);
    app.tree.build(&app.mirror);
    let areas = areas::areas(app);
    if areas.tree_rows() > 0 {
        app.tree.scroll(areas.tree_rows());
    }
    super::inbox::prepare(app, &mut effects);
    read_jobs(app, &mut effects);
    let inner = areas.pane_inner();
    (app.pane.width, app.pane.height) = (usize::from(inner.width), usize::from(inner.height));
    if app.pane.subject != app.tree.selected {
        app.pane.show(app.tree.selected);
    }
    if app.pane.subject.is_some_and(|key| app.shows_pane() || app.tree.open_tasks.contains(&(key.job, key.task))) {
        read_subject(app, &mut effects);
    }
    if app.shows_pane() {
        match app.pane.tab {
            Tab::Output => output(app, &mut effects),
            Tab::Graph => graph(app, (inner.width, inner.height)),
            Tab::Info => app.pane.info_lines = crate::tui::view::info::height(app, inner.width),
            Tab::Events => {}
        }
        // A job has a sheet in the place of output.
        if app.pane.tab == Tab::Output && app.pane.subject.is_some_and(|key| key.task == NONE) {
            app.pane.info_lines = crate::tui::view::info::height(app, inner.width);
        }
    }
    effects
}

/// The first failed task of a job that was unfolded for that, once it is read.
fn seek_failed(app: &mut App) {
    let Some(job) = app.tree.seeks_failed.and_then(|id| app.mirror.job(id)) else { return };
    if let Some(task) = job.first_failed() {
        let wanted = Key::task(job.view.id, task);
        app.tree.select(&app.mirror, wanted);
        app.tree.seeks_failed = None;
    }
}

/// The task that was gone to from its question, once its job is read.
fn seek_task(app: &mut App) {
    let Some((id, wanted)) = app.tree.seeks_task.take() else { return };
    let Some(job) = app.mirror.job(id) else { return };
    let found = job.tasks.iter().position(|task| *task.id == *wanted).and_then(|task| u32::try_from(task).ok());
    match found {
        Some(task) => {
            let key = Key::task(id, task);
            if !app.tree.select(&app.mirror, key) {
                super::acts::set_filter(app, "");
                app.tree.select(&app.mirror, key);
            }
        }
        None if job.loaded != Loaded::All => app.tree.seeks_task = Some((id, wanted)),
        None => {}
    }
}

fn ask(app: &mut App, flight: (u32, char), request: Request, effects: &mut Vec<Effect>) {
    if app.link.is_up() && app.tree.flight.insert(flight) {
        effects.push(Effect::Ask(request));
    }
}

/// Tasks of jobs that are unfolded, and of all that a filter looks into.
fn read_jobs(app: &mut App, effects: &mut Vec<Effect>) {
    let mut wanted: Vec<u32> = app.tree.open.iter().copied().collect();
    wanted.extend(app.tree.selected.filter(|key| key.task != NONE || app.pane.tab == Tab::Graph).map(|key| key.job));
    if !app.tree.filter.is_empty() {
        wanted.extend(app.mirror.jobs.iter().rev().take(FILTERED).map(|job| job.view.id));
    }
    let mut asked = 0;
    for id in wanted {
        let Some(job) = app.mirror.job(id) else { continue };
        // One that could not be read is not asked for at every key.
        if app.tree.unreadable.get(&id).is_some_and(|until| *until > app.now.mono) {
            continue;
        }
        let (name, from) = (reference(&job.view.name), u32::try_from(job.tasks.len()).unwrap_or(NONE));
        let (loaded, has_spec) = (job.loaded, job.spec.is_some());
        if !has_spec {
            ask(app, (id, 'j'), Request::Job(id, name.clone()), effects);
        }
        if loaded != Loaded::All {
            ask(app, (id, 't'), Request::Tasks { job: (id, name), from }, effects);
            asked += 1;
            // A page at a time of a few jobs: what a person asks for meanwhile has its turn too.
            if asked >= 4 {
                break;
            }
        }
    }
    let keep = app.tree.open.iter().copied().chain(app.tree.selected.map(|key| key.job)).collect();
    app.mirror.shrink(&keep);
    if let Some(key) = app.tree.selected.filter(|key| app.mirror.job(key.job).is_some_and(|job| job.spec.is_none())) {
        let name = app.mirror.job(key.job).map(|job| reference(&job.view.name));
        if let Some(name) = name {
            ask(app, (key.job, 'j'), Request::Job(key.job, name), effects);
        }
    }
}

/// The selected task in full, and its events.
fn read_subject(app: &mut App, effects: &mut Vec<Effect>) {
    let Some(subject) = app.pane.subject else { return };
    let Some(of) = address(app, subject.whole()) else { return };
    let newest = match subject.task {
        NONE => app.mirror.job(subject.job).map_or(0, |job| u64::try_from(job.view.updated.0).unwrap_or(0)),
        task => app.mirror.task(subject.job, task).map_or(0, |row| row.as_of.0),
    };
    let state = Some((subject, newest));
    if subject.task != NONE && app.pane.asked != state && !app.pane.pending && app.link.is_up() {
        app.pane.asked = state;
        app.pane.pending = true;
        effects.push(Effect::Ask(Request::Task(of.clone())));
    }
    if app.shows_pane() && app.pane.tab == Tab::Events && app.pane.events_asked != state {
        let place = (subject.task != NONE).then_some(subject.task);
        if app.link.is_up() && app.tree.flight.insert((0, 'e')) {
            app.pane.events_asked = state;
            effects.push(Effect::Ask(Request::Events(of, place)));
        }
    }
}

fn output(app: &mut App, effects: &mut Vec<Effect>) {
    arrivals::begin_output(app);
    let (width, now) = (app.pane.width, app.now.mono);
    let notice = crate::tui::view::output::notice_lines(app, width, app.pane.height).len();
    let height = app.pane.height.saturating_sub(notice);
    let (is_up, dollars) = (app.link.is_up(), crate::tui::view::info::dollars(app));
    let Some(output) = &mut app.pane.output else { return };
    // What could not be read is not asked for again at once.
    let is_up = is_up && (output.document.failure.is_none() || now.0 >= output.next_poll);
    let mut poll = false;
    if now.0 >= output.next_poll && is_up && !is_over(output) {
        let grown = output.talk.as_ref().map_or(output.document.grown, |talk| talk.grown.max(output.document.grown));
        let silent = now.0.saturating_sub(grown.0) > SILENT;
        output.next_poll = now.0 + if silent { POLL.1 } else { POLL.0 };
        poll = true;
    }
    if let Some(talk) = &mut output.talk {
        let rows = usize::from(crate::tui::view::output::todo_rows(talk, height));
        talk.prepare(crate::tui::view::output::talk_width(width), height.saturating_sub(rows), dollars);
        if is_up {
            effects.extend(talk.request(&output.document, poll).map(|(key, limit)| Effect::Ask(Request::Output(key, limit))));
        }
        if let Some(sought) = talk.sought.take() {
            searching::tell_sought(app, sought);
        }
        return;
    }
    let room = crate::tui::view::output::log_width(width);
    panes::pay(&mut output.document, &mut output.log, room);
    layout_log(output, room, height);
    if output.log.search.as_ref().is_some_and(|search| search.going.is_some()) {
        searching::go_on(app);
    }
    let Some(output) = &mut app.pane.output else { return };
    if is_up {
        let requests = output.document.requests(poll);
        effects.extend(requests.into_iter().map(|(key, limit)| Effect::Ask(Request::Output(key, limit))));
    }
}

fn is_over(output: &crate::tui::app::pane::Output) -> bool {
    match &output.talk {
        Some(talk) => talk.over,
        None => output.document.over && output.document.known,
    }
}

/// Lines of a log that are on the screen.
fn layout_log(output: &mut crate::tui::app::pane::Output, width: usize, height: usize) {
    let (document, log) = (&mut output.document, &mut output.log);
    log.missing = false;
    if log.follow && !go_to_end(document, log, width, height) {
        log.missing = true;
        return;
    }
    let mut shown: Vec<Shown> = Vec::with_capacity(height);
    let (mut at, mut skip) = (log.top, log.skip);
    let mut sgr = ansi::Sgr::default();
    while shown.len() < height {
        match document.line_at(at) {
            Step::Line(line) => {
                let segments = ansi::line(&line.bytes, &mut sgr);
                let rows = if log.wrap { wrap::hard(segments, width) } else { vec![segments] };
                for (number, segments) in rows.into_iter().enumerate().skip(skip) {
                    if shown.len() < height {
                        shown.push(Shown { at: line.at, stream: line.stream, segments, continues: number > 0 });
                    }
                }
                (at, skip) = (line.next, 0);
            }
            Step::End => break,
            Step::Missing => {
                log.missing = true;
                break;
            }
        }
    }
    // What was there stays until the rest has come: no flicker.
    if !log.missing || shown.len() >= log.shown.len() {
        log.shown = shown;
    }
}

/// Puts the top so that the end is on the last line; false when something has to be read first.
fn go_to_end(
    document: &mut crate::tui::output::Document,
    log: &mut crate::tui::app::pane::LogView,
    width: usize,
    height: usize,
) -> bool {
    let mut at = document.len();
    let mut rows = 0;
    while rows < height && at > 0 {
        let Some(before) = document.before(at) else { return false };
        let own = match document.line_at(before) {
            Step::Line(line) if log.wrap => wrap::rows_of(&line.bytes, width),
            Step::Missing => return false,
            _ => 1,
        };
        if before == at {
            break;
        }
        rows += own;
        at = before;
    }
    (log.top, log.skip) = (at, rows.saturating_sub(height));
    true
}

fn graph(app: &mut App, room: (u16, u16)) {
    let Some(subject) = app.pane.subject else { return };
    let unicode = app.look.unicode;
    let Some(at) = app.mirror.find(subject.job) else { return };
    let job = &app.mirror.jobs[at];
    // Until all tasks are read, each page would make another picture.
    if job.loaded != Loaded::All {
        return;
    }
    let begun = app.pane.graph.made_of.is_some_and(|(job, ..)| job == subject.job);
    app.pane.graph.build(job, subject.task, app.mirror.version, room, unicode);
    if !begun && subject.task != NONE {
        let chosen = job.tasks.get(subject.task as usize).map(|row| row.id.split('/').next().unwrap_or_default());
        app.pane.graph.chosen = app.pane.graph.members.iter().position(|member| Some(member.name.as_str()) == chosen).or(Some(0));
    }
    app.pane.graph.scroll(room);
}

/// Rows of the tree that are on the screen.
fn visible(app: &App) -> impl Iterator<Item = &Row> {
    let rows = if app.shows_tree() { areas::areas(app).tree_rows() } else { 0 };
    app.tree.rows.iter().skip(app.tree.top).take(rows)
}

/// Whether something on the screen counts seconds: what runs, and what waits for a time.
fn counts_seconds(app: &App) -> bool {
    let counts = |row: &TaskRow| began(row).is_some() || row.kind == TaskKind::Held;
    let in_tree = visible(app).filter(|row| row.task != NONE).any(|row| {
        let job = app.mirror.jobs.get(row.job as usize);
        job.and_then(|job| job.tasks.get(row.task as usize)).is_some_and(counts)
    });
    let in_pane = app.shows_pane() && app.pane.subject.is_some_and(|key| app.mirror.task(key.job, key.task).is_some_and(counts));
    in_tree || in_pane
}

/// Jobs whose age is on the screen.
fn shown_ages(app: &App) -> impl Iterator<Item = Utc> {
    let jobs = visible(app).filter(|row| row.task == NONE).filter_map(|row| app.mirror.jobs.get(row.job as usize));
    let questions = app.inbox.questions.iter().filter(|_| app.inbox.is_open).map(|question| question.asked);
    jobs.map(|job| job.view.submitted).chain(questions)
}

/// Whether what is on the screen looks different at `now` because of the time alone.
pub fn has_aged(app: &App, before: Utc, now: Utc) -> bool {
    let counts_down = |until: Utc| time::left(until.since(before)) != time::left(until.since(now));
    if crate::tui::view::usage::counted(app).any(counts_down) {
        return true;
    }
    if before.0.div_euclid(1_000) == now.0.div_euclid(1_000) {
        return false;
    }
    counts_seconds(app) || shown_ages(app).any(|at| time::age(before.since(at)) != time::age(now.since(at)))
}

/// When the app has to be looked at again without any input; none is never.
pub fn next_wake(app: &App) -> Option<Mono> {
    let now = app.now.mono;
    let mut wake: Option<Mono> = app.toasts.next_end(now);
    let mut at = |time: Mono| wake = Some(wake.map_or(time, |wake| wake.min(time)));
    if let Some(due) = app.bell.next_due() {
        at(due);
    }
    if counts_seconds(app) {
        let into = u64::try_from(app.now.utc.0.rem_euclid(1_000)).unwrap_or(0);
        at(Mono(now.0 + 1_000 - into));
    }
    if let Some(next) = shown_ages(app).map(|since| time::age_stays(app.now.utc.since(since))).min() {
        at(Mono(now.0 + next));
    }
    let now_utc = app.now.utc;
    let counted = crate::tui::view::usage::counted(app).filter(|until| until.0 > now_utc.0);
    if let Some(next) = counted.map(|until| time::left_stays(until.since(now_utc))).min() {
        at(Mono(now.0 + next));
    }
    if app.inbox.is_open && app.inbox.again_at > now {
        at(app.inbox.again_at);
    }
    if let Some(check) = app.editor.as_ref().and_then(|editor| editor.check_at) {
        at(check);
    }
    if app.shows_pane()
        && app.pane.tab == Tab::Output
        && app.link.is_up()
        && let Some(output) = &app.pane.output
    {
        if !is_over(output) || output.document.failure.is_some() {
            at(Mono(output.next_poll.max(now.0)));
        }
        if output.log.search.as_ref().is_some_and(|search| search.going.is_some()) {
            at(Mono(now.0 + 5));
        }
    }
    wake
}
