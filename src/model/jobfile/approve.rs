//! A task that is an approval: a person says whether it completes.

use crate::model::spec::{Action, ApproveSpec};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::{Fields, Reader};
use super::task::Task;

/// Names of people that one approval may have.
const MAX_WHO: usize = 1_000;
/// Longest name of a person, in bytes.
const MAX_NAME: usize = 256;

pub(super) fn approve(reader: &mut Reader<'_>, node: &Node, fields: &Fields<'_>, task: &mut Task) -> Option<Action> {
    // Beside a command they may well be meant for that.
    let is_alone = ["run", "command", "claude"].iter().all(|key| fields.get(key).is_none());
    let of_runs = keys::OF_RUNS.iter().chain(&["priority", "max_parallel"]);
    for key in of_runs.filter(|_| is_alone).filter_map(|key| fields.key(key)) {
        let name = key.text().unwrap_or_default();
        let hint = match name {
            "timeout" => "how long a person is waited for is said in it: approve: { message: …, timeout: 2h }",
            "result" => "it has one by itself: approved, by, at and comment",
            _ => "take it out",
        };
        reader.fault(key, format!("an approval runs nothing, so `{name}` means nothing for it"), hint);
    }
    let asks = if matches!(node.value, Value::Map(_)) {
        let fields = reader.fields(node, "approve", keys::APPROVE)?;
        let Some(message) = fields.get("message") else {
            reader.fault(node, "approve needs `message`".to_owned(), "write what is asked: message: Deploy to production?");
            return None;
        };
        let show = fields.get("show");
        task.texts.extend(show.cloned());
        let timeout = fields.get("timeout");
        if let (Some(key), None) = (fields.key("default"), timeout) {
            let hint = "it says what happens at the time-out: add timeout: 2h, or take it out";
            reader.fault(key, "`default` without `timeout` never comes about".to_owned(), hint);
        }
        let default = fields.get("default").and_then(|node| reader.one_of(node, &[("approve", true), ("reject", false)]));
        ApproveSpec {
            message: text(reader, message, task)?,
            show: show.and_then(|node| reader.text(node)),
            who: fields.get("who").map(|node| who(reader, node)).unwrap_or_default(),
            timeout_ms: timeout.and_then(|node| reader.duration(node, 1)),
            approves: default.unwrap_or(false),
        }
    } else {
        ApproveSpec { message: text(reader, node, task)?, ..ApproveSpec::default() }
    };
    Some(Action::Approve(Box::new(asks)))
}

fn text(reader: &mut Reader<'_>, node: &Node, task: &mut Task) -> Option<String> {
    let text = reader.text(node)?;
    if text.trim().is_empty() {
        reader.fault(node, "the approval asks nothing".to_owned(), "write what is asked: approve: Deploy to production?");
    }
    task.texts.push(node.clone());
    Some(text)
}

/// The people who may answer.
fn who(reader: &mut Reader<'_>, node: &Node) -> Vec<String> {
    reader.literal(node, "who");
    let names = reader.texts(node, "who");
    if names.is_empty() || names.len() > MAX_WHO {
        let hint = "name 1 to 1,000 people by their login names, or take it out: then whoever may use the control socket answers";
        reader.fault(node, format!("`who` has {} names", names.len()), hint);
    }
    for name in &names {
        if name.is_empty() || name.len() > MAX_NAME || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
            reader.fault(node, "this cannot be a login name".to_owned(), "a login name has no blanks, such as alice");
        }
    }
    names
}
