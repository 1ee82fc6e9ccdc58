//! What can only be judged over all tasks: ids, needs, circles, templates.

use std::collections::HashMap;

use crate::model::diagnostic::nearest;
use crate::model::spec::JobSpec;
use crate::model::template::{Fault, Scope, check_expression, check_shell, check_text, named_tasks, tasks_of};
use crate::model::yaml::Node;

use super::read::Reader;
use super::task::Task;
use super::upstream::Upstream;

/// Tasks whose expressions are evaluated here; what is wrong with those of further ones shows at their launch.
const MAX_TRIED: usize = 1_000;

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
        if reader.is_full() {
            return;
        }
        for (need, node) in task.spec.needs.iter().zip(&task.needs) {
            if !places.contains_key(need.as_str()) {
                let hint = match nearest(need, tasks.iter().map(|task| task.spec.id.as_str())) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => "name the id of a task of this job".to_owned(),
                };
                reader.fault(node, format!("there is no task `{need}`"), &hint);
            } else if !task.spec.finally && places.get(need.as_str()).is_some_and(|place| tasks[*place].spec.finally) {
                let hint = "take it out, or put this task into `finally` too";
                reader.fault(node, format!("`{need}` runs when everything else is over: nothing else can wait for it"), hint);
            }
        }
    }
}

/// The task whose result is that of the job.
pub(super) fn result(reader: &mut Reader<'_>, node: Option<&Node>, tasks: &[Task]) {
    let Some((node, id)) = node.and_then(|node| Some((node, node.text()?))) else { return };
    let Some(task) = tasks.iter().find(|task| task.spec.id == id) else {
        let hint = match nearest(id, tasks.iter().map(|task| task.spec.id.as_str())) {
            Some(near) => format!("did you mean `{near}`?"),
            None => "name the task whose result is that of the job".to_owned(),
        };
        return reader.fault(node, format!("there is no task `{id}`"), &hint);
    };
    if task.spec.each.is_some() {
        let hint = format!("collect them in a task that needs it: result: json, and {{{{ tasks.{id}.result }}}}");
        reader.fault(node, format!("the task `{id}` has a result for each of its instances"), &hint);
    } else if let Some(hint) = task.spec.lacks_result() {
        reader.fault(node, format!("the task `{id}` has no result"), &hint);
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
    let has_template = |node: &Node| node.text().is_some_and(|text| text.contains("{{"));
    // A parameter without a value is a fault of its own.
    let values = job.params.iter().filter(|(_, value)| !value.is_null()).map(|(name, value)| (name.clone(), value.clone()));
    let mut scope = Scope { params: job.params.keys().cloned().collect(), values: values.collect(), ..Scope::default() };
    for (_, node) in env.iter().filter(|(_, node)| has_template(node)) {
        let text = node.text().unwrap_or_default();
        if named_tasks(text).is_empty() {
            tell(reader, node, check_text(text, &scope));
        } else {
            let hint = "put it into the `env` of the tasks that need it";
            reader.fault(node, "the job's `env` is there before any task, so it can hold no result".to_owned(), hint);
        }
    }
    let is_decided = |task: &&Task| !task.deciding.expressions.is_empty();
    let with_templates =
        || tasks.iter().filter(|task| task.texts.iter().chain(&task.shells).any(has_template) || is_decided(task));
    if with_templates().next().is_some() {
        scope.tasks = tasks.iter().map(|task| task.spec.id.clone()).collect();
    }
    let mut upstream = Upstream::new(tasks, places);
    for (count, task) in with_templates().enumerate() {
        if reader.is_full() {
            return;
        }
        if count == MAX_TRIED {
            scope.values.clear();
        }
        let named = task.texts.iter().chain(&task.shells).filter_map(Node::text).flat_map(named_tasks);
        let deciding = task.deciding.expressions.iter().flat_map(|(_, source)| tasks_of(source));
        scope.upstream = upstream.among(task, named.chain(deciding).collect());
        (scope.item, scope.gate) = (None, false);
        for (node, source) in &task.deciding.expressions {
            tell(reader, node, check_expression(source, &scope).into_iter().collect());
        }
        scope.gate = task.spec.accept.is_some();
        scope.item = task.spec.each.is_some().then(|| task.deciding.axes.as_ref().map(|axes| axes.iter().cloned().collect()));
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
