//! `notify`: who is told of what, by which means.

use std::collections::BTreeSet;

use crate::model::diagnostic::nearest;
use crate::model::jobfile::looks_secret;
use crate::model::notice::{Kind, MAX_NOTIFIERS, Means, Notifier, Ring, Webhook, words};
use crate::model::spec::EnvValue;
use crate::model::yaml::{Node, Value};

use super::load::Reader;

/// Most words of a command, and most headers.
const MAX_WORDS: usize = 100;
/// What every notifier may have.
const KEYS: &[&str] = &["on", "command", "run", "webhook", "terminal", "title", "text", "body", "headers"];

/// The notifiers that are sound; what is wrong with the others is told.
pub(super) fn notifiers(reader: &mut Reader, node: &Node) -> Vec<Notifier> {
    let items = match &node.value {
        Value::List(items) => items,
        Value::Null => return Vec::new(),
        _ => {
            let hint = "write a list: notify: [{ on: [failed], command: [notify-send, \"{{ text }}\"] }]";
            reader.fault(node, format!("notify is {}, not a list", node.kind()), hint);
            return Vec::new();
        }
    };
    if items.len() > MAX_NOTIFIERS {
        reader.fault(node, format!("there are more than {MAX_NOTIFIERS} notifiers"), "one command can pass a notice on to many");
    }
    items.iter().take(MAX_NOTIFIERS).filter_map(|item| notifier(reader, item)).collect()
}

fn notifier(reader: &mut Reader, node: &Node) -> Option<Notifier> {
    let before = reader.faults();
    let entries = reader.entries(node, "a notifier", KEYS);
    let get = |name: &str| entries.iter().find(|(key, _)| *key == name).map(|(_, value)| *value);
    let on = kinds(reader, node, get("on"));
    let means: Vec<&str> = ["command", "run", "webhook", "terminal"].into_iter().filter(|name| get(name).is_some()).collect();
    if means.len() != 1 && matches!(node.value, Value::Map(_)) {
        let found = if means.is_empty() { "no means".to_owned() } else { format!("several means ({})", means.join(", ")) };
        let hint = "give each notifier one of command: [PROGRAM, …], run: LINE, webhook: URL and terminal: bell|osc9|osc777";
        reader.fault(node, format!("this notifier has {found}"), hint);
    }
    let name = *means.first()?;
    let value = get(name)?;
    for key in ["body", "headers"] {
        if let Some(place) = get(key).filter(|_| name != "webhook") {
            reader.fault(
                place,
                format!("`{key}` belongs to a webhook"),
                &format!("take it out, or use webhook instead of {name}"),
            );
        }
    }
    let means = match name {
        "command" => command(reader, value),
        "run" => reader.text(value, "run").map(Means::Run),
        "webhook" => webhook(reader, value, get("body"), get("headers")),
        _ => terminal(reader, value),
    };
    let title = get("title").and_then(|value| reader.text(value, "title"));
    let line = get("text").and_then(|value| reader.text(value, "text"));
    let notifier = Notifier { on: on?, means: means?, title, text: line };
    for (key, why) in words::faults(&notifier) {
        let hint = match key {
            "body" if why.contains("no JSON") => {
                "put values into quotes: {\"text\": \"{{ text }}\"}; for another format add headers: { Content-Type: text/plain }"
                    .to_owned()
            }
            _ => format!("names are {}", words::NAMES.join(", ")),
        };
        reader.fault(get(key).unwrap_or(node), why, &hint);
    }
    (reader.faults() == before).then_some(notifier)
}

fn kinds(reader: &mut Reader, node: &Node, on: Option<&Node>) -> Option<BTreeSet<Kind>> {
    let known = || Kind::ALL.map(Kind::word);
    let Some(on) = on else {
        if matches!(node.value, Value::Map(_)) {
            reader.fault(
                node,
                "this notifier has no `on`".to_owned(),
                &format!("write on: [failed, …]; there are {}", known().join(", ")),
            );
        }
        return None;
    };
    let words = match &on.value {
        Value::List(items) => items.iter().collect(),
        _ => vec![on],
    };
    let mut kinds = BTreeSet::new();
    for word in words {
        let text = word.text().unwrap_or_default();
        match Kind::named(text) {
            Some(kind) => drop(kinds.insert(kind)),
            None => {
                let hint = match nearest(text, known()) {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => format!("there are {}", known().join(", ")),
                };
                reader.fault(word, format!("there is no event `{}`", text.chars().take(80).collect::<String>()), &hint);
            }
        }
    }
    if matches!(&on.value, Value::List(items) if items.is_empty()) {
        reader.fault(on, "`on` names no event".to_owned(), &format!("there are {}", known().join(", ")));
    }
    (!kinds.is_empty()).then_some(kinds)
}

