//! The rules of graphs, as a fold of its own over the journal: when a task may start, what becomes of mapped tasks, what runs
//! at the end. Written apart from the core, and without its counters: everything is looked up anew.

use std::collections::BTreeMap;
use std::sync::Arc;

use airx::model::change::{Change, Event, TaskResult};
use airx::model::core::{Launch, SeenResult};
use airx::model::decide::{Decision, decide};
use airx::model::ids::JobId;
use airx::model::spec::{Items, Mapping, Rule, TaskSpec};
use airx::model::state::{SkipReason, TaskState};
use airx::model::template::Context;
use serde_json::json;

use crate::dice::Dice;

/// What the journal says of the graphs.
#[derive(Default)]
pub struct Graph {
    jobs: BTreeMap<JobId, Vec<Node>>,
}

struct Node {
    spec: Arc<TaskSpec>,
    state: TaskState,
    /// Of an instance: its mapped task, and its place.
    instance: Option<(usize, usize)>,
    /// Of a mapped task: how long its list is.
    items: Option<usize>,
}

/// Gives a random task a place in its graph.
pub fn shape(dice: &mut Dice, task: TaskSpec, before: u64) -> TaskSpec {
    let rule =
        if dice.chance(500) { Rule::AllSuccess } else { dice.pick(&Rule::WORDS).map_or(Rule::AllSuccess, |(_, rule)| *rule) };
    let needless = task.needs.is_empty() && matches!(rule, Rule::OneSuccess | Rule::OneFailed);
    let one = task.needs.first().cloned();
    let when = dice.chance(200).then(|| match (dice.below(4), &one) {
        (0, _) => "false".to_owned(),
        (1, Some(need)) => format!("tasks.{need}.state == 'completed'"),
        (2, Some(need)) => format!("tasks.{need}.result"),
        _ => "1 < 2".to_owned(),
    });
    let each = dice.chance(250).then(|| {
        let over = match (dice.below(5), &one) {
            (0, Some(need)) if before > 0 => Items::From(format!("tasks.{need}.result")),
            (1, _) => Items::From("[1, 2, 3] if job.name else []".to_owned()),
            _ => Items::List((0..dice.below(5)).map(|n| json!(n)).collect()),
        };
        Mapping { over, max_parallel: dice.chance(500).then(|| 1 + dice.below(2) as u32) }
    });
    TaskSpec { rule: if needless { Rule::AllSuccess } else { rule }, when, each, ..task }
}

/// What a task's expressions say, as the shell would evaluate them.
pub fn decided(launch: &Launch) -> Decision {
    let mut context = Context { job: launch.name.to_string(), item: launch.item.clone(), ..Context::default() };
    let value = |result: &TaskResult| match result {
        TaskResult::Inline(value) => value.as_ref().clone(),
        TaskResult::File { .. } => json!(null),
    };
    for (task, seen) in &launch.seen {
        context.states.insert(task.clone(), seen.state.word().to_owned());
        let result = match &seen.result {
            SeenResult::One(result) => result.as_ref().map(value),
            SeenResult::Many(all) => Some(all.iter().map(|result| result.as_ref().map_or(json!(null), value)).collect()),
        };
        context.results.extend(result.map(|result| (task.clone(), result)));
    }
    decide(&launch.task, &context)
}

