//! A task of a job file.

use crate::model::spec::{Action, Gate, Resources, TaskDefaults, TaskSpec};
use crate::model::yaml::{Node, Value};

use super::env::Env;
use super::graph::Deciding;
use super::keys;
use super::read::{Fields, Reader};

/// Longest run of a gate when nothing else is said.
const ACCEPT_TIMEOUT_MS: u64 = 600_000;

/// A task, and where its parts stand.
pub(super) struct Task {
    pub spec: TaskSpec,
    /// Where it begins.
    pub node: Node,
    /// Where its id stands.
    pub id: Option<Node>,
    /// Where its needs stand, in order.
    pub needs: Vec<Node>,
    /// Text templates.
    pub texts: Vec<Node>,
    /// Shell templates.
    pub shells: Vec<Node>,
    /// What decides about it.
    pub deciding: Deciding,
    /// Whether it says its rule.
    pub has_rule: bool,
}

pub(super) fn task(reader: &mut Reader<'_>, node: &Node, defaults: &TaskDefaults) -> Option<Task> {
    let fields = reader.fields(node, "a task", keys::TASK)?;
    let id = super::name(reader, node, &fields, "id", "a task").unwrap_or_default();
    let mut task = Task {
        spec: TaskSpec {
            workspace: fields.get("workspace").map(|node| super::workspace(reader, node)),
            pool: super::pool(reader, fields.get("pool")),
            budget: fields.get("budget").and_then(|node| super::repeat::budget(reader, node)),
            priority: fields.get("priority").and_then(|node| reader.priority(node)).unwrap_or(0),
            ..TaskSpec::new(&id, Action::Run(String::new()))
        },
        node: Node { value: Value::Null, ..*node },
        id: fields.get("id").cloned(),
        needs: Vec::new(),
        texts: Vec::new(),
        shells: Vec::new(),
        deciding: Deciding::default(),
        has_rule: fields.get("rule").is_some(),
    };
    if let Some(action) = action(reader, node, &fields, &mut task) {
        task.spec.action = action;
    }
    needs(reader, &fields, &mut task);
    super::graph::shape(reader, &fields, &mut task);
    let is_claude = matches!(task.spec.action, Action::Claude(_));
    task.spec.limits = limits(reader, &fields, defaults, is_claude);
    if let Some(node) = fields.get("env") {
        let Env { values, places } = super::env::env(reader, node);
        task.spec.env = values;
        task.texts.extend(places.into_iter().map(|(_, node)| node));
    }
    task.spec.accept = fields.get("accept").and_then(|node| accept(reader, node, &mut task));
    if let Some((repeat, shell)) = fields.get("repeat").and_then(|node| super::repeat::repeat(reader, node)) {
        task.spec.repeat = Some(repeat);
        task.shells.extend(shell);
    }
    if let Some(key) = fields.key("budget").filter(|_| !is_claude) {
        reader.fault(key, "only a claude task uses a budget".to_owned(), "take it out");
    }
    if let Some(key) = resume_key(&fields).filter(|_| !is_claude) {
        reader.fault(key, "only a claude task has a session to resume".to_owned(), "take `resume` out");
    }
    task.spec.result = fields.get("result").and_then(|node| super::result::result(reader, node));
    if let Some(result) = &task.spec.result {
        super::result::of_claude(reader, &fields, result, &mut task.spec.action);
    }
    task.spec.artifacts = fields.get("artifacts").and_then(|node| super::artifacts::artifacts(reader, node));
    if let Some(node) = fields.get("description") {
        reader.text(node);
    }
    Some(task)
}

fn action(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>, task: &mut Task) -> Option<Action> {
    let given: Vec<&str> =
        ["run", "command", "claude", "job", "approve"].into_iter().filter(|key| fields.get(key).is_some()).collect();
    if given.len() != 1 {
        let message = match given.as_slice() {
            [] => "the task has nothing to do".to_owned(),
            more => format!("the task has {} at once", more.join(" and ")),
        };
        let at = given.get(1).and_then(|key| fields.key(key)).unwrap_or(node);
        reader.fault(at, message, "give it one of run (shell), command with args (no shell), claude, job, approve");
    }
    if let (Some(key), None) = (fields.key("args"), fields.get("command")) {
        reader.fault(key, "`args` belongs to `command`".to_owned(), "write command: PROGRAM beside it");
    }
    // Also of several that are given at once, each tells what is wrong with it.
    let mut action = None;
    for key in given {
        let found = fields.get(key).and_then(|node| match key {
            "run" => run(reader, node, task),
            "command" => command(reader, node, fields, task),
            "job" => super::child::job(reader, node, fields, task),
            "approve" => super::approve::approve(reader, node, fields, task),
            _ => {
                let (claude, prompt) = super::claude::claude(reader, node)?;
                task.texts.extend(prompt);
                Some(Action::Claude(Box::new(claude)))
            }
        });
        action = action.or(found);
    }
    action
}

