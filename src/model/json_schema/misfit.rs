//! Why a value does not fit, in words.

use boon::{ErrorKind, ValidationError};
use serde_json::Value;

use crate::model::diagnostic::harmless;

/// Places that are told at once.
const MAX_TOLD: usize = 3;
/// Alternatives that are told of one place.
const MAX_ALTERNATIVES: usize = 4;
/// Characters that are shown of what was found, and of what was expected.
const MAX_PIECE: usize = 80;
/// Longest words about one place.
const MAX_LINE: usize = 300;

/// What a person or a model needs to mend the value.
pub(super) fn words(error: &ValidationError<'_, '_>, value: &Value) -> String {
    let mut told: Vec<String> = Vec::new();
    let mut more = 0usize;
    each(error, &mut |leaf| {
        let pointer = leaf.instance_location.to_string();
        let found = value.pointer(&pointer).unwrap_or(&Value::Null);
        let place = if pointer.is_empty() { "at the top".to_owned() } else { format!("at {}", cut(&pointer, MAX_LINE)) };
        let words = line(&format!("{place}: {}", expectation(leaf, found)));
        if told.contains(&words) {
        } else if told.len() < MAX_TOLD {
            told.push(words);
        } else {
            more += 1;
        }
    });
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("{}{more}", told.join("; "))
}

/// The first place where something is wrong.
pub(super) fn first<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>) -> &'e ValidationError<'s, 'v> {
    match parts(error) {
        Some([part, ..]) => first(part),
        _ => error,
    }
}

/// Whether references lead in a circle.
pub(super) fn has_circle(error: &ValidationError<'_, '_>) -> bool {
    matches!(error.kind, ErrorKind::RefCycle { .. }) || error.causes.iter().any(has_circle)
}

fn each<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>, tell: &mut impl FnMut(&'e ValidationError<'s, 'v>)) {
    match parts(error) {
        Some(parts) => parts.iter().for_each(|part| each(part, tell)),
        None => tell(error),
    }
}

/// What an error is made of, where each part counts by itself; none where it is to be told as it is.
fn parts<'e, 's, 'v>(error: &'e ValidationError<'s, 'v>) -> Option<&'e [ValidationError<'s, 'v>]> {
    if error.causes.is_empty() {
        return None;
    }
    match &error.kind {
        // Of alternatives the one counts that fits furthest into the value: it was meant, most likely.
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            let own = error.instance_location.tokens.len();
            let best = error.causes.iter().max_by_key(|cause| depth(cause))?;
            (depth(best) > own).then(|| std::slice::from_ref(best))
        }
        ErrorKind::Not | ErrorKind::OneOf(Some(_)) | ErrorKind::PropertyName { .. } | ErrorKind::Contains => None,
        _ => Some(&error.causes),
    }
}

fn depth(error: &ValidationError<'_, '_>) -> usize {
    error.causes.iter().map(depth).max().unwrap_or(0).max(error.instance_location.tokens.len())
}

/// What was expected, and what was found.
pub(super) fn expectation(error: &ValidationError<'_, '_>, found: &Value) -> String {
    let names = |names: &mut dyn Iterator<Item = &str>| {
        cut(&names.map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", "), MAX_PIECE)
    };
    let found_piece = || format!(", found {}", piece(found));
    match &error.kind {
        ErrorKind::Required { want } => format!("expected the key {}{}", names(&mut want.iter().copied()), found_piece()),
        ErrorKind::AdditionalProperties { got } => {
            format!("expected no key {}{}", names(&mut got.iter().map(|name| &**name)), found_piece())
        }
        ErrorKind::AdditionalItems { got } => format!("expected {got} items fewer{}", found_piece()),
        ErrorKind::FalseSchema => format!("expected nothing to be there{}", found_piece()),
        ErrorKind::AnyOf | ErrorKind::OneOf(None) => {
            let mut wanted: Vec<String> = Vec::new();
            for want in error.causes.iter().filter_map(|cause| wanted_of(first(cause))) {
                if !wanted.contains(&want) {
                    wanted.push(want);
                }
            }
            let more = if wanted.len() > MAX_ALTERNATIVES { " or something else" } else { "" };
            wanted.truncate(MAX_ALTERNATIVES);
            let wanted = if wanted.is_empty() { "one of the alternatives".to_owned() } else { wanted.join(" or ") };
            format!("expected {wanted}{more}{}", found_piece())
        }
        ErrorKind::OneOf(Some((one, other))) => {
            format!("expected one of the alternatives to fit, but those at {one} and {other} both do{}", found_piece())
        }
        ErrorKind::Not => format!("expected something else{}", found_piece()),
        ErrorKind::UniqueItems { got: [one, other] } => {
            format!("expected each item once, but those at {one} and {other} are the same{}", found_piece())
        }
        ErrorKind::RefCycle { .. } => "its schema leads in a circle of references here".to_owned(),
        _ => match wanted_of(error) {
            Some(want) => format!("expected {want}{}", found_piece()),
            None => format!("{}{}", cut(&error.kind.to_string(), MAX_PIECE * 2), found_piece()),
        },
    }
}

