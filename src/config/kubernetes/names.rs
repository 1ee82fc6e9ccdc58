//! What Kubernetes allows as a name.

use crate::config::docker::LEFT_OUT;
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::yaml::Node;

/// A namespace.
pub(super) fn namespace(reader: &mut Reader, node: &Node) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_name = is_label(text);
    if !is_name {
        let hint = format!("write 1 to 63 lower-case letters, digits and `-`, with `-` neither first nor last{LEFT_OUT}");
        reader.fault(node, format!("{} is no namespace", shown(node)), &hint);
    }
    is_name.then(|| text.to_owned())
}

/// The name of an object: a Secret, a claim, a class. `what` names the key, and `fate` is what becomes of the rest when it is none.
pub(super) fn object(reader: &mut Reader, node: &Node, what: &str, fate: &str) -> Option<String> {
    let text = node.text().unwrap_or_default();
    let is_name = is_subdomain(text);
    if !is_name {
        let hint = format!("write the object's name: lower-case letters, digits, `-` and `.`{fate}");
        reader.fault(node, format!("{what} is {}, which names no object", shown(node)), &hint);
    }
    is_name.then(|| text.to_owned())
}

/// A label of DNS (RFC 1123).
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len()) && text.bytes().all(is_inner) && !text.starts_with('-') && !text.ends_with('-')
}

/// Labels with dots between them. Each may be longer than one of DNS here.
fn is_subdomain(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let is_part = |part: &str| !part.is_empty() && part.bytes().all(is_inner) && !part.starts_with('-') && !part.ends_with('-');
    text.len() <= 253 && text.split('.').all(is_part)
}

/// The name of a label, an annotation or a resource: `[PREFIX/]NAME`.
pub(super) fn is_qualified(text: &str) -> bool {
    match text.split_once('/') {
        Some((prefix, name)) => is_subdomain(prefix) && is_word(name),
        None => is_word(text),
    }
}

/// The value of a label.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

fn is_word(text: &str) -> bool {
    let is_edge = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_alphanumeric);
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let bytes = text.as_bytes();
    bytes.len() <= 63 && bytes.iter().copied().all(is_inner) && is_edge(bytes.first()) && is_edge(bytes.last())
}

/// A key of a Secret.
pub(super) fn is_secret_key(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    // The volumes that Kubernetes makes of Secrets keep names that begin with two dots for themselves.
    (1..=253).contains(&text.len()) && text.bytes().all(is_inner) && text != "." && !text.starts_with("..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_that_kubernetes_takes() {
        let long = |count: usize| "a".repeat(count);
        for (is_name, good, bad) in [
            (
                is_label as fn(&str) -> bool,
                vec!["a", "0", "airx-2", &long(63)],
                vec!["", "-a", "a-", "A", "a.b", "a_b", "ä", &long(64)],
            ),
            (
                is_subdomain,
                vec!["a", "a.b-c.0", &long(253)],
                vec!["", ".", "a.", ".a", "a..b", "a.-b", "a-.b", "A", "a/b", &long(254)],
            ),
            (
                is_qualified,
                vec!["a", "A_b.c-D", "example.com/gpu", &long(63)],
                vec!["", "a/", "/a", "a/b/c", "A.example/x", "a b", "-a", "a_", "x/_", &long(64)],
            ),
            (is_label_value, vec!["", "A_b.c", "0"], vec!["a/b", "-a", "a.", "a b", &long(64)]),
            (is_secret_key, vec!["a", "API_KEY", ".x", "a..b", &long(253)], vec!["", ".", "..", "..x", "a/b", "a b", &long(254)]),
        ] {
            good.iter().for_each(|text| assert!(is_name(text), "{text}"));
            bad.iter().for_each(|text| assert!(!is_name(text), "{text}"));
        }
    }
}
