//! `retry`: how often and how soon what failed is repeated, and `on`, what holds for some outcomes only.

use std::collections::BTreeMap;

use crate::model::diagnostic::nearest;
use crate::model::spec::{ClassRetry, RETRY_CLASSES, Resume, Retry, RetryClass};
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// Words of `retry.resume`.
const RESUME: [(&str, Resume); 3] = [("auto", Resume::Auto), ("always", Resume::Always), ("never", Resume::Never)];
/// Most attempts.
const MAX_ATTEMPTS: u64 = 100;
/// What stands for one attempt and no other.
const NEVER: &str = "never";

pub(super) fn retry(reader: &mut Reader<'_>, node: &Node, inherited: &Retry) -> Retry {
    if node.plain().is_some_and(|text| text.parse::<u64>().is_ok()) {
        return Retry { attempts: attempts(reader, node).unwrap_or(1), ..inherited.clone() };
    }
    let Some(fields) = reader.fields(node, "retry", keys::RETRY) else { return inherited.clone() };
    let mut on = inherited.on.clone();
    if let Some(node) = fields.get("on") {
        on.extend(classes(reader, node));
    }
    Retry {
        attempts: fields.get("attempts").and_then(|node| attempts(reader, node)).unwrap_or(inherited.attempts),
        delay_ms: fields.get("delay").and_then(|node| reader.duration(node, 0)).unwrap_or(inherited.delay_ms),
        factor: fields.get("factor").and_then(|node| reader.number(node, 1.0, 100.0)).unwrap_or(inherited.factor),
        max_delay_ms: fields.get("max_delay").and_then(|node| reader.duration(node, 0)).unwrap_or(inherited.max_delay_ms),
        jitter: fields.get("jitter").and_then(|node| reader.number(node, 0.0, 1.0)).unwrap_or(inherited.jitter),
        resume: fields.get("resume").and_then(|node| reader.one_of(node, &RESUME)).unwrap_or(inherited.resume),
        on,
    }
}

fn attempts(reader: &mut Reader<'_>, node: &Node) -> Option<u32> {
    reader.whole(node, 1, MAX_ATTEMPTS).and_then(|n| u32::try_from(n).ok())
}

/// `on`: by class of outcomes. A class that is named here says all that differs for it.
fn classes(reader: &mut Reader<'_>, node: &Node) -> BTreeMap<RetryClass, ClassRetry> {
    let mut on = BTreeMap::new();
    for (key, value) in reader.entries(node, "on") {
        let Some(word) = key.text() else { continue };
        if word == "exit" {
            on.extend(exits(reader, value));
            continue;
        }
        match RETRY_CLASSES.iter().find(|(known, _)| *known == word) {
            Some((_, class)) => on.extend(class_retry(reader, value, word).map(|said| (*class, said))),
            None => unknown(reader, key, word),
        }
    }
    on
}

fn unknown(reader: &mut Reader<'_>, key: &Node, word: &str) {
    let words = || RETRY_CLASSES.iter().map(|(word, _)| *word).chain(["exit"]);
    let hint = match word.parse::<i64>() {
        Ok(code) => format!("exit codes stand below `exit`: exit: {{ {code}: … }}"),
        Err(_) => match nearest(word, words()) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("it is one of {}", words().collect::<Vec<_>>().join(", ")),
        },
    };
    let word: String = word.chars().take(80).collect();
    reader.fault(key, format!("there is no outcome `{word}` that is retried"), &hint);
}

/// `exit: { 75: …, 2: never }`.
fn exits(reader: &mut Reader<'_>, node: &Node) -> Vec<(RetryClass, ClassRetry)> {
    let mut found = Vec::new();
    if !matches!(node.value, Value::Map(_)) {
        reader.fault(
            node,
            format!("exit is {}, not a mapping", node.kind()),
            "write the codes below it: exit: { 75: { delay: 5m } }",
        );
        return found;
    }
    for (key, value) in reader.entries(node, "exit") {
        let Some(word) = key.text() else { continue };
        match word.parse::<i32>() {
            Ok(code @ 1..=255) => {
                found.extend(class_retry(reader, value, &format!("exit {code}")).map(|said| (RetryClass::Exit(code), said)));
            }
            _ => {
                let word: String = word.chars().take(80).collect();
                reader.fault(key, format!("`{word}` is no exit code of a failure"), "write 1 to 255");
            }
        }
    }
    found
}

/// `never`, a number of attempts, or all that differs.
fn class_retry(reader: &mut Reader<'_>, node: &Node, what: &str) -> Option<ClassRetry> {
    if node.text() == Some(NEVER) {
        return Some(ClassRetry { attempts: Some(1), ..ClassRetry::default() });
    }
    if !matches!(node.value, Value::Map(_)) {
        if node.plain().is_some_and(|text| text.parse::<u64>().is_ok()) {
            return Some(ClassRetry { attempts: attempts(reader, node), ..ClassRetry::default() });
        }
        let hint = "write never, a number of attempts, or { attempts: 5, delay: 1m }";
        let found =
            node.text().map_or_else(|| node.kind().to_owned(), |text| format!("`{}`", text.chars().take(80).collect::<String>()));
        reader.fault(node, format!("{found} says nothing about retries of {what}"), hint);
        return None;
    }
    let fields = reader.fields(node, what, keys::RETRY_CLASS)?;
    Some(ClassRetry {
        attempts: fields.get("attempts").and_then(|node| attempts(reader, node)),
        delay_ms: fields.get("delay").and_then(|node| reader.duration(node, 0)),
        factor: fields.get("factor").and_then(|node| reader.number(node, 1.0, 100.0)),
        max_delay_ms: fields.get("max_delay").and_then(|node| reader.duration(node, 0)),
        jitter: fields.get("jitter").and_then(|node| reader.number(node, 0.0, 1.0)),
    })
}
