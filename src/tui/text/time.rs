//! Times and durations as people read them.

use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};

use crate::model::time::Utc;

/// Local time: only the clock when it is today, else with the date.
pub fn time(at: Utc, now: Utc, zone: &TimeZone) -> String {
    let zoned = |at: Utc| Timestamp::from_millisecond(at.0).ok().map(|at| at.to_zoned_datetime(zone.clone()));
    match (zoned(at), zoned(now)) {
        (Some(at), Some(now)) if at.date() == now.date() => at.strftime("%H:%M:%S").to_string(),
        (Some(at), _) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        (None, _) => "?".to_owned(),
    }
}

/// As [`time`], without seconds and for what is to come: the clock alone where it cannot be taken for another day's.
pub fn clock(at: Utc, now: Utc, zone: &TimeZone) -> String {
    match Timestamp::from_millisecond(at.0).map(|at| at.to_zoned_datetime(zone.clone())) {
        Ok(zoned) if at.since(now) < 20 * HOUR => zoned.strftime("%H:%M").to_string(),
        Ok(zoned) => zoned.strftime("%b %-d %H:%M").to_string(),
        Err(_) => "?".to_owned(),
    }
}

/// How long it will be, in minutes and above, rounded up: `5m`, `1h 02m`, `3d 4h`.
pub fn left(millis: u64) -> String {
    let minutes = millis.div_ceil(MINUTE);
    match (minutes / 60, minutes % 60) {
        (0, minutes) => format!("{minutes}m"),
        (hours @ 1..24, minutes) => format!("{hours}h {minutes:02}m"),
        (hours, _) => format!("{}d {}h", hours / 24, hours % 24),
    }
}

/// For how many milliseconds what is left reads as it does.
pub fn left_stays(millis: u64) -> u64 {
    millis.saturating_sub(1) % MINUTE + 1
}

/// How long: `0:04`, `3:12`, `1:02:03`, `2d 03:04`.
pub fn duration(millis: u64) -> String {
    let seconds = millis / 1_000;
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    match (days, hours) {
        (0, 0) => format!("{minutes}:{seconds:02}"),
        (0, _) => format!("{hours}:{minutes:02}:{seconds:02}"),
        _ => format!("{days}d {hours:02}:{minutes:02}"),
    }
}

/// How long something took: as a duration, but milliseconds where there is no whole second.
pub fn took(millis: u64) -> String {
    if millis < 1_000 { format!("{millis} ms") } else { duration(millis) }
}

/// How long ago, in one unit: `<1m`, `3m`, `2h`, `5d`. Not in seconds: an idle screen has nothing to draw.
pub fn age(millis: u64) -> String {
    match millis / age_unit(millis) {
        0 => "<1m".to_owned(),
        count if millis < HOUR => format!("{count}m"),
        count if millis < DAY => format!("{count}h"),
        count => format!("{count}d"),
    }
}

/// For how many milliseconds the age reads as it does.
pub fn age_stays(millis: u64) -> u64 {
    let unit = age_unit(millis);
    unit - millis % unit
}

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

fn age_unit(millis: u64) -> u64 {
    match millis {
        0..HOUR => MINUTE,
        HOUR..DAY => HOUR,
        _ => DAY,
    }
}

/// Bytes: `214 B`, `3.1 KiB`, `12 MiB`.
pub fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let (mut unit, mut scale) = (0, 1u64);
    while count / scale >= 1_024 && unit + 1 < UNITS.len() {
        unit += 1;
        scale *= 1_024;
    }
    match count / scale {
        whole @ 0..=9 if unit > 0 => format!("{whole}.{} {}", count % scale * 10 / scale, UNITS[unit]),
        whole => format!("{whole} {}", UNITS[unit]),
    }
}

/// A time as a person types it: `14:30` or `14:30:05` (the last such time before now), or `-10m` before now.
pub fn parse(text: &str, now: Utc, zone: &TimeZone) -> Option<Utc> {
    if let Some(back) = text.strip_prefix('-') {
        let millis = crate::model::units::parse_duration(back).ok()?;
        return Some(now.plus(-i64::try_from(millis).ok()?));
    }
    let mut parts = text.split(':').map(str::parse::<i8>);
    let (hour, minute) = (parts.next()?.ok()?, parts.next()?.ok()?);
    let second = parts.next().unwrap_or(Ok(0)).ok()?;
    let clock = jiff::civil::Time::new(hour, minute, second, 0).ok()?;
    let here = Timestamp::from_millisecond(now.0).ok()?.to_zoned_datetime(zone.clone());
    let at = here.date().to_datetime(clock).to_zoned_datetime(zone.clone()).ok()?;
    let at = if at > here { at.checked_sub(1.day()).ok()? } else { at };
    parts.next().is_none().then(|| Utc(at.timestamp().as_millisecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_and_read_as_people_write_them() {
        let zone = TimeZone::UTC;
        let now = Utc(1_700_000_000_000); // 2023-11-14 22:13:20
        assert_eq!(time(now, now, &zone), "22:13:20");
        assert_eq!(time(Utc(0), now, &zone), "1970-01-01 00:00");
        assert_eq!(parse("22:13", now, &zone), Some(Utc(1_699_999_980_000)));
        assert_eq!(parse("23:00", now, &zone), Some(Utc(1_699_916_400_000)), "yesterday");
        assert_eq!(parse("-10m", now, &zone), Some(Utc(1_699_999_400_000)));
        for text in ["", "x", "25:00", "1:2:3:4", "-", "-x", "12"] {
            assert_eq!(parse(text, now, &zone), None, "{text}");
        }
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(
            [duration(4_000), duration(192_000), duration(3_723_000), duration(183_840_000)],
            ["0:04", "3:12", "1:02:03", "2d 03:04"]
        );
        assert_eq!(
            [left(1), left(60_000), left(61_000), left(HOUR + 60_001), left(76 * HOUR)],
            ["1m", "1m", "2m", "1h 02m", "3d 4h"]
        );
        assert_eq!([left_stays(60_000), left_stays(61_000), left_stays(1)], [60_000, 1_000, 1]);
        assert_eq!([bytes(214), bytes(3_200), bytes(12 << 20)], ["214 B", "3.1 KiB", "12 MiB"]);
        assert_eq!([age(4_000), age(190_000), age(7_200_000), age(1 << 40)], ["<1m", "3m", "2h", "12725d"]);
        assert_eq!([age_stays(4_000), age_stays(190_000), age_stays(HOUR + 1)], [56_000, 50_000, HOUR - 1]);
    }
}
