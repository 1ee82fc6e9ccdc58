//! The graph of a job: which nodes it has and where they stand.

use std::collections::HashMap;

use crate::model::state::{Counts, TaskKind};
use crate::tui::data::mirror::JobRow;
use crate::tui::data::row::TaskRow;
use crate::tui::graph::{Layout, Node, Options, layout};
use crate::tui::text::cut;

/// Of a job with more nodes than this, only those around the selected one are drawn: nobody reads more, and a frame must
/// not wait for a layout.
pub const MOST: usize = 300;
/// So many of them.
const AROUND: usize = 100;

/// A node: a task, or all tasks made from one (`fix/0`, `fix/1`, …).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name.
    pub name: String,
    /// The first of its tasks, by place.
    pub task: u32,
    /// Its tasks: how many are completed, and how many there are.
    pub count: Option<(u32, u32)>,
    /// Of a mapped task: its instances by state; all of them are 0 while its list is not known.
    pub instances: Option<Counts>,
    /// Whether it runs when everything else is over.
    pub is_last: bool,
    /// Its state; of several tasks the one that a person should know.
    pub kind: TaskKind,
}

/// The graph as it is looked at.
#[derive(Debug, Default)]
pub struct GraphView {
    /// What the layout was made of.
    pub made_of: Option<MadeOf>,
    /// The mirror's version at the last look, and what it was made of then.
    seen: Option<(u64, u32, (u16, u16), bool)>,
    /// Nodes.
    pub members: Vec<Member>,
    /// Where they stand.
    pub layout: Option<Layout>,
    /// The selected node.
    pub chosen: Option<usize>,
    /// Left upper corner on the screen.
    pub corner: (u32, u32),
    /// All nodes that the job has, when only some are drawn.
    pub all: Option<usize>,
}

/// What a layout is made of: the job, its number of tasks and of known lists, the node in the middle when only some are drawn, the room and
/// the signs.
pub type MadeOf = (u32, usize, Option<usize>, (u16, u16), bool);

impl GraphView {
    /// Makes the graph anew when anything changed that it is made of, and the states in any case.
    pub fn build(&mut self, job: &JobRow, subject: u32, version: u64, room: (u16, u16), unicode: bool) {
        let seen = Some((version, subject, room, unicode));
        if self.seen == seen && self.made_of.is_some_and(|(before, ..)| before == job.view.id) {
            return;
        }
        self.seen = seen;
        let (mut members, mut edges, of_task) = members(job);
        let middle = (members.len() > MOST).then(|| of_task.get(subject as usize).copied().unwrap_or(0));
        self.all = middle.map(|_| members.len());
        if let Some(middle) = middle {
            (members, edges) = around(&members, &edges, middle);
        }
        edges.extend(to_the_last(&members, &edges));
        let lists = members.iter().filter(|member| has_bar(member)).count();
        let made_of = Some((job.view.id, job.tasks.len() + lists, middle, room, unicode));
        if self.made_of != made_of || self.members.len() != members.len() {
            let keep = self.chosen.and_then(|chosen| self.members.get(chosen)).map(|member| member.name.clone());
            // The label has room for the sign, which is drawn into it.
            let nodes: Vec<Node> = members.iter().map(|member| Node { label: widest(member), is_last: member.is_last }).collect();
            let options = Options { max_label: MAX_LABEL, ascii: !unicode, room };
            self.layout = Some(layout(&nodes, &edges, &options));
            self.chosen = keep.and_then(|name| members.iter().position(|member| member.name == name)).or(Some(0));
            if self.made_of.is_none_or(|(before, ..)| before != job.view.id) {
                self.corner = (0, 0);
            }
            self.made_of = made_of;
        }
        self.members = members;
    }

    /// Keeps the chosen node on the screen.
    pub fn scroll(&mut self, room: (u16, u16)) {
        let Some(layout) = &self.layout else { return };
        let Some(place) = self.chosen.and_then(|chosen| layout.nodes.get(chosen)) else { return };
        let fit = |corner: u32, from: u32, len: u32, room: u16, all: u32| {
            let room = u32::from(room);
            let mut corner = corner.min(all.saturating_sub(room));
            if from < corner {
                corner = from;
            }
            if from + len > corner + room {
                corner = (from + len).saturating_sub(room);
            }
            corner
        };
        self.corner.0 = fit(self.corner.0, place.x, place.width.into(), room.0, layout.width);
        self.corner.1 = fit(self.corner.1, place.y, 1, room.1, layout.height);
    }
}

/// Longest label, in cells.
const MAX_LABEL: u16 = 24;
/// Cells of a mapped task's bar.
pub const BAR: usize = 5;

/// A node's label in so many cells: two for its sign, then its name and count; and whether a mapped task's bar has room in the
/// last cells. Names are cut, counts are not.
pub fn label(member: &Member, room: usize, unicode: bool) -> (String, bool) {
    let (times, dots) = if unicode { ('×', "…") } else { ('x', "..") };
    let count = match (&member.instances, member.count) {
        (Some(counts), _) if counts.total() == 0 => format!(" {times}?"),
        (Some(counts), _) => format!(" {times}{}", counts.total()),
        (None, Some((done, all))) => format!(" {done}/{all}"),
        (None, None) => String::new(),
    };
    let least = 2 + cut::width(&member.name).min(6) + cut::width(&count);
    let shows_bar = has_bar(member) && room > least + BAR;
    let rest = if shows_bar { BAR + 1 } else { 0 };
    let name = cut::middle(&member.name, room.saturating_sub(2 + cut::width(&count) + rest), dots).into_owned();
    let mut label = format!("  {name}{count}");
    // Blanks for a number that has not grown yet, so that the line before it ends where it ended, and for the bar.
    let blanks = room.min(MAX_LABEL.into()).saturating_sub(cut::width(&label));
    label.extend(std::iter::repeat_n(' ', blanks));
    (label, shows_bar)
}

