//! From selected lines to addresses, and from actions to commands.

use crate::model::ids::Address;
use crate::model::message::Command;
use crate::model::time::Mono;
use crate::tui::app::dialog::{Confirm, DEAF_MS, Dialog};
use crate::tui::app::toast::Kind;
use crate::tui::app::tree::Key;
use crate::tui::app::{App, Effect, Sent};
use crate::tui::data::row::NONE;

/// The address of a line; none when it is gone.
pub fn address(app: &App, key: Key) -> Option<Address> {
    let job = app.mirror.job(key.job)?;
    let task = match key.task {
        NONE => None,
        task => Some(job.tasks.get(task as usize)?.id.to_string()),
    };
    Some(Address { job: job.reference(), task })
}

/// Addresses of what an action is done to.
pub fn addresses(app: &App) -> Vec<Address> {
    app.tree.targets().into_iter().filter_map(|key| address(app, key)).collect()
}

/// One name, or how many.
pub fn naming(addresses: &[Address]) -> String {
    match addresses {
        [one] => one.to_string(),
        many => {
            let tasks = many.iter().filter(|address| address.task.is_some()).count();
            let jobs = many.len() - tasks;
            let count = |count: usize, word: &str| match count {
                0 => None,
                1 => Some(format!("1 {word}")),
                count => Some(format!("{count} {word}s")),
            };
            [count(jobs, "job"), count(tasks, "task")].into_iter().flatten().collect::<Vec<_>>().join(" and ")
        }
    }
}

/// Sends a command, and says so.
pub fn send(app: &mut App, what: String, command: Command) -> Vec<Effect> {
    if let Some(why) = &app.read_only {
        let text = format!("{what}: not sent, this home is read-only\n{why}");
        return refuse(app, text);
    }
    if !app.link.is_up() {
        app.toasts.add(
            format!("{what}: not sent, there is no manager now\nit can be asked again when there is one"),
            Kind::Fault,
            app.now,
        );
        return Vec::new();
    }
    let number = app.next_number();
    app.toasts.add_for(format!("{what}: sent"), Kind::Sent, app.now, Some(number));
    let question = match &command {
        Command::Answer { question, .. } => Some(*question),
        _ => None,
    };
    app.inbox.sent.extend(question);
    app.sent.insert(number, Sent { what, submits: false, question });
    vec![Effect::Command(number, command)]
}

/// Asks first.
pub fn ask(app: &mut App, question: String, lines: Vec<String>, commands: Vec<(String, Command)>) -> Vec<Effect> {
    // Nothing is asked that would be refused.
    if let (Some(_), Some((what, command))) = (&app.read_only, commands.first()) {
        return send(app, what.clone(), command.clone());
    }
    let from = Mono(app.now.mono.0 + DEAF_MS);
    app.dialog = Some(Dialog::Confirm(Confirm { question, lines, commands, from, is_whole: false }));
    Vec::new()
}

/// Says why nothing was done.
pub fn refuse(app: &mut App, why: impl Into<String>) -> Vec<Effect> {
    app.toasts.add(why, Kind::Fault, app.now);
    Vec::new()
}
