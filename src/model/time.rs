//! Points in time and durations as the model sees them: plain numbers handed in by the shell.

use serde::{Deserialize, Serialize};

/// A point in time, in milliseconds since the Unix epoch, UTC. For waits (retry at, limit until) and for records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Utc(pub i64);

impl Utc {
    /// This time moved by `millis` (negative moves it back); saturates at the ends of the range.
    pub fn plus(self, millis: i64) -> Utc {
        Utc(self.0.saturating_add(millis))
    }

    /// As programs read it: `2027-01-31T08:00:00Z`.
    pub fn rfc3339(self) -> String {
        jiff::Timestamp::from_millisecond(self.0).map_or_else(|_| self.0.to_string(), |at| at.to_string())
    }

    /// Milliseconds from `earlier` to this time; 0 when the clock was set back in between.
    pub fn since(self, earlier: Utc) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
}

/// Milliseconds of a day without a change of the clock.
const DAY_MS: i64 = 86_400_000;

/// The local day that `at` lies in: when it began and when the next one begins. `offset_ms` tells how far local time is ahead
/// of UTC at a given point.
pub fn day_of(at: Utc, offset_ms: &dyn Fn(Utc) -> i64) -> (Utc, Utc) {
    let local = at.0.saturating_add(offset_ms(at));
    let midnight = local.div_euclid(DAY_MS) * DAY_MS;
    // The offset at midnight may be another one than now, where the clock changes within the day.
    let begin = |midnight: i64| {
        let guess = Utc(midnight.saturating_sub(offset_ms(at)));
        Utc(midnight.saturating_sub(offset_ms(guess)))
    };
    (begin(midnight), begin(midnight.saturating_add(DAY_MS)))
}

/// When a daily span of local time that `at` lies in ends; none outside of it. `span` is in minutes since midnight, and may
/// reach over midnight.
pub fn span_end(at: Utc, span: (u32, u32), offset_ms: &dyn Fn(Utc) -> i64) -> Option<Utc> {
    const MINUTE_MS: i64 = 60_000;
    let (from, to) = (i64::from(span.0) * MINUTE_MS, i64::from(span.1) * MINUTE_MS);
    let local = at.0.saturating_add(offset_ms(at)).rem_euclid(DAY_MS);
    let is_within = if from <= to { (from..to).contains(&local) } else { local >= from || local < to };
    is_within.then(|| at.plus((to - local).rem_euclid(DAY_MS)))
}

/// A reading of the monotonic clock, in milliseconds since an arbitrary point of this boot. For durations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Mono(pub u64);

/// Both clocks, read together by the shell and handed to every decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Wall clock.
    pub utc: Utc,
    /// Monotonic clock.
    pub mono: Mono,
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: i64 = 3_600_000;

    #[test]
    fn a_day_begins_at_local_midnight_also_where_the_clock_changes_within_it() {
        assert_eq!(day_of(Utc(30 * HOUR), &|_| 0), (Utc(24 * HOUR), Utc(48 * HOUR)));
        assert_eq!(day_of(Utc(23 * HOUR), &|_| 2 * HOUR), (Utc(22 * HOUR), Utc(46 * HOUR)));
        // From +1 to +2 at 1:00 UTC: a day of 23 hours.
        let summer = |at: Utc| if at.0 >= 25 * HOUR { 2 * HOUR } else { HOUR };
        assert_eq!(day_of(Utc(36 * HOUR), &summer), (Utc(23 * HOUR), Utc(46 * HOUR)));
    }

    #[test]
    fn a_daily_span_may_reach_over_midnight() {
        let night = (22 * 60, 6 * 60);
        assert_eq!(span_end(Utc(23 * HOUR), night, &|_| 0), Some(Utc(30 * HOUR)));
        assert_eq!(span_end(Utc(5 * HOUR), night, &|_| 0), Some(Utc(6 * HOUR)));
        assert_eq!(span_end(Utc(12 * HOUR), night, &|_| 0), None);
        assert_eq!(span_end(Utc(8 * HOUR), (9 * 60, 18 * 60), &|_| HOUR), Some(Utc(17 * HOUR)));
    }
}
