//! A mapped task in the place of output, of which it has none: what became of its instances, or why it has none.

use ratatui::layout::Rect;

use crate::config::theme::Role;
use crate::model::state::{Outcome, SkipReason, TaskKind, TaskState};
use crate::tui::action::Action;
use crate::tui::app::App;
use crate::tui::data::instances::Instances;
use crate::tui::data::mirror::JobRow;
use crate::tui::data::row::TaskRow;
use crate::tui::text::cut;
use crate::tui::text::harmless::tamed;

use super::brush::Brush;
use super::{states, tree};

/// Draws it.
pub fn draw(app: &App, job: &JobRow, place: u32, row: &TaskRow, area: Rect, brush: &mut Brush<'_>) {
    match row.instances().filter(|_| row.is_mapped()) {
        Some(instances) => draw_list(app, job, place, instances, area, brush),
        None => states::lines(brush, area, &without(app, job, row)),
    }
}

/// Why there are no instances, or why those that there are do not count any more.
fn without(app: &App, job: &JobRow, row: &TaskRow) -> Vec<(String, Role)> {
    let why = || tamed(&tree::reason(app, job, row).0);
    match row.state() {
        TaskState::Skipped { why: SkipReason::Empty } => vec![("its list is empty: nothing to do".to_owned(), Role::Dim)],
        TaskState::Skipped { .. } => vec![(format!("skipped: {}", why()), Role::Dim)],
        TaskState::UpstreamFailed => vec![(why(), Role::Dim)],
        TaskState::Cancelled => vec![("cancelled before its list was known".to_owned(), Role::Dim)],
        TaskState::Failed => {
            let said = row.outcome().map(Outcome::sentence).unwrap_or_default();
            vec![("it has no list:".to_owned(), Role::Bad), (tamed(&said), Role::Text)]
        }
        TaskState::Mapped { .. } => vec![("reading".to_owned(), Role::Dim)],
        _ => vec![(format!("its list is not known yet: {}", waits(why())), Role::Dim)],
    }
}

fn waits(why: String) -> String {
    why.strip_prefix("needs ").map(|needs| format!("waits for {needs}")).unwrap_or(why)
}

/// States that are listed, the most important first.
const LISTED: [(TaskKind, &str); 6] = [
    (TaskKind::AwaitingInput, "Waits for you"),
    (TaskKind::AwaitingApproval, "Waits for your approval"),
    (TaskKind::Failed, "Failed"),
    (TaskKind::Running, "Running"),
    (TaskKind::Cancelling, "Being cancelled"),
    (TaskKind::Held, "Held"),
];

fn draw_list(app: &App, job: &JobRow, place: u32, instances: &Instances, area: Rect, brush: &mut Brush<'_>) {
    let counts = instances.counts;
    let mut x = brush.put(area.x + 1, area.y, area.right(), &format!("{} instances", counts.total()), Role::Strong);
    // What a person has to know stands first: the end of the line may be cut.
    let first = LISTED.map(|(kind, _)| kind);
    let others = TaskKind::ALL.into_iter().filter(|kind| !first.contains(kind));
    for kind in first.into_iter().chain(others).filter(|kind| counts.of(*kind) > 0) {
        let (sign, role) = app.look.sign(kind);
        x = brush.put(x + 2, area.y, area.right(), &format!("{sign} {} {}", counts.of(kind), kind.word()), role);
    }
    if instances.gone > 0 {
        brush.put(x + 2, area.y, area.right(), &format!("+{} gone", instances.gone), Role::Dim);
    }
    let listed: Vec<(TaskKind, &str)> = LISTED.into_iter().filter(|(kind, _)| counts.of(*kind) > 0).collect();
    let mut y = area.y + 2;
    let mut left = listed.len();
    for (kind, title) in listed {
        let room = usize::from(area.bottom().saturating_sub(y)) / left.max(1);
        left -= 1;
        if room < 3 {
            break;
        }
        y = draw_some(app, job, place, (kind, title, counts.of(kind) as usize), room - 2, Rect { y, ..area }, brush) + 1;
    }
}

/// Instances of one state, at most so many; the line after them.
fn draw_some(
    app: &App,
    job: &JobRow,
    place: u32,
    (kind, title, count): (TaskKind, &str, usize),
    most: usize,
    area: Rect,
    brush: &mut Brush<'_>,
) -> u16 {
    brush.put(area.x + 1, area.y, area.right(), title, Role::Heading);
    let (sign, role) = app.look.sign(kind);
    let shown = if count > most { most.saturating_sub(1) } else { count };
    let mut y = area.y + 1;
    let room = usize::from(area.width.saturating_sub(5));
    for (_, row) in job.instances_of(place).filter(|(_, row)| row.kind == kind && !row.is_gone()).take(shown) {
        let (reason, reason_role) = tree::reason(app, job, row);
        let reason = cut::end(&tamed(&reason), room.saturating_sub(14), brush.look.dots()).into_owned();
        let name = cut::middle(&tamed(row.name()), room.saturating_sub(cut::width(&reason) + 2), brush.look.dots()).into_owned();
        let x = brush.put(area.x + 2, y, area.right(), sign, role);
        let x = brush.put(x + 1, y, area.right(), &name, Role::Text);
        brush.put(x + 2, y, area.right(), &reason, reason_role);
        y += 1;
    }
    if count > shown {
        let keys = app.look.keys(Action::Filter);
        let text = format!("  +{} more ({keys} state:{})", count - shown, kind.word());
        brush.put(area.x + 1, y, area.right(), &text, Role::Dim);
        y += 1;
    }
    y
}
