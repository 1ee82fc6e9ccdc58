//! `airx tasks`: the tasks of a job, the instances of a mapped task beneath it.

use std::collections::HashMap;
use std::fmt::Display;

use serde_json::Value;

use crate::api::client::Client;
use crate::model::ids::Address;
use crate::model::message::{Answer, Query, TaskDetail, TaskView};
use crate::model::spec::TaskSpec;
use crate::model::state::{Counts, TaskKind, TaskState};

use super::args::{Format, TasksArgs};
use super::context::{Context, Failure};
use super::print::{self, Cell, Ink, Printer, cell};
use super::read::{all_tasks, now, printer_of, reason, unexpected};

/// Of a mapped task of more instances than this only those that a person may have to look at are listed.
const FEW: usize = 50;
/// Most of those.
const MOST: usize = 100;

pub(super) fn tasks(context: &Context, args: &TasksArgs) -> Result<(), Failure> {
    let mut client = context.reader()?;
    let address = super::address(&args.target)?;
    let tasks = listed(client.as_mut(), &address)?;
    let text = match context.global.output {
        Format::Json => print::value(context.global.output, &tasks),
        Format::Jsonl => tasks.iter().map(print::json_line).collect(),
        Format::Plain => print::plain(&plain_rows(&context.printer, &tasks)),
        Format::Table => {
            let all = args.all || address.task.is_some();
            table(&printer_of(context, client.as_mut()), &address.job, &tasks, all)
        }
    };
    print::out(&text);
    Ok(())
}

/// All tasks of a job; of a task itself, and its instances.
fn listed(client: &mut dyn Client, address: &Address) -> Result<Vec<TaskView>, Failure> {
    let Some(id) = &address.task else { return Ok(all_tasks(client, &address.job)?) };
    let Answer::Task(detail) = client.query(Query::Task { task: address.clone() })?.body else { return Err(unexpected()) };
    let mut tasks = vec![detail.task];
    if tasks[0].mapping.is_some() {
        tasks.extend(instances(client, address, id)?);
    }
    Ok(tasks)
}

/// The instances of a mapped task.
pub(super) fn instances(client: &mut dyn Client, address: &Address, mapping: &str) -> Result<Vec<TaskView>, Failure> {
    let tasks = all_tasks(client, &address.job)?.into_iter();
    Ok(tasks.filter(|task| task.parent.as_deref() == Some(mapping)).collect())
}

/// A table for people.
pub(super) fn table(printer: &Printer, job: &dyn Display, tasks: &[TaskView], all: bool) -> String {
    let mappings: HashMap<&str, &TaskView> =
        tasks.iter().filter(|task| task.mapping.is_some()).map(|task| (task.id.as_str(), task)).collect();
    let of = |task: &TaskView| task.parent.as_deref().filter(|parent| mappings.contains_key(parent)).map(str::to_owned);
    let mut below: HashMap<String, Vec<&TaskView>> = HashMap::new();
    for task in tasks {
        if let Some(parent) = of(task) {
            below.entry(parent).or_default().push(task);
        }
    }
    let mut rows = Vec::new();
    for task in tasks.iter().filter(|task| of(task).is_none()) {
        let instances = below.remove(&task.id).unwrap_or_default();
        rows.push(row(printer, task, &instances));
        let (shown, hidden) = if all { (instances, Vec::new()) } else { chosen(instances) };
        rows.extend(shown.iter().map(|instance| row(printer, instance, &[])));
        if !hidden.is_empty() {
            rows.push(rest(job, &task.id, &hidden));
        }
    }
    if rows.iter().all(|row| row[2].text.is_empty()) {
        rows.iter_mut().for_each(|row| drop(row.remove(2)));
        return print::table(printer, &["", "task", "state", "try", "time", "cost", "why"], &rows);
    }
    print::table(printer, &["", "task", "item", "state", "try", "time", "cost", "why"], &rows)
}

/// Instances that are listed, and those that are only counted.
fn chosen(instances: Vec<&TaskView>) -> (Vec<&TaskView>, Vec<&TaskView>) {
    if instances.len() <= FEW {
        return (instances, Vec::new());
    }
    let mut room = MOST;
    instances.into_iter().partition(|task| {
        let is_chosen = room > 0 && matters(task.state.kind());
        room -= usize::from(is_chosen);
        is_chosen
    })
}