impl Graph {
    /// Takes the next event in.
    pub fn take(&mut self, event: &Event) -> Result<(), String> {
        let (job, task) = match (event.change.job(), event.change.task()) {
            (Some(job), Some(task)) => (job, task.0 as usize),
            (Some(job), None) => {
                self.jobs.entry(job).or_default();
                return Ok(());
            }
            _ => return Ok(()),
        };
        let nodes = self.jobs.entry(job).or_default();
        match &event.change {
            Change::TaskAdded { spec, state, .. } => {
                nodes.push(Node { spec: spec.clone(), state: state.clone(), instance: None, items: None });
            }
            Change::TaskExpanded { items, .. } => return expand(nodes, task, items.len()).map_err(|why| at(job, task, why)),
            Change::TaskMoved { state: TaskState::Pending, .. } | Change::TaskRequeued { state: TaskState::Pending, .. }
                if nodes[task].items.is_some() =>
            {
                let_go(nodes, task).map_err(|why| at(job, task, why))?;
                nodes[task].state = TaskState::Pending;
            }
            Change::TaskMoved { state, .. } => {
                judge(nodes, task, state).map_err(|why| at(job, task, why))?;
                nodes[task].state = state.clone();
            }
            Change::TaskRequeued { state, .. } | Change::AttemptClosed { state, .. } | Change::TaskEnded { state, .. } => {
                if let Change::TaskEnded { .. } = &event.change {
                    ended(nodes, task, state).map_err(|why| at(job, task, why))?;
                }
                nodes[task].state = state.clone();
            }
            Change::AttemptOpened { attempt, .. } => {
                let node = &nodes[task];
                if node.spec.each.is_some() && node.instance.is_none() {
                    return Err(at(job, task, "a mapped task has no attempt of its own".to_owned()));
                }
                nodes[task].state = TaskState::Starting { attempt: attempt.number };
                room(nodes, task).map_err(|why| at(job, task, why))?;
            }
            Change::AttemptStarted { attempt } => {
                if let TaskState::Starting { .. } = nodes[task].state {
                    nodes[task].state = TaskState::Running { attempt: attempt.number };
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// In the end every task is accounted for.
    pub fn check_end(&self) -> Result<(), String> {
        for (job, nodes) in &self.jobs {
            for (task, node) in nodes.iter().enumerate() {
                if !node.state.is_terminal() {
                    return Err(at(*job, task, format!("every task comes to an end: this one is {:?}", node.state)));
                }
                let Some(items) = node.items else { continue };
                let tally = |wanted: fn(&TaskState) -> bool| {
                    let current =
                        nodes.iter().filter(|of| of.instance.is_some_and(|(parent, place)| parent == task && place < items));
                    current.filter(|of| wanted(&of.state)).count()
                };
                let failed = tally(|state| matches!(state, TaskState::Failed | TaskState::UpstreamFailed));
                if node.state == TaskState::Completed && failed > 0 {
                    return Err(at(*job, task, format!("it is completed with {failed} failed instances")));
                }
                if node.state == TaskState::Completed && tally(|state| *state == TaskState::Cancelled) > 0 {
                    return Err(at(*job, task, "it is completed with cancelled instances".to_owned()));
                }
            }
        }
        Ok(())
    }
}

fn at(job: JobId, task: usize, why: String) -> String {
    format!("graph: {why} (job {job}, task {task})")
}

/// A list begins only when nothing of the one before goes on.
fn expand(nodes: &mut Vec<Node>, task: usize, items: usize) -> Result<(), String> {
    if nodes[task].state != TaskState::Queued {
        return Err(format!("a list is taken by a queued task only, not by one that is {:?}", nodes[task].state));
    }
    let known: Vec<usize> = (0..nodes.len()).filter(|of| nodes[*of].instance.is_some_and(|(parent, _)| parent == task)).collect();
    if known.iter().any(|of| !nodes[*of].state.is_terminal()) {
        return Err("a new list while instances of the old one go on".to_owned());
    }
    for (place, of) in known.iter().enumerate() {
        nodes[*of].state = if place < items { TaskState::Queued } else { TaskState::Skipped { why: SkipReason::Gone } };
    }
    for place in known.len()..items {
        let spec = nodes[task].spec.clone();
        nodes.push(Node { spec, state: TaskState::Queued, instance: Some((task, place)), items: None });
    }
    nodes[task].items = Some(items);
    nodes[task].state = match items {
        0 => TaskState::Skipped { why: SkipReason::Empty },
        instances => TaskState::Mapped { instances: instances as u32 },
    };
    Ok(())
}

/// Of a mapped task that is pending again nothing of the old list stands any more, and nothing of it goes on.
fn let_go(nodes: &mut [Node], task: usize) -> Result<(), String> {
    let of: Vec<usize> = (0..nodes.len()).filter(|of| nodes[*of].instance.is_some_and(|(parent, _)| parent == task)).collect();
    for of in of {
        if !nodes[of].state.is_terminal() {
            return Err("a mapped task begins anew while instances go on".to_owned());
        }
        nodes[of].state = TaskState::Skipped { why: SkipReason::Gone };
    }
    nodes[task].items = Some(0);
    Ok(())
}

/// A mapping keeps its `max_parallel`.
fn room(nodes: &[Node], task: usize) -> Result<(), String> {
    let Some((parent, _)) = nodes[task].instance else { return Ok(()) };
    let Some(most) = nodes[parent].spec.each.as_ref().and_then(|each| each.max_parallel) else { return Ok(()) };
    let live = nodes.iter().filter(|of| of.instance.is_some_and(|(of, _)| of == parent) && of.state.live_attempt().is_some());
    let live = live.count();
    if live > most as usize { Err(format!("{live} instances live, and max_parallel is {most}")) } else { Ok(()) }
}

/// A mapped task ends with its last instance.
fn ended(nodes: &[Node], task: usize, state: &TaskState) -> Result<(), String> {
    let TaskState::Mapped { .. } = nodes[task].state else { return Ok(()) };
    let items = nodes[task].items.unwrap_or(0);
    let mut current = nodes.iter().filter(|of| of.instance.is_some_and(|(parent, place)| parent == task && place < items));
    if current.any(|of| !of.state.is_terminal()) {
        return Err(format!("a mapped task is {state:?} while instances go on"));
    }
    Ok(())
}

/// What a pending task becomes follows from its rule.
fn judge(nodes: &[Node], task: usize, to: &TaskState) -> Result<(), String> {
    let node = &nodes[task];
    if node.state != TaskState::Pending || node.instance.is_some() {
        return Ok(());
    }
    let needed: Vec<&Node> =
        node.spec.needs.iter().filter_map(|need| nodes.iter().find(|of| of.instance.is_none() && of.spec.id == *need)).collect();
    let says = says(nodes, node, &needed);
    let fits = match to {
        TaskState::Queued => says == Says::Start,
        TaskState::UpstreamFailed => says == Says::GiveUp,
        TaskState::Skipped { why: SkipReason::Rule } => says == Says::Skip,
        // A person, a stop, or what it needs runs again.
        _ => true,
    };
    let states: Vec<&TaskState> = needed.iter().map(|need| &need.state).collect();
    if fits { Ok(()) } else { Err(format!("its rule {:?} over {states:?} says {says:?}, and it became {to:?}", node.spec.rule)) }
}

#[derive(Debug, PartialEq)]
enum Says {
    Wait,
    Start,
    Skip,
    GiveUp,
}

fn says(nodes: &[Node], node: &Node, needed: &[&Node]) -> Says {
    if node.spec.finally && nodes.iter().any(|of| !of.spec.finally && !of.state.is_terminal()) {
        return Says::Wait;
    }
    let count = |wanted: fn(&TaskState) -> bool| needed.iter().filter(|need| wanted(&need.state)).count();
    // Of a mapped task each instance counts for the rules that do not wait for all.
    let any = |wanted: fn(&TaskState) -> bool| {
        let of_mapped = nodes.iter().filter(|of| {
            let parent = of.instance.filter(|(parent, place)| nodes[*parent].items.is_some_and(|items| *place < items));
            parent.is_some_and(|(parent, _)| needed.iter().any(|need| std::ptr::eq(*need, &nodes[parent])))
        });
        count(wanted) > 0 || of_mapped.into_iter().any(|of| wanted(&of.state))
    };
    let completed = |state: &TaskState| *state == TaskState::Completed;
    let failed = |state: &TaskState| matches!(state, TaskState::Failed | TaskState::UpstreamFailed);
    let is_over = count(TaskState::is_terminal) == needed.len();
    let broken = count(failed) + count(|state| *state == TaskState::Cancelled);
    match node.spec.rule {
        Rule::AllSuccess | Rule::NoneFailed if broken > 0 => Says::GiveUp,
        Rule::OneSuccess if any(completed) => Says::Start,
        Rule::OneFailed if any(failed) => Says::Start,
        _ if !is_over => Says::Wait,
        Rule::AllSuccess if count(|state| matches!(state, TaskState::Skipped { .. })) > 0 => Says::Skip,
        Rule::OneSuccess if broken > 0 => Says::GiveUp,
        Rule::OneSuccess | Rule::OneFailed => Says::Skip,
        _ => Says::Start,
    }
}
