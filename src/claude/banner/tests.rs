use jiff::tz::TimeZone;

use super::*;
use crate::model::report::LimitKind::{Model, Session, Spend, Unknown, Weekly};

/// When each sentence was written, unless its row says otherwise: a Wednesday, 14:00 in Berlin, 08:00 in New York.
const NOW: &str = "2026-11-25T13:00:00Z";

fn utc(text: &str) -> Utc {
    Utc(text.parse::<jiff::Timestamp>().expect("a time").as_millisecond())
}

fn zone(name: &str) -> TimeZone {
    TimeZone::get(name).expect("a zone")
}

fn read(text: &str, now: &str, local: &str) -> Option<Banner> {
    parse(text, utc(now), &zone(local))
}

/// Sentences, the limit that they name, and when it is lifted; read in Berlin at [`NOW`].
const BANNERS: &[(&str, LimitKind, &str)] = &[
    // As version 2.1 writes them.
    ("You've hit your limit · resets 3pm (Europe/Berlin)", Unknown, "2026-11-25T14:00:00Z"),
    ("You've hit your limit · resets 2am (Europe/Berlin)", Unknown, "2026-11-26T01:00:00Z"),
    ("You've hit your limit · resets 11:30am (UTC)", Unknown, "2026-11-26T11:30:00Z"),
    ("You've hit your limit · resets 4am (Asia/Shanghai)", Unknown, "2026-11-25T20:00:00Z"),
    ("You've hit your limit · resets May 5 at 9pm (America/New_York)", Unknown, "2027-05-06T01:00:00Z"),
    ("You've hit your limit · resets 6pm", Unknown, "2026-11-25T17:00:00Z"),
    ("You've hit your limit", Unknown, ""),
    ("You\u{2019}ve hit your limit · resets 6pm", Unknown, "2026-11-25T17:00:00Z"),
    ("You've hit your session limit · resets 10:30am", Session, "2026-11-26T09:30:00Z"),
    ("You've hit your session limit · resets 12:50am (America/Los_Angeles)", Session, "2026-11-26T08:50:00Z"),
    ("You've hit your session limit · resets 10:10pm (Asia/Calcutta)", Session, "2026-11-25T16:40:00Z"),
    ("You've hit your session limit · resets 12pm (UTC)", Session, "2026-11-26T12:00:00Z"),
    ("You've hit your session limit · resets 3:45pm · /upgrade to increase your limit", Session, "2026-11-25T14:45:00Z"),
    ("You've hit your session limit · /low-effort to go on", Session, ""),
    ("You've hit your 5-hour limit · resets Nov 26 at 1am (Asia/Tokyo)", Session, "2026-11-25T16:00:00Z"),
    ("You've hit your weekly limit · resets Mar 5 at 9am (America/New_York)", Weekly, "2027-03-05T14:00:00Z"),
    ("You've hit your weekly limit · resets Nov 27, 4pm (Europe/Rome)", Weekly, "2026-11-27T15:00:00Z"),
    ("You've hit your weekly limit · resets Nov 27 at 4:30am (Asia/Calcutta)", Weekly, "2026-11-26T23:00:00Z"),
    ("You've hit your weekly limit · resets Jan 2, 2027, 9am (UTC)", Weekly, "2027-01-02T09:00:00Z"),
    ("You've hit your weekly limit · resets Jan 2 at 9am (UTC)", Weekly, "2027-01-02T09:00:00Z"),
    ("You've hit your weekly limit · resets Mon 9am (Asia/Jerusalem)", Weekly, "2026-11-30T07:00:00Z"),
    ("You've hit your weekly limit · resets Mon 12:00am", Weekly, "2026-11-29T23:00:00Z"),
    ("You've hit your weekly limit · resets Monday", Weekly, "2026-11-29T23:00:00Z"),
    ("You've hit your weekly limit · resets Wed 1pm", Weekly, "2026-12-02T12:00:00Z"),
    ("You've hit your weekly limit · resets Dec 3", Weekly, "2026-12-02T23:00:00Z"),
    ("You've hit your weekly limit. Resets tomorrow at 15:30.", Weekly, "2026-11-26T14:30:00Z"),
    ("You've hit your Opus weekly limit · resets Nov 30, 9am", Model, "2026-11-30T08:00:00Z"),
    ("You've hit your Opus limit · resets 8pm (GMT+2)", Model, "2026-11-25T18:00:00Z"),
    ("You've hit your Sonnet limit", Model, ""),
    ("You've reached your Fable limit.", Model, ""),
    ("You've hit your Sonnet limit · resets in 2h 15m", Model, "2026-11-25T15:15:00Z"),
    ("You're out of extra usage · resets 4pm", Spend, "2026-11-25T15:00:00Z"),
    ("You're out of extra usage", Spend, ""),
    ("You're out of usage credits. /model to switch models.", Spend, ""),
    ("Your org is out of usage · add funds to continue", Spend, ""),
    ("You've hit your monthly spend limit · raise it at claude.ai/settings/usage", Spend, ""),
    ("You've hit your monthly spend limit. Run /usage-credits to manage your limit.", Spend, ""),
    ("You've hit your org's monthly spend limit · resets Apr 1", Spend, "2027-03-31T22:00:00Z"),
    ("You've hit your org's monthly usage limit", Spend, ""),
    ("You've hit your monthly spend limit · resets December 1st", Spend, "2026-11-30T23:00:00Z"),
    // As earlier versions wrote them.
    ("Claude AI usage limit reached|1735689600", Unknown, "2025-01-01T00:00:00Z"),
    ("Claude AI usage limit reached|1800000000000", Unknown, "2027-01-15T08:00:00Z"),
    ("Claude AI usage limit reached", Unknown, ""),
    ("Claude usage limit reached. Your limit will reset at 3pm (America/Santiago).", Unknown, "2026-11-25T18:00:00Z"),
    ("Claude usage limit reached. Your limit resets at 5:00pm.", Unknown, "2026-11-25T16:00:00Z"),
    ("Claude usage limit reached - resuming at 5pm", Unknown, "2026-11-25T16:00:00Z"),
    ("Claude usage limit reached — will reset at 3pm (America/Bogota)", Unknown, "2026-11-25T20:00:00Z"),
    ("5-hour limit reached ∙ resets 7pm", Session, "2026-11-25T18:00:00Z"),
    ("5-hour limit reached ∙ resets 19:00", Session, "2026-11-25T18:00:00Z"),
    ("Session limit reached ∙ resets 9:30pm\n     /upgrade to increase your usage limit.", Session, "2026-11-25T20:30:00Z"),
    ("Session limit reached ∙ resets 11:00 PM", Session, "2026-11-25T22:00:00Z"),
    ("Weekly limit reached ∙ resets Dec 9, 5pm", Weekly, "2026-12-09T16:00:00Z"),
    ("Opus weekly limit reached ∙ resets Nov 30, 9am", Model, "2026-11-30T08:00:00Z"),
    ("Opus weekly limit reached ∙ resets 5 December, 9am PST", Model, "2026-12-05T17:00:00Z"),
    ("Your usage limit will reset at 8pm", Unknown, "2026-11-25T19:00:00Z"),
    ("API Error: Usage limit reached for 5 hour. Your limit will reset at 2026-11-25 18:55:29", Unknown, "2026-11-25T17:55:29Z"),
    ("Usage limit reached. Try again at 2026-11-25T18:00:00Z", Unknown, "2026-11-25T18:00:00Z"),
    // What cannot be understood is left open rather than guessed.
    ("You've hit your limit · resets 25:00", Unknown, ""),
    ("You've hit your limit · resets 13pm", Unknown, ""),
    ("You've hit your limit · resets 3pm (Mars/Olympus)", Unknown, ""),
    ("You've hit your limit · resets Feb 30", Unknown, ""),
    ("You've hit your limit · resets soon", Unknown, ""),
    ("Claude AI usage limit reached|soon", Unknown, ""),
];

