//! `schedule:` of a job.

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

use crate::model::schedule::{CatchUp, CronFault, MIN_EVERY_MS, Overlap, Rule, Timetable, When, zone};
use crate::model::time::Utc;
use crate::model::yaml::{Node, Value};

use super::keys;
use super::read::Reader;

/// Longest jitter: a day.
const MAX_JITTER_MS: u64 = 86_400_000;

/// Which moment of a day its date alone means.
#[derive(Clone, Copy)]
enum Edge {
    Begin,
    End,
}

/// The rule of a file that has one.
pub(super) fn of(reader: &mut Reader<'_>, root: &Node) -> Option<Rule> {
    let Value::Map(entries) = &root.value else { return None };
    let (_, node) = entries.iter().find(|(key, _)| key.text() == Some("schedule"))?;
    if matches!(node.value, Value::Scalar { .. }) {
        let text = reader.text(node)?;
        return cron(reader, node, &text, zone::DEFAULT, true).map(plain);
    }
    rule(reader, node)
}

/// A file that another one names has no times of its own.
pub(super) fn refuse(reader: &mut Reader<'_>, root: &Node) {
    let Value::Map(entries) = &root.value else { return };
    if let Some((key, _)) = entries.iter().find(|(key, _)| key.text() == Some("schedule")) {
        let hint = "take it out: the job that names this file says when it runs";
        reader.fault(key, "a job that another one runs has no `schedule` of its own".to_owned(), hint);
    }
}

fn plain(when: When) -> Rule {
    Rule { when, start: None, until: None, catch_up: CatchUp::default(), overlap: Overlap::default(), jitter_ms: 0 }
}

fn rule(reader: &mut Reader<'_>, node: &Node) -> Option<Rule> {
    let fields = reader.fields(node, "schedule", keys::SCHEDULE)?;
    let timezone = fields.get("timezone").map(|node| timezone(reader, node));
    // A zone that was refused keeps nothing else from being looked at.
    let name = timezone.clone().flatten().unwrap_or_else(|| zone::DEFAULT.to_owned());
    let when = match (fields.get("cron"), fields.get("every")) {
        (Some(cron), None) => {
            let text = reader.text(cron)?;
            self::cron(reader, cron, &text, &name, timezone.is_none())
        }
        (None, Some(every)) => reader.duration(every, MIN_EVERY_MS).map(|ms| When::Every { ms }),
        (Some(_), Some(_)) => {
            let key = fields.key("every").unwrap_or(node);
            reader.fault(key, "`cron` and `every` at once".to_owned(), "keep one of them");
            None
        }
        (None, None) => {
            let hint = "write cron: \"0 3 * * *\" or every: 15m";
            reader.fault(node, "the schedule says no times".to_owned(), hint);
            None
        }
    };
    let zone = zone::find(&name).unwrap_or(TimeZone::UTC);
    let start = fields.get("start").and_then(|node| time(reader, node, &zone, Edge::Begin));
    let until = fields.get("until").and_then(|node| time(reader, node, &zone, Edge::End));
    let catch_up = fields
        .get("catch_up")
        .and_then(|node| reader.one_of(node, &[("none", CatchUp::None), ("last", CatchUp::Last), ("all", CatchUp::All)]));
    let overlap = fields.get("overlap").and_then(|node| {
        reader.one_of(node, &[("skip", Overlap::Skip), ("queue", Overlap::Queue), ("replace", Overlap::Replace)])
    });
    let jitter = fields.get("jitter").and_then(|node| Some((node, reader.duration(node, 0)?)));
    if let Some((node, _)) = jitter.filter(|(_, ms)| *ms > MAX_JITTER_MS) {
        reader.fault(node, "the jitter is longer than a day".to_owned(), "it is at most 24h");
    }
    let rule = Rule {
        when: when?,
        start,
        until,
        catch_up: catch_up.unwrap_or_default(),
        overlap: overlap.unwrap_or_default(),
        jitter_ms: jitter.map_or(0, |(_, ms)| ms),
    };
    let begins = rule.start.unwrap_or(Utc(0)).plus(-1);
    let never = rule.times(rule.start.unwrap_or(Utc(0))).is_ok_and(|times| times.next_after(begins).is_none());
    if let (true, Some(node)) = (never && rule.until.is_some(), fields.get("until")) {
        reader.fault(node, "no time of the schedule lies before its end".to_owned(), "move `until`, or leave it out");
    }
    Some(rule)
}

fn timezone(reader: &mut Reader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node)?;
    // By the database's own spelling, so that `europe/berlin` is shown as everybody writes it.
    if let Some(zone) = zone::find(name.trim()) {
        return Some(zone.iana_name().unwrap_or(zone::DEFAULT).to_owned());
    }
    let hint = match zone::meant(&name) {
        Some(near) => format!("did you mean `{near}`?"),
        None => "write the name of the zone's database, such as Europe/Berlin or UTC".to_owned(),
    };
    let shown: String = name.chars().take(80).collect();
    reader.fault(node, format!("there is no time zone `{shown}`"), &hint);
    None
}

fn cron(reader: &mut Reader<'_>, node: &Node, text: &str, timezone: &str, is_default: bool) -> Option<When> {
    let table = match Timetable::parse(text, timezone) {
        Ok(table) => table,
        Err(CronFault { offset, message, hint }) => {
            let (line, column) = reader.place_in(node, offset);
            reader.fault_at(line, column, message, &hint);
            return None;
        }
    };
    if table.next_after(Utc(0)).is_none() {
        let shown: String = text.chars().take(80).collect();
        reader.fault(node, format!("`{shown}` names a day that never comes"), "look at the day of the month and the month");
        return None;
    }
    if is_default && table.names_hours() {
        reader.warn(node, "the schedule names hours, but no time zone: they are UTC".to_owned(), "add timezone: Europe/Berlin");
    }
    Some(When::Cron { expression: text.trim().to_owned(), timezone: timezone.to_owned() })
}

/// A point in time: with an offset or `Z`, or as a clock of the schedule's zone shows it.
fn time(reader: &mut Reader<'_>, node: &Node, zone: &TimeZone, edge: Edge) -> Option<Utc> {
    let text = reader.text(node)?;
    let trimmed = text.trim();
    let local = || {
        // A date is no less a date and time, at midnight, to the parser of those.
        if trimmed.contains(['T', 't', ' ', ':']) {
            return zone.to_timestamp(trimmed.parse::<DateTime>().ok()?).ok();
        }
        let date = trimmed.parse::<Date>().ok()?;
        match edge {
            Edge::Begin => zone.to_timestamp(DateTime::from(date)).ok(),
            // To the last moment of the day.
            Edge::End => {
                let midnight = zone.to_timestamp(DateTime::from(date.tomorrow().ok()?)).ok()?;
                midnight.checked_sub(SignedDuration::from_millis(1)).ok()
            }
        }
    };
    match trimmed.parse::<Timestamp>().ok().or_else(local) {
        Some(at) => Some(Utc(at.as_millisecond())),
        None => {
            let shown: String = trimmed.chars().take(80).collect();
            reader.fault(
                node,
                format!("`{shown}` is no time"),
                "write 2027-01-31, 2027-01-31T09:00 or 2027-01-31T09:00:00+01:00",
            );
            None
        }
    }
}
