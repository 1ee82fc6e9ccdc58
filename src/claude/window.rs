//! A `rate_limit_event`: how full a usage window of a subscription is.

use serde::Deserialize;

use super::json::{Loose, Object};
use super::text::clip;
use crate::model::live::UsageWindow;
use crate::model::report::LimitKind;
use crate::model::time::Utc;

/// Longest name of a window.
const MAX_NAME: usize = 200;

#[derive(Default, Deserialize)]
#[serde(default)]
pub(super) struct RateLimit {
    rate_limit_info: Object<RateLimitInfo>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RateLimitInfo {
    status: Loose,
    resets_at: Loose,
    rate_limit_type: Loose,
    utilization: Loose,
}

impl RateLimitInfo {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range was checked, and `as` saturates")]
    fn window(&self) -> UsageWindow {
        let percent = self.utilization.number().map(|part| (part * 100.0).round().clamp(0.0, 100.0) as u8);
        let resets_at = self.resets_at.number().filter(|at| (1.0..1e11).contains(at)).map(|at| Utc((at * 1000.0) as i64));
        UsageWindow {
            kind: clip(self.rate_limit_type.text().unwrap_or("unknown"), MAX_NAME).to_owned(),
            percent,
            resets_at,
            is_rejected: self.status.text() == Some("rejected"),
        }
    }
}

impl RateLimit {
    /// The window.
    pub(super) fn window(&self) -> UsageWindow {
        self.rate_limit_info.0.window()
    }

    /// Whether requests are answered, as far as this event tells.
    pub(super) fn is_allowed(&self) -> bool {
        self.rate_limit_info.0.status.text().is_some_and(|status| status.starts_with("allowed"))
    }
}

/// Which limit a window's name stands for: `five_hour`, `seven_day`, `seven_day_opus`, `overage`, ….
pub(super) fn kind(window: &UsageWindow) -> LimitKind {
    match window.kind.as_str() {
        "five_hour" => LimitKind::Session,
        "seven_day" => LimitKind::Weekly,
        "overage" => LimitKind::Spend,
        name if name.starts_with("seven_day_") => LimitKind::Model,
        _ => LimitKind::Unknown,
    }
}
