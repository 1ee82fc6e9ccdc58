//! What can only be judged over all tasks: ids, needs, circles, templates.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::model::diagnostic::nearest;
use crate::model::spec::JobSpec;
use crate::model::template::{Fault, Scope, check_shell, check_text};
use crate::model::yaml::Node;

use super::read::Reader;
use super::task::Task;

pub(super) fn all(reader: &mut Reader<'_>, job: &JobSpec, env: &[(String, Node)], tasks: &[Task]) {
    let places = ids(reader, tasks);
    needs(reader, tasks, &places);
    circles(reader, tasks, &places);
    templates(reader, job, env, tasks, &places);
}

/// Places by id; an id that stands twice is a fault.
fn ids<'t>(reader: &mut Reader<'_>, tasks: &'t [Task]) -> HashMap<&'t str, usize> {
    let mut places: HashMap<&str, usize> = HashMap::with_capacity(tasks.len());
    for (place, task) in tasks.iter().enumerate().filter(|(_, task)| !task.spec.id.is_empty()) {
        if let Some(first) = places.get(task.spec.id.as_str()) {
            let line = tasks[*first].id.as_ref().map_or(tasks[*first].node.line, |id| id.line);
            let at = task.id.as_ref().unwrap_or(&task.node);
            reader.fault(at, format!("the id `{}` is taken, in line {line}", task.spec.id), "ids are unique in a job");
        } else {
            places.insert(&task.spec.id, place);
        }
    }
    places
}

fn needs(reader: &mut Reader<'_>, tasks: &[Task], places: &HashMap<&str, usize>) {
    for task in tasks {
        for (need, node) in task.spec.needs.iter().zip(&task.needs) {
            if !places.contains_key(need.as_str()) {
                let hint = match nearest(need, places.keys().copied()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name the id of a task of this job".to_owned(),
                };
                reader.fault(node, format!("there is no task `{need}`"), &hint);
            }
        }
    }
}

/// Finds circles with a stack of its own: a chain may have 100,000 links.
fn circles(reader: &mut Reader<'_>, tasks: &[Task], places: &HashMap<&str, usize>) {
    const NEW: u8 = 0;
    const OPEN: u8 = 1;
    const DONE: u8 = 2;
    let mut state = vec![NEW; tasks.len()];
    for start in 0..tasks.len() {
        if state[start] != NEW {
            continue;
        }
        let mut path = vec![(start, 0)];
        state[start] = OPEN;
        while let Some((place, next)) = path.last_mut() {
            let Some(need) = tasks[*place].spec.needs.get(*next) else {
                state[*place] = DONE;
                path.pop();
                continue;
            };
            let node = &tasks[*place].needs[*next];
            *next += 1;
            let Some(needed) = places.get(need.as_str()).copied() else { continue };
            match state[needed] {
                NEW => {
                    state[needed] = OPEN;
                    path.push((needed, 0));
                }
                OPEN => {
                    let from = path.iter().position(|(place, _)| *place == needed).unwrap_or(0);
                    let mut names: Vec<&str> = path[from..].iter().map(|(place, _)| tasks[*place].spec.id.as_str()).collect();
                    names.push(&tasks[needed].spec.id);
                    if names.len() > 12 {
                        names.splice(6..names.len() - 5, ["…"]);
                    }
                    let circle = names.join(" -> ");
                    reader.fault(node, format!("the tasks need each other in a circle: {circle}"), "take one of these needs out");
                }
                _ => {}
            }
        }
    }
}

fn templates(reader: &mut Reader<'_>, job: &JobSpec, env: &[(String, Node)], tasks: &[Task], places: &HashMap<&str, usize>) {
    let params: BTreeSet<String> = job.params.keys().cloned().collect();
    let has_template = |node: &Node| node.text().is_some_and(|text| text.contains("{{"));
    let all: BTreeSet<String> = if tasks.iter().any(|task| task.texts.iter().chain(&task.shells).any(has_template)) {
        tasks.iter().map(|task| task.spec.id.clone()).collect()
    } else {
        BTreeSet::new()
    };
    // The job's environment is seen by every task, so it can name no task's result.
    let scope = Scope { params: params.clone(), upstream: BTreeMap::new(), tasks: all.clone() };
    for (_, node) in env.iter().filter(|(_, node)| has_template(node)) {
        tell(reader, node, check_text(node.text().unwrap_or_default(), &scope));
    }
    for task in tasks.iter().filter(|task| task.texts.iter().chain(&task.shells).any(has_template)) {
        let scope = Scope { params: params.clone(), upstream: upstream(task, tasks, places), tasks: all.clone() };
        for node in task.texts.iter().filter(|node| has_template(node)) {
            tell(reader, node, check_text(node.text().unwrap_or_default(), &scope));
        }
        for node in task.shells.iter().filter(|node| has_template(node)) {
            tell(reader, node, check_shell(node.text().unwrap_or_default(), &scope));
        }
    }
}

fn tell(reader: &mut Reader<'_>, node: &Node, faults: Vec<Fault>) {
    for fault in faults {
        let (line, column) = reader.place_in(node, fault.offset);
        reader.fault_at(line, column, fault.message, &fault.hint);
    }
}

/// The tasks that a task waits for, directly or not, and whether they have a result.
fn upstream(task: &Task, tasks: &[Task], places: &HashMap<&str, usize>) -> BTreeMap<String, bool> {
    let mut found = BTreeMap::new();
    let mut work: Vec<&str> = task.spec.needs.iter().map(String::as_str).collect();
    while let Some(id) = work.pop() {
        let Some(needed) = places.get(id).map(|place| &tasks[*place]) else { continue };
        // Any task can set its result by `airx result`, but only one that declares it promises to.
        if found.insert(id.to_owned(), needed.spec.result.is_some()).is_none() {
            work.extend(needed.spec.needs.iter().map(String::as_str));
        }
    }
    found
}
