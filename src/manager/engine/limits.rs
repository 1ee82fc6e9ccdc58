//! From the configuration and the clock to what the core has to know.

use crate::manager::ports::Clock;
use crate::model::core::{ClaudeLimits, DayBudget, Limits};
use crate::model::settings::Settings;
use crate::model::time::{day_of, span_end};

/// What the core has to know: also of the day, and whether these are quiet hours.
pub(super) fn limits(settings: &Settings, clock: &dyn Clock) -> Limits {
    let now = clock.now().utc;
    let offset_ms = |at| clock.offset_ms(at);
    let claude = &settings.claude;
    let (begins, ends) = day_of(now, &offset_ms);
    Limits {
        slots: settings.pools.iter().map(|(name, pool)| (name.clone(), pool.slots)).collect(),
        claude: ClaudeLimits {
            auth: claude.auth.clone(),
            max_parallel: claude.max_parallel,
            when_limited: claude.when_limited,
            margin_ms: i64::try_from(claude.limit_margin_ms).unwrap_or(i64::MAX),
            quiet_until: claude.quiet_hours.and_then(|span| span_end(now, span, &offset_ms)),
            day: settings.day_budget.map(|budget| DayBudget { budget, begins, ends }),
        },
    }
}