#[test]
fn every_known_sentence_names_its_limit_and_when_it_is_lifted() {
    for (text, kind, resets_at) in BANNERS {
        let resets_at = (!resets_at.is_empty()).then(|| utc(resets_at));
        assert_eq!(read(text, NOW, "Europe/Berlin"), Some(Banner { kind: *kind, resets_at }), "{text}");
    }
}

#[test]
fn what_only_speaks_about_limits_is_no_such_sentence() {
    let long = format!("You've hit your limit · resets 3pm {}", "and so on ".repeat(50));
    for text in [
        "",
        "Done.",
        "You've used 91% of your session limit · resets 3pm",
        "You're close to your weekly limit · resets 3pm",
        "Approaching usage limit · resets at 2am",
        "You're now using usage credits · Your session limit resets 3pm",
        "API Error: 429 rate_limit_error",
        "The log said: You've hit your session limit, so I added detection.",
        "You've hit your limit of five retries, so the loop ends.",
        "You've hit your session limits page; here is what it does.",
        "You've hit your head on the word limit · resets 3pm, he said, in a very long sentence",
        "The usage limit reached by the rate limiter is 5 per second.",
        "Rate limit reached in the test · resets 3pm",
        "If you see \"Claude AI usage limit reached|1735689600\", wait.",
        "Recursion limit reached",
        "I raised the usage limit. It resets at 3pm.",
        &long,
    ] {
        assert_eq!(read(text, NOW, "Europe/Berlin"), None, "{text}");
    }
}

