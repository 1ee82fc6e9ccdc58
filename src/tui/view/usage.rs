//! What the top line tells of credentials and money: holds, usage windows, and today's cost.

use crate::config::theme::Role;
use crate::model::credential::CredentialHold;
use crate::model::live::UsageWindow;
use crate::model::message::CredentialView;
use crate::model::time::Utc;
use crate::tui::app::{App, WIDE};
use crate::tui::text::harmless::tamed;
use crate::tui::text::{cut, time};

/// Holds that the top line tells; the tasks tell theirs anyway.
const MAX_HOLDS: usize = 2;

/// Credentials that a limit or a refused login holds.
pub fn holds(app: &App) -> Vec<(String, Role)> {
    let all = &app.mirror.overview.usage.credentials;
    let held = all.iter().filter_map(|credential| Some((credential, credential.state.hold.as_ref()?)));
    let word = |(credential, hold): (&CredentialView, &CredentialHold)| {
        let text = hold_text(app, hold);
        // Whose it is matters only where there are several, and less than that it is so.
        let name = match all.len() > 1 && app.size.0 >= WIDE {
            true => format!(" ({})", cut::middle(&tamed(&credential.name), 24, app.look.dots())),
            false => String::new(),
        };
        (format!("{text}{name}"), Role::Warning)
    };
    held.take(MAX_HOLDS).map(word).collect()
}

fn hold_text(app: &App, hold: &CredentialHold) -> String {
    match hold {
        CredentialHold::Login { .. } => "login needed".to_owned(),
        CredentialHold::Limit { until, told } => {
            let at = time::clock(*until, app.now.utc, &app.zone);
            let left = time::left(until.since(app.now.utc));
            match (until.0 > app.now.utc.0, told) {
                (false, _) => "limit over, being tried".to_owned(),
                (true, true) => format!("limit until {at}, in {left}"),
                (true, false) => format!("limit, tried at {at}, in {left}"),
            }
        }
    }
}

/// Times from which on the top line says something else, as far as they count down.
pub fn counted(app: &App) -> impl Iterator<Item = Utc> {
    let of = |credential: &CredentialView| match &credential.state.hold {
        Some(CredentialHold::Limit { until, .. }) => Some(*until),
        _ => None,
    };
    app.mirror.overview.usage.credentials.iter().filter_map(of)
}

/// Both usage windows of the credential that has used most of them. One that an API key pays has none.
pub fn windows(app: &App) -> Vec<(String, Role)> {
    let subscribed = app.mirror.overview.usage.credentials.iter().filter(|view| view.state.pays_by_key != Some(true));
    let Some(fullest) = subscribed.max_by_key(|view| view.state.windows.iter().filter_map(|window| window.percent).max()) else {
        return Vec::new();
    };
    // What was told of a window that has begun anew since says nothing.
    let holds = |window: &&UsageWindow| window.resets_at.is_none_or(|at| at.0 > app.now.utc.0);
    let told: Vec<&UsageWindow> = fullest.state.windows.iter().filter(holds).collect();
    let find = |kind: &str| told.iter().find(|window| window.kind == kind);
    let known = [("five_hour", "5 h window"), ("seven_day", "week")];
    let parts: Vec<(String, Role)> =
        known.iter().filter_map(|(kind, name)| find(kind).map(|window| window_text(app, name, window))).collect();
    if parts.is_empty() { vec![("limit unknown".to_owned(), Role::Dim)] } else { parts }
}

fn window_text(app: &App, name: &str, window: &UsageWindow) -> (String, Role) {
    let used = match (window.is_rejected, window.percent) {
        (true, _) => " full".to_owned(),
        (false, Some(percent)) => format!(" {percent} %"),
        (false, None) => String::new(),
    };
    // The week's end is far away: its part is what helps.
    let resets = window.resets_at.filter(|_| name != "week" || window.is_rejected);
    let resets = resets.map(|at| format!(", resets {}", time::clock(at, app.now.utc, &app.zone))).unwrap_or_default();
    let is_short = window.is_rejected || window.percent.is_some_and(|percent| percent >= 90);
    (format!("{name}{used}{resets}"), if is_short { Role::Warning } else { Role::Dim })
}

/// What was used today, of what may be.
pub fn today(app: &App) -> Option<(String, Role)> {
    let usage = &app.mirror.overview.usage;
    let used = app.dollars().used(usage.today_microusd, usage.today_tokens, usage.day.as_ref());
    if used.is_empty() {
        return None;
    }
    match usage.day.filter(|day| day.is_spent(usage.today_microusd, usage.today_tokens)) {
        Some(_) => Some((format!("{used} today, all of it"), Role::Warning)),
        None => Some((format!("{used} today"), Role::Cost)),
    }
}
