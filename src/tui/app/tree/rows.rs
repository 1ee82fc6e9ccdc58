//! Which lines the tree has: the order, the filter and what is unfolded.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use nucleo_matcher::pattern::{CaseMatching, Normalization, Pattern};
use nucleo_matcher::{Config, Matcher, Utf32Str};

use crate::model::state::{JobState, TaskKind};
use crate::tui::data::Mirror;
use crate::tui::data::mirror::JobRow;
use crate::tui::data::row::{NONE, TaskRow};

use super::{Row, Sort, Tree};

/// Deepest indentation.
const MAX_INDENT: u8 = 12;

/// All lines, in their order.
pub fn rows(tree: &Tree, mirror: &Mirror) -> Vec<Row> {
    Builder::new(tree, mirror).rows()
}

struct Builder<'a> {
    tree: &'a Tree,
    mirror: &'a Mirror,
    matcher: Matcher,
    pattern: Option<Pattern>,
    buffer: Vec<char>,
    text: String,
    /// Child jobs by the task that they do the work of, where that one's job is here.
    below: HashMap<(u32, u32), Vec<usize>>,
}

impl<'a> Builder<'a> {
    fn new(tree: &'a Tree, mirror: &'a Mirror) -> Builder<'a> {
        let words = &tree.filter.words;
        let pattern = (!words.is_empty()).then(|| Pattern::parse(words, CaseMatching::Smart, Normalization::Smart));
        let mut below: HashMap<(u32, u32), Vec<usize>> = HashMap::new();
        for (at, job) in mirror.jobs.iter().enumerate() {
            if let Some(parent) = job.view.parent.as_ref().filter(|parent| mirror.find(parent.job).is_some()) {
                below.entry((parent.job, parent.task)).or_default().push(at);
            }
        }
        let matcher = Matcher::new(Config::DEFAULT);
        Builder { tree, mirror, matcher, pattern, buffer: Vec::new(), text: String::new(), below }
    }

    fn rows(mut self) -> Vec<Row> {
        let mut order: Vec<usize> = (0..self.mirror.jobs.len()).rev().collect();
        let jobs = &self.mirror.jobs;
        match self.tree.sort {
            Sort::Newest => {}
            Sort::State => order.sort_by_key(|at| job_rank(jobs[*at].view.state)),
            Sort::Name => order.sort_by(|a, b| jobs[*a].view.name.cmp(&jobs[*b].view.name)),
            Sort::Cost => order.sort_by_key(|at| Reverse(jobs[*at].view.cost_microusd)),
        }
        let mut rows = Vec::new();
        // A filter looks for jobs and tasks wherever they are.
        let is_below = |at: &usize| {
            self.tree.filter.is_empty()
                && jobs[*at].view.parent.as_ref().is_some_and(|parent| self.below.contains_key(&(parent.job, parent.task)))
        };
        order.retain(|at| !is_below(at));
        for at in order {
            self.job(at, &mut rows);
        }
        // What is kept for every line there is should be no more than that.
        rows.shrink_to_fit();
        rows
    }

    fn job(&mut self, at: usize, rows: &mut Vec<Row>) {
        let place = u32::try_from(at).unwrap_or(NONE);
        let job = &self.mirror.jobs[at];
        let filter = &self.tree.filter;
        let head = Row { job: place, task: NONE, attempt: 0, depth: 0 };
        if filter.is_empty() {
            return self.unfold(at, 0, rows);
        }
        let matching: Vec<bool> = (0..job.tasks.len()).map(|task| self.matches(job, &job.tasks[task])).collect();
        let by_state = filter.states.is_empty() || filter.states.iter().any(|kind| job.view.tasks.of(*kind) > 0);
        let by_pool = filter.pools.is_empty();
        let is_named = by_state && by_pool && self.like(&job.view.name.to_string());
        if !is_named && !matching.contains(&true) {
            return;
        }
        rows.push(head);
        if matching.contains(&true) {
            self.tasks((place, 0), job, Some(&matching), rows);
        } else if self.tree.open.contains(&job.view.id) && self.tree.filter.states.is_empty() {
            self.tasks((place, 0), job, None, rows);
        }
    }

    /// A job, and what is unfolded of it.
    fn unfold(&self, at: usize, depth: u8, rows: &mut Vec<Row>) {
        let place = u32::try_from(at).unwrap_or(NONE);
        rows.push(Row { job: place, task: NONE, attempt: 0, depth });
        let job = &self.mirror.jobs[at];
        if self.tree.open.contains(&job.view.id) {
            self.tasks((place, depth), job, None, rows);
        }
    }

    fn tasks(&self, (place, depth): (u32, u8), job: &JobRow, only: Option<&[bool]>, rows: &mut Vec<Row>) {
        let nested = only.is_none() && self.tree.sort == Sort::Newest && job.tasks.iter().any(|task| task.parent != NONE);
        if nested {
            self.nested((place, depth), job, rows);
            return;
        }
        let mut order = Vec::new();
        let mut instances: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
        for (task, row) in (0u32..).zip(&job.tasks) {
            let Some(mapping) = job.mapping_of(task) else {
                order.extend(only.is_none_or(|only| only[task as usize]).then_some(task));
                continue;
            };
            if self.shows_instance(job, mapping, row, only) && only.is_none_or(|only| only[task as usize]) {
                instances.entry(mapping).or_default().push(task);
            }
        }
        // A mapped task stands above instances that are looked for, whether it is looked for itself or not.
        if only.is_some() {
            order.extend(instances.keys().copied());
            order.sort_unstable();
            order.dedup();
        }
        self.sort(job, &mut order);
        for task in order {
            let depth = depth.saturating_add(1).min(MAX_INDENT);
            self.task(place, job, task, depth, rows);
            let mut below = instances.remove(&task).unwrap_or_default();
            self.sort(job, &mut below);
            for instance in below {
                self.task(place, job, instance, depth.saturating_add(1).min(MAX_INDENT), rows);
            }
        }
    }

    fn sort(&self, job: &JobRow, tasks: &mut [u32]) {
        let of = |task: &u32| &job.tasks[*task as usize];
        match self.tree.sort {
            Sort::Newest => {}
            Sort::State => tasks.sort_by_key(|task| rank(of(task).kind)),
            Sort::Name => tasks.sort_by(|a, b| of(a).name().cmp(of(b).name())),
            Sort::Cost => tasks.sort_by_key(|task| Reverse(of(task).whole_cost())),
        }
        // Stable: the others keep their order.
        tasks.sort_by_key(|task| (of(task).is_gone(), !job.waits_for_person(of(task))));
    }

    /// Whether an instance has a line of its own. When it is looked for by words that its mapped task is like as well, that one's
    /// fold decides.
    fn shows_instance(&self, job: &JobRow, mapping: u32, row: &TaskRow, only: Option<&[bool]>) -> bool {
        let filter = &self.tree.filter;
        if row.is_gone() && !filter.wants_gone() {
            return false;
        }
        let is_sought = only.is_some_and(|only| filter.looks_at_states() || !only[mapping as usize]);
        is_sought || self.tree.shows_instances(job.view.id, mapping, &job.tasks[mapping as usize])
    }

    /// Tasks that were queued by a task stand below it, and instances below their mapped task.
    fn nested(&self, (place, depth): (u32, u8), job: &JobRow, rows: &mut Vec<Row>) {
        let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
        let mut roots = Vec::new();
        for (task, row) in (0u32..).zip(&job.tasks) {
            if row.parent == NONE || row.parent >= task {
                roots.push(task);
            } else if job.mapping_of(task).is_none_or(|mapping| self.shows_instance(job, mapping, row, None)) {
                children.entry(row.parent).or_default().push(task);
            }
        }
        awaiting_first(job, &mut roots, &mut children);
        let mut stack: Vec<(u32, u8)> =
            roots.into_iter().rev().map(|task| (task, depth.saturating_add(1).min(MAX_INDENT))).collect();
        while let Some((task, depth)) = stack.pop() {
            self.task(place, job, task, depth, rows);
            if let Some(below) = children.get(&task) {
                stack.extend(below.iter().rev().map(|child| (*child, depth.saturating_add(1).min(MAX_INDENT))));
            }
        }
    }

    fn task(&self, place: u32, job: &JobRow, task: u32, depth: u8, rows: &mut Vec<Row>) {
        rows.push(Row { job: place, task, attempt: 0, depth });
        if self.tree.open_tasks.contains(&(job.view.id, task)) {
            // The newest are what people look for.
            let attempts = job.tasks[task as usize].attempts;
            for attempt in (attempts.saturating_sub(99).max(1)..=attempts).rev() {
                rows.push(Row { job: place, task, attempt, depth: depth.saturating_add(1) });
            }
        }
        if !self.tree.filter.is_empty() {
            return;
        }
        // The newest child first: the others are what it replaced.
        for child in self.below.get(&(job.view.id, task)).into_iter().flatten().rev() {
            self.unfold(*child, depth.saturating_add(1).min(MAX_INDENT), rows);
        }
    }

    fn matches(&mut self, job: &JobRow, task: &TaskRow) -> bool {
        let filter = &self.tree.filter;
        if !filter.states.is_empty() && !filter.states.contains(&task.kind) {
            return false;
        }
        let own = || task.pool().or(job.spec.as_ref().map(|spec| spec.pool.as_str())).unwrap_or("local");
        if !filter.pools.is_empty() && !filter.pools.iter().any(|pool| own().starts_with(pool.as_str())) {
            return false;
        }
        if self.pattern.is_none() {
            return true;
        }
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        text.push_str(&job.view.name.name);
        text.push('/');
        text.push_str(&task.id);
        if let Some(item) = task.item() {
            text.push(' ');
            text.push_str(item);
        }
        let like = self.like(&text);
        self.text = text;
        like
    }

    fn like(&mut self, text: &str) -> bool {
        match &self.pattern {
            None => true,
            Some(pattern) => pattern.score(Utf32Str::new(text, &mut self.buffer), &mut self.matcher).is_some(),
        }
    }
}

