//! The job tree: only the lines that are visible are made.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::live::{fraction, how_far, on_its_way};
use crate::model::message::PoolView;
use crate::model::spec::Budget;
use crate::model::state::{Counts, Hold, Outcome, TaskKind, TaskState};
use crate::model::time::Utc;
use crate::model::why::{Circumstances, why};
use crate::tui::action::Action;
use crate::tui::app::tree::{FILTERED, Row, key};
use crate::tui::app::{App, Focus};
use crate::tui::data::mirror::{JobRow, Loaded, began};
use crate::tui::data::row::{NONE, TaskRow};
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, time};

use super::brush::{Brush, bar};
use super::states;

/// Cells of a task's gauge.
const GAUGE: usize = 8;

/// Draws it.
pub fn draw(app: &App, area: Rect, brush: &mut Brush<'_>) {
    let is_focused = app.focus == Focus::Tree && app.editor.is_none();
    brush.border(area, &title(app), &position(app), is_focused);
    let inner = Rect { x: area.x + 1, y: area.y + 1, width: area.width.saturating_sub(2), height: area.height.saturating_sub(2) };
    if app.tree.rows.is_empty() {
        states::no_rows(app, inner, brush);
        return;
    }
    for (line, row) in app.tree.rows.iter().skip(app.tree.top).take(usize::from(inner.height)).enumerate() {
        let y = inner.y + u16::try_from(line).unwrap_or(0);
        let is_selected = app.tree.top + line == app.tree.cursor;
        draw_row(app, row, Rect { y, height: 1, ..inner }, brush);
        if is_selected {
            let role = if is_focused { Role::Selection } else { Role::SelectionUnfocused };
            brush.restyle(Rect { y, height: 1, ..inner }, role);
            // Also where there are neither colours nor reversed text.
            let sign = brush.look.pick("›", ">");
            brush.put_styled(inner.x, y, inner.right(), sign, brush.style(role));
        }
    }
}

fn title(app: &App) -> String {
    let mut title = "Jobs".to_owned();
    if !app.tree.filter.is_empty() {
        title.push_str(&format!("  /{}", tamed(&app.tree.filter.text)));
        if app.mirror.jobs.len() > FILTERED {
            title.push_str(&format!("  (tasks of the newest {FILTERED} jobs)"));
        }
    }
    if app.tree.sort != crate::tui::app::tree::Sort::Newest {
        title.push_str(&format!("  by {}", app.tree.sort.word()));
    }
    if app.tree.follows {
        title.push_str("  follows");
    }
    if !app.tree.marks.is_empty() {
        title.push_str(&format!("  {} marked", app.tree.marks.len()));
    }
    title
}

fn position(app: &App) -> String {
    match app.tree.rows.len() {
        0 => String::new(),
        // Older jobs than are kept are not in the count.
        count => format!("{}/{count}{}", app.tree.cursor + 1, if app.mirror.older { "+" } else { "" }),
    }
}

fn draw_row(app: &App, row: &Row, area: Rect, brush: &mut Brush<'_>) {
    let Some(job) = app.mirror.jobs.get(row.job as usize) else { return };
    let is_marked = !app.tree.marks.is_empty() && app.tree.marks.contains(&key(&app.mirror, row).whole());
    if is_marked {
        // Beside the selection's sign, so that a line can have both; and another one than that of Claude runs.
        brush.put(area.x + 2, area.y, area.right(), brush.look.pick("✚", "#"), Role::Mark);
    }
    if row.task == NONE {
        // A child job stands below the task that it does the work of.
        let indent = (2 * u16::from(row.depth)).min(area.width / 3);
        return draw_job(app, job, Rect { x: area.x + indent, width: area.width - indent, ..area }, brush);
    }
    let Some(task) = job.tasks.get(row.task as usize) else { return };
    match row.attempt {
        0 if task.is_mapped() => draw_mapping(app, job, task, row, area, brush),
        0 => draw_task(app, job, task, row, area, brush),
        attempt => draw_attempt(app, job, task, row, attempt, area, brush),
    }
}

/// What stands at the right end of a line, the most important last: it is the last to go.
struct Right(Vec<(String, Role)>);

