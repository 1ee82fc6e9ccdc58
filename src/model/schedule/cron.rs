//! Cron expressions with their time zone: which points in time they name.
//!
//! `croner` reads the expression and knows which days it means; which instants follow from that is decided here, so that it can be
//! said in two sentences. An expression that names hours fires once for each local time it names: one that the clock leaves out
//! fires at the first instant after the gap, one that comes twice fires the first time. An expression for every hour just follows
//! the clock as it goes: nothing is made up for an hour that was not, and an hour that comes twice counts twice.

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::{AmbiguousOffset, TimeZone};
use jiff::{SignedDuration, Timestamp};

use crate::model::diagnostic::nearest;
use crate::model::time::Utc;

use super::zone;

/// Days that are looked through for the next time. 29 February on a given weekday comes within 40 years.
const MAX_DAYS: u32 = 41 * 366;
/// No clock is changed by more.
const CALM: SignedDuration = SignedDuration::from_hours(48);
const MONTHS: [&str; 12] = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * sun"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];
const FIELDS: [(&str, &str); 5] = [
    ("minute", "0 to 59"),
    ("hour", "0 to 23"),
    ("day of the month", "1 to 31"),
    ("month", "1 to 12, or jan to dec"),
    ("weekday", "0 to 7 (0 and 7 are Sunday), or sun to sat"),
];

/// A cron expression that was read.
#[derive(Debug, Clone)]
pub struct Timetable {
    cron: Cron,
    zone: TimeZone,
    hours: Vec<i8>,
    minutes: Vec<i8>,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronFault {
    /// Byte of the expression that it begins at.
    pub offset: usize,
    /// What, and why.
    pub message: String,
    /// What to do.
    pub hint: String,
}

impl Timetable {
    /// Reads an expression of five fields, or a name such as `@daily`, for a time zone.
    ///
    /// # Errors
    /// The first fault, with its place. A zone that does not exist is told as a fault of the whole expression.
    pub fn parse(expression: &str, timezone: &str) -> Result<Timetable, CronFault> {
        let cron = read(expression)?;
        let zone = zone::find(timezone).ok_or_else(|| fault(0, format!("there is no time zone `{timezone}`"), ""))?;
        let values = |all: Vec<u16>| all.into_iter().filter_map(|value| i8::try_from(value).ok()).collect();
        let (hours, minutes) = (values(cron.pattern.hours.values()), values(cron.pattern.minutes.values()));
        Ok(Timetable { cron, zone, hours, minutes })
    }

    /// Whether it is meant for certain hours, so that the zone matters to it.
    pub fn names_hours(&self) -> bool {
        self.hours.len() < 24
    }

    /// The first time after `after`; none when there is none within 40 years.
    pub fn next_after(&self, after: Utc) -> Option<Utc> {
        let after = Timestamp::from_millisecond(after.0).ok()?;
        if let Some(found) = self.in_calm(after) {
            return Some(Utc(found.as_millisecond()));
        }
        let today = self.zone.to_datetime(after).date();
        // A clock that goes back, or leaves out an hour around midnight, makes the day before the one to look at.
        let mut date = today.yesterday().unwrap_or(today);
        for _ in 0..MAX_DAYS {
            // What the next day's beginning left out, or comes twice, may lie before the rest of this one.
            let tomorrow = date.tomorrow().ok()?;
            let found = self.of_day(date, after).into_iter().chain(self.of_day(tomorrow, after)).min();
            if let Some(found) = found {
                return Some(Utc(found.as_millisecond()));
            }
            date = tomorrow;
        }
        None
    }

    /// The first time after `after` when that is today or tomorrow and the clock is not changed around either: then local times are
    /// in the order of instants, and nearly all questions are answered at little cost.
    fn in_calm(&self, after: Timestamp) -> Option<Timestamp> {
        let local = self.zone.to_datetime(after);
        let later_today = || self.has_day(local.date()).then(|| self.first_after(local.time())).flatten();
        let found = match later_today() {
            Some(time) => local.date().to_datetime(time),
            None => {
                let tomorrow = local.date().tomorrow().ok().filter(|date| self.has_day(*date))?;
                tomorrow.to_datetime(Time::new(*self.hours.first()?, *self.minutes.first()?, 0, 0).ok()?)
            }
        };
        let found = self.zone.to_ambiguous_timestamp(found).unambiguous().ok()?;
        let begin = after.checked_sub(CALM).ok()?;
        let is_calm = self.zone.following(begin).next().is_none_or(|change| {
            let end = found.checked_add(CALM);
            end.is_ok_and(|end| change.timestamp() > end)
        });
        is_calm.then_some(found)
    }

    /// The first time of a day after this one.
    fn first_after(&self, time: Time) -> Option<Time> {
        let hours = self.hours.iter().filter(|hour| **hour >= time.hour());
        hours.flat_map(|hour| self.minutes.iter().map(|minute| (*hour, *minute))).find_map(|(hour, minute)| {
            let at = Time::new(hour, minute, 0, 0).ok()?;
            (at > time).then_some(at)
        })
    }

    fn has_day(&self, date: Date) -> bool {
        let weekday = croner::Weekday::from_days_from_sunday(date.weekday().to_sunday_zero_offset().unsigned_abs().into());
        let (month, day) = (u32::from(date.month().unsigned_abs()), u32::from(date.day().unsigned_abs()));
        self.cron.pattern.month_match(month).unwrap_or(false)
            && self.cron.pattern.day_match(date.year().into(), month, day, weekday).unwrap_or(false)
    }