/// Whether a person may have to look at an instance in this state.
fn matters(kind: TaskKind) -> bool {
    use TaskKind::{AwaitingApproval, AwaitingInput, Cancelling, Delegated, Failed, Held, Running, Starting};
    matches!(kind, Starting | Running | Cancelling | AwaitingInput | AwaitingApproval | Delegated | Failed | Held)
}

fn rest(job: &dyn Display, mapping: &str, hidden: &[&TaskView]) -> Vec<Cell> {
    let mut counts = Counts::default();
    hidden.iter().for_each(|task| counts.add(task.state.kind()));
    let text = format!("{} more ({}); `airx tasks {job}/{mapping}` lists them", grouped(counts.total()), words(&counts));
    let dots = cell("  …", Ink::Dim);
    let none = || Cell::from(String::new());
    vec![none(), dots, none(), none(), none(), none(), none(), cell(text, Ink::Dim)]
}

/// `completed 9,940, queued 10`.
fn words(counts: &Counts) -> String {
    let known = TaskKind::ALL.into_iter().filter(|kind| counts.of(*kind) > 0);
    known.map(|kind| format!("{} {}", kind.word(), grouped(counts.of(kind)))).collect::<Vec<_>>().join(", ")
}

/// A number with its thousands apart.
pub(super) fn grouped(number: u32) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Sign, id, item, state, attempts, time, cost and why.
fn row(printer: &Printer, task: &TaskView, instances: &[&TaskView]) -> Vec<Cell> {
    let (sign, ink) = printer.task_sign(task.state.kind());
    let time = match (&task.state, task.elapsed_ms, task.started) {
        (TaskState::Running { .. } | TaskState::AwaitingInput { .. } | TaskState::Cancelling { .. }, _, Some(started)) => {
            print::duration(now().since(started))
        }
        (_, Some(elapsed), _) => print::duration(elapsed),
        _ => String::new(),
    };
    let tries = if task.attempts > 0 { task.attempts.to_string() } else { String::new() };
    let is_instance = task.mapping.is_none() && task.item.is_some();
    let counts = task.instances.unwrap_or_default();
    let (item, counted) = match (&task.item, counts.total()) {
        (Some(item), _) => (print::harmless(item, 60), String::new()),
        (None, 0) => (String::new(), String::new()),
        (None, all) => {
            let done = counts.of(TaskKind::Completed);
            let fraction = format!("{}/{}", grouped(done), grouped(all));
            (fraction, if done == all { String::new() } else { words(&counts) })
        }
    };
    let why = match reason(task) {
        why if why.is_empty() => counted,
        why => print::harmless(&why, 200),
    };
    let cost = instances.iter().fold(task.cost_microusd, |sum, instance| sum.saturating_add(instance.cost_microusd));
    vec![
        cell(sign, ink),
        cell(if is_instance { format!("  {}", task.id) } else { task.id.clone() }, Ink::Bold),
        item.into(),
        cell(task.state.kind().word(), ink),
        tries.into(),
        time.into(),
        printer.money(cost).into(),
        cell(why, Ink::Dim),
    ]
}

/// For programs: every task, in the order of the job; the item of an instance comes last.
pub(super) fn plain_rows(printer: &Printer, tasks: &[TaskView]) -> Vec<Vec<Cell>> {
    let one = |task: &TaskView| {
        let mut row = row(printer, task, &[]);
        let item = row.remove(2);
        row[1] = cell(task.id.clone(), Ink::Bold);
        row.extend(task.item.is_some().then_some(item));
        row
    };
    tasks.iter().map(one).collect()
}