impl Right {
    /// Draws as much as leaves `least` cells for the name; where it begins.
    fn draw(self, area: Rect, least: u16, brush: &mut Brush<'_>) -> u16 {
        let mut end = area.right().saturating_sub(1);
        let start = area.x.saturating_add(least);
        for (text, role) in self.0.into_iter().rev().filter(|(text, _)| !text.is_empty()) {
            let width = u16::try_from(cut::width(&text)).unwrap_or(u16::MAX);
            if end.saturating_sub(width + 1) < start {
                break;
            }
            end -= width;
            brush.put(end, area.y, area.right(), &text, role);
            end -= 2.min(end);
        }
        end
    }
}

fn draw_job(app: &App, job: &JobRow, area: Rect, brush: &mut Brush<'_>) {
    let view = &job.view;
    let is_open = app.tree.open.contains(&view.id);
    let (sign, role) = app.look.sign(crate::model::sign::kind_of(view.state));
    // `>` is the selection's sign in ASCII, so the fold stands apart from it.
    let x = brush.put(area.x + 1, area.y, area.right(), fold(is_open, brush), Role::Dim);
    let x = brush.put(x + 1, area.y, area.right(), sign, role);
    let counts = view.work();
    let mut attention = attention(app, &counts);
    if view.paused {
        attention.push(Note::plain("paused"));
    } else if view.stopped && !view.state.is_terminal() {
        attention.push(Note::plain("stopped"));
    }
    let age = (format!("{:>4}", time::age(app.now.utc.since(view.submitted))), Role::Dim);
    let before = vec![age, (cost(app, job), Role::Cost)];
    let bar = Bar { name: view.name.to_string(), role: Role::Strong, counts, before, attention };
    let (x, end) = bar.draw(x + 1, 18, area, brush);
    if is_open && job.loaded != Loaded::All && job.tasks.is_empty() {
        brush.put(x + 1, area.y, end.saturating_sub(9), "loading", Role::Dim);
    }
}