fn resets(text: &str, now: &str, local: &str) -> Utc {
    read(text, now, local).and_then(|banner| banner.resets_at).expect(text)
}

#[test]
fn a_time_that_the_clocks_skip_is_as_much_later_and_of_a_repeated_one_the_first_that_is_not_past() {
    let text = "You've hit your limit · resets 2:30am";
    assert_eq!(resets(text, "2026-03-28T23:00:00Z", "Europe/Berlin"), utc("2026-03-29T01:30:00Z"), "3:30 in summer time");
    assert_eq!(resets(text, "2026-10-24T23:00:00Z", "Europe/Berlin"), utc("2026-10-25T00:30:00Z"), "the first");
    assert_eq!(resets(text, "2026-10-25T00:45:00Z", "Europe/Berlin"), utc("2026-10-25T01:30:00Z"), "the second");
}

#[test]
fn a_time_of_day_is_the_next_one_but_not_a_day_later_for_a_minute() {
    let text = "You've hit your limit · resets 3pm";
    assert_eq!(resets(text, "2026-11-25T14:59:30Z", "UTC"), utc("2026-11-25T15:00:00Z"));
    assert_eq!(resets(text, "2026-11-25T15:01:00Z", "UTC"), utc("2026-11-25T15:00:00Z"), "printed in whole minutes");
    assert_eq!(resets(text, "2026-11-25T15:03:00Z", "UTC"), utc("2026-11-26T15:00:00Z"));
    assert_eq!(resets(text, "2026-12-31T23:00:00Z", "UTC"), utc("2027-01-01T15:00:00Z"));
}

#[test]
fn a_date_without_a_year_is_the_next_one_but_not_a_year_later_for_a_day() {
    let text = "You've hit your weekly limit · resets Jan 2 at 9am";
    assert_eq!(resets(text, "2026-12-30T00:00:00Z", "UTC"), utc("2027-01-02T09:00:00Z"));
    assert_eq!(resets(text, "2027-01-02T12:00:00Z", "UTC"), utc("2027-01-02T09:00:00Z"), "lifted meanwhile");
    assert_eq!(resets(text, "2027-01-04T00:00:00Z", "UTC"), utc("2028-01-02T09:00:00Z"));
    let leap = "You've hit your weekly limit · resets Feb 29";
    assert_eq!(resets(leap, "2026-12-30T00:00:00Z", "UTC"), utc("2028-02-29T00:00:00Z"));
}

#[test]
fn an_abbreviation_is_the_local_zone_s_own_if_it_has_it() {
    let text = "You've hit your limit · resets 8pm CST";
    assert_eq!(resets(text, NOW, "America/Chicago"), utc("2026-11-26T02:00:00Z"));
    assert_eq!(resets(text, NOW, "Asia/Shanghai"), utc("2026-11-26T12:00:00Z"), "past today, and China's own CST");
    assert_eq!(resets("You've hit your limit · resets 8pm UTC+5:30", NOW, "UTC"), utc("2026-11-25T14:30:00Z"));
}

#[test]
fn times_at_the_ends_of_the_range_are_no_panic() {
    for now in [Utc(i64::MIN), Utc(i64::MAX), Utc(0), Utc(253_402_207_200_000), Utc(-377_705_023_201_000)] {
        for (text, ..) in BANNERS {
            let _ = parse(text, now, &zone("Europe/Berlin"));
        }
    }
}
