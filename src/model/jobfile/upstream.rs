//! Whose results a task may use: those of the tasks it waits for, directly or not. Asked for the named ones only, since a
//! job may be a chain of 100,000 tasks.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};

use super::task::Task;

/// Tasks that are looked at before a needed one is expected to be far away.
const NEAR: usize = 1_000;
/// Answers that are kept; each may name every task.
const KEPT: usize = 64;

/// Answers which tasks another one waits for.
pub(super) struct Upstream<'t> {
    tasks: &'t [Task],
    places: &'t HashMap<&'t str, usize>,
    /// By place: who needs it. Made when it is first asked for.
    needed_by: Option<Vec<Vec<usize>>>,
    /// By place of a task that was asked for: who waits for it.
    waiting: HashMap<usize, HashSet<usize>>,
}

impl<'t> Upstream<'t> {
    pub fn new(tasks: &'t [Task], places: &'t HashMap<&'t str, usize>) -> Upstream<'t> {
        Upstream { tasks, places, needed_by: None, waiting: HashMap::new() }
    }

    /// Those of `named` that `task` waits for, and of those without a result what would give them one.
    pub fn among(&mut self, task: &Task, named: BTreeSet<&str>) -> BTreeMap<String, Option<String>> {
        let mut missing: BTreeSet<usize> = named.into_iter().filter_map(|id| self.places.get(id).copied()).collect();
        let wanted = missing.clone();
        // What runs at the end comes after all that does not.
        missing.retain(|named| !task.spec.finally || self.tasks[*named].spec.finally);
        // A repeated id is a fault of its own; the first one stands for it.
        let own = self.places.get(task.spec.id.as_str()).copied();
        missing.retain(|named| !own.is_some_and(|own| self.waiting.get(named).is_some_and(|waiting| waiting.contains(&own))));
        if !self.search_near(task, &mut missing) {
            missing.retain(|far| !own.is_some_and(|own| self.waiting_for(*far).contains(&own)));
        }
        let found = wanted.difference(&missing).map(|place| &self.tasks[*place].spec);
        // Any task can set its result by `airx result`, but only one that declares it promises to.
        found.map(|spec| (spec.id.clone(), spec.lacks_result())).collect()
    }

    /// Takes what it meets out of `missing`; true when nothing is missing or everything upstream was looked at.
    fn search_near(&self, task: &Task, missing: &mut BTreeSet<usize>) -> bool {
        let mut seen = HashSet::new();
        let mut work: VecDeque<&Task> = VecDeque::from([task]);
        while let Some(task) = work.pop_front() {
            for place in task.spec.needs.iter().filter_map(|need| self.places.get(need.as_str()).copied()) {
                if missing.is_empty() {
                    return true;
                }
                if seen.insert(place) {
                    missing.remove(&place);
                    work.push_back(&self.tasks[place]);
                }
            }
            if seen.len() > NEAR {
                return missing.is_empty();
            }
        }
        true
    }

    fn waiting_for(&mut self, place: usize) -> &HashSet<usize> {
        let (tasks, places) = (self.tasks, self.places);
        let needed_by = self.needed_by.get_or_insert_with(|| {
            let mut needed_by = vec![Vec::new(); tasks.len()];
            for (by, task) in tasks.iter().enumerate() {
                for need in task.spec.needs.iter().filter_map(|need| places.get(need.as_str())) {
                    needed_by[*need].push(by);
                }
            }
            needed_by
        });
        if self.waiting.len() >= KEPT && !self.waiting.contains_key(&place) {
            self.waiting.clear();
        }
        self.waiting.entry(place).or_insert_with(|| {
            let mut waiting = HashSet::new();
            let mut work = vec![place];
            while let Some(place) = work.pop() {
                work.extend(needed_by[place].iter().copied().filter(|by| waiting.insert(*by)));
            }
            waiting
        })
    }
}