/// What waits for a person stands before what stands beside it, with the tasks that queued it.
fn awaiting_first(job: &JobRow, roots: &mut [u32], children: &mut HashMap<u32, Vec<u32>>) {
    let mut above: HashSet<u32> = HashSet::new();
    for (task, row) in job.tasks.iter().enumerate().filter(|(_, row)| row.kind.waits_for_person()) {
        let mut next = u32::try_from(task).unwrap_or(NONE);
        let mut parent = row.parent;
        // A parent is older than its child, so this ends.
        while above.insert(next) && parent < next {
            next = parent;
            parent = job.tasks.get(next as usize).map_or(NONE, |row| row.parent);
        }
    }
    if !above.is_empty() {
        roots.sort_by_key(|task| !above.contains(task));
        children.values_mut().for_each(|below| below.sort_by_key(|task| !above.contains(task)));
    }
}

/// What waits for a person first, then what runs, then what waits for a time, then what failed, then the rest.
fn rank(kind: TaskKind) -> u8 {
    match kind {
        TaskKind::AwaitingInput | TaskKind::AwaitingApproval => 0,
        TaskKind::Running | TaskKind::Starting | TaskKind::Delegated | TaskKind::Mapped | TaskKind::Cancelling => 1,
        TaskKind::Held => 2,
        TaskKind::Failed => 3,
        TaskKind::Queued => 4,
        TaskKind::Pending => 5,
        TaskKind::UpstreamFailed => 6,
        TaskKind::Cancelled => 7,
        TaskKind::Skipped => 8,
        TaskKind::Completed => 9,
    }
}

fn job_rank(state: JobState) -> u8 {
    match state {
        JobState::Working => 0,
        JobState::Waiting => 1,
        JobState::Failed => 2,
        JobState::Cancelled => 3,
        JobState::Completed => 4,
    }
}
