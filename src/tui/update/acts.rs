//! Actions on jobs and tasks, and those that belong to no pane.

use std::collections::BTreeSet;

use crate::model::ids::Address;
use crate::model::message::{CancelHow, Command, RequeueWhich};
use crate::model::state::TaskKind;
use crate::tui::action::Action;
use crate::tui::app::dialog::{Dialog, Palette};
use crate::tui::app::editor::{Editor, TEMPLATES};
use crate::tui::app::prompt::{Prompt, Purpose};
use crate::tui::app::toast::Kind;
use crate::tui::app::tree::{Filter, Key};
use crate::tui::app::{App, Effect, Focus, Program};
use crate::tui::data::mirror::reference;
use crate::tui::data::row::NONE;
use crate::tui::output::fetch::Wanted;

use super::targets::{address, addresses, ask, naming, refuse, send};

/// What the action leads to; none when it is not one of these.
pub fn act(app: &mut App, action: Action) -> Option<Vec<Effect>> {
    Some(match action {
        Action::Requeue => requeue(app),
        Action::RequeueFailed => requeue_failed(app),
        Action::RequeueAll => requeue_asked(app, jobs_of(app), RequeueWhich::All),
        Action::RequeueFrom => requeue_asked(app, addresses(app), RequeueWhich::From),
        Action::Cancel => cancel(app, CancelHow::Ask),
        Action::Kill => cancel(app, CancelHow::Kill),
        Action::Pause => pause(app),
        Action::PauseAll => pause_all(app),
        Action::EditJob => edit_job(app),
        Action::NewJob => new_job(app),
        Action::Export => export(app),
        Action::Copy | Action::CopyName if app.focus == Focus::Tree || action == Action::CopyName => copy_name(app),
        Action::ViewOutput => view_output(app),
        Action::ViewDefinition => view_definition(app),
        Action::Quit => super::quit(app),
        Action::Help => open(app, Dialog::Help { top: 0 }),
        Action::Messages => open(app, Dialog::Messages { top: 0 }),
        Action::Palette => {
            let mut palette = Palette { over_inbox: app.inbox.is_open, ..Palette::default() };
            super::dialogs::find(&mut palette);
            open(app, Dialog::Palette(palette))
        }
        Action::Filter => {
            app.focus = Focus::Tree;
            app.prompt = Some(Prompt::new(Purpose::Filter, &app.tree.filter.text));
            Vec::new()
        }
        Action::ClearFilter => {
            set_filter(app, "");
            Vec::new()
        }
        Action::Redraw => vec![Effect::Redraw],
        Action::Suspend => vec![Effect::Suspend],
        Action::StartManager => {
            if app.link.is_up() {
                refuse(app, "a manager runs already")
            } else {
                app.toasts.add("starting a manager in the background", Kind::News, app.now);
                vec![Effect::StartManager]
            }
        }
        Action::ToggleMouse => {
            app.mouse = !app.mouse;
            let text = if app.mouse { "the mouse is taken: click, turn the wheel" } else { "the mouse is the terminal's again" };
            app.toasts.add(text, Kind::News, app.now);
            vec![Effect::Mouse(app.mouse)]
        }
        _ => return None,
    })
}

fn open(app: &mut App, dialog: Dialog) -> Vec<Effect> {
    app.dialog = Some(dialog);
    Vec::new()
}

/// Shows only what matches.
pub fn set_filter(app: &mut App, text: &str) {
    let filter = Filter::new(text);
    if filter != app.tree.filter {
        app.tree.filter = filter;
        app.tree.touch();
    }
}

fn requeue(app: &mut App) -> Vec<Effect> {
    let targets = addresses(app);
    if targets.is_empty() {
        return refuse(app, "nothing is selected");
    }
    if let Some(effects) = super::instances::requeue(app) {
        return effects;
    }
    let what = format!("requeue of {}", naming(&targets));
    app.tree.marks.clear();
    send(app, what, Command::Requeue { targets, which: RequeueWhich::Failed, params: Vec::new() })
}

/// Numbers of the jobs of what is selected or marked, each once.
fn chosen_jobs(app: &App) -> BTreeSet<u32> {
    app.tree.targets().iter().map(|key| key.job).collect()
}

fn jobs_of(app: &App) -> Vec<Address> {
    chosen_jobs(app).into_iter().filter_map(|job| address(app, Key::job(job))).collect()
}

