//! The time at which a limit is lifted, as people write it: "3pm (Europe/Berlin)", "Mar 5 at 9:30am", "|1735689600".

use jiff::civil::{Date, DateTime, Time, Weekday};
use jiff::tz::{Offset, TimeZone};
use jiff::{Span, Timestamp};

use crate::model::time::Utc;

/// A time of day without a date is today's until it is past by this, in seconds: it was printed in whole minutes.
const TIME_SLACK: i64 = 120;
/// A date without a year is this year's until it is past by this, in seconds.
const DATE_SLACK: i64 = 86_400;
/// Most words that are looked at.
const MAX_WORDS: usize = 12;

/// Finds the time in `rest`, which follows the name of the limit.
pub(super) fn resets_at(rest: &str, now: Utc, local_zone: &TimeZone) -> Option<Utc> {
    if let Some(digits) = rest.strip_prefix('|') {
        return epoch(digits);
    }
    let now = Timestamp::from_millisecond(now.0).ok()?;
    let lower = rest.to_ascii_lowercase();
    let keywords = ["reset", "resuming", "try again"];
    let begin = keywords.iter().find_map(|word| lower.find(word).map(|at| at + word.len()))?;
    let phrase = rest[begin..].lines().next()?.split(['·', '∙', '•', '—', '|']).next()?;
    let words = words(phrase.strip_prefix('s').unwrap_or(phrase));
    let time = match words.first().map(String::as_str) {
        Some("in") => relative(&words[1..], now),
        _ => absolute(&words, now, local_zone),
    }?;
    Some(Utc(time.as_millisecond()))
}

/// Seconds or milliseconds since 1970.
fn epoch(digits: &str) -> Option<Utc> {
    let digits: String = digits.chars().take_while(char::is_ascii_digit).take(14).collect();
    let number: i64 = digits.parse().ok()?;
    match digits.len() {
        9..=11 => Some(Utc(number * 1000)),
        12..=13 => Some(Utc(number)),
        _ => None,
    }
}

/// Lower-case words without commas, brackets and final full stops; the names of zones keep their letters.
fn words(phrase: &str) -> Vec<String> {
    let parts = phrase.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'));
    let words = parts.map(|word| word.trim_end_matches(['.', ';', '!'])).filter(|word| !word.is_empty());
    let fold = |word: &str| if word.contains('/') { word.to_owned() } else { word.to_ascii_lowercase() };
    words.map(fold).filter(|word| word != "at" && word != "on").take(MAX_WORDS).collect()
}

/// "2h 15m", "3 hours", "45 minutes".
fn relative(words: &[String], now: Timestamp) -> Option<Timestamp> {
    let joined = words.iter().take(6).map(String::as_str).collect::<String>();
    let mut seconds: i64 = 0;
    let mut rest = joined.as_str();
    while let Some(end) = rest.find(|c: char| !c.is_ascii_digit()).filter(|end| *end > 0) {
        let number: i64 = rest[..end].parse().ok()?;
        let unit_end = rest[end..].find(|c: char| c.is_ascii_digit()).map_or(rest.len(), |at| end + at);
        let unit = match rest[end..unit_end].trim_end_matches("and") {
            "d" | "day" | "days" => 86_400,
            "h" | "hr" | "hrs" | "hour" | "hours" => 3600,
            "m" | "min" | "mins" | "minute" | "minutes" => 60,
            "s" | "sec" | "second" | "seconds" => 1,
            _ => return None,
        };
        seconds = seconds.checked_add(number.checked_mul(unit)?)?;
        rest = &rest[unit_end..];
    }
    (seconds > 0 && seconds < 400 * 86_400).then(|| now.checked_add(Span::new().try_seconds(seconds).ok()?).ok())?
}

/// The parts of a point in time, as far as they are written.
#[derive(Default)]
struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    weekday: Option<Weekday>,
    tomorrow: bool,
    time: Option<Time>,
    zone: Option<TimeZone>,
}

fn absolute(words: &[String], now: Timestamp, local_zone: &TimeZone) -> Option<Timestamp> {
    if let Some(time) = words.first().and_then(|word| word.to_ascii_uppercase().parse::<Timestamp>().ok()) {
        return Some(time);
    }
    let mut parts = Parts::default();
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let next = words.get(at + 1).map(String::as_str);
        let taken = parts.take(word, next, now, local_zone)?;
        if taken == 0 {
            break;
        }
        at += taken;
    }
    let zone = parts.zone.take().unwrap_or_else(|| local_zone.clone());
    parts.resolve(now, &zone)
}

