//! What the manager tells.

use crate::api::client::ClientError;
use crate::model::message::Done;
use crate::model::time::Mono;
use crate::tui::app::toast::Kind;
use crate::tui::app::tree::Key;
use crate::tui::app::{App, Effect, Link};
use crate::tui::data::sync::Incoming;

use super::{arrivals, editing, inbox};

/// A job that could not be read is asked for again after so long, in milliseconds.
const UNREADABLE_MS: u64 = 5_000;

/// Takes it in.
pub fn take(app: &mut App, incoming: Incoming) -> Vec<Effect> {
    match incoming {
        Incoming::Reset { overview, jobs, seq, more } => reset(app, *overview, jobs, seq, more),
        Incoming::Jobs { jobs, too_many } => {
            app.mirror.set_jobs(jobs);
            app.mirror.older |= too_many;
        }
        Incoming::Changes { events, jobs, overview, seq } => {
            let home = app.home_path();
            let (zone, now) = (app.zone.clone(), app.now);
            let clock = |at| crate::tui::text::time::time(at, now.utc, &zone);
            let rings = app.bell.hear(&events, &jobs, &home, &clock, now.mono);
            app.mirror.overview = *overview;
            app.mirror.apply(&events, jobs, seq);
            inbox::hear(app, &events);
            follow(app, &events);
            return rings;
        }
        Incoming::Down(why) => down(app, why),
        Incoming::Tasks { job, from, tasks, seq } => {
            app.tree.flight.remove(&(job, 't'));
            app.mirror.set_tasks(job, from, tasks, seq);
        }
        Incoming::Job(job, found) => {
            app.tree.flight.remove(&(job, 'j'));
            if found.is_err() {
                // A page of its tasks that could not be read is told so, too.
                app.tree.flight.remove(&(job, 't'));
            }
            match found {
                Ok(detail) => {
                    app.tree.unreadable.remove(&job);
                    app.mirror.set_spec(job, detail.spec);
                }
                Err(_) => drop(app.tree.unreadable.insert(job, Mono(app.now.mono.0 + UNREADABLE_MS))),
            }
        }
        Incoming::Task(address, found) => arrivals::detail(app, &address, found),
        Incoming::Events(address, found) => {
            app.tree.flight.remove(&(0, 'e'));
            if let Ok(events) = found {
                app.pane.events = Some((address, events));
            }
        }
        Incoming::Questions(found) => inbox::page(app, found),
        Incoming::Output(key, found) => {
            arrivals::piece(app, &key, found);
        }
        Incoming::Answered(number, answer) => return answered(app, number, answer),
        Incoming::Overview(overview) => app.mirror.overview = *overview,
        Incoming::Checked(stamp, found) => return editing::checked(app, stamp, found),
        Incoming::Told(text, is_fault) => app.toasts.add(text, if is_fault { Kind::Fault } else { Kind::News }, app.now),
        Incoming::Fetched(number, result) => match result {
            Ok(path) => app.toasts.add_for(format!("written: {}", path.display()), Kind::News, app.now, Some(number)),
            Err(why) => app.toasts.add_for(why, Kind::Fault, app.now, Some(number)),
        },
    }
    Vec::new()
}

fn reset(
    app: &mut App,
    overview: crate::model::message::OverviewView,
    jobs: Vec<crate::model::message::JobView>,
    seq: crate::model::change::Seq,
    more: bool,
) {
    let first = !std::mem::replace(&mut app.met, true);
    let back = matches!(app.link, Link::Down { .. }) && !first;
    app.link = Link::Up;
    let selected = app.tree.selected.and_then(|key| Some((key.job, super::targets::address(app, key.whole())?)));
    app.mirror.reset(overview, jobs, seq, false);
    if let Some((_, address)) = selected.filter(|(job, _)| app.mirror.job(*job).is_none()) {
        app.tree.gone = Some(address.to_string());
    }
    app.tree.flight.clear();
    // Everything is asked for anew; what is on the screen stays until it comes.
    app.pane.asked = None;
    app.pane.events_asked = None;
    app.pane.pending = false;
    app.inbox.reconnect();
    if let Some(output) = &mut app.pane.output {
        output.document.reconnect();
        if let Some(talk) = &mut output.talk {
            talk.reconnect();
        }
    }
    if first && !more {
        // What is going on is what people come for.
        let live: Vec<u32> =
            app.mirror.jobs.iter().rev().filter(|job| !job.view.state.is_terminal()).map(|job| job.view.id).collect();
        app.tree.open.extend(live.into_iter().take(3));
        app.tree.touch();
    }
    if back {
        app.toasts.add("the manager is back; this is how things stand", Kind::News, app.now);
    }
    // Answers that were under way will not come any more.
    let lost: Vec<u64> = app.sent.keys().copied().collect();
    if back {
        for number in lost {
            if let Some(sent) = app.sent.remove(&number) {
                let text = format!("{}: the answer was lost; look whether it was done", sent.what);
                app.toasts.add_for(text, Kind::Fault, app.now, Some(number));
            }
        }
    }
}