/// A label that every later one has room in: a layout stays while numbers go up.
fn widest(member: &Member) -> String {
    let done = Member { count: member.count.map(|(_, all)| (all, all)), ..member.clone() };
    let bar = if has_bar(member) { " ".repeat(BAR + 1) } else { String::new() };
    label(&done, usize::from(u16::MAX), true).0.trim_end().to_owned() + &bar
}

/// Whether a bar of instances stands behind a node's label.
pub fn has_bar(member: &Member) -> bool {
    member.instances.is_some_and(|counts| counts.total() > 0)
}

/// What runs at the end comes after everything that nothing else comes after.
fn to_the_last(members: &[Member], edges: &[(usize, usize)]) -> Vec<(usize, usize)> {
    let mut is_end: Vec<bool> = members.iter().map(|member| !member.is_last).collect();
    edges.iter().filter(|(_, to)| !members[*to].is_last).for_each(|(from, _)| is_end[*from] = false);
    let ends = || (0..members.len()).filter(|node| is_end[*node]);
    let last = (0..members.len()).filter(|node| members[*node].is_last);
    last.flat_map(|last| ends().map(move |end| (end, last))).collect()
}

/// The nodes nearest to one, by edges in either direction, in the job's order.
fn around(members: &[Member], edges: &[(usize, usize)], middle: usize) -> (Vec<Member>, Vec<(usize, usize)>) {
    let mut beside: Vec<Vec<usize>> = vec![Vec::new(); members.len()];
    for (from, to) in edges {
        beside[*from].push(*to);
        beside[*to].push(*from);
    }
    let mut kept = std::collections::BTreeSet::from([middle]);
    let mut queue = std::collections::VecDeque::from([middle]);
    while let Some(node) = queue.pop_front() {
        for next in &beside[node] {
            if kept.len() < AROUND && kept.insert(*next) {
                queue.push_back(*next);
            }
        }
    }
    let places: HashMap<usize, usize> = kept.iter().enumerate().map(|(place, node)| (*node, place)).collect();
    let edges = edges.iter().filter_map(|(from, to)| Some((*places.get(from)?, *places.get(to)?))).collect();
    (kept.into_iter().map(|node| members[node].clone()).collect(), edges)
}

/// Nodes, the edges between them, and the node of each task.
fn members(job: &JobRow) -> (Vec<Member>, Vec<(usize, usize)>, Vec<usize>) {
    let mut members: Vec<Member> = Vec::new();
    let mut by_name: HashMap<&str, usize> = HashMap::new();
    let mut of_task = Vec::with_capacity(job.tasks.len());
    for (place, task) in job.tasks.iter().enumerate() {
        // Instances are one node with their mapped task, which knows all about them.
        if let Some(mapping) = u32::try_from(place).ok().and_then(|place| job.mapping_of(place)) {
            of_task.push(of_task.get(mapping as usize).copied().unwrap_or_default());
            continue;
        }
        let (name, is_one_of) = task.id.split_once('/').map_or((&*task.id, false), |(name, _)| (name, true));
        let at = *by_name.entry(name).or_insert_with(|| {
            let task_place = u32::try_from(place).unwrap_or(u32::MAX);
            let instances = task.instances().map(|known| known.counts);
            let kind = known_kind(task);
            let is_last = task.is_finally;
            members.push(Member { name: name.to_owned(), task: task_place, count: None, instances, is_last, kind });
            members.len() - 1
        });
        let member = &mut members[at];
        if is_one_of {
            let (done, all) = member.count.unwrap_or((0, 0));
            member.count = Some((done + u32::from(task.kind == TaskKind::Completed), all + 1));
            if weight(task.kind) > weight(member.kind) {
                member.kind = task.kind;
            }
        }
        of_task.push(at);
    }
    let mut edges: Vec<(usize, usize)> = Vec::new();
    for (place, task) in job.tasks.iter().enumerate() {
        let parent = (task.parent != u32::MAX).then_some(&task.parent);
        for need in task.needs.iter().chain(parent) {
            if let Some(from) = of_task.get(*need as usize)
                && *from != of_task[place]
            {
                edges.push((*from, of_task[place]));
            }
        }
    }
    edges.sort_unstable();
    edges.dedup();
    (members, edges, of_task)
}

/// The state of a task; of a mapped one that goes on, that of an instance which a person should know before that.
fn known_kind(task: &TaskRow) -> TaskKind {
    let counts = task.instances().filter(|_| task.kind == TaskKind::Mapped).map(|known| known.counts);
    let told = |kind: &TaskKind| counts.is_some_and(|counts| counts.of(*kind) > 0);
    let urgent = TaskKind::ALL.into_iter().filter(told).max_by_key(|kind| weight(*kind));
    urgent.filter(|kind| weight(*kind) > weight(task.kind)).unwrap_or(task.kind)
}

/// Which of several states a person should know.
fn weight(kind: TaskKind) -> u8 {
    match kind {
        TaskKind::AwaitingInput | TaskKind::AwaitingApproval => 7,
        TaskKind::Failed => 6,
        TaskKind::Running | TaskKind::Starting | TaskKind::Delegated | TaskKind::Mapped | TaskKind::Cancelling => 5,
        TaskKind::Held => 4,
        TaskKind::Queued => 3,
        TaskKind::Pending => 2,
        TaskKind::Cancelled | TaskKind::Skipped | TaskKind::UpstreamFailed => 1,
        TaskKind::Completed => 0,
    }
}