fn command(reader: &mut Reader, node: &Node) -> Option<Means> {
    let hint = "write command: [notify-send, \"{{ title }}\", \"{{ text }}\"], or run: for a line of shell";
    let Value::List(items) = &node.value else {
        reader.fault(node, format!("command is {}, not a list of words", node.kind()), hint);
        return None;
    };
    let argv: Option<Vec<String>> = items.iter().map(|item| reader.text(item, "a word of command")).collect();
    let argv = argv?;
    if argv.is_empty() || argv.len() > MAX_WORDS {
        reader.fault(node, format!("command has {} words", argv.len()), &format!("it has 1 to {MAX_WORDS}: {hint}"));
        return None;
    }
    Some(Means::Command(argv))
}

fn terminal(reader: &mut Reader, node: &Node) -> Option<Means> {
    let rings = [Ring::Bell, Ring::Osc9, Ring::Osc777];
    let found = rings.into_iter().find(|ring| Some(ring.word()) == node.text());
    if found.is_none() {
        reader.fault(node, "there is no such signal of a terminal".to_owned(), "write bell, osc9 or osc777");
    }
    found.map(Means::Terminal)
}

fn webhook(reader: &mut Reader, node: &Node, body: Option<&Node>, headers: Option<&Node>) -> Option<Means> {
    let url = reader.value(node, "webhook")?;
    if let EnvValue::Text(url) = &url
        && let Some((why, hint)) = wrong_url(url)
    {
        reader.fault(node, why.to_owned(), hint);
        return None;
    }
    let body = match body {
        // What is no text is meant as JSON and becomes a template like any other.
        Some(node) if matches!(node.value, Value::Map(_) | Value::List(_)) => Some(node.to_json().to_string()),
        Some(node) => Some(reader.text(node, "body")?),
        None => None,
    };
    let headers = headers.map_or_else(Vec::new, |node| self::headers(reader, node));
    Some(Means::Webhook(Webhook { url, body, headers }))
}

fn wrong_url(url: &str) -> Option<(&'static str, &'static str)> {
    let is_http = ["http://", "https://"].iter().any(|scheme| url.starts_with(scheme));
    let authority = url.split_once("://").map_or("", |(_, rest)| rest.split(['/', '?', '#']).next().unwrap_or_default());
    if !is_http || authority.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some(("this is no address of a webhook", "write http://HOST/… or https://HOST/…, or { from: \"env:NAME\" }"));
    }
    authority.contains('@').then_some((
        "a password stands in the address",
        "pass it by reference: webhook: { from: \"env:NAME\" }, or in headers: { Authorization: { from: \"env:NAME\" } }",
    ))
}

fn headers(reader: &mut Reader, node: &Node) -> Vec<(String, EnvValue)> {
    let Value::Map(entries) = &node.value else {
        reader.fault(node, format!("headers is {}, not a mapping", node.kind()), "write headers: { NAME: VALUE }");
        return Vec::new();
    };
    if entries.len() > MAX_WORDS {
        reader.fault(node, format!("there are more than {MAX_WORDS} headers"), "keep those that are needed");
    }
    let mut headers: Vec<(String, EnvValue)> = Vec::new();
    for (key, node) in entries.iter().take(MAX_WORDS) {
        let name = key.text().unwrap_or_default();
        // RFC 9110, section 5.6.2: a field name is a token.
        let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        if name.is_empty() || name.len() > 100 || !name.bytes().all(is_token) {
            reader.fault(key, "this cannot name a header".to_owned(), "use letters, digits and `-`");
            continue;
        }
        if headers.iter().any(|(known, _)| known.eq_ignore_ascii_case(name)) {
            reader.fault(key, format!("`{name}` stands twice"), "keep one of them");
            continue;
        }
        let Some(value) = reader.value(node, name) else { continue };
        if let EnvValue::Text(text) = &value {
            let variable = name.to_ascii_uppercase().replace('-', "_");
            let carries = ["AUTHORIZATION", "PROXY_AUTHORIZATION", "COOKIE"].contains(&variable.as_str());
            if carries || looks_secret(&variable, text).is_some() {
                let hint = format!("pass it by reference: headers: {{ {name}: {{ from: \"env:NAME\" }} }}");
                reader.fault(node, format!("`{name}` carries a secret, which may not stand in the configuration"), &hint);
                continue;
            }
            if !text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()) {
                reader.fault(
                    node,
                    format!("`{name}` has a value that no header can carry"),
                    "use ASCII without control characters",
                );
                continue;
            }
        }
        headers.push((name.to_owned(), value));
    }
    headers
}
