//! `requests`: what is asked of a node, by resource.

use std::collections::BTreeMap;

use super::names::is_qualified;
use crate::config::load::Reader;
use crate::config::value::shown;
use crate::model::yaml::Node;

/// The units of quantities, of which a number may also have an exponent.
const UNITS: &[&str] = &["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"];
/// Units that make parts of a byte.
const PARTS: &[&str] = &["n", "u", "m"];
const REMEDY: &str =
    "write a quantity of Kubernetes: a number, and none or one of m, k, M, G, T, Ki, Mi, Gi, Ti (500m, 2, 256Mi)";

pub(super) fn requests(reader: &mut Reader, node: &Node) -> BTreeMap<String, String> {
    let mut requests = BTreeMap::new();
    for (name, key, node) in reader.pairs(node, "requests", "requests: { cpu: 500m, memory: 256Mi }") {
        if !is_qualified(name) {
            reader.fault(key, format!("{} names no resource", shown(key)), "write cpu, memory, ephemeral-storage or DOMAIN/NAME");
            continue;
        }
        let text = node.text().unwrap_or_default();
        match unit(text) {
            Some(unit) if is_bytes(name) && PARTS.contains(&unit) => {
                let why = format!("`{text}` of {name} is less than it looks: in Kubernetes `{unit}` is a part of a byte");
                reader.fault(node, why, "write Mi, Gi or Ti after the number (512Mi)");
            }
            Some(_) => drop(requests.insert(name.to_owned(), text.to_owned())),
            None => reader.fault(node, format!("{} is no quantity", shown(node)), REMEDY),
        }
    }
    requests
}

fn is_bytes(resource: &str) -> bool {
    ["memory", "ephemeral-storage"].contains(&resource) || resource.starts_with("hugepages-")
}

/// The unit of a quantity that is not negative; none when it is no quantity.
fn unit(text: &str) -> Option<&str> {
    let text = text.strip_prefix('+').unwrap_or(text);
    let digits = text.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
    let number = &text[..text.len() - digits.len()];
    let is_number = number.len() <= 64 && number.bytes().any(|byte| byte.is_ascii_digit()) && number.matches('.').count() <= 1;
    let is_exponent = digits.strip_prefix(['e', 'E']).is_some_and(|power| {
        let power = power.strip_prefix(['+', '-']).unwrap_or(power);
        (1..=2).contains(&power.len()) && power.bytes().all(|byte| byte.is_ascii_digit())
    });
    (is_number && (is_exponent || UNITS.contains(&digits))).then_some(digits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantities_have_the_grammar_of_kubernetes() {
        for text in ["0", "1", "0.5", ".5", "5.", "+1", "500m", "256Mi", "2G", "1e3", "1E-3", "1E", "100n", "12e6"] {
            assert!(unit(text).is_some(), "{text}");
        }
        for text in
            ["", "-1", "m", ".", "1.2.3", "1g", "1GB", "1 Gi", "1Kib", "e3", "1e", "1e+", "1e333", "1K", "0x1", "1_000", "∞"]
        {
            assert!(unit(text).is_none(), "{text}");
        }
    }
}