fn requeue_failed(app: &mut App) -> Vec<Effect> {
    let targets = jobs_of(app);
    if targets.is_empty() {
        return refuse(app, "nothing is selected");
    }
    let what = format!("requeue of what failed in {}", naming(&targets));
    send(app, what, Command::Requeue { targets, which: RequeueWhich::Failed, params: Vec::new() })
}

/// Runs again what is over already, so it asks first.
fn requeue_asked(app: &mut App, targets: Vec<Address>, which: RequeueWhich) -> Vec<Effect> {
    if targets.is_empty() {
        return refuse(app, "nothing is selected");
    }
    let name = naming(&targets);
    let (what, question) = match which {
        RequeueWhich::From => (format!("requeue from {name}"), format!("Run {name} again, and all that comes after?")),
        _ => (format!("requeue of all tasks of {name}"), format!("Run every task of {name} again?{}", finished(app))),
    };
    let lines = targets.iter().map(ToString::to_string).collect();
    ask(app, question, lines, vec![(what, Command::Requeue { targets, which, params: Vec::new() })])
}

/// How much of the chosen jobs is finished, and what all of them cost so far.
fn finished(app: &App) -> String {
    let jobs: Vec<_> = chosen_jobs(app).into_iter().filter_map(|job| app.mirror.job(job)).collect();
    let count: u32 = jobs.iter().map(|job| job.view.tasks.of(TaskKind::Completed)).sum();
    let cost: u64 = jobs.iter().map(|job| job.cost()).sum();
    match (count, cost) {
        (0, _) => String::new(),
        (1, 0) => " 1 is finished.".to_owned(),
        (count, 0) => format!(" {count} are finished."),
        (1, cost) => format!(" 1 is finished; so far it cost {}.", app.dollars().show(cost)),
        (count, cost) => format!(" {count} are finished; so far it cost {}.", app.dollars().show(cost)),
    }
}

fn cancel(app: &mut App, how: CancelHow) -> Vec<Effect> {
    let keys = app.tree.targets();
    let targets: Vec<Address> = keys.iter().filter_map(|key| address(app, *key)).collect();
    if targets.is_empty() {
        return refuse(app, "nothing is selected");
    }
    let live: u32 = keys.iter().map(|key| still_going(app, *key)).sum();
    if live == 0 {
        let name = naming(&targets);
        return refuse(app, format!("{name}: nothing to cancel, it is over"));
    }
    let verb = if how == CancelHow::Kill { "Kill" } else { "Cancel" };
    let name = naming(&targets);
    let lines: Vec<String> = targets.iter().map(ToString::to_string).collect();
    let is_one_task = keys.len() == 1 && keys[0].task != NONE;
    let is_mapped = is_one_task && super::instances::of(app, keys[0]).is_some();
    let word = if is_mapped { "instance" } else { "task" };
    let count = if live == 1 { format!("1 {word} is") } else { format!("{live} {word}s are") };
    let is_one_task = is_one_task && !is_mapped;
    let question = if is_one_task { format!("{verb} {name}?") } else { format!("{verb} {name}? {count} not over.") };
    let what = format!("{} of {name}", verb.to_lowercase());
    ask(app, question, lines, vec![(what, Command::Cancel { targets, all: false, how })])
}

/// Tasks of a line that are not over.
fn still_going(app: &App, key: Key) -> u32 {
    let Some(job) = app.mirror.job(key.job) else { return 0 };
    match key.task {
        NONE => {
            let work = job.view.work();
            work.total() - work.terminal()
        }
        _ if super::instances::of(app, key).is_some() => {
            super::instances::of(app, key).map_or(0, |instances| instances.counts.total() - instances.counts.terminal())
        }
        task => job.tasks.get(task as usize).map_or(0, |row| u32::from(!row.state().is_terminal())),
    }
}

fn pause(app: &mut App) -> Vec<Effect> {
    let mut effects = Vec::new();
    for id in chosen_jobs(app) {
        let Some(job) = app.mirror.job(id) else { continue };
        let (name, paused) = (job.view.name.clone(), job.view.paused);
        let job = Some(reference(&name));
        effects.extend(if paused {
            send(app, format!("resume of {name}"), Command::Resume { job })
        } else {
            send(app, format!("pause of {name}"), Command::Pause { job })
        });
    }
    effects
}

fn pause_all(app: &mut App) -> Vec<Effect> {
    if app.mirror.overview.paused {
        send(app, "resume of everything".to_owned(), Command::Resume { job: None })
    } else {
        send(app, "pause of everything".to_owned(), Command::Pause { job: None })
    }
}