    /// The instants of a local day that the expression names, as far as they come after `after`.
    fn of_day(&self, date: Date, after: Timestamp) -> Vec<Timestamp> {
        let mut instants = Vec::new();
        if !self.has_day(date) {
            return instants;
        }
        for hour in &self.hours {
            for minute in &self.minutes {
                let Ok(time) = Time::new(*hour, *minute, 0, 0) else { continue };
                self.instants(date.to_datetime(time), &mut instants);
            }
        }
        instants.retain(|at| *at > after);
        instants
    }

    fn instants(&self, local: DateTime, instants: &mut Vec<Timestamp>) {
        let names_hours = self.names_hours();
        let ambiguous = self.zone.to_ambiguous_timestamp(local);
        match ambiguous.offset() {
            AmbiguousOffset::Unambiguous { .. } => instants.extend(ambiguous.unambiguous().ok()),
            AmbiguousOffset::Gap { .. } if names_hours => instants.extend(self.after_gap(local)),
            AmbiguousOffset::Gap { .. } => {}
            AmbiguousOffset::Fold { .. } if names_hours => instants.extend(ambiguous.earlier().ok()),
            AmbiguousOffset::Fold { .. } => {
                instants.extend([ambiguous.earlier(), ambiguous.later()].into_iter().flatten());
            }
        }
    }

    /// The instant at which the clock leaves out this local time.
    fn after_gap(&self, local: DateTime) -> Option<Timestamp> {
        // By the offset of after the gap the time lies before it, so the next change of the clock is the gap.
        let before = self.zone.to_ambiguous_timestamp(local).earlier().ok()?;
        let next = self.zone.following(before).next()?;
        Some(next.timestamp())
    }
}

fn fault(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> CronFault {
    CronFault { offset, message: message.into(), hint: hint.into() }
}

fn read(expression: &str) -> Result<Cron, CronFault> {
    let trimmed = expression.trim();
    let lower = trimmed.to_ascii_lowercase();
    if lower.is_empty() {
        return Err(fault(0, "the cron expression is empty", "write five fields, such as `0 3 * * mon-fri`"));
    }
    if lower.starts_with('@') {
        return match NICKNAMES.iter().find(|(name, _)| *name == lower) {
            Some((_, meaning)) => parse(meaning).map_err(|why| fault(0, why, "")),
            None => Err(nickname(&lower)),
        };
    }
    let fields = split(expression);
    if fields.len() != FIELDS.len() {
        let count = fields.len();
        let hint = "the fields are minute, hour, day of the month, month and weekday; shorter intervals are `every: 10s`";
        return Err(fault(
            fields.get(FIELDS.len()).or(fields.first()).map_or(0, |(at, _)| *at),
            format!("the cron expression has {count} {}, not 5", if count == 1 { "field" } else { "fields" }),
            hint,
        ));
    }
    for (place, (offset, field)) in fields.iter().enumerate() {
        check(place, *offset, field)?;
    }
    parse(trimmed).map_err(|why| fault(fields[0].0, why, ""))
}

fn nickname(lower: &str) -> CronFault {
    let names = || NICKNAMES.iter().map(|(name, _)| *name);
    let hint = match nearest(lower, names()) {
        _ if lower.starts_with("@every") => "write `every: 15m` in place of `cron`".to_owned(),
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("there are {}", names().collect::<Vec<_>>().join(", ")),
    };
    fault(0, format!("`{}` names no time", lower.chars().take(40).collect::<String>()), hint)
}

/// The fields with the byte that each begins at.
fn split(expression: &str) -> Vec<(usize, &str)> {
    let start = expression.as_ptr() as usize;
    expression.split_whitespace().map(|field| (field.as_ptr() as usize - start, field)).collect()
}

/// A field by itself, so that the fault has a place. Names are looked at here: `croner` replaces them wherever they stand.
fn check(place: usize, offset: usize, field: &str) -> Result<(), CronFault> {
    let (name, values) = FIELDS[place];
    let known: &[&str] = match place {
        3 => &MONTHS,
        4 => &DAYS,
        _ => &[],
    };
    let hint = || format!("the {name} is {values}; also *, lists (1,2), ranges (1-5) and steps (*/10)");
    let words = field.split(|c: char| !c.is_ascii_alphabetic()).filter(|word| !word.is_empty());
    for word in words {
        let lower = word.to_ascii_lowercase();
        let is_letter = matches!((place, lower.as_str()), (2, "l" | "w" | "lw") | (4, "l"));
        // `fril`: the last Friday.
        let is_last = place == 4 && lower.strip_suffix('l').is_some_and(|day| known.contains(&day));
        if !is_letter && !is_last && !known.contains(&lower.as_str()) {
            let at = offset + (word.as_ptr() as usize - field.as_ptr() as usize);
            let hint = nearest(&lower, known.iter().copied()).map_or_else(hint, |near| format!("did you mean `{near}`?"));
            let word: String = word.chars().take(40).collect();
            return Err(fault(at, format!("`{word}` is no {name}"), hint));
        }
    }
    if field.split(',').any(str::is_empty) {
        return Err(fault(offset, format!("`{}` has an empty part", shown(field)), hint()));
    }
    let mut alone = ["*"; 5];
    alone[place] = field;
    parse(&alone.join(" ")).map(drop).map_err(|_| fault(offset, format!("`{}` is no {name}", shown(field)), hint()))
}

fn shown(field: &str) -> String {
    field.chars().take(40).collect()
}

fn parse(expression: &str) -> Result<Cron, String> {
    let parser = CronParser::builder().seconds(Seconds::Disallowed).year(Year::Disallowed).build();
    parser.parse(expression).map_err(|error| error.to_string())
}