/// What was expected, where that can be said in a few words.
fn wanted_of(error: &ValidationError<'_, '_>) -> Option<String> {
    Some(match &error.kind {
        ErrorKind::Type { want, .. } => want.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or "),
        ErrorKind::Enum { want } => {
            let all: Vec<String> = want.iter().take(10).map(piece).collect();
            format!("one of {}", cut(&all.join(", "), 2 * MAX_PIECE))
        }
        ErrorKind::Const { want } => piece(want),
        ErrorKind::Format { want, .. } => format!("text in the form of a {want}"),
        ErrorKind::Pattern { want, .. } => format!("text that matches `{}`", cut(want, MAX_PIECE)),
        ErrorKind::MinItems { want, .. } => format!("at least {want} items"),
        ErrorKind::MaxItems { want, .. } => format!("at most {want} items"),
        ErrorKind::MinLength { want, .. } => format!("at least {want} characters"),
        ErrorKind::MaxLength { want, .. } => format!("at most {want} characters"),
        ErrorKind::MinProperties { want, .. } => format!("at least {want} keys"),
        ErrorKind::MaxProperties { want, .. } => format!("at most {want} keys"),
        ErrorKind::Minimum { want, .. } => format!("at least {want}"),
        ErrorKind::Maximum { want, .. } => format!("at most {want}"),
        ErrorKind::ExclusiveMinimum { want, .. } => format!("more than {want}"),
        ErrorKind::ExclusiveMaximum { want, .. } => format!("less than {want}"),
        ErrorKind::MultipleOf { want, .. } => format!("a multiple of {want}"),
        ErrorKind::Required { want } => format!("an object with {}", cut(&want.join(", "), MAX_PIECE)),
        _ => return None,
    })
}

/// The beginning of a value.
pub(super) fn piece(value: &Value) -> String {
    // Not all of a large value is written out for a few characters of it.
    let text = match value {
        Value::String(text) => Value::String(text.chars().take(MAX_PIECE + 1).collect()).to_string(),
        Value::Array(items) if items.len() > MAX_PIECE => format!("a list of {} items", items.len()),
        Value::Object(entries) if entries.len() > MAX_PIECE => format!("an object with {} keys", entries.len()),
        Value::Array(_) | Value::Object(_) => outline(value, &mut { MAX_PIECE + 1 }),
        other => other.to_string(),
    };
    cut(&text, MAX_PIECE)
}

/// A value as JSON, as far as there is room for it.
fn outline(value: &Value, room: &mut usize) -> String {
    if *room == 0 {
        return "…".to_owned();
    }
    let text = match value {
        Value::Array(items) => {
            *room = room.saturating_sub(2);
            let parts = items.iter().take(MAX_PIECE).map_while(|item| (*room > 0).then(|| outline(item, room)));
            format!("[{}]", parts.collect::<Vec<_>>().join(","))
        }
        Value::Object(entries) => {
            *room = room.saturating_sub(2);
            let parts = entries.iter().take(MAX_PIECE).map_while(|(key, item)| {
                let key = Value::String(cut(key, MAX_PIECE)).to_string();
                (*room > 0).then(|| {
                    *room = room.saturating_sub(key.len());
                    format!("{key}:{}", outline(item, room))
                })
            });
            format!("{{{}}}", parts.collect::<Vec<_>>().join(","))
        }
        Value::String(text) => Value::String(text.chars().take(*room).collect()).to_string(),
        other => other.to_string(),
    };
    *room = room.saturating_sub(text.len());
    text
}

/// One line without anything that a terminal would obey.
pub(super) fn line(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    cut(&harmless(words.join(" ")), MAX_LINE)
}

fn cut(text: &str, most: usize) -> String {
    match text.char_indices().nth(most) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
