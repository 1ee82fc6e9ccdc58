//! What came for the task pane: the task in full, and pieces of its output.

use crate::api::client::{ClientError, ClientErrorKind};
use crate::model::ids::Address;
use crate::model::message::{OutputPiece, OutputStream, RefusalCode, TaskDetail};
use crate::model::spec::Action as TaskAction;
use crate::tui::app::App;
use crate::tui::app::pane::{LogView, Output};
use crate::tui::data::row::NONE;
use crate::tui::data::sync::OutputKey;
use crate::tui::output::Document;
use crate::tui::output::talk::Talk;

use super::searching;
use super::targets::address;

/// A task came in full.
pub fn detail(app: &mut App, of: &Address, found: Result<Box<TaskDetail>, ClientError>) {
    let Some(subject) = app.pane.subject else { return };
    app.pane.pending = false;
    if address(app, subject.whole()).as_ref() != Some(of) {
        return;
    }
    match found {
        Ok(detail) => {
            let newest = |detail: &TaskDetail| detail.task.attempts;
            if app.pane.attempt.is_none() && app.pane.detail.as_deref().is_some_and(|before| newest(before) != newest(&detail)) {
                app.pane.output = None;
            }
            app.pane.failure = None;
            let outcomes = detail.attempts.iter().map(|attempt| (attempt.number, attempt.outcome.clone())).collect();
            app.tree
                .open_tasks
                .contains(&(subject.job, subject.task))
                .then(|| app.tree.outcomes.insert((subject.job, subject.task), outcomes));
            app.pane.detail = Some(detail);
            if app.pane.attempt.is_none() && subject.attempt > 0 {
                app.pane.attempt = Some(subject.attempt);
            }
        }
        Err(error) => {
            let gone = matches!(error.kind, ClientErrorKind::Refused(RefusalCode::NotFound));
            app.pane.failure = Some(if gone { "it is gone: removed after the retention time".to_owned() } else { error.message });
        }
    }
}

/// The output to show, begun when there is none yet.
pub fn begin_output(app: &mut App) {
    let (Some(subject), Some(attempt)) = (app.pane.subject, app.pane.shown_attempt()) else { return };
    if app.pane.output.as_ref().is_some_and(|output| output.document.attempt == attempt) || subject.task == NONE {
        return;
    }
    let Some(task) = address(app, subject.whole()) else { return };
    let is_claude = app.pane.detail.as_ref().is_some_and(|detail| matches!(detail.spec.action, TaskAction::Claude(_)));
    let wrap = app.pane.output.as_ref().is_some_and(|output| output.log.wrap);
    let log = LogView { follow: true, wrap, ..LogView::default() };
    let talk = is_claude.then(|| Talk::new(app.transcript.clone()));
    app.pane.output = Some(Output { document: Document::new(task, attempt), talk, log, next_poll: 0 });
}

/// A piece of output came; whether that changes what is shown.
pub fn piece(app: &mut App, key: &OutputKey, found: Result<OutputPiece, ClientError>) -> bool {
    let now = app.now.mono;
    let Some(output) =
        app.pane.output.as_mut().filter(|output| output.document.task == key.task && output.document.attempt == key.attempt)
    else {
        return false;
    };
    match found {
        Ok(piece) => match (&mut output.talk, key.stream) {
            (Some(talk), OutputStream::Out) => talk.take(key, &piece, now),
            (Some(talk), _) => {
                talk.take_err(&piece);
                true
            }
            (None, _) => {
                let is_searching = output.log.search.as_ref().is_some_and(|search| search.going.is_some());
                let changed = output.document.take(key, piece, now);
                searching::go_on(app);
                changed || is_searching
            }
        },
        Err(error) => {
            output.document.fail(key, error.message);
            if let Some(talk) = &mut output.talk {
                talk.reconnect();
            }
            // Not at once again: the connection may just be gone.
            output.next_poll = now.0 + 1_000;
            true
        }
    }
}
