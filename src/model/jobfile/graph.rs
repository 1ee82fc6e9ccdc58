//! What of a task shapes its job's graph: `rule`, `if`, `for_each`, `matrix`, `max_parallel`, and the job's `finally`.

use crate::model::spec::{Items, MAX_TASKS, Mapping, Rule, TaskDefaults};
use crate::model::yaml::{Node, Value};

use super::read::{Fields, Reader};
use super::task::{self, Task};

/// Lists that one matrix may multiply.
const MAX_AXES: usize = 10;

/// Where the expressions of a task stand that decide what it does.
#[derive(Default)]
pub(super) struct Deciding {
    /// `if`, and lists to map over.
    pub expressions: Vec<(Node, String)>,
    /// The names of a matrix, when there is one.
    pub axes: Option<Vec<String>>,
}

/// Reads the keys that shape the graph.
pub(super) fn shape(reader: &mut Reader<'_>, fields: &Fields<'_>, task: &mut Task) {
    if let Some(node) = fields.get("rule") {
        task.spec.rule = reader.one_of(node, &Rule::WORDS).unwrap_or_default();
        if task.spec.needs.is_empty() && matches!(task.spec.rule, Rule::OneSuccess | Rule::OneFailed) {
            let hint = "name in `needs` what the rule is about, or take the rule out";
            reader.fault(node, format!("`{}` can never hold: the task needs no other", task.spec.rule.word()), hint);
        }
    }
    if let Some(node) = fields.get("if") {
        task.spec.when = expression(reader, node, "if").inspect(|source| {
            task.deciding.expressions.push((node.clone(), source.clone()));
        });
    }
    let over = match (fields.get("for_each"), fields.get("matrix")) {
        (Some(_), Some(_)) => {
            let key = fields.key("matrix").or(fields.key("for_each"));
            let hint = "a matrix is the product of lists; with one list write for_each";
            key.iter().for_each(|key| reader.fault(key, "the task has for_each and matrix at once".to_owned(), hint));
            None
        }
        (Some(node), None) => items(reader, node, "for_each", task),
        (None, Some(node)) => matrix(reader, node, task),
        (None, None) => None,
    };
    let max_parallel = fields.get("max_parallel").and_then(|node| reader.whole(node, 1, 10_000));
    if let (Some(key), None) = (fields.key("max_parallel"), fields.get("for_each").or(fields.get("matrix"))) {
        let hint = "of a task it bounds the instances of for_each or matrix; for the whole job write it beside `name`";
        reader.fault(key, "`max_parallel` belongs to for_each".to_owned(), hint);
    }
    let max_parallel = max_parallel.and_then(|most| u32::try_from(most).ok());
    task.spec.each = over.map(|over| Mapping { over, max_parallel });
}

/// The tasks of the job's `finally`.
pub(super) fn finally(reader: &mut Reader<'_>, node: &Node, defaults: &TaskDefaults) -> Vec<Task> {
    let items = reader.list(node, "finally").unwrap_or_default();
    let mut tasks: Vec<Task> = items.iter().filter_map(|item| task::task(reader, item, defaults)).collect();
    for task in &mut tasks {
        task.spec.finally = true;
        // It runs whatever happened, unless it says that something has to have happened.
        if !task.has_rule {
            task.spec.rule = Rule::AllDone;
        }
    }
    tasks
}

/// An expression that stands for itself; `{{` and `}}` around it are welcome and mean nothing.
fn expression(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<String> {
    let text = reader.text(node)?;
    let bare = text.trim();
    let inner = bare.strip_prefix("{{").and_then(|rest| rest.strip_suffix("}}")).map_or(bare, str::trim);
    if inner.is_empty() {
        reader.fault(node, format!("`{what}` says nothing"), "write an expression, such as params.env == 'prod'");
        return None;
    }
    if inner.contains("{{") || inner.contains("}}") {
        let hint = "write the whole of it as one expression: params.env == 'prod' and tasks.test.result == 'ok'";
        reader.fault(node, format!("`{what}` is one expression, not a text with expressions in it"), hint);
        return None;
    }
    Some(inner.to_owned())
}

fn items(reader: &mut Reader<'_>, node: &Node, what: &str, task: &mut Task) -> Option<Items> {
    match &node.value {
        Value::List(items) => {
            if items.len() > MAX_TASKS {
                let hint = "split the list, or have each instance work on several";
                reader.fault(&items[MAX_TASKS], format!("{what} has {} items, more than 100,000", items.len()), hint);
                return None;
            }
            items.iter().for_each(|item| reader.literal(item, what));
            Some(Items::List(items.iter().map(Node::to_json).collect()))
        }
        Value::Map(_) => {
            reader.fault(
                node,
                format!("{what} is {}, not a list", node.kind()),
                "write a list, an expression whose value is one, or matrix",
            );
            None
        }
        _ => {
            let source = expression(reader, node, what)?;
            task.deciding.expressions.push((node.clone(), source.clone()));
            Some(Items::From(source))
        }
    }
}

fn matrix(reader: &mut Reader<'_>, node: &Node, task: &mut Task) -> Option<Items> {
    if !matches!(node.value, Value::Map(_)) {
        reader.fault(node, format!("matrix is {}, not a mapping", node.kind()), "write NAME: [a, b] lines");
        return None;
    }
    let entries = reader.entries(node, "matrix");
    if entries.is_empty() || entries.len() > MAX_AXES {
        reader.fault(node, format!("the matrix has {} lists", entries.len()), &format!("it has 1 to {MAX_AXES}"));
    }
    let (mut axes, mut product) = (Vec::new(), 1usize);
    for (key, value) in entries {
        let Some(name) = reader.text(key) else { continue };
        let is_name = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        if !is_name || name.as_bytes()[0].is_ascii_digit() {
            let hint = "use letters, digits and `_`, not beginning with a digit: expressions name it as item.NAME";
            reader.fault(key, format!("`{name}` cannot name a list of the matrix"), hint);
        }
        let Some(items) = items(reader, value, &format!("matrix.{name}"), task) else { continue };
        if let Items::List(items) = &items {
            product = product.saturating_mul(items.len());
        }
        axes.push((name, items));
    }
    if product > MAX_TASKS {
        reader.fault(
            node,
            format!("the matrix has {product} combinations, more than 100,000"),
            "make its lists shorter, or split it",
        );
    }
    task.deciding.axes = Some(axes.iter().map(|(name, _)| name.clone()).collect());
    Some(Items::Matrix(axes))
}
