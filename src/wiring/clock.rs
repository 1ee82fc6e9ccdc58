//! The machine's clocks.

use airx::manager::ports::Clock;
use airx::model::time::{Now, Utc};

/// Wall clock and monotonic clock of this machine, and its time zone.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        airx::os::now()
    }

    fn offset_ms(&self, at: Utc) -> i64 {
        offset_ms(at)
    }
}

/// How far local time is ahead of UTC. Looked up each time: a machine that travels changes its zone.
pub fn offset_ms(at: Utc) -> i64 {
    let Ok(at) = jiff::Timestamp::from_millisecond(at.0) else { return 0 };
    i64::from(jiff::tz::TimeZone::system().to_offset(at).seconds()) * 1_000
}
