use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn at(text: &str) -> Utc {
    Utc(text.parse::<Timestamp>().unwrap().as_millisecond())
}

fn rule(when: When) -> Rule {
    Rule { when, start: None, until: None, catch_up: CatchUp::Last, overlap: Overlap::Skip, jitter_ms: 0 }
}

fn cron(expression: &str, timezone: &str) -> Rule {
    rule(When::Cron { expression: expression.to_owned(), timezone: timezone.to_owned() })
}

/// The next times as the clock of the zone shows them, with the offset.
fn next(expression: &str, timezone: &str, after: &str, count: usize) -> Vec<String> {
    let table = Timetable::parse(expression, timezone).unwrap();
    let zone = zone::find(timezone).unwrap();
    let mut from = at(after);
    (0..count)
        .map(|_| {
            from = table.next_after(from).unwrap();
            Timestamp::from_millisecond(from.0).unwrap().to_zoned_datetime(zone.clone()).strftime("%F %H:%M %z").to_string()
        })
        .collect()
}

#[test]
fn a_time_that_the_clock_leaves_out_fires_once_right_after_the_gap() {
    // In Berlin 2:00 to 3:00 was not on 29 March 2026.
    let night = "2026-03-28T12:00:00Z";
    assert_eq!(next("30 2 * * *", "Europe/Berlin", night, 2), ["2026-03-29 03:00 +0200", "2026-03-30 02:30 +0200"]);
    let several = next("0,20,40 2 * * *", "Europe/Berlin", night, 2);
    assert_eq!(several, ["2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"], "all that was left out is one time");
    let after = next("0 2,3 * * *", "Europe/Berlin", night, 2);
    assert_eq!(after, ["2026-03-29 03:00 +0200", "2026-03-30 02:00 +0200"], "the time after the gap is there once");
    // Lord Howe moves by half an hour.
    let lord_howe = next("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", 2);
    assert_eq!(lord_howe, ["2026-10-04 02:30 +1100", "2026-10-05 02:15 +1100"]);
    // In Cairo the gap begins at midnight.
    let cairo = next("0 0 * * *", "Africa/Cairo", "2026-04-22T23:00:00Z", 2);
    assert_eq!(cairo, ["2026-04-24 01:00 +0300", "2026-04-25 00:00 +0300"]);
    // Samoa went over the date line: 30 December 2011 was not.
    let samoa = next("0 9 30 12 *", "Pacific/Apia", "2011-12-01T00:00:00Z", 1);
    assert_eq!(samoa, ["2011-12-31 00:00 +1400"]);
}

