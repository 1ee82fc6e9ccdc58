//! The machine's clocks.

use std::time::{SystemTime, UNIX_EPOCH};

use airx::manager::ports::Clock;
use airx::model::time::{Mono, Now, Utc};
use rustix::time::{ClockId, clock_gettime};

/// Wall clock and `CLOCK_MONOTONIC`, which stands still while the machine is suspended.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        let utc = match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => i64::try_from(since.as_millis()).unwrap_or(i64::MAX),
            Err(before) => -i64::try_from(before.duration().as_millis()).unwrap_or(i64::MAX),
        };
        let mono = clock_gettime(ClockId::Monotonic);
        let millis = u64::try_from(mono.tv_sec).unwrap_or(0) * 1_000 + u64::try_from(mono.tv_nsec).unwrap_or(0) / 1_000_000;
        Now { utc: Utc(utc), mono: Mono(millis) }
    }
}