impl Parts {
    /// Takes a word, or two; says how many. 0: it belongs to something else. None: what it says cannot be understood, so
    /// nothing may be made of the rest.
    fn take(&mut self, word: &str, next: Option<&str>, now: Timestamp, local_zone: &TimeZone) -> Option<usize> {
        if let Some(month) = month(word).filter(|_| self.month.is_none()) {
            self.month = Some(month);
        } else if let Some(weekday) = weekday(word).filter(|_| self.weekday.is_none()) {
            self.weekday = Some(weekday);
        } else if let Some(date) = word.parse::<Date>().ok().filter(|_| word.len() == 10) {
            (self.year, self.month, self.day) = (Some(date.year()), Some(date.month()), Some(date.day()));
        } else if let Some((time, taken)) = time(word, next).filter(|_| self.time.is_none()) {
            self.time = Some(time?);
            return Some(taken);
        } else if let Some(number) = ordinal(word) {
            match number {
                1..=31 if self.day.is_none() => self.day = i8::try_from(number).ok(),
                2000..=9999 if self.year.is_none() => self.year = Some(number),
                _ => return None,
            }
        } else if word == "tomorrow" {
            self.tomorrow = true;
        } else if word == "today" || word == "the" {
        } else if let Some(zone) = zone(word, now, local_zone).filter(|_| self.zone.is_none()) {
            self.zone = Some(zone?);
        } else {
            return Some(0);
        }
        Some(1)
    }

    fn resolve(&self, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
        let here = now.to_zoned_datetime(zone.clone());
        let time = self.time.unwrap_or(Time::midnight());
        match (self.month, self.day) {
            (Some(month), Some(day)) => {
                let in_year = |year: i16| Some(instant(Date::new(year, month, day).ok()?.to_datetime(time), now, zone));
                match self.year {
                    Some(year) => in_year(year)?,
                    // 29 February may be missing in this year.
                    None => match in_year(here.year()).flatten() {
                        Some(at) if at.as_second() + DATE_SLACK >= now.as_second() => Some(at),
                        _ => (1..=8).find_map(|more| in_year(here.year().checked_add(more)?).flatten()),
                    },
                }
            }
            (None, None) if self.weekday.is_some() || self.tomorrow || self.time.is_some() => {
                let days = if self.tomorrow { 1 } else { 0 };
                let step = if self.weekday.is_some() { 7 } else { 1 };
                let ahead = self.weekday.map_or(days, |weekday| i64::from(here.weekday().until(weekday)));
                let on = |days: i64| {
                    let date = here.date().checked_add(Span::new().try_days(days).ok()?).ok()?;
                    instant(date.to_datetime(time), now, zone)
                };
                match on(ahead) {
                    Some(at) if at.as_second() + TIME_SLACK < now.as_second() => on(ahead + step),
                    other => other,
                }
            }
            _ => None,
        }
    }
}

/// The point in time at which clocks of `zone` show `civil`. A time that they skip is as much later; of one that they show
/// twice the first, unless it is past.
fn instant(civil: DateTime, now: Timestamp, zone: &TimeZone) -> Option<Timestamp> {
    let ambiguous = zone.to_ambiguous_timestamp(civil);
    let first = ambiguous.compatible().ok()?;
    match first.as_second() + TIME_SLACK < now.as_second() {
        true => zone.to_ambiguous_timestamp(civil).later().ok(),
        false => Some(first),
    }
}

/// "3pm", "10:30am", "3:30 pm", "15:00", "18:55:29"; the inner none when it looks like a time and is none.
fn time(word: &str, next: Option<&str>) -> Option<(Option<Time>, usize)> {
    let half = |text: &str| match text {
        "am" | "a.m" => Some(false),
        "pm" | "p.m" => Some(true),
        _ => None,
    };
    let digits = word.find(|c: char| !c.is_ascii_digit() && c != ':').unwrap_or(word.len());
    let (clock, suffix) = word.split_at(digits);
    if clock.is_empty() {
        return None;
    }
    let (is_pm, taken) = match (half(suffix), next.and_then(half)) {
        (Some(is_pm), _) => (Some(is_pm), 1),
        (None, Some(is_pm)) if suffix.is_empty() => (Some(is_pm), 2),
        _ if suffix.is_empty() && clock.contains(':') => (None, 1),
        _ => return None,
    };
    Some((clock_time(clock, is_pm), taken))
}

