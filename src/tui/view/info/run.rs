//! What is told of a Claude run: its session, how far it is, what it uses of what it may.

use crate::config::theme::Role;
use crate::model::change::ClaudeFacts;
use crate::model::conversation::TodoState;
use crate::model::live::{LiveFacts, how_far};
use crate::model::message::TaskDetail;
use crate::model::money::{Dollars, count, micro};
use crate::model::spec::{Action, Budget, ClaudeSpec};
use crate::model::state::TaskKind;
use crate::tui::app::App;
use crate::tui::data::mirror::JobRow;
use crate::tui::data::row::TaskRow;

use super::Sheet;

/// Items of a list of things to do that are shown.
const MAX_ITEMS: usize = 50;

/// How this task's dollars are written: as its own attempts tell, else as all of them.
pub(super) fn dollars(app: &App, detail: &TaskDetail, row: Option<&TaskRow>) -> Dollars {
    let over = facts(detail).map(|claude| claude.pays_by_key);
    let live = row.and_then(TaskRow::run).and_then(|run| run.pays_by_key);
    let known: Vec<bool> = over.chain(live).collect();
    let all = app.dollars();
    if known.is_empty() { all } else { all.paid_by_key(known.iter().all(|pays| *pays)) }
}

/// What its attempts that are over reported, oldest first.
fn facts(detail: &TaskDetail) -> impl DoubleEndedIterator<Item = &ClaudeFacts> {
    detail.attempts.iter().filter_map(|attempt| attempt.facts.as_ref()?.claude.as_ref())
}

/// The run, when the task is one.
pub(super) fn sheet(app: &App, job: &JobRow, row: Option<&TaskRow>, detail: &TaskDetail, sheet: &mut Sheet) {
    let Action::Claude(claude) = &detail.spec.action else { return };
    sheet.heading("Run");
    if let Some(attempt) = detail.attempts.iter().rev().find(|attempt| super::session(attempt).is_some()) {
        sheet.field("session", &super::session(attempt).unwrap_or_default(), Role::Text);
        super::by_hand(job, detail, attempt, sheet);
    }
    let live = row.and_then(TaskRow::run);
    sheet.field("turns", &turns(live, detail), Role::Text);
    sheet.field("tokens", &tokens(live, detail), Role::Text);
    // Of one that runs it stands above, as what it does.
    if let Some(row) = row.filter(|row| row.kind == TaskKind::AwaitingInput) {
        sheet.field("progress", &how_far(row.progress(), live), Role::Busy);
    }
    todo(app, live, sheet);
    budgets(app, job, row, detail, claude, sheet);
}

fn turns(live: Option<&LiveFacts>, detail: &TaskDetail) -> String {
    let turns = match live {
        Some(live) => live.turns,
        None => facts(detail).next_back().map_or(0, |claude| claude.turns),
    };
    if turns == 0 { String::new() } else { turns.to_string() }
}

fn tokens(live: Option<&LiveFacts>, detail: &TaskDetail) -> String {
    let live = live.map_or((0, 0), |live| (live.spent.input_tokens, live.spent.output_tokens));
    let (input, output) = facts(detail).fold(live, |(input, output): (u64, u64), claude| {
        (input.saturating_add(claude.input_tokens), output.saturating_add(claude.output_tokens))
    });
    if input == 0 && output == 0 { String::new() } else { format!("{} in, {} out", count(input), count(output)) }
}

/// The list as its transcript has it, where that was looked at; else how much of it is done.
fn todo(app: &App, live: Option<&LiveFacts>, sheet: &mut Sheet) {
    let items = app.pane.output.as_ref().and_then(|output| output.talk.as_ref()).map(|talk| talk.todo()).unwrap_or_default();
    if items.is_empty() {
        if let Some((done, all, active)) = live.and_then(|live| live.todo.as_ref()) {
            let active = if active.is_empty() { String::new() } else { format!(", now: {active}") };
            sheet.field("todo", &format!("{done} of {all} done{active}"), Role::Todo);
        }
        return;
    }
    let line = |(state, text): &(TodoState, String)| {
        let sign = match state {
            TodoState::Active => app.look.pick("►", ">"),
            TodoState::Pending => app.look.pick("◦", "o"),
            TodoState::Done => app.look.pick("✓", "+"),
        };
        format!("{sign} {}", text.lines().next().unwrap_or_default())
    };
    sheet.field("todo", &items.iter().take(MAX_ITEMS).map(line).collect::<Vec<_>>().join("\n"), Role::Todo);
}

/// What it and its job use of what they may.
fn budgets(app: &App, job: &JobRow, row: Option<&TaskRow>, detail: &TaskDetail, claude: &ClaudeSpec, sheet: &mut Sheet) {
    let (dollars, live) = (dollars(app, detail, row), row.and_then(TaskRow::run));
    let spent = live.map(|live| live.spent).unwrap_or_default();
    let cost = detail.task.cost_microusd.saturating_add(spent.cost_microusd);
    let all = facts(detail)
        .fold(spent.tokens(), |sum, claude| sum.saturating_add(claude.input_tokens).saturating_add(claude.output_tokens));
    if let Some(budget) = &detail.spec.budget {
        sheet.field("budget", &dollars.used(cost, all, Some(budget)), Role::Cost);
    }
    // The CLI's own bound holds for each attempt.
    if let Some(most) = claude.max_budget_usd.and_then(micro) {
        let most = Budget { microusd: Some(most), tokens: None };
        sheet.field("of attempt", &dollars.used(spent.cost_microusd, 0, Some(&most)), Role::Cost);
    }
    if let Some(budget) = job.spec.as_ref().and_then(|spec| spec.budget).filter(|budget| budget.microusd.is_some()) {
        let budget = Budget { tokens: None, ..budget };
        sheet.field("of job", &app.dollars().used(job.cost(), 0, Some(&budget)), Role::Cost);
    }
}
