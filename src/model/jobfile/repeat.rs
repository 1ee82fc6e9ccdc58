//! `repeat:` of a task, and `budget:` of a task or a job.

use crate::model::money::micro;
use crate::model::spec::{Budget, Repeat, Until};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// Rounds when nothing else is said.
const MAX_ROUNDS: u64 = 10;
/// Rounds in a row without a change after which a task is given up when nothing else is said.
const NO_CHANGE: u64 = 3;

/// The definition, and where a shell template of it stands.
pub(super) fn repeat(reader: &mut Reader<'_>, node: &Node) -> Option<(Repeat, Option<Node>)> {
    let fields = reader.fields(node, "repeat", keys::REPEAT)?;
    let Some(until) = fields.get("until") else {
        reader.fault(
            node,
            "repeat needs `until`".to_owned(),
            "write until: { file: PATH, matches: REGEX } or until: { command: … }",
        );
        return None;
    };
    let (until, shell) = until_of(reader, until)?;
    let max = fields.get("max").and_then(|node| reader.whole(node, 1, 10_000)).unwrap_or(MAX_ROUNDS);
    let quiet = fields.get("stop_after_no_change").and_then(|node| reader.whole(node, 0, 10_000)).unwrap_or(NO_CHANGE);
    let fresh = fields.get("fresh_session").and_then(|node| boolean(reader, node, "fresh_session")).unwrap_or(false);
    let number = |n: u64| u32::try_from(n).unwrap_or(u32::MAX);
    Some((Repeat { until, max: number(max), fresh_session: fresh, stop_after_no_change: number(quiet) }, shell))
}

fn until_of(reader: &mut Reader<'_>, node: &Node) -> Option<(Until, Option<Node>)> {
    let fields = reader.fields(node, "until", keys::UNTIL)?;
    match (fields.get("file"), fields.get("command")) {
        (Some(file), None) => {
            let path = reader.text(file)?;
            reader.literal(file, "file");
            if path.is_empty() {
                reader.fault(file, "the file has no name".to_owned(), "name a file of the workspace");
            }
            let matches = fields.get("matches").and_then(|node| {
                reader.literal(node, "matches");
                reader.text(node)
            });
            Some((Until::File { path, matches }, None))
        }
        (None, Some(command)) => {
            if let Some(key) = fields.key("matches") {
                reader.fault(key, "`matches` belongs to `file`".to_owned(), "a command says by its exit code whether it holds");
            }
            let text = reader.text(command)?;
            if text.trim().is_empty() {
                reader.fault(command, "the command is empty".to_owned(), "write what must exit 0");
            }
            Some((Until::Command(text), Some(command.clone())))
        }
        (Some(_), Some(_)) => {
            reader.fault(node, "`file` and `command` at once".to_owned(), "keep one of them");
            None
        }
        (None, None) => {
            reader.fault(node, "until says nothing".to_owned(), "write { file: PATH, matches: REGEX } or { command: SHELL }");
            None
        }
    }
}

pub(super) fn boolean(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<bool> {
    let value = node.boolean();
    if value.is_none() {
        reader.fault(node, format!("{what} is {}, not a boolean", node.kind()), "write true or false");
    }
    value
}

/// `budget: 5` is dollars; `budget: { usd: 5, tokens: 2000000 }`.
pub(super) fn budget(reader: &mut Reader<'_>, node: &Node) -> Option<Budget> {
    if matches!(node.value, Value::Scalar { .. }) {
        return Some(Budget { microusd: Some(dollars(reader, node)?), tokens: None });
    }
    let fields = reader.fields(node, "budget", keys::BUDGET)?;
    let budget = Budget {
        microusd: fields.get("usd").and_then(|node| dollars(reader, node)),
        tokens: fields.get("tokens").and_then(|node| reader.whole(node, 1, 1_000_000_000_000)),
    };
    if fields.get("usd").is_none() && fields.get("tokens").is_none() {
        reader.fault(node, "the budget bounds nothing".to_owned(), "write usd: DOLLARS, tokens: NUMBER, or both");
    }
    (budget != Budget::default()).then_some(budget)
}

fn dollars(reader: &mut Reader<'_>, node: &Node) -> Option<u64> {
    micro(reader.number(node, 0.000_001, 1_000_000.0)?)
}