fn clock_time(clock: &str, is_pm: Option<bool>) -> Option<Time> {
    let mut numbers = clock.split(':').map(|part| part.parse::<i8>().ok().filter(|_| part.len() <= 2));
    let hour = numbers.next()??;
    let minute = numbers.next().unwrap_or(Some(0))?;
    let second = numbers.next().unwrap_or(Some(0))?;
    let hour = match is_pm {
        None => hour,
        Some(is_pm) if (1..=12).contains(&hour) => hour % 12 + if is_pm { 12 } else { 0 },
        Some(_) => return None,
    };
    if numbers.next().is_some() { None } else { Time::new(hour, minute, second, 0).ok() }
}

/// "5", "5th", "2027".
fn ordinal(word: &str) -> Option<i16> {
    let digits = word.find(|c: char| !c.is_ascii_digit()).unwrap_or(word.len());
    matches!(&word[digits..], "" | "st" | "nd" | "rd" | "th").then(|| word[..digits].parse().ok())?
}

fn month(word: &str) -> Option<i8> {
    let months = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
    let letters = word.bytes().all(|byte| byte.is_ascii_alphabetic()) && (3..=9).contains(&word.len());
    let number = months.iter().position(|month| word.starts_with(month)).filter(|_| letters && word != "monday")?;
    i8::try_from(number + 1).ok()
}

fn weekday(word: &str) -> Option<Weekday> {
    use Weekday::{Friday, Monday, Saturday, Sunday, Thursday, Tuesday, Wednesday};
    let days = [
        ("monday", Monday),
        ("tuesday", Tuesday),
        ("wednesday", Wednesday),
        ("thursday", Thursday),
        ("friday", Friday),
        ("saturday", Saturday),
        ("sunday", Sunday),
    ];
    days.iter().find(|(day, _)| word.len() >= 3 && day.starts_with(word)).map(|(_, day)| *day)
}

/// "Europe/Berlin", "utc", "gmt+2", "pst"; the inner none when it looks like a zone that is not known here.
fn zone(word: &str, now: Timestamp, local_zone: &TimeZone) -> Option<Option<TimeZone>> {
    if word.contains('/') {
        return Some(TimeZone::get(word).ok());
    }
    let fixed = |minutes: i32| Offset::from_seconds(minutes * 60).ok().map(TimeZone::fixed);
    if let Some(offset) = word.strip_prefix("utc").or_else(|| word.strip_prefix("gmt")) {
        return Some(if offset.is_empty() { Some(TimeZone::UTC) } else { offset_minutes(offset).and_then(fixed) });
    }
    // An abbreviation is the local zone's own, if it has it; several are used by more than one.
    if local_zone.to_offset_info(now).abbreviation().eq_ignore_ascii_case(word) {
        return Some(Some(local_zone.clone()));
    }
    ABBREVIATIONS.iter().find(|(name, _)| *name == word).map(|(_, minutes)| fixed(*minutes))
}

/// "+2", "-5:30", "+0530".
fn offset_minutes(text: &str) -> Option<i32> {
    let sign = match text.chars().next()? {
        '+' => 1,
        '-' | '\u{2212}' => -1,
        _ => return None,
    };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let number: i32 = digits.parse().ok()?;
    let minutes = if digits.len() <= 2 { number * 60 } else { number / 100 * 60 + number % 100 };
    (digits.len() <= 4 && minutes <= 14 * 60).then_some(sign * minutes)
}

/// Minutes east of UTC.
const ABBREVIATIONS: &[(&str, i32)] = &[
    ("z", 0),
    ("wet", 0),
    ("west", 60),
    ("bst", 60),
    ("cet", 60),
    ("cest", 120),
    ("eet", 120),
    ("eest", 180),
    ("msk", 180),
    ("ist", 330),
    ("sgt", 480),
    ("hkt", 480),
    ("jst", 540),
    ("kst", 540),
    ("aest", 600),
    ("aedt", 660),
    ("nzst", 720),
    ("nzdt", 780),
    ("est", -300),
    ("edt", -240),
    ("cst", -360),
    ("cdt", -300),
    ("mst", -420),
    ("mdt", -360),
    ("pst", -480),
    ("pdt", -420),
];
