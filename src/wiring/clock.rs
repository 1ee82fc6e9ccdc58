//! The machine's clocks.

use airx::manager::ports::Clock;
use airx::model::time::Now;

/// Wall clock and monotonic clock of this machine.
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Now {
        airx::os::now()
    }
}
