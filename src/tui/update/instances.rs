//! What is done to a mapped task is done to its instances, and says to how many.

use crate::model::message::{Command, RequeueWhich};
use crate::model::state::TaskKind;
use crate::tui::app::tree::Key;
use crate::tui::app::{App, Effect};
use crate::tui::data::instances::Instances;

use super::targets::{address, ask, refuse};

/// The instances of a mapped task whose list is known.
pub fn of(app: &App, key: Key) -> Option<&Instances> {
    app.mirror.task(key.job, key.task).filter(|row| row.is_mapped())?.instances()
}

/// Runs what failed of a selected mapped task again, or all of it when nothing did; none when it is not about one.
pub fn requeue(app: &mut App) -> Option<Vec<Effect>> {
    let [key] = app.tree.targets()[..] else { return None };
    let (counts, target) = (of(app, key)?.counts, address(app, key)?);
    let (failed, cancelled) = (counts.of(TaskKind::Failed), counts.of(TaskKind::Cancelled));
    let word = match (failed, cancelled) {
        (0, 0) => {
            let left = counts.total() - counts.terminal();
            if left > 0 {
                let text = format!("no instance of {target} failed or was cancelled\n{left} are not over and run by themselves");
                return Some(refuse(app, text));
            }
            return Some(all_again(app, key, counts.total()));
        }
        (_, 0) => "failed",
        (0, _) => "cancelled",
        _ => "failed and cancelled",
    };
    let (count, which) = (failed + cancelled, RequeueWhich::Failed);
    let plural = if count == 1 { "" } else { "s" };
    let question = format!("Requeue {count} {word} instance{plural} of {target}?");
    let what = format!("requeue of {count} instance{plural} of {target}");
    let command = Command::Requeue { targets: vec![target], which, params: Vec::new() };
    Some(ask(app, question, Vec::new(), vec![(what, command)]))
}

fn all_again(app: &mut App, key: Key, count: u32) -> Vec<Effect> {
    let Some(target) = address(app, key) else { return Vec::new() };
    let cost = app.mirror.task(key.job, key.task).map_or(0, |row| row.whole_cost());
    let cost = if cost == 0 { String::new() } else { format!(" So far they cost {}.", app.dollars().show(cost)) };
    let which = if count == 1 { "its 1 instance".to_owned() } else { format!("all {count} instances") };
    let question = format!("Nothing failed. Run {which} of {target} again, from a new list?{cost}");
    let what = format!("requeue of all instances of {target}");
    let command = Command::Requeue { targets: vec![target], which: RequeueWhich::All, params: Vec::new() };
    ask(app, question, Vec::new(), vec![(what, command)])
}