/// The sign of what is unfolded, or could be.
fn fold(is_open: bool, brush: &Brush<'_>) -> &'static str {
    if is_open { brush.look.pick("▾", "v") } else { brush.look.pick("▸", ">") }
}

/// Something that a person has to know, in words and by its sign alone.
struct Note {
    long: String,
    short: String,
    role: Role,
}

impl Note {
    fn plain(word: &str) -> Note {
        Note { long: word.to_owned(), short: word.to_owned(), role: Role::Warning }
    }
}

/// What of many tasks a person has to know.
fn attention(app: &App, counts: &Counts) -> Vec<Note> {
    let asking = if counts.of(TaskKind::AwaitingInput) == 1 { "waits for you" } else { "wait for you" };
    let kinds = [
        (TaskKind::Failed, "failed"),
        (TaskKind::Held, "held"),
        (TaskKind::AwaitingApproval, "to approve"),
        (TaskKind::AwaitingInput, asking),
    ];
    let counted = kinds.into_iter().map(|(kind, word)| (kind, counts.of(kind), word)).filter(|(_, count, _)| *count > 0);
    counted
        .map(|(kind, count, word)| {
            let (sign, role) = app.look.sign(kind);
            Note { long: format!("{count} {word}"), short: format!("{sign} {count}"), role }
        })
        .collect()
}

/// A line with one bar of many tasks: a job, or a mapped task.
struct Bar {
    name: String,
    role: Role,
    counts: Counts,
    /// What stands before the fraction.
    before: Vec<(String, Role)>,
    /// What stands after it.
    attention: Vec<Note>,
}

impl Bar {
    /// Draws it from this column on; where the name and the room for it end.
    fn draw(self, x: u16, least: u16, area: Rect, brush: &mut Brush<'_>) -> (u16, u16) {
        // What completed, not what is over: `3/3` beside a failure would read as done.
        let (total, done) = (self.counts.total(), self.counts.of(TaskKind::Completed));
        let lost = self.counts.terminal() - done;
        let (full, missed, rest) = bar(done.into(), lost.into(), total.into(), 8, brush.look.unicode);
        let mut right = self.before;
        let shows_bar = area.width >= 60;
        let fraction = format!("{done}/{total}");
        let gauge = if shows_bar { 10 } else { 0 };
        // Numbers give way to the name and the bar, cost first.
        let name = u16::try_from(cut::width(&self.name).min(14)).unwrap_or(14);
        let least = least.max((x - area.x).saturating_add(name + gauge));
        // All of them, by their signs if need be: what failed is not to go because something waits as well.
        let words: usize = self.attention.iter().map(|note| cut::width(&note.long) + 2).sum::<usize>() + fraction.len();
        let is_short = words > usize::from(area.width.saturating_sub(least + 1));
        right.push((fraction, Role::Text));
        right.extend(self.attention.into_iter().map(|note| (if is_short { note.short } else { note.long }, note.role)));
        let end = Right(right).draw(area, least, brush);
        let room = usize::from(end.saturating_sub(x).saturating_sub(gauge));
        let name = cut::middle(&self.name, room, brush.look.dots()).into_owned();
        let x = brush.put(x, area.y, end, &name, self.role);
        if shows_bar && end.saturating_sub(9) > x {
            let start = end.saturating_sub(8);
            let next = brush.put(start, area.y, end, &full, Role::Gauge);
            let next = brush.put(next, area.y, end, &missed, Role::Bad);
            brush.put(next, area.y, end, &rest, Role::GaugeRest);
        }
        (x, end)
    }
}

/// A mapped task whose list is known: one bar of its instances.
fn draw_mapping(app: &App, job: &JobRow, task: &TaskRow, row: &Row, area: Rect, brush: &mut Brush<'_>) {
    let Some(instances) = task.instances() else { return };
    let (sign, role) = app.look.sign(task.kind);
    let indent = indent(row, area);
    let is_open = app.tree.shows_instances(job.view.id, row.task, task);
    let x = brush.put(area.x + indent, area.y, area.right(), fold(is_open, brush), Role::Dim);
    let x = brush.put(x + 1, area.y, area.right(), sign, role);
    let claude = if task.is_claude { brush.look.pick("✱ ", "@ ") } else { "" };
    let x = brush.put(x + 1, area.y, area.right(), claude, Role::Accent);
    let gone = if instances.gone > 0 { format!("+{} gone", instances.gone) } else { String::new() };
    let before = vec![(app.dollars().show(task.whole_cost()), Role::Cost), (gone, Role::Dim)];
    let attention = attention(app, &instances.counts);
    let least = indent.saturating_add(5 + u16::try_from(cut::width(&task.id).min(12)).unwrap_or(12));
    Bar { name: task.id.to_string(), role: Role::Text, counts: instances.counts, before, attention }.draw(x, least, area, brush);
}

/// Columns before a task's line.
fn indent(row: &Row, area: Rect) -> u16 {
    1 + 2 * u16::from(row.depth).min(area.width / 6)
}

/// What a job has cost, of what it may. Its tasks tell what goes on beside what is over, where they are known.
pub fn cost(app: &App, job: &JobRow) -> String {
    let budget = job.spec.as_ref().and_then(|spec| spec.budget).map(|budget| Budget { tokens: None, ..budget });
    let budget = budget.filter(|budget| budget.microusd.is_some());
    app.dollars().used(job.cost(), 0, budget.as_ref())
}

fn draw_task(app: &App, job: &JobRow, task: &TaskRow, row: &Row, area: Rect, brush: &mut Brush<'_>) {
    let (sign, role) = app.look.sign(task.kind);
    let indent = indent(row, area);
    let has_more = task.attempts > 1 || task.instances().is_some_and(|instances| instances.counts.total() > 0);
    let is_open = match task.instances() {
        Some(_) => app.tree.shows_instances(job.view.id, row.task, task),
        None => app.tree.open_tasks.contains(&(job.view.id, row.task)),
    };
    let fold = if has_more { fold(is_open, brush) } else { " " };
    let name = tamed(task.name());
    let x = brush.put(area.x + indent, area.y, area.right(), fold, Role::Dim);
    let x = brush.put(x + 1, area.y, area.right(), sign, role);
    let elapsed = match began(task) {
        Some(began) => time::duration(app.now.utc.since(began)),
        None if task.elapsed_ms != NONE => time::duration(task.elapsed_ms.into()),
        None => String::new(),
    };
    let tries = if task.attempts > 1 { format!("try {}", task.attempts) } else { String::new() };
    let (reason, reason_role) = reason(app, job, task);
    let reason = tamed(&reason);
    let right = vec![(app.dollars().show(task.cost()), Role::Cost), (tries, Role::Dim), (elapsed, Role::Dim)];
    // What helps to decide goes before numbers: those give way to a reason, cost first.
    let least = 5 + cut::width(&name).min(12) + if reason.is_empty() { 0 } else { cut::width(&reason) + 2 };
    let least = u16::try_from(least).unwrap_or(u16::MAX).max(16);
    let end = Right(right).draw(area, indent.saturating_add(least), brush);
    let gauge = gauge(task, end.saturating_sub(x + 1), cut::width(&reason));
    let room = usize::from(end.saturating_sub(x + 1)).saturating_sub(if gauge.is_some() { GAUGE + 2 } else { 0 });
    // The reason is what helps to decide: names give way to it, down to what tells them apart.
    let name_room = room.saturating_sub(cut::width(&reason) + 2).max(12.min(room));
    let claude = if task.is_claude { brush.look.pick("✱ ", "@ ") } else { "" };
    let x = brush.put(x + 1, area.y, end, claude, Role::Accent);
    let name = cut::middle(&name, name_room.saturating_sub(cut::width(claude)), brush.look.dots()).into_owned();
    let mut x = brush.put(x, area.y, end, &name, if task.is_gone() { Role::Dim } else { Role::Text });
    if let Some((done, all)) = gauge {
        let (full, _, rest) = bar(done, 0, all, GAUGE, brush.look.unicode);
        x = brush.put(x + 2, area.y, end, &full, Role::Gauge);
        x = brush.put(x, area.y, end, &rest, Role::GaugeRest);
    }
    if !reason.is_empty() && x + 2 < end {
        let reason = cut::end(&reason, usize::from(end - x - 2), brush.look.dots()).into_owned();
        brush.put(x + 2, area.y, end, &reason, reason_role);
    }
}

/// How much of a running task is done, where that is known and there is room for it beside the name and the words.
fn gauge(task: &TaskRow, room: u16, reason: usize) -> Option<(u64, u64)> {
    let least = cut::width(task.name()).min(24) + 4 + reason + GAUGE + 4;
    let is_shown = matches!(task.kind, TaskKind::Running | TaskKind::AwaitingInput) && usize::from(room) >= least;
    fraction(task.progress(), task.run()).filter(|_| is_shown)
}

/// Why it waits, how it failed, or how far it is.
pub fn reason(app: &App, job: &JobRow, task: &TaskRow) -> (String, Role) {
    let outcome = || task.outcome().map(Outcome::sentence).unwrap_or_default();
    match task.kind {
        TaskKind::Failed => (outcome(), Role::Bad),
        TaskKind::Running | TaskKind::Cancelling => beside(waiting(app, job, task), how_far(task.progress(), task.run())),
        TaskKind::AwaitingInput => (format!("waits for you ({})", app.look.keys(Action::Inbox)), Role::Wait),
        TaskKind::Starting => {
            let (why, far) = (waiting(app, job, task), task.progress().map(on_its_way).unwrap_or_default());
            let says_nothing = why.is_empty() && far.is_empty();
            beside(why, if says_nothing { "starting".to_owned() } else { far })
        }
        TaskKind::Completed | TaskKind::Cancelled => (String::new(), Role::Dim),
        TaskKind::Held => {
            let why = waiting(app, job, task);
            // A limit is its own reason.
            let last = task.outcome().filter(|outcome| !matches!(outcome, Outcome::Limited { .. })).map(Outcome::sentence);
            let last = last.unwrap_or_default();
            let text = if last.is_empty() { why } else { format!("{why} ({last})") };
            (text, Role::Wait)
        }
        TaskKind::AwaitingApproval => (format!("waits for your approval ({})", app.look.keys(Action::Inbox)), Role::Wait),
        TaskKind::Mapped | TaskKind::Delegated => (waiting(app, job, task), Role::Busy),
        TaskKind::Pending | TaskKind::Queued | TaskKind::Skipped | TaskKind::UpstreamFailed => {
            (waiting(app, job, task), Role::Dim)
        }
    }
}

/// How far a live task is; after why nothing more is known of it, when that is so.
fn beside(why: String, far: String) -> (String, Role) {
    match (why.is_empty(), far.is_empty()) {
        (true, _) => (far, Role::Busy),
        (false, true) => (why, Role::Wait),
        (false, false) => (format!("{why} ({far})"), Role::Wait),
    }
}

/// Why it waits, in words that name the setting; times are local.
fn waiting(app: &App, job: &JobRow, task: &TaskRow) -> String {
    let state = task.state();
    if let TaskState::Held { hold: Hold::Retry { at, .. } } = &state {
        let left = at.since(app.now.utc);
        return format!("retry at {}, in {}", app.time(*at), time::duration(left.saturating_add(999)));
    }
    let unmet: Vec<String> = task
        .needs
        .iter()
        .filter_map(|need| job.tasks.get(*need as usize))
        .filter(|need| !need.state().is_terminal())
        .map(|need| need.id.to_string())
        .collect();
    let mapping = job.tasks.get(task.parent as usize).and_then(TaskRow::instances);
    let spec = job.spec.as_ref();
    let pool = task.pool().or(spec.map(|spec| spec.pool.as_str())).unwrap_or("local");
    let found: Option<&PoolView> = app.mirror.overview.pools.iter().find(|view| view.name == pool);
    let around = Circumstances {
        all_paused: app.mirror.overview.paused,
        disk_low: app.mirror.overview.disk_low,
        unreachable: found.and_then(|view| view.unreachable.as_deref()),
        stranded: job.stranded(&task.id, &app.mirror.overview.stranded),
        job_paused: job.view.paused,
        job_live: job.view.tasks.live(),
        max_parallel: spec.map_or(u32::MAX, |spec| spec.max_parallel),
        pool,
        slots: found.map(|view| (view.slots, view.used)),
        claude: app
            .mirror
            .overview
            .usage
            .max_parallel
            .filter(|_| task.is_claude)
            .map(|most| (app.mirror.overview.usage.running, most)),
        unmet: &unmet,
        child: None,
        is_finally: task.is_finally,
        mapping: mapping.and_then(|instances| Some((instances.counts.live(), instances.max_parallel?))),
    };
    why(&state, &around, &|at: Utc| app.time(at)).unwrap_or_default()
}

fn draw_attempt(app: &App, job: &JobRow, task: &TaskRow, row: &Row, attempt: u32, area: Rect, brush: &mut Brush<'_>) {
    let indent = 3 + 2 * u16::from(row.depth).min(area.width / 6);
    let known = app.tree.outcomes.get(&(job.view.id, row.task)).and_then(|all| all.iter().find(|(number, _)| *number == attempt));
    let is_last = attempt == task.attempts;
    let (kind, text) = match known.map(|(_, outcome)| outcome) {
        Some(Some(Outcome::Succeeded)) => (Some(TaskKind::Completed), "succeeded".to_owned()),
        Some(Some(Outcome::Cancelled)) => (Some(TaskKind::Cancelled), "cancelled".to_owned()),
        Some(Some(outcome)) => (Some(TaskKind::Failed), outcome.sentence()),
        _ if is_last => (Some(task.kind), task.kind.word().to_owned()),
        // Not read yet: nothing is claimed about it.
        _ => (None, String::new()),
    };
    let (sign, role) = kind.map_or((" ", Role::Dim), |kind| app.look.sign(kind));
    let x = brush.put(area.x + indent, area.y, area.right(), sign, role);
    let x = brush.put(x + 1, area.y, area.right(), &format!("attempt {attempt}"), Role::Text);
    let room = usize::from(area.right().saturating_sub(x + 3));
    let text = cut::end(&tamed(&text), room, brush.look.dots()).into_owned();
    brush.put(x + 2, area.y, area.right(), &text, role);
}
