//! The sentence in which the CLI says that a usage limit is reached.
//!
//! Only runs with a subscription's token get a `rate_limit_event`, and not in every version; the sentence is then all there
//! is. Its wordings were gathered from version 2.1.197 and from reports of its users; `tests.rs` lists them.

mod when;

use jiff::tz::TimeZone;

use crate::model::report::LimitKind;
use crate::model::time::Utc;

/// Longest text taken for such a sentence; what people and models write about limits is longer.
const MAX_TEXT: usize = 400;
/// Most words of "org's monthly spend limit".
const MAX_NAME: usize = 4;

/// What the sentence says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Banner {
    /// Which limit.
    pub kind: LimitKind,
    /// When it is lifted, if that is said in a way that is understood.
    pub resets_at: Option<Utc>,
}

/// Reads `text`; none when it is no such sentence: a warning, another error, or an answer that speaks about limits.
///
/// `now` is when the sentence was written, and `local_zone` the zone of who wrote it: times come without a date, dates
/// without a year, and sometimes without a zone.
pub fn parse(text: &str, now: Utc, local_zone: &TimeZone) -> Option<Banner> {
    let text = text.trim();
    if text.len() > MAX_TEXT {
        return None;
    }
    let text = text.replace('\u{2019}', "'");
    let text = ["Error: ", "API Error: "].iter().find_map(|prefix| text.strip_prefix(prefix)).unwrap_or(&text);
    let (subject, rest) = subject(text)?;
    Some(Banner { kind: kind(subject), resets_at: when::resets_at(rest, now, local_zone) })
}

/// The part that names the limit, and what follows it.
fn subject(text: &str) -> Option<(&str, &str)> {
    let lower = text.to_ascii_lowercase();
    let openings = ["you've hit your ", "you have hit your ", "you've reached your ", "you have reached your "];
    if let Some(opening) = openings.iter().find(|opening| lower.starts_with(**opening)) {
        return up_to_limit(text, opening.len());
    }
    let spent = [
        "you're out of extra usage",
        "you're out of usage credits",
        "out of extra usage",
        "out of usage credits",
        "your org is out of usage",
    ];
    if let Some(opening) = spent.iter().find(|opening| lower.starts_with(**opening)) {
        return ends_there(text, opening.len());
    }
    if ["your usage limit will reset", "your limit will reset"].iter().any(|opening| lower.starts_with(opening)) {
        return Some((&text[..lower.find(" will")?], text));
    }
    let (named, rest) = up_to_limit_reached(text, &lower)?;
    is_limit_name(named).then_some((named, rest))
}

/// "… session limit": from `begin` to the first "limit", if the sentence or a part of it ends there.
fn up_to_limit(text: &str, begin: usize) -> Option<(&str, &str)> {
    let end = begin + text[begin..].to_ascii_lowercase().find("limit")? + "limit".len();
    (text[begin..end].split_whitespace().count() <= MAX_NAME).then(|| ends_there(text, end))?
}

/// "Weekly limit reached …", the wording of earlier versions.
fn up_to_limit_reached<'a>(text: &'a str, lower: &str) -> Option<(&'a str, &'a str)> {
    let end = lower.find("limit reached")? + "limit reached".len();
    let (named, rest) = (&text[..end], &text[end..]);
    let for_a_time = rest.strip_prefix(" for ").is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    if for_a_time { Some((named, rest)) } else { ends_there(text, end) }
}

/// Whether the words before "reached" name a limit of the provider.
fn is_limit_name(named: &str) -> bool {
    let known = [
        "claude",
        "ai",
        "usage",
        "5-hour",
        "five-hour",
        "hourly",
        "session",
        "weekly",
        "7-day",
        "daily",
        "monthly",
        "opus",
        "sonnet",
        "haiku",
        "fable",
        "spend",
        "spending",
        "limit",
        "reached",
        "credit",
        "extra",
        "model",
    ];
    let words: Vec<String> = named.split_whitespace().map(str::to_ascii_lowercase).collect();
    words.iter().all(|word| known.contains(&word.as_str()))
}

/// Splits `text` at `end` if the sentence ends there, or goes on in a way that the CLI's does.
fn ends_there(text: &str, end: usize) -> Option<(&str, &str)> {
    let (subject, rest) = text.split_at(end);
    let marked = rest.trim_start().chars().next();
    let known = [
        "reset",
        "your limit will reset",
        "your limit resets",
        "your usage limit will reset",
        "will reset",
        "resuming",
        "try again",
        "please",
        "upgrade",
        "run /",
        "/",
        "ask your",
        "contact",
        "visit",
        "switch",
        "wait",
        "raise",
    ];
    let goes_on = |rest: &str| {
        let rest = rest.trim_start_matches([' ', '.', ',', '-', '\n', '(']).to_ascii_lowercase();
        rest.is_empty() || known.iter().any(|known| rest.starts_with(known))
    };
    let ends = match marked {
        None | Some('·' | '∙' | '•' | '|' | '—' | '–') => true,
        _ => goes_on(rest),
    };
    ends.then_some((subject, rest))
}

fn kind(subject: &str) -> LimitKind {
    let subject = subject.to_ascii_lowercase();
    let has = |words: &[&str]| words.iter().any(|word| subject.contains(word));
    if has(&["spend", "extra usage", "credit", "monthly", "out of usage"]) {
        LimitKind::Spend
    } else if has(&["opus", "sonnet", "haiku", "fable", "model"]) {
        LimitKind::Model
    } else if has(&["weekly", "7-day"]) {
        LimitKind::Weekly
    } else if has(&["session", "5-hour", "five-hour", "hourly"]) {
        LimitKind::Session
    } else {
        LimitKind::Unknown
    }
}

#[cfg(test)]
mod tests;