fn new_job(app: &mut App) -> Vec<Effect> {
    app.editor = Some(match app.draft.take() {
        Some(draft) => Editor::go_on(draft, app.now.mono),
        None => {
            let editor = Editor::new(TEMPLATES[0].1, "new job", app.cwd.clone(), app.now.mono);
            Editor { template: Some(0), ..editor }
        }
    });
    Vec::new()
}

fn edit_job(app: &mut App) -> Vec<Effect> {
    let Some(job) = app.tree.selected.and_then(|key| app.mirror.job(key.job)) else {
        return refuse(app, "nothing is selected");
    };
    let Some(spec) = &job.spec else { return refuse(app, "the definition is still being read, try again in a moment") };
    let Some(source) = spec.source.clone() else {
        return refuse(app, "the text of this job was not kept (over 64 KiB, or not from a file)\nedit its file and submit that");
    };
    let name = job.view.name.to_string();
    let mut editor = Editor::new(&source.text, &format!("edit of {name}"), source.base, app.now.mono);
    editor.params = source.params;
    if let Some(open) = app.editor.take().and_then(|editor| editor.draft()) {
        app.draft = Some(open);
    }
    app.editor = Some(editor);
    Vec::new()
}

fn export(app: &mut App) -> Vec<Effect> {
    let Some(key) = app.tree.selected else { return refuse(app, "nothing is selected") };
    let Some(target) = address(app, key.whole()) else { return refuse(app, "it is gone") };
    let number = app.next_number();
    let file = |name: String| app.cwd.join(name);
    let wanted = match &target.task {
        None => Wanted::Job { job: target.job.clone(), to: file(format!("{}.json", target.job)) },
        Some(task) => {
            let attempt = shown_attempt(app, key);
            if attempt == 0 {
                return refuse(app, format!("{target} has no output yet"));
            }
            let name = format!("{}-{}-{attempt}.log", target.job, task.replace('/', "-"));
            Wanted::Output { task: target.clone(), attempt, to: file(name), replace: false }
        }
    };
    app.toasts.add_for(format!("export of {target}: under way"), Kind::Sent, app.now, Some(number));
    vec![Effect::Show(number, wanted, Program::None)]
}

fn shown_attempt(app: &App, key: Key) -> u32 {
    if key.attempt > 0 {
        return key.attempt;
    }
    let newest = app.mirror.task(key.job, key.task).map_or(0, |row| row.attempts);
    app.pane.attempt.filter(|_| app.pane.subject.map(Key::whole) == Some(key.whole())).unwrap_or(newest)
}

fn copy_name(app: &mut App) -> Vec<Effect> {
    match app.tree.selected.and_then(|key| address(app, key.whole())) {
        Some(address) => vec![Effect::Copy(address.to_string())],
        None => refuse(app, "nothing is selected"),
    }
}

fn view_output(app: &mut App) -> Vec<Effect> {
    let Some(key) = app.tree.selected else { return refuse(app, "nothing is selected") };
    let attempt = shown_attempt(app, key);
    match address(app, key.whole()).filter(|address| address.task.is_some()) {
        Some(task) if attempt > 0 => {
            let number = app.next_number();
            let to = app.scratch.join(format!("output-{}-{number}.log", std::process::id()));
            vec![Effect::Show(number, Wanted::Output { task, attempt, to, replace: true }, Program::Pager)]
        }
        Some(task) => refuse(app, format!("{task} has no output yet")),
        None => refuse(app, "select a task to see its output"),
    }
}

fn view_definition(app: &mut App) -> Vec<Effect> {
    let Some(key) = app.tree.selected else { return refuse(app, "nothing is selected") };
    if key.task == NONE {
        let Some(spec) = app.mirror.job(key.job).and_then(|job| job.spec.as_ref()) else {
            return refuse(app, "the definition is still being read, try again in a moment");
        };
        let (text, ending) = match &spec.source {
            Some(source) => (source.text.clone(), ".yaml"),
            None => (serde_json::to_string_pretty(&spec.without_values()).unwrap_or_default(), ".json"),
        };
        return vec![Effect::Edit { text, ending, back: false }];
    }
    match &app.pane.detail {
        Some(detail) if app.pane.subject.map(Key::whole) == Some(key.whole()) => {
            let text = serde_json::to_string_pretty(&detail.spec).unwrap_or_default();
            vec![Effect::Edit { text, ending: ".json", back: false }]
        }
        _ => refuse(app, "the definition is still being read, try again in a moment"),
    }
}