#[test]
fn a_time_that_comes_twice_fires_once_unless_it_is_meant_for_every_hour() {
    // In Berlin 2:00 to 3:00 was twice on 25 October 2026.
    let night = "2026-10-24T12:00:00Z";
    assert_eq!(next("30 2 * * *", "Europe/Berlin", night, 2), ["2026-10-25 02:30 +0200", "2026-10-26 02:30 +0100"]);
    let steps = next("*/30 2 * * *", "Europe/Berlin", night, 3);
    assert_eq!(steps, ["2026-10-25 02:00 +0200", "2026-10-25 02:30 +0200", "2026-10-26 02:00 +0100"]);
    let hourly = next("0 * * * *", "Europe/Berlin", "2026-10-24T23:30:00Z", 3);
    assert_eq!(hourly, ["2026-10-25 02:00 +0200", "2026-10-25 02:00 +0100", "2026-10-25 03:00 +0100"]);
    let spring = next("30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2);
    assert_eq!(spring, ["2026-03-29 01:30 +0100", "2026-03-29 03:30 +0200"], "no hour is made up for");
}

#[test]
fn names_ranges_steps_and_nicknames_are_known() {
    let start = "2026-11-25T22:00:00Z";
    assert_eq!(next("0 3 * * mon-fri", "UTC", start, 3)[2], "2026-11-30 03:00 +0000");
    assert_eq!(next("0 3 * * MON,wed", "UTC", start, 1), ["2026-11-30 03:00 +0000"]);
    assert_eq!(next("*/20 9-10 1 jan *", "UTC", start, 6)[5], "2027-01-01 10:40 +0000");
    assert_eq!(next("0 0 29 2 *", "UTC", start, 1), ["2028-02-29 00:00 +0000"]);
    assert_eq!(next("0 0 * * 7", "UTC", start, 1), next("@weekly", "UTC", start, 1));
    assert_eq!(next("0 0 * * sat-sun", "UTC", start, 2), ["2026-11-28 00:00 +0000", "2026-11-29 00:00 +0000"]);
    assert_eq!(next("@daily", "America/New_York", start, 1), ["2026-11-26 00:00 -0500"]);
    assert_eq!(next("0 0 13 * fri", "UTC", start, 2), ["2026-11-27 00:00 +0000", "2026-12-04 00:00 +0000"], "one of both");
}

#[test]
fn what_is_no_expression_is_told_with_its_place() {
    let fault = |text: &str| {
        let fault = Timetable::parse(text, "UTC").unwrap_err();
        (fault.offset, format!("{} ({})", fault.message, fault.hint))
    };
    for (text, offset, says) in [
        ("61 3 * * *", 0, "`61` is no minute"),
        ("0 24 * * *", 2, "`24` is no hour"),
        ("0 3 * * mo-fri", 8, "`mo` is no weekday (did you mean `mon`?)"),
        ("0 3 * foo *", 6, "`foo` is no month"),
        ("0 3 * mon *", 6, "`mon` is no month"),
        ("sun 3 * * *", 0, "`sun` is no minute"),
        ("0 3 32 * *", 4, "`32` is no day of the month"),
        ("0 3 * * fri-mon", 8, "`fri-mon` is no weekday"),
        ("0  3 * * 1,,2", 9, "has an empty part"),
        ("*/0 * * * *", 0, "`*/0` is no minute"),
        ("0 3 * *", 0, "has 4 fields, not 5"),
        ("0 0 3 * * *", 10, "has 6 fields, not 5"),
        ("15m", 0, "`every: 10s`"),
        ("", 0, "is empty"),
        ("@dayly", 0, "did you mean `@daily`?"),
        ("@reboot", 0, "names no time"),
        ("@every 5m", 0, "`every: 15m`"),
        ("ü 3 * * *", 0, "`ü` is no minute"),
    ] {
        let (found, message) = fault(text);
        assert!(found == offset && message.contains(says), "{text}: at {found}: {message}");
    }
}

#[test]
fn a_day_that_never_comes_has_no_next_time() {
    let never = |text: &str| Timetable::parse(text, "UTC").unwrap().next_after(at("2026-01-01T00:00:00Z"));
    assert_eq!((never("0 0 30 2 *"), never("0 0 31 4,6,9,11 *")), (None, None));
}

#[test]
fn every_counts_from_its_start_and_does_not_drift() {
    let every = rule(When::Every { ms: 7 * 60_000 });
    let added = at("2026-11-25T10:00:03Z");
    let times = every.times(added).unwrap();
    assert_eq!(times.next_after(added), Some(added.plus(7 * MINUTE)), "not at once");
    assert_eq!(times.next_after(added.plus(100 * MINUTE + 1)), Some(added.plus(105 * MINUTE)));
    assert_eq!(times.next_after(added.plus(-1)), Some(added));
    let begun = Rule { start: Some(at("2026-11-26T00:00:00Z")), until: Some(at("2026-11-26T00:10:00Z")), ..every };
    let times = begun.times(added).unwrap();
    assert_eq!(times.next_after(added), Some(at("2026-11-26T00:00:00Z")), "the start is the first time");
    assert_eq!(times.next_after(at("2026-11-26T00:00:00Z")), Some(at("2026-11-26T00:07:00Z")));
    assert_eq!(times.next_after(at("2026-11-26T00:07:00Z")), None, "none after its end");
}

#[test]
fn passed_times_are_counted_and_the_newest_are_kept() {
    let from = at("2026-01-01T00:00:00Z");
    let hourly = cron("0 * * * *", "UTC");
    let times = hourly.times(from).unwrap();
    let three = times.between(from, from.plus(3 * HOUR));
    assert_eq!((three.count, three.newest), (3, (1..=3).map(|n| from.plus(n * HOUR)).collect()));
    let many = times.between(from, from.plus(1_000 * HOUR));
    assert_eq!((many.count, many.newest.len(), many.newest[100]), (1_000, MAX_CATCH_UP + 1, from.plus(1_000 * HOUR)));
    // More than are counted: a year of seconds.
    let seconds = rule(When::Every { ms: 1_000 });
    let year = seconds.times(from).unwrap().between(from, from.plus(365 * 24 * HOUR));
    assert!(year.count >= MAX_COUNTED);
    assert_eq!((year.newest.len(), year.newest[100]), (MAX_CATCH_UP + 1, from.plus(365 * 24 * HOUR)));
}

#[test]
fn a_week_of_missed_minutes_holds_nobody_up() {
    let minutely = cron("* * * * *", "Europe/Berlin");
    let from = at("2026-06-01T00:00:00Z");
    let times = minutely.times(from).unwrap();
    let begun = std::time::Instant::now();
    let week = times.between(from, from.plus(7 * 24 * HOUR));
    assert_eq!((week.count, week.newest.len()), (7 * 24 * 60, KEPT), "also when few lie beyond those that are counted");
    assert_eq!((week.newest[0], week.newest[KEPT - 1]), (from.plus(7 * 24 * HOUR - 100 * MINUTE), from.plus(7 * 24 * HOUR)));
    // Finding all instants of three days for each of them takes far longer.
    assert!(begun.elapsed() < std::time::Duration::from_secs(2), "{:?}", begun.elapsed());
}

#[test]
fn zones_are_found_whatever_their_case_and_near_misses_are_named() {
    assert!(zone::find("europe/berlin").is_some() && zone::find("utc").is_some());
    assert!(zone::find("Europe/Berln").is_none() && zone::find("../../etc/passwd").is_none());
    assert_eq!(zone::meant("Europe/Berln").as_deref(), Some("Europe/Berlin"));
    assert_eq!(zone::meant("new york").as_deref(), Some("America/New_York"));
}

#[test]
fn a_rule_is_told_in_words() {
    let queue = Rule { overlap: Overlap::Queue, catch_up: CatchUp::All, jitter_ms: 90_000, ..rule(When::Every { ms: 900_000 }) };
    assert_eq!(queue.to_string(), "every 15m, queues, catches all up, up to 1m30s later");
    assert_eq!(cron("0 3 * * mon-fri", "Europe/Berlin").to_string(), "0 3 * * mon-fri Europe/Berlin");
}

/// A field as a set of numbers, written down at random, and what it means: the oracle does not read it.
fn field(least: u32, most: u32) -> impl Strategy<Value = (String, Vec<u32>)> {
    let all: Vec<u32> = (least..=most).collect();
    let (one, range, step) = (all.clone(), all.clone(), all.clone());
    prop_oneof![
        3 => Just(("*".to_owned(), all.clone())),
        3 => prop::sample::subsequence(one, 1..4).prop_map(|set| {
            (set.iter().map(u32::to_string).collect::<Vec<_>>().join(","), set)
        }),
        2 => (prop::sample::select(range), 0u32..12).prop_map(move |(from, more)| {
            let to = (from + more).min(most);
            (format!("{from}-{to}"), (from..=to).collect())
        }),
        2 => (1u32..20).prop_map(move |by| {
            (format!("*/{by}"), step.iter().copied().filter(|n| (n - least).is_multiple_of(by)).collect())
        }),
    ]
}

/// Goes minute by minute over real time and asks the clock of the place.
struct Oracle {
    fields: [Vec<u32>; 5],
    stars: (bool, bool),
    zone: TimeZone,
}

impl Oracle {
    fn names(&self, local: DateTime) -> bool {
        let [minutes, hours, days, months, weekdays] = &self.fields;
        let weekday = u32::try_from(local.weekday().to_sunday_zero_offset()).unwrap();
        let day = days.contains(&u32::try_from(local.day()).unwrap());
        let weekday = weekdays.contains(&weekday) || (weekday == 0 && weekdays.contains(&7));
        let has_day = match self.stars {
            (false, false) => day || weekday,
            _ => day && weekday,
        };
        minutes.contains(&u32::try_from(local.minute()).unwrap())
            && hours.contains(&u32::try_from(local.hour()).unwrap())
            && months.contains(&u32::try_from(local.month()).unwrap())
            && has_day
    }

    fn times(&self, from: Utc, to: Utc) -> Vec<Utc> {
        let local = |at: i64| self.zone.to_datetime(Timestamp::from_millisecond(at).unwrap());
        let names_hours = (0..24).any(|hour| !self.fields[1].contains(&hour));
        // A time comes a second time when the clock showed it before, up to three hours ago.
        let was = |at: i64| (1..=180).any(|back| local(at - back * MINUTE) == local(at));
        let mut times = Vec::new();
        let mut minute = from.0 - from.0.rem_euclid(MINUTE) + MINUTE;
        while minute <= to.0 {
            let (before, now) = (local(minute - MINUTE), local(minute));
            let mut left_out = before.checked_add(jiff::Span::new().minutes(1)).unwrap();
            let mut is_due = self.names(now) && !(names_hours && was(minute));
            while names_hours && left_out < now {
                is_due |= self.names(left_out);
                left_out = left_out.checked_add(jiff::Span::new().minutes(1)).unwrap();
            }
            if is_due {
                times.push(Utc(minute));
            }
            minute += MINUTE;
        }
        times
    }
}

/// Where and when clocks change, in both directions, with days around them.
const CHANGES: [(&str, &str); 10] = [
    ("Europe/Berlin", "2026-03-28T00:00:00Z"),
    ("Europe/Berlin", "2026-10-24T00:00:00Z"),
    ("America/New_York", "2026-03-07T12:00:00Z"),
    ("America/New_York", "2026-10-31T12:00:00Z"),
    ("Australia/Lord_Howe", "2026-10-03T00:00:00Z"),
    ("Australia/Lord_Howe", "2026-04-04T00:00:00Z"),
    ("Africa/Cairo", "2026-04-23T00:00:00Z"),
    ("Africa/Cairo", "2026-10-29T00:00:00Z"),
    ("America/Nuuk", "2026-03-28T00:00:00Z"),
    ("Asia/Kathmandu", "2026-03-28T00:00:00Z"),
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn next_times_are_those_that_a_clock_on_the_wall_shows(
        fields in (field(0, 59), field(0, 23), field(1, 31), field(1, 12), field(0, 6)),
        place in prop::sample::select(CHANGES.to_vec()),
        begins in 0i64..36 * 60,
    ) {
        let (minutes, hours, days, months, weekdays) = fields;
        let expression = [&minutes.0, &hours.0, &days.0, &months.0, &weekdays.0].map(String::as_str).join(" ");
        let stars = (days.0 == "*", weekdays.0 == "*");
        let zone = zone::find(place.0).unwrap();
        let oracle = Oracle { fields: [minutes.1, hours.1, days.1, months.1, weekdays.1], stars, zone };
        let from = at(place.1).plus(begins * MINUTE);
        let to = from.plus(60 * HOUR);
        let table = Timetable::parse(&expression, place.0).unwrap();
        let mut found = Vec::new();
        let mut last = from;
        while let Some(next) = table.next_after(last).filter(|next| *next <= to) {
            prop_assert!(next > last, "{expression} goes on");
            found.push(next);
            last = next;
        }
        prop_assert_eq!(found, oracle.times(from, to), "{} in {}", expression, place.0);
    }
}