fn down(app: &mut App, why: ClientError) {
    app.link = match &app.link {
        Link::Down { since, .. } => Link::Down { since: *since, why },
        _ => Link::Down { since: app.now.utc, why },
    };
    if let Some(editor) = &mut app.editor {
        editor.sending = false;
    }
}

/// The cursor follows what starts, when it was told to.
fn follow(app: &mut App, events: &[crate::model::message::EventView]) {
    use crate::model::change::Change;
    if !app.tree.follows {
        return;
    }
    let started = events.iter().rev().find_map(|event| match &event.event.change {
        Change::AttemptStarted { attempt } => Some(*attempt),
        _ => None,
    });
    if let Some(attempt) = started {
        let key = Key::task(attempt.job.0, attempt.task.0);
        if !app.tree.select(&app.mirror, key) {
            // Its job's tasks are still being read.
            app.tree.selected = Some(key);
        }
    }
}

fn answered(app: &mut App, number: u64, answer: Result<Done, ClientError>) -> Vec<Effect> {
    let Some(sent) = app.sent.remove(&number) else { return Vec::new() };
    let (text, kind) = match &answer {
        Ok(Done::Submitted { job, tasks, missing }) => {
            let text = format!("{job} submitted, {tasks} task{}", if *tasks == 1 { "" } else { "s" });
            match missing.is_empty() {
                true => (text, Kind::News),
                false => (format!("{text}; secrets are missing, its tasks wait for them:\n{}", missing.join("\n")), Kind::Fault),
            }
        }
        Ok(Done::Scheduled { name, replaced, .. }) => {
            let word = if *replaced { "has another definition" } else { "is added" };
            (format!("the schedule {name} {word}: airx schedule show {name}"), Kind::News)
        }
        Ok(Done::Waits { behind }) => (format!("it starts once {behind} is over"), Kind::News),
        Ok(Done::Added { task }) => (format!("{task} queued"), Kind::News),
        Ok(Done::Affected { count: 0 }) => (format!("{}: there was nothing to do", sent.what), Kind::News),
        Ok(Done::Affected { .. } | Done::Stopping) => (format!("{}: done", sent.what), Kind::News),
        // Most refusals name what they are about.
        Err(error) if sent.names_itself(&error.message) && error.hint.is_empty() => (error.message.clone(), Kind::Fault),
        Err(error) if sent.names_itself(&error.message) => (format!("{}\n{}", error.message, error.hint), Kind::Fault),
        Err(error) if error.hint.is_empty() => (format!("{}: {}", sent.what, error.message), Kind::Fault),
        Err(error) => (format!("{}: {}\n{}", sent.what, error.message, error.hint), Kind::Fault),
    };
    app.toasts.add_for(text, kind, app.now, Some(number));
    if let Some(question) = sent.question {
        answer_answered(app, question, answer.is_ok());
    }
    if sent.submits {
        match answer {
            Ok(Done::Scheduled { .. }) if app.editor.as_ref().is_none_or(|editor| editor.sending) => {
                (app.editor, app.draft) = (None, None);
            }
            Ok(Done::Submitted { job, .. }) => {
                // One that was opened meanwhile goes on.
                if app.editor.as_ref().is_none_or(|editor| editor.sending) {
                    app.editor = None;
                    app.draft = None;
                }
                app.tree.wanted = Some(job);
                return vec![Effect::Keep];
            }
            _ => {
                if let Some(editor) = &mut app.editor {
                    editor.sending = false;
                }
            }
        }
    }
    Vec::new()
}

/// What becomes of an answer to a question: a refused one can be given again.
pub fn answer_answered(app: &mut App, question: u32, is_taken: bool) {
    if !is_taken {
        app.inbox.sent.remove(&question);
        app.inbox.is_stale = true;
    }
    let Some(editor) = app.editor.as_mut().filter(|editor| editor.answers == Some(question)) else { return };
    editor.sending = false;
    if is_taken {
        app.editor = None;
    }
}