fn run(reader: &mut Reader<'_>, node: &Node, task: &mut Task) -> Option<Action> {
    let text = reader.text(node)?;
    if text.trim().is_empty() {
        reader.fault(node, "the command is empty".to_owned(), "write what the shell should run");
    }
    task.shells.push(node.clone());
    Some(Action::Run(text))
}

fn command(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>, task: &mut Task) -> Option<Action> {
    let program = reader.text(node);
    if program.as_ref().is_some_and(|program| program.trim().is_empty()) {
        reader.fault(node, "the command is empty".to_owned(), "name a program");
    } else if fields.get("args").is_none()
        && let Some(program) = program.as_ref().filter(|program| program.contains(' '))
    {
        let hint = "command is one program without a shell: put its arguments under args, or use run";
        reader.warn(node, format!("`{program}` holds a blank"), hint);
    }
    task.texts.push(node.clone());
    let args = fields.get("args").and_then(|node| reader.list(node, "args")).unwrap_or_default();
    task.texts.extend(args.iter().cloned());
    let args = args.iter().filter_map(|arg| reader.text(arg)).collect();
    Some(Action::Command { program: program?, args })
}

fn needs(reader: &mut Reader<'_>, fields: &Fields<'_>, task: &mut Task) {
    let Some(node) = fields.get("needs") else { return };
    let items: Vec<&Node> = match &node.value {
        Value::Scalar { .. } => vec![node],
        _ => reader.list(node, "needs").unwrap_or_default().iter().collect(),
    };
    let mut seen = std::collections::HashSet::with_capacity(items.len());
    for item in items {
        let Some(need) = reader.text(item) else { continue };
        if !seen.insert(need.clone()) {
            reader.fault(item, format!("`{need}` stands twice in needs"), "keep one of them");
            continue;
        }
        task.spec.needs.push(need);
        task.needs.push(item.clone());
    }
}

fn accept(reader: &mut Reader<'_>, node: &Node, task: &mut Task) -> Option<Gate> {
    let (run, timeout_ms) = if matches!(node.value, Value::Map(_)) {
        let fields = reader.fields(node, "accept", keys::ACCEPT)?;
        let timeout = fields.get("timeout").and_then(|node| reader.duration(node, 1));
        let Some(run) = fields.get("run") else {
            reader.fault(node, "accept needs `run`".to_owned(), "write the command that must exit 0");
            return None;
        };
        (run, timeout.unwrap_or(ACCEPT_TIMEOUT_MS))
    } else {
        (node, ACCEPT_TIMEOUT_MS)
    };
    let text = reader.text(run)?;
    if text.trim().is_empty() {
        reader.fault(run, "the acceptance command is empty".to_owned(), "write the command that must exit 0");
    }
    task.shells.push(run.clone());
    Some(Gate { run: text, timeout_ms })
}

/// `defaults` of the job.
pub(super) fn defaults(reader: &mut Reader<'_>, node: &Node) -> TaskDefaults {
    match reader.fields(node, "defaults", keys::DEFAULTS) {
        Some(fields) => limits(reader, &fields, &TaskDefaults::default(), false),
        None => TaskDefaults::default(),
    }
}

fn limits(reader: &mut Reader<'_>, fields: &Fields<'_>, defaults: &TaskDefaults, is_claude: bool) -> TaskDefaults {
    // A Claude run costs money: it is repeated only when the task itself says so.
    let inherited = if is_claude { defaults.retry.once() } else { defaults.retry.clone() };
    TaskDefaults {
        timeout_ms: fields.get("timeout").and_then(|node| reader.duration(node, 1)).or(defaults.timeout_ms),
        grace_ms: fields.get("grace").and_then(|node| reader.duration(node, 0)).unwrap_or(defaults.grace_ms),
        retry: fields.get("retry").map_or_else(|| inherited.clone(), |node| super::retry::retry(reader, node, &inherited)),
        resources: fields
            .get("resources")
            .map_or_else(|| defaults.resources.clone(), |node| resources(reader, node, &defaults.resources)),
        output_limit: fields.get("output_limit").and_then(|node| reader.size(node, 1)).unwrap_or(defaults.output_limit),
    }
}

/// Where `retry.resume` stands.
fn resume_key<'n>(fields: &Fields<'n>) -> Option<&'n Node> {
    let Value::Map(entries) = &fields.get("retry")?.value else { return None };
    entries.iter().map(|(key, _)| key).find(|key| key.text() == Some("resume"))
}

fn resources(reader: &mut Reader<'_>, node: &Node, inherited: &Resources) -> Resources {
    let Some(fields) = reader.fields(node, "resources", keys::RESOURCES) else { return inherited.clone() };
    Resources {
        memory: fields.get("memory").and_then(|node| reader.size(node, 1 << 20)).or(inherited.memory),
        cpus: fields.get("cpus").and_then(|node| reader.number(node, 0.01, 4_096.0)).or(inherited.cpus),
        pids: fields
            .get("pids")
            .and_then(|node| reader.whole(node, 1, 4_194_304))
            .and_then(|n| u32::try_from(n).ok())
            .or(inherited.pids),
    }
}
