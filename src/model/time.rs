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

    /// Milliseconds from `earlier` to this time; 0 when the clock was set back in between.
    pub fn since(self, earlier: Utc) -> u64 {
        u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0)
    }
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