/// What a task in full says of its mapping, in lines.
pub(super) fn of_mapping(detail: &TaskDetail) -> String {
    let task = &detail.task;
    let parent = task.parent.as_deref();
    let mut text = String::new();
    if let (Some(item), Some(parent)) = (&task.item, parent) {
        let index = task.id.rsplit_once('/').map_or("", |(_, index)| index);
        text.push_str(&format!("instance {index} of {}/{parent}\n", detail.job));
        match &detail.item {
            Some(value @ (Value::Object(_) | Value::Array(_))) => {
                let json = serde_json::to_string_pretty(value).unwrap_or_default();
                text.push_str(&format!("item\n{}\n", print::tame(&json)));
            }
            Some(Value::String(whole)) => text.push_str(&format!("item {}\n", print::harmless(whole, 4_000))),
            _ => text.push_str(&format!("item {}\n", print::harmless(item, 4_000))),
        }
    } else if let Some(parent) = parent {
        text.push_str(&format!("queued by {parent}\n"));
    }
    if let Some(counts) = &task.instances {
        text.push_str(&format!("{} instances: {}\n", grouped(counts.total()), words(counts)));
        text.push_str(&format!("to list them: airx tasks {}/{}\n", detail.job, task.id));
    }
    text
}

/// A definition with the words of the job file.
pub(super) fn definition(spec: &TaskSpec) -> Value {
    let mut value = serde_json::to_value(spec).unwrap_or_default();
    if let (Some(child), Some(keys)) = (spec.child(), value.as_object_mut()) {
        keys.remove("action");
        keys.insert("job".to_owned(), serde_json::json!({ "file": child.file, "params": child.params }));
    }
    if let (Some(each), Some(keys)) = (&spec.each, value.as_object_mut()) {
        keys.remove("each");
        keys.insert(each.over.key().to_owned(), each.over.written());
        if let Some(most) = each.max_parallel {
            keys.insert("max_parallel".to_owned(), most.into());
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::When;

    fn view(id: &str, state: Value, more: Value) -> TaskView {
        let mut value =
            serde_json::json!({ "idx": 0, "id": id, "state": state, "attempts": 0, "updated": 0, "cost_microusd": 0 });
        value.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(value).unwrap()
    }

    fn large(count: u32) -> Vec<TaskView> {
        let counts = serde_json::json!({ "completed": count - 3, "failed": 1, "queued": 2 });
        let state = serde_json::json!({ "state": "mapped", "instances": count });
        let mut tasks = vec![
            view("fix", state, serde_json::json!({ "mapping": {}, "instances": counts })),
            view("test", "pending".into_state(), serde_json::json!({ "why": "needs fix" })),
        ];
        for number in 0..count {
            let word = match number {
                0 => "failed",
                1 | 2 => "queued",
                _ => "completed",
            };
            let item = serde_json::json!({ "parent": "fix", "item": format!("src/{number}.rs"), "cost_microusd": 10_000 });
            tasks.push(view(&format!("fix/{number}"), word.into_state(), item));
        }
        tasks
    }

    trait IntoState {
        fn into_state(self) -> Value;
    }

    impl IntoState for &str {
        fn into_state(self) -> Value {
            serde_json::json!({ "state": self })
        }
    }

    #[test]
    fn instances_stand_beneath_their_mapped_task_and_of_many_only_those_that_matter() {
        let printer = Printer::new(Format::Table, When::Never, false, |_| None);
        let few = table(&printer, &"m.1", &large(5), false);
        let names: Vec<&str> = few.lines().skip(1).filter_map(|line| line.split_whitespace().nth(1)).collect();
        assert_eq!(names, ["fix", "fix/0", "fix/1", "fix/2", "fix/3", "fix/4", "test"], "{few}");
        assert!(few.contains("2/5") && few.contains("src/0.rs") && few.contains("$0.05"), "{few}");
        let many = table(&printer, &"m.1", &large(2_000), false);
        assert_eq!(many.lines().count(), 5, "{many}");
        assert!(many.contains("1,997/2,000") && many.contains("  fix/0"), "{many}");
        assert!(many.contains("1,999 more (queued 2, completed 1,997); `airx tasks m.1/fix` lists them"), "{many}");
        assert_eq!(table(&printer, &"m.1", &large(2_000), true).lines().count(), 2_003);
        assert_eq!(plain_rows(&printer, &large(2_000)).len(), 2_002, "programs are told of all");
    }

    #[test]
    fn a_job_without_mappings_has_no_column_of_items() {
        let printer = Printer::new(Format::Table, When::Never, false, |_| None);
        let text = table(&printer, &"m.1", &[view("a", "queued".into_state(), serde_json::json!({}))], false);
        assert!(!text.contains("ITEM"), "{text}");
    }
}
